"""The JSON of a workspace and a report: what W&B is asked to show, without a network."""

import builtins
import io
import json
from functools import cache

import numpy as np
import pytest
from PIL import Image
from shipped_results import shipped
from wandb_workspaces.workspaces._run_color_groups import parse_run_color_group_key

from paribus.ablation.command import plan_command
from paribus.config.chosen import chosen
from paribus.config.composer import Composer
from paribus.config.dotted import at
from paribus.evidence.plans import plans_of
from paribus.extras.wandb.board import written
from paribus.extras.wandb.dashboard import MOST_RUN_SETS, as_json
from paribus.extras.wandb.images import Images
from paribus.extras.wandb.limits import labels
from paribus.extras.wandb.publish import board
from paribus.notes import ablations as notes
from paribus.report.collect import Collected
from paribus.report.figures.style import COLOURS
from paribus.store.history import HistoryWriter
from paribus.store.record import Record
from paribus.store.store import Store

PANELS = ("Run History Line Plot", "Bar Chart", "Scatter Plot", "Parallel Coordinates Plot", "Parameter Importance")
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
            history(store, cell.id, 2)
    [plan] = plan_command(["ablation=mine"], store.read)
    return plan


def history(store, id, epochs):
    writer = HistoryWriter(store.run_dir(id) / "history.csv")
    for step in range(1, epochs + 1):
        row = {"epoch": step, "step": step, "seconds": 0.1 * step}
        writer.append(row | {"train/loss": 1 / step, "val/loss": 1 / step, "val/acc": 0.1 * step})
    writer.close()


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
    pictures, curves, sensitivity, *arms = [block for block in blocks if block["type"] == "panel-grid"]
    ids = {arm: [cell.id for cell in cells] for arm, cells in ablation.arms.items()}
    assert run_sets(curves) == ids
    for panel in panels(curves, "Run History Line Plot"):
        config = panel["config"]
        assert (config["xAxis"], config["groupAgg"], config["groupArea"]) == ("step", "mean", "stddev")
    for each in curves["metadata"]["runSets"]:  # one group: the band over seeds
        assert [key["name"] for key in each["grouping"]] == ["jobType"]
    assert {m for p in panels(curves, "Run History Line Plot") for m in p["config"]["metrics"]} == {
        *("train/loss", "val/loss", "val/acc")
    }
    colours = curves["metadata"]["customRunColors"]
    for number, (arm, own) in enumerate(ids.items()):
        assert {colours[id] for id in own} == {COLOURS[number]}
        [group] = [each["id"] for each in curves["metadata"]["runSets"] if each["name"] == arm]
        assert colours[f"{group}-run:jobType:{arm}"] == COLOURS[number]
    [media] = panels(pictures, "Media Browser")
    assert media["config"]["mediaKeys"] == found["images"]["keys"] == ["forest"]
    assert run_sets(pictures) == {"figures": [found["images"]["run"]]}
    assert (
        f"nothing was sent; the report would show 1 picture in a run of its own ({found['images']['run']})"
        in result.err
    )
    [everything] = run_sets(sensitivity).values()
    assert set(everything) == {cell.id for cell in ablation.cells}
    [scatter] = panels(sensitivity, "Scatter Plot")
    assert scatter["config"]["xAxis"] == "config:optimizer.value.lr"
    assert scatter["config"]["xAxisLogScale"] is True
    [coordinates] = panels(sensitivity, "Parallel Coordinates Plot")
    columns = [column["accessor"] for column in coordinates["config"]["columns"]]
    assert columns == [
        *("config:optimizer.value.lr", "config:choices.value.norm"),
        *("summary:val/acc", "summary:test/acc"),
    ]
    assert coordinates["config"]["columns"][0]["log"] is True
    [importance] = panels(sensitivity, "Parameter Importance")
    assert importance["config"]["targetKey"] == "val/acc"
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


def test_means_are_those_of_the_table_where_runs_bear_names_of_others(paribus, tmp_path):
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
    assert [view["displayName"] for view in found["workspaces"]] == [
        *("Ablation mine [F]", "Ablation mine [T]", "Ablation mine [T], tuning")
    ]
    lines = json.loads(paribus("table", "ablation=mine", "--json").out)["arms"]
    for view, regime in zip(found["workspaces"], ("F", "T"), strict=False):
        table = [line for line in lines if (line["table"], line["metric"]) == (f"mine [{regime}]", "test/acc")]
        wanted = {(line["arm"],): (line["mean"], line["sd"], line["n"]) for line in table}
        assert numbers(view["spec"]["section"], "test/acc", store.read, {}) == wanted


OTHER = (
    "# @package _global_\ndefaults:\n  - override /model: mlp\nmodel: {width: 8}\nbudget: {epochs: 2}\n"
    "data: {subset: 60, batch_size: 20}\nablation:\n  name: other\n  seeds: {report: 2}\n"
    "  factors: {norm: {plain: {norm: none}, rms: {norm: rms}}}\n"
)


@pytest.mark.slow
def test_means_of_what_wandb_was_sent_are_those_of_the_table(paribus, wandb_server, tmp_path):
    """Trained and logged in earnest. The baseline was first trained for another ablation, whose name for it W&B has."""
    (tmp_path / "conf" / "ablation").mkdir(parents=True)
    (tmp_path / "conf" / "ablation" / "other.yaml").write_text(OTHER)
    mine = OTHER.replace("name: other", "name: mine").replace(
        "{plain: {norm: none}, rms: {norm: rms}}", "[none, layer]"
    )
    (tmp_path / "conf" / "ablation" / "mine.yaml").write_text(mine)
    for name in ("other", "mine"):
        done = paribus("train", "-m", f"ablation={name}", "logger=wandb", "logger.wandb.wait=40")
        assert done.code == 0, done.err
        assert "W&B has not got" not in done.err
    assert {run["jobType"] for run in wandb_server.runs.values()} == {"plain", "rms", "layer"}
    found = json.loads(paribus("dashboard", "ablation=mine", "--dry-run").out)
    [view] = found["workspaces"]
    section = view["spec"]["section"]
    [key] = section["runSets"][0]["grouping"]
    assert (key["section"], key["name"]) == ("config", "choices.value.norm")
    groups = {}
    for id in runs_of(section):
        run = wandb_server.run(id)
        groups.setdefault(run["config"]["choices"]["value"]["norm"], []).append(run["summary"]["test/acc"])
    lines = json.loads(paribus("table", "ablation=mine", "--json").out)["arms"]
    wanted = {line["arm"]: line for line in lines if line["metric"] == "test/acc"}
    assert {*groups} == {*wanted} == {"none", "layer"}
    for arm, scores in groups.items():
        assert (np.mean(scores), np.std(scores, ddof=1)) == pytest.approx((wanted[arm]["mean"], wanted[arm]["sd"]))
    metrics = {m for panel in panels(section, "Run History Line Plot") for m in panel["config"]["metrics"]}
    assert metrics == {"train/loss", "val/loss", "val/acc"}
    for id in runs_of(section):
        assert all(sum(m in row for row in wandb_server.run(id)["history"].values()) > 1 for m in metrics)


def numbers(section, metric, read, composed):
    """group -> mean, SD and number of what a workspace shows, computed as its JSON says."""
    [runs] = section["runSets"]
    groups = {}
    for id in runs_of(section):
        record = read(id)
        group = tuple(place(key, record, composed.get(id)) for key in runs["grouping"])
        groups.setdefault(group, []).append(record.metrics.get(metric, record.timing.get(metric)))
    return {
        group: (pytest.approx(np.mean(of)), pytest.approx(np.std(of, ddof=1), abs=1e-12), len(of))
        for group, of in groups.items()
    }


def place(key, record, composed):
    """What W&B has of a run under a key that a workspace is grouped by."""
    if (key["section"], key["name"]) == ("run", "jobType"):
        return labels(record.id, None, record.arm, 0, ()).job_type
    group, _, rest = key["name"].partition(".value.")
    return written(record.choices.get(rest) if group == "choices" else at(composed.resolved, f"{group}.{rest}", None))


@cache
def composer():
    return Composer()


class Read:
    """The reader of a store that holds the shipped records, which have no histories."""

    def __init__(self):
        self.store = self

    def __call__(self, id):
        return shipped().record(id)

    def history(self, id):
        return {}


@pytest.mark.parametrize(
    "name", [name if name == "renorm" else pytest.param(name, marks=pytest.mark.slow) for name in notes.names()]
)
def test_every_number_of_a_shipped_workspace_is_that_of_the_table(name):
    """Regimes, points that are kept beside the best, and baselines that other ablations have named: renorm has all."""
    read = Read()
    plans = plans_of([f"ablation={name}"], read, composer())
    boards = []
    for plan in plans:
        arms = {arm: [None if cell is None else read(cell.id) for cell in cells] for arm, cells in plan.arms.items()}
        boards.append(board(Collected(plan.name, arms, plan.metric, plan), read))
    found = json.loads(as_json(boards, Images.of(name, boards), "me", "mine", "paribus"))
    views = iter(found["workspaces"])
    for each in boards:
        composed = {cell.id: cell.composed for cell in each.study.plan.cells}
        section = next(views)["spec"]["section"]
        shown = numbers(section, each.metric, read, composed)
        rows = {row.arm: row for row in each.table.rows}
        of_arms = {each.groups.of(arm): rows[arm].cells[each.metric].mean for arm in each.arms}
        assert len(of_arms) == len(each.arms)
        assert {group: (mean.mean, mean.sd, mean.n) for group, mean in of_arms.items()} == shown
        for panel in panels(section, "Bar Chart"):
            config = panel["config"]
            assert (config["metrics"], config["groupAgg"], config["groupArea"]) == ([each.metric], "mean", "stddev")
        assert colours_of(section) == {
            each.groups.of(row.arm): COLOURS[k % len(COLOURS)] for k, row in enumerate(each.table.rows) if row.runs
        }
        if each.tuned:
            tuning = next(views)["spec"]["section"]
            assert set(runs_of(tuning)) > set(runs_of(section))
            assert tuning["runSets"][0]["grouping"] == []
        for view in (section, tuning) if each.tuned else (section,):
            has_more_than_one_value(view, [read(id) for id in runs_of(view)], composed)
    assert next(views, None) is None
    # The report shows the same runs, each arm as one group in its colour.
    grids = [block for block in found["report"]["spec"]["blocks"] if panels(block, "Bar Chart")]
    assert len(grids) == len(boards)
    for grid, each in zip(grids, boards, strict=True):
        wanted = each.arms if len(each.arms) <= MOST_RUN_SETS else {"all arms": list(each.reported)}
        assert run_sets(grid) == wanted
        given = grid["metadata"]["customRunColors"]
        assert {id: given[id] for id in each.reported} == {id: each.colours_of_runs[id] for id in each.reported}
        assert len(given) == len(each.reported) + len(each.arms)
    assert [len(panels(found["report"], "Media Browser"))] == [sum(each.differences > 0 for each in boards)]


def colours_of(section):
    """group -> colour, read by the library's own reader."""
    groups = {}
    for key, colour in section["customRunColors"].items():
        if (parsed := parse_run_color_group_key(key)) is not None:
            assert parsed["runset_id"] == section["runSets"][0]["id"]
            groups[tuple(entry["value"] for entry in parsed["path"])] = colour
    return groups


def has_more_than_one_value(section, records, composed):
    """Whatever is drawn over something is drawn over two values or more."""
    assert not panels(section, "Run History Line Plot")  # nobody has a history

    def values(accessor):
        name, _, rest = accessor.partition(":")
        if name == "summary":
            return {record.metrics.get(rest) for record in records} - {None}
        key = {"section": name, "name": rest}
        return {place(key, record, composed[record.id]) for record in records} - {None}

    for panel in panels(section, "Scatter Plot"):
        assert min(len(values(panel["config"]["xAxis"])), len(values(panel["config"]["yAxis"]))) > 1
    for panel in panels(section, "Parallel Coordinates Plot"):
        assert len(panel["config"]["columns"]) > 1
        assert min(len(values(column["accessor"])) for column in panel["config"]["columns"]) > 1
    assert len(panels(section, "Parameter Importance")) == len(panels(section, "Parallel Coordinates Plot"))


def test_it_is_saved_online_where_there_is_a_key(paribus, ablation, wandb_server, monkeypatch):
    with monkeypatch.context() as without:
        without.delenv("WANDB_API_KEY")
        without.setenv("NETRC", "/dev/null")
        result = paribus("dashboard", "ablation=mine")
    assert result.code == 2
    assert "wandb login" in result.err
    assert "paribus dashboard --dry-run" in result.err
    assert wandb_server.runs == {}
    result = paribus("dashboard", "ablation=mine", "--project", "mine")
    assert result.code == 0, result.err
    shown, tuning, report = result.out.split()
    assert shown.startswith(f"{wandb_server.url}/me/mine?nw=")
    assert tuning.startswith(f"{wandb_server.url}/me/mine?nw=")
    assert "/me/mine/reports/" in report
    assert [view["entityName"] for view in wandb_server.views] == ["me"] * 3
    assert "Layer norm helps" in json.dumps(wandb_server.views)
    # The forest is logged by a run of its own, which the report names.
    [run] = wandb_server.runs.values()
    assert (run["jobType"], run["groupName"], run["state"]) == ("figures", "mine", "finished")
    assert f"pictures: {wandb_server.url}/me/mine/runs/{run['name']}" in result.err
    [row] = run["history"].values()
    assert (row["forest"]["_type"], row["forest"]["caption"]) == ("image-file", "mine")
    assert run["name"] in json.dumps(wandb_server.views[-1])
    picture = Image.open(io.BytesIO(wandb_server.files[row["forest"]["path"]]))
    assert picture.size == (row["forest"]["width"], row["forest"]["height"])
    assert len(picture.convert("RGB").getcolors(1 << 24)) > 10  # it is drawn


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
    # All came to the same, and none has a curve: there is nothing to draw but a bar for each arm.
    assert {kind for kind in PANELS if panels(found, kind)} == {"Bar Chart"}


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


@pytest.mark.parametrize(("epochs", "curves"), [(0, 0), (1, 0), (2, 3)])
def test_a_curve_of_one_point_is_not_drawn(paribus, ablation, tmp_path, epochs, curves):
    store = Store(tmp_path / "outputs")
    for id in store.ids():
        (store.run_dir(id) / "history.csv").unlink()
        history(store, id, epochs)
    found = json.loads(paribus("dashboard", "ablation=mine", "--dry-run").out)
    assert len(panels(found["workspaces"], "Run History Line Plot")) == curves
    assert len(panels(found["workspaces"], "Bar Chart")) == 1


def test_values_are_written_as_the_pages_of_wandb_write_them():
    """As String(value) does in JavaScript."""
    given = [True, False, 3, 0.1, 1.0, 0.0, 1e-5, 2.5e-6, 1e-7, 1.5e22, 1e20, "b8", None]
    said = [
        "true",
        "false",
        "3",
        "0.1",
        "1",
        "0",
        "0.00001",
        "0.0000025",
        "1e-7",
        "1.5e+22",
        "1" + "0" * 20,
        "b8",
        None,
    ]
    assert [written(value) for value in given] == said
