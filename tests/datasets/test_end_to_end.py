"""Tables of numbers as a real ablation: planned, trained, put into a table, and better than guessing."""

import csv
import io

import pytest
import torch

from paribus.datasets.sklearn_tables import BreastCancer, Wine
from paribus.store.store import Store

ABLATION = """# @package _global_
# Does a norm help a perceptron on a small table?
defaults:
  - override /model: mlp
  - override /batch_size: b16
  - override /data: wine
ablation:
  name: small
  factors: {norm: [none, layer]}
  regimes: {wine: {}, cancer: {set: {data: breast_cancer}}}
  seeds: 2
  metric: test/acc
  smallest_effect: 0.01
budget: {updates: 60}
model: {width: 16}
"""


def test_an_ablation_of_two_tables(paribus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "ablation").mkdir(parents=True)
    (tmp_path / "conf" / "ablation" / "small.yaml").write_text(ABLATION)
    done = paribus("train", "-m", "ablation=small")
    assert done.code == 0, done.err
    records = list(Store(tmp_path / "outputs").scan())
    assert len(records) == 8
    assert {record.status for record in records} == {"done"}
    for source in (Wine(), BreastCancer()):
        own = [record for record in records if record.choices["data"] == source.name]
        assert {record.classes for record in own} == {source.num_classes}
        guess = float((torch.bincount(source.load().test_y) / len(source.load().test_y)).max())
        assert all(record.metrics["test/acc"] > guess for record in own)
    shown = paribus("table", "ablation=small", "--format", "csv")
    assert shown.code == 0, shown.err
    rows = [row for row in csv.DictReader(io.StringIO(shown.out)) if row["metric"] == "test/acc"]
    assert [(row["table"], row["arm"]) for row in rows] == [
        (f"small [{regime}]", norm) for regime in ("wine", "cancer") for norm in ("none", "layer")
    ]
    for row, data in zip(rows, ("wine", "wine", "breast_cancer", "breast_cancer"), strict=True):
        chosen = [
            r.metrics["test/acc"] for r in records if (r.choices["norm"], r.choices["data"]) == (row["arm"], data)
        ]
        assert float(row["mean"]) == pytest.approx(sum(chosen) / 2)
