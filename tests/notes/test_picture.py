"""Pictures of the results: places on an axis are those of the numbers, and the bytes depend on these alone."""

import math
import re
import xml.etree.ElementTree as ET

import pytest

from paribus.notes.pages.picture import CUT, Row, curves, differences, measurements

SVG = "{http://www.w3.org/2000/svg}"


def circles(text):
    return [(float(each.get("cx")), float(each.get("cy"))) for each in ET.fromstring(text).iter(f"{SVG}circle")]


def upright(text):
    """x of the lines at -d, d and 0."""
    lines = ET.fromstring(text).iter(f"{SVG}line")
    return [float(each.get("x1")) for each in lines if each.get("x1") == each.get("x2") and each.get("y1") == "20"]


def test_differences_stand_where_their_axis_says():
    rows = [Row("F", 2.0, 1.0, 3.0, "SUPPORTED", "+2"), Row("S", -1.0, -2.0, 0.0, "REVERSED", "−1")]
    text = differences(rows, "points", 0.5, "greater", "x: y & z")
    (first, _), (second, _) = circles(text)
    low, high, zero = upright(text)
    assert (first - zero) / (high - zero) == pytest.approx(2.0 / 0.5, rel=0.01)
    assert (second - zero) / (low - zero) == pytest.approx(1.0 / 0.5, rel=0.01)
    assert "claimed →" in text
    assert 'aria-label="x: y &amp; z"' in text
    assert differences(rows, "points", 0.5, "greater", "x: y & z") == text


def test_an_interval_that_would_press_the_others_together_ends_in_an_arrow():
    rows = [Row("a", 1.0, 0.5, 1.5, "SUPPORTED"), Row("b", 1.0, -1.0, 10.0 * CUT, "INCONCLUSIVE")]
    assert differences(rows, "", 0.1, "less", "").count("<polygon") == 1
    assert differences(rows[:1], "", 0.1, "less", "").count("<polygon") == 0
    assert differences([Row("a", math.nan, math.nan, math.nan, "INCONCLUSIVE")], "", 0.1, "less", "") == ""


@pytest.mark.parametrize(("value", "inside"), [(1.01, True), (1.2, False)])
def test_a_measurement_lies_in_what_the_claim_allows_or_not(value, inside):
    text = measurements([Row("t", value, math.nan, math.nan, "SUPPORTED", "", (0.95, 1.05))], "")
    [(x, _)] = circles(text)
    [(left, wide)] = re.findall(r'<rect x="([\d.]+)" width="([\d.]+)" [^>]*fill="#bfe0d2"', text)
    assert (float(left) <= x <= float(left) + float(wide)) == inside


def test_curves_grow_by_factors_and_mark_what_was_kept():
    line = [(0.01, 50.0), (0.1, 90.0), (1.0, 70.0)]
    text = curves({"adam": line}, [[(0.1, 10.0), (1.0, 20.0)]], ("lr", "accuracy"), "", {"adam": 0.1})
    points = circles(text)
    assert points[1][0] - points[0][0] == pytest.approx(points[2][0] - points[1][0], abs=0.2)
    assert points[0][1] > points[2][1] > points[1][1]  # higher scores stand higher
    assert text.count('r="5"') == 1
