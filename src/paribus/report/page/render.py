"""The page itself: everything in one file that needs no network and runs no script but its own."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from paribus.base.version import __version__
from paribus.evidence.arms import level_text
from paribus.evidence.data_sets import across
from paribus.report.escape import breakable, plain
from paribus.report.figures.style import COLOURS, DASHES, MARKERS, look
from paribus.report.numbers import title
from paribus.report.packed import POINTS
from paribus.report.page import charts, explore, strips, words
from paribus.report.page.curves import learning
from paribus.report.page.legend import Legend, legend
from paribus.report.page.records import anchor, details, everyone, failures, listed, value_text
from paribus.report.study import Study
from paribus.report.tables.budgets import ahead_words, budgets_sheet
from paribus.report.tables.factors import factors_sheet
from paribus.report.tables.ranks import ranks_sheet
from paribus.report.tables.render import html_notes, html_table
from paribus.report.tables.sheet import Entry, Sheet
from paribus.report.tables.sheets import arms_sheet
from paribus.report.tables.targets import target_words, targets_sheet
from paribus.report.verdicts import Claim, because

SCRIPTS = ("draw.js", "chart.js", "parallel.js", "tables.js", "legend.js", "runs.js", "page.js")


@dataclass(frozen=True)
class Live:
    """A page that is served while the ablation runs: how many runs are over, of how many, and that in words.

    version: of the records that the page shows.
    """

    done: int
    total: int
    text: str
    version: str


@np.errstate(over="ignore", invalid="ignore")
def page(name: str, studies: Sequence[Study], claims: Sequence[Claim], command: str, live: Live | None = None) -> str:
    """The report on an ablation in all its regimes, or on several ablations, as HTML.

    command: what trains it. live: given by `paribus watch`, with which the page asks its server for news.
    """
    scripts = "\n".join(_asset(file) for file in (*SCRIPTS, *(["live.js"] if live else [])))
    digest = base64.b64encode(hashlib.sha256(scripts.encode()).digest()).decode()
    arms = legend(studies)
    drawn = [_drawn(each, 1 / len(studies), own) for each, own in zip(studies, arms.places, strict=True)]
    records = details(studies)
    groups = [_group(title, numbers, studies, arms) for title, numbers in _groups(studies).items()]
    data = {
        "looks": _looks(len(arms.names)),
        "arms": arms.names,
        "studies": drawn,
        **{kind: [group[kind] for group in groups] for kind in ("regimes", "profile")},
        "records": records,
    }
    ablation = studies[0].ablation if len(groups) == 1 else None
    result: str = _template().render(
        name=plain(name),
        question=plain(ablation.claim) if ablation else "",
        ablation=studies[0].ablation,
        design=ablation.design if ablation else "",
        claims=[_claim(each, len({claim.ablation for claim in claims}) > 1) for each in claims],
        outcomes=[] if claims else _outcomes(studies),
        legend=arms,
        groups=groups,
        studies=[_study(number, each, drawn[number]) for number, each in enumerate(studies)],
        metrics=list(dict.fromkeys(title(each.metric) for each in studies)),
        failures=failures(studies),
        counts=_counts(studies),
        command=command,
        finished=max((r.finished for _, r in everyone(studies).values() if r.finished), default=""),
        sources=records["sources"],
        data=Markup(_json(data)),
        style=Markup(_asset("page.css")),
        script=Markup(scripts),
        digest=digest,
        live=live,
        version=__version__,
        points=POINTS,
        words=words,
    )
    return result


def _groups(studies: Sequence[Study]) -> dict[str, list[int]]:
    """The numbers of the studies that are regimes of one ablation, in one setting, under what these are called."""
    found: dict[str, list[int]] = {}
    for number, each in enumerate(studies):
        name = each.name
        if each.ablation is not None:
            setting = name.removeprefix(each.ablation.title)
            named = re.sub(r"ablation=[^,()]*(, )?", "", setting).removesuffix(" ()")  # where these are what varies
            name = each.ablation.name + (named if setting != name else "")
        found.setdefault(name, []).append(number)
    return found


def _group(name: str, numbers: Sequence[int], studies: Sequence[Study], arms: Legend) -> dict[str, Any]:
    """What the template says of the regimes of one ablation together."""
    own = [studies[number] for number in numbers]
    entries = {arm: place for number in numbers for arm, place in arms.of(number, studies[number]).items()}
    ablation = own[0].ablation
    return {
        "title": plain(name),
        "question": plain(ablation.claim) if ablation else "",
        "numbers": numbers,
        "metric": title(own[0].metric),
        "regimes": charts.regimes(own, entries),
        "profile": charts.profile(own, entries),
        "ranks": _ranks(own),
    }


def _study(number: int, study: Study, drawn: dict[str, Any]) -> dict[str, Any]:
    """What the template says of one regime."""
    table = study.table
    places = {arm: anchor(number, k) for k, arm in enumerate(study.arms)}
    place = places.__getitem__
    return {
        "number": number,
        "title": plain(study.regime or study.name),
        "name": plain(study.name),
        "about": plain(words.regime(study.ablation)),
        **_table(number, study),
        "factors": _factors(study),
        "budgets": _budgets(study),
        "heat": charts.heat(study),
        "speed": _speed(number, study),
        "forest": strips.differences(study, place),
        "waterfall": strips.waterfall(study, place),
        "importance": strips.importance(study),
        "baseline": plain(table.baseline.arm) if table else "",
        "metric": title(study.metric),
        "drawn": drawn,
        "sampled": study.sampled,
        "select_on": title(study.select_on),
        "tuned": _tuned(study),
        "search": study.ablation.search if study.ablation else None,
        "lost": any(not math.isfinite(trial.score) for trial in study.trials),
        "listed": listed(number, study),
        "value": lambda run: value_text(study.metric, {**run.timing, **run.metrics}.get(study.metric)),
    }


def _drawn(study: Study, share: float, places: Sequence[int]) -> dict[str, Any]:
    """What the scripts draw of one regime. places: of its arms in the legend, by which charts name them."""
    drawn = {
        "sensitivity": charts.sensitivity(study),
        "trials": charts.trials(study),
        "seeds": charts.seeds(study),
        "best": charts.best(study),
        "times": charts.times(study),
        "interaction": charts.interaction(study),
        "speed": charts.speed(study),
        "settings": explore.parallel(study),
    }
    for found in drawn.values():
        for chart in [found] if isinstance(found, dict) else found or []:
            for series in chart["series"]:
                if "arm" in series:
                    series["arm"] = places[series["arm"]]
    more = {"learning": learning(study, share), "scatter": explore.scatter(study)}
    return {"name": study.name, "arms": places, **more, **drawn}


def _table(number: int, study: Study) -> dict[str, Any]:
    """The table and its notes; every number leads to the place where its runs are listed."""
    if study.table is None:
        return {"table": None}
    return _linked(number, study, arms_sheet(study.table), [row.arm for row in study.table.rows])


def _speed(number: int, study: Study) -> list[dict[str, Any]]:
    """The table of each target."""
    return [
        {
            **_linked(number, study, targets_sheet(study.name, times), list(times.arms)),
            "title": f"{times.unit.capitalize()} to {target_words(times)}",
            "level": f"{100 * times.level:g} %",
        }
        for times in study.times
    ]


def _linked(number: int, study: Study, sheet: Sheet, arms: Sequence[str]) -> dict[str, Any]:
    places = [anchor(number, list(study.arms).index(arm)) for arm in arms]

    def link(row: int, entry: Entry) -> str | None:
        return f"#{places[row]}" if entry.number else None

    return {"table": Markup(html_table(sheet, link, breakable)), "notes": Markup(html_notes(sheet))}


def _factors(study: Study) -> dict[str, Any] | None:
    """The table of a grid's factors."""
    if isinstance(study.grid, str) or study.table is None:
        return None
    return _sheet(factors_sheet(study.grid, study.table))


def _budgets(study: Study) -> dict[str, Any] | None:
    """The table of budgets for tuning, and who is ahead, in words; or why nobody can tell."""
    found = study.budgets
    if found is None:
        return None
    if found.without is not None:
        return {"table": None, "ahead": [f"{found.without[:1].upper()}{found.without[1:]}."]}
    return {**_sheet(budgets_sheet(study.name, found)), "ahead": [plain(said) for said in ahead_words(found)]}


def _ranks(studies: Sequence[Study]) -> dict[str, Any] | None:
    """The table of ranks over many regimes."""
    found = across([each.table for each in studies if each.table is not None])
    return None if isinstance(found, str) else _sheet(ranks_sheet(found))


def _sheet(sheet: Sheet) -> dict[str, Any]:
    """A table without links, and its notes."""
    return {"table": Markup(html_table(sheet, words=breakable)), "notes": Markup(html_notes(sheet))}


def _tuned(study: Study) -> list[dict[str, Any]]:
    return [
        {
            "arm": plain(arm),
            "point": ", ".join(f"{key} = {level_text(value)}" for key, value in tuned.point.items()),
            "score": value_text(study.select_on, tuned.score),
            "edges": ", ".join(tuned.edges),
        }
        for arm, tuned in study.plan.tuned.items()
    ]


def _claim(claim: Claim, named: bool) -> dict[str, Any]:
    """named: whether the ablation has to be, since there are several."""
    return {
        "ablation": plain(claim.ablation) if named else "",
        "id": plain(claim.id),
        "text": plain(claim.claim),
        "outcome": claim.overall.outcome,
        "overall": words.overall(claim),
        "findings": [
            {
                "regime": plain(each.regime or ""),
                "outcome": each.verdict.word,
                "compared": words.compared(each),
                "numbers": f"{words.numbers(each)}, d = {words.smallest(each)}",
                "because": because(each),
            }
            for each in claim.findings
        ],
    }


def _outcomes(studies: Sequence[Study]) -> list[dict[str, Any]]:
    """Without hypotheses: which arms are better than the baseline, by outcome."""
    found = []
    for study in studies:
        groups: dict[str, list[str]] = {}
        for each in study.findings:
            if each.pairs:
                groups.setdefault(each.verdict.outcome, []).append(plain(each.pairs[0][0]))
        if groups and study.table:
            ordered = {outcome: groups[outcome] for outcome in words.SIGNS if outcome in groups}
            found.append({"study": plain(study.name), "baseline": plain(study.table.baseline.arm), "groups": ordered})
    return found


def _counts(studies: Sequence[Study]) -> dict[str, int]:
    states = [record.status for _, record in everyone(studies).values()]
    counts = {status: states.count(status) for status in ("done", "running", "diverged", "failed")}
    waiting = {cell.id for each in studies for cell in each.plan.cells} - set(everyone(studies))
    return {**counts, "not trained yet": len(waiting) + states.count("pruned")}


def _looks(arms: int) -> list[list[Any]]:
    """Colour, dashes and marker of each arm: the same as in the figures."""
    dashes = ["" if dash == "-" else " ".join(f"{length:g}" for length in dash[1]) for dash in DASHES]
    return [
        [COLOURS.index(style["color"]), dashes[DASHES.index(style["linestyle"])], MARKERS.index(style["marker"])]
        for style in map(look, range(max(arms, 3)))
    ]


def _json(data: object) -> str:
    """JSON that can't end the script element it stands in."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _template() -> Any:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["breakable"] = lambda text: Markup(breakable(text))
    environment.filters["headline"] = words.headline
    return environment.from_string(_asset("page.html.j2"))


def _asset(name: str) -> str:
    return (files("paribus.report.page") / "assets" / name).read_text(encoding="utf-8")
