"""docs/cards: a card for every optimizer, schedule, norm and loss, and their index.

python scripts/cards.py            writes the cards, and into each option of conf/ the line that leads to its card

A card is made of docs/cards/GROUP.yaml (what people wrote), conf/GROUP/OPTION.yaml (options, defaults and their
comments) and results/records.json.xz (what came out of our own ablations: a table, the claims about it, and a
picture).
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from results import results as shipped_results

from paribus.ablation.cells import Plan
from paribus.evidence.aggregate import aggregate_plan
from paribus.evidence.arms import ReportError
from paribus.notes.pages.card import Sensitivity, all_tuned, claims_of, draw, sensitivity, speeds
from paribus.notes.pages.literature import with_links
from paribus.notes.pages.results import Results, claim_path, relative
from paribus.report.escape import markdown
from paribus.report.numbers import title
from paribus.report.packed import Shipped
from paribus.report.tables import render
from paribus.report.tables.columns import View, metric_column, with_interval
from paribus.report.tables.sheet import Column, Entry, Sheet

ROOT = Path(__file__).resolve().parents[1]
CARDS = ROOT / "docs" / "cards"
GROUPS = ("optimizer", "scheduler", "norm", "loss")
MADE = "<!-- Made by scripts/cards.py from docs/cards/{0}.yaml and conf/{0}/{1}.yaml. -->"
LINES = re.compile(r"^( *)([\w.]+): *(.*?)(?: *# ?(.*))?$")


def main() -> None:
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for group in GROUPS:
        for name in written(group)["cards"]:
            path = ROOT / "conf" / group / f"{name}.yaml"
            path.write_text(linked(path.read_text(encoding="utf-8"), group, name), encoding="utf-8")


def pages() -> dict[Path, str]:
    """Every card with its picture, and the index, as they should be."""
    found, made = shipped_results(), {}
    tuned = all_tuned(found.shipped)
    for group in GROUPS:
        for name in written(group)["cards"]:
            own = sensitivity(tuned, group, name)
            made[CARDS / group / f"{name}.md"] = card(group, name, found, own)
            if own is not None:
                made[CARDS / group / f"{name}.svg"] = draw(own, group, name)
    return {**made, CARDS / "index.md": index()}


@cache
def written(group: str) -> dict[str, Any]:
    """What people wrote about the options of a group."""
    return yaml.safe_load((CARDS / f"{group}.yaml").read_text(encoding="utf-8"))


def card(group: str, name: str, found: Results, tuned: Sensitivity | None) -> str:
    """One page of Markdown, with formulas in GitHub's form."""
    whole = written(group)
    own = {**{key: whole[key] for key in ("state", "passes", "tests") if key in whole}, **whole["cards"][name]}
    tests = ", ".join(f"[{path}](../../../{path})" for path in own["tests"])
    others = ", ".join(f"[{whole['cards'][other]['name']}]({other}.md)" for other in own["see"])
    sources = [f"- {with_links(source)}" for source in own["sources"]] or ["- common practice; no single source"]
    parts = [
        MADE.format(group, name),
        f"# {own['name']}\n",
        f"`{group}={name}` · [conf/{group}/{name}.yaml](../../../conf/{group}/{name}.yaml) · {tests} · "
        "[all cards](../index.md)\n",
        f"{own['what']}\n",
        f"```math\n{own['formula']}\n```\n",
        f"{whole['symbols']}\n",
        "## Source\n",
        "\n".join(sources) + "\n",
        "## Options\n",
        options(group, name),
        "## Cost\n",
        f"- State: {state(own['state'])}.\n- Beyond a plain update: {own['passes']}.\n",
        "## When it helps\n",
        f"{with_links(own['helps'])}\n",
        "## When it does not\n",
        f"{with_links(own['fails'])}\n",
        "## In our own results\n",
        results(group, name, found.shipped),
        *beside(group, name, found, tuned),
        f"See also: {others}.\n",
    ]
    return "\n".join(parts)


def index() -> str:
    """All cards, a table for each group."""
    parts = [
        "<!-- Made by scripts/cards.py. -->",
        "# Method cards\n",
        "What each technique is, where it comes from, what it costs, and when it helps. `make docs` makes these pages "
        "from the configuration and from what people wrote in `docs/cards/*.yaml`.\n",
    ]
    for group in GROUPS:
        whole = written(group)
        parts += [f"## {whole['title']}\n", "| option | card | in one line | source |", "|---|---|---|---|"]
        for name, own in whole["cards"].items():
            said = re.split(r"(?<=[.:]) ", own["what"], maxsplit=1)[0].rstrip(".:")
            source = re.match(r".*?\d{4}", own["sources"][0])[0] if own["sources"] else "–"
            parts.append(f"| `{group}={name}` | [{own['name']}]({group}/{name}.md) | {said} | {source} |")
        parts.append("")
    return "\n".join(parts)


def options(group: str, name: str) -> str:
    """A row for each key of the option: its default, and its comment there or the word that the group has for it."""
    words = written(group)["options"]
    rows = []
    for key, default, comment in keys((ROOT / "conf" / group / f"{name}.yaml").read_text(encoding="utf-8")):
        said = comment or words[key.rpartition(".")[2]]
        rows.append(f"| `{group}.{key}` | `{default}` | {said.replace('|', 'or')} |")
    if not rows:
        return "None.\n"
    return "\n".join(["| key | default | |", "|---|---|---|", *rows]) + "\n"


def keys(text: str) -> list[tuple[str, str, str]]:
    """(dotted key, default as written, comment) of the options of a config file, without Hydra's own keys."""
    found, above = [], ""
    for line in text.splitlines():
        match = LINES.match(line)
        if match is None or line.startswith("#"):
            continue
        indent, key, default, comment = match.groups()
        if not default:
            above = f"{key}."
        elif key not in ("_target_", "_partial_"):
            found.append((f"{above if indent else ''}{key}", default, comment or ""))
    return found


def state(kept: int | str) -> str:
    if isinstance(kept, str):
        return kept
    return {0: "nothing beside the weights", 1: "one number for each weight"}.get(
        kept, f"{kept} numbers for each weight"
    )


def beside(group: str, name: str, found: Results, tuned: Sensitivity | None) -> list[str]:
    """The picture of its tuning, times to a target, and the claims about it; nothing where no record tells."""
    parts = []
    if tuned is not None:
        ablation = tuned.plan.name.partition(" [")[0]
        where = f"[{tuned.plan.name}](../../results/ablations/{ablation}.md)"
        parts.append(f"Sensitivity to `{tuned.key}`, in {where}, means over the tuning seeds:\n")
        parts.append(f"![{name}: scores over {tuned.key}]({name}.svg)\n")
    if rows := list(speeds(found.shipped, group, name)):
        parts += ["| ablation, time to | arm | epochs |", "|---|---|---|"]
        parts += [f"| {markdown(of)}, {target} | {markdown(arm)} | {epochs} |" for of, target, arm, epochs in rows]
        parts.append("\nMean epochs to what the worst of these arms has at the end, and its 95 % interval.\n")
    if ids := claims_of(found, group, name):
        parts.append("Claims about it:\n")
        for id in ids:
            first = found.lines[id][0]
            to = relative(claim_path(id), PurePosixPath(f"docs/cards/{group}/{name}.md"))
            parts.append(f"- [{id}]({to}): {first.claim}. **{first.verdict}**")
        parts.append("")
    return parts


def results(group: str, name: str, shipped: Shipped | None) -> str:
    """A table of every arm that has the option, of every shipped ablation in which the group is a factor."""
    rows = [
        row
        for plans in (shipped.plans.values() if shipped else ())
        for plan in plans
        for row in arms(group, name, plan, shipped)
    ]
    if not rows:
        return (
            f"No shipped record compares it yet. Compare it: `paribus train -m {group}={name},... seed='range(5)'`.\n"
        )
    columns = [Column("ablation", words=True), Column("arm", words=True), Column("metric", words=True)]
    columns += [Column("mean ± sd"), Column("difference from the baseline"), Column("n"), Column("diverged")]
    said = "Paired differences from the baseline of each ablation, with their 95 % t interval."
    return render.markdown(Sheet("", "", columns, rows, said))


def arms(group: str, name: str, plan: Plan, shipped: Shipped | None) -> list[list[Entry]]:
    assert shipped is not None
    wanted = {arm for arm, levels in plan.levels.items() if levels.get(group) == name}
    if not wanted or all(levels.get(group) == name for levels in plan.levels.values()):
        return []
    try:
        table = aggregate_plan(plan, shipped.record, [plan.metric])
    except ReportError:
        return []  # nothing of it is done
    metric = table.metrics[0]  # with its declaration
    _, values = metric_column(table, metric, View())
    found = []
    for row, value in zip(table.rows, values, strict=True):
        if row.arm in wanted:
            d = row.cells[metric].difference
            apart = (
                with_interval(d.mean, d.low, d.high, metric)
                if d
                else Entry("baseline" if row is table.baseline else "–")
            )
            counts = (Entry(str(row.n)), Entry(str(row.diverged)))
            found.append([Entry(plan.name), Entry(row.arm), Entry(title(metric)), value, apart, *counts])
    return found


def linked(text: str, group: str, name: str) -> str:
    """The config file with the line that leads to its card, behind its first one."""
    first, *rest = [line for line in text.splitlines() if not line.startswith("# Card: ")]
    return "\n".join([first, f"# Card: docs/cards/{group}/{name}.md", *rest]) + "\n"


if __name__ == "__main__":
    main()
