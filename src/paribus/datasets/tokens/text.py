"""Text of a file, of a folder or of the Hugging Face hub, as windows of tokens."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from paribus.datasets.files import signature
from paribus.datasets.hub import parts_of
from paribus.datasets.seeds import mix
from paribus.datasets.source import MissingDataError, RawData
from paribus.datasets.tokens.encoding import Unit, encode, windows


class Text:
    """The tokens of a text, cut into windows of `length` places, and at each place the next one.

    Windows lie next to each other: every token but the first is a target once. Those of the test part are the last
    ones, and share none with the training part.

    path: a file, or a folder, of which the files are read in the order of their names. pattern: which of these, such as
        *.py; hidden ones are left out.
    unit: characters, of a text in UTF-8, with one token for each that occurs; bytes, with 256 tokens; or byte_pairs,
        with `vocabulary` tokens, which are learned from the text before its last `test_share`.
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
        unit: Unit = "characters",
        vocabulary: int = 512,
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
        self.settings = _Settings(unit, vocabulary, length, test_share, shuffle_lines, seed)
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
    unit: Unit
    vocabulary: int
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
    learned = content[: round((1 - settings.test_share) * len(content))]
    where = ", ".join(path for path, _ in files[:3])
    [tokens], size = encode([content], settings.unit, settings.vocabulary, learned, where)
    x, y = windows(tokens, settings.length)
    test = round(settings.test_share * len(x))
    if not 0 < test < len(x) or size < 2:
        raise ValueError(
            f"a text has windows of {settings.length} places for both parts, and two different tokens; this one has "
            f"{len(tokens)} tokens and {len(x)} windows, of which {test} are for the test. Use a longer text, a "
            "smaller data.source.length or another data.source.test_share"
        )
    return _Contents(RawData(x[:-test], y[:-test], x[-test:], y[-test:]), size)


class HuggingFaceText:
    """The tokens of a column of texts, in windows as those of `Text`. Rows follow each other, with a new line between.

    path: a name on the hub such as "roneneldan/TinyStories", or a folder. rows: of each part, at most; null takes all.

    Raises MissingDataError where the package or the data is missing, and ValueError for a text that is too short.
    """

    name = "huggingface_text"
    kind_of_x = "sequence"
    kind_of_y = "tokens"

    def __init__(
        self,
        path: str,
        column: str = "text",
        train_split: str = "train",
        test_split: str = "test",
        rows: int | None = None,
        unit: Unit = "byte_pairs",
        vocabulary: int = 512,
        length: int = 64,
    ):
        if length < 1:
            raise ValueError(f"a window has at least one place, got length={length}")
        self.parts = parts_of(path, train_split, test_split)
        if column not in self.parts[0].features:
            raise MissingDataError(
                f"{path} has no column {column!r}, it has {', '.join(self.parts[0].features)}. Set data.source.column"
            )
        self.path, self.column, self.rows = path, column, rows
        self.unit, self.vocabulary, self.length = unit, vocabulary, length
        self.shape = (length,)

    @functools.cached_property
    def contents(self) -> _Contents:
        texts = [self._text(part) for part in self.parts]
        encoded, size = encode(texts, self.unit, self.vocabulary, texts[0], self.path)
        (x, y), (test_x, test_y) = (windows(tokens, self.length) for tokens in encoded)
        if not len(x) or not len(test_x) or size < 2:
            raise ValueError(
                f"both parts of {self.path} need a window of {self.length} places, and two different tokens; they have "
                f"{len(encoded[0])} and {len(encoded[1])} tokens. Use a smaller data.source.length, or more rows"
            )
        return _Contents(RawData(x, y, test_x, test_y), size)

    def _text(self, part: Any) -> bytes:
        chosen = part if self.rows is None else part.select(range(min(self.rows, len(part))))
        return "\n".join(str(text) for text in chosen[self.column]).encode()

    @property
    def vocabulary_size(self) -> int:
        return self.contents.vocabulary_size

    def load(self) -> RawData:
        return self.contents.raw


def _missing(path: Path, pattern: str) -> str:
    if path.is_dir():
        return f"There is no file {pattern} in {path.resolve()}. Set data.source.pattern, such as '*.txt'"
    install = "Install Debian's word list: apt-get install wamerican. Or set" if "dict" in path.parts else "Set"
    return f"There is no file {path.resolve()}. {install} data.source.path to a file or a folder"
