"""Text of a file or of a folder, as windows of characters or bytes."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from paribus.datasets.columns import Array
from paribus.datasets.files import signature
from paribus.datasets.seeds import mix
from paribus.datasets.source import MissingDataError, RawData


class Text:
    """The characters or bytes of a text, cut into windows of `length` places, and at each place the next one.

    Windows lie next to each other: every token but the first is a target once. Those of the test part are the last
    ones, and share none with the training part.

    path: a file, or a folder, of which the files are read in the order of their names. pattern: which of these, such as
        *.py; hidden ones are left out.
    unit: characters, of a text in UTF-8, with one token for each that occurs; or bytes, with 256 tokens.
    shuffle_lines: for a list whose order means nothing, such as words. The order is drawn by the seed.

    Raises MissingDataError where there is no such file, and ValueError for a text that can't be read or is too short.
    """

    name = "text"
    kind_of_x = "sequence"
    kind_of_y = "tokens"

    def __init__(
        self,
        path: str,
        pattern: str = "*",
        unit: Literal["characters", "bytes"] = "characters",
        length: int = 64,
        test_share: float = 0.1,
        shuffle_lines: bool = False,
        seed: int = 0,
    ):
        if length < 1 or not 0 < test_share < 1:
            raise ValueError(
                f"a window has at least one place, and test_share lies between 0 and 1, got length={length} and "
                f"test_share={test_share}"
            )
        self.path, self.pattern = Path(path), pattern
        self.settings = _Settings(unit, length, test_share, shuffle_lines, seed)
        self.shape = (length,)

    @property
    def files(self) -> list[Path]:
        if self.path.is_file():
            return [self.path]
        found = [each for each in sorted(self.path.rglob(self.pattern)) if each.is_file()]
        found = [each for each in found if not any(part.startswith(".") for part in each.relative_to(self.path).parts)]
        if not found:
            raise MissingDataError(_missing(self.path, self.pattern))
        return found

    @property
    def contents(self) -> _Contents:
        return _contents(self.settings, tuple((str(each), signature(str(each))) for each in self.files))

    @property
    def vocabulary_size(self) -> int:
        return self.contents.vocabulary_size

    def load(self) -> RawData:
        return self.contents.raw


@dataclass(frozen=True)
class _Settings:
    unit: str
    length: int
    test_share: float
    shuffle_lines: bool
    seed: int


@dataclass
class _Contents:
    raw: RawData
    vocabulary_size: int


@functools.lru_cache(maxsize=2)
def _contents(settings: _Settings, files: tuple[tuple[str, tuple[int, ...]], ...]) -> _Contents:
    """What lies in the files, read once in a process and in those that are forked from it."""
    content = b"\n".join(Path(path).read_bytes().removesuffix(b"\n") for path, _ in files)
    if settings.shuffle_lines:
        lines = content.split(b"\n")
        order = np.random.default_rng(mix(settings.seed, 1)).permutation(len(lines))
        content = b"\n".join(lines[number] for number in order)
    if settings.unit == "bytes":
        tokens: Array = np.frombuffer(content, np.uint8).astype(np.int64)
        size = 256
    else:
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"characters are those of a text in UTF-8, and {', '.join(path for path, _ in files[:3])} is none "
                f"({error.reason}). Use data.source.unit=bytes"
            ) from None
        codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        known, tokens = np.unique(codes, return_inverse=True)
        size = len(known)
    windows = max(0, len(tokens) - 1) // settings.length
    test = round(settings.test_share * windows)
    if not 0 < test < windows or size < 2:
        raise ValueError(
            f"a text has windows of {settings.length} places for both parts, and two different tokens; this one has "
            f"{len(tokens)} tokens and {windows} windows, of which {test} are for the test. Use a longer text, a "
            "smaller data.source.length or another data.source.test_share"
        )
    used = torch.from_numpy(tokens[: windows * settings.length + 1].astype(np.int64))
    x, y = (part.view(windows, settings.length) for part in (used[:-1], used[1:]))
    return _Contents(RawData(x[:-test], y[:-test], x[-test:], y[-test:]), size)


def _missing(path: Path, pattern: str) -> str:
    if path.is_dir():
        return f"There is no file {pattern} in {path.resolve()}. Set data.source.pattern, such as '*.txt'"
    install = "Install Debian's word list: apt-get install wamerican. Or set" if "dict" in path.parts else "Set"
    return f"There is no file {path.resolve()}. {install} data.source.path to a file or a folder"
