"""Whole updates of a stack are those that are taken in parts: gradients, then the optimizers' steps."""

import functools

import pytest
import torch

from paribus.config.composer import Composer
from paribus.extras.stack import packages, update
from paribus.extras.stack.fit import schedule_key
from paribus.extras.stack.network import StackedNetwork
from paribus.extras.stack.optimizers import Setting, StackedOptimizers
from paribus.extras.stack.program import Gradients
from paribus.extras.stack.task import StackedTask
from paribus.extras.stack.update import RULES, WholeUpdate, formula
from paribus.run import build

COMPOSER = Composer()
REPLICAS, UPDATES = 4, 20
# The command line of the optimizer, and the formula that it follows.
FORMULAS = {
    "sgd": "descent",
    "sgd optimizer.weight_decay=0.01 decay=all": "descent",
    "momentum optimizer.weight_decay=0.01 optimizer.dampening=0.3": "momentum",
    "nesterov scheduler=cosine": "nesterov",
    "adam optimizer.weight_decay=0.01": "adam",
    "adam scheduler=one_cycle optimizer.eps=1e-3": "adam",
    "adamw optimizer.betas=[0.8,0.95]": "adamw",
}


class Stack:
    """Replicas with rates of their own, in double precision."""

    def __init__(self, *line, calls=1000):
        base = ["model=mlp", "model.width=8", "norm=batch", *line]
        rates = (0.01, 0.03, 0.03, 0.02)
        runs = [COMPOSER([*base, f"optimizer.lr={rate}", f"seed={k}"]).run for k, rate in enumerate(rates)]
        settings = [build.build_setting(run) for run in runs]
        networks = [build.build_network(run, each).double() for run, each in zip(runs, settings, strict=True)]
        self.network = StackedNetwork(networks)
        self.network.program.train()
        self.gradients = Gradients(self.network, StackedTask([settings[0].task] * REPLICAS, ["task"] * REPLICAS), calls)
        self.optimizers = StackedOptimizers(
            self.network,
            [
                Setting(functools.partial(build.build_optim, run), each.schedule, schedule_key(run))
                for run, each in zip(runs, settings, strict=True)
            ],
        )
        self.optimizers.remember_rates()
        self.whole = WholeUpdate(self.gradients, self.optimizers)
        self.taken = []

    def train(self, whole=True, updates=range(UPDATES), size=8):
        for number in updates:
            self.optimizers.set_rates(number, UPDATES)
            x, y = batch(number, size)
            # As the last update of an epoch, whose gradients are measured.
            found = self.whole(x, y) if whole and number % 7 != 6 else None
            self.taken.append(found is not None)
            if found is None:
                _, _, grads = self.gradients(x, y)
                self.optimizers.assign(grads)
                self.optimizers.step()

    def state(self):
        tensors = [*self.network.parameters(), *self.network.buffers()]
        return [each.detach() for each in tensors], self.optimizers.state_dicts()


def batch(number, size=8):
    generator = torch.Generator().manual_seed(number)
    x = torch.randn(REPLICAS, size, 1, 8, 8, generator=generator, dtype=torch.float64)
    return x, torch.randint(10, (REPLICAS, size), generator=generator)


def assert_same(found, wanted):
    for one, other in zip(found[0], wanted[0], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    for one, other in zip(found[1], wanted[1], strict=True):
        assert one["param_groups"] == other["param_groups"]
        assert one["state"].keys() == other["state"].keys()
        for number, own in other["state"].items():
            for key, value in own.items():
                torch.testing.assert_close(one["state"][number][key], value, rtol=1e-9, atol=1e-12)


@pytest.fixture
def uncompiled(monkeypatch):
    """Programs are called as they are: what they compute is looked at, and not the compiler."""

    def packaged(module, graph, settings, inputs):
        return lambda tensors: torch.no_grad()(module)(*tensors)

    monkeypatch.setattr(update, "packaged", packaged)


@pytest.mark.parametrize("line", FORMULAS)
def test_whole_and_in_parts(line, uncompiled):
    whole, parts = (Stack(*f"optimizer={line}".split()) for _ in range(2))
    assert formula(whole.optimizers) == FORMULAS[line]
    whole.train()
    parts.train(whole=False)
    assert_same(whole.state(), parts.state())
    first = FORMULAS[line] == "descent"  # the others have no state before their first step
    assert whole.taken == [number % 7 != 6 and (first or number > 0) for number in range(UPDATES)]


def test_every_formula_is_tried():
    assert {*FORMULAS.values()} == {*RULES}


@pytest.mark.parametrize("line", ["momentum", "adam"])
def test_a_stack_goes_on_from_the_states_of_its_runs(line, uncompiled):
    """Loaded states are other tensors; a run that ended early has none."""
    before = Stack(f"optimizer={line}")
    before.train(updates=range(10))
    after = Stack(f"optimizer={line}")
    after.network.load([before.network.state_of(k) for k in range(REPLICAS)])
    after.train(updates=range(1))  # states of before are forgotten
    after.network.load([before.network.state_of(k) for k in range(REPLICAS)])
    states = before.optimizers.state_dicts()
    after.optimizers.load_state_dicts(states)
    before.train(updates=range(10, 20))
    after.train(updates=range(10, 20))
    assert_same(after.state(), before.state())
    assert after.taken[1:] == before.taken[10:]

    again = Stack(f"optimizer={line}")
    again.optimizers.load_state_dicts([*states[:3], {**states[3], "state": {}}], living=[0, 1, 2])
    again.train(updates=range(10, 12))
    assert again.taken == [True, True]


@pytest.mark.parametrize(
    "line",
    ["rmsprop", "lamb", "adam optimizer.amsgrad=true", "momentum +optimizer.maximize=true", "schedulefree_adamw"],
)
def test_what_follows_no_formula_is_taken_in_parts(line, uncompiled):
    stack = Stack(*f"optimizer={line}".split())
    assert formula(stack.optimizers) is None
    stack.train(updates=range(3))
    assert not any(stack.taken)


def test_a_hook_of_an_optimizer_is_called(uncompiled):
    stack = Stack("optimizer=momentum")
    stack.train(updates=range(3))
    calls = []
    stack.optimizers.parts[0].optimizer.register_step_post_hook(lambda *_: calls.append(1))
    stack.train(updates=range(3, 6))
    assert stack.taken == [False, True, True, False, False, False]
    assert len(calls) == 3


def test_sizes_that_are_too_rare_are_not_compiled(uncompiled):
    stack = Stack("optimizer=sgd", calls={8: 190, 5: 10})
    stack.train(updates=range(2), size=8)
    stack.train(updates=range(2), size=5)
    assert stack.taken == [True, True, False, False]


def test_without_a_compiler_updates_are_taken_in_parts(monkeypatch, caplog):
    def no_compiler(*arguments):
        raise RuntimeError("no C++ compiler was found")

    monkeypatch.setattr(update, "packaged", no_compiler)
    stack, parts = Stack("optimizer=sgd"), Stack("optimizer=sgd")
    monkeypatch.setattr("paribus.extras.stack.program.packaged", no_compiler)
    with caplog.at_level("INFO", logger="paribus"):
        stack.train()
    parts.train(whole=False)
    assert_same(stack.state(), parts.state())
    said = [record.message for record in caplog.records if record.name == "paribus"]
    assert said == [
        "updates of the stack are not compiled as a whole (RuntimeError: no C++ compiler was found)",
        "the stack is not compiled (RuntimeError: no C++ compiler was found)",
    ]


@pytest.mark.slow
@pytest.mark.needs("compiler")
@pytest.mark.filterwarnings("ignore")  # of torch's own compiler
def test_a_package_is_compiled_once(monkeypatch, tmp_path):
    monkeypatch.setenv("PARIBUS_CACHE", str(tmp_path))
    whole, parts = Stack("optimizer=adamw"), Stack("optimizer=adamw")
    whole.train()
    parts.train(whole=False)
    assert whole.whole.works
    assert whole.taken == [number > 0 and number % 7 != 6 for number in range(UPDATES)]
    assert_same(whole.state(), parts.state())
    [file] = (tmp_path / "packages").glob("*.pt2")

    with monkeypatch.context() as patch:
        patch.setattr(packages, "write_package", None)
        again = Stack("optimizer=adamw", "scheduler=cosine")  # rates are inputs
        again.train()
        assert any(again.taken)
        file.write_bytes(file.read_bytes()[:1000])
        damaged = Stack("optimizer=adamw")
        damaged.train(updates=range(2))
        assert not any(damaged.taken)
    mended = Stack("optimizer=adamw")
    mended.train()
    assert all(torch.equal(one, other) for one, other in zip(mended.state()[0], whole.state()[0], strict=True))
    assert len([*(tmp_path / "packages").glob("*.pt2")]) == 1
