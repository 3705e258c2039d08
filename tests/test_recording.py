"""docs/demo.svg: a recording of commands that the tutorial teaches; what the terminal shows is drawn as it stands."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import scripts

ROOT = Path(__file__).parents[1]
recording = scripts.load("recording")


def test_a_screen_shows_what_a_terminal_shows():
    screen = recording.Screen()
    screen.write("one\r\n\x1b[1mtwo\x1b[0m & <3\r\n10 of 20\r\x1b[K20 of 20")
    assert screen.shown() == ("one", '<tspan class="b">two</tspan> &amp; &lt;3', "20 of 20")
    screen.write("\n" + "x" * (recording.COLUMNS + 2))
    assert screen.shown()[-2:] == ("x" * recording.COLUMNS, "xx")
    screen.write("\n" * recording.ROWS)
    assert len(screen.shown()) == recording.ROWS


def test_waits_are_shortened_alike_and_nothing_is_left_out():
    found = recording.frames([("paribus plan", [(30.0, "a\n"), (60.0, "b\n")]), ("paribus table", [(30.0, "c\n")])])
    times = [at for at, _ in found]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(recording.SECONDS - recording.READ)
    first, second = (next(at for at, shown in found if letter in shown) for letter in "ab")
    began = recording.KEY * len("paribus plan")
    assert (second - began) / (first - began) == pytest.approx(2.0)
    assert {"a", "b", "c"} <= set(found[-1][1])


def test_each_line_stands_as_long_as_it_did():
    found = [(0.0, ("a",)), (1.0, ("a", "b")), (3.0, ("c", "b")), (4.0, ("c", "b"))]
    assert list(recording.stays(found)) == [(0, "a", 0.0, 3.0), (0, "c", 3.0, 4.0), (1, "b", 1.0, 4.0)]
    assert ET.fromstring(recording.svg(found)) is not None


def test_the_recording_is_of_these_commands_and_small():
    text = recording.PICTURE.read_text(encoding="utf-8")
    lines = ["".join(each.itertext()) for each in ET.fromstring(text).iter("{http://www.w3.org/2000/svg}text")]
    assert {f"$ {command}" for command in recording.COMMANDS} <= set(lines)
    assert any(re.search(r"^batch +\d\d\.\d", line) for line in lines)
    assert len(text) < 150_000
    for name in ("README.md", "README.zh.md"):
        assert "](docs/demo.svg)" in (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.slow
def test_commands_run_in_a_terminal(tmp_path):
    said = "".join(
        text for _, text in recording.run("paribus plan model=mlp | head -3; test -t 0 && stty size", tmp_path)
    )
    assert f"{recording.ROWS} {recording.COLUMNS}" in said
    with pytest.raises(SystemExit, match="ended with"):
        list(recording.run("paribus plan ablation=nowhere", tmp_path))
