"""The JSON of a workspace and a report: what W&B is asked to show, without a network."""

import builtins
import json

import numpy as np
import pytest

from paribus.ablation.command import plan_command
from paribus.config.chosen import chosen
from paribus.extras.wandb.dashboard import MOST_RUN_SETS
from paribus.store.record import Record
from paribus.store.store import Store

CLAIM = '{id: "1", claim: Layer norm helps, arm: {norm: layer}, versus: {norm: none}, direction: greater}'
ABLATION = (
    "# @package _global_\n# Mine.\ndefaults:\n  - override /model: mlp\nbudget: {epochs: 1}\ndata: {subset: 60}\n"
    "ablation:\n  name: mine\n  factors: {norm: [none, layer]}\n  tune: {optimizer.lr: [0.01, 0.1]}\n"
    "  seeds: {tune: 2, report: 2}\n"
    f"  hypotheses: [{CLAIM}]\n"
)
REGIMES = ABLATION.replace(
    "  tune: {optimizer.lr", "  regimes: {F: {tune: false, set: {optimizer.lr: 0.01}}, T: {}}\n  tune: {optimizer.lr"
)


@pytest.fixture
def ablation(paribus, tmp_path, monkeypatch):
    """Records of every cell of a tuned ablation, written and not trained."""
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody answers there
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    folder = tmp_path / "conf" / "ablation"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(ABLATION)
    store = Store(tmp_path / "outputs")
    for _ in range(2):  # tuning first, then the winners
        [plan] = plan_command(["ablation=mine"], store.read)
        for cell in plan.cells:
            choices = chosen(cell.run, cell.choices, cell.overrides)
            score = 0.5 + 0.1 * (choices["norm"] == "layer") + choices["optimizer.lr"] + 0.001 * (cell.seed % 7)
            metrics = {"test/acc": score, "val/acc": score, "test/loss": 1 - score}
            store.write(
                Record(cell.id, "done", ablation="mine", arm=cell.arm, seed=cell.seed, choices=choices, metrics=metrics)
            )
    [plan] = plan_command(["ablation=mine"], store.read)
    return plan


def panels(document, kind):
    """Every panel of that kind, wherever it stands."""
    if isinstance(document, dict):
        own = [document] if document.get("viewType") == kind else []
        return own + [panel for item in document.values() for panel in panels(item, kind)]
    return [panel for item in document for panel in panels(item, kind)] if isinstance(document, list) else []


def run_sets(block):
    """Name -> ids of its filter."""
    return {each["name"]: each["filters"]["filters"][0]["value"] for each in block["metadata"]["runSets"]}


def test_report_and_workspace_of_a_tuned_ablation(paribus, ablation):
    result = paribus("dashboard", "ablation=mine", "--dry-run", "--entity", "me", "--project", "mine")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    report = found["report"]
    assert (report["displayName"], report["project"]["name"]) == ("Ablation mine", "mine")
    blocks = report["spec"]["blocks"]
    [table, command] = [block["content"] for block in blocks if block["type"] == "markdown-block"]
    assert "| layer" in table
    assert "Holm" in table
    assert "Layer norm helps" in table  # the verdicts
    assert "paribus train -m ablation=mine" in command
    curves, sensitivity, *arms = [block for block in blocks if block["type"] == "panel-grid"]
    ids = {arm: [cell.id for cell in cells] for arm, cells in ablation.arms.items()}
    assert run_sets(curves) == ids
    for panel in panels(curves, "Run History Line Plot"):
        config = panel["config"]
        assert (config["xAxis"], config["groupBy"], config["groupAgg"]) == ("step", "jobType", "mean")
        assert config["groupArea"] == "stddev"  # the band over seeds
    assert {m for p in panels(curves, "Run History Line Plot") for m in p["config"]["metrics"]} == {
        *("train/loss", "val/loss", "val/acc")
    }
    [everything] = run_sets(sensitivity).values()
    assert set(everything) == {cell.id for cell in ablation.cells}
    [scatter] = panels(sensitivity, "Scatter Plot")
    assert scatter["config"]["xAxis"] == "config:optimizer.value.lr"
    assert scatter["config"]["xAxisLogScale"] is True
    [coordinates] = panels(sensitivity, "Parallel Coordinates Plot")
    columns = [column["accessor"] for column in coordinates["config"]["columns"]]
    assert columns == [
        *("config:choices.value.norm", "config:choices.value.optimizer.lr"),
        *("summary:val/acc", "summary:test/acc"),
    ]
    assert [run_sets(block) for block in arms] == [{arm: ids[arm]} for arm in ids]
    # One workspace has the runs of the table, grouped by arm, and one has those of the tuning.
    shown, tuning = (each["spec"]["section"] for each in found["workspaces"])
    assert set(runs_of(shown)) == {id for each in ids.values() for id in each}
    assert set(runs_of(tuning)) == {cell.id for cell in ablation.cells}
    assert tuning["runSets"][0]["grouping"] == []
    assert panels(tuning["panelBankConfig"], "Parallel Coordinates Plot")
    assert not panels(shown["panelBankConfig"], "Parallel Coordinates Plot")
    assert {p["config"]["groupArea"] for p in panels(shown["panelBankConfig"], "Run History Line Plot")} == {"stddev"}


def runs_of(section):
    [runs] = section["runSets"]
    return runs["filters"]["filters"][0]["value"]


def test_every_mean_of_a_workspace_is_that_of_the_table(paribus, tmp_path):
    """Also where a run bears the name that another ablation gave it, and where regimes share runs and tuning."""
    (tmp_path / "conf" / "ablation").mkdir(parents=True)
    (tmp_path / "conf" / "ablation" / "mine.yaml").write_text(REGIMES)
    store = Store(tmp_path / "outputs")
    for _ in range(2):
        for plan in plan_command(["ablation=mine"], store.read):
            for cell in plan.cells:
                choices = chosen(cell.run, cell.choices, cell.overrides)
                score = 0.5 + choices["optimizer.lr"] / 2 + 0.003 * (cell.seed % 7) + 0.1 * (choices["norm"] == "layer")
                name = "from elsewhere" if cell.seed == 0 else cell.arm
                metrics = {"test/acc": score, "val/acc": score, "test/loss": 1 - score}
                store.write(Record(cell.id, "done", arm=name, seed=cell.seed, choices=choices, metrics=metrics))
    found = json.loads(paribus("dashboard", "ablation=mine", "--dry-run").out)
    assert len(found["workspaces"]) == 3  # F, T, and the tuning of T
    lines = json.loads(paribus("table", "ablation=mine", "--json").out)["arms"]
    for view, regime in zip(found["workspaces"], ("F", "T"), strict=False):
        groups = {}
        keys = [
            each["name"].removeprefix("choices.value.") for each in view["spec"]["section"]["runSets"][0]["grouping"]
        ]
        for id in runs_of(view["spec"]["section"]):
            record = store.read(id)
            groups.setdefault(tuple(record.choices[key] for key in keys), []).append(record.metrics["test/acc"])
        table = [line for line in lines if (line["table"], line["metric"]) == (f"mine [{regime}]", "test/acc")]
        assert len(groups) == len(table) == 2
        assert sorted(np.mean(scores) for scores in groups.values()) == pytest.approx(
            sorted(line["mean"] for line in table)
        )
        assert sorted(np.std(s, ddof=1) for s in groups.values()) == pytest.approx(sorted(line["sd"] for line in table))


def test_it_is_saved_online_where_there_is_a_key(paribus, ablation, wandb_server, monkeypatch):
    with monkeypatch.context() as without:
        without.delenv("WANDB_API_KEY")
        without.setenv("NETRC", "/dev/null")
        result = paribus("dashboard", "ablation=mine")
    assert result.code == 2
    assert "wandb login" in result.err
    result = paribus("dashboard", "ablation=mine", "--project", "mine")
    assert result.code == 0, result.err
    shown, tuning, report = result.out.split()
    assert shown.startswith(f"{wandb_server.url}/me/mine?nw=")
    assert tuning.startswith(f"{wandb_server.url}/me/mine?nw=")
    assert "/me/mine/reports/" in report
    assert [view["entityName"] for view in wandb_server.views] == ["me"] * 3
    assert "Layer norm helps" in json.dumps(wandb_server.views)


def test_a_sweep_of_many_arms_has_one_run_set(paribus, tmp_path):
    store = Store(tmp_path / "outputs")
    arms = {}
    for number in range(MOST_RUN_SETS + 1):
        record = Record(
            f"{number:016x}", "done", seed=0, choices={"model.width": number + 1}, metrics={"test/acc": 0.5}
        )
        store.write(record)
        arms[str(number + 1)] = [record.id]
    sweep = store.root / "sweeps" / "now"
    sweep.mkdir(parents=True)
    plan = {"name": "model.width <b>&'=\"", "keys": ["model.width"], "arms": arms}
    (sweep / "sweep.json").write_text(json.dumps({"plans": [plan]}))
    result = paribus("dashboard", "--dry-run")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    curves = next(block for block in found["report"]["spec"]["blocks"] if block["type"] == "panel-grid")
    assert list(run_sets(curves)) == ["all arms"]
    [scatter] = panels(found["report"]["spec"]["blocks"], "Scatter Plot")
    assert scatter["config"]["xAxis"] == "config:model.value.width"


def test_without_the_package_one_is_told_what_to_install(paribus, monkeypatch):
    real = builtins.__import__

    def missing(name, *rest):
        if name.startswith("wandb_workspaces"):
            raise ModuleNotFoundError(f"No module named {name!r}", name="wandb_workspaces")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    result = paribus("dashboard", "--dry-run")
    assert result.code == 2
    assert "pip install 'paribus[wandb]'" in result.err
