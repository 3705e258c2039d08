"""The scoreboard: ablations and checks in one form, verdicts in words, and the same from shipped records."""

import csv
import io
import json
import lzma
import math
from dataclasses import replace

import pytest
from made_ablations import Made
from scipy import stats

from paribus.base.errors import UserError
from paribus.notes import scoreboard
from paribus.notes.checks import stored
from paribus.notes.checks.catalogue import CHECKS
from paribus.notes.pages.pages import pages
from paribus.notes.pages.results import Results
from paribus.report import packed as shipped
from paribus.report.scoreboard import NOT_RUN, csv_text
from paribus.report.tables.table import RENDER
from paribus.report.verdicts import board, claims, detectable, finding_notes, needed
from paribus.stats.effect import paired_power
from paribus.store.store import Store

SECTION = {
    "name": "norms",
    "factors": {"norm": ["none", "batch", "layer", "group"]},
    "tune": {"optimizer.lr": {"log": [0.01, 1.0, 3]}},
    "regimes": {"F": {"tune": False}, "T": {}},
    "seeds": {"tune": 2, "report": 6},
    "smallest_effect": 0.005,
    "hypotheses": [
        {"id": "1.5a", "claim": "batch norm helps", "arm": {"norm": "batch"}, "versus": {"norm": "none"},
         "literature": "Ioffe & Szegedy 2015: for"},
        {"id": "1.5c-layer", "claim": "layer norm helps", "arm": {"norm": "layer"}, "versus": {"norm": "none"}},
        {"id": "1.2-9", "claim": "group norm helps", "arm": {"norm": "group"}, "versus": {"norm": "none"}},
    ],
}  # fmt: skip
GAIN = {"none": 0.0, "batch": 0.05, "layer": -0.05, "group": 0.006}


@pytest.fixture(scope="module")
def found():
    return Made(SECTION, lambda cell: 0.9 + GAIN[cell.choices["norm"]], noise=0.006)


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    which = next(each for each in CHECKS if each.id == "1.4a-e")
    return which, stored.make(Store(tmp_path_factory.mktemp("outputs")), which)


@pytest.fixture(scope="module")
def lines(found, check):
    return scoreboard.lines(claims(found.plans, found.read), [check, (CHECKS[0], None)])


def by(lines, id, regime):
    return next(line for line in lines if (line.id, line.regime) == (id, regime))


def test_lines_stand_by_section_and_regimes_after_their_common_verdict(lines):
    assert [line.section for line in lines] == sorted(line.section for line in lines)
    assert [line.regime for line in lines if line.id == "1.5a"] == ["all", "F", "T"]
    assert {line.source for line in lines} == {"norms", "check"}


def test_a_verdict_is_said_in_words_with_its_amount(lines):
    won, lost = by(lines, "1.5a", "T"), by(lines, "1.5c-layer", "T")
    assert won.verdict == "SUPPORTED"
    assert won.words.startswith("holds: test accuracy is ")
    assert "points higher with batch than with none" in won.words
    assert lost.verdict == "REVERSED"
    assert "points lower with layer than with none" in lost.words
    assert won.literature == "Ioffe & Szegedy 2015: for"
    assert by(lines, "1.5a", "all").words == "SUPPORTED in F, T"


def test_what_is_open_says_what_could_have_been_seen(found, lines):
    open_ = [line for line in lines if line.verdict == "INCONCLUSIVE" and line.regime != "all"]
    assert open_
    assert all(line.detectable.number for line in open_)
    assert all(int(line.needed.text) > line.n for line in open_)
    assert not by(lines, "1.5a", "T").detectable.text
    finding = next(each for claim in claims(found.plans, found.read) for each in claim.findings if claim.id == "1.2-9")
    d, least = finding.difference, detectable(finding)
    level = 2 * finding.verdict.alpha
    assert finding.comparisons == 3
    assert level == pytest.approx(0.05 / 2)  # two of six ends are taken out: batch reaches d, and layer is reversed
    assert paired_power(least / d.sd, d.n, level) == pytest.approx(0.8, abs=1e-6)
    size = int(needed(finding))
    smallest = finding.verdict.smallest
    assert paired_power(smallest / d.sd, size, level) >= 0.8 > paired_power(smallest / d.sd, size - 1, level)


def test_the_board_has_a_false_discovery_rate(found, lines):
    rated = board(claims(found.plans, found.read))
    p = [each.verdict.p_alone for claim in rated for each in claim.findings]
    q = iter(stats.false_discovery_control(p))
    for claim in rated:
        for each, rate in zip(claim.findings, claim.discovery, strict=True):
            expected = next(q)
            assert math.isnan(rate) if each.open else rate == pytest.approx(expected)
    settled = by(lines, "1.5a", "T")
    assert settled.discovery.text == "< 0.001"
    assert not by(lines, "1.2-9", "T").discovery.text


def test_a_check_stands_like_an_ablation_and_one_that_was_not_made_says_so(lines):
    assert by(lines, "1.4a-e", "class numbers").effect.text == "9"
    assert by(lines, "1.4a-e", "all").verdict == "SUPPORTED"
    assert by(lines, "1.1a", "").verdict == NOT_RUN


@pytest.mark.parametrize("form", RENDER)
def test_every_format_holds_every_claim(lines, form):
    sheets = scoreboard.sheets(lines)
    assert [sheet.title[:3] for sheet in sheets] == ["1.1", "1.2", "1.4", "1.5"]
    text = "".join(RENDER[form](sheet, heading=True) for sheet in sheets)
    assert all(line.id in text for line in lines)


def test_csv_holds_one_row_for_each_line(lines):
    rows = list(csv.DictReader(io.StringIO(csv_text(lines))))
    assert [row["verdict"] for row in rows] == [line.verdict for line in lines]


def test_shipped_records_give_the_same_scoreboard_and_the_same_bytes(found, check, lines, tmp_path):
    for name in ("a", "b"):
        shipped.write(tmp_path / f"{name}.json.xz", {"norms": found.plans}, found.read, [check[1]])
    assert (tmp_path / "a.json.xz").read_bytes() == (tmp_path / "b.json.xz").read_bytes()
    back = shipped.Shipped.read(tmp_path / "a.json.xz")
    again = scoreboard.lines(
        claims(back.plans["norms"], back.record), [(check[0], back.checks["1.4a-e"]), (CHECKS[0], None)]
    )
    assert csv_text(again) == csv_text(lines)
    assert {id for id, record in found.records.items()} == set(back.records)


def test_an_ablation_is_added_and_the_rest_stays_to_the_letter(found, check, tmp_path):
    """Also what the rules of today would pack in another way, as plans of before."""
    path = tmp_path / "r.json.xz"
    shipped.write(path, {"norms": found.plans[:1]}, found.read, [check[1]])
    before = json.loads(lzma.decompress(path.read_bytes()))
    before["plans"]["norms"][0]["of before"] = True
    path.write_bytes(lzma.compress(json.dumps(before).encode()))
    shipped.update(path, {"more": found.plans[1:]}, found.read)
    after = json.loads(lzma.decompress(path.read_bytes()))
    assert after["plans"].pop("more")
    assert {key: after[key] for key in ("schema", "plans", "checks")} == {
        key: before[key] for key in ("schema", "plans", "checks")
    }
    lines = {line["id"]: line for line in after["records"]}
    assert len(lines) == len(found.records) > len(before["records"])
    assert all(lines[line["id"]] == line for line in before["records"])
    shipped.update(path, {"norms": found.plans[:1]}, found.read)
    assert "of before" not in json.loads(lzma.decompress(path.read_bytes()))["plans"]["norms"][0]


def test_pages_say_remarks_figures_and_every_arm(found, check, tmp_path):
    shipped.write(tmp_path / "r.json.xz", {"norms": found.plans}, found.read, [check[1]])
    again = {
        "hardware": {"cpu": "Abacus", "cores": 2},
        "seconds": {"norms": 61.0},
        "runs": {"norms": 12},
        "checks": 30.0,
    }
    found_again = shipped.Shipped.read(tmp_path / "r.json.xz")
    results = Results(found_again, {"1.5a": "Because."}, {"norms": ["docs/results/n.png"]}, again)
    made = pages(results, {"said": {}, "left_out": {}})
    said = "on 2 quiet cores (Abacus): the claims of the notes with their checks, 12 runs, 1 min 31 s. "
    assert said in made["RESULTS.md"]
    text = made["docs/results/ablations/norms.md"]
    assert "without Fashion-MNIST 12 runs, 1 min 1 s on 2 quiet cores." in text
    assert "## Remarks\n\nBecause.\n" in made["docs/results/1.5/1.5a.md"]
    assert "![norms: n](../n.png)" in text
    for arm in GAIN:
        assert f"| {arm} " in text


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "x.json.xz").write_bytes(b"no gzip")
    with pytest.raises(UserError, match=r"scripts/results\.py"):
        shipped.Shipped.read(tmp_path / "x.json.xz")


def test_no_detectable_effect_without_two_pairs():
    one = Made({**SECTION, "seeds": {"tune": 2, "report": 1}}, lambda cell: 0.9)
    finding = claims(one.plans, one.read)[0].findings[0]
    assert math.isnan(detectable(finding))


def test_an_open_verdict_says_where_a_kept_value_widens_its_bounds(found):
    finding = next(each for claim in claims(found.plans, found.read) for each in claim.findings if each.open)
    d = replace(finding.difference, below=(), above=(), sd=0.01)
    wide = replace(d, below=(d, replace(d, sd=0.05)), above=(d,))
    assert "standard deviation of 5 points, and of 1 points at the chosen ones" in " ".join(
        finding_notes(replace(finding, difference=wide))
    )
    assert "at the chosen ones" not in " ".join(finding_notes(replace(finding, difference=d)))
