"""The pages of results are those that the shipped records and the remarks give; every remark has its place."""

import csv
import functools
import io
import itertools
import math
import re
from pathlib import Path

import pytest
import scripts

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
script = scripts.load("results")


@functools.cache
def found():
    return script.results()


@functools.cache
def made():
    from paribus.notes.pages.pages import pages

    return pages(found(), script.written("findings"))


def test_every_page_and_picture_comes_out_of_the_shipped_records_again():
    assert sorted(made()) == sorted(script.files())
    texts = {path: text for path, text in made().items() if not path.endswith(".csv")}
    assert [path for path, text in texts.items() if (ROOT / path).read_text(encoding="utf-8") != text] == []


def number(cell):
    try:
        return float(cell)
    except ValueError:
        return None


def test_raw_tables_come_out_again():
    """Their numbers have all digits, of which the last ones depend on the versions of libraries."""
    for path, text in made().items():
        if path.endswith(".csv"):
            ours = list(csv.reader(io.StringIO((ROOT / path).read_text(encoding="utf-8"))))
            again = list(csv.reader(io.StringIO(text)))
            assert [len(row) for row in ours] == [len(row) for row in again], path
            for one, other in zip(itertools.chain(*ours), itertools.chain(*again), strict=True):
                same = one == other
                if not same and (a := number(one)) is not None and (b := number(other)) is not None:
                    same = math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9)
                if not same and " " in one:  # the values of all seeds
                    pairs = zip(one.split(), other.split(), strict=True)
                    same = all(a == b or math.isclose(float(a), float(b), rel_tol=1e-6) for a, b in pairs)
                assert same, (path, one, other)


def test_every_remark_belongs_to_a_claim_or_an_ablation_that_is_shipped():
    known = {*found().lines, *found().shipped.plans}
    assert set(script.written("remarks")) <= known
    findings = script.written("findings")
    assert {*findings["said"], *findings["left_out"]} <= set(found().lines)


def test_what_people_wrote_about_findings_holds_no_figure():
    for id, own in script.written("findings")["said"].items():
        assert not re.search(r"\d", own["words"]), id


def test_findings_are_chosen_by_their_rule():
    from paribus.notes.pages.findings import FAILS, MOST, chosen, outcomes

    left_out = script.written("findings")["left_out"]
    ids = chosen(found(), left_out)
    assert len(ids) == MOST
    assert not set(ids) & set(left_out)
    ablations = [found().claims[id].ablation for id in ids if id in found().claims]
    assert len(set(ablations)) == len(ablations)
    groups = []
    for id in ids:
        verdicts = [*outcomes(found(), id).values()]
        groups.append(0 if all(each in FAILS for each in verdicts) else 1 if set(FAILS) & set(verdicts) else 2)
    assert groups == sorted(groups)
    page = made()["docs/results/findings.md"]
    assert page.count("\n| [") == MOST


def test_words_about_other_verdicts_are_not_shown():
    from paribus.notes.pages.findings import stale, words

    said = {"1.2-4": {"verdicts": {"F": "REVERSED"}, "words": "Something else"}}
    assert words(found(), "1.2-4", said) == found().claims["1.2-4"].claim
    assert stale(found(), said) == ["1.2-4"]
    own = script.written("findings")["said"]
    assert words(found(), "1.2-4", own) == own["1.2-4"]["words"]


@pytest.mark.parametrize("section", ["1.1", "1.2", "1.3", "1.4", "1.5", "method"])
def test_a_page_of_a_claim_has_all_that_it_should(section):
    pages = {path: text for path, text in made().items() if path.startswith(f"docs/results/{section}/")}
    claims = {path: text for path, text in pages.items() if path.endswith(".md") and "/index" not in path}
    assert claims
    for path, text in claims.items():
        heads = re.findall(r"^## (.+)$", text, re.MULTILINE)
        assert [head for head in heads if head != "Remarks"] == ["Verdict", "Where it fails", "Literature", "Again"]
        assert "Is it true that" in text
        assert text.count("![") == 1
        assert path.replace(".md", ".svg") in pages
        [rule] = re.findall(r"^\|-.*$", text, re.MULTILINE)  # one table of three columns
        assert rule.count("|") == 4
        assert re.search(r"^    paribus claims notes .*--only ", text, re.MULTILINE)
        assert ".csv)" in text
    links = re.findall(r"\]\(([^)]+)\.md\)", pages[f"docs/results/{section}/index.md"])
    assert {f"docs/results/{section}/{link}.md" for link in links if "RESULTS" not in link} == {*claims}


def test_the_index_fits_a_screen_and_leads_to_every_claim_and_ablation():
    text = made()["RESULTS.md"]
    assert len(text.splitlines()) <= 40
    targets = set(re.findall(r"\]\(([^)]+)\)", text))
    pages = {path for path in made() if path.endswith(".md")} - {"RESULTS.md"}
    assert pages <= targets


def test_cautions_of_tables_are_on_the_pages_of_ablations():
    assert "CAUTION: the luck of tuning is in no interval" in made()["docs/results/ablations/aa.md"]


def test_files_are_small_and_every_figure_is_shown():
    assert (ROOT / "results" / "records.json.xz").stat().st_size < 3_000_000
    assert sum(path.stat().st_size for path in RESULTS.rglob("*") if path.is_file()) < 4_000_000
    named = {name for text in made().values() for name in re.findall(r"\]\((?:\.\./)+([\w-]+\.png)\)", text)}
    assert named == {path.name for path in RESULTS.glob("*.png")}


@pytest.mark.slow
def test_every_shipped_ablation_has_its_report_and_its_tables():
    """Also those with runs that diverged, whose losses are nan."""
    from paribus.notes.pages.report import report
    from paribus.report.tables.source import Options, sheets
    from paribus.report.tables.table import document

    shipped, diverged = found().shipped, 0
    for name, plans in shipped.plans.items():
        text = report(shipped, name)
        ids = {cell.id for plan in plans for cell in plan.cells} & shipped.records.keys()
        assert all(id in text for id in ids)
        diverged += sum(shipped.records[id].status == "diverged" for id in ids)
        shown = sheets(plans, shipped.record, Options((plans[0].metric, "test/loss", "ms_per_update")))
        assert all(document(shown, form) for form in ("markdown", "latex", "html"))
    assert diverged > 0
