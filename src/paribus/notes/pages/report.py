"""The interactive report on an ablation, from shipped records alone, for the site."""

from __future__ import annotations

from paribus.report.packed import Shipped
from paribus.report.page.render import page
from paribus.report.study import study
from paribus.report.verdicts import claims

BESIDE = ("test/loss", "ms_per_update")  # what a table shows behind the metric that is compared


def report(shipped: Shipped, name: str) -> str:
    """HTML. Curves are of the runs whose points were packed."""
    plans = shipped.plans[name]
    made = []
    for plan in plans:
        metrics = (plan.metric, *BESIDE)
        arms = {arm: [shipped.record(each.id) if each else None for each in cells] for arm, cells in plan.arms.items()}
        made.append(study(plan.name, arms, metrics, plan, shipped.record, lambda id: {}, curves=shipped.curve))
    return page(name, made, claims(plans, shipped.record), f"paribus train -m ablation={name}")
