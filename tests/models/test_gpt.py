"""The decoder: torch's own layers with the same weights, rotary positions, causality, and who decays."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from paribus.models.gpt import GPT, Attention, Rotary
from paribus.techniques.norms.norm import batch, group, instance, layer, rms
from paribus.techniques.norms.parametrize import spectral_norm, weight_norm
from paribus.techniques.optimizers.build import hidden_matrices
from paribus.techniques.optimizers.decay import no_decay_parameters

TOKENS, PLACES = 11, 7
SMALL = {"width": 12, "depth": 2, "heads": 3}


def made(**options):
    torch.manual_seed(0)
    return GPT((PLACES,), TOKENS, TOKENS, **({"norm": layer} | SMALL | options)).double()


def batch_of(number=5):
    return torch.randint(0, TOKENS, (number, PLACES), generator=torch.Generator().manual_seed(1))


def torchs(network, first):
    """torch.nn's encoder layers with the weights of a network."""
    copies = []
    for attention, mlp in zip(network.layers[::2], network.layers[1::2], strict=True):
        own = nn.TransformerEncoderLayer(12, 3, 48, 0.0, F.gelu, batch_first=True, norm_first=first).double()
        norms = [each.before if first else each.after for each in (attention, mlp)]
        parts = {
            "self_attn.in_proj_": attention.function.qkv,
            "self_attn.out_proj.": attention.function.out,
            "linear1.": mlp.function[0],
            "linear2.": mlp.function[2],
            "norm1.": norms[0],
            "norm2.": norms[1],
        }
        state = {f"{name}{kind}": getattr(part, kind) for name, part in parts.items() for kind in ("weight", "bias")}
        own.load_state_dict(state)
        copies.append(own)
    return copies


@pytest.mark.parametrize("placement", ["pre", "post"])
def test_layers_are_those_of_torch(placement):
    network, x = made(placement=placement, std=0.3), batch_of()
    features = network.embedding(x) + network.position.weight
    mask = nn.Transformer.generate_square_subsequent_mask(PLACES, dtype=torch.float64)
    for own in torchs(network, placement == "pre"):
        features = own(features, src_mask=mask, is_causal=True)
    features = F.layer_norm(features, (12,)) if placement == "pre" else features
    torch.testing.assert_close(network(x), features @ network.head.weight.T)


def test_norms_on_both_sides_and_on_none():
    x = batch_of()
    both, none = made(placement="both", depth=1, std=0.3), made(placement="none", depth=1, std=0.3)
    for network, norm in ((both, lambda h: F.layer_norm(h, (12,))), (none, lambda h: h)):
        features = network.embedding(x) + network.position.weight
        for branch in network.layers:
            features = features + norm(branch.function(norm(features)))
        torch.testing.assert_close(network(x), norm(features) @ network.head.weight.T)
    assert not [name for name, _ in none.named_parameters() if "norm" in name or "after" in name]


@pytest.mark.parametrize("placement", ["pre", "post", "both"])
def test_no_bias_stands_before_a_norm_that_takes_it_away(placement):
    """Its gradient would be rounding, which adaptive rates make large."""
    network = made(norm=batch, placement=placement)
    branches = network.layers
    assert {branch.function.out.bias is None for branch in branches[::2]} == {placement != "pre"}
    assert {branch.function[2].bias is None for branch in branches[1::2]} == {placement != "pre"}


def test_residual_branches_are_scaled_at_the_start_or_in_every_pass():
    plain, start, forward = (made(residual=kind, depth=2) for kind in ("none", "init", "forward"))
    for name, p in plain.named_parameters():
        into = name.endswith(("function.out.weight", "function.2.weight"))
        torch.testing.assert_close(dict(start.named_parameters())[name], p / 2 if into else p)
    branch = forward.layers[0]
    h = torch.randn(2, PLACES, 12).double()
    torch.testing.assert_close(branch(h), h + branch.function(branch.before(h)) / 2)


def test_rotary_products_depend_on_the_distance_alone():
    turn, (q, k) = Rotary(9, 8).double(), torch.randn(2, 8).double()
    products = turn(q.expand(9, 8)) @ turn(k.expand(9, 8)).T
    for distance in range(-8, 9):
        same = products.diagonal(distance)
        torch.testing.assert_close(same, same[:1].expand_as(same))
    torch.testing.assert_close(products.diagonal(), (q @ k).expand(9))
    assert float(products.diagonal(3)[0]) != pytest.approx(float(products.diagonal(-3)[0]))
    angles = torch.arange(9)[:, None] / 10_000 ** (torch.arange(4) / 4)
    turned = torch.view_as_complex(torch.stack(q.chunk(2), -1).contiguous()) * torch.polar(torch.ones(9, 4), angles)
    torch.testing.assert_close(turn(q.expand(9, 8)), torch.cat([turned.real, turned.imag], -1))


def test_qk_norm_bounds_the_logits():
    torch.manual_seed(0)
    attention = Attention(8, 2, PLACES, rotary=False, qk_norm=True, dropout=0.0).double()
    x = torch.randn(3, PLACES, 8).double()
    with torch.no_grad():
        attention.qkv.weight[:16] *= 1000.0  # queries and keys
    loud = attention(x)
    with torch.no_grad():
        attention.qkv.weight[:16] *= 1000.0
        attention.qkv.bias[:16] *= 1000.0
    torch.testing.assert_close(attention(x), loud, rtol=1e-3, atol=1e-3)


OPTIONS = [
    *({"norm": norm} for norm in (layer, rms, batch, None)),
    {"norm": lambda channels, layout: group(channels, layout, groups=3)},
    *({"positions": kind} for kind in ("rotary", "none")),
    *({"placement": kind} for kind in ("post", "both", "none")),
    {"qk_norm": True, "tied": True, "activation": "squared_relu", "dropout": 0.5},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_no_output_depends_on_later_tokens(options):
    network, x = made(**options).eval(), batch_of()
    for place in range(1, PLACES):
        other = x.clone()
        other[:, place:] = (x[:, place:] + 3) % TOKENS
        torch.testing.assert_close(network(other)[:, :place], network(x)[:, :place])
        assert not torch.allclose(network(other)[:, place], network(x)[:, place])
    torch.testing.assert_close(network(x[:, :4]), network(x)[:, :4])


@pytest.mark.parametrize("tied", [False, True])
def test_muon_and_decay_leave_embeddings_norms_and_biases_alone(tied):
    network = made(tied=tied, qk_norm=True)
    matrices = {name for name, p in network.named_parameters() if "function" in name and p.ndim == 2}
    assert hidden_matrices(network) == matrices
    decayed = {name for name, _ in network.named_parameters()} - no_decay_parameters(network)
    assert decayed == matrices | ({"embedding.weight"} if tied else {"head.weight"})


def test_weights_of_every_layer_can_be_parametrized():
    for parametrize in (weight_norm, spectral_norm):
        network = made()
        before = network(batch_of())
        parametrize(network)
        changed = not torch.allclose(network(batch_of()), before)
        assert changed == (parametrize is spectral_norm)
        with pytest.raises(ValueError, match=r"head.weight is the weight of another layer too.*Use model.tied=false"):
            parametrize(made(tied=True))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"heads": 5}, "heads must divide the width.*Use model.heads=1"),
        ({"heads": 4, "positions": "rotary"}, "a head has 3. Use an even"),
        ({"norm": instance}, "would see the tokens that it predicts. Use norm=layer"),
    ],
)
def test_what_can_not_work_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        made(**options)
    with pytest.raises(ValueError, match=r"one output for each of 11 tokens, and the loss wants 1. Use model.tied=fal"):
        GPT((PLACES,), 1, TOKENS, tied=True)
