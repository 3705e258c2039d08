"""Muon: what it orthogonalises, and how well."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from paribus.techniques.optimizers.build import build_optimizer, hidden_matrices
from paribus.techniques.optimizers.muon import Muon


def newton_schulz(x, steps=5):
    """Jordan's quintic iteration on a matrix, in NumPy."""
    wide = x.T if x.shape[0] > x.shape[1] else x
    wide = wide / np.linalg.norm(wide)
    for _ in range(steps):
        gram = wide @ wide.T
        wide = 3.4445 * wide + (-4.7750 * gram + 2.0315 * gram @ gram) @ wide
    return wide.T if x.shape[0] > x.shape[1] else wide


def only_matrix(p, **options):
    return Muon([{"params": [p], "use_muon": True}], **options)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (6, 6), (8, 3, 3, 3)])
@pytest.mark.parametrize("foreach", [True, False])
def test_it_follows_its_algorithm(shape, foreach):
    random = np.random.default_rng(0)
    start = random.normal(size=shape)
    p = torch.tensor(start, requires_grad=True)
    optimizer = only_matrix(p, lr=0.02, momentum=0.95, weight_decay=0.1, foreach=foreach)
    w, buffer = start.reshape(shape[0], -1), 0.0
    for _ in range(100):
        g = random.normal(size=shape)
        p.grad = torch.tensor(g)
        optimizer.step()
        g = g.reshape(shape[0], -1)
        buffer = 0.95 * buffer + 0.05 * g
        ratio = np.sqrt(max(1.0, w.shape[0] / w.shape[1]))
        w = (1 - 0.02 * 0.1) * w - 0.02 * ratio * newton_schulz(0.95 * buffer + 0.05 * g)
    np.testing.assert_allclose(p.detach().numpy().reshape(shape[0], -1), w, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_update_has_the_gradients_directions_and_singular_values_of_about_one(dtype):
    g = torch.randn(16, 32, dtype=dtype)
    p = torch.zeros(16, 32, dtype=dtype, requires_grad=True)
    p.grad = g.clone()
    only_matrix(p, lr=1.0, momentum=0.0, nesterov=False).step()
    u, _, vh = torch.linalg.svd(g, full_matrices=False)
    singular = u.T @ -p.detach() @ vh.T
    values = singular.diagonal()
    assert values.min() > 0.65
    assert values.max() < 1.25
    # Off the diagonal lies rounding only: bfloat16 would leave 1e-3.
    assert (singular - values.diag()).abs().max() < (1e-4 if dtype == torch.float32 else 1e-12)


def test_it_agrees_with_torchs_own_up_to_its_bfloat16():
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    g = torch.randn(8, 8)
    ours, theirs = (torch.zeros(8, 8, requires_grad=True) for _ in range(2))
    ours.grad, theirs.grad = g.clone(), g.clone()
    only_matrix(ours, lr=1.0, momentum=0.95).step()
    torch.optim.Muon([theirs], lr=1.0, momentum=0.95, weight_decay=0.0).step()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0.05)


def test_a_zero_gradient_gives_a_zero_update():
    p = torch.ones(3, 4, requires_grad=True)
    p.grad = torch.zeros(3, 4)
    only_matrix(p, lr=1.0).step()
    assert torch.equal(p, torch.ones(3, 4))


def network():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 8), nn.Linear(8, 3))


def test_hidden_matrices_leave_out_vectors_and_the_output_layer():
    assert hidden_matrices(network()) == {"0.weight", "3.weight"}
    assert hidden_matrices(nn.Linear(4, 2)) == set()


def test_hidden_matrices_know_weight_norms_directions_from_its_lengths():
    net = network()
    for layer in (net[0], net[3], net[4]):
        parametrizations.weight_norm(layer)
    expected = {"0.parametrizations.weight.original1", "3.parametrizations.weight.original1"}
    assert hidden_matrices(net) == expected


def test_hidden_matrices_keep_spectrally_normed_ones():
    net = network()
    parametrizations.spectral_norm(net[0])
    assert hidden_matrices(net) == {"0.parametrizations.weight.original", "3.weight"}


def test_hidden_matrices_leave_out_embeddings_and_what_a_module_lists():
    class Tokens(nn.Module):
        no_decay = ("position",)

        def __init__(self):
            super().__init__()
            self.words = nn.Embedding(5, 4)
            self.position = nn.Parameter(torch.zeros(1, 3, 4))
            self.attention = nn.MultiheadAttention(4, 2)
            self.head = nn.Linear(4, 2)

    assert hidden_matrices(Tokens()) == {"attention.in_proj_weight", "attention.out_proj.weight"}


def test_the_groups_have_rates_and_decays_of_their_own():
    net = network()
    make = partial(Muon, lr=0.02, weight_decay=0.1, adamw_lr=0.003, adamw_wd=0.2)
    groups = build_optimizer(make, net).param_groups
    found = [(g["use_muon"], g["lr"], g["weight_decay"], [tuple(p.shape) for p in g["params"]]) for g in groups]
    assert found == [
        (True, 0.02, 0.1, [(4, 1, 3, 3), (8, 36)]),
        (False, 0.003, 0.0, [(4,), (4,), (4,), (8,), (3,)]),
        (False, 0.003, 0.2, [(3, 8)]),
    ]


def test_a_network_of_one_layer_is_left_to_adamw():
    linear, same = nn.Linear(4, 2), nn.Linear(4, 2)
    same.load_state_dict(linear.state_dict())
    muon = build_optimizer(partial(Muon, adamw_lr=0.01, adamw_wd=0.1, adamw_betas=(0.9, 0.95)), linear, decay="all")
    adamw = torch.optim.AdamW(same.parameters(), lr=0.01, weight_decay=0.1, betas=(0.9, 0.95), eps=1e-10)
    x = torch.randn(8, 4)
    for _ in range(20):
        for net, optimizer in ((linear, muon), (same, adamw)):
            optimizer.zero_grad()
            (net(x) ** 2).sum().backward()
            optimizer.step()
    torch.testing.assert_close(linear.weight, same.weight, rtol=0, atol=1e-6)
