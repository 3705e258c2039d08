"""The page in a real browser: no errors, controls that work, names for everything, at two widths, in both themes."""

from __future__ import annotations

import base64
import threading
import time
from xml.etree import ElementTree

import pytest
from axe_core_python.selenium import Axe
from browsers import screen
from made_ablations import Made as Planned
from made_studies import made_grid
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from paribus.report.page.render import Live, page
from paribus.report.page.serve import Built, Watcher
from paribus.report.study import study
from paribus.report.verdicts import claims

pytestmark = pytest.mark.needs("browser")

CHART = ".study:not([hidden]) [data-chart={}] > svg"


@pytest.fixture
def opened(browser, make, tmp_path):
    """Opens the page of an ablation from disk; afterwards the console must be empty."""

    def open_page(width: int = 1280, theme: str = "light", **asked):
        made = make(**asked)
        path = tmp_path / "report.html"
        path.write_text(rendered(made))
        screen(browser, width, theme)
        browser.get(path.as_uri())
        return made

    browser.get_log("browser")
    yield open_page
    assert browser.get_log("browser") == []


def rendered(made, live: Live | None = None) -> str:
    return page("batch", made.studies, claims(made.plans, made.records.get), "paribus train -m ablation=batch", live)


def one(browser, selector: str):
    return browser.find_element(By.CSS_SELECTOR, selector)


def every(browser, selector: str):
    return browser.find_elements(By.CSS_SELECTOR, selector)


def shown(browser, selector: str) -> int:
    return len([node for node in every(browser, selector) if node.is_displayed()])


def lines(browser, chart: str = "learning") -> int:
    """Lines and bands that the first chart of a kind draws."""
    return len(every(one(browser, CHART.format(chart)), "path[fill=none][stroke]:not(.frame)"))


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_in_the_colours_of_the_theme(browser, opened, width, theme):
    opened(width, theme)
    root = "return document.documentElement"
    assert browser.execute_script(f"{root}.scrollWidth") == browser.execute_script(f"{root}.clientWidth")
    background = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(246, 247, 249)" if theme == "light" else "rgb(20, 23, 27)")


@pytest.mark.parametrize(("width", "theme"), [(390, "light"), (1280, "dark")])
def test_it_is_accessible(browser, opened, width, theme):
    """Names, roles, landmarks, contrast: the rules of axe-core."""
    opened(width, theme)
    for details in every(browser, ".study details, .runs:nth-of-type(1), #repeat details"):
        browser.execute_script("arguments[0].open = true", details)
    found = Axe().run(browser)
    assert len(found["passes"]) > 30
    assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []


def test_a_grid_is_accessible_and_draws_its_interaction(browser, tmp_path):
    path = tmp_path / "grid.html"
    path.write_text(page("grid", [made_grid()], [], "paribus train -m ablation=grid"))
    for width, theme in ((390, "light"), (1280, "dark")):
        screen(browser, width, theme)
        browser.get(path.as_uri())
        assert [(each["id"], each["nodes"][0]["html"]) for each in Axe().run(browser)["violations"]] == []
        assert lines(browser, "interaction") == 2
        names = [node.text for node in every(browser, CHART.format("interaction") + " text")]
        assert {"norm=batch", "norm=none"} <= set(names)
    assert browser.get_log("browser") == []


def test_every_control_has_a_name_and_can_be_reached_by_keys(browser, opened):
    opened()
    tree = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = ("button", "checkbox", "radio", "combobox", "searchbox", "link", "application", "region", "table")
    named = [
        (n["role"]["value"], n.get("name", {}).get("value", ""))
        for n in tree
        if n.get("role", {}).get("value") in roles
    ]
    without = [role for role, name in named if not name and role != "table"]
    assert len(named) > 40
    assert without == []
    unreachable = browser.execute_script(
        "return [...document.querySelectorAll('a[href],button,input,select,summary,.chart > svg')]"
        ".filter((node) => node.tabIndex < 0 && !node.closest('[hidden],dialog')).map((node) => node.outerHTML)"
    )
    assert unreachable == []


def test_regimes_axes_metrics_and_arms_can_be_chosen(browser, opened):
    opened()
    assert shown(browser, ".study") == 1
    one(browser, ".regimes input[value='1']").click()
    assert shown(browser, ".study") == 1
    assert one(browser, ".study:not([hidden])").get_attribute("data-study") == "1"
    assert lines(browser) == 3

    regime = one(browser, ".study:not([hidden])")
    one(regime, "input[value=seconds]").click()
    assert "training time (s)" in one(browser, CHART.format("learning")).text
    Select(one(regime, "[data-metric='0']")).select_by_value("lr")
    assert one(browser, CHART.format("learning")).get_attribute("aria-label").startswith("Learning curves: lr over")
    Select(one(regime, "[data-metric='0']")).select_by_value("train/loss")

    one(browser, ".arms input[value='1']").send_keys(Keys.SPACE)
    assert lines(browser) == 2
    one(browser, "[data-arms=none]").click()
    assert lines(browser) == 0
    one(browser, "[data-arms=all]").click()
    one(regime, "[data-show=runs]").send_keys(Keys.SPACE)
    assert lines(browser) == 3 + 15
    bands = len(every(one(browser, CHART.format("learning")), ".band"))
    one(regime, "[data-show=bands]").send_keys(Keys.SPACE)
    assert (bands, len(every(one(browser, CHART.format("learning")), ".band"))) == (3, 0)


def test_the_legend_stays_and_lights_an_arm_everywhere(browser, opened):
    """By keys at its entry, by the pointer at a row of a table, and at a line of a chart."""
    opened()
    lit = """
    const arms = (nodes) => [...new Set(nodes.map((node) => node.dataset.arm))].sort();
    const seen = (selector) => [...document.querySelectorAll(selector)].filter((node) => node.checkVisibility());
    const bright = (chart) =>
      [...chart.querySelectorAll("[data-arm]")].filter((g) => getComputedStyle(g).opacity === "1");
    const plain = (node) => getComputedStyle(node).backgroundColor === "rgba(0, 0, 0, 0)";
    return [
      seen(".chart:not([data-chart=times]) > svg").map((chart) => arms(bright(chart))),
      arms(seen("tr[data-arm], .legend label").filter((node) => !plain(node))),
    ];
    """
    charts, rows = browser.execute_script(lit)
    assert len(charts) > 4
    assert charts == [["0", "1", "2"]] * len(charts)
    assert rows == []
    browser.execute_script("arguments[0].focus()", one(browser, ".arms input[value='1']"))
    assert browser.execute_script(lit) == [[["1"]] * len(charts), ["1"]]
    row = one(browser, ".study:not([hidden]) .numbers tbody tr:nth-child(3)")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", row)
    ActionChains(browser).move_to_element(row).perform()
    assert browser.execute_script(lit) == [[["2"]] * len(charts), ["2"]]
    marker = one(browser, "[data-chart=regimes] g[data-arm='0'] path[transform]")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", marker)
    ActionChains(browser).move_to_element(marker).perform()
    assert browser.execute_script(lit) == [[["0"]] * len(charts), ["0"]]
    browser.execute_script("document.getElementById('runs').previousElementSibling.scrollIntoView({block: 'end'})")
    assert 0 <= one(browser, ".legend").rect["y"] - browser.execute_script("return scrollY") < 60


def test_what_has_the_focus_is_never_below_the_legend(browser, opened):
    opened(arms=[f"a rather long name of arm {k}" for k in range(14)], seeds=3, epochs=3)
    hidden = """
    const found = [], legend = document.querySelector(".legend");
    const controls = document.querySelectorAll("#evidence :is(a, button, input, summary, select, .chart > svg)");
    for (const node of [...controls].reverse()) {
      if (!node.checkVisibility() || legend.contains(node)) continue;
      node.focus();
      if (node.getBoundingClientRect().bottom <= legend.getBoundingClientRect().bottom) found.push(node.outerHTML);
    }
    return found;
    """
    assert browser.execute_script(hidden) == []
    one(browser, ".legend .skip").send_keys(Keys.ENTER)
    one(browser, ".legend summary").click()
    assert not one(browser, ".arms").is_displayed()


@pytest.mark.slow
def test_two_ablations_stand_on_one_page(browser, make, tmp_path):
    first, second = make(), make(arms=("b8", "b512"), name="other")
    path = tmp_path / "two.html"
    path.write_text(
        page("batch and other", [*first.studies, *second.studies], [], "paribus train -m ablation=batch,other")
    )
    for width, theme in ((390, "dark"), (1280, "light")):
        screen(browser, width, theme)
        browser.get(path.as_uri())
        assert [(each["id"], each["nodes"][0]["html"]) for each in Axe().run(browser)["violations"]] == []
        root = "return document.documentElement"
        assert browser.execute_script(f"{root}.scrollWidth") == browser.execute_script(f"{root}.clientWidth")
    assert [each.text for each in every(browser, ".legend label")] == ["b32 baseline", "b8", "b128", "b512"]
    assert [node.get_attribute("data-study") for node in every(browser, ".study") if node.is_displayed()] == ["0", "2"]
    every(browser, ".regimes")[1].find_element(By.CSS_SELECTOR, "input[value='3']").click()
    assert [node.get_attribute("data-study") for node in every(browser, ".study") if node.is_displayed()] == ["0", "3"]
    one(browser, "[data-arms=none]").click()
    drawn = "return document.querySelectorAll('[data-chart=regimes] g[data-arm]').length"
    assert browser.execute_script(drawn) == 0
    one(browser, ".arms input[value='1']").click()
    assert browser.execute_script(drawn) == 2 * 2  # lines and bands, in both ablations
    assert browser.get_log("browser") == []


def test_any_two_metrics_are_drawn_and_their_dots_lead_to_runs(browser, opened):
    made = opened()
    chart = CHART.format("scatter")
    assert "test loss" in one(browser, chart).text
    Select(one(browser, "[name=x-of-0]")).select_by_value("ms_per_update")
    Select(one(browser, "[name=y-of-0]")).select_by_value("val/acc")
    assert (
        one(browser, chart)
        .get_attribute("aria-label")
        .startswith("Runs by two metrics: validation accuracy (%) over ms")
    )
    done = [run for run in made.studies[0].runs("done").values()]
    assert len(every(browser, chart + " .dot-link")) == sum(map(len, done))
    one(browser, ".arms input[value='2']").click()
    assert len(every(browser, chart + " .dot-link")) == sum(map(len, done[:2]))
    one(browser, chart).send_keys(Keys.ARROW_RIGHT)
    tip = one(browser, "[data-chart=scatter] .tip")
    assert "seed" in tip.text
    browser.execute_script("arguments[0].dispatchEvent(new Event('click'))", one(browser, chart + " .dot-link"))
    assert one(browser, "dialog").is_displayed()


def test_settings_are_read_and_thinned_by_keys(browser, tmp_path):
    section = {
        "name": "search",
        "factors": {"norm": ["batch", "layer"]},
        "tune": {"trials": 8, "space": {"optimizer.lr": {"log": [1e-3, 1]}, "model.width": {"int": [8, 64]}}},
        "seeds": {"tune": 2, "report": 3},
    }
    ablation = Planned(section, lambda cell: 0.9 - 0.1 * cell.run.optimizer["lr"])
    [plan] = ablation.plans
    arms = {arm: [ablation.read(cell.id) for cell in cells] for arm, cells in plan.arms.items()}
    drawn = study(plan.name, arms, ["test/acc"], plan, ablation.read, lambda id: {})
    path = tmp_path / "search.html"
    path.write_text(page("search", [drawn], [], "paribus train -m ablation=search"))
    for width, theme in ((390, "dark"), (1280, "light")):
        screen(browser, width, theme)
        browser.get(path.as_uri())
        assert [(each["id"], each["nodes"][0]["html"]) for each in Axe().run(browser)["violations"]] == []
    chart = CHART.format("settings")
    drawn_lines = f"return document.querySelectorAll('{chart} [data-arm] path').length"
    counts = []
    for key in ("", "+", "+", "-", "0"):
        one(browser, chart).send_keys(key)
        counts.append(browser.execute_script(drawn_lines))
    assert counts == [16, 8, 4, 8, 16]
    one(browser, chart).send_keys(Keys.ARROW_RIGHT)
    tip = one(browser, "[data-chart=settings] .tip")
    assert tip.get_attribute("role") == "status"
    best = tip.text
    assert all(said in best for said in ("arm", "optimizer.lr", "model.width", "validation accuracy (%)", "chosen"))
    one(browser, chart).send_keys(Keys.ARROW_RIGHT)
    assert tip.text != best
    assert browser.get_log("browser") == []


def test_hover_and_zoom_by_mouse_and_by_keys(browser, opened):
    opened()
    chart = one(browser, CHART.format("learning"))
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)
    ActionChains(browser).move_to_element(chart).perform()
    tip = one(browser, "[data-chart=learning] .tip")
    assert tip.is_displayed()
    assert "epoch" in tip.text
    assert all(arm in tip.text for arm in ("b32", "b8", "b128", "n = 5"))

    label = "return document.querySelectorAll('[data-chart=learning] [aria-label^=\"Reset zoom\"]').length"
    ActionChains(browser).move_to_element_with_offset(chart, -80, 0).click_and_hold().move_by_offset(
        120, 0
    ).release().perform()
    assert browser.execute_script(label) == 2  # both charts of the pair zoom together
    chart = one(browser, CHART.format("learning"))
    chart.send_keys("0")
    assert browser.execute_script(label) == 0
    one(browser, CHART.format("learning")).send_keys("+")
    assert browser.execute_script(label) == 2
    one(browser, CHART.format("learning")).send_keys("-")
    assert browser.execute_script(label) == 0
    one(browser, CHART.format("learning")).send_keys(Keys.ARROW_RIGHT)
    tip = one(browser, "[data-chart=learning] .tip")
    assert tip.get_attribute("role") == "status"
    assert tip.text.startswith("epoch 1\n")


def test_numbers_lead_to_runs_and_runs_to_their_records(browser, opened):
    made = opened()
    one(browser, ".study:not([hidden]) .numbers tbody tr:nth-child(2) td a").click()
    assert one(browser, "#runs-0-1").get_attribute("open") is not None
    run = made.plans[0].arms["b8"][0].id
    one(browser, f"#runs-0-1 a[href='#run-{run}']").click()
    dialog = one(browser, "dialog")
    assert dialog.is_displayed()
    for said in ("paribus train batch_size='b8' seed=0", "optimizer.lr", "2.13.0", run, "test/acc"):
        assert said in dialog.text
    assert len(every(dialog, "svg[role]")) == 1
    one(dialog, ".copy").click()
    WebDriverWait(browser, 5).until(lambda _: one(dialog, ".copy").text in ("copied", "selected"))
    one(dialog, ".close").click()
    assert not dialog.is_displayed()
    browser.execute_script("document.querySelector('[data-chart=seeds] .dot-link').dispatchEvent(new Event('click'))")
    assert dialog.is_displayed()
    dialog.send_keys(Keys.ESCAPE)


def test_runs_are_found(browser, opened):
    opened()
    one(browser, "#find").send_keys("failed")
    assert one(browser, "#found").text == "1 run"
    assert shown(browser, "tr[data-run]") == 1
    one(browser, "#find").clear()
    one(browser, "#find").send_keys("b8 tuning diverged")
    assert one(browser, "#found").text == "2 runs"


def test_paper_shows_all_regimes_in_ink_that_dark_screens_do_not_change(browser, opened):
    opened(theme="dark")
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": features})
    assert shown(browser, ".study") == 2
    assert shown(browser, ".top, .controls, .zoom, .search, .copy") == 0
    assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.execute_script("return getComputedStyle(document.body).color") == "rgb(0, 0, 0)"


def test_hostile_names_run_nothing(browser, opened):
    opened(arms=("</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "{{7*7}}'\"&"), name="<b>")
    assert every(browser, "main b > b, main img") == []
    assert "<img src=x onerror=alert(1)>" in one(browser, ".arms").text
    chart = one(browser, CHART.format("learning"))
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)
    ActionChains(browser).move_to_element(chart).perform()
    assert "</script><script>alert(1)</script>" in one(browser, "[data-chart=learning] .tip").text


def test_a_live_page_follows_the_records_and_keeps_the_readers_choices(browser, make):
    made, state = make(seeds=5), {"version": "1", "text": "3 of 9 runs over"}
    command = "return document.querySelector('.live').dataset.version"

    def build() -> Built:
        live = Live(3 if state["version"] == "1" else 9, 9, state["text"], state["version"])
        return Built(rendered(made, live), live)

    watcher = Watcher(build, lambda: state["version"], 0, every=0.05)
    thread = threading.Thread(target=watcher.run)
    thread.start()
    try:
        screen(browser, 1280, "light")
        browser.get(watcher.url)
        one(browser, ".regimes input[value='1']").click()
        one(browser, ".arms input[value='1']").click()
        one(browser, ".legend summary").click()
        assert one(browser, "#progress-text").text == "3 of 9 runs over"
        made.studies[1] = make(seeds=4).studies[1]
        state |= {"text": "9 of 9 runs over", "version": "2"}
        WebDriverWait(browser, 20).until(lambda _: browser.execute_script(command) == "2")
        assert one(browser, "#progress-text").text == "9 of 9 runs over"
        assert one(browser, ".study:not([hidden])").get_attribute("data-study") == "1"
        assert not one(browser, ".arms input[value='1']").is_selected()
        assert not one(browser, ".arms").is_displayed()
        assert lines(browser) == 2
        assert one(browser, ".study:not([hidden]) .numbers tbody tr td:last-child").text == "4"
    finally:
        watcher.stop()
        thread.join(20)
    WebDriverWait(browser, 20).until(lambda _: "has stopped" in one(browser, "#progress-text").text)
    time.sleep(0.1)
    assert all("/progress" in entry["message"] for entry in browser.get_log("browser"))  # it is gone, and only that


BROKEN = """
const found = [];
for (const cell of document.querySelectorAll(".study:not([hidden]) :is(.numbers td.words, .forest tbody th)")) {
  const walk = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode())
    for (const word of node.textContent.matchAll(/\\S+/g)) {
      const range = document.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map((box) => box.top)).size > 1) found.push(word[0]);
    }
}
return found;
"""


def test_times_to_targets_are_drawn_with_the_names_of_arms(browser, opened):
    opened()
    lines = every(browser, CHART.format("speed") + " path[fill=none]")
    assert len(lines) >= 3
    assert [each.text for each in every(browser, ".legend label")] == ["b32 baseline", "b8", "b128"]
    assert every(browser, "[data-chart=profile] > svg path[fill=none]")


@pytest.mark.parametrize("width", [390, 800, 1400])
def test_long_names_break_at_separators_and_a_wide_table_scrolls(browser, opened, width):
    opened(width, arms=("b32", "norm=without_batch_normalization, augmentation=without", "without", "internationalize"))
    assert browser.execute_script(BROKEN) == []
    box, times = (each for each in every(browser, ".numbers.scroll") if each.is_displayed())
    assert "reached" in times.text
    beyond = browser.execute_script("return arguments[0].scrollWidth - arguments[0].clientWidth", box)
    assert (beyond > 0) == (width < 1400)
    browser.execute_script("arguments[0].scrollLeft = 10000", box)
    assert browser.execute_script("return arguments[0].scrollLeft", box) == pytest.approx(beyond, abs=1)
    assert "gradient" in box.value_of_css_property("background-image")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_tables_sort_at_their_heads(browser, opened):
    opened()
    table = "document.querySelector('.study:not([hidden]) .numbers table')"
    column = f"return [...{table}.tBodies[0].rows].map((row) => row.cells[{{}}].innerText)"
    before = browser.execute_script(column.format(1))
    head = every(browser, ".study:not([hidden]) .numbers thead .sort")[1]
    numbers = [float(text.split("±")[0].replace(",", "")) for text in before]
    for order in (sorted(numbers, reverse=True), sorted(numbers), numbers):
        head.click()
        assert [float(text.split("±")[0]) for text in browser.execute_script(column.format(1))] == order
    every(browser, ".study:not([hidden]) .numbers thead .sort")[0].send_keys(Keys.ENTER)
    names = browser.execute_script(column.format(0))
    assert names == sorted(names, reverse=True)


def test_tables_and_charts_are_saved(browser, opened):
    """What is saved is caught on its way: CSV as it stands, pictures with the colours of the page."""
    made = opened()
    browser.execute_script(
        "window.saved = {}; save = (name, blob) => { const reader = new FileReader();"
        "reader.onload = () => { window.saved[name] = reader.result; }; reader.readAsDataURL(blob); };"
    )
    buttons = every(browser, ".study:not([hidden]) .saves button")[:1] + every(
        browser, "[data-chart=regimes] .zoom button"
    )
    assert [each.text for each in buttons] == ["CSV", "SVG", "PNG"]
    for button in buttons:
        browser.execute_script("arguments[0].click()", button)
    WebDriverWait(browser, 10).until(lambda driver: driver.execute_script("return Object.keys(saved).length") == 3)
    saved = {name: content.partition(",") for name, content in browser.execute_script("return saved").items()}
    [(table, csv)] = [(name, base64.b64decode(content[2]).decode()) for name, content in saved.items() if "csv" in name]
    rows = csv.strip().split("\n")
    assert table == "table-of-batch-f-.csv"
    assert rows[0].startswith('"arm","test accuracy (%) ↑"')
    assert len(rows) == 1 + len(made.plans[0].arms)
    picture = base64.b64decode(saved["means-of-the-arms-over-the-regimes.svg"][2]).decode()
    root = ElementTree.fromstring(picture)
    assert root.tag.endswith("svg")
    assert sum((node.get("stroke") or "").startswith("rgb(") for node in root.iter()) > 10
    assert "var(" not in picture
    png = base64.b64decode(saved["means-of-the-arms-over-the-regimes.png"][2])
    assert png.startswith(b"\x89PNG")
    assert len(png) > 5000
