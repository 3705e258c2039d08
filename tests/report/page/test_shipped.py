"""The reports on all shipped ablations in a real browser: nothing overflows, no word is broken, no error is logged."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from axe_core_python.selenium import Axe
from browsers import screen
from shipped_results import shipped

from paribus.config.composer import Composer
from paribus.evidence.plans import plans_of
from paribus.notes import ablations as notes
from paribus.report.collect import Collected, shown_metrics
from paribus.report.page.render import page
from paribus.report.study import study
from paribus.report.verdicts import claims

pytestmark = pytest.mark.needs("browser")
WIDTHS = (390, 800, 1400)
# Words of at most as many letters as fit on the narrowest line; a break after a hyphen or the like is none within one.
BROKEN = r"""
const found = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node; (node = walk.nextNode());) {
  if (!node.parentElement.checkVisibility() || node.parentElement.closest("pre, svg, script, style")) continue;
  for (const match of node.data.matchAll(/(?<![\p{L}\p{N}])[\p{L}\p{N}]{2,16}(?![\p{L}\p{N}])/gu)) {
    const range = document.createRange();
    range.setStart(node, match.index);
    range.setEnd(node, match.index + match[0].length);
    const lines = new Set([...range.getClientRects()].filter((box) => box.width > 0).map((box) => Math.round(box.top)));
    if (lines.size > 1) found.push(match[0]);
  }
}
return found;
"""
# Titles of three words and more whose last line is one word that would have had room beside another.
ALONE = r"""
const found = [], range = document.createRange();
const top = (node, from, to) => {
  range.setStart(node, from);
  range.setEnd(node, to);
  return Math.round([...range.getClientRects()].at(-1).top);
};
for (const title of document.querySelectorAll("h1, h3")) {
  const node = title.lastChild, text = node?.data?.trimEnd() ?? "", words = text.trim().split(/\s+/);
  if (!title.checkVisibility() || words.length < 3 || words.at(-1).length > 12) continue;
  const last = text.length - words.at(-1).length, before = last - 1 - words.at(-2).length;
  if (top(node, last, last + 1) !== top(node, before, before + 1)) found.push(text);
}
return found;
"""
# Texts of charts that lie over each other, and ticks with more digits than anybody writes.
CROWDED = r"""
const found = [];
for (const chart of document.querySelectorAll(".chart > svg, .forest svg")) {
  if (!chart.checkVisibility()) continue;
  const texts = [...chart.querySelectorAll("text:not([transform])")].map((t) => [t, t.getBoundingClientRect()]);
  for (const [k, [node, box]] of texts.entries()) {
    if (/\d{6}|\.\d{5}/.test(node.textContent)) found.push(node.textContent);
    for (const [other, near] of texts.slice(k + 1)) {
      const wide = Math.min(box.right, near.right) - Math.max(box.left, near.left);
      const high = Math.min(box.bottom, near.bottom) - Math.max(box.top, near.top);
      if (wide > 2 && high > 4) found.push(`${node.textContent} over ${other.textContent}`);
    }
  }
}
return found;
"""


@cache
def composer() -> Composer:
    return Composer()


@pytest.mark.parametrize(
    "name", [name if k % 8 == 0 else pytest.param(name, marks=pytest.mark.slow) for k, name in enumerate(notes.names())]
)
def test_a_report_fits_every_width(browser, tmp_path, name):
    path = report(name, tmp_path)
    browser.get_log("browser")
    for width in WIDTHS:
        screen(browser, width, "light")
        browser.get(path.as_uri())
        root = "return document.documentElement"
        assert browser.execute_script(f"{root}.scrollWidth") == browser.execute_script(f"{root}.clientWidth"), width
        assert browser.execute_script(BROKEN) == [], width
        assert browser.execute_script(ALONE) == [], width
        assert browser.execute_script(CROWDED) == [], width
        assert browser.execute_script("return document.querySelectorAll('.legend').length") == 1
    assert browser.get_log("browser") == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", notes.names())
def test_a_report_is_accessible(browser, tmp_path, name):
    path = report(name, tmp_path)
    for width, theme in ((390, "light"), (1400, "dark")):
        screen(browser, width, theme)
        browser.get(path.as_uri())
        browser.set_script_timeout(300)  # seconds: axe looks at thousands of nodes
        browser.execute_script("for (const each of document.querySelectorAll('.study details')) each.open = true")
        found = Axe().run(browser)
        assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == [], (width, theme)


def report(name: str, folder: Path) -> Path:
    """The file of the page about an ablation."""
    read = shipped().record
    found = []
    for plan in plans_of([f"ablation={name}"], read, composer()):
        arms = {arm: [None if cell is None else read(cell.id) for cell in cells] for arm, cells in plan.arms.items()}
        metrics = shown_metrics(Collected(plan.name, arms, plan.metric, plan))
        found.append(study(plan.name, arms, metrics, plan, read, lambda id: {}))
    claimed = [each for each in found if each.ablation.hypotheses]
    verdicts = claims([each.plan for each in claimed], read, known=[each.findings for each in claimed])
    path = folder / "report.html"
    path.write_text(page(name, found, verdicts, f"paribus train -m ablation={name}"))
    return path
