"""`paribus table`, `claims` and `verify` from end to end, on records without training."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from paribus.ablation.command import plan_command
from paribus.config.composer import Composer
from paribus.store.record import Record
from paribus.store.store import Store

FILE = """# @package _global_
defaults:
  - override /model: mlp
ablation:
  name: study
  factors: {norm: [batch, none, group]}
  tune: {optimizer.lr: [0.01, 0.1]}
  regimes: {fixed: {tune: false}, tuned: {}}
  seeds: {tune: 2, report: 6}
  hypotheses:
    - {id: "1", claim: "batch norm helps", arm: {norm: batch}, versus: {norm: none}}
"""


@pytest.fixture
def study(paribus, trained):
    """Runs commands in a folder with an ablation file and the records of all its runs."""
    shutil.copytree(trained, ".", dirs_exist_ok=True)
    return paribus


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    place = tmp_path_factory.mktemp("study")
    (place / "conf" / "ablation").mkdir(parents=True)
    (place / "conf" / "ablation" / "study.yaml").write_text(FILE)
    before = Path.cwd()
    os.chdir(place)
    try:
        write_records(Store("outputs"), Composer())
    finally:
        os.chdir(before)
    return place


def write_records(store, composer):
    while missing := {
        cell.id: cell
        for plan in plan_command(["ablation=study"], store.read, composer)
        for cell in plan.cells
        if store.read(cell.id) is None
    }:
        for cell in missing.values():
            noise = np.random.default_rng(int(cell.id, 16)).normal(0, 0.001)
            value = 0.97 - 0.05 * (cell.choices["norm"] == "none") + noise
            store.write(
                Record(
                    cell.id, "done", seed=cell.seed, choices={"norm": str(cell.choices["norm"])}, classes=10,
                    metrics={"test/acc": value, "val/acc": value}, timing={"ms_per_update": 1.5}, parameters=100,
                )
            )  # fmt: skip


def test_a_table_of_every_regime_with_its_verdicts(study):
    done = study("table", "ablation=study")
    assert done.code == 0, done.err
    assert [line for line in done.out.split("\n") if line.startswith("#")] == [
        "### study \\[fixed\\]", "### study \\[tuned\\]", "### Verdicts of study",
    ]  # fmt: skip
    assert "**SUPPORTED**" in done.out
    assert "optimizer.lr (tuned)" in done.out
    assert "test loss" not in done.out  # nobody logged it


@pytest.mark.parametrize("form", ["markdown", "latex", "html"])
def test_what_is_written_is_verified_and_an_edit_is_found(study, form):
    suffix = {"markdown": "md", "latex": "tex", "html": "html"}[form]
    assert study("table", "ablation=study", "--format", form, "-o", f"paper.{suffix}").code == 0
    done = study("verify", f"paper.{suffix}")
    assert done.code == 0, done.out + done.err
    assert done.out.count("agree with the records") == 3
    paper = Path(f"paper.{suffix}")
    paper.write_text(paper.read_text().replace("0.031", "0.011").replace("SUPPORTED", "REVERSED"))
    done = study("verify", f"paper.{suffix}")
    assert done.code == 2
    assert "says REVERSED, the records say SUPPORTED" in done.out
    assert "tables of paper" in done.err


def test_a_paper_is_followed_into_its_parts(study):
    study("table", "ablation=study", "--format", "latex", "-o", "parts/table.tex")
    Path("paper.tex").write_text("\\documentclass{article}\n\\begin{document}\n\\input{parts/table}\n% \\input{gone}\n")
    done = study("verify", "paper.tex")
    assert (done.code, done.out.count("parts/table.tex:")) == (0, 3)
    Path("empty.tex").write_text("Nothing.")
    done = study("verify", "empty.tex")
    assert done.code == 2
    assert "paribus table ablation=NAME --format latex" in done.err
    assert "can't be read" in study("verify", "missing.tex").err


def test_records_that_are_gone_fail_the_paper(study):
    study("table", "ablation=study", "-o", "table.md")
    [plan, _] = plan_command(["ablation=study"], Store("outputs").read)
    gone = plan.arms["none"][2].id
    (Path("outputs/runs") / gone / "record.json").unlink()
    done = study("verify", "table.md")
    assert done.code == 2
    assert f"1 of its runs have no record: {gone} (none)" in done.out


def test_columns_spread_and_baseline(study):
    done = study("table", "ablation=study", "--columns", "test/acc,d_z,n", "--spread", "interval", "--baseline", "none")
    head = next(line for line in done.out.split("\n") if line.startswith("|"))
    names = [cell.strip() for cell in head.strip("|").split("|")]
    assert names == ["norm", "test accuracy (%) ↑", "effect size d_z", "n"]
    assert "half the width of the 95 % t interval" in done.out
    assert study("table", "ablation=study", "--columns", "speed").code == 2
    assert study("table", "ablation=study", "--spread", "se").code == 2
    assert "one of the arms" in study("table", "ablation=study", "--baseline", "nobody").err
    assert "a grid is of two factors" in study("table", "ablation=study", "--grid", "norm,lr").err


def test_csv_has_both_regimes(study):
    lines = list(csv.DictReader(io.StringIO(study("table", "ablation=study", "--format", "csv").out)))
    assert {line["table"] for line in lines} == {"study [fixed]", "study [tuned]"}
    assert {line["tuned"] for line in lines if line["table"] == "study [fixed]"} == {""}
    assert all(line["tuned"].startswith("optimizer.lr=") for line in lines if line["table"] == "study [tuned]")


def test_claims_are_the_scoreboard_of_all_ablations(study):
    done = study("claims", "study")
    assert done.code == 0, done.err
    assert done.out.count("**SUPPORTED**") == 3
    assert "the ablation demo has no hypotheses" in study("claims", "demo").err


def test_the_comment_says_what_the_table_is_made_of(study):
    study("table", "ablation=study", "-o", "table.md")
    line = next(line for line in Path("table.md").read_text().split("\n") if "paribus-table-end" in line)
    key = line.removeprefix("<!-- paribus-table-end ").removesuffix(" -->")
    source = json.loads(Path("table.md.trace.json").read_text())[key]
    assert (source["kind"], source["metrics"][0], source["spread"]) == ("arms", "test/acc", "sd")
    [plan] = source["plans"]
    assert (plan["ablation"]["name"], plan["ablation"]["regime"]) == ("study", "fixed")
    assert len(plan["arms"]["none"].split()) == 6


@pytest.mark.parametrize("width", ["column", "full"])
def test_latex_of_either_width_is_verified_with_its_notes_elsewhere(study, width):
    done = study("table", "ablation=study", "-o", "paper.tex", "--width", width, "--notes", "notes.tex")
    assert done.code == 0, done.err
    text, notes = Path("paper.tex").read_text(), Path("notes.tex").read_text()
    assert ("table*" in text) == (width == "full")
    assert "adjusted by Holm" in notes
    assert "adjusted by Holm" not in text
    assert study("verify", "paper.tex").code == 0
    whole = study("table", "ablation=study", "-o", "whole.tex", "--width", width)
    assert whole.code == 0
    assert "adjusted by Holm" in Path("whole.tex").read_text()


def test_options_of_latex_are_refused_elsewhere(study):
    for option in (["--width", "full"], ["--notes", "notes.tex"]):
        result = study("table", "ablation=study", *option)
        assert result.code == 2
        assert f"{option[0]} has no effect on --format markdown" in result.err


def test_a_terminal_gets_a_table_that_fits_it(study):
    result = study("table", "ablation=study", "--format", "terminal")
    assert result.code == 0
    assert "|" not in result.out
    assert "fixed" in result.out


def test_json_has_the_numbers_of_the_records(study, read):
    found = json.loads(study("table", "ablation=study", "--json").out)
    assert set(found) == {"arms", "captions", "verdicts"}
    [batch] = [line for line in found["arms"] if (line["table"], line["arm"], line["metric"]) == (
        "study [fixed]", "batch", "test/acc")]  # fmt: skip
    scores = [read(id).metrics["test/acc"] for id in batch["runs"].split()]
    assert batch["mean"] == pytest.approx(np.mean(scores))
    assert batch["sd"] == pytest.approx(np.std(scores, ddof=1))
    assert batch["difference"] is None  # the baseline's
    [verdict] = found["verdicts"]
    assert [each["regime"] for each in verdict["regimes"]] == ["fixed", "tuned"]
    assert verdict["regimes"][0]["low"] < verdict["regimes"][0]["difference"] < verdict["regimes"][0]["high"]
    assert any(verdict["outcome"] in line["verdict"] for line in json.loads(study("claims", "study", "--json").out))
    assert study("table", "ablation=study", "--json", "--sort").code == 2
    assert study("table", "ablation=study", "-o", "paper.md").code == 0
    [checked] = json.loads(study("verify", "paper.md", "--json").out)[:1]
    assert checked["file"] == "paper.md"
    assert (checked["drift"], checked["notices"]) == ([], [])


@pytest.fixture
def read(study):
    return Store("outputs").read


def test_a_pipe_gets_no_comments_and_a_table_without_its_trace_is_named(study):
    assert "paribus-table" not in study("table", "ablation=study").out
    assert study("table", "ablation=study", "-o", "tables/norm.tex").code == 0
    assert len(Path("tables/norm.tex").read_text()) < 12_000
    Path("paper.tex").write_text("Before.\n\\input{tables/norm}\n")
    assert study("verify", "paper.tex").code == 0
    Path("paper.tex").write_text(Path("tables/norm.tex").read_text())  # pasted, and the trace left behind
    result = study("verify", "paper.tex")
    assert result.code == 2
    assert "is in no file *.trace.json beside the document" in result.out
    for damage in ("", "[]", "{}", '{"x": 1}', "\x00", "{" * 10_000):
        Path("paper.tex.trace.json").write_text(damage)
        assert study("verify", "paper.tex").code == 2
    Path("tables/norm.tex.trace.json").rename("paper.tex.trace.json")
    assert study("verify", "paper.tex").code == 0


def test_only_a_grid_is_shaded(study):
    done = study("table", "ablation=study", "--format", "latex", "--heat")
    assert done.code == 2
    assert "--heat shades a grid of two factors" in done.err
