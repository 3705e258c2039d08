"""Histories: nothing lost, nothing doubled, and the same file with or without an interruption."""

from __future__ import annotations

import csv
import math
import time

import pytest

from paribus.store.history import HistoryError, HistoryWriter, read_history


def row(epoch: int) -> dict[str, float]:
    values = {"epoch": epoch, "step": 10 * epoch, "seconds": epoch / 3, "train/loss": 1 / (epoch + 0.1)}
    return values if epoch < 3 else {**values, 'a "metric", new': math.nan, "val/acc": 0.1 * epoch}


def test_columns_come_back_exactly(tmp_path):
    writer = HistoryWriter(tmp_path / "history.csv", every_seconds=60)
    for epoch in range(1, 6):
        writer.append(row(epoch))
    assert not writer.path.exists()
    writer.flush()
    columns = read_history(writer.path)
    assert columns["train/loss"] == [row(epoch)["train/loss"] for epoch in range(1, 6)]
    assert columns["val/acc"][2:] == [row(epoch)["val/acc"] for epoch in range(3, 6)]
    assert all(map(math.isnan, columns["val/acc"][:2]))
    assert list(columns) == list(row(5))


def test_any_other_reader_of_csv_agrees(tmp_path):
    writer = HistoryWriter(tmp_path / "history.csv")
    writer.append(row(1))
    writer.append(row(4))
    writer.close()
    with open(writer.path, newline="") as file:
        first, last = csv.DictReader(file)
    assert first["val/acc"] == ""
    assert last['a "metric", new'] == "nan"
    assert last["step"] == "40"


@pytest.mark.parametrize("flushes", [set(range(1, 9)), {2, 5}, {3}])
def test_the_file_does_not_depend_on_when_it_was_flushed(tmp_path, flushes):
    texts = []
    for name, when in (("once", set()), ("often", flushes)):
        writer = HistoryWriter(tmp_path / f"{name}.csv", every_seconds=60)
        for epoch in range(1, 9):
            writer.append(row(epoch))
            if epoch in when:
                writer.flush()
        writer.close()
        texts.append(writer.path.read_text())
    assert texts[0] == texts[1]


@pytest.mark.parametrize("checkpoint", range(7))
def test_a_resumed_run_leaves_the_file_of_an_uninterrupted_one(tmp_path, checkpoint):
    whole = HistoryWriter(tmp_path / "whole.csv")
    for epoch in range(1, 7):
        whole.append(row(epoch))
    whole.close()
    killed = HistoryWriter(tmp_path / "killed.csv", every_seconds=0)
    for epoch in range(1, min(checkpoint + 3, 7)):  # the file runs ahead of the checkpoint
        killed.append(row(epoch))
        killed.flush()
    with open(killed.path, "a") as file:
        file.write("6,60,2.0,0.1")  # the kill came in the middle of a line
    resumed = HistoryWriter(killed.path)
    resumed.resume(10 * checkpoint)
    for epoch in range(checkpoint + 1, 7):
        resumed.append(row(epoch))
    resumed.close()
    assert resumed.path.read_text() == whole.path.read_text()


def test_a_new_start_forgets_an_older_file(tmp_path):
    for epochs in (5, 2):
        writer = HistoryWriter(tmp_path / "history.csv")
        for epoch in range(epochs):
            writer.append(row(epoch))
        writer.close()
    assert read_history(writer.path)["epoch"] == [0, 1]


def test_nothing_is_no_history(tmp_path):
    assert read_history(tmp_path / "none.csv") == {}
    writer = HistoryWriter(tmp_path / "none.csv")
    writer.resume(5)
    writer.close()
    assert not writer.path.exists()


@pytest.mark.parametrize(
    "text", ["epoch,step\n1,2,3\n", "epoch,step\n1,two\n", "epoch\n1\n", "epoch,step\n1,2\n3\n4,5\n"]
)
def test_damage_is_named(tmp_path, text):
    path = tmp_path / "history.csv"
    path.write_text(text)
    with pytest.raises(HistoryError, match=r"history\.csv is damaged"):
        read_history(path)


def test_rows_are_written_at_intervals(tmp_path):
    writer = HistoryWriter(tmp_path / "history.csv", every_seconds=0.02)
    writer.append(row(1))
    time.sleep(0.03)
    writer.append(row(2))
    assert read_history(writer.path)["epoch"] == [1, 2]


def test_a_row_costs_microseconds(tmp_path):
    writer = HistoryWriter(tmp_path / "history.csv", every_seconds=60)
    rows = [row(epoch) for epoch in range(5_000)]
    started = time.process_time()
    for each in rows:
        writer.append(each)
    assert (time.process_time() - started) / len(rows) < 20e-6
