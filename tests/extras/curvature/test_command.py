"""The commands curvature, landscape and surface, from the command line to what they leave behind."""

import json
import re
from pathlib import Path

import pytest
import torch

from paribus.config import config_dir
from paribus.config.compose import load, resolved
from paribus.run.instantiate import check_arguments, instantiate

QUICK = ["model=mlp", "model.width=4", "data.subset=60", "data.batch_size=20", "budget.epochs=3", "evaluation.every=3"]
FEW = ["--refine", "2", "--samples", "20"]


def only_run(folder: Path) -> Path:
    [run] = (folder / "outputs" / "runs").iterdir()
    return run


def train(paribus, folder, *options):
    assert paribus("train", *QUICK, *options).code == 0
    return only_run(folder)


def test_curvature_prints_a_verdict_writes_json_and_pictures_and_leaves_the_record_alone(paribus, tmp_path):
    run = train(paribus, tmp_path, "norm=batch", "model.activation=tanh")
    record = (run / "record.json").read_bytes()
    result = paribus("curvature", run.name[:6], *FEW)
    assert result.code == 0, result.err
    for word in ("λ max", "λ min", "minimum ratio", "verdict", "Hessian-vector products"):
        assert word in result.out
    content = json.loads((run / "curvature" / "curvature.json").read_text())
    assert content["verdict"].upper() in result.out
    assert sum(content["counts"].values()) == content["parameters"] == len(content["eigenvalues"])
    assert content["top"]["value"] == content["eigenvalues"][-1]
    assert content["refine_steps"] == 2
    assert {path.name for path in (run / "curvature").iterdir()} == {
        "curvature.json",
        "spectrum.png",
        "spectrum.pdf",
        "state.pt",
    }
    assert (run / "record.json").read_bytes() == record
    # The same command finds its own work; more steps go on from it.
    again = paribus("curvature", run.name, *FEW)
    assert json.loads((run / "curvature" / "curvature.json").read_text())["products"] == content["products"]
    assert again.out == result.out
    paribus("curvature", run.name, "--refine", "3", "--samples", "20")
    longer = json.loads((run / "curvature" / "curvature.json").read_text())
    assert longer["refine_steps"] == 3
    assert longer["gradient_norm_start"] == content["gradient_norm_start"]
    assert longer["products"] > content["products"]


@pytest.mark.slow
def test_curvature_without_a_dense_hessian_agrees_with_the_dense_one(paribus, tmp_path):
    run = train(paribus, tmp_path, "norm=layer", "loss=mse", "model.activation=tanh")
    found = []
    for dense in ("3000", "10"):
        options = ["--refine", "0", "--samples", "40", "--products", "300", "--probes", "4", "--dense", dense]
        assert paribus("curvature", run.name, *options).code == 0
        found.append(json.loads((run / "curvature" / "curvature.json").read_text()))
    dense, lanczos = found
    assert (dense["method"], lanczos["method"]) == ("dense", "lanczos")
    for end in ("top", "bottom"):
        assert lanczos[end]["value"] == pytest.approx(dense[end]["value"], rel=1e-6)
    index, exact = lanczos["shares"]["index"], dense["shares"]["index"]["low"]
    assert index["low"] - 5 * index["standard_error"] <= exact <= index["high"] + 5 * index["standard_error"]
    assert dense["verdict"] == lanczos["verdict"]
    said = paribus("curvature", run.name, *options[:-4], "--probes", "1", "--dense", "10").out
    assert "of one probe)" in said
    assert "nan" not in said


def test_escape_from_a_strict_saddle(paribus, tmp_path):
    """All-zero weights, with the output's biases refined: with one hidden layer a product of two factors. (With two
    it is one of three, and no saddle to second order.)
    """
    run = train(paribus, tmp_path, "norm=none", "model.depth=1", "model.activation=tanh", "loss=mse")
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    saddle = {"state_dict": {key: torch.zeros_like(value) for key, value in checkpoint["state_dict"].items()}}
    torch.save(saddle, tmp_path / "zero.ckpt")
    result = paribus("curvature", run.name, "--checkpoint", "zero.ckpt", "--escape", "60")
    assert result.code == 0, result.err
    assert "STRICT SADDLE" in result.out
    content = json.loads((run / "curvature" / "curvature.json").read_text())
    assert content["confirmation"]["confirmed"]
    escape = content["escape"]
    assert escape["loss_stepped"] < escape["loss_saddle"]
    assert escape["loss_escaped"] < 0.9 * escape["loss_stayed"]
    evaluated = paribus("evaluate", run.name, "--checkpoint", str(run / "curvature" / "escaped.ckpt"))
    assert evaluated.code == 0, evaluated.err


def test_curvature_says_what_to_do_about_mistakes(paribus, tmp_path):
    run = train(paribus, tmp_path)
    many = paribus("curvature", run.name, "--samples", "999")
    assert many.code == 2
    assert "from 1 to 60" in many.err
    assert "has an id that starts with 'nothing'. List ids: paribus runs" in paribus("curvature", "nothing").err
    assert paribus("curvature", run.name, "--products", "1").code == 2


@pytest.mark.needs("surfaces")
def test_landscape_draws_slices_trajectory_and_a_page_of_its_own(paribus, tmp_path):
    run = train(paribus, tmp_path, "callbacks=[default,snapshots]", "callbacks.snapshots.number=5")
    result = paribus("landscape", run.name, "--points", "5", "--samples", "30")
    assert result.code == 0, result.err
    assert "batch statistics recomputed" in result.out
    assert re.search(r"5 snapshots; the plane explains \d+\.\d %", result.out)
    folder = run / "landscape"
    for name in ("line", "plane", "trajectory"):
        assert (folder / f"{name}.png").stat().st_size > 5000
    content = json.loads((folder / "landscape.json").read_text())
    middle = content["plane"]["loss"][2][2]
    assert middle == pytest.approx(content["line"]["loss"][5], rel=1e-5)
    assert len(content["trajectory"]["path"]) == 5
    assert content["trajectory"]["path"][-1] == [0.0, 0.0]
    page = (folder / "landscape.html").read_text()
    assert not re.search(r"(src|href)=|https?://(?!www\.w3\.org)", page)
    assert len(page) < 100_000
    assert "{{" not in page
    # The centre is the run itself, with its own statistics if so wished.
    moving = paribus("landscape", run.name, "--points", "3", "--samples", "60", "--statistics", "moving", "-o", "here")
    assert moving.code == 0, moving.err
    assert "as at the run's end" in moving.out
    centre = json.loads((tmp_path / "here" / "landscape.json").read_text())["plane"]
    record = json.loads((run / "record.json").read_text())
    assert 0 < centre["loss"][1][1] < 2 * record["metrics"]["train/loss"]


@pytest.mark.slow
def test_a_landscape_shows_the_metric_of_the_task_beside_the_loss(paribus, tmp_path):
    """Regression has no accuracy: the error in the unit of the targets, on an axis of its own."""
    line = ("task=regression", "data=diabetes", "model=mlp", "model.width=4", "norm=none", "budget.epochs=1")
    assert paribus("train", *line, "trainer.threads=1").code == 0
    [run] = (tmp_path / "outputs" / "runs").iterdir()
    result = paribus("landscape", run.name, "--points", "3", "--samples", "60", "--split", "test")
    assert result.code == 0, result.err
    content = json.loads((run / "landscape" / "landscape.json").read_text())
    assert content["beside"] == {"title": "test RMSE", "name": "test RMSE", "percent": False}
    assert min(content["line"]["metric"]) > 20  # of targets between 25 and 346
    assert '"beside":{"title":"test RMSE"' in (run / "landscape" / "landscape.html").read_text()


@pytest.mark.slow
def test_an_interrupted_landscape_goes_on(paribus, tmp_path, monkeypatch):
    run = train(paribus, tmp_path)
    from paribus.extras.surfaces import landscape

    monkeypatch.setattr(landscape, "SAVE_SECONDS", 0.0)
    whole = landscape.Work.at
    calls = []

    def stopped(self, theta):
        calls.append(0)
        if len(calls) == 9:
            raise KeyboardInterrupt
        return whole(self, theta)

    monkeypatch.setattr(landscape.Work, "at", stopped)
    assert paribus("landscape", run.name, "--points", "3", "--samples", "20").code == 130
    assert paribus("landscape", run.name, "--points", "3", "--samples", "20").code == 0
    assert len(calls) == 7 + 9 + 1  # a line of 7, a plane of 9, and the one that was stopped


@pytest.mark.slow
def test_the_way_between_two_runs(paribus, tmp_path):
    for seed in ("0", "1"):
        assert paribus("train", *QUICK, f"seed={seed}", "seeds.init=0").code == 0
    first, second = sorted((tmp_path / "outputs" / "runs").iterdir())
    result = paribus("landscape", first.name, second.name, "--points", "3", "--samples", "30")
    assert result.code == 0, result.err
    assert "barrier" in result.out
    folder = first / "landscape"
    content = json.loads((folder / f"interpolation-{second.name}.json").read_text())
    assert content["interpolation"]["axes"][0][3] == 0.0
    assert len(content["interpolation"]["loss"]) == 13
    assert (folder / f"interpolation-{second.name}.html").exists()
    assert paribus("train", *(item for item in QUICK if item != "model.width=4"), "model.width=5").code == 0
    [other] = {path.name for path in (tmp_path / "outputs" / "runs").iterdir()} - {first.name, second.name}
    refused = paribus("landscape", first.name, other, "--points", "3")
    assert refused.code == 2
    assert "networks of the same form" in refused.err


def test_surface_prints_a_table_and_draws_one_figure_for_each_surface(paribus, tmp_path):
    result = paribus(
        "surface", "-m", "surface=valley,many_minima,three_factors", "optimizer=sgd,adam", "optimizer.lr=0.1",
        "scheduler=cosine", "steps=40", "-o", "pictures",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert result.out.count("| optimizer=sgd ") == 3
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == [
        f"surface_{name}.{form}" for name in ("many_minima", "three_factors", "valley") for form in ("pdf", "png")
    ]


@pytest.mark.slow
def test_surface_is_honest_about_what_became_of_a_descent(paribus):
    diverged = paribus("surface", "surface=valley", "optimizer.lr=3")
    assert re.search(r"diverged after \d+ steps", diverged.out)
    short = paribus("surface", "surface=valley", "optimizer.lr=0.1", "steps=3")
    assert "not there in 3 steps" in short.out
    arrived = paribus("surface", "surface=valley", "surface.condition=1", "optimizer.lr=0.5")
    assert "| arrived" in arrived.out
    noisy = paribus("surface", "surface=noisy_quadratic", "optimizer.lr=0.1", "tolerance=0.05")
    assert "did not stay" in noisy.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["surface=vally"], "Did you mean valley"),
        (["optimizer.lr=1,2"], "Add -m"),
        (["surface.start=[1]"], "2 coordinates"),
        (["steps=0"], "steps must be a whole number"),
        (["tolerance=0"], "tolerance must be a number above 0"),
        (["stepss=3"], "Did you mean steps"),
        (["surface.curvature=-1"], "above 0"),
    ],
)
def test_surface_says_what_to_do_about_mistakes(paribus, arguments, message):
    result = paribus("surface", *arguments)
    assert result.code == 2
    assert message in result.err


@pytest.mark.parametrize("name", sorted(path.stem for path in (config_dir() / "surface").glob("*.yaml")))
def test_every_surface_composes_and_names_all_its_options(name):
    config = resolved(load([f"surface={name}"], "surface"))
    check_arguments("surface", config["surface"])
    ground = instantiate("surface", config["surface"])
    named = {key for key in config["surface"] if not key.startswith("_")}
    assert named == set(vars(ground))
    assert {key: config["surface"][key] for key in named} == {key: getattr(type(ground)(), key) for key in named}


@pytest.mark.parametrize("optimizer", sorted(path.stem for path in (config_dir() / "optimizer").glob("*.yaml")))
def test_every_optimizer_descends_on_a_surface(optimizer):
    from paribus.extras.surfaces.catalogue import Valley
    from paribus.extras.surfaces.descend import descend

    config = resolved(load([f"optimizer={optimizer}", "scheduler=one_cycle"], "surface"))
    make, schedule = (instantiate(group, config[group]) for group in ("optimizer", "scheduler"))
    path = descend(Valley(condition=10.0), make, schedule, 60)
    assert path.losses[-1] < path.losses[0]
    assert path.rates.argmax() == pytest.approx(0.3 * 60, abs=1)
