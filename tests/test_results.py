"""RESULTS.md is what the shipped records say, to the letter."""

from pathlib import Path

import pytest
import scripts

ROOT = Path(__file__).parents[1]


def test_every_number_comes_out_of_the_shipped_records_again():
    assert scripts.load("results").results() == (ROOT / "RESULTS.md").read_text(encoding="utf-8")


def test_every_remark_belongs_to_a_claim_or_an_ablation_that_is_shipped():
    import yaml

    from paribus.report.packed import Shipped

    found = Shipped.read(ROOT / "results" / "records.json.gz")
    ids = {each.id for plans in found.plans.values() for plan in plans for each in plan.ablation.hypotheses}
    remarks = yaml.safe_load((ROOT / "results" / "remarks.yaml").read_text(encoding="utf-8"))
    assert set(remarks) <= ids | set(found.plans) | set(found.checks)


def test_shipped_files_are_small_and_pictures_are_there():
    assert (ROOT / "results" / "records.json.gz").stat().st_size < 3_000_000
    text = (ROOT / "RESULTS.md").read_text(encoding="utf-8")
    named = {part.partition(")")[0] for part in text.split("](docs/results/")[1:]}
    assert named == {path.name for path in (ROOT / "docs" / "results").glob("*.png")}


@pytest.mark.slow
def test_every_shipped_ablation_has_its_page_and_its_tables():
    """Also those with runs that diverged, whose losses are nan."""
    from paribus.ablation.command import plan_command
    from paribus.config.composer import Composer
    from paribus.report.packed import Shipped
    from paribus.report.page.render import page
    from paribus.report.study import study
    from paribus.report.tables.source import Options, sheets
    from paribus.report.tables.table import document
    from paribus.report.verdicts import claims

    found, composer = Shipped.read(ROOT / "results" / "records.json.gz"), Composer()
    diverged = 0
    for name in found.plans:
        plans = plan_command([f"ablation={name}"], found.record, composer)
        metrics = (plans[0].metric, "test/loss", "ms_per_update")
        made = []
        for plan in plans:
            arms = {arm: [found.record(c.id) if c else None for c in cells] for arm, cells in plan.arms.items()}
            made.append(study(plan.name, arms, metrics, plan, found.record, lambda id: {}))
        text = page(name, made, claims(plans, found.record), "paribus train -m ...")
        # Verdicts that the rule of today leaves open want further seeds, which are not shipped yet.
        ids = {cell.id for plan in plans for cell in plan.cells} & found.records.keys()
        assert all(id in text for id in ids)
        diverged += sum(found.records[id].status == "diverged" for id in ids)
        shown = sheets(plans, found.record, Options(metrics))
        assert all(document(shown, form) for form in ("markdown", "latex", "html"))
    assert diverged > 0
