"""Every file of the results by its path from the root of the project."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paribus.evidence.aggregate import Aggregate
from paribus.notes.pages.ablation import ablation_page
from paribus.notes.pages.claim import claim_page, claim_picture
from paribus.notes.pages.findings import INDEX, PAGE, findings_page
from paribus.notes.pages.index import index_page, section_page
from paribus.notes.pages.results import (
    FOLDER,
    Results,
    ablation_path,
    claim_path,
    section_key,
    section_path,
    table_path,
)
from paribus.report import scoreboard
from paribus.report.tables.table import csv_text


def pages(results: Results, written: Mapping[str, Any]) -> dict[str, str]:
    """Pages as Markdown, pictures as SVG, raw tables as CSV. written: see `findings.findings_page`."""
    made = {INDEX: index_page(results), PAGE: findings_page(results, written)}
    made[FOLDER / "claims.csv"] = scoreboard.csv_text([line for lines in results.lines.values() for line in lines])
    for section, ids in results.sections.items():
        made[section_path(section_key(ids[0]))] = section_page(results, section, ids)
        for id in ids:
            made[claim_path(id)] = claim_page(results, id)
            if drawn := claim_picture(results, id):
                made[claim_path(id).with_suffix(".svg")] = drawn
    for name, tables in results.tables.items():
        made[ablation_path(name)] = ablation_page(results, name)
        if found := [table for table in tables.values() if isinstance(table, Aggregate)]:
            made[table_path(name)] = csv_text(found)
    return {str(path): text for path, text in made.items()}
