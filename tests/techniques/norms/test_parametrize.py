"""Weight and spectral norm, decay groups, conversion of networks that are not ours, recomputed statistics."""

import copy
import functools
import io

import pytest
import torch
from torch import nn

from paribus.models.cnn import CNN
from paribus.models.dense import MLP
from paribus.models.vit import ViT
from paribus.techniques.norms import norm as norms
from paribus.techniques.norms.convert import replace_norms
from paribus.techniques.norms.parametrize import spectral_norm, weight_norm
from paribus.techniques.norms.statistics import recomputed_statistics
from paribus.techniques.optimizers.decay import no_decay_parameters


def cnn(norm=norms.batch):
    return CNN((1, 8, 8), 10, norm, widths=[8, 16])


def test_weight_norm_changes_no_output_and_its_gradient_is_orthogonal_to_the_direction():
    plain = cnn().double().eval()
    network = copy.deepcopy(plain)
    weight_norm(network)
    x = torch.randn(4, 1, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(network(x), plain(x))
    network(x).pow(2).sum().backward()
    directions = [p for name, p in network.named_parameters() if name.endswith("original1")]
    assert len(directions) == 3
    for v in directions:
        product = (v.grad * v).flatten(1).sum(1)
        assert product.abs().max() <= 1e-10 * v.grad.norm() * v.norm()


def test_weight_norm_refuses_a_weight_without_direction():
    network = MLP((1, 2, 2), 2, None)
    with torch.no_grad():
        network[1].weight[0] = 0.0
    with pytest.raises(ValueError, match=r"1\.weight starts with a zero row"):
        weight_norm(network)


def test_spectral_norm_keeps_its_lipschitz_bound():
    """|f(x) - f(y)| <= |x - y| for linear layers of largest singular value 1 and activations of slope at most 1."""
    network = MLP((1, 4, 4), 5, None, width=32, depth=3).double()
    spectral_norm(network)
    x = torch.randn(64, 1, 4, 4, dtype=torch.float64)
    for _ in range(200):
        network(x)  # each pass in training is one power iteration
    network.eval()
    for module in network:
        if isinstance(module, nn.Linear):
            assert torch.linalg.matrix_norm(module.weight, 2).item() == pytest.approx(1.0, abs=1e-6)
    y = x + 0.1 * torch.randn(64, 1, 4, 4, dtype=torch.float64)
    ratio = (network(x) - network(y)).norm(dim=1) / (x - y).flatten(1).norm(dim=1)
    assert ratio.max() <= 1.0 + 1e-6


def test_spectral_norm_is_frozen_in_evaluation():
    network = MLP((1, 4, 4), 5, None)
    spectral_norm(network)
    network.eval()
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    network(torch.randn(3, 1, 4, 4))
    assert all(torch.equal(before[name], buffer) for name, buffer in network.named_buffers())


@pytest.mark.parametrize("apply", [weight_norm, spectral_norm])
def test_parametrized_networks_copy_save_and_build_without_memory(apply):
    network = cnn()
    apply(network)
    network.train()(torch.randn(4, 1, 8, 8))
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    file.seek(0)
    twin = cnn()
    apply(twin)
    twin.load_state_dict(torch.load(file, weights_only=True))
    x = torch.randn(2, 1, 8, 8)
    assert torch.equal(twin.eval()(x), network.eval()(x))
    assert torch.equal(copy.deepcopy(network)(x), network(x))
    with torch.device("meta"):
        meta = cnn()
        apply(meta)
        meta(torch.zeros(4, 1, 8, 8)).sum().backward()


def test_decay_is_kept_off_biases_norms_directions_and_embeddings():
    network = cnn()
    weights = {name for name, p in network.named_parameters() if p.ndim >= 2}
    assert no_decay_parameters(network) == {name for name, _ in network.named_parameters()} - weights
    weight_norm(network)
    off = no_decay_parameters(network)
    assert {name for name, _ in network.named_parameters() if "original" in name} <= off
    vit = ViT((1, 8, 8), 10, norms.layer, width=16, depth=1, heads=2)
    assert {"token", "position"} <= no_decay_parameters(vit)
    assert "layers.0.qkv.weight" not in no_decay_parameters(vit)


class Dense(nn.Module):
    """A third party's network: a small DenseNet with torch's batch norms, some of them without a convolution before."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(8 * (k + 1)), nn.ReLU(), nn.Conv2d(8 * (k + 1), 8, 3, padding=1, bias=False))
            for k in range(2)
        )
        self.final = nn.BatchNorm2d(24)
        self.head = nn.Sequential(nn.Linear(24, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 5))

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = torch.cat([x, block(x)], 1)
        return self.head(self.final(x).mean((2, 3)))


@pytest.mark.parametrize(
    "name", ["batch", "batch_renorm", "layer", "layer_channels_last", "group", "rms", "sync_batch"]
)
@pytest.mark.parametrize("weight", [None, weight_norm, spectral_norm])
def test_any_norm_goes_into_a_network_that_is_not_ours(name, weight):
    network = Dense()
    kept = network.stem.weight.detach().clone()
    assert replace_norms(network, getattr(norms, name)) == ["final", "blocks.0.0", "blocks.1.0", "head.1"]
    replaced = network
    if weight is not None:
        weight(replaced)
    assert not [m for m in replaced.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    out = replaced(torch.randn(4, 3, 8, 8))
    out.sum().backward()
    assert out.shape == (4, 5)
    if weight is None:
        assert torch.equal(replaced.stem.weight, kept)


def test_replacing_by_batch_norm_changes_nothing():
    network, x = Dense().double(), torch.randn(4, 3, 8, 8, dtype=torch.float64)
    expected = copy.deepcopy(network)(x)
    replace_norms(network, norms.batch)
    torch.testing.assert_close(network.double()(x), expected)


def test_replacing_names_the_layer_where_a_norm_cannot_work():
    with pytest.raises(ValueError, match=r"final: group norm splits"):
        replace_norms(Dense(), functools.partial(norms.group, groups=5))
    network = Dense()
    replace_norms(network, None)
    assert isinstance(network.final, nn.Identity)
    network = Dense()
    replace_norms(network, norms.instance)
    with pytest.raises(ValueError, match="more than one place"):
        network(torch.randn(4, 3, 8, 8))


@pytest.mark.parametrize(("kind", "shape"), [
    (nn.BatchNorm1d(6), (5, 6)), (nn.BatchNorm1d(6), (5, 6, 3)), (nn.BatchNorm2d(6), (5, 6, 3, 2)),
    (nn.BatchNorm3d(6), (5, 6, 3, 2, 4)), (nn.InstanceNorm1d(6, affine=True), (5, 6, 3)),
    (nn.GroupNorm(1, 6), (5, 6, 3, 2)), (nn.GroupNorm(1, 6), (5, 6, 4)), (nn.GroupNorm(1, 6), (5, 6, 2, 3, 2)),
    (nn.LayerNorm(6), (5, 6)), (nn.LayerNorm(6), (5, 3, 6)), (nn.LayerNorm(6), (5, 3, 2, 6)),
    (nn.RMSNorm(6, eps=1e-6), (5, 3, 6)),
])  # fmt: skip
def test_a_norm_that_is_put_in_place_of_its_own_kind_computes_the_same(kind, shape):
    """Whatever the number of axes: the norms of conf/norm know three layouts."""
    same = {"BatchNorm": norms.batch, "InstanceNorm": norms.instance, "GroupNorm": norms.layer,
            "LayerNorm": norms.layer, "RMSNorm": norms.rms}  # fmt: skip
    x = torch.randn(shape)
    network = nn.Sequential(copy.deepcopy(kind))
    assert replace_norms(network, same[type(kind).__name__.rstrip("123d")]) == ["0"]
    torch.testing.assert_close(network(x), kind(x))


def test_a_norm_in_two_places_is_one_norm_afterwards():
    norm = nn.BatchNorm1d(4)
    network = nn.ModuleDict({"a": norm, "b": nn.Sequential(norm)})
    assert replace_norms(network, norms.layer) == ["a", "b.0"]
    assert network["a"] is network["b"][0]


def test_an_encoder_layer_of_torch_works_with_other_norms():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    assert replace_norms(layer, norms.batch) == ["norm1", "norm2"]
    layer.train()(torch.randn(3, 4, 8)).sum().backward()
    with torch.no_grad():
        assert layer.eval()(torch.randn(3, 4, 8)).shape == (3, 4, 8)


def test_recomputed_statistics_are_means_over_the_batches_and_leave_no_trace():
    network = cnn().double()
    network[0].requires_grad_(False)
    x = torch.randn(12, 1, 8, 8, dtype=torch.float64)
    network(x)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with recomputed_statistics(network, x.split(4)):
        first = network[0](x)
        torch.testing.assert_close(network[1].running_mean, first.mean((0, 2, 3)))
        parts = torch.stack([part.var((0, 2, 3)) for part in first.split(4)])
        torch.testing.assert_close(network[1].running_var, parts.mean(0))
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert network[1].momentum == 0.1


def test_spectral_norm_is_torchs_bit_for_bit():
    """Written for vmap, without out= arguments."""
    from torch.nn.utils import parametrizations

    networks = []
    for apply in (lambda layer: spectral_norm(layer, n_power_iterations=2), None):
        torch.manual_seed(3)
        layer = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3))
        if apply is None:
            parametrizations.spectral_norm(layer[0], n_power_iterations=2, eps=1e-12)
        else:
            apply(layer)
        networks.append(layer)
    ours, theirs = networks
    x = torch.randn(4, 3, 8, 8)
    for _ in range(3):
        assert torch.equal(ours(x), theirs(x))
        for network in networks:
            network.zero_grad()
            network(x).square().sum().backward()
        for found, wanted in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(found.grad, wanted.grad, rtol=1e-6, atol=1e-7)
    for key, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[key], value)
