"""Every file of conf/optimizer: trains, resumes bit for bit, and follows the schedule."""

import io
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

from paribus.techniques.optimizers.build import build_optimizer, evaluation_weights

FILES = sorted((Path(__file__).parents[3] / "conf/optimizer").glob("*.yaml"))
SCHEDULE_FREE = {"schedulefree_sgd", "schedulefree_adamw"}


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def file(request):
    return request.param


@pytest.fixture
def make(file):
    return instantiate(OmegaConf.load(file), _convert_="all")


class Training:
    """A small network, an optimizer, and one batch of three classes with different means."""

    def __init__(self, make, dtype=torch.float32, decay="weights"):
        torch.manual_seed(0)
        self.network = nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(36, 8),
            nn.ReLU(),
            nn.Linear(8, 3),
        ).to(dtype)
        self.optimizer = build_optimizer(make, self.network, decay=decay)
        for group in self.optimizer.param_groups:
            group["initial_lr"] = group["lr"]
        self.y = torch.arange(32) % 3
        means = torch.randn(3, 1, 5, 5, dtype=dtype)
        self.x = means[self.y] + 0.5 * torch.randn(32, 1, 5, 5, dtype=dtype)

    def backward(self) -> float:
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.network(self.x), self.y)
        loss.backward()
        return loss.item()

    def run(self, updates: int, factor: float = 1.0) -> list[float]:
        losses = []
        for _ in range(updates):
            for group in self.optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor
            losses.append(self.backward())
            self.optimizer.step()
        return losses

    def parameters(self) -> list[torch.Tensor]:
        return [p.detach().clone() for p in self.network.parameters()]

    def state(self) -> dict:
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load(self, state: dict) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])


def saved_and_loaded(state: dict) -> dict:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def same(left: list[torch.Tensor], right: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def test_the_file_says_what_it_is_and_where_it_comes_from(file):
    first, card, third = file.read_text().splitlines()[:3]
    assert first.startswith("# ")
    assert card == f"# Card: docs/cards/optimizer/{file.stem}.md"
    assert third.startswith("_target_: ")
    config = OmegaConf.load(file)
    assert config._partial_ is True
    assert config.lr > 0
    assert config.weight_decay >= 0
    third_party = (
        "pytorch_optimizer",
        "schedulefree",
        "paribus.techniques.optimizers.muon",
        "paribus.techniques.optimizers.shampoo",
    )
    assert ("(extra: optim)" in first) == config._target_.startswith(third_party)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("decay", ["weights", "all"])
def test_thirty_updates_reduce_the_loss(make, dtype, decay):
    training = Training(make, dtype, decay)
    losses = training.run(30)
    assert losses[-1] < 0.97 * losses[0]
    assert all(p.dtype == dtype and torch.isfinite(p).all() for p in training.network.parameters())


def test_a_gradient_of_zero_moves_nothing_that_does_not_decay(make):
    training = Training(make)
    before = training.parameters()
    for _ in range(3):
        for p in training.network.parameters():
            p.grad = torch.zeros_like(p)
        training.optimizer.step()
    for p, old in zip(training.network.parameters(), before, strict=True):
        assert torch.isfinite(p).all()
        if p.ndim < 2:
            assert torch.equal(p, old)


def test_an_interrupted_training_goes_on_bit_for_bit(make):
    """After 23 updates SOAP's and Shampoo's preconditioners are in use, and they change once more."""
    straight, first, second = Training(make), Training(make), Training(make)
    straight.run(33)
    first.run(23)
    second.load(saved_and_loaded(first.state()))
    second.run(10)
    assert same(straight.parameters(), second.parameters())
    # And the state is all there: it can be saved once more before any step.
    third = Training(make)
    third.load(saved_and_loaded(saved_and_loaded(first.state())))
    fourth = Training(make)
    fourth.load(saved_and_loaded(third.state()))
    fourth.run(10)
    assert same(straight.parameters(), fourth.parameters())


def test_looking_at_the_evaluation_weights_does_not_change_the_training(make, file):
    straight, watched = Training(make), Training(make)
    straight.run(8)
    for _ in range(4):
        watched.run(2)
        trained = watched.parameters()
        with evaluation_weights(watched.optimizer):
            assert same(watched.parameters(), trained) == (file.stem not in SCHEDULE_FREE)
        assert same(watched.parameters(), trained)
    assert same(straight.parameters(), watched.parameters())


def test_the_rate_of_the_groups_is_the_rate_that_is_used(make, file):
    training = Training(make)
    training.run(5)
    # A schedule-free optimizer goes on averaging at a rate of 0; it is the sequence z that stands still.
    parts = (
        (lambda: [training.optimizer.state[p]["z"].clone() for p in training.network.parameters()])
        if file.stem in SCHEDULE_FREE
        else training.parameters
    )
    before = parts()
    training.run(3, factor=0.0)
    assert same(parts(), before)


def has_momentum(file: Path) -> bool:
    config = OmegaConf.load(file)
    return bool(config.get("momentum")) or "betas" in config


@pytest.mark.parametrize("file", list(filter(has_momentum, FILES)), ids=lambda file: file.stem, indirect=True)
def test_momentum_can_be_cycled(make):
    straight, cycled = Training(make), Training(make)
    groups = cycled.optimizer.param_groups
    assert any(group.get("momentum") or "betas" in group for group in groups)
    for training in (straight, cycled):
        training.run(5)
    for group in groups:
        if "momentum" in group:
            group["momentum"] = 0.5
        elif "betas" in group:
            group["betas"] = (0.5, *group["betas"][1:])
    for training in (straight, cycled):
        training.run(10)  # sign updates differ only where a sign does
    assert not same(straight.parameters(), cycled.parameters())
    assert all(torch.isfinite(p).all() for p in cycled.network.parameters())


def test_it_can_be_built_without_memory(make):
    with torch.device("meta"):
        build_optimizer(make, nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(36, 3)))
