"""Folders of Hydra's that somebody else has sent: imported, their text stays text, and nothing of them is called."""

import json
import os

import pytest
import yaml
from hydra_template import job

SWEEP = ("logs", "sweep")
BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1]\n" + "\n".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 8)}]" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)
# Values of a stranger's configuration that ask for something, or would be called.
VALUES = {
    "an environment variable": "${oc.env:SECRET}",
    "one with a space": "${ oc.env:SECRET}",
    "one with a default": "${oc.env:SECRET,none}",
    "one that is chosen": "${oc.select:paths.x,${oc.env:SECRET}}",
    "decoded": "${oc.decode:${oc.env:SECRET}}",
    "in a text": "x ${oc.env:SECRET} y",
    "by way of another key": "${trainer.leak}",
    "a resolver of Hydra's": "${hydra:runtime.cwd}",
    "an unknown resolver": '${eval:\'__import__("os").system("touch executed")\'}',
    "itself": "${model.width}",
    "a loop": "${trainer.loop}",
    "a brace": "${",
    "thousands": "${" * 2000 + "x" + "}" * 2000,
    "a command": {"_target_": "os.system", "command": "touch executed"},
    "escapes": "\x1b[2J\x1b]0;title\x07",
    "two lines": "a\n=cmd|' /C calc'!A0",
    "a large number": 10**30,
    "nan": float("nan"),
    "null": None,
    "a list": [[["${oc.env:SECRET}"]]],
}


@pytest.mark.parametrize("case", VALUES)
def test_values_stay_text(attack, tmp_path, case):
    value = VALUES[case]
    for number in range(2):
        folder = job(tmp_path / "logs" / str(number), ["model.width=1", f"seed={number}"], seed=number)
        path = folder / ".hydra" / "config.yaml"
        config = yaml.safe_load(path.read_text())
        config["model"]["width"] = value
        config["trainer"] |= {"leak": "${oc.env:SECRET}", "loop": "${model.width}"}
        path.write_text(yaml.safe_dump(config))
        overrides = ["model.width=" + (value if isinstance(value, str) else "1"), f"+x={value}"]
        (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(overrides))
    attack("import", "logs", code=0)
    [one, _] = sorted((tmp_path / "outputs" / "runs").iterdir())
    attack("runs", code=0)
    attack("table", "--by", "model", code=0)
    attack("export", "-o", "outputs/runs.csv", code=0)
    for command in (["evaluate"], ["curvature"], ["landscape"], ["rerun"]):
        attack(*command, one.name, code=2)
    attack("evaluate", one.name, "--trust", code=2)  # it is no configuration of ours


@pytest.mark.parametrize("key", ["data.source", "model", "augmentation", "loss"])
def test_trust_is_no_leave_to_run_commands(attack, trained, key):
    """A run of ours that says it was imported, and names a command."""
    record = json.loads((trained / "record.json").read_text())
    record["provenance"]["imported"] = {"from": "hydra"}
    record.pop("checksums", None)
    (trained / "record.json").write_text(json.dumps(record))
    assert "--trust" in attack("evaluate", trained.name, code=2).err
    attack("evaluate", trained.name, "--trust", code=0)
    config = yaml.safe_load((trained / "config.yaml").read_text())
    *parts, last = key.split(".")
    node = config
    for part in parts:
        node = node[part]
    node[last] = {"_target_": "os.system", "command": "touch executed"}
    (trained / "config.yaml").write_text(yaml.safe_dump(config))
    assert "os.system" in attack("evaluate", trained.name, "--trust", code=2).err


FILES = {
    "a bomb": (".hydra/config.yaml", BOMB),
    "a bomb of mappings": (".hydra/config.yaml", "a: &a {x: 1}\nb: {<<: [*a, *a]}"),
    "a cycle": (".hydra/config.yaml", "a: &a [*a]"),
    "a cycle of mappings": (".hydra/config.yaml", "a: &a {b: *a}"),
    "Python": (".hydra/config.yaml", "!!python/object/apply:os.system ['touch executed']"),
    "deep": (".hydra/config.yaml", "a: " + "[" * 3000 + "]" * 3000),
    "text": (".hydra/config.yaml", "hello"),
    "bytes": (".hydra/config.yaml", b"\xff\xfe\x00"),
    "odd keys": (".hydra/config.yaml", "? [1, 2]\n: 3"),
    "overrides that are a mapping": (".hydra/overrides.yaml", "a: b"),
    "overrides that are Python": (".hydra/overrides.yaml", "- !!python/name:os.system"),
    "overrides that are a bomb": (".hydra/overrides.yaml", BOMB),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_not_imported(attack, tmp_path, case):
    name, content = FILES[case]
    path = job(tmp_path / "logs" / "0", ["seed=0"]) / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert "not imported" in attack("import", "logs", code=2).err


ODD = {
    "options that are a bomb": (".hydra/hydra.yaml", BOMB),
    "options that are a list": (".hydra/hydra.yaml", "hydra: [1]"),
    "options that are numbers": (".hydra/hydra.yaml", "hydra: {runtime: {choices: {1: 2, model: 3}}}"),
    "a field of 10 MB": ("csv/version_0/metrics.csv", "epoch,step,val/acc\n0,1,0.5\n1,2," + "9" * 10_000_000),
    "NUL": ("csv/version_0/metrics.csv", "epoch,step,val/acc\n0,1,0\x005\n1,2,0.5\n"),
    "names of two lines": ("csv/version_0/metrics.csv", 'epoch,step,"val/a\ncc\x1b[2J\u2028"\n0,1,0.5\n'),
    "a name that is a formula": ("csv/version_0/metrics.csv", 'epoch,step,"=cmd|x!A0"\n0,1,0.5\n'),
    "steps that are none": ("csv/version_0/metrics.csv", "epoch,step,val/acc\nnan,nan,0.5\ninf,inf,0.5\n"),
    "a log that is a complaint": ("train.log", "Traceback (most recent call last)\nEvilError: \x1b[2J\x1b[31m"),
    "a log of bytes": ("train.log", b"\xff\xfeTraceback (most recent call last)\n"),
    "hparams that are Python": ("csv/version_0/hparams.yaml", "!!python/object/apply:os.system ['touch executed']"),
    "a time that is none": ("exec_time.log", "1.2.3.4 (s)"),
}


@pytest.mark.parametrize("case", ODD)
def test_a_file_that_is_odd(attack, tmp_path, case):
    name, content = ODD[case]
    path = job(tmp_path / "logs" / "0", ["seed=0"]) / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    attack("import", "logs", code=0)
    attack("runs", code=0)
    attack("export", "--histories", "-o", "outputs/histories.csv", code=0)


def test_links_out_of_the_folder_are_not_followed(attack, tmp_path):
    folder = job(tmp_path / "logs" / "0", ["seed=0"])
    (tmp_path / "secret.yaml").write_text("")
    (folder / ".hydra" / "config.yaml").unlink()
    (folder / ".hydra" / "config.yaml").symlink_to(tmp_path / "secret.yaml")
    assert "not imported" in attack("import", "logs", code=2).err


def test_a_pipe_is_not_waited_for(attack, tmp_path):
    folder = job(tmp_path / "logs" / "0", ["seed=0"])
    (folder / ".hydra" / "config.yaml").unlink()
    os.mkfifo(folder / ".hydra" / "config.yaml")
    assert "not imported" in attack("import", "logs", code=2).err


@pytest.mark.parametrize("source", ["a\0b", "/dev/null", "nowhere", "wandb:../..", "wandb:", "x" * 5000])
def test_a_source_that_is_none(attack, source):
    attack("import", source, code=2)
