"""paribus adopt: a project in lightning-hydra-template's layout is trained as it is, and none of its files changes."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import hydra_template
import pytest
import yaml
from hydra import compose, initialize_config_dir

from paribus.config.compose import load, resolved
from paribus.projects.logged import direction
from paribus.store.store import Store


def digests(folder):
    """The project's own files: everything but what Paribus writes, and what Python and Hydra leave behind."""
    ours = ("conf/", "outputs/", "logs/")
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
        and not (name := path.relative_to(folder).as_posix()).startswith(ours)
        and "__pycache__" not in name
    }


def yaml_of(path):
    return yaml.safe_load(Path(path).read_text())


@pytest.fixture
def project(tmp_path, monkeypatch, paribus):
    """Makes the project in the current folder."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("PROJECT_ROOT", raising=False)
    yield lambda changes=None: hydra_template.project(tmp_path, changes)
    for name in [name for name in sys.modules if name.partition(".")[0] == "src"]:
        del sys.modules[name]  # each test has a package of that name


def own_composition(folder, monkeypatch, *overrides):
    """What the project's own script composes there: module and data module."""
    monkeypatch.setenv("PROJECT_ROOT", ".")
    with initialize_config_dir(config_dir=str(folder / "configs"), version_base="1.3"):
        config = compose("train", overrides=["hydra=plain", *overrides])
        found = {name: yaml.safe_load(_text(config[name])) for name in ("model", "data")}
    monkeypatch.delenv("PROJECT_ROOT")
    return found


def _text(node):
    from omegaconf import OmegaConf

    OmegaConf.register_new_resolver("times", lambda x, y: x * y, replace=True)
    return OmegaConf.to_yaml(node, resolve=True)


def without_conversion(node):
    if isinstance(node, dict):
        return {key: without_conversion(value) for key, value in node.items() if key != "_convert_"}
    return [without_conversion(each) for each in node] if isinstance(node, list) else node


@pytest.mark.needs("lightning")
def test_the_adopted_project_is_trained_and_its_files_stay(project, paribus, monkeypatch):
    folder = project(hydra_template.FEW)
    before = digests(folder)
    own = own_composition(folder, monkeypatch)
    done = paribus("adopt", ".")
    assert done.code == 0, done.err
    assert digests(folder) == before
    assert own_composition(folder, monkeypatch) == own

    task = resolved(load([]))["task"]
    assert without_conversion(task["module"]) == own["model"]
    assert without_conversion(task["datamodule"]) == own["data"]
    trained = paribus("train", "budget.epochs=1")
    assert trained.code == 0, trained.err
    [record] = Store("outputs").scan()
    assert (record.status, record.seed) == ("done", 12)
    assert {"test/acc", "test/loss", "val/acc"} <= set(record.metrics)
    assert digests(folder) == before


def test_what_the_files_say(project, paribus):
    project()
    said = paribus("adopt", ".")
    task = yaml_of("conf/task/" + Path.cwd().name.lower() + ".yaml")
    assert task["budget"] == {"epochs": 3}
    assert task["evaluation"] == {"checkpoint": "best"}  # its script tests the best weights
    assert set(task["callbacks"]) == {"early_stopping"}
    assert task["callbacks"]["early_stopping"]["monitor"] == "val/acc_best"
    assert task["task"] == {"metrics": {"acc": {"better": "higher"}, "loss": {"better": "lower"}}, "monitor": "val/acc"}
    assert task["vars"] == {"hidden": 4}
    small = yaml_of("conf/task/module/small.yaml")
    assert (small["batch"], small["net"]["sizes"]["last"]) == ("${task.datamodule.batch_size}", "${vars.hidden}")
    assert "with model=large: model.net.sizes.last: ${times:${hidden},4} is written as its value, 16" in said.out
    assert "model.name: ${shout:quiet} is computed by the resolver shout" in said.out
    assert yaml_of("conf/task/module/loud.yaml")["name"] == "???"
    assert "model=broken is left out" in said.out
    [search] = Path("conf/hparams_search").glob("*optuna.yaml")
    assert yaml_of(search)["hydra"]["sweeper"]["params"] == {"task.module.optimizer.lr": "interval(0.001, 0.1)"}
    assert "trainer.max_epochs is no argument" in said.out


def test_options_and_experiments_are_those_of_the_project(project, paribus, monkeypatch):
    folder = project()
    own = own_composition(folder, monkeypatch, "experiment=example")
    assert paribus("adopt", ".").code == 0
    [name] = [path.stem for path in Path("conf/experiment").iterdir()]
    assert name.endswith("_example")  # Paribus has an example of its own
    config = resolved(load([f"experiment={name}"]))
    assert without_conversion(config["task"]["module"]) == own["model"]
    assert without_conversion(config["task"]["datamodule"]) == own["data"]
    assert (config["seed"], config["budget"]["epochs"]) == (77, 2)
    assert (config["trainer"]["precision"], config["trainer"]["flags"]) == ("16-mixed", {"gradient_clip_val": 0.5})
    assert resolved(load(["task/module=large"]))["task"]["module"]["net"]["sizes"] == {"first": 2, "last": 16}
    ablation = yaml_of(f"conf/ablation/{Path.cwd().name.lower()}.yaml")["ablation"]
    assert ablation["factors"] == {"task.module.optimizer.lr": [0.01, 0.001]}
    assert [each["direction"] for each in ablation["hypotheses"]] == ["greater"]  # of an accuracy
    planned = paribus("plan", f"ablation={Path.cwd().name.lower()}")
    assert "2 arms, 6 runs" in planned.out, planned.err


def test_what_the_script_does_itself_is_named_and_must_be_given(project, paribus):
    script = hydra_template.PROJECT["src/train.py"]
    script = script.replace("    model: ", "    cfg.model.name = str(datamodule)\n    model: ")
    script = script.replace("instantiate(cfg.model)", "instantiate(cfg.model, batch=len(datamodule))")
    project({**hydra_template.FEW, "src/train.py": script})
    said = paribus("adopt", ".")
    assert "src/train.py:22 sets model.name while it runs" in said.out
    assert "src/train.py:23 passes batch=len(datamodule), made while it runs" in said.out
    assert "Please complete the files first" in said.out
    assert resolved(load(["task.module.name=x", "task.module.batch=4"]))["task"]["module"]["batch"] == 4


def test_trainers_of_other_machines_are_named(project, paribus):
    trainer = "_target_: pytorch_lightning.Trainer\nmax_steps: 7\nmax_epochs: -1\naccelerator: gpu\ndevices: [0, 1]\n"
    trainer += "strategy: ddp_spawn\nprecision: bf16\nmin_epochs: 2\nfast_dev_run: true\n"
    project({**hydra_template.FEW, "configs/trainer/default.yaml": trainer})
    said = paribus("adopt", ".")
    assert yaml_of("conf/train.yaml") == {
        "defaults": [{"override /task": Path.cwd().name.lower()}, {"override /trainer": "gpu"}],
        "trainer": {"devices": 2, "strategy": "ddp", "precision": "bf16-mixed", "flags": {"min_epochs": 2}},
    }
    assert resolved(load([]))["budget"] == {"epochs": None, "updates": 7, "samples": None, "seconds": None}
    for text in ("trainer.accelerator=gpu is what", "trainer.devices=[0, 1]", "strategy=ddp_spawn", "fast_dev_run"):
        assert text in said.out


@pytest.mark.parametrize(
    ("value", "written", "said"),
    [
        ("${oc.env:PROJECT_ROOT}/x", "./x", ""),
        ("${oc.env:NOBODY_HAS_THIS}", "${oc.env:NOBODY_HAS_THIS}", "type: export NOBODY_HAS_THIS=VALUE"),
        ("${oc.env:NOBODY_HAS_THIS,y}", "${oc.env:NOBODY_HAS_THIS,y}", ""),
        ("${hydra:runtime.cwd}/x", "./x", ""),
        ("${paths.output_dir}/x", "logs/paribus/x", "All runs share logs/paribus"),
        ("${now:%H}", "???", "differs with every call"),
        ("${nowhere.x}", "???", "refers to nowhere.x, which is not there"),
        ("${.data_dir}/x", "${.data_dir}/x", ""),
        ("${..hidden}", "${vars.hidden}", ""),
        ("${data.batch_size}-${seed}", "${task.datamodule.batch_size}-${seed}", ""),
        ("${trainer.max_epochs}", "${budget.epochs}", ""),
        ("${oc.select:nowhere.x,5}", 5, ""),
        ("${oc.select:hidden,5}", "${vars.hidden}", ""),
        ("${trainer.accelerator}", "cpu", ""),
    ],
)  # fmt: skip
def test_interpolations(value, written, said):
    from paribus.projects.references import References

    tree = {
        "hidden": 4, "seed": 1, "data": {"batch_size": 2, "data_dir": "d", "it": value},
        "trainer": {"max_epochs": 3, "accelerator": "cpu"}, "paths": {"output_dir": "${hydra:runtime.output_dir}"},
    }  # fmt: skip
    notes = []
    places = {("data",): "task.datamodule", ("seed",): "seed", ("trainer", "max_epochs"): "budget.epochs"}
    assert References(tree, places, {}, notes.append).value(value, ("data", "it")) == written
    assert (said in notes[0]) if said else notes == []


@pytest.mark.parametrize(
    ("better", "names"),
    [
        (
            "higher",
            "val/answer_acc flower_acc acc_best top5_acc acc@5 valAccuracy MulticlassAccuracy psnr map mAP50 mIoU",
        ),
        (
            "higher",
            "iou f1 F1Score BinaryF1Score f1_macro R2 r2_score recall@10 hit_rate ROCAUC auroc BLEU4 distance_acc",
        ),
        ("higher", "precision dice_score error_free_acc"),
        (
            "lower",
            "wer val/wer valLoss val_loss_epoch CELoss error_rate word_error_rate perplexity top1_err RMSE test/mae",
        ),
        ("lower", "acc_loss score_error precision_loss reward_distance"),
        (None, "answer flower lower hours skill apple mapping version temperature map_size/epoch grad_norm throughput"),
    ],
)
def test_whole_words_of_a_metrics_name_say_its_direction(better, names):
    assert {name: direction(name) for name in names.split()} == dict.fromkeys(names.split(), better)


def test_nothing_is_overwritten_and_a_second_time_changes_nothing(project, paribus):
    project(hydra_template.FEW)
    assert paribus("adopt", ".").code == 0
    assert paribus("adopt", ".").code == 0
    Path("conf/train.yaml").write_text("# mine\n")
    done = paribus("adopt", ".")
    assert (done.code, "conf/train.yaml exist" in done.err) == (2, True)
    assert Path("conf/train.yaml").read_text() == "# mine\n"


def test_folders_that_are_no_such_project(project, paribus, tmp_path):
    assert "no folder" in paribus("adopt", "nowhere").err
    (tmp_path / "empty").mkdir()
    done = paribus("adopt", "empty")
    assert (done.code, "--config FILE" in done.err) == (2, True)
    files = {name.replace("configs/", "conf/", 1): text for name, text in hydra_template.PROJECT.items()}
    files["src/train.py"] = files["src/train.py"].replace("../configs", "../conf")
    hydra_template.project(tmp_path / "other", {**dict.fromkeys(hydra_template.PROJECT), **files})
    done = paribus("adopt", "other")
    assert (done.code, "lies in conf, where Paribus reads its own" in done.err) == (2, True)
    assert digests(tmp_path / "other").keys() == {name for name in files if not name.startswith("conf/")}
    project({**hydra_template.FEW, "configs/model/small.yaml": "width: 3\n"})
    done = paribus("adopt", ".")
    assert (done.code, "--module SECTION" in done.err) == (2, True)


@pytest.mark.slow
def test_its_own_script_goes_on_working(project, paribus, tmp_path):
    project()
    assert paribus("adopt", ".").code == 0
    for line in (["hydra=plain", "trainer.max_epochs=1"], ["hydra=plain", "trainer.max_epochs=1", "model=large"]):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "src/train.py", *line], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert "trained ['train/loss', 'val/acc'" in done.stdout
