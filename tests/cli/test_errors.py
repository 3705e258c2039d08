"""A user's mistake: exit code 2, one message that says what to type, no traceback, nothing written."""

import pytest

MISTAKES = [
    ("optimizer=adamm", ["optimizer=adamm", "adam"]),
    ("optimizer.lrr=1", ["optimizer.lrr", "optimizer.lr"]),
    ("optimizer.lr=abc", ["optimizer", "'abc'"]),
    ("optimizer.lr=-1", ["optimizer", "-1"]),
    ("model=mlp model.width=wide", ["model.width", "whole number", "'wide'"]),
    ("model.widht=3", ["model.widht", "model.widths"]),
    ("model=mlp norm=instance", ["model=mlp", "norm=instance", "norm=layer"]),
    ("norm.activation.groups=7 norm=group", ["7 groups", "16", "8"]),
    ("data.batch_size=5000", ["5000", "1200", "batch_size=full"]),
    ("data.batch_size=0", ["data.batch_size", "0"]),
    ("data.batch_size=half", ["data.batch_size", "'half'"]),
    ("data.batch_size=1 model=mlp", ["model=mlp", "norm=batch", "(1, 128)"]),
    ("data.batch_size=63 trainer=ddp_sim", ["63", "2 processes", "62 or 64"]),
    ("budget.epochs=2 budget.updates=3", ["budget.epochs=2", "budget.updates=3", "budget.epochs=null"]),
    ("budget.epochs=-1", ["budget.epochs", "-1"]),
    ("data=mnist data.source.root=nowhere", ["nowhere", "IDX"]),
    ("data=cifar10 data.source.root=nowhere", ["cifar-10-python.tar.gz", "nowhere"]),
    ("data=image_folder data.source.root=nowhere", ["train/CLASS", "data.source.root"]),
    ("data.label_noise=2", ["label_noise", "2"]),
    ("data.validation=0.0", ["data.validation", "0.0"]),
    ("scheduler.warmup=1.5", ["warmup", "1.5", "0.05"]),
    ("scheduler=batch_growth budget.updates=9", ["budget in epochs", "budget.updates"]),
    ("scheduler.warmup=5 budget.seconds=1", ["scheduler.warmup=5", "0.05"]),
    ("evaluation.checkpoint=first", ["evaluation.checkpoint", "last, best"]),
    ("model=mlp norm=none scheduler.warmup=5000 budget.epochs=1", ["scheduler.warmup must end within the run", "5000"]),
    ("+lr=0.5", ["lr is not a key", "optimizer.lr=VALUE"]),
    ("trainer.gradient_clip_val=0.5", ["is not a key", "clip.norm=VALUE"]),
    ("+trainer.max_epochs=3", ["is not a key", "budget.epochs=VALUE"]),
    ("ablation=demo ablation.seeds.cap=5", ["is not set in this ablation file", "+ablation.seeds.cap=VALUE"]),
    ("+ckpt_path=/nowhere", ["ckpt_path is not a key", "resume a killed run"]),
    ("+task._target_=my.GPT", ["An item is already at 'task._target_'", "remove + prefix: 'task._target_=my.GPT'"]),
    ("task._target_=x", ["task._target_ must be the import path", "'x'"]),
    ("task._target_=my.GPT", ["my.GPT needs the package my"]),
    ("+task.widht=3", ["task.widht is not a key"]),
    ("task=clasification", ["task=clasification is not an option", "classification"]),
    ("task.metrics.acc.better=up", ["task.metrics.acc.better must be", "higher, lower", "'up'"]),
    ("task.metrics.acc.chance=half", ["task.metrics.acc.chance must be a number, K/classes", "'half'"]),
    ("+task.metrics.acc.direction=up", ["task.metrics.acc.direction is not a key"]),
    ("task.metrics.acc.better=null", ["evaluation.monitor", "val/acc", "task.metrics.acc.better=higher"]),
    ("task.monitor=val/accc", ["evaluation.monitor", "'val/accc'", "Did you mean val/acc "]),
    ("evaluation.monitor=test/acc", ["evaluation.monitor must be a metric of the validation", "val/acc, val/loss"]),
    (
        "callbacks=[default,early_stopping] callbacks.early_stopping.monitor=val/f1",
        ["early_stopping.monitor", "val/f1"],
    ),
    ("+task=regression", ["task has an option already", "Write task=OPTION"]),
    ("metrics=[f1,aurroc]", ["metrics=aurroc is not an option", "Did you mean auroc"]),
    ("norm=[bacth]", ["norm=bacth is not an option", "Did you mean batch"]),
    ("evaluation.monitor=val/f1", ["evaluation.monitor", "'val/f1'", "Add metrics=f1"]),
    (
        "metrics=f1 metrics.f1.better=null evaluation.monitor=val/f1",
        ["val/f1 declares none. Write ++metrics.f1.better=higher"],
    ),
    ("+foo.bar=1", ["foo is not a key"]),
    ("norm.activation.eps=1e30", ["norm.activation.eps must be a number from 0 to 1"]),
    ("optimizer.lr={a:1}", ["optimizer.lr must be a number, got {'a': 1}"]),
    (
        "optimizer=adam optimizer.betas={a:0.9}",
        ["optimizer.betas must be a list, got the mapping {a:0.9}", "optimizer.betas=["],
    ),
    ("optimizer=lamb optimizer.adam_debias='false'", ["optimizer.adam_debias must be true or false, got the word"]),
    ("optimizer=adam optimizer.eps=inf", ["optimizer.eps must be a finite number"]),
    ("data={a:0.9}", ["data.a is not a key"]),
    ("optimizer={lrr:0.1}", ["optimizer.lrr is not a key", "optimizer.lr"]),
    ("data=[0.9]", ["options of a group have names", "got a float"]),
    ("stack=-inf", ["stack must be a whole number of at least 1 or one of auto, off"]),
    ("optimized_metric=nope", ["optimized_metric must be a metric that the run measures", "'nope'"]),
    ("seed=abc", ["seed must be", "'abc'"]),
    ("trainer.devices=auto", ["trainer.devices", "'auto'"]),
    ("trainer.devices=2", ["trainer.strategy=ddp"]),
    ("trainer=gpu", ["trainer=cpu"]),
    ("trainer.precision=8", ["trainer.precision", "32-true"]),
    ("trainer.accumulate=100", ["trainer.accumulate=100"]),
    ("clip.norm=-1", ["clip.norm", "-1"]),
    ("decay=some", ["decay", "weights"]),
    ("loss=scalar_mse loss.order=[0,1,2]", ["loss", "0 to 9", "[0, 1, 2]"]),
    ("model=vit_tiny model.patch=3 norm=layer", ["patch", "8 x 8", "model.patch"]),
    ("callbacks.checkpoints.every_seconds=-1", ["every_seconds", "-1"]),
    ("seeds=20", ["seeds", "20", "seed=1"]),
    ("budget=20", ["budget.epochs=20"]),
    ("norm=5", ["norm=batch", "got int"]),
    ("foo", ["foo"]),
    ("norm=[batch", ["norm"]),
    ("seed=1,2", ["seed=1,2"]),
]


@pytest.mark.parametrize(("command", "said"), MISTAKES, ids=[command for command, _ in MISTAKES])
def test_a_mistake_in_train(paribus, tmp_path, monkeypatch, command, said):
    monkeypatch.setattr("urllib.request.urlopen", offline)
    result = paribus("train", *command.split())
    assert result.code == 2, result.err
    for part in said:
        assert part in result.err
    assert "Traceback" not in result.err
    assert len(result.err.strip().splitlines()) <= 2
    assert {path.name for path in tmp_path.iterdir()} <= {"outputs"}
    assert not list(tmp_path.glob("outputs/runs/*"))


def offline(*_, **__):
    raise OSError("no network")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("table", "there is no sweep"),
        ("table ablation=demo", "demo"),
        ("table ablation=dmeo", "dmeo is not an option"),
        ("table --format word", "markdown"),
        ("evaluate 123", "'123'"),
        ("tabel", "tabel"),
        ("train -m seed=1,2 seed=3", "seed is given twice"),
        ("train -m optimizer.lr=interval(0.1,0.2)", "hparams_search=optuna"),
        ("plan norm=bacth", "batch"),
        ("plan data={a:0.9}", "data.a is not a key"),
    ],
)
def test_a_mistake_elsewhere(paribus, tmp_path, command, said):
    result = paribus(*command.split())
    assert result.code == 2, result.err
    assert said in result.err
    assert "Traceback" not in result.err


def test_an_output_folder_that_cannot_be_written(paribus, tmp_path):
    (tmp_path / "file").write_text("")
    result = paribus("train", "paths.outputs=file/below")
    assert result.code == 2
    assert "paths.outputs" in result.err
