"""A Ray cluster of two nodes, one of which dies in the middle of a sweep."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from paribus.run.rerun import rerun
from paribus.store.store import Store

SWEEP = [
    *("train", "-m", "model=mlp", "model.width=8", "data.subset=60", "data.batch_size=20", "budget.epochs=1500"),
    *("callbacks.checkpoints.every_seconds=0.5", "trainer.threads=1", "seed=range(4)", "hydra/launcher=ray"),
    *("+callbacks.count._target_=counting.Count", "+callbacks.count.name=starts"),
]
NODES = """
import json, sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
second = cluster.add_node(num_cpus=1)
print(json.dumps({"address": cluster.address}), flush=True)
for line in sys.stdin:
    if line == "kill\\n":
        cluster.remove_node(second, allow_graceful=False)
        print("killed", flush=True)
cluster.shutdown()
"""


@pytest.mark.slow
def test_a_node_that_dies_loses_no_run(tmp_path, monkeypatch):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PARIBUS_")}
    environment |= {
        "PYTHONPATH": str(Path(__file__).parents[2] / "helpers"),
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_worker_niceness": "0",
    }
    with subprocess.Popen(
        [sys.executable, "-c", NODES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as nodes:
        address = json.loads(next(line for line in nodes.stdout if line.startswith("{")))["address"]
        command = [sys.executable, "-m", "paribus", *SWEEP, f"hydra.launcher.init.address={address}"]
        with subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as sweep:
            store = Store(tmp_path / "outputs")
            while len(list(tmp_path.glob("outputs/runs/*/checkpoints/last.ckpt"))) < 2:
                assert sweep.poll() is None, sweep.stderr.read()
                time.sleep(0.05)
            running = [record.id for record in store.scan() if record.status == "running"]
            nodes.stdin.write("kill\n")
            nodes.stdin.flush()
            said = sweep.communicate()[1]
        nodes.stdin.close()
        assert sweep.returncode == 0, said
    assert len(running) == 2, "one of the two nodes had trained its run before the other one began"
    records = list(store.scan())
    assert [record.status for record in records] == ["done"] * 4
    starts = Counter(line.split()[0] for line in (tmp_path / "starts.txt").read_text().splitlines())
    twice = [id for id, count in starts.items() if count > 1]
    assert sum(starts.values()) == 5, starts
    assert len(twice) == 1
    assert twice[0] in running
    # It went on from its checkpoint on the other node, and ends as if nothing had happened.
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "helpers"))
    compared = rerun(store.find(twice[0]), store)
    assert [each.difference for each in compared] == [None, None, None]
