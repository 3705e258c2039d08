"""Byte pairs are those of the algorithm of Sennrich et al., and texts of the hub have the windows of other texts."""

import os
import re
import sys
from collections import Counter

import pytest
import torch

from paribus.datasets.contents import checked
from paribus.datasets.source import MissingDataError, form_of
from paribus.datasets.tokens.encoding import byte_pairs, encode
from paribus.datasets.tokens.text import HuggingFaceText, Text

LINES = "".join(f"the {word} is low and lower, {word}est of all\n" for word in ("new", "slow", "old", "wid") * 20)


def pairs_by_hand(text, merges):
    """The pieces that byte pairs make of a text: the most frequent pair within words is merged, time after time."""
    words = Counter(re.findall(r" ?\w+| ?[^\s\w]+|\s+", text))
    pieces = {word: [bytes([byte]) for byte in word.encode()] for word in words}
    for _ in range(merges):
        counts = Counter()
        for word, number in words.items():
            for pair in zip(pieces[word], pieces[word][1:], strict=False):
                counts[pair] += number
        most = max(counts.values())
        yield most, counts
        first, second = next(pair for pair in counts if counts[pair] == most)
        for word, parts in pieces.items():
            merged, k = [], 0
            while k < len(parts):
                both = parts[k : k + 2] == [first, second]
                merged.append(first + second if both else parts[k])
                k += 2 if both else 1
            pieces[word] = merged


def test_the_first_pair_is_the_most_frequent_one():
    most, counts = next(pairs_by_hand(LINES, 1))
    tokenizer = byte_pairs(LINES, 257)
    [new] = [token for token, number in tokenizer.get_vocab().items() if number == 256]
    pair = tuple(bytes([byte]) for byte in new.replace("Ġ", " ").encode())
    assert counts[pair] == most


def test_any_text_is_written_in_the_tokens_and_fewer_are_needed():
    from tokenizers import decoders

    threads = len(os.listdir("/proc/self/task")) if sys.platform == "linux" else 0
    tokenizer = byte_pairs(LINES, 280)
    tokenizer.decoder = decoders.ByteLevel()
    assert tokenizer.get_vocab_size() == 280
    for text in (LINES, "lowest 归 \n\n  Ünd\t\x00"):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert len(tokenizer.encode(LINES).ids) < len(LINES) / 2
    assert byte_pairs(LINES, 280).get_vocab() == tokenizer.get_vocab()
    assert "TOKENIZERS_PARALLELISM" not in os.environ
    if sys.platform == "linux":  # a thread would not come through the forks of a sweep
        assert len(os.listdir("/proc/self/task")) == threads


def test_byte_pairs_are_learned_from_the_training_part_alone(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(LINES + "zq" * 400)
    half = Text(str(path), unit="byte_pairs", vocabulary=270, length=8, test_share=0.3)
    learned = byte_pairs(path.read_text()[: round(0.7 * path.stat().st_size)], 270)
    whole = torch.tensor(learned.encode(path.read_text()).ids)
    raw = checked(half, form_of(half), half.load())
    assert half.vocabulary_size == 270
    x = torch.cat([raw.train_x, raw.test_x]).flatten()
    assert torch.equal(x, whole[: len(x)])
    assert "zq" not in learned.get_vocab()
    assert "zq" in byte_pairs(path.read_text(), 270).get_vocab()


def test_what_can_not_be_encoded_is_said(monkeypatch):
    with pytest.raises(ValueError, match=r"at least the 256 bytes, got data\.source\.vocabulary=100"):
        byte_pairs(LINES, 100)
    with pytest.raises(ValueError, match="byte_pairs are those of a text in UTF-8, and here is none"):
        encode([b"\xff"], "byte_pairs", 300, b"", "here")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingDataError, match=re.escape("needs the extra: pip install 'paribus[data]'")):
        byte_pairs(LINES, 300)


@pytest.fixture
def saved(tmp_path):
    import datasets

    parts = {part: datasets.Dataset.from_dict({"story": lines}) for part, lines in PARTS.items()}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "saved"))
    return str(tmp_path / "saved")


PARTS = {"train": LINES.splitlines()[:60], "test": LINES.splitlines()[60:]}


def test_texts_of_a_data_set(saved):
    source = HuggingFaceText(saved, "story", unit="characters", length=16)
    raw = checked(source, form_of(source), source.load())
    letters = sorted(set(LINES))
    for x, y, part in ((raw.train_x, raw.train_y, "train"), (raw.test_x, raw.test_y, "test")):
        text = "\n".join(PARTS[part])
        n = (len(text) - 1) // 16 * 16
        assert "".join(letters[token] for token in x.flatten()) == text[:n]
        assert "".join(letters[token] for token in y.flatten()) == text[1 : n + 1]
    few = HuggingFaceText(saved, "story", rows=3, length=4)
    text = "\n".join(PARTS["train"][:3])
    learned, tokens = byte_pairs(text, 512), few.load().train_x.flatten().tolist()
    assert few.vocabulary_size == learned.get_vocab_size()
    assert tokens == learned.encode(text).ids[: len(tokens)]


def test_what_a_data_set_lacks_is_said(saved):
    with pytest.raises(MissingDataError, match=r"has no column 'text', it has story\. Set data\.source\.column"):
        HuggingFaceText(saved)
    with pytest.raises(MissingDataError, match="has no split 'validation', it has train, test"):
        HuggingFaceText(saved, "story", test_split="validation")
    with pytest.raises(ValueError, match="need a window of 9000 places"):
        HuggingFaceText(saved, "story", length=9000).load()
