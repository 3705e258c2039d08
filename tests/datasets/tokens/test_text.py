"""Text: every token is a target once, parts share no window, and what can't be read is said."""

import re
from pathlib import Path

import pytest
import torch

from paribus.datasets.contents import checked
from paribus.datasets.prepare import prepare
from paribus.datasets.source import MissingDataError, form_of
from paribus.datasets.tokens.text import Text

POEM = "Über allen Gipfeln ist Ruh, in allen Wipfeln spürest du kaum einen Hauch.\n" * 3


@pytest.fixture
def poem(tmp_path):
    path = tmp_path / "poem.txt"
    path.write_text(POEM, encoding="utf-8")
    return path


def test_windows_lie_next_to_each_other(poem):
    source = Text(str(poem), length=10, test_share=0.2)
    raw = checked(source, form_of(source), source.load())
    letters = sorted(set(POEM))
    assert source.vocabulary_size == len(letters)
    x, y = torch.cat([raw.train_x, raw.test_x]), torch.cat([raw.train_y, raw.test_y])
    windows = (len(POEM) - 1) // 10
    assert len(raw.test_x) == round(0.2 * windows)
    assert "".join(letters[token] for token in x.flatten()) == POEM[: 10 * windows]
    assert "".join(letters[token] for token in y.flatten()) == POEM[1 : 10 * windows + 1]


def test_training_and_held_out_parts_share_no_window(tmp_path):
    path = tmp_path / "numbers.txt"
    path.write_text("".join(f"{number:04d}" for number in range(1000)))  # every window of 8 occurs once
    splits = prepare(Text(str(path), length=8, test_share=0.1), validation=0.1)
    windows = {name: {tuple(row) for row in getattr(splits, name).x.tolist()} for name in ("train", "val", "test")}
    assert sum(map(len, windows.values())) == (4000 - 1) // 8
    assert not windows["train"] & windows["val"]
    assert not windows["train"] & windows["test"]
    assert not windows["val"] & windows["test"]


def test_bytes_have_256_tokens(poem):
    source = Text(str(poem), unit="bytes", length=10)
    content = POEM.encode()
    assert source.vocabulary_size == 256
    assert source.load().train_x[0].tolist() == list(content[:10])


def test_files_of_a_folder_in_the_order_of_their_names(tmp_path):
    (tmp_path / "in").mkdir()
    for name, text in (
        ("b.txt", "bbbbb"),
        ("a.txt", "aaaaa\n"),
        ("in/c.txt", "ccccc"),
        (".hidden.txt", "z"),
        ("d.py", "d"),
    ):
        (tmp_path / name).write_text(text)
    raw = Text(str(tmp_path), "*.txt", length=2, test_share=0.3).load()
    tokens = torch.cat([raw.train_x, raw.test_x]).flatten().tolist()
    assert "".join("\nabc"[token] for token in tokens) == "aaaaa\nbbbbb\nccccc"[:16]


def test_lines_can_be_shuffled(poem):
    lines = [f"{number:03d}" for number in range(50)]
    poem.write_text("\n".join(lines) + "\n")
    raw = Text(str(poem), length=4, shuffle_lines=True).load()
    text = "".join("\n0123456789"[token] for token in torch.cat([raw.train_x, raw.test_x]).flatten())
    found = text.splitlines()
    assert found != lines[: len(found)]
    assert {*found} <= {*lines}
    assert len({*found}) == len(found) == 49
    assert torch.equal(Text(str(poem), length=4, shuffle_lines=True, seed=0).load().train_x, raw.train_x)


@pytest.mark.needs("words")
def test_the_word_list_of_the_machine():
    source = Text("/usr/share/dict/words", length=32, shuffle_lines=True)
    raw = checked(source, form_of(source), source.load())
    words = Path("/usr/share/dict/words").read_text(encoding="utf-8")
    letters = sorted(set(words.removesuffix("\n")))
    text = "".join(letters[token] for token in raw.train_x[:50].flatten())
    assert source.vocabulary_size == len(letters)
    assert {*text.split("\n")[1:-1]} <= {*words.split("\n")}
    assert raw.train_y.numel() + raw.test_y.numel() > len(words) - 40


def test_what_can_not_be_read_is_said(tmp_path, poem):
    with pytest.raises(MissingDataError, match=r"There is no file .*none.txt. Set data.source.path to a file"):
        Text(str(tmp_path / "none.txt")).load()
    with pytest.raises(MissingDataError, match=r"There is no file \*.py in .*Set data.source.pattern"):
        Text(str(tmp_path), "*.py").load()
    with pytest.raises(MissingDataError, match=re.escape("apt-get install wamerican")):
        Text("/usr/share/dict/nobody").load()
    with pytest.raises(ValueError, match=r"a text has windows of 400 places for both parts.*Use a longer text"):
        Text(str(poem), length=400).load()
    poem.write_bytes(b"\xff\xfe" * 100)
    with pytest.raises(ValueError, match=r"characters are those of a text in UTF-8.*Use data.source.unit=bytes"):
        Text(str(poem)).load()
    assert Text(str(poem), unit="bytes", length=4).load().train_x.max() == 255
