"""Runs on other machines: through submitit, with processes of this one and with a stand-in for SLURM."""

import os
import re
from pathlib import Path

import fake_slurm
import pytest

from paribus.base.errors import RankFailed
from paribus.extras.cluster.remote import Collection, Order, Returned, cpus_of, orders, portable
from paribus.extras.cluster.slurm import Arrays
from paribus.store.store import Store
from paribus.sweep.jobs import JobLost

QUICK = ["model=mlp", "model.width=8", "data.subset=60", "data.batch_size=20", "budget.epochs=1", "norm=none"]


def test_orders_hold_runs_of_equal_resources(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PARIBUS_OUTPUTS", "elsewhere")
    ddp = ["trainer=gpu", "trainer.devices=4", "trainer.strategy=ddp"]
    lines = [["seed=0"], ["trainer=ddp_sim"], ["seed=1"], ["seed=2"], ddp]
    made = orders(lines, runs_per_job=2)
    assert [order.runs for order in made] == [
        (("seed=0",), ("seed=1",)), (("seed=2",),), (("trainer=ddp_sim",),), (tuple(ddp),),
    ]  # fmt: skip
    assert [order.numbers for order in made] == [(0, 2), (3,), (1,), (4,)]
    assert [(order.devices, order.on_gpu) for order in made] == [(1, False), (1, False), (2, False), (4, True)]
    assert {order.folder for order in made} == {str(tmp_path)}
    assert made[0].environment["PARIBUS_OUTPUTS"] == "elsewhere"
    assert [order.cpus for order in made] == [1, 1, 2, 4]


@pytest.mark.parametrize(
    ("line", "cpus"),
    [
        ([], 1),
        (["data.workers=3"], 4),
        (["trainer=gpu", "data.workers=3"], 4),
        (["trainer=ddp", "trainer.devices=4", "data.workers=2"], 12),
        (["trainer=ddp_sim", "trainer.threads=4", "data.workers=1"], 10),
    ],
)
def test_cpus_are_those_of_all_processes_and_of_the_workers_that_read_for_them(run_of, line, cpus):
    assert cpus_of(run_of(*line)) == cpus


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ({}, {"cpus_per_task": 6, "gpus_per_node": 2}),
        ({"cpus_per_gpu": 8}, {"gpus_per_node": 2}),
        ({"gres": "gpu:a100:2"}, {"cpus_per_task": 6}),
        ({"additional_parameters": {"gpus": 2, "cpus-per-gpu": 8}}, {}),
        ({"mem_gb": 64, "qos": "high"}, {"cpus_per_task": 6, "gpus_per_node": 2}),
    ],
)
def test_what_a_job_asks_slurm_for(given, needed):
    order = Order((("seed=0",),), (0,), ".", {}, devices=2, on_gpu=True, cpus=6)
    assert Arrays({"cluster": "slurm", "folder": "jobs"}, given).resources(order) == needed


def test_an_error_that_can_not_travel_is_told():
    class Local(Exception):
        pass

    assert str(portable(Local("what"))) == "Local: what"
    same = portable(ValueError("what"))
    assert isinstance(same, ValueError)


class Ticket:
    def __init__(self, polls, result):
        self.polls, self.answer, self.cancelled = polls, result, False

    def ended(self):
        self.polls -= 1
        return self.polls < 0

    def result(self):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def cancel(self):
        self.cancelled = True


def order(*runs, devices=1, on_gpu=False, cpus=1):
    """Runs called by their number and what they do."""
    lines, numbers = tuple((run,) for run in runs), tuple(int(run[0]) for run in runs)
    return Order(lines, numbers, ".", {}, devices, on_gpu, cpus)


def test_a_dead_job_takes_no_other_with_it(capsys):
    tickets = {
        "1": Ticket(3, RuntimeError("Job 17\nhas not produced any output (state: NODE_FAIL)\nlong log")),
        "0": Ticket(0, [Returned(0.5), Returned(error=ValueError("odd"), trace="Traceback: odd")]),
    }
    sent = []

    def submit(ready):
        sent.append([each.runs[0][0] for each in ready])
        return [tickets[each.runs[0][0]] for each in ready]

    results = Collection(submit, parallel=1, poll_seconds=0.001).run([order("1"), order("0", "2")])
    assert sent == [["1"], ["0"]]
    assert [list(result.overrides) for result in results] == [["0"], ["1"], ["2"]]
    assert [result.status.name for result in results] == ["COMPLETED", "FAILED", "FAILED"]
    assert results[0].return_value == 0.5
    said = capsys.readouterr().err
    assert "failed: 1: RuntimeError: Job 17 has not produced any output (state: NODE_FAIL)" in said
    assert "Traceback: odd" in said
    assert "long log" not in said


def lost(wanted=False):
    error = JobLost("ended as FAILED")
    error.wanted = wanted
    return error


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (lost(), True),
        (lost(wanted=True), False),
        ([Returned(0.5), Returned(error=RankFailed("rank 1 of 2: node 1 is gone", "killed"))], True),
        ([Returned(0.5), Returned(error=RankFailed("rank 1 of 2: ValueError", "bug"))], False),
        ([Returned(0.5), Returned(error=ValueError("odd"))], False),
    ],
)
def test_a_job_that_was_killed_is_sent_again(first, again):
    answers = [first, [Returned(0.5), Returned(0.25)]]
    sent = []

    def submit(ready):
        sent.extend(ready)
        return [Ticket(0, answers.pop(0)) for _ in ready]

    job = order("0", "1")
    results = Collection(submit, retries=1, poll_seconds=0.001).run([job])
    assert sent == [job] * (2 if again else 1)
    assert [result.status.name for result in results][1] == ("COMPLETED" if again else "FAILED")


def test_a_job_is_sent_again_only_so_often():
    sent = []
    submit = lambda ready: [sent.append(each) or Ticket(0, lost()) for each in ready]  # noqa: E731
    results = Collection(submit, retries=2, poll_seconds=0.001).run([order("0")])
    assert len(sent) == 3
    assert [result.status.name for result in results] == ["FAILED"]


def test_a_run_of_several_machines_has_a_task_on_each(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    line = ["trainer=ddp", "trainer.devices=4", "trainer.num_nodes=2", "data.workers=1"]
    [made] = orders([line])
    assert (made.nodes, made.devices, made.cpus) == (2, 4, 8)
    needed = Arrays({"cluster": "slurm", "folder": "jobs"}, {}).resources(made)
    assert needed == {"nodes": 2, "tasks_per_node": 1, "cpus_per_task": 8, "gpus_per_node": 4}


def test_ctrl_c_cancels_what_has_not_ended(capsys):
    done, running = Ticket(0, [Returned(0.1)]), Ticket(10**9, [])

    class Stop(Ticket):
        def ended(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Collection(lambda ready: [done, running, Stop(0, [])], poll_seconds=0.001).run([order(n) for n in "012"])
    assert (done.cancelled, running.cancelled) == (False, True)
    assert "the same command resumes" in capsys.readouterr().err


def test_an_array_of_slurm_for_each_number_of_devices(tmp_path, monkeypatch, capsys):
    slurm = tmp_path / "slurm"
    fake_slurm.install(slurm)
    monkeypatch.setenv("PATH", f"{slurm}:{os.environ['PATH']}")
    submit = Arrays(
        {"cluster": "slurm", "folder": str(tmp_path / "jobs" / "%j")},
        {"partition": "long", "timeout_min": 90, "array_parallelism": 7, "mem_gb": 5, "qos": None, "nodelist": "n1"},
    )
    sent = [order("0=", "3="), order("1=", devices=2, on_gpu=True, cpus=6), order("2=")]
    results = Collection(submit).run(sent)
    assert [list(result.overrides) for result in results] == [["0="], ["1="], ["2="], ["3="]]
    assert all("is not an override" in str(result._return_value) for result in results), results
    scripts = [path.read_text() for path in sorted(slurm.glob("*.sh"))]
    options = r"--(array|cpus-per-task|gpus-per-node|mem|nodelist|partition|qos|time)=(\S+)"
    same = {"mem": "5GB", "nodelist": "n1", "partition": "long", "time": "90"}
    assert [dict(re.findall(options, text)) for text in scripts] == [
        {"array": "0-1%2", "cpus-per-task": "1", **same},
        {"cpus-per-task": "6", "gpus-per-node": "2", **same},
    ]


@pytest.mark.slow
def test_a_job_that_is_killed_is_named_and_the_others_are_trained(paribus, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "helpers"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "helpers"))
    result = paribus(
        "train", "-m", *QUICK, "hydra/launcher=submitit_local", "hydra.launcher.retries=0",
        "+callbacks.end._target_=counting.Kill,pytorch_lightning.Callback",
    )  # fmt: skip
    assert result.code == 1, result.err
    assert "killed: the job ended without a result; it resumes from its last checkpoint" in result.err
    assert "1 runs failed" in result.err
    store = Store(tmp_path / "outputs")
    assert sorted(store.state(record) for record in store.scan()) == ["done", "interrupted"]
    assert {path.name for path in tmp_path.iterdir()} == {"outputs"}


@pytest.mark.slow
def test_jobs_of_slurm_with_one_and_two_processes(paribus, tmp_path, monkeypatch):
    """What SLURM sets (SLURM_NTASKS=1 and so on) must not tell the ranks of a run that they are something else."""
    slurm = tmp_path / "slurm"
    fake_slurm.install(slurm)
    monkeypatch.setenv("PATH", f"{slurm}:{os.environ['PATH']}")
    result = paribus(
        "train", "-m", *QUICK, "trainer.precision=64-true", "trainer.strategy=ddp", "trainer.devices=1,2",
        "hydra/launcher=submitit_slurm",
    )  # fmt: skip
    assert result.code == 0, result.err
    records = list(Store(tmp_path / "outputs").scan())
    one, two = sorted(records, key=lambda record: record.provenance["world_size"])
    assert (one.status, two.status) == ("done", "done")
    assert one.timing["samples"] == two.timing["samples"] == 60
    assert two.metrics["train/loss"] == pytest.approx(one.metrics["train/loss"], rel=1e-9)
    assert "hydra" not in one.provenance["command"]
    assert {path.name for path in tmp_path.iterdir()} == {"outputs", "slurm"}
    assert len(list(tmp_path.glob("outputs/sweeps/*"))) == 1


@pytest.mark.parametrize(
    ("launcher", "said"),
    [
        (["hydra/launcher=submitit_slurm"], "hydra/launcher=submitit_local"),
        (["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=soon"], "timeout_min"),
        (["hydra/launcher=submitit_local", "+hydra.launcher.partitoin=gpu"], "partitoin"),
    ],
)
def test_a_launcher_that_can_not_work_says_why(paribus, tmp_path, monkeypatch, launcher, said):
    monkeypatch.setenv("PATH", "/nonexistent")
    result = paribus("train", "-m", *QUICK, "seed=0,1", *launcher)
    assert result.code == 2, result.err
    assert said in result.err
    assert "Traceback" not in result.err
    assert not Path("outputs/runs").exists()
