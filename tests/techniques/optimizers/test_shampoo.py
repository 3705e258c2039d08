"""Shampoo: its formula, and a state of tensors only."""

import math
from pathlib import Path

import hydra
import numpy as np
import pytest
import torch
from networks import OF_NUMBERS
from omegaconf import OmegaConf

from paribus.techniques.optimizers.shampoo import Shampoo


def root(matrix, power):
    values, vectors = np.linalg.eigh(matrix)
    return vectors * values**power @ vectors.T


def test_it_follows_its_algorithm():
    """Without grafting and momentum; preconditioners computed in every step and used from the first."""
    random = np.random.default_rng(0)
    w = random.normal(size=(5, 3))
    p = torch.tensor(w, requires_grad=True)
    optimizer = Shampoo(
        [p],
        lr=0.01,
        betas=(0.0, 0.9),
        nesterov=False,
        graft_type=0,
        start_preconditioning_step=1,
        preconditioning_compute_steps=1,
        shape_interpretation=False,
        use_svd=True,
    )
    left, right = 1e-6 * np.eye(5), 1e-6 * np.eye(3)
    for _ in range(100):
        g = random.normal(size=w.shape)
        p.grad = torch.tensor(g)
        optimizer.step()
        left, right = 0.9 * left + 0.1 * g @ g.T, 0.9 * right + 0.1 * g.T @ g
        w = w - 0.01 * root(left, -0.25) @ g @ root(right, -0.25)
    np.testing.assert_allclose(p.detach().numpy(), w, atol=1e-6)


def trained(updates=6):
    p = torch.ones(6, 4, requires_grad=True)
    optimizer = Shampoo([p], lr=0.1, start_preconditioning_step=2, preconditioning_compute_steps=2, use_svd=True)
    generator = torch.Generator().manual_seed(0)
    for _ in range(updates):
        p.grad = torch.randn(6, 4, generator=generator)
        optimizer.step()
    return p, optimizer


def test_its_state_dict_holds_tensors_and_is_not_shared_with_the_optimizer_that_loads_it():
    p, optimizer = trained()
    state = optimizer.state_dict()["state"][0]
    assert set(state) == {"momentum", "pre_conditioner", "graft"}
    assert {"statistics", "pre_conditioners"} <= set(state["pre_conditioner"])

    q, other = trained(1)
    other.load_state_dict(optimizer.state_dict())
    kept = optimizer.state[p]["pre_conditioner"]
    q.grad = torch.ones_like(q)
    other.step()
    assert other.state[q]["pre_conditioner"] is not kept


def test_it_does_not_draw_from_the_global_generator():
    before = torch.get_rng_state()
    trained()
    assert torch.equal(torch.get_rng_state(), before)


CONF = Path(__file__).parents[3] / "conf"


@pytest.mark.parametrize("model", OF_NUMBERS)
@pytest.mark.parametrize("name", ["shampoo", "soap"])
def test_the_shipped_option_preconditions_every_matrix_and_kernel_of_the_shipped_networks(name, model):
    """Whatever its size: with its axes merged up to block_size, one of 256 entries would be none to Shampoo."""
    with torch.device("meta"):
        node = OmegaConf.load(CONF / "model" / f"{model}.yaml")
        network = hydra.utils.instantiate(node, shape=(1, 8, 8), num_outputs=10, norm=None, _convert_="all")
    shapes = {(tuple(p.shape), p.ndim) for p in network.parameters() if p.ndim > 1 and p.numel() <= 150_000}
    parameters = [torch.nn.Parameter(torch.ones(shape)) for shape, _ in sorted(shapes)]
    make = hydra.utils.instantiate(OmegaConf.load(CONF / "optimizer" / f"{name}.yaml"), _convert_="all")
    optimizer = make(parameters)
    for p in parameters:
        p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(0))
    optimizer.step()
    for p in parameters:
        state = optimizer.state[p]
        if name == "soap":
            assert [len(basis) for basis in state["Q"]] == list(p.shape)
        else:
            blocks = math.prod(math.ceil(n / optimizer.block_size) for n in p.shape)
            assert len(state["pre_conditioner"].pre_conditioners) == p.ndim * blocks
