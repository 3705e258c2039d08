"""Code that is not ours: what trains in a stack as it trains alone is stacked, and everything else is found out."""

import copy
import json
import random

import numpy
import pytest
import torch

from paribus.extras.stack.attributes import first_difference, surroundings
from paribus.extras.stack.execute import HANDED_BACK, train_stack
from paribus.extras.stack.measured import Measured
from paribus.extras.stack.members import Member
from paribus.extras.stack.planning import program
from paribus.extras.stack.rehearsal import objection
from paribus.run import build
from paribus.run.bookkeeping import new_record

BASE = ["data.subset=60", "data.batch_size=20", "budget.epochs=4", "trainer.threads=1", "norm=none"]
OUR_NETWORK = ["model=mlp", "model.width=8"]


def network(name, *overrides):
    own = [f"+model.{item}" for item in overrides]
    return ["model=mlp", "~model.width", "~model.depth", "~model.activation", f"model._target_=strangers.{name}", *own]


def loss(name):
    return [*OUR_NETWORK, "~loss", f"+loss._target_=strangers.{name}"]


def augmentation(name):
    return [*OUR_NETWORK, f"augmentation._target_=strangers.{name}"]


OPTIMIZER = [*OUR_NETWORK, "~optimizer", "+optimizer._target_=strangers.NewMemory", "+optimizer._partial_=true"]


def verdict(run, lines):
    members = []
    for line in lines:
        member = run.run_of(line)
        record = new_record(member, {}, [])
        members.append(Member(member, record, run.store.run_dir(record.id)))
    setting = build.build_setting(members[0].run)
    return objection(members, setting, build.build_data(members[0].run, setting))


def seeds(*overrides, number=3):
    return [[*BASE, *overrides, f"seed={seed}"] for seed in range(number)]


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (network("Mask"), "the network.mask is a tensor that is neither a parameter nor a buffer"),
        (network("MaskInList"), "the network.masks['first'][0] is a tensor"),
        (network("MaskInClosure"), "the network.f's mask is a tensor"),
        (network("MaskInPartial"), "the network.f.args[0] is a tensor"),
        (network("MaskInGlobal"), "differs from that of the run alone"),
        (network("MaskOnOurs"), "the network.mask is a tensor"),
        (network("patched"), "is a tensor"),
        (network("NumberOfASeed"), "the network.scale differs between the runs"),
        (network("Recurrent"), "is a tensor that is neither"),
        (network("Recurrent", "kind=GRU"), "is a tensor that is neither"),
        (network("LooksAtValues"), "vmap can't call it"),
        (network("LooksAtValuesLater"), "vmap can't call it"),
        (network("Counts"), "the network.calls"),
        (network("CountsInClass"), "CountsInClass.calls changes"),
        (network("CountsInGlobal"), "strangers.CALLS changes"),
        (network("CountsByIterator"), "the network.calls is an iterator"),
        (network("Draws"), "torch's global random stream"),
        (network("DrawsRarely"), "torch's global random stream"),
        (network("DrawsFromPython"), "Python's random"),
        (network("AlphaDropout"), "torch's global random stream"),
        (network("ReplacesBuffer"), "differs from that of the run alone"),
        (network("Hook"), "the network.a has hooks"),
        (network("GradientHook"), "the network.a.weight has hooks"),
        (network("Lazy"), "has hooks"),
        (network("OwnFunction"), "vmap can't call it"),
        (network("Checkpointed"), "vmap can't call it"),
        (loss("LossOfABatch"), "differs from that of the run alone"),
        (loss("LossWithState"), "the loss's calls changes during training"),
        (augmentation("NoiseOfAll"), "torch's global random stream"),
        (augmentation("CountedNoise"), "the augmentation.calls"),
    ],
    ids=lambda value: None if isinstance(value, str) else value[-1].rpartition(".")[2],
)
def test_what_trains_otherwise_in_a_stack_is_found_out(overrides, reason, runs):
    assert reason in verdict(runs(), seeds(*overrides))


@pytest.mark.parametrize(
    "overrides",
    [
        network("Plain"),
        network("MaskInBuffer"),
        network("Attention"),
        network("Dropout"),
        network("ChangesBuffer"),
        network("Tied"),
        network("TorchBatchNorm"),
        network("InSinglePrecision"),
        network("sequential"),
        loss("SameLoss"),
        augmentation("Noise"),
        OPTIMIZER,
    ],
    ids=lambda value: value[-1].rpartition(".")[2],
)
def test_what_trains_as_alone_is_stacked_and_does(overrides, runs):
    """Twelve updates, in double precision."""
    lines = seeds(*overrides, "trainer.precision=64-true", number=2)
    stacked, alone = runs("stacked"), runs("alone")
    records = stacked.stacked(lines)
    alone.alone(lines)
    assert [record.timing["stack"] for record in records] == [2, 2]
    for record in records:
        # In single precision a network rounds to that, whatever the run's.
        rel = 1e-4 if "InSinglePrecision" in str(overrides) else 1e-7
        wanted = alone.store.read(record.id).metrics
        assert record.metrics == pytest.approx(wanted, rel=rel, abs=1e-9, nan_ok=True)


TORCHS = [*OUR_NETWORK, "trainer.precision=64-true", "~loss", "~scheduler"]
WEIGHTED = ["+loss._target_=torch.nn.CrossEntropyLoss", f"+loss.weight={[0.1 * (k + 1) for k in range(10)]}"]
SCHEDULER = "+scheduler._target_=torch.optim.lr_scheduler"


def test_a_loss_and_schedulers_of_torch_are_stacked_together(runs):
    """A weighted mean, and curves of three kinds in one stack: each run ends as alone."""
    same = [*BASE, *TORCHS, *WEIGHTED, "groups={*.bias: {lr: 0.01}}"]
    lines = [
        [*same, f"{SCHEDULER}.OneCycleLR", "+scheduler.max_lr=0.2", "seed=1"],
        [*same, f"{SCHEDULER}.CosineAnnealingLR", "+scheduler.eta_min=0.001", "seed=2"],
        [*same, f"{SCHEDULER}.CosineAnnealingLR", "+scheduler.eta_min=0.001", "seed=3"],
        [*same, "+scheduler._target_=paribus.scheduler.Cosine", "seed=4"],
    ]
    stacked, alone = runs("stacked"), runs("alone")
    records = stacked.stacked(lines)
    alone.alone(lines)
    assert [record.timing["stack"] for record in records] == [4] * 4
    for record in records:
        wanted = alone.store.read(record.id).metrics
        assert record.metrics == pytest.approx(wanted, rel=1e-7, abs=1e-9, nan_ok=True)


class Copied:
    pass


def test_a_copy_changes_no_class():
    """Python keeps in it which slots it has."""
    before = surroundings(Copied)
    copy.deepcopy(Copied())
    assert "__slotnames__" in vars(Copied)
    assert first_difference(before, surroundings(Copied)) is None


def test_a_network_that_takes_single_precision_only_is_compared_in_it(runs):
    assert verdict(runs(), seeds(*network("SinglePrecisionOnly"))) is None


@pytest.mark.parametrize(
    "overrides",
    [
        ["augmentation=mixup", "norm=[batch,weight]", "callbacks=[default,ema]", "clip.norm=1"],
        ["model=vit_tiny", "model.depth=1", "model.width=12", "model.dropout=0.2", "norm=layer"],
        ["norm=batch_renorm", "optimizer=schedulefree_adamw"],
        ["norm=[layer,spectral]", "trainer.precision=bf16-mixed", "trainer.accumulate=2", "evaluation.checkpoint=best"],
    ],
    ids=["averaged", "dropout", "renorm", "spectral"],
)
def test_our_own_parts_would_pass(overrides, runs):
    """They are not asked, since the suite compares them; the comparison itself is right about them."""
    keys = {item.partition("=")[0] for item in overrides}
    ours = [] if "model" in keys else OUR_NETWORK
    lines = [[item for item in line if item.partition("=")[0] not in keys] for line in seeds(*ours)]
    assert verdict(runs(), [[*line, *overrides] for line in lines]) is None


def test_each_replica_is_compared_however_many_there_are(runs, monkeypatch):
    """The first nine are alike, the tenth is not."""
    import strangers

    class NinthDiffers(strangers.MaskInBuffer):
        def between(self, h):
            return h

    built = []

    def make(*arguments, **keywords):
        built.append(NinthDiffers(*arguments, **keywords))
        return built[-1]

    monkeypatch.setattr(strangers, "Plain", make)
    lines = seeds(*network("Plain"), number=10)
    assert verdict(runs(), lines) is None

    def other(*arguments, **keywords):
        made = make(*arguments, **keywords)
        if len(built) == 10:  # alone, the tenth member
            with torch.no_grad():
                made.a.weight.mul_(2)
        return made

    built.clear()
    monkeypatch.setattr(strangers, "Plain", other)
    assert "differs from that of the run alone" in verdict(runs(), lines)


def test_nothing_is_consumed(runs):
    torch.manual_seed(3)
    random.seed(3)
    numbers = numpy.random.get_state()[1].copy()  # noqa: NPY002
    before = torch.get_rng_state(), random.getstate()
    run = runs()
    verdict(run, seeds(*network("DrawsFromPython")))
    verdict(run, seeds(*network("Dropout")))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert (numpy.random.get_state()[1] == numbers).all()  # noqa: NPY002
    assert not (run.folder / "runs").exists()


def test_members_that_can_not_go_together_are_handed_back_and_it_is_remembered(runs, capsys):
    run, lines = runs(), seeds(*network("Mask"))
    record = train_stack(run.run_of(lines[0]), run.members(lines))
    assert (record.status, record.failure["type"]) == ("failed", HANDED_BACK)
    assert "strangers.Mask: the network.mask is a tensor" in record.failure["message"]
    assert [run.store.read(id) for id in run.ids(lines)] == [None] * 3
    assert "3 runs are trained one by one: strangers.Mask" in capsys.readouterr().err
    assert Measured(run.folder).refusal(program(run.run_of(lines[0]))) == record.failure["message"]
    assert json.loads((run.folder / "stacks.json").read_text())


def test_a_stack_that_fails_before_its_first_update_is_handed_back(runs, monkeypatch):
    """Ours too, and with nothing remembered: it may have been the machine."""
    from paribus.extras.stack.engine import StackEngine

    def broken(self, *arguments):
        raise ZeroDivisionError("a bug")

    run, lines = runs(), seeds(*OUR_NETWORK)
    with monkeypatch.context() as patch:
        patch.setattr(StackEngine, "backward", broken)
        record = train_stack(run.run_of(lines[0]), run.members(lines))
    assert "failed before its first update (ZeroDivisionError: a bug)" in record.failure["message"]
    assert Measured(run.folder).refusal(program(run.run_of(lines[0]))) is None
    assert {each.status for each in run.stacked(lines)} == {"done"}
