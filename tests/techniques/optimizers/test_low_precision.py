"""Weights of two bytes are trained: by every option, as a training in float64 says, up to rounding."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn
from torch.optim import SGD

from paribus.techniques.optimizers import low_precision
from paribus.techniques.optimizers.build import build_optimizer
from paribus.techniques.optimizers.low_precision import LOW

FILES = sorted((Path(__file__).parents[3] / "conf/optimizer").glob("*.yaml"))
UPDATES = 3


def network(dtype: torch.dtype) -> nn.Module:
    """The same numbers in every type: those of bfloat16's coarsest."""
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 16, 3), nn.Flatten(), nn.Linear(64, 33), nn.Linear(33, 4))
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=generator).to(torch.bfloat16).to(p.dtype))
    return net.to(dtype)


def trained(file: Path, dtype: torch.dtype) -> nn.Module:
    net = network(dtype)
    optimizer = build_optimizer(instantiate(OmegaConf.load(file), _convert_="all"), net)
    for update in range(UPDATES):
        generator = torch.Generator().manual_seed(1 + update)
        for p in net.parameters():
            p.grad = torch.randn(p.shape, generator=generator).to(torch.bfloat16).to(dtype)
        optimizer.step()
    return net


# In float16 the average of small squared gradients is 0, or eps is.
NOT_IN_FLOAT16 = {
    *(
        "adam",
        "adamw",
        "adabelief",
        "adagrad",
        "adagrad_rms",
        "lamb",
        "muon",
        "nadam",
        "prodigy",
        "radam",
        "rmsprop",
        "rmsprop_notes",
    ),
    *("rmsprop_notes", "schedulefree_adamw", "soap"),
}

MIXING = {"muon"}  # each number of an update is a sum over the matrix


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_updates_are_those_of_float64_up_to_rounding(file, dtype):
    if dtype == torch.float16 and file.stem in NOT_IN_FLOAT16:
        with pytest.raises(ValueError, match=r"(not finite|as it should) in float16.*trainer\.precision=bf16-mixed"):
            trained(file, dtype)
        return
    found, truth, start = trained(file, dtype), trained(file, torch.float64), network(torch.float64)
    stand = []
    for (name, p), q, before in zip(found.named_parameters(), truth.parameters(), start.parameters(), strict=True):
        moved = (q - before).abs().detach()
        # A sum over a matrix rounds as its largest terms do, wherever it ends.
        most = moved.amax() if file.stem in MIXING else moved
        rounding = UPDATES * torch.finfo(dtype).eps * (4 * before.abs() + 8 * most + 1e-3)
        assert p.dtype == dtype
        stand.append((p.double() == before)[moved > rounding])
        if file.stem != "soap":  # whose directions without gradients are whatever rounding makes them
            assert ((p.double() - q).abs() <= 1.1 * rounding).all(), name
    allowed = 0.05 if file.stem == "soap" else 0.0
    assert torch.cat(stand).sum() <= allowed * len(torch.cat(stand))


@pytest.fixture
def forgetful(monkeypatch):
    monkeypatch.setattr(low_precision, "_found", {})


class Idle(SGD):
    """Fused, it leaves weights of two bytes alone. It counts its steps."""

    steps = 0

    def step(self, closure=None):
        Idle.steps += 1
        low = any(p.dtype in LOW for group in self.param_groups for p in group["params"])
        return None if low and self.defaults["fused"] else super().step(closure)


@pytest.mark.parametrize("dtype", LOW)
def test_a_fused_step_that_trains_nothing_is_not_taken(dtype, forgetful):
    make = functools.partial(Idle, lr=0.1, fused=True)
    assert build_optimizer(make, network(torch.float32)).defaults["fused"]
    assert not build_optimizer(make, network(dtype)).defaults["fused"]


def test_an_optimizer_that_trains_nothing_is_refused(forgetful):
    class Never(SGD):
        def step(self, closure=None):
            return None if self.param_groups[0]["params"][0].dtype in LOW else super().step(closure)

    with pytest.raises(ValueError, match="Never does not move weights that have gradients in bfloat16"):
        build_optimizer(functools.partial(Never, lr=0.1), network(torch.bfloat16))


def test_weights_of_four_bytes_are_not_tried_and_others_once(forgetful):
    make = functools.partial(Idle, lr=0.1)
    build_optimizer(make, network(torch.float32))
    Idle.steps = 0
    build_optimizer(make, network(torch.float32))
    assert Idle.steps == 0
    build_optimizer(make, network(torch.bfloat16))
    tried = Idle.steps
    build_optimizer(make, network(torch.bfloat16))
    assert Idle.steps == tried > 0


def test_trying_leaves_the_global_generator_alone(forgetful):
    before = torch.get_rng_state()
    build_optimizer(functools.partial(SGD, lr=0.1), network(torch.bfloat16))
    net_draws = torch.get_rng_state()
    torch.set_rng_state(before)
    network(torch.bfloat16)
    assert torch.equal(net_draws, torch.get_rng_state())


def test_what_explodes_on_small_gradients_is_refused_and_a_larger_eps_accepted(forgetful):
    """Adam's average of squares of 0.0001 is 0 in float16, and the step is a gradient over eps."""
    make = functools.partial(torch.optim.AdamW, lr=0.001, eps=1e-8, fused=True)
    with pytest.raises(ValueError, match=r"AdamW moves weights several times as far .*, or a larger optimizer\.eps"):
        build_optimizer(make, network(torch.float16))
    assert build_optimizer(functools.partial(make, eps=1e-4), network(torch.float16)).defaults["eps"] == 1e-4
    assert build_optimizer(make, network(torch.bfloat16)).defaults["fused"]


@pytest.mark.parametrize("precision", ["bf16-true", "16-true", "bf16-mixed", "64-true"])
def test_the_default_optimizer_learns_in_every_precision(paribus, precision, tmp_path):
    done = paribus("train", "model=mlp", "norm=none", "budget.epochs=2", f"trainer.precision={precision}")
    assert done.code == 0, done.err
    accuracy = float(re.search(r"test/acc ([\d.]+) %", done.err).group(1))
    assert accuracy > 60
