"""A run of several machines, which are processes of this one here: it ends as a run of as many ranks on one machine."""

import threading
import time

import pytest
import torch

from paribus.base.errors import Interrupted, RankFailed, UserError
from paribus.store.lock import Busy
from paribus.store.store import Store
from paribus.sweep import nodes
from paribus.sweep.meeting import Node, note_of, write_note
from paribus.sweep.nodes import find, outcome, read_rank, said_of, through, written
from paribus.sweep.rank import Rank, without_a_word
from paribus.sweep.result import Result

LINE = [
    *("model=mlp", "model.width=16", "data.subset=102", "data.batch_size=20", "data.drop_last=true", "norm=batch"),
    *("trainer.precision=64-true", "trainer.strategy=ddp", "trainer.threads=1", "evaluation.batch_size=50"),
]
SHORT, LONG = ["budget.epochs=2"], ["budget.epochs=150", "callbacks.checkpoints.every_seconds=0.3"]


def state(store, record):
    return torch.load(store.run_dir(record.id) / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def agree(one, other):
    """Two folders of results, to twelve digits."""
    (first, second), stores = ([*Store(one).scan(), *Store(other).scan()], (Store(one), Store(other)))
    assert first.id == second.id
    assert (first.status, second.status) == ("done", "done")
    assert first.timing["samples"] == second.timing["samples"]
    assert first.metrics.keys() == second.metrics.keys()
    for key, value in first.metrics.items():
        assert second.metrics[key] == pytest.approx(value, rel=1e-12, nan_ok=True)
    expected, found = state(stores[0], first), state(stores[1], second)
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-12, atol=1e-14)


def both(commands, folder, *line):
    return [commands.start(folder, "node", "--rank", str(rank), "--of", "2", *line) for rank in (1, 0)]


def wait_for(folder, pattern, *started):
    deadline = time.monotonic() + 240
    while not list(folder.glob(pattern)):
        assert time.monotonic() < deadline
        assert all(each.poll() is None for each in started), [each.output.read_text() for each in started]
        time.sleep(0.02)


def test_two_nodes_are_as_two_processes_of_one(commands, tmp_path):
    line = [*LINE, *SHORT, "logger=csv"]
    one = commands.run(tmp_path, "train", *line, "trainer.devices=2", "paths.outputs=one")
    assert one.code == 0, one.out
    second, first = both(commands, tmp_path, *line)
    said = [first.wait(), second.wait()]
    assert [each.code for each in said] == [0, 0], said
    agree(tmp_path / "one", tmp_path / "outputs")
    store = Store(tmp_path / "outputs")
    [record] = store.scan()
    assert record.provenance["world_size"] == 2
    assert len(list(tmp_path.glob("outputs/runs/*/**/metrics.csv"))) == 1  # one process logs
    assert not list(tmp_path.glob("outputs/runs/*/rank*.err"))
    # The same commands again, in whatever order: there is nothing to do.
    again = [commands.run(tmp_path, "node", "--rank", str(rank), "--of", "2", *line) for rank in (1, 0)]
    assert [each.code for each in again] == [0, 0], again
    assert all("is done already" in each.out for each in again)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("killed", [0, 1])
def test_a_run_whose_node_is_killed_goes_on_from_its_checkpoint(commands, tmp_path, killed):
    line = [*LINE, *LONG]
    one = commands.run(tmp_path, "train", *line, "trainer.devices=2", "paths.outputs=one")
    assert one.code == 0, one.out
    started = dict(zip((1, 0), both(commands, tmp_path, *line), strict=True))
    wait_for(tmp_path, "outputs/runs/*/checkpoints/last.ckpt", *started.values())
    began = time.monotonic()
    started[killed].send_signal(9)
    ended = started[1 - killed].wait()
    assert time.monotonic() - began < 60
    assert ended.code == 1, ended.out
    [record] = Store(tmp_path / "outputs").scan()
    if killed == 1:
        assert (record.status, record.failure["type"]) == ("failed", "killed")
        assert "node 1" in record.failure["message"]
        assert "is gone" in ended.out
    else:  # nobody is left to write it
        assert Store(tmp_path / "outputs").state(record) == "interrupted"
        assert "node 0 is gone" in ended.out
    steps = torch.load(next(tmp_path.glob("outputs/runs/*/checkpoints/last.ckpt")), weights_only=True)["global_step"]
    assert 0 < steps < 750
    second, first = both(commands, tmp_path, *line)
    said = [first.wait(), second.wait()]
    assert [each.code for each in said] == [0, 0], said
    agree(tmp_path / "one", tmp_path / "outputs")


@pytest.mark.slow
@pytest.mark.parametrize("told", [0, 1])
def test_a_node_that_is_told_to_stop_stops_all_of_them(commands, tmp_path, told):
    started = dict(zip((1, 0), both(commands, tmp_path, *LINE, *LONG), strict=True))
    wait_for(tmp_path, "outputs/runs/*/checkpoints/last.ckpt", *started.values())
    started[told].send_signal(15)
    assert [started[rank].wait().code for rank in (0, 1)] == [130, 130]
    [record] = Store(tmp_path / "outputs").scan()
    assert Store(tmp_path / "outputs").state(record) == "interrupted"


@pytest.mark.slow
def test_a_mistake_is_said_on_every_node(commands, tmp_path):
    second, first = both(commands, tmp_path, *LINE, *SHORT, "+callbacks.broken._target_=no.such.Callback")
    for each in (first.wait(), second.wait()):
        assert each.code == 2, each.out
        assert "no.such.Callback" in each.out
    assert not list(tmp_path.glob("outputs/runs/*"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["train", "trainer.num_nodes=2"], "with `paribus node --rank N --of 2`"),
        (["node", "--rank", "0", "--of", "3", "trainer.num_nodes=2"], "3 nodes take part in a run that has trainer.n"),
        (["node", "--rank", "2", "--of", "2"], "2 nodes have the numbers 0 to 1, got 2"),
        (["node", "--of", "2"], "--rank is missing"),
        (["node", "--rank", "0", "--of", "2", "-m"], "trains one run, got -m"),
        (["train", "-m", "trainer.num_nodes=2", "hydra/launcher=submitit_local"], "needs SLURM"),
    ],
)
def test_a_run_of_several_machines_says_how_it_is_started(paribus, tmp_path, line, said):
    result = paribus(*line, *LINE, *SHORT)
    assert result.code == 2, result.err
    assert said in result.err
    assert not list(tmp_path.glob("outputs/runs/*"))


def test_the_launcher_of_this_machine_starts_no_run_of_several(paribus, tmp_path):
    result = paribus("train", "-m", "trainer.num_nodes=2", "seed=0,1", *LINE, *SHORT)
    assert result.code == 2, result.err
    assert "no run is trained" in result.err
    assert result.err.count("`paribus node --rank N --of 2`") == 1
    assert not list(tmp_path.glob("outputs/runs/*"))


def test_the_number_of_machines_counts_by_the_number_of_processes_alone(run_of):
    by = {n: run_of("trainer.strategy=ddp", f"trainer.num_nodes={n}", f"trainer.devices={2 // n}").id for n in (1, 2)}
    assert by[1] == by[2]
    assert run_of("trainer.strategy=ddp", "trainer.devices=2", "trainer.num_nodes=2").id != by[1]


def test_a_rank_travels_as_it_ended():
    here = Rank(3, 0, Result("bug", message="m", traceback="t"), time.monotonic() - 5.0)
    there = read_rank(written(here))
    assert (there.rank, there.code, there.result) == (3, 0, here.result)
    assert there.at == pytest.approx(here.at, abs=1.0)
    assert read_rank(written(without_a_word(1, -9))) == without_a_word(1, -9)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UserError("wrong"), UserError),
        (Interrupted("stopped"), Interrupted),
        (RankFailed("rank 1: gone", "killed"), RankFailed),
        (MemoryError("none"), RankFailed),
    ],
)
def test_what_the_first_node_raises_is_raised_on_the_others(error, kind):
    with pytest.raises(kind, match=str(error)) as raised:
        outcome(said_of(error))
    if kind is RankFailed:
        assert raised.value.kind == getattr(error, "kind", "out_of_memory")
    with pytest.raises(Busy):
        outcome({"kind": "busy"})


def test_jobs_hear_of_their_own_first_node_alone(tmp_path, monkeypatch):
    """By hand there is one note, which may tell of an attempt before; each job of a cluster has its own."""
    monkeypatch.setattr(nodes, "JOIN_SECONDS", 0.0)
    store, id = Store(tmp_path), "a" * 16
    ended = {"ended": {"kind": "invalid", "message": "of before"}}
    for job in (None, "17.0.0"):
        write_note(note_of(tmp_path, id, Node(0, 2, job)), ended)
    with pytest.raises(UserError, match="says nothing"):
        find(id, store, Node(1, 2), threading.Event())
    with pytest.raises(UserError, match="of before"):
        find(id, store, Node(1, 2, "17.0.0"), threading.Event())
    with pytest.raises(UserError, match="says nothing"):
        find(id, store, Node(1, 2, "18.0.0"), threading.Event())


def test_gloo_is_told_the_interface_unless_the_user_has(monkeypatch):
    monkeypatch.setattr(nodes, "interface_of", {"10.0.0.7": "eth0"}.get)
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    assert through({"MASTER_ADDR": "10.0.0.1"}, "10.0.0.7") == {
        "MASTER_ADDR": "10.0.0.1",
        "GLOO_SOCKET_IFNAME": "eth0",
    }
    assert "GLOO_SOCKET_IFNAME" not in through({}, "127.0.0.1")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "ib0")
    assert through({}, "10.0.0.7") == {}
