"""RESULTS.md and the pages of docs/results from records, and the records themselves in one small file.

paribus import results/records.json.xz   so that outputs/ has what was trained before
paribus claims notes --run               trains what is missing
python scripts/results.py --pack         from outputs/: results/records.json.xz, pictures, times in ablation files; then
python scripts/results.py --pack NAME    the same of these ablations and checks alone, whatever outputs/ lacks; then
python scripts/results.py --keep NAME    what is trained of unfinished ablations: results/unfinished.json.xz, for import
python scripts/results.py                the pages from results/records.json.xz, remarks.yaml and findings.yaml
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from paribus.ablation.cells import Plan
from paribus.config.composer import Composer
from paribus.config.outputs import outputs_folder
from paribus.evidence import checks
from paribus.evidence.plans import plans_of
from paribus.notes import ablations as notes
from paribus.notes.checks import stored
from paribus.notes.pages.findings import stale
from paribus.notes.pages.pages import pages
from paribus.notes.pages.results import Results, times
from paribus.report import packed as shipped
from paribus.report.collect import studies
from paribus.store import registration
from paribus.store.reader import Reader
from paribus.store.store import Store

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "results" / "records.json.xz"
UNFINISHED = ROOT / "results" / "unfinished.json.xz"
AGAIN = ROOT / "results" / "digits.json"  # from scripts/bench_digits.py
FIGURES = ("regimes", "path", "forest", "sensitivity", "batch_times", "seeds")  # what says most comes first
MOST = 1  # pictures of an ablation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", nargs="*", metavar="NAME", help="first collect the records from outputs/")
    parser.add_argument("--keep", nargs="+", metavar="NAME", help="only keep what is trained of unfinished ablations")
    options = parser.parse_args()
    if options.keep:
        return keep(options.keep)
    if (named := options.pack) is not None:
        pack(named)
    found, said = results(), written("findings")
    made = pages(found, said)
    for path in files():
        if path not in made:
            (ROOT / path).unlink()
    for path, text in made.items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text, encoding="utf-8")
    print(f"{len(made)} files")
    for id in stale(found, said["said"]):
        print(f"results/findings.yaml: the verdicts of {id} are not those that its words are about")


def results() -> Results:
    """All that the shipped records say."""
    found = shipped.Shipped.read(RECORDS)
    figures = {
        name: [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs" / "results").glob(f"{name}-*.png"))]
        for name in found.plans
    }
    return Results(found, written("remarks"), figures, again())


def files() -> list[str]:
    """What an earlier run has made."""
    kinds = (".md", ".svg", ".csv")
    found = [path for path in (ROOT / "docs" / "results").rglob("*") if path.suffix in kinds]
    return ["RESULTS.md", *sorted(path.relative_to(ROOT).as_posix() for path in found)]


def written(name: str) -> dict[str, Any]:
    """What people wrote: remarks or findings."""
    return yaml.safe_load((ROOT / "results" / f"{name}.yaml").read_text(encoding="utf-8")) or {}


def again() -> dict[str, Any]:
    """What training took another time, from nothing and on a quiet machine."""
    return json.loads(AGAIN.read_text(encoding="utf-8"))


def pack(named: Sequence[str] = ()) -> None:
    """named: ablations, and checks by their ids; all of them where none is given."""
    store = Store(outputs_folder())
    made = {each.id: each for check in stored.chosen(()) if (each := checks.read(store, check.id)) is not None}
    asked_checks = [name for name in named if name in {check.id for check in stored.CHECKS}]
    if missing := [id for id in asked_checks if id not in made]:
        raise SystemExit(f"outputs/ lacks {', '.join(missing)}. First: paribus claims notes --run --only {missing[0]}")
    read, composer = Reader(store), Composer()
    plans: dict[str, list[Plan]] = {}
    wanted = [name for name in named if name not in asked_checks]
    for name in wanted if named else notes.names():
        own = plans_of([f"ablation={notes.whole(name)}"], read, composer)
        ready = all(plan.complete for plan in own) and any(read(c.id) for plan in own for c in plan.cells)
        if ready and not any(read(cell.id) is None for plan in own for cell in plan.cells):
            plans[name] = own
            print(f"{name}: {len({cell.id for plan in own for cell in plan.cells})} runs")
        else:
            print(f"{name}: left out, it is not complete")
    asked = wanted if named else (shipped.Shipped.read(RECORDS).plans if RECORDS.exists() else ())
    lost = sorted(set(asked) - set(plans))
    if lost:
        raise SystemExit(
            f"{RECORDS.name} {'needs' if named else 'has'} results of {', '.join(lost)}, which outputs/ lacks"
            f"{'' if named else ' and which would be lost'}. "
            f"First: paribus import {RECORDS.relative_to(ROOT)}, then paribus claims notes --run"
        )
    if named:
        shipped.update(RECORDS, plans, read, store.curves, [made[id] for id in asked_checks])
    else:
        shipped.write(RECORDS, plans, read, made.values(), store.curves)
    read_packed = shipped.Shipped.read
    if UNFINISHED.exists() and read_packed(UNFINISHED).records.keys() <= read_packed(RECORDS).records.keys():
        UNFINISHED.unlink()
    for name, own in plans.items():
        draw(name, composer)
        note_time(name, own, read)


def keep(named: Sequence[str]) -> None:
    """Records of unfinished ablations that are not shipped yet, and their registrations; nothing else is changed."""
    store, known = Store(outputs_folder()), shipped.Shipped.read(RECORDS).records
    read, composer = Reader(store), Composer()
    plans = [plan for name in named for plan in plans_of([f"ablation={notes.whole(name)}"], read, composer)]
    registrations = [registration.read(store.root, plan.name) for plan in plans]
    shipped.write_unfinished(
        UNFINISHED, plans, lambda id: None if id in known else read(id), registrations, store.curves
    )
    print(f"{len(shipped.Shipped.read(UNFINISHED).records)} runs in {UNFINISHED.relative_to(ROOT)}")


def draw(name: str, composer: Composer) -> None:
    """The pictures that say most, for each regime of an ablation."""
    from paribus.report.figures import catalogue
    from paribus.report.figures.saving import save

    folder = ROOT / "docs" / "results"
    for old in (*folder.glob(f"{name}-*.png"), *folder.glob(f"{name}-*.txt")):
        old.unlink()
    found = studies([f"ablation={notes.whole(name)}"], composer=composer)
    drawn: list[tuple[str, catalogue.Drawn]] = [("regimes", catalogue.of_regimes(name, found))]
    for each in found:
        wanted = [figure for figure in FIGURES if figure in catalogue.FIGURES]
        suffix = f"-{each.regime}" if each.regime else ""
        drawn += [(stem + suffix, figure) for stem, figure in catalogue.of_study(each, wanted)]
    drawn.sort(key=lambda item: FIGURES.index(item[0].partition("-")[0]))
    kept = [(stem, figure) for stem, figure in drawn if not isinstance(figure, catalogue.Missing)][:MOST]
    for stem, figure in kept:
        save(figure, folder / f"{name}-{stem}", ("png",))


def note_time(name: str, plans: list[Plan], read: Reader) -> None:
    """The measured time in the head of the ablation's file."""
    records = {c.id: r for plan in plans for c in plan.cells if (r := read(c.id)) is not None}
    path = ROOT / "conf" / "ablation" / f"{notes.whole(name)}.yaml"
    line = f"# Time: {times(name, list(records.values()), again())}."
    path.write_text(re.sub(r"(?m)^# Time: .*$", line, path.read_text(encoding="utf-8"), count=1), encoding="utf-8")


if __name__ == "__main__":
    main()
