"""Encodings of a text as tokens: its characters, its bytes, or pairs of bytes that are frequent."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from paribus.datasets.columns import Array
from paribus.datasets.source import MissingDataError

Unit = Literal["characters", "bytes", "byte_pairs"]


def encode(texts: Sequence[bytes], unit: Unit, vocabulary: int, learned: bytes, where: str) -> tuple[list[Array], int]:
    """The tokens of each text, and how many different ones there may be.

    learned: what byte pairs are learned from. where: names the texts in an error.

    Raises ValueError for a text that is not in UTF-8 and is to be read as such.
    """
    if unit == "bytes":
        return [np.frombuffer(text, np.uint8).astype(np.int64) for text in texts], 256
    try:
        strings = [text.decode("utf-8") for text in texts]
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{unit} are those of a text in UTF-8, and {where} is none ({error.reason}). Use data.source.unit=bytes"
        ) from None
    if unit == "characters":
        codes = [np.frombuffer(string.encode("utf-32-le"), np.uint32) for string in strings]
        known, tokens = np.unique(np.concatenate(codes), return_inverse=True)
        return np.split(tokens, np.cumsum([len(each) for each in codes])[:-1]), len(known)
    tokenizer = byte_pairs(learned.decode("utf-8", "ignore"), vocabulary)
    return [np.array(tokenizer.encode(string).ids, np.int64) for string in strings], tokenizer.get_vocab_size()


def byte_pairs(text: str, vocabulary: int) -> Any:
    """A tokenizer whose tokens are the 256 bytes, and the pairs that were merged because they are frequent in a text.

    Pairs lie within words, and any text can be written in the tokens. Sources: Sennrich et al. 2016, arXiv:1508.07909;
    over bytes, Radford et al. 2019 (GPT-2).

    Raises ValueError for a vocabulary below 256, and MissingDataError without the package tokenizers.
    """
    if vocabulary < 256:
        raise ValueError(
            f"byte pairs need a vocabulary of at least the 256 bytes, got data.source.vocabulary={vocabulary}"
        )
    try:
        from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    except ModuleNotFoundError as error:
        raise MissingDataError("data.source.unit=byte_pairs needs the extra: pip install 'paribus[data]'") from error
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    # By one thread: this process may be forked afterwards, and threads do not survive that.
    with _by_one_thread():
        tokenizer.train_from_iterator(text.splitlines(keepends=True), trainer)
    return tokenizer


@contextmanager
def _by_one_thread() -> Iterator[None]:
    before = os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        yield
    finally:
        del os.environ["TOKENIZERS_PARALLELISM"]
        if before is not None:
            os.environ["TOKENIZERS_PARALLELISM"] = before


def windows(tokens: Array, length: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets (N, length): parts of a text that lie next to each other, and the token after each place."""
    number = max(0, len(tokens) - 1) // length
    used = torch.from_numpy(tokens[: number * length + 1].astype(np.int64))
    return used[:-1].view(number, length), used[1:].view(number, length)
