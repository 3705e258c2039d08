"""Networks and optimizers of others: what works is not refused, what can't work is one message."""

from __future__ import annotations

import importlib
import re

import pytest

NETS = '''
import os, signal
import torch
from torch import nn


class Plain(nn.Sequential):
    def __init__(self, shape, num_outputs, norm=None, width=8):
        size = shape[0] * shape[1] * shape[2]
        super().__init__(nn.Flatten(), nn.Linear(size, width), nn.ReLU(), nn.Linear(width, num_outputs))


class StochasticDepth(Plain):
    """As ConvNeXt: rates of dropping as numbers."""
    def __init__(self, shape, num_outputs, norm=None):
        super().__init__(shape, num_outputs)
        self.rates = [x.item() for x in torch.linspace(0, 0.1, 3)]


class Shuffled(Plain):
    def __init__(self, shape, num_outputs, norm=None):
        super().__init__(shape, num_outputs)
        self.order = torch.randperm(8).tolist()
        print("built")


class ByValue(Plain):
    def forward(self, x):
        x = super().forward(x)
        return x if x.mean() > 0 else x * 1.5


class Indexed(Plain):
    def forward(self, x):
        x = super().forward(x)
        return x + x[x > 1e9].sum()


class OnlyOnADevice(Plain):
    """Fails on the meta device in one way and on a real one in another."""
    how = "pass"
    def __init__(self, shape, num_outputs, norm=None):
        super().__init__(shape, num_outputs)
        torch.zeros(1).item()
        self.fail()


class Crashing(OnlyOnADevice):
    def fail(self):
        os.kill(os.getpid(), signal.SIGSEGV)


class Killed(OnlyOnADevice):
    def fail(self):
        os.kill(os.getpid(), signal.SIGKILL)


class Exiting(OnlyOnADevice):
    def fail(self):
        print("licence expired", file=__import__("sys").stderr)
        os._exit(3)


class Misfit(Plain):
    def __init__(self, shape, num_outputs, norm=None):
        super().__init__(shape, num_outputs)
        self[3] = nn.Linear(9, num_outputs)


class Peeking(torch.optim.SGD):
    def __init__(self, params, lr=0.1):
        super().__init__(params, lr=lr)

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.add_(p.grad, alpha=-group["lr"] / (1 + max(p.grad.abs().flatten().tolist())))
'''
NORMS = """
import torch
from torch import nn


class Normed(nn.Sequential):
    norm = nn.BatchNorm1d
    def __init__(self, shape, num_outputs, norm=None):
        size = shape[0] * shape[1] * shape[2]
        super().__init__(nn.Flatten(), nn.Linear(size, 8), self.norm(8), nn.ReLU(), nn.Linear(8, num_outputs))


class Whitening(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.register_buffer("mu", torch.zeros(channels))

    def forward(self, x):
        if self.training:
            self.mu.lerp_(x.detach().mean(0), 0.1)
        return x - self.mu


class Whitened(Normed):
    norm = Whitening
"""
FAST = ("norm=none", "budget.updates=3", "data.subset=100", "stack=off")


@pytest.fixture
def train(paribus, tmp_path, monkeypatch):
    (tmp_path / "othernets.py").write_text(NETS)
    (tmp_path / "othernorms.py").write_text(NORMS)
    monkeypatch.syspath_prepend(str(tmp_path))

    def run(model, *more, flags=()):
        path = model if "." in model else f"othernets.{model}"
        return paribus("train", *flags, "~model", f"+model._target_={path}", *FAST, *more)

    return run


@pytest.mark.parametrize("model", ["Plain", "StochasticDepth", "Shuffled", "ByValue", "Indexed"])
def test_what_works_is_trained(train, model):
    done = train(model)
    assert done.code == 0, done.err
    assert "test/acc" in done.err


def test_an_optimizer_that_reads_its_gradients_is_trained(train):
    done = train(
        "Plain", "~optimizer", "+optimizer._target_=othernets.Peeking", "+optimizer._partial_=true", "+optimizer.lr=0.1"
    )
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("Crashing", r"model=crashing with norm=none ended its process by signal 11 \(SIGSEGV\) while it was built"),
        ("Killed", r"by signal 9 \(SIGKILL, as where memory is short\)"),
        ("Exiting", r"with exit code 3 while it was built and tried\. It said: licence expired"),
        (
            "Misfit",
            r"model=misfit with norm=none can't be trained: RuntimeError: mat1 and mat2 .*cannot be multiplied \(.*\)$",
        ),
    ],
)
def test_what_can_not_work_is_one_message_and_leaves_nothing(train, tmp_path, model, said):
    done = train(model)
    assert done.code == 2
    assert re.search(said, done.err)
    assert "Traceback" not in done.err
    assert not list(tmp_path.glob("outputs/runs/*"))


@pytest.mark.slow
def test_after_the_use_of_cuda_a_network_is_tried_in_a_new_interpreter(train, monkeypatch):
    monkeypatch.setattr("paribus.base.forked.can_fork", lambda: False)
    assert train("Shuffled").code == 0
    assert "mat1 and mat2" in train("Misfit").err


def test_ours_are_never_built_elsewhere(paribus, monkeypatch):
    from paribus.run import alone

    monkeypatch.setattr(alone, "fault", lambda *_: pytest.fail("a process of its own was started"))
    assert paribus("train", "model=mlp", "norm=batch", *FAST[1:]).code == 0


def test_a_sweep_says_what_can_not_work_and_trains_the_rest(train):
    done = train(
        "othernets.Shuffled,othernets.Crashing,othernets.StochasticDepth", "hydra.sweeper.on_invalid=skip", flags=["-m"]
    )
    assert "SIGSEGV" in done.err
    assert "2 of 2 runs are done" in done.err or "2 of 3 runs are done" in done.err
    assert "Traceback" not in done.err


def test_a_module_that_the_training_would_not_find_is_not_found_either(paribus, tmp_path):
    """Not even in the current folder, where `python -m` looks."""
    (tmp_path / "othernets.py").write_text(NETS)
    done = paribus("train", "~model", "+model._target_=othernets.Shuffled", *FAST)
    assert done.code == 2
    assert "othernets" in done.err


STATISTICS = (["evaluation.statistics=recomputed"], ["evaluation.statistics=batch"], ["optimizer=schedulefree_sgd"])


@pytest.mark.parametrize("asked", STATISTICS, ids=lambda asked: asked[0])
def test_statistics_of_torchs_norms_are_computed_anew_and_others_refused(train, asked):
    assert train("othernorms.Normed", *asked).code == 0
    assert train("othernorms.Whitened").code == 0
    done = train("othernorms.Whitened", *asked)
    assert done.code == 2
    assert asked[0] in done.err or "sgdschedulefree, which evaluates averaged weights," in done.err
    assert "can't compute those of 2 (Whitening)" in done.err


def test_evaluation_with_recomputed_statistics_is_that_of_their_means(train, tmp_path):
    """The weights of the end, evaluated with moving and with recomputed statistics, give other losses."""
    moving, recomputed = (
        train("othernorms.Normed", f"evaluation.statistics={k}").err for k in ("moving", "recomputed")
    )
    loss = re.compile(r"test/loss ([\d.]+)")
    assert loss.search(moving).group(1) != loss.search(recomputed).group(1)


def test_a_torch_that_can_not_shard_on_a_cpu_is_named_before_anything_starts(paribus, tmp_path, monkeypatch):
    monkeypatch.setattr("paribus.run.preflight.shards_on_cpu", lambda: False)
    result = paribus("train", "model=mlp", "trainer=fsdp", "trainer.accelerator=cpu", "budget.updates=1")
    assert result.code == 2
    assert "shards networks on GPUs only" in result.err
    assert "trainer=ddp_sim" in result.err
    assert not list(tmp_path.glob("outputs/runs/*/*"))


def test_a_mistake_is_placed_in_the_users_code_wherever_that_lies(tmp_path, monkeypatch):
    """Also in a folder that is called as the package is."""
    folder = tmp_path / "paribus"
    folder.mkdir()
    (folder / "of_mine.py").write_text(
        "import torch\n\n\ndef fails(x):\n    return torch.nn.functional.cross_entropy(x, torch.zeros(1))\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    import torch

    from paribus.run import alone

    with pytest.raises(RuntimeError) as caught:
        importlib.import_module("of_mine").fails(torch.zeros(1, 3, dtype=torch.float16))
    assert alone.place(caught.value) == " (of_mine.py:5)"
