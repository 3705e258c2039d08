"""The traced gradients of a stack are those that are computed under vmap."""

import pytest
import torch

from paribus.config.compose import load, resolved
from paribus.config.run import Run
from paribus.datasets.source import Form
from paribus.extras.stack import program
from paribus.extras.stack.evaluation import evaluate
from paribus.extras.stack.network import StackedNetwork
from paribus.extras.stack.program import EvaluationSums, Gradients
from paribus.extras.stack.task import StackedTask
from paribus.run import build
from paribus.tasks.classification.task import Classification
from paribus.techniques.augment import Identity
from paribus.techniques.losses import CrossEntropy, SquaredError

REPLICAS, BATCH = 3, 8
FORM = Form((1, 8, 8), "image", "class", 10)


def gradients(*overrides, batches=1000, compile=False):
    """Of three replicas whose initial weights follow from the configuration alone."""
    run = Run.parse(resolved(load(overrides)))
    setting = build.build_setting(run)
    networks = []
    for seed in range(REPLICAS):
        networks.append(build.build_network(run.but({"seeds.init": seed}), setting))
    stack = StackedNetwork(networks)
    stack.generators = [torch.Generator().manual_seed(seed) for seed in range(REPLICAS)]
    stack.program.train()
    return Gradients(stack, StackedTask([setting.task] * REPLICAS, ["task"] * REPLICAS), batches, compile)


def batch(number, size=BATCH):
    generator = torch.Generator().manual_seed(number)
    x = torch.randn(REPLICAS, size, 1, 8, 8, generator=generator)
    return x, torch.randint(10, (REPLICAS, size), generator=generator)


def assert_equal(found, wanted):
    for one, other in zip(found[:2], wanted[:2], strict=True):
        torch.testing.assert_close(one, other)
    assert list(found[2]) == list(wanted[2])
    for name in wanted[2]:
        torch.testing.assert_close(found[2][name], wanted[2][name], rtol=1e-4, atol=1e-6)
        assert found[2][name].is_contiguous()


@pytest.mark.parametrize(
    ("model", "loss"), [("mlp", "mse"), ("mlp", "scalar_mse"), ("cnn", "label_smoothing"), ("cnn", "cross_entropy")]
)
def test_traced_and_not(model, loss):
    network = [f"model={model}", "norm=batch", f"loss={loss}"]
    traced, plain = gradients(*network), gradients(*network, batches=0)
    for number in range(4):
        assert_equal(traced(*batch(number)), plain(*batch(number)))
    assert len(traced._programs) == 1
    assert not plain._programs
    for one, other in zip(traced.stack.buffers(), plain.stack.buffers(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.slow
@pytest.mark.needs("compiler")
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # of torch's own compiler
def test_compiled_and_not(caplog, monkeypatch, tmp_path):
    """Moving statistics, which a compiled stack once failed on, included; a rest at the end of an epoch is not."""
    monkeypatch.setenv("PARIBUS_CACHE", str(tmp_path))
    network = ["model=mlp", "model.width=16", "norm=batch"]
    batches = {BATCH: 19 * 50, 5: 50}  # of the whole run
    compiled, plain = gradients(*network, batches=batches, compile=True), gradients(*network, batches=0)
    with caplog.at_level("INFO", logger="paribus"):
        for number in range(20):
            size = BATCH if number % 16 < 15 else 5
            assert_equal(compiled(*batch(number, size)), plain(*batch(number, size)))
    assert not [record for record in caplog.records if record.name == "paribus"]
    assert len(compiled._programs) == 2
    assert len([*tmp_path.glob("packages/*.pt2")]) == 1
    for one, other in zip(compiled.stack.buffers(), plain.stack.buffers(), strict=True):
        torch.testing.assert_close(one, other)


def test_where_nothing_can_be_compiled_the_trace_is_replayed(monkeypatch, caplog):
    def no_compiler(*args, **kwargs):
        raise RuntimeError("no C++ compiler was found")

    monkeypatch.setattr(program, "packaged", no_compiler)
    compiled, plain = gradients("model=mlp", compile=True), gradients("model=mlp", batches=0)
    with caplog.at_level("INFO", logger="paribus"):
        for number in range(2):
            assert_equal(compiled(*batch(number)), plain(*batch(number)))
    said = [record.message for record in caplog.records if record.name == "paribus"]
    assert said == ["the stack is not compiled (RuntimeError: no C++ compiler was found)"]
    assert len(compiled._programs) == 1


def test_losses_of_several_kinds_are_traced():
    """They are put together by indices, which are constants of the trace."""
    made = {}
    for batches in (1000, 0):
        each = gradients("model=mlp", batches=batches)
        tasks = [Classification(FORM, loss(10), Identity()) for loss in (CrossEntropy, SquaredError, CrossEntropy)]
        made[batches] = Gradients(each.stack, StackedTask(tasks, ["a", "b", "a"]), batches)
    assert_equal(made[1000](*batch(0)), made[0](*batch(0)))
    assert made[1000]._programs


def test_a_shape_is_traced_where_a_run_has_enough_batches_of_it():
    """Whichever comes first, and however many are left: a run that goes on from a checkpoint rounds as before."""
    traced, plain = gradients("model=mlp", batches={8: 30, 5: 9}), gradients("model=mlp", batches=0)
    for number, size in enumerate([5, 8, 5, 8]):
        assert_equal(traced(*batch(number, size)), plain(*batch(number, size)))
    assert [key[0][1] for key in traced._programs] == [8]


@pytest.mark.parametrize("loss", ["cross_entropy", "label_smoothing", "mse", "softmax_mse"])
def test_soft_targets_are_traced_too(loss):
    """Their last dimension is that of the classes, not of the samples."""
    calls = {BATCH: 30}
    traced, plain = (gradients("model=mlp", f"loss={loss}", batches=each) for each in (calls, 0))
    for number in range(3):
        x, y = batch(number)
        mixed = 0.3 * torch.nn.functional.one_hot(y, 10).float() + 0.7 * torch.nn.functional.one_hot(y.flip(1), 10)
        assert_equal(traced(x, mixed), plain(x, mixed))
    assert traced._programs


def test_a_short_run_is_not_traced():
    each = gradients("model=mlp", batches=9)
    each(*batch(0))
    assert each.traceable
    assert not each._programs


def test_new_weights_are_used():
    traced, plain = gradients("model=mlp"), gradients("model=mlp", batches=0)
    traced(*batch(0))
    plain(*batch(0))
    for each in (traced, plain):
        for p in each.stack.parameters():
            p.data.mul_(0.5)
    assert_equal(traced(*batch(1)), plain(*batch(1)))


def test_weights_that_lie_elsewhere_now_are_used():
    traced, plain = gradients("model=mlp"), gradients("model=mlp", batches=0)
    for number in range(2):
        assert_equal(traced(*batch(number)), plain(*batch(number)))
        for each in (traced, plain):
            for p in each.stack.parameters():
                p.data = p.data * 0.5
    assert len(traced._programs) == 2


def test_gradients_lie_where_they_lay_before():
    """So optimizers need not be given them anew. Losses and outputs wait to be added up, and stay as they are."""
    each = gradients("model=mlp", "norm=batch")
    first = each(*batch(0))
    kept = [result.clone() for result in first[:2]]
    second = each(*batch(1))
    assert all(torch.equal(one, other) for one, other in zip(first[:2], kept, strict=True))
    assert all(first[2][name].data_ptr() == second[2][name].data_ptr() for name in first[2])


@pytest.mark.parametrize(
    "overrides",
    [["model=mlp", "norm=batch"], pytest.param(["model=vit_tiny", "model.dropout=0.2"], marks=pytest.mark.slow)],
)
def test_evaluation(overrides):
    """Traced and not: in evaluation mode, where dropout does nothing, with statistics that have moved meanwhile."""
    each = gradients(*overrides, batches=0)
    traced, plain = (EvaluationSums(each.stack, each.task, calls) for calls in (1000, 0))
    for number in range(3):
        x, y = batch(number, 20)
        found, wanted = (
            evaluate(each.stack, each.task, sums, [(x[0, :12], y[0, :12]), (x[0, 12:], y[0, 12:])], x.device)
            for sums in (traced, plain)
        )
        assert found == [pytest.approx(one) for one in wanted]
        each(x, y)
    assert [key[0][0] for key in traced._programs] == [12, 8]
    assert not plain._programs
    assert each.stack.program.training


def test_dropout_is_not_traced():
    each = gradients("model=vit_tiny", "model.dropout=0.2")
    each(*batch(0))
    assert not each.traceable
    assert not each._programs


def test_what_follows_progress_is_traced_where_it_stands_still():
    """Batch renorm before and after its ramp, which no update of is like another."""
    traced, plain = (gradients("model=cnn", "norm=batch_renorm", batches=batches) for batches in (1000, 0))
    states = []
    for number, progress in enumerate([0.0, 0.01, 0.02, 0.1, 0.11, 0.5, 0.6, 0.7]):
        for each in (traced, plain):
            for module in each._following:
                module.set_progress(progress)
            each.steady = bool(states) and module.progress_state == states[-1]
        assert_equal(traced(*batch(number)), plain(*batch(number)))
        states.append(module.progress_state)
    assert len(set(states)) == 4
    assert [key[-1] for key in traced._programs] == [(1.0, 0.0), (3.0, 5.0)]
    for one, other in zip(traced.stack.buffers(), plain.stack.buffers(), strict=True):
        torch.testing.assert_close(one, other)


def test_whether_a_network_can_be_traced_is_found_out_once(monkeypatch):
    looked_at = []
    plain = program.repeatable
    monkeypatch.setattr(program, "repeatable", lambda module: looked_at.append(module) or plain(module))
    each = gradients("model=vit_tiny", "model.dropout=0.2")
    counts = []
    for number in range(3):
        each(*batch(number))
        counts.append(len(looked_at))
    assert 0 < counts[0] == counts[2]


class Counting(torch.nn.Linear):
    """Knows how often it was called, which a trace would not."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x) * self.calls


def test_modules_of_others_may_do_anything_and_are_not_traced():
    stack = StackedNetwork([torch.nn.Sequential(torch.nn.Flatten(), Counting(64, 10)) for _ in range(REPLICAS)])
    task = StackedTask([Classification(FORM, CrossEntropy(10), Identity())] * REPLICAS, ["task"] * REPLICAS)
    each = Gradients(stack, task, 1000)
    found = [each(*batch(0))[2]["1.weight"] for _ in range(2)]
    assert not torch.allclose(*found)


def test_hooks_are_called_in_every_update():
    each, calls = gradients("model=mlp"), []
    each.stack.program.register_forward_hook(lambda *of: calls.append(1))
    other = Gradients(each.stack, each.task, 1000)
    for number in range(3):
        other(*batch(number))
    assert len(calls) == 3


def test_a_network_that_looks_at_values_works_untraced(monkeypatch, caplog):
    each = gradients("model=mlp")
    plain = each.stack.call
    monkeypatch.setattr(each.stack, "call", lambda *of: plain(*of) if bool(of[2].abs().sum() > 0) else None)
    with caplog.at_level("INFO", "paribus"):
        each(*batch(0))
    assert not each.traceable
    assert "untraced" in caplog.text
