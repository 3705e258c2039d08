"""What can't work is said before a module is trained: one message, with the remedy."""

import pytest

from paribus.base.errors import UserError
from paribus.config.compose import load, resolved
from paribus.config.run import Run
from paribus.run.execute import train


def attempt(tmp_path, *overrides, module="Regressor", metrics="mse: {better: lower}", monitor="val/mse"):
    node = module if module.startswith("{") else f"{{_target_: modules.{module}}}"
    lines = ["task=lightning", f"task.module={node}", f"task.metrics={{{metrics}}}",
             f"task.monitor={monitor}", f"paths.outputs={tmp_path}", "callbacks=[checkpoints]"]  # fmt: skip
    if not any(each.startswith("task.datamodule=") for each in overrides):
        lines.append("task.datamodule={_target_: modules.Data}")
    if not any("budget" in each for each in overrides):
        lines.append("budget.epochs=1")
    return train(Run.parse(resolved(load([*lines, *overrides]))), {}, [])


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        (r"takes no widht\. Did you mean width", {"overrides": ["+task.module.widht=3"]}),
        (r"task\.module\.width must be a whole number, got 'x'", {"overrides": ["+task.module.width=x"]}),
        (r"logs nothing", {"module": "Silent"}),
        (r"task\.metrics\.mae must be a metric that the module logs, and it logs .*val/mse",
         {"metrics": "mse: {better: lower}, mae: {better: lower}"}),
        (r"can't be trained: IndexError: .*modules\.py:\d+", {"module": "Broken"}),
        (r"must load with torch\.load\(weights_only=True\).*\['network'\]\['of mine'\], of class torch\.nn",
         {"module": "Pickled"}),
        (r"has no length.*budget\.updates.*limit_train_batches",
         {"overrides": ["task.datamodule={_target_: modules.EndlessData}"]}),
        (r"ended its process while it trained one batch", {"module": "Crash"}),
        (r"optimizer=adam has no effect: .*takes no argument optimizer", {"overrides": ["optimizer=adam"]}),
        (r"scheduler=cosine has no effect: .*takes no argument scheduler", {"overrides": ["scheduler=cosine"]}),
        (r"decay=all has no effect", {"overrides": ["decay=all"]}),
        (r"trainer\.flags\.max_epochs is set by Paribus\. Use budget\.epochs",
         {"overrides": ["trainer.flags.max_epochs=1"]}),
        (r"takes no gradient_clip\. Did you mean gradient_clip_val", {"overrides": ["trainer.flags.gradient_clip=1"]}),
        (r"model=mlp has no effect on task=lightning", {"overrides": ["model=mlp"]}),
        (r"init\.scale=2.* has no effect .*module's constructor", {"overrides": ["init.scale=2"]}),
        (r"clip\.norm=1.* has no effect .*gradient_clip_val", {"overrides": ["clip.norm=1"]}),
        (r"no length of its own.*budget\.epochs", {"overrides": ["budget.epochs=null"]}),
        (r"callbacks\.ema acts on every update of task=classification", {"overrides": ["callbacks=[ema]"]}),
        (r"val/mse must be a metric that the module logs.*val/mse/dataloader_idx_0",
         {"module": "OfTwoLoaders", "overrides": ["task.datamodule={_target_: modules.TwoLoaders}"]}),
        (r"ReduceLROnPlateau follows val/other, and the module logs", {"module": "WrongMonitor"}),
        (r"limit_train_batches=0 would train nothing", {"overrides": ["trainer.flags.limit_train_batches=0"]}),
        (r"loss of the first batch of training is not finite.*numbers in its batch\[0\]",
         {"overrides": ["task.datamodule={_target_: modules.Holes}"]}),
        (r"the training loader has no batches",
         {"overrides": ["task.datamodule={_target_: modules.Empty, part: train}"]}),
        (r"the validation loader has no batches",
         {"overrides": ["task.datamodule={_target_: modules.Empty, part: val}"]}),
        (r"training_step returned no loss, so .* would learn nothing", {"module": "Skips"}),
        (r"returned no optimizer of the module's parameters", {"module": "WithoutOptimizer"}),
        (r"can't be trained: RuntimeError: expected (target dtype|scalar type).* but \w+ Float \(modules\.py:\d+\)",
         {"module": "WrongTargets"}),
        (r"val/mse declares none\. Write \+\+task\.metrics\.mse\.better=higher", {"metrics": "mse: {}"}),
        (r"trainer: The strategy `fsdp` requires a GPU",
         {"overrides": ["trainer=fsdp", "trainer.accelerator=cpu", "trainer.devices=1"]}),
        (r"norm=group.*groups don't divide", {"overrides": ["norm=group", "norm.activation.groups=3"]}),
    ],
)  # fmt: skip
def test_a_mistake_is_one_message(message, changes, tmp_path):
    overrides = changes.pop("overrides", [])
    with pytest.raises(UserError, match=message):
        attempt(tmp_path, *overrides, **changes)
    assert not list(tmp_path.glob("runs/*")), "nothing was trained"


def test_a_norm_that_changes_nothing(tmp_path):
    with pytest.raises(UserError, match=r"norm=layer changes nothing: Autoencoder has no norm"):
        attempt(tmp_path, "norm=layer", "task.datamodule=null", module="Autoencoder",
                metrics="val_loss: {better: lower}", monitor="val_loss")  # fmt: skip


def test_factories_that_a_module_does_not_call(tmp_path):
    net = "{_target_: modules.network}"
    with pytest.raises(UserError, match=r"optimizer=adam has no effect: .*does not call it"):
        attempt(tmp_path, "optimizer=adam", module=f"{{_target_: modules.Unused, net: {net}}}")
    sgd = "{_target_: torch.optim.SGD, _partial_: true, lr: 0.1}"
    step = "{_target_: torch.optim.lr_scheduler.StepLR, _partial_: true, step_size: 1}"
    both = f"{{_target_: modules.WithFactories, net: {net}, optimizer: {sgd}, scheduler: {step}}}"
    with pytest.raises(UserError, match=r"both say what the module gets\. Leave one out \(~task\.module\.optimizer\)"):
        attempt(tmp_path, "optimizer=adam", module=both)
    assert attempt(tmp_path, module=both).status == "done"


def test_a_metric_that_comes_late_is_said_and_trained(tmp_path, capsys):
    late = {"module": "Late", "metrics": "mse: {better: lower}, late: {better: lower}"}
    assert attempt(tmp_path, "budget.epochs=2", **late).metrics["val/late"] == 1.0
    assert "It may do so later" in capsys.readouterr().err
    assert "val/late" not in attempt(tmp_path, "budget.epochs=1", **late).metrics
    assert capsys.readouterr().err.count("task.metrics.late must be a metric that the module logs") == 2


def test_endless_data_with_a_budget_that_ends(tmp_path):
    endless = "task.datamodule={_target_: modules.EndlessData}"
    assert attempt(tmp_path, endless, "budget.updates=5").timing["steps"] == 5
    record = attempt(tmp_path, endless, "budget.epochs=2", "trainer.flags.limit_train_batches=3")
    assert record.timing["steps"] == 6


def test_a_validation_that_may_never_end_is_said(tmp_path, capsys):
    from paribus.extras.lightning.trial import try_batches

    line = ["task=lightning", "task.module={_target_: modules.Regressor}", "budget.epochs=1", "task.monitor=val/mse",
            "task.datamodule={_target_: modules.EndlessValidation}", "task.metrics={mse: {better: lower}}"]  # fmt: skip
    try_batches(Run.parse(resolved(load(line))))
    assert "limit_val_batches=NUMBER bounds it" in capsys.readouterr().err


def test_a_module_that_is_none(tmp_path):
    with pytest.raises(UserError, match=r"must make a LightningModule .*got Sequential"):
        attempt(tmp_path, module="network")
