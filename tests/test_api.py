"""The Python surface: the runs, plans, tables and messages of the commands; nothing is imported before it is needed."""

import ast
import inspect
import math
import subprocess
import sys
import typing
from pathlib import Path

import pandas as pd
import pytest
import torch

import paribus
import paribus.run.execute  # a package of the same name as a function
from paribus.api import Figures
from paribus.base.errors import UserError

ROOT = Path(__file__).parents[1]
FUNCTIONS = ("load", "train", "plan", "records", "table", "figure", "surface", "check")
JOB = ("model=mlp", "budget.epochs=2")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PARIBUS_OUTPUTS", str(folder))
        yield folder


@pytest.fixture(scope="module")
def run(outputs):
    return paribus.train(*JOB)


@pytest.fixture(scope="module")
def sweep(outputs):
    return paribus.train(*JOB, "optimizer=sgd,adam", "seed=range(2)", multirun=True)


def command(*words):
    done = subprocess.run([sys.executable, "-m", "paribus", *words], capture_output=True, text=True)
    assert done.returncode in (0, 2), done.stderr
    return done


def test_importing_it_imports_nothing_else():
    code = "import sys, paribus; dir(paribus); print([m for m in sys.modules if m.split('.')[0] in {names}])"
    names = {"torch", "pandas", "numpy", "hydra", "omegaconf", "matplotlib", "yaml", "click"}
    shown = subprocess.run([sys.executable, "-c", code.replace("{names}", repr(names))], capture_output=True, text=True)
    assert shown.stdout == "[]\n", shown.stderr


def test_reading_records_imports_no_torch(tmp_path):
    code = f"""
import sys, paribus
assert paribus.records(outputs={str(tmp_path)!r}).empty
str(paribus.plan(ablation="demo"))
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_function_stays_where_a_package_has_its_name():
    assert inspect.isfunction(paribus.train)
    assert inspect.isfunction(paribus.plan)
    assert set(paribus.__all__) <= set(dir(paribus))
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        paribus.trian  # noqa: B018


def test_type_checkers_see_every_name():
    tree = ast.parse((ROOT / "src" / "paribus" / "__init__.py").read_text())
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {name.name for node in block.body for name in node.names}
    assert seen | {"__version__"} == set(paribus.__all__)
    for name in FUNCTIONS:
        signature = inspect.signature(getattr(paribus, name))
        assert signature.return_annotation is not inspect.Signature.empty
        assert getattr(paribus, name).__doc__


def test_a_run_is_the_one_of_the_command(run):
    assert run.status == "done"
    assert run.id in command("runs").stdout
    assert f"{run.id} is done already" in command("train", *JOB).stderr
    assert (run.folder / "record.json").is_file()
    assert run.record.provenance["command"] == "paribus train model=mlp budget.epochs=2"


def test_keywords_are_values_and_a_run_is_not_trained_again(run, capsys):
    again = paribus.train(model="mlp", **{"budget.epochs": 2})
    assert again.record == run.record
    assert "is done already" in capsys.readouterr().err


def test_what_is_known_of_a_run(run):
    assert run.history["epoch"].iloc[-1] == 2
    assert run.history["val/acc"].iloc[-1] == run.metrics["val/acc"]
    assert run.config["budget"]["epochs"] == 2
    assert run.timing["steps"] == run.history["step"].iloc[-1]
    assert str(run).startswith(f"{run.id} done: test/acc")


def test_a_loaded_network_gives_the_recorded_accuracy(run):
    loaded = paribus.load(run.id[:8])
    assert not loaded.network.training
    right = [(loaded.network(x).argmax(1) == y).double() for x, y in loaded.batches("test")]
    assert torch.cat(right).mean().item() == pytest.approx(run.metrics["test/acc"], abs=1e-12)
    assert loaded.record == run.record
    assert paribus.load(run).evaluate() == pytest.approx(
        {k: v for k, v in run.metrics.items() if k.startswith("test/")}
    )


def test_an_imported_run_asks_for_trust(run, tmp_path):
    record = run.folder / "record.json"
    folder = tmp_path / "runs" / run.id
    folder.parent.mkdir()
    import shutil

    shutil.copytree(run.folder, folder)
    (folder / "record.json").write_text(
        record.read_text().replace('"provenance": {', '"provenance": {"imported": {},', 1)
    )
    with pytest.raises(UserError, match="was imported"):
        paribus.load(run.id, outputs=tmp_path)
    assert paribus.load(run.id, outputs=tmp_path, trust=True).metrics == run.metrics


def test_a_sweep_returns_a_row_for_each_run(sweep):
    assert list(sweep["status"]) == ["done"] * 4
    assert sorted(zip(sweep["optimizer"], sweep["seed"], strict=True)) == [
        ("adam", 0), ("adam", 1), ("sgd", 0), ("sgd", 1),
    ]  # fmt: skip
    assert sweep["id"].is_unique
    assert sys.argv[0] != "paribus train"


def test_records_are_filtered_as_runs_are(run, sweep):
    every = paribus.records()
    assert {run.id, *sweep["id"]} == set(every["id"])
    adam = paribus.records("optimizer=adam")
    assert set(adam["id"]) == set(sweep["id"][sweep["optimizer"] == "adam"])
    assert "optimizer" not in adam  # all are alike in it
    assert adam.equals(paribus.records(optimizer=["adam", "adamw"]))
    assert pd.api.types.is_datetime64_any_dtype(every["created"])
    assert not every["test/acc"].isna().any()
    assert paribus.records(newer="1s", older="0s").shape[0] <= len(every)
    with pytest.raises(UserError, match="no run has a optimiser"):
        paribus.records(optimiser="adam")


def test_an_ablation_selects_its_own_runs(outputs, run, sweep):
    assert paribus.records(ablation="demo").empty


def test_a_plan_prints_as_the_command_does(outputs, sweep):
    plan = paribus.plan(*JOB, "optimizer=sgd,adam", "seed=range(3)")
    assert f"{plan}\n" == command("plan", *JOB, "optimizer=sgd,adam", "seed=range(3)").stdout
    assert repr(plan) == str(plan)
    frame = plan.to_frame()
    assert set(sweep["id"]) == set(frame["id"][frame["status"] == "done"])
    assert len(plan.missing) == 2
    assert plan.seconds > 0


def test_a_table_is_the_one_of_the_command(outputs, sweep):
    table = paribus.table(metrics="val/acc")
    assert table.text("markdown") == command("table", "--metric", "val/acc").stdout
    assert str(table).startswith("| optimizer |")
    assert r"\begin{table}" in table.to_latex()
    assert "<table" in table.to_html()
    frame = table.to_frame().set_index("arm")
    for arm, of in sweep.groupby("optimizer"):
        [mean] = [mean for label, mean in frame["mean"].items() if arm in label]
        assert mean == pytest.approx(of["val/acc"].mean())


def test_every_kind_of_figure_is_named_in_the_type():
    from paribus.report.figures import named

    assert typing.get_args(Figures) == (*named.OF_ABLATIONS, *named.OF_RUNS)


def test_figures_of_a_sweep_of_a_run_and_of_runs_put_together(run, sweep):
    from matplotlib.figure import Figure

    assert isinstance(paribus.figure("seeds"), Figure)
    assert isinstance(paribus.figure("training", run), Figure)
    assert isinstance(paribus.figure("training", run.id), Figure)
    one = paribus.figure("learning_curves_updates", metrics=["train/loss"])
    assert {axes.get_ylabel() for axes in one.axes} - {""} == {"training loss"}
    assert "test loss" in paribus.figure("seeds", metrics=["test/loss"]).get_label()
    runs = {name: [paribus.load(id) for id in of["id"]] for name, of in sweep.groupby("optimizer")}
    drawn = paribus.figure("learning_curves_updates", runs, title="mine")
    labels = {text.get_text() for legend in drawn.legends for text in legend.get_texts()}
    labels |= {text.get_text() for axes in drawn.axes if axes.get_legend() for text in axes.get_legend().get_texts()}
    labels |= {text.get_text() for axes in drawn.axes for text in axes.texts}
    assert {"adam", "sgd"} <= labels


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paribus.train("model=mlpp"), "model=mlpp is not an option"),
        (lambda: paribus.train(**{"optimizer.lr": math.nan}), "optimizer.lr"),
        (lambda: paribus.train("-m", "seed=1,2"), "multirun=True"),
        (lambda: paribus.train("seed=1,2"), "seed"),
        (lambda: paribus.train("seed=1", "seed=2"), "seed is given twice"),
        (lambda: paribus.train(3), "overrides are words"),
        (lambda: paribus.train("model=mlp,mlpp", multirun=True), "mlpp"),
        (lambda: paribus.plan(ablation="normz"), "ablation=normz is not an option"),
        (lambda: paribus.load("zzz"), "has an id that starts with"),
        (lambda: paribus.figure("pie"), "a figure is one of"),
        (lambda: paribus.figure("path"), "path can't be drawn: the design is not a path"),
        (lambda: paribus.figure("training"), "training is of one run"),
        pytest.param(
            lambda: paribus.surface("optimizer.lr=0.1,0.2"), "several values", marks=pytest.mark.needs("surfaces")
        ),
        (lambda: paribus.check("9.9"), "no check has the id 9.9"),
    ],
)
def test_a_mistake_is_a_user_error(outputs, sweep, call, message):
    with pytest.raises(UserError, match=message):
        call()


def test_a_hydra_of_the_callers_is_left_alone(run, tmp_path):
    from hydra import compose, initialize_config_dir

    (tmp_path / "mine.yaml").write_text("a: 1\n")
    with initialize_config_dir(config_dir=str(tmp_path), version_base="1.3"):
        assert paribus.train(*JOB).id == run.id
        assert compose("mine").a == 1


@pytest.mark.needs("surfaces")
def test_descents_and_checks():
    [found] = paribus.surface("surface=valley", "optimizer=sgd,adam", "steps=20", multirun=True)
    assert [len(path.losses) for path in found.paths] == [21, 21]
    assert "valley" in str(found)
    assert found.figure().axes
    measured = paribus.check("1.4a-e")
    assert set(measured["outcome"]) == {"SUPPORTED"}
    assert {"measured", "expected"} <= set(measured)


@pytest.mark.needs("curvature")
def test_the_curvature_of_a_network_that_is_no_run():
    """Of a linear least-squares problem with a penalty, whose Hessian is known: 2 X^T X / N + c I."""
    x, y = torch.randn(50, 3, dtype=torch.float64), torch.randn(50, 1, dtype=torch.float64)
    network = torch.nn.Linear(3, 1, bias=False).double()
    before = network.weight.detach().clone()
    found = paribus.curvature(network, x, y, torch.nn.functional.mse_loss, decay=0.1, batch_size=7)
    hessian = 2 * x.T @ x / 50 + 0.1 * torch.eye(3)
    assert found["eigenvalues"] == pytest.approx(torch.linalg.eigvalsh(hessian).tolist(), rel=1e-9)
    assert found.verdict == "minimum-like"
    start = torch.nn.functional.mse_loss(x @ before.T, y) + 0.05 * before.square().sum()
    assert found["start_loss"] == pytest.approx(float(start), rel=1e-12)
    assert torch.equal(network.weight, before)
    assert found.figure().axes
    assert "mean over 50 given samples" in str(found)
    with pytest.raises(UserError, match="finite loss"):
        paribus.curvature(network, x * math.inf, y, torch.nn.functional.mse_loss)


@pytest.mark.parametrize(
    ("extra", "call"),
    [
        ("surfaces", lambda run: paribus.surface("surface=valley")),
        ("curvature", lambda run: run.curvature()),
        ("curvature", lambda run: paribus.curvature(torch.nn.Linear(1, 1), torch.ones(1, 1), torch.ones(1, 1), sum)),
        ("surfaces", lambda run: paribus.check("1.2-5e")),
    ],
)
def test_a_deleted_extra_is_said(run, tmp_path, monkeypatch, extra, call):
    """As if its folder were gone: its modules can't be imported."""
    from paribus.base import extras

    monkeypatch.setattr(extras, "_FOLDER", tmp_path)
    known = dict(sys.modules)
    for name in [name for name in known if name.startswith(("paribus.extras", "paribus.notes.checks."))]:
        package, _, last = name.rpartition(".")
        monkeypatch.setattr(known[package], last, known[name])  # what an import replaces comes back
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [_Gone(f"paribus.extras.{extra}"), *sys.meta_path])
    with pytest.raises(UserError, match=f"needs the extra {extra}, which this installation lacks"):
        call(run)


class _Gone:
    """Finds no module of this name."""

    def __init__(self, name):
        self.name = name

    def find_spec(self, name, path=None, target=None):
        if name == self.name:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.slow
def test_a_users_code_is_typed(tmp_path):
    code = tmp_path / "user.py"
    code.write_text(
        "import paribus\nimport paribus.run.execute\n"
        "reveal_type(paribus.train('model=mlp'))\nreveal_type(paribus.train('seed=1,2', multirun=True))\n"
        "reveal_type(paribus.load('a').network)\nparibus.figure('pie')\nparibus.plan(3)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", "", str(code)],
        capture_output=True, text=True, env={"MYPYPATH": str(ROOT / "src"), "PATH": ""},
    )  # fmt: skip
    for expected in (
        "TrainedRun",
        "DataFrame",
        "torch.nn.modules.module.Module",
        '"figure" has incompatible',
        '"plan" has',
    ):
        assert expected in done.stdout, done.stdout


def test_no_name_is_that_of_a_package():
    """Python puts a package that somebody imports in the place of a function of its name."""
    packages = {path.parent.name for path in Path(paribus.__file__).parent.glob("*/__init__.py")}
    assert packages
    assert not packages & {*paribus.__all__}
