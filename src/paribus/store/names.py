"""Bounds of what comes from outside: the names of runs, and the size and depth of data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import yaml

from paribus.base.errors import UserError
from paribus.base.plain_yaml import LOADER

_MERGE = re.compile(r"<<\s*:")
_ID = re.compile(r"[0-9a-z-]{1,64}")
DEPTH = 50  # levels of nesting
NODES = 1_000_000  # values, those behind aliases as often as they are named
PACKED = (".json.xz", ".json.gz")  # how the names of packed results end
PACKED_BYTES = 256 << 20  # of an unpacked file of results; ours has 18 MB
FILE_BYTES = 16 << 20  # of a record or a configuration
_SMALL = 1 << 16  # bytes that Python's allocator has at hand
_XZ = b"\xfd7zXZ\0"  # the first bytes of an xz file


def is_id(name: object) -> bool:
    """Whether a text can be the id of a run: it names a folder, so it holds lower-case letters, digits and - only."""
    return isinstance(name, str) and _ID.fullmatch(name) is not None


def checked_id(name: str) -> str:
    """Raises UserError for what can't be the id of a run."""
    if not is_id(name):
        shown = name if len(name) <= 70 else f"{name[:70]}..."
        raise UserError(f"the id of a run has 1 to 64 of the characters a-z, 0-9 and -, got {shown!r}")
    return name


def on_one_line(name: str) -> str:
    """A name without line breaks and control characters: it is the head of a column."""
    return " ".join("".join(c if c.isprintable() else " " for c in name).split())


def bounded(content: Any) -> Any:
    """Plain data as it is. Raises ValueError where it is nested deeper than DEPTH (as a cycle is) or holds more than
    NODES values, so that whoever walks through it comes to an end."""
    level, depth, count = [content], 0, 0
    while level:
        count += len(level)
        if depth > DEPTH:
            raise ValueError(f"it is nested deeper than {DEPTH} levels")
        inner: list[Any] = []
        for value in level:
            if isinstance(value, Mapping):
                inner.extend(value.values())
            elif isinstance(value, list | tuple):
                inner.extend(value)
            if count + len(inner) > NODES:
                raise ValueError(f"it holds more than {NODES} values")
        level, depth = inner, depth + 1
    return content


def read_bounded(path: Path, limit: int = FILE_BYTES) -> bytes:
    """The content of a file.

    Raises ValueError where it is larger than `limit` bytes or no plain file (a pipe never ends), OSError as reading.
    """
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")
    with open(path, "rb") as file:
        content = read_beyond(file, limit)
    if len(content) > limit:
        raise ValueError(f"it has more than {limit >> 20} MB")
    return content


def read_beyond(file: IO[bytes], limit: int) -> bytes:
    """The content of a file, of a large one no more than `limit` bytes and one.

    Asked for megabytes, Python maps that much memory first, which takes four times as long as to read a record.
    """
    content = file.read(min(_SMALL, limit + 1))
    return content if len(content) < _SMALL else content + file.read(limit + 1 - len(content))


def unpacked(path: Path) -> bytes:
    """The content of an xz or gzip file, by its first bytes.

    Raises ValueError where it is none, unpacks to more than PACKED_BYTES, or asks for more memory than that.
    """
    import gzip  # tables and plans read no packed files
    import lzma
    import zlib

    try:
        with path.open("rb") as file:
            is_xz = file.read(len(_XZ)) == _XZ
            file.seek(0)
            if is_xz:
                decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=PACKED_BYTES)
                content = decompressor.decompress(file.read(PACKED_BYTES), PACKED_BYTES + 1)
                if not decompressor.eof and len(content) <= PACKED_BYTES:
                    raise EOFError("it ends too early")
            else:
                with gzip.open(file) as packed:
                    content = packed.read(PACKED_BYTES + 1)
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"it is not a complete xz or gzip file ({error})") from error
    if len(content) > PACKED_BYTES:
        raise ValueError(f"it unpacks to more than {PACKED_BYTES >> 20} MB")
    return content


def read_yaml(path: Path) -> Any:
    """The plain values of a YAML file; interpolations stay text.

    Raises ValueError for what is no YAML or out of bounds.
    """
    return parse_yaml(read_bounded(path).decode())


def parse_yaml(text: str) -> Any:
    """The same of a text."""
    if _MERGE.search(text) and "&" in text:
        raise ValueError("it merges mappings (<<), which Hydra's files never do")
    try:
        return bounded(yaml.load(text, LOADER))
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except RecursionError as error:
        raise ValueError(f"it is nested deeper than {DEPTH} levels") from error
