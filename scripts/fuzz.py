"""Malformed command lines, by the thousand: each must end with exit code 2 and one message that people can act on.

    python scripts/fuzz.py [--lines 2000] [--seed 0] [--jobs 2] [--only "train seed=nan"]

A process that has imported everything forks one child for each line, which runs it in a folder of its own within a
time limit. A line that gets through to training does one update. A failure is a traceback, an exit code other than 2, a
line that never ends, or nonsense that is accepted; it is made as short as it can be and printed with its seed.
What is wrong with a line is known from how it was made (scripts/fuzz_lines.py); lines that look wrong and are not stand
in scripts/fuzz_accepted.txt, each with its reason.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import resource
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from fuzz_lines import QUICK, Line, Lines

LIMIT = 120.0  # seconds of a line on a machine that does much else; most take a tenth of one
CPU_LIMIT = 20  # seconds of computing
MEMORY = 12 * 2**30  # a network of a billion units is a message, not a dead machine
NOT_TRAINED = "the fuzzer trains no sweeps"
ACCEPTED = Path(__file__).with_name("fuzz_accepted.txt")


@dataclass(frozen=True)
class Outcome:
    code: int | None  # None: killed at the limit
    text: str

    def fault(self, line: Line) -> str | None:
        """What is wrong with how the line ended; None where nothing is."""
        if self.code in (None, -signal.SIGXCPU, -signal.SIGKILL):
            return "hang"
        if "Traceback (most recent call last)" in self.text:
            return "traceback"
        if self.code not in (0, 1, 2):
            return f"exit code {self.code}"
        if line.wrong and NOT_TRAINED in self.text:
            return "accepted"
        if not line.wrong or self.code == 2 or (line.words[0] == "plan" and "can't work" in self.text):
            return None
        return "accepted" if self.code == 0 else "exit code 1"


class Server:
    """Runs lines in children of this process. template: a folder with records, copied for each."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.template = folder / "template"
        self.running: dict[int, tuple[Line, Path, float]] = {}

    def start(self, line: Line) -> None:
        here = self.folder / f"{len(os.listdir(self.folder))}-{time.monotonic_ns()}"
        shutil.copytree(self.template, here)
        for name, content in line.files.items():
            (here / name).parent.mkdir(parents=True, exist_ok=True)
            (here / name).write_bytes(content)
        if (pid := os.fork()) == 0:
            _child(line, here)
        self.running[pid] = line, here, time.monotonic()

    def wait(self) -> tuple[Line, Outcome]:
        """The next line that ends, or is ended."""
        while True:
            for pid, (line, here, began) in list(self.running.items()):
                done, status = os.waitpid(pid, os.WNOHANG)
                if not done and time.monotonic() - began > LIMIT:
                    os.killpg(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                    done, status = pid, None
                if done:
                    del self.running[pid]
                    text = (here / "said").read_text(encoding="utf-8", errors="replace")
                    shutil.rmtree(here, ignore_errors=True)
                    return line, Outcome(None if status is None else os.waitstatus_to_exitcode(status), text)
            time.sleep(0.002)

    def one(self, line: Line) -> Outcome:
        self.start(line)
        return self.wait()[1]


def _child(line: Line, here: Path) -> NoReturn:
    code = 70
    try:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT, CPU_LIMIT))
        os.chdir(here)
        descriptor = os.open("said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(descriptor, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.argv = ["paribus", *line.words]
        from paribus.cli.main import run_command
        from paribus.sweep.failure import guarded

        try:
            code = guarded(run_command)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def prepare(template: Path) -> str:
    """Records to read, and everything imported. Returns the id of a run."""
    os.environ.update(WANDB_MODE="disabled", PARIBUS_DATA=str(template / "data"), HYDRA_FULL_ERROR="1")
    for name in ("PARIBUS_OUTPUTS", "WANDB_API_KEY"):
        os.environ.pop(name, None)
    from paribus.sweep.server import preload

    template.mkdir(parents=True)
    preload()
    import paribus.sweep.train  # noqa: F401
    from paribus.config.composer import Composer

    here = os.getcwd()
    os.chdir(template)
    _without_training()
    Composer()(())
    (template / "paper.md").write_text("nothing\n")
    (template / "conf").mkdir()
    (template / "said").touch()
    server = Server(template.parent)
    for number in range(2):
        pid = os.fork()
        if pid == 0:
            _child(Line(("train", *QUICK[:-1], f"seed={number}"), ""), template)
        os.waitpid(pid, 0)
    del server
    os.chdir(here)
    return next((template / "outputs" / "runs").iterdir()).name


def _without_training() -> None:
    """One update for a run, and none for the jobs of a sweep, which are checked in this process."""
    from paribus.config.identity import BUDGET_UNITS
    from paribus.config.run import Run
    from paribus.run import build, fit
    from paribus.sweep import fork, jobs, sweep

    class Here:
        def call(self, function: Any, *arguments: Any) -> Any:
            return function(*arguments, server=self)

    fork.shared_server = sweep.shared_server = sys.modules["paribus.sweep.train"].shared_server = Here  # type: ignore[attr-defined,assignment]
    jobs.Jobs.train = lambda _, lines, *__: dict.fromkeys(lines, NOT_TRAINED)  # type: ignore[method-assign]
    whole = fit.fit

    def short(run: Run, setting: Any, data: Any, *rest: Any) -> Any:
        run = run.but({"budget": {**dict.fromkeys(BUDGET_UNITS), "updates": 1}})
        return whole(run, setting, build.build_data(run, setting), *rest)

    fit.fit = short


def reviewed() -> list[re.Pattern[str]]:
    """Patterns of what looks wrong and is right, from the list with the reasons."""
    lines = ACCEPTED.read_text(encoding="utf-8").splitlines()
    return [re.compile(line.split("  #")[0].rstrip()) for line in lines if line.strip() and not line.startswith("#")]


def shrunk(line: Line, fault: str, server: Server) -> Line:
    """The line without every word that its failure does not need."""
    words = list(line.words)
    for word in line.words[1:]:
        fewer = replace(line, words=tuple(each for each in words if each is not word))
        if word not in line.wrong and server.one(fewer).fault(fewer) == fault:
            words = list(fewer.words)
    return replace(line, words=tuple(words))


def fuzz(lines: Iterator[Line], server: Server, jobs: int) -> Iterator[tuple[Line, Outcome]]:
    for line in lines:
        server.start(line)
        if len(server.running) >= jobs:
            yield server.wait()
    while server.running:
        yield server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", action="append", help="run this line, and show what it says; several times")
    parser.add_argument("--keep-going", action="store_true", help="don't shrink failures")
    asked = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="paribus-fuzz-") as folder:
        run = prepare(Path(folder) / "template")
        server = Server(Path(folder))
        if asked.only:
            for text in asked.only:
                outcome = server.one(Line(tuple(shlex.split(text.replace("RUN", run))), "?"))
                print(f"paribus {text}\n{outcome.text}exit code {outcome.code}\n")
            return
        from paribus.cli.main import cli
        from paribus.config import config_dir

        drawn, chance, allowed = Lines(cli, config_dir()), random.Random(asked.seed), reviewed()
        lines = (drawn.draw(chance) for _ in range(asked.lines))
        lines = (replace(line, words=tuple(run if word == "RUN" else word for word in line.words)) for line in lines)
        failures: Counter[str] = Counter()
        codes: Counter[str] = Counter()
        for number, (line, outcome) in enumerate(fuzz(lines, server, asked.jobs), start=1):
            if number % 50 == 0:
                left = (time.monotonic() - began) / number * (asked.lines - number)
                print(f"{number} of {asked.lines} lines, about {left:.0f} s left", file=sys.stderr, flush=True)
            codes[f"{'wrong' if line.wrong else 'unknown'}: {outcome.code}"] += 1
            fault = outcome.fault(line)
            if fault is None or (fault == "accepted" and any(each.search(line.wrong) for each in allowed)):
                continue
            failures[fault] += 1
            if not asked.keep_going and not server.running:
                line = shrunk(line, fault, server)
            print(f"\n{fault} (seed {asked.seed}): {line.wrong or 'anything'}\n  paribus {shlex.join(line.words)}")
            for name, content in line.files.items():
                print(f"  {name}: {content!r}")
            print("    " + "\n    ".join(outcome.text.strip().splitlines()[-4:]))
        said = ", ".join(f"{number} {fault}" for fault, number in failures.items()) or "no failure"
        print(f"\n{asked.lines} lines, seed {asked.seed}, {time.monotonic() - began:.0f} s: {said}  ({dict(codes)})")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
