"""A stack that is killed at any moment goes on as the rows that it had, and ends with the same bits."""

import contextlib
import csv
import random
from pathlib import Path

import pytest
import torch

from paribus.extras.stack import checkpoint
from paribus.extras.stack.engine import StackEngine
from paribus.run import restart
from paribus.run.restart import START, Point, restarts
from paribus.store.store import Store

BASE = ["model=mlp", "model.width=8", "data.subset=70", "data.batch_size=20", "budget.epochs=6", "trainer.threads=1"]
OFTEN = ["callbacks=[default,ema]", "callbacks.checkpoints.every_seconds=1e-6", "augmentation=mixup"]
OPTIMIZERS = ["momentum", "adam", "sgd", "lamb"]


class Killed(BaseException):
    """Nothing cleans up after it: what is on the disk is what a kill leaves."""


def lines_of(*overrides, base=BASE):
    keys = {item.partition("=")[0] for item in overrides}
    kept = [item for item in [*base, *OFTEN] if item.partition("=")[0] not in keys]
    return [[*kept, *overrides, f"optimizer={name}", f"seed={seed}"] for name in OPTIMIZERS[:3] for seed in (0, 1)]


def killed(monkeypatch, run, lines, owner, name, calls, **keys):
    """Train until `owner.name` has been called so often; whether it came to that."""
    left, original = [calls], getattr(owner, name)

    def dying(*arguments, **keywords):
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return original(*arguments, **keywords)

    with monkeypatch.context() as patch, contextlib.suppress(Killed):
        patch.setattr(owner, name, dying)
        run.stacked(lines, **keys)
        return False
    return True


def results(run, lines):
    """All that must be equal bit for bit, by line."""
    found = []
    for line in lines:
        [id] = run.ids([line])
        folder, record = run.store.run_dir(id), run.store.read(id)
        content = run.checkpoint(line)
        rows = list(csv.DictReader((folder / "history.csv").read_text().splitlines()))
        found.append(
            {
                "weights": content["state_dict"],
                "optimizer": content["optimizer_states"],
                "average": content.get("evaluation_weights", {}),
                "best": run.checkpoint(line, "best")["state_dict"]
                if (folder / "checkpoints/best.ckpt").exists()
                else 0,
                "metrics": {key: repr(value) for key, value in record.metrics.items()},
                "status": record.status,
                "files": sorted(record.checksums),
                "segments": record.provenance["segments"],
                "stack": record.timing.get("stack"),
                "history": [{key: value for key, value in row.items() if key != "seconds"} for row in rows],
            }
        )
        assert not (folder / "checkpoints" / checkpoint.NEXT).exists()
    return found


def stretches(segments):
    return [(each["from"], each["to"], each["stack"]) for each in segments]


def differing(one, other):
    """The names of what differs."""
    if isinstance(one, torch.Tensor):
        same = one.dtype == other.dtype and one.shape == other.shape and torch.equal(bits(one), bits(other))
        return [] if same else ["tensor"]
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [key for key in one if differing(one[key], other[key])]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [number for number, pair in enumerate(zip(one, other, strict=True)) if differing(*pair)]
    return [] if one == other else ["value"]


def bits(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8) if tensor.ndim else tensor.reshape(1).view(torch.uint8)


MOMENTS = [(StackEngine, "set_position"), (checkpoint, "write_file_atomically"), (Path, "replace")]


def counted(monkeypatch, run, lines, **keys):
    """Train undisturbed; how often each of MOMENTS came."""
    calls = [0] * len(MOMENTS)

    def counting(number, original):
        def call(*arguments, **keywords):
            calls[number] += 1
            return original(*arguments, **keywords)

        return call

    with monkeypatch.context() as patch:
        for number, (owner, name) in enumerate(MOMENTS):
            patch.setattr(owner, name, counting(number, getattr(owner, name)))
        run.stacked(lines, **keys)
    return calls


def test_a_loss_with_a_buffer_leaves_a_stack_and_joins_one(runs, monkeypatch):
    lines = lines_of("~loss", "+loss._target_=strangers.LossWithBuffer")[:2]
    run = runs()
    assert killed(monkeypatch, run, lines, StackEngine, "set_position", 8)
    assert killed(monkeypatch, run, lines, StackEngine, "set_position", 4)
    assert [record.status for record in run.alone(lines)] == ["done", "done"]
    whole = runs("whole")
    whole.alone(lines)
    for id in run.ids(lines):
        assert run.store.read(id).metrics == pytest.approx(whole.store.read(id).metrics, rel=1e-3, nan_ok=True)


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        pytest.param(["norm=batch_renorm", "model=cnn", "model.widths=[4]"], marks=pytest.mark.slow),
        pytest.param(
            ["norm=layer", "model=vit_tiny", "model.depth=1", "model.width=12", "model.dropout=0.2"],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["clip.norm=0.1", "trainer.accumulate=2", "evaluation.every=2", "evaluation.checkpoint=best"],
            marks=pytest.mark.slow,
        ),
    ],
    ids=["plain", "renorm", "dropout", "accumulated"],
)
def test_a_stack_that_is_killed_often_ends_with_the_same_bits(overrides, runs, monkeypatch):
    base = [item for item in BASE if not item.startswith("model")] if "model" in str(overrides) else BASE
    lines = lines_of(*overrides, base=base)
    whole, often = runs("whole"), runs("killed")
    calls = counted(monkeypatch, whole, lines, size=4)
    draw, kills = random.Random(len(str(overrides))), 0
    for turn in range(9):
        owner, name = MOMENTS[turn % 3]
        kills += killed(monkeypatch, often, lines, owner, name, draw.randrange(calls[turn % 3] // 5), size=4)
    often.stacked(lines, size=4)
    assert kills >= 5
    for line, one, other in zip(lines, results(whole, lines), results(often, lines), strict=True):
        assert not differing(one, other), line
        assert [segment["stack"] for segment in one["segments"]] in ([4], [2])


@pytest.mark.parametrize("weights", ["last", "best"])
def test_runs_that_are_finished_but_have_no_record_are_tested_and_recorded(weights, runs, monkeypatch):
    lines = lines_of(f"evaluation.checkpoint={weights}")[:4]
    whole, often = runs("whole"), runs("killed")
    whole.stacked(lines)
    assert killed(monkeypatch, often, lines, Store, "write", 4)  # before the first record of a run that has ended
    assert killed(monkeypatch, often, lines, Store, "write", 6)  # and between two of them
    assert [often.store.read(id).status for id in often.ids(lines)].count("done") == 2
    often.stacked(lines)
    for line, one, other in zip(lines, results(whole, lines), results(often, lines), strict=True):
        assert not differing(one, other), line


@pytest.mark.slow
def test_members_that_end_early_keep_their_rows_and_a_smaller_stack_stays_smaller(runs, monkeypatch):
    """Ten runs, two of which diverge in different epochs: one leaves a place, with the other the stack is cut."""
    common = [*BASE, *OFTEN, "loss=mse", "norm=none"]
    lines = [[*common, "optimizer=momentum", f"seed={seed}"] for seed in range(9)]
    lines += [[*common, "optimizer=momentum", f"optimizer.lr={rate}"] for rate in (1e6, 5.0)]
    whole = runs("whole")
    calls = counted(monkeypatch, whole, lines)
    wanted = results(whole, lines)
    assert [each["status"] for each in wanted].count("diverged") == 2
    for number in range(2):
        often = runs(f"killed{number}")
        for turn, (owner, name) in enumerate(MOMENTS):
            assert killed(monkeypatch, often, lines, owner, name, (1 + number) * calls[turn] // 8)
        often.stacked(lines)
        for line, one, other in zip(lines, wanted, results(often, lines), strict=True):
            assert not differing(one, other), (number, line)


def test_a_run_that_diverged_but_has_no_record_keeps_its_best_weights(runs, monkeypatch):
    """Killed between the checkpoint that says so and the best weights, which are on no disk by then."""
    common = [*BASE, "loss=mse", "norm=none", "optimizer=momentum", "callbacks.checkpoints.every_seconds=1000"]
    lines = [[*common, f"optimizer.lr={rate}"] for rate in (*(k / 100 for k in range(1, 9)), 5.0)]
    whole, often = runs("whole"), runs("killed")
    whole.stacked(lines)
    save = checkpoint.StackIO.save_checkpoint

    def dying(self, content, *arguments, **keys):
        save(self, content, *arguments, **keys)
        if any(member["paribus"]["diverged"] for member in content["members"]):
            raise Killed

    with monkeypatch.context() as patch, contextlib.suppress(Killed):
        patch.setattr(checkpoint.StackIO, "save_checkpoint", dying)
        often.stacked(lines)
    assert {often.store.read(id).status for id in often.ids(lines)} == {"running"}
    often.stacked(lines)
    wanted = results(whole, lines)
    assert wanted[-1]["status"] == "diverged"
    assert wanted[-1]["best"]
    for line, one, other in zip(lines, wanted, results(often, lines), strict=True):
        assert not differing(one, other), line


def test_a_damaged_member_begins_again_and_the_others_end_with_the_same_bits(runs, monkeypatch):
    lines = lines_of()[:4]
    whole, run = runs("whole"), runs("damaged")
    whole.stacked(lines)
    assert killed(monkeypatch, run, lines, StackEngine, "set_position", 10)
    damaged = run.store.run_dir(run.ids(lines[2:3])[0]) / "checkpoints" / "last.ckpt"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 255
    damaged.write_bytes(content)
    run.stacked(lines)
    wanted, found = results(whole, lines), results(run, lines)
    assert [bool(differing(one, other)) for one, other in zip(wanted, found, strict=True)] == [
        False,
        False,
        True,
        False,
    ]
    assert stretches(found[2]["segments"]) == [(0, 24, 1)]


def test_a_run_that_leaves_a_stack_says_so(runs, monkeypatch):
    lines = lines_of()[:2]
    run = runs()
    assert killed(monkeypatch, run, lines, StackEngine, "set_position", 10)
    stood = run.checkpoint(lines[0])["paribus"]["cursor"]["step"]
    [record] = run.alone(lines[:1])
    assert stretches(record.provenance["segments"]) == [(0, stood, 2), (stood, 24, 1)]
    assert record.timing["stack"] == 2


def test_how_a_group_was_cut_is_decided_once(runs, monkeypatch):
    """The second measurement would come out otherwise."""
    from paribus.extras.stack import decision as measure

    lines = lines_of()
    whole, often = runs("whole"), runs("killed")
    for run in (whole, often):
        with monkeypatch.context() as patch:
            patch.setattr(measure, "decide", lambda *arguments: (3, False))
            if run is whole:
                run.stacked(lines, size="auto")
                continue
            assert killed(monkeypatch, run, lines, StackEngine, "set_position", 7, size="auto")
            assert killed(monkeypatch, run, lines, StackEngine, "set_position", 30, size="auto")
    monkeypatch.setattr(measure, "decide", lambda *arguments: (6, False))
    often.stacked(lines, size="auto")
    for one, other in zip(results(whole, lines), results(often, lines), strict=True):
        assert not differing(one, other)
        assert one["stack"] == 3


# ------------------------------------------------------------------------------------------ which go on together


@pytest.fixture
def standing(monkeypatch, tmp_path):
    """Where runs stand: run -> {point: file}."""

    def stand(points, parts):
        monkeypatch.setattr(restart, "points_of", lambda folder: points[folder.name])
        monkeypatch.setattr(restart, "settle", lambda folder, point: None)
        found = restarts({id: tmp_path / id for id in points}, parts)
        return [(each.ids, each.rows, each.point.step) for each in found]

    return stand


def at(step, rows=""):
    return Point(step, 0, step, tuple(rows))


def test_nothing_has_begun(standing):
    points = {id: {START: ""} for id in "abcd"}
    assert standing(points, ["ab", "cd"]) == [(["a", "b"], (), 0), (["c", "d"], (), 0)]


def test_some_have_the_next_checkpoint_and_some_have_not(standing):
    old, new = at(5, "abc"), at(9, "abc")
    points = {
        "a": {new: "last.ckpt"},
        "b": {old: "last.ckpt", new: "next.ckpt"},
        "c": {old: "last.ckpt", new: "next.ckpt"},
    }
    assert standing(points, ["abc"]) == [(["a", "b", "c"], ("a", "b", "c"), 9)]
    points = {"a": {old: "last.ckpt", new: "next.ckpt"}, "b": {old: "last.ckpt"}, "c": {old: "last.ckpt"}}
    assert standing(points, ["abc"]) == [(["a", "b", "c"], ("a", "b", "c"), 5)]
    points = {"a": {START: "", new: "next.ckpt"}, "b": {START: ""}}
    assert standing(points, ["ab"]) == [(["a", "b"], (), 0)]


def test_ended_runs_are_places_and_one_whose_record_is_missing_goes_alone(standing):
    smaller = at(9, "ab")
    assert standing({"a": {smaller: "last.ckpt"}, "c": {smaller: "last.ckpt"}}, ["abc"]) == [
        (["a"], ("a", "b"), 9),
        (["c"], (), 9),
    ]


def test_a_member_without_a_checkpoint_begins_again(standing):
    rows = at(7, "abc")
    points = {"a": {rows: "last.ckpt"}, "b": {START: ""}, "c": {rows: "last.ckpt"}}
    assert standing(points, ["abc"]) == [(["b"], (), 0), (["a", "c"], ("a", "b", "c"), 7)]


def test_runs_that_were_alone_join_those_beside_them(standing):
    points = {"a": {at(7): "last.ckpt"}, "b": {at(7): "last.ckpt"}, "c": {at(9): "last.ckpt"}}
    assert standing(points, ["abc"]) == [(["a", "b"], (), 7), (["c"], (), 9)]


@pytest.mark.slow
@pytest.mark.needs("compiler")
@pytest.mark.filterwarnings("ignore")  # of torch's own compiler
def test_a_compiled_stack_that_is_killed_goes_on_to_the_same_bits(runs, monkeypatch, tmp_path):
    monkeypatch.setenv("PARIBUS_CACHE", str(tmp_path / "cache"))
    lines = lines_of("optimizer.lr=0.05", "trainer.compile=true", "data.subset=420", "data.validation=20")[:2]
    assert all("optimizer=momentum" in line for line in lines)
    whole = runs("whole")
    taken = counted(monkeypatch, whole, lines)[0]
    assert len([*(tmp_path / "cache" / "packages").glob("*.pt2")]) == 1
    for share in (0.3, 0.7):
        run = runs(f"killed at {share}")
        assert killed(monkeypatch, run, lines, StackEngine, "set_position", int(share * taken))
        run.stacked(lines)
        assert differing(results(run, lines), results(whole, lines)) == []
        assert all(each["compiled"] for found in results(run, lines) for each in found["segments"])
