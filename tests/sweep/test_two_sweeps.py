"""Two launchers that work on the same ablation at once never train the same run twice."""

import csv
import io
from collections import Counter

from paribus.store.store import Store

ABLATION = """# @package _global_
# Two losses, tuned.
defaults:
  - override /model: mlp
model: {width: 8}
data: {subset: 60, batch_size: 20}
budget: {epochs: 15}
callbacks: {count: {_target_: counting.Meet, name: starts, sweeps: 2}}
ablation:
  name: mine
  factors: {loss: [cross_entropy, mse]}
  tune: {optimizer.lr: [0.02, 0.1]}
  seeds: {tune: 1, report: 2}
"""


def test_two_sweeps_started_at_the_same_moment(paribus, commands, tmp_path):
    (tmp_path / "conf" / "ablation").mkdir(parents=True)
    (tmp_path / "conf" / "ablation" / "mine.yaml").write_text(ABLATION)
    sweep = ["train", "-m", "ablation=mine", "hydra.launcher.slots=1"]
    both = [commands.start(tmp_path, *sweep, SWEEP=name, OMP_NUM_THREADS="1") for name in ("first", "second")]
    said = [process.wait() for process in both]
    assert [ended.code for ended in said] == [0, 0], said

    starts = Counter(line.split()[0] for line in (tmp_path / "starts.txt").read_text().splitlines())
    records = {record.id: record.status for record in Store(tmp_path / "outputs").scan()}
    assert set(records.values()) == {"done"}
    assert len(records) == 2 * 2 * (1 + 2)  # both rates lie near the best, so both are reported
    assert starts == Counter(dict.fromkeys(records, 1))
    sweeps = {line.split()[1] for line in (tmp_path / "starts.txt").read_text().splitlines()}
    assert sweeps == {"first", "second"}

    table = paribus("table", "ablation=mine", "--format", "csv")
    rows = [row for row in csv.DictReader(io.StringIO(table.out)) if row["metric"] == "test/acc"]
    assert [row["n"] for row in rows] == ["2", "2"]
