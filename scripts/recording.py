"""A recording of a terminal as an animated SVG: docs/demo.svg, which README.md shows.

python scripts/recording.py            runs the commands, which takes a minute, and draws what they print

The commands are those of the first tutorial. They run in a terminal of their own, and what they print is drawn as it
came. Long waits are shortened so that all of it takes about twenty seconds; nothing else is changed.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from doc_blocks import blocks, written

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "demo.svg"
TUTORIAL = ROOT / "docs" / "tutorials" / "first-ablation.md"
COMMANDS = (
    "paribus plan ablation=first",
    "paribus train -m ablation=first",
    "paribus table ablation=first --format terminal --columns test/acc,difference,p | head -6",
    "paribus claims first --format terminal | head -6",
)
ROWS, COLUMNS = 26, 100
SECONDS = 20.0
KEY, READ, LAST = 0.035, 1.0, 5.0  # seconds: a key, after a command, at the end
ESCAPE = re.compile(r"\x1b\[([\d;]*)([A-Za-z])")
WIDE, HIGH, MARGIN = 7.8, 17, 14  # pixels of a letter, and around the text
BUTTONS = ("#ff5f57", "#febc2e", "#28c840")
FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
Cell = tuple[str, bool]  # a letter, and whether it is bold
Frame = tuple[float, tuple[str, ...]]  # seconds, and the lines of the screen as SVG


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for block in blocks(TUTORIAL):
            written(block, Path(folder))
        said = [(line, list(run(line, Path(folder)))) for line in COMMANDS]
    PICTURE.write_text(svg(frames(said)), encoding="utf-8")
    print(f"{PICTURE.relative_to(ROOT)}, {PICTURE.stat().st_size / 1000:.0f} KB")


def run(line: str, folder: Path) -> Iterator[tuple[float, str]]:
    """(seconds since the start, what was printed) of a command line in a terminal. Raises SystemExit if it fails."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    own = {key: value for key, value in os.environ.items() if not key.startswith("PARIBUS_")}
    own["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{own['PATH']}"
    own |= {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(ROWS)}
    began = time.monotonic()
    process = subprocess.Popen(
        ["sh", "-c", line],
        cwd=folder, env=own, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True,
    )  # fmt: skip
    os.close(theirs)
    while True:
        try:
            read = os.read(ours, 1 << 16)
        except OSError:  # the other end is closed
            break
        if not read:
            break
        yield time.monotonic() - began, read.decode(errors="replace")
    os.close(ours)
    if process.wait():
        raise SystemExit(f"{line} ended with {process.returncode}")


class Screen:
    """The lines of a terminal: what is printed, with carriage returns, erased lines and bold letters."""

    def __init__(self) -> None:
        self.lines: list[list[Cell]] = [[]]
        self.column, self.bold = 0, False

    def write(self, text: str) -> None:
        place = 0
        while place < len(text):
            if found := ESCAPE.match(text, place):
                self._escape(*found.groups())
                place = found.end()
                continue
            letter = text[place]
            place += 1
            if letter == "\r":
                self.column = 0
            elif letter == "\n":
                self.lines.append([])
                self.column = 0
            elif letter.isprintable():
                self._put(letter)

    def _put(self, letter: str) -> None:
        if self.column >= COLUMNS:
            self.lines.append([])
            self.column = 0
        line = self.lines[-1]
        line += [(" ", False)] * (self.column + 1 - len(line))
        line[self.column] = (letter, self.bold)
        self.column += 1

    def _escape(self, numbers: str, kind: str) -> None:
        if kind == "K":
            del self.lines[-1][self.column :]
        elif kind == "m":
            self.bold = "1" in numbers.split(";")

    def shown(self) -> tuple[str, ...]:
        """The last lines as they fit, as SVG."""
        return tuple(_spans(line) for line in self.lines[-ROWS:])


def frames(said: Sequence[tuple[str, Sequence[tuple[float, str]]]]) -> list[Frame]:
    """What is on the screen from when on. Waits of a command are shortened alike, so that the whole takes SECONDS."""
    typing = sum(KEY * len(words) + READ for words, _ in said) + LAST
    waits = sum(parts[-1][0] for _, parts in said if parts)
    faster = min(1.0, max(0.0, SECONDS - typing) / waits) if waits else 1.0
    screen, made, now = Screen(), [], 0.0
    for words, parts in said:
        screen.write("\x1b[1m$\x1b[0m ")
        for letter in words:
            screen.write(letter)
            made.append((now, screen.shown()))
            now += KEY
        screen.write("\n")
        for at, text in parts:
            screen.write(text)
            made.append((now + faster * at, screen.shown()))
        now += faster * (parts[-1][0] if parts else 0.0) + READ
    return [*made, (now + LAST - READ, made[-1][1])]


def svg(found: Sequence[Frame]) -> str:
    """Every line of the screen for the time that it stands there, and all of it again and again."""
    end = found[-1][0]
    wide, high = round(COLUMNS * WIDE + 2 * MARGIN), ROWS * HIGH + 2 * MARGIN + 14
    names: dict[str, str] = {}
    parts, styles = [], []
    for row, line, begin, until in stays(found):
        name = names.setdefault(line, f"l{len(names)}")
        key = f"s{len(parts)}"
        from_, to = (f"{100 * each / end:.2f}%" for each in (begin, until))
        hidden = f"0%,{from_}{{visibility:hidden}}" if begin else ""
        gone = f"{to}{{visibility:hidden}}" if until < end else ""
        styles.append(f"@keyframes {key}{{{hidden}{from_}{{visibility:visible}}{gone}}}#{key}{{animation-name:{key}}}")
        parts.append(f'<use id="{key}" class="s" href="#{name}" y="{MARGIN + 22 + HIGH * row}"/>')
    kept = "".join(f'<text id="{name}" x="{MARGIN}" xml:space="preserve">{line}</text>' for line, name in names.items())
    last = "".join(
        f'<use href="#{names[line]}" y="{MARGIN + 22 + HIGH * row}"/>' for row, line in enumerate(found[-1][1]) if line
    )
    buttons = "".join(
        f'<circle cx="{MARGIN + 4 + 18 * k}" cy="14" r="5" fill="{colour}"/>' for k, colour in enumerate(BUTTONS)
    )
    look = (
        f"text{{font:13px/1 {FONT};fill:#e6e6e6}}.b{{font-weight:bold;fill:#fff}}.last{{display:none}}"
        f".s{{visibility:hidden;animation:{end:.2f}s step-end infinite}}"
        # Readers who want no motion see the last screen.
        "@media (prefers-reduced-motion:reduce){.s{display:none}.last{display:inline}}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" role="img" '
        f'aria-label="A terminal: paribus plans, trains and tabulates an ablation">\n<style>{look}\n'
        + "\n".join(styles)
        + f'</style>\n<rect width="{wide}" height="{high}" rx="8" fill="#1e2430"/>{buttons}\n<defs>{kept}</defs>\n'
        + "\n".join(parts)
        + f'\n<g class="last">{last}</g>\n</svg>\n'
    )


def stays(found: Sequence[Frame]) -> Iterator[tuple[int, str, float, float]]:
    """(row, line, from, until): each line for as long as it stands in its row without a change."""
    end = found[-1][0]
    for row in range(ROWS):
        standing, since = "", 0.0
        for at, shown in [*found, (end, ())]:
            line = shown[row] if row < len(shown) else ""
            if line != standing or at == end:
                if standing and at - since > 1e-3:
                    yield row, standing, since, at
                standing, since = line, at


def _spans(line: Sequence[Cell]) -> str:
    """A line as text, its bold parts in elements of their own."""
    parts, place = [], 0
    while place < len(line):
        until = next((k for k in range(place, len(line)) if line[k][1] != line[place][1]), len(line))
        text = escape("".join(letter for letter, _ in line[place:until]), quote=False)
        parts.append(f'<tspan class="b">{text}</tspan>' if line[place][1] else text)
        place = until
    return "".join(parts).rstrip()


if __name__ == "__main__":
    main()
