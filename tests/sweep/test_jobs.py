"""Runs are judged by their records, whatever a launcher says; other processes' runs are waited for."""

import threading
from types import SimpleNamespace

import pytest
from hydra.core.utils import JobReturn, JobStatus

from paribus.base.errors import UserError
from paribus.store.lock import Busy
from paribus.store.record import Record
from paribus.store.store import Store
from paribus.sweep.grouping import Alone
from paribus.sweep.jobs import JobLost, Jobs


class Launcher:
    """Does for each command line what `acts` says: an error, None for a job that dies silently, or "done"."""

    def __init__(self, store, **acts):
        self.store, self.acts, self.launched, self.first = store, acts, [], []

    def __call__(self, job_overrides, initial_job_idx):
        self.first.append(initial_job_idx)
        return [self.one(name) for [name] in job_overrides]

    def one(self, name):
        self.launched.append(name)
        act = self.acts.get(name, "done")
        act = act.pop(0) if isinstance(act, list) else act
        result = JobReturn()
        result.status = JobStatus.FAILED if isinstance(act, Exception) else JobStatus.COMPLETED
        result.return_value = act if isinstance(act, Exception) else 0.0
        if act == "done":
            self.store.write(Record(id=name, status="done"))
        return result


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def train(launcher, store, *names):
    jobs = Jobs(launcher, store)
    jobs.poll_seconds = 0.01
    return jobs.train({name: [name] for name in names})


def test_a_job_reported_as_completed_without_a_record_is_a_failure(store):
    launcher = Launcher(store, b=None)
    failures = train(launcher, store, "a", "b")
    assert list(failures) == ["b"]
    assert "killed: the job ended without a result; it had not begun" in failures["b"]
    assert launcher.launched == ["a", "b"]


def test_a_job_reported_as_failed_whose_run_is_done_is_no_failure(store):
    store.write(Record(id="c", status="running"))
    launcher = Launcher(store, b=RuntimeError("lost the connection"), c=JobLost("NODE_FAIL"))

    def also_done(job_overrides, initial_job_idx):
        results = launcher(job_overrides, initial_job_idx)
        store.write(Record(id="b", status="done"))
        return results

    failures = train(also_done, store, "a", "b", "c")
    assert failures == {"c": "killed: the job ended without a result; it resumes from its last checkpoint (NODE_FAIL)"}


def test_a_launcher_that_gives_up_keeps_what_was_trained(store):
    launcher = Launcher(store)

    def dies(job_overrides, initial_job_idx):
        launcher.one("a")
        raise RuntimeError("job 17 is gone")

    failures = train(dies, store, "a", "b")
    assert list(failures) == ["b"]
    assert "RuntimeError: job 17 is gone" in failures["b"]


def test_a_launcher_that_can_not_launch_at_all_says_so(store):
    def missing(job_overrides, initial_job_idx):
        raise UserError("there is no SLURM here")

    with pytest.raises(UserError, match="no SLURM"):
        train(missing, store, "a")


def test_runs_with_a_record_are_not_launched(store):
    store.write(Record(id="a", status="diverged"))
    launcher = Launcher(store)
    assert train(launcher, store, "a", "b") == {}
    assert launcher.launched == ["b"]


def test_a_run_that_another_process_trains_is_waited_for(store):
    launcher = Launcher(store)
    holds, finish = threading.Event(), threading.Event()

    def other():
        with store.lock("a"):
            holds.set()
            finish.wait(10)
            store.write(Record(id="a", status="done"))

    thread = threading.Thread(target=other)
    thread.start()
    holds.wait(10)
    threading.Timer(0.2, finish.set).start()
    assert train(launcher, store, "a", "b") == {}
    thread.join()
    assert launcher.launched == ["b"]


def test_a_run_that_its_other_trainer_gave_up_is_trained_here(store):
    """Busy at first; then its holder is gone and has left no result."""
    launcher = Launcher(store, a=[Busy("another process does"), "done"])
    assert train(launcher, store, "a") == {}
    assert launcher.launched == ["a", "a"]
    assert launcher.first == [0, 1]


def test_without_stacks_a_size_that_was_asked_for_is_said(capsys):
    """One line for all of them; auto and off ask for none."""
    alone = Alone()
    cells = [SimpleNamespace(id=str(k), run=SimpleNamespace(stack=size)) for k, size in enumerate((4, 4, "auto", 1))]
    lines = {cell.id: [f"seed={cell.id}"] for cell in cells}
    jobs = alone.jobs(cells, lines, None, None)
    assert [(list(job.line), job.runs) for job in jobs] == [([f"seed={k}"], (k,)) for k in "0123"]
    said = "2 alone: stack=4 was asked for, but this installation lacks the extra stack"
    assert capsys.readouterr().err == f"{said}\n"
    assert alone.outlook(cells, 1, None).lines == [f"  {said}"]
    assert alone.jobs(cells[2:], lines, None, None)
    assert capsys.readouterr().err == ""
