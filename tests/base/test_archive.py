"""Files of torch.save: a flipped bit anywhere in one is noticed."""

import random

import pytest
import torch

from paribus.base import archive


def test_what_was_saved_is_read(tmp_path):
    torch.save({"a": torch.arange(5), "b": [1, "x"]}, tmp_path / "it.pt")
    found = archive.read(tmp_path / "it.pt")
    assert torch.equal(found["a"], torch.arange(5))
    assert found["b"] == [1, "x"]


def test_every_flipped_bit_of_the_numbers_is_noticed(tmp_path):
    path = tmp_path / "it.pt"
    torch.save({"weights": torch.rand(4096)}, path)
    good, draw = path.read_bytes(), random.Random(0)
    where = good.index(torch.load(path, weights_only=True)["weights"].numpy().tobytes())
    for _ in range(40):
        place, bit = where + draw.randrange(4 * 4096), draw.randrange(8)
        path.write_bytes(good[:place] + bytes([good[place] ^ (1 << bit)]) + good[place + 1 :])
        with pytest.raises(ValueError, match=r"checksum of .*data/0 within it is wrong"):
            archive.read(path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04" + bytes(100)])
def test_what_is_no_archive_is_said(tmp_path, content):
    (tmp_path / "it.pt").write_bytes(content)
    with pytest.raises(ValueError, match="not a complete archive"):
        archive.read(tmp_path / "it.pt")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        archive.read(tmp_path / "it.pt")
