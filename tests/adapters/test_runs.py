"""Runs with losses, schedulers and optimizers of torch: trained, resumed to the same bits, and stacked where proven."""

from dataclasses import asdict, replace

import pytest
import torch
import yaml
from torch import nn

from paribus.base.errors import Interrupted
from paribus.base.signals import asked_to_stop
from paribus.config.compose import load, resolved
from paribus.config.run import Run
from paribus.run.evaluate import reload
from paribus.run.execute import train
from paribus.run.rerun import rerun
from paribus.store.store import Store

TORCH = "torch.optim.lr_scheduler"
SMALL = ["data.subset=50", "data.batch_size=20", "data.validation=40", "budget.epochs=3", "trainer.threads=1",
         "model=mlp", "model.width=8", "norm=none"]  # fmt: skip
WEIGHTS = [0.1 * (k + 1) for k in range(10)]


@pytest.fixture
def option(tmp_path, monkeypatch):
    """Writes an option file of the current folder, and gives its override."""
    monkeypatch.chdir(tmp_path)

    def write(group, node, name="mine"):
        path = tmp_path / "conf" / group / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(node))
        return f"{group}={name}"

    return write


def run_of(*overrides):
    return Run.parse(resolved(load([*SMALL, *overrides, "paths.outputs=outputs"])))


def stopped_after_each_update(run):
    """The record of a run that is stopped three times; the store has it."""
    for _ in range(3):
        with asked_to_stop(), pytest.raises(Interrupted):
            train(run, {}, [])
    return train(run, {}, [])


OPTIONS = [
    ("classification", {"loss": {"_target_": "torch.nn.CrossEntropyLoss", "weight": WEIGHTS, "label_smoothing": 0.1},
                        "scheduler": {"_target_": f"{TORCH}.OneCycleLR", "max_lr": 0.2},
                        "optimizer": {"_target_": "torch.optim.RMSprop", "lr": 0.01, "momentum": 0.9}}),
    ("regression", {"loss": {"_target_": "torch.nn.functional.huber_loss", "delta": 0.5},
                    "scheduler": {"_target_": f"{TORCH}.ReduceLROnPlateau", "patience": 0, "threshold": 0.5},
                    "optimizer": {"_target_": "torch.optim.ASGD", "lr": 0.01}}),
    ("classification", {"loss": {"_target_": "torch.nn.MSELoss"},
                        "scheduler": {"_target_": f"{TORCH}.SequentialLR", "milestones": [1], "schedulers": [
                            {"_target_": f"{TORCH}.LinearLR", "start_factor": 0.1, "total_iters": 1},
                            {"_target_": f"{TORCH}.StepLR", "step_size": 1}]}}),
]  # fmt: skip


@pytest.mark.parametrize(("task", "nodes"), OPTIONS, ids=["onecycle", "plateau", "sequential"])
def test_a_run_that_is_stopped_again_and_again_ends_with_the_same_bits(option, task, nodes):
    chosen = [option(group, node) for group, node in nodes.items()]
    data = ["data=diabetes"] if task == "regression" else []
    run = run_of(f"task={task}", *data, *chosen)
    record = stopped_after_each_update(run)
    assert record.status == "done"
    assert [asdict(each)["difference"] for each in rerun(record, Store("outputs"))] == [None] * 3
    rates = Store("outputs").history(record.id)["lr"]
    assert len({*rates}) > 1


def test_a_run_learns_what_torch_learns(option):
    """The same network, batches and rates by hand."""
    from paribus.run import build

    chosen = [option("loss", {"_target_": "torch.nn.CrossEntropyLoss", "weight": WEIGHTS}),
              option("optimizer", {"_target_": "torch.optim.Adam", "lr": 0.01}),
              option("scheduler", {"_target_": f"{TORCH}.StepLR", "step_size": 1, "gamma": 0.5})]  # fmt: skip
    run = run_of(*chosen)
    record = train(run, {}, [])
    setting = build.build_setting(run)
    data, network = build.build_data(run, setting), build.build_network(run, setting)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    loss = nn.CrossEntropyLoss(weight=torch.tensor(WEIGHTS))
    data.place(torch.device("cpu"), torch.float32, 0)
    for epoch in range(3):
        for indices in data.plan.epoch(epoch, 0):
            x, y = data.splits.train.gather(indices)
            optimizer.zero_grad()
            loss(network(x), y).backward()
            optimizer.step()
        scheduler.step()
    path = Store("outputs").run_dir(record.id) / "checkpoints" / "last.ckpt"
    found = torch.load(path, weights_only=True)["state_dict"]
    for name, value in network.state_dict().items():
        torch.testing.assert_close(found[f"network.{name}"], value, rtol=1e-5, atol=1e-7)
    x, y = data.splits.test.x, data.splits.test.y
    network.eval()
    assert record.metrics["test/loss"] == pytest.approx(float(loss(network(x), y).detach()), rel=1e-5)
    # The surface that is analysed is that of the whole split, however it is cut.
    from paribus.base.weights import flatten
    from paribus.extras.curvature.recorded import build_risk

    again = reload(record, Store("outputs"), double=True)
    risk = build_risk(replace(again, configured=again.configured.but({"evaluation.batch_size": 77})), "test", None)
    assert float(risk.value(flatten(again.network))) == pytest.approx(record.metrics["test/loss"], rel=1e-5)


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"loss": {"_target_": "torch.nn.BCELoss"}}, "loss=bceloss: BCELoss does not go with"),
        ({"scheduler": {"_target_": f"{TORCH}.OneCycleLR", "max_lr": 0.1, "total_steps": 3}}, "which is 9 updates"),
        ({"scheduler": {"_target_": f"{TORCH}.StepLR"}}, "step_size"),
        ({"scheduler": {"_target_": f"{TORCH}.StepLR", "step_siz": 2}}, "Did you mean step_size"),
    ],
    ids=str,
)
def test_mistakes_are_said_before_the_training(option, paribus, node, said):
    chosen = [option(group, each) for group, each in node.items()]
    result = paribus("train", *SMALL, *chosen)
    assert (result.code, "Traceback" in result.err) == (2, False), result.err
    assert said in result.err
    assert not list(Store("outputs").scan())
