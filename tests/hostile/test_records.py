"""Records and configurations that somebody else has written, in the outputs folder."""

import json

import pytest
import yaml

from paribus.config.run import recorded
from paribus.run.foreign import is_own, outside
from paribus.store.store import Store

# Changes of a record, none of which it may be used with.
UNUSABLE = {
    "an absolute id": {"id": "/tmp/x"},
    "an id that climbs": {"id": "../../x"},
    "an empty id": {"id": ""},
    "a dot": {"id": "."},
    "NUL": {"id": "a\0b"},
    "5,000 letters": {"id": "a" * 5000},
    "an id in capitals": {"id": "ABC"},
    "an id of two lines": {"id": "abc\n"},
    "an id that is no text": {"id": ["a"]},
    "deep choices": {"choices": json.loads('{"a":' * 300 + "1" + "}" * 300)},
    "deep provenance": {"provenance": {"a": json.loads("[" * 300 + "]" * 300)}},
    "a failure that is no text": {"status": "failed", "failure": {"type": ["x"], "message": {}}},
    "hardware that is a list": {"provenance": {"hardware": [1]}},
    "imported that is text": {"provenance": {"imported": "hydra"}},
    "a command that is a number": {"provenance": {"command": 5}},
    "a seed of 400 digits": {"seed": 10**400},
    "a metric of 400 digits": {"metrics": {"test/acc": 10**400}},
    "a choice of 400 digits": {"choices": {"norm": 10**400}},
    "half a character": {"arm": "\ud800"},
    "a metric that is text": {"metrics": {"test/acc": "1; rm -rf"}},
    "another schema": {"schema": 99},
    "an unknown field": {"__class__": "os.system"},
    "a status of its own": {"status": "\x1b[2J"},
}
TEXTS = {
    "not JSON": b"{",
    "not UTF-8": b"\xff\xfe\x00",
    "100,000 brackets": b"[" * 100_000,
    "20 MB": b'{"id": "' + b"a" * 20_000_000 + b'"}',
    "an array": b"[]",
}


@pytest.mark.parametrize("case", [*UNUSABLE, *TEXTS])
def test_a_record_that_can_not_be_used_counts_as_none(attack, trained, record, case):
    text = TEXTS[case] if case in TEXTS else json.dumps({**record, **UNUSABLE[case]}).encode()
    (trained / "record.json").write_bytes(text)
    assert "0 runs" in attack("runs", code=0).out
    attack("evaluate", trained.name, code=2)
    attack("table", "--by", "norm", code=2)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../../etc", "/etc/passwd", "a\0b", "a" * 5000, "*", "\x1b[2J", "-", "é"]
)
@pytest.mark.parametrize("command", ["evaluate", "rerun"])
def test_a_name_of_no_run(attack, trained, command, name):
    attack(command, "--", name, code=2)


def test_folders_that_are_no_runs_are_left_alone(attack, trained):
    for name in ("A B", ".hidden", "a" * 100, "x\x1b[2J"):
        (trained.parent / name).mkdir()
    (trained.parent / "file").write_text("")
    assert "1 runs" in attack("runs", code=0).out


def test_a_folder_where_the_record_should_be(attack, trained):
    (trained / "record.json").unlink()
    (trained / "record.json").mkdir()
    assert "0 runs" in attack("runs", code=0).out


# What a copied run's config.yaml could say, and which key it is.
RUN_BY = "touch executed"
TARGETS = {
    "a command": ("data.source", {"_target_": "os.system", "command": RUN_BY}),
    "a command by position": ("data.source", {"_target_": "os.system", "_args_": [RUN_BY]}),
    "subprocess": ("model", {"_target_": "subprocess.run", "args": RUN_BY, "shell": True}),
    "os by way of torch": ("model", {"_target_": "torch.os.system", "_args_": [RUN_BY]}),
    "shutil by way of ours": ("loss", {"_target_": "paribus.run.execute.shutil.rmtree", "path": "outputs"}),
    "a writer of ours": ("data.source", {"_target_": "paribus.base.atomic.write_atomically", "text": "x"}),
    "a download of ours": ("data.source", {"_target_": "paribus.datasets.files.download", "url": "file:secret.yaml"}),
    "an extension of C": ("model", {"_target_": "torch.utils.cpp_extension.load", "name": "x", "sources": []}),
    "a pickle": ("model", {"_target_": "torch.load", "f": "evil.pt", "weights_only": False}),
    "the hub": ("model", {"_target_": "torch.hub.load", "repo_or_dir": ".", "source": "local", "model": "x"}),
    "torch's own shell": ("model", {"_target_": "torch.utils.collect_env.run", "command": RUN_BY}),
    "torch in C": ("model", {"_target_": "torch._C.PyTorchFileWriter", "_args_": ["executed"]}),
    "a network from a file": ("model", {"_target_": "torch.jit.load", "f": "x"}),
    "exec": ("scheduler", {"_target_": "builtins.exec", "_args_": ["open('executed', 'w')"]}),
    "open": ("augmentation", {"_target_": "io.open", "file": "executed", "mode": "w"}),
    "a module that is run": ("loss", {"_target_": "paribus.__main__.main"}),
    "Hydra's own": ("loss", {"_target_": "hydra.utils.instantiate", "config": {"_target_": "os.abort"}}),
    "a nested command": ("model.width", {"_target_": "os.system", "command": RUN_BY}),
    "a nested command in a list": ("model.depth", [{"_target_": "os.system", "command": RUN_BY}]),
    "a deferred command": ("norm.activation", {"_target_": "os.system", "_partial_": True, "command": RUN_BY}),
    "an installed library": ("model", {"_target_": "numpy.fromfile", "file": "secret.yaml"}),
    "a number": ("model", {"_target_": 5}),
    "no target": ("model", {"width": 8}),
    "a relative name": ("data.source", {"_target_": "..data.digits.Digits"}),
    "another kind": ("model", {"_target_": "torch.optim.SGD"}),
}
COMMANDS = [["evaluate"], ["curvature", "--refine", "0"], ["landscape", "--points", "3"], ["rerun"]]


def changed(run, key, value):
    config = yaml.safe_load((run / "config.yaml").read_text())
    *parts, last = key.split(".")
    node = config
    for part in parts:
        node = node[part]
    node[last] = value
    (run / "config.yaml").write_text(yaml.safe_dump(config))


def without_checksums(run):
    """As who changes a configuration would also change its record."""
    content = json.loads((run / "record.json").read_text())
    content.pop("checksums", None)
    (run / "record.json").write_text(json.dumps(content))


@pytest.mark.parametrize("case", TARGETS)
def test_a_copied_run_calls_nothing_but_parts_of_a_training(attack, trained, case):
    changed(trained, *TARGETS[case])
    without_checksums(trained)
    said = attack("evaluate", trained.name, code=2).err
    assert said.splitlines()[-1].startswith("error: ")  # torch's builds for CUDA say first that there is none


@pytest.mark.parametrize("command", COMMANDS, ids=[command[0] for command in COMMANDS])
def test_no_command_calls_what_a_copied_run_names(attack, trained, command):
    changed(trained, *TARGETS["a command"])
    without_checksums(trained)
    assert "os.system" in attack(*command, trained.name, code=2).err


CONFIGS = {
    "not YAML": "{",
    "a list": "[]",
    "a cycle": "a: &a [*a]",
    "a bomb": "a: &a [1, 1, 1, 1, 1, 1, 1, 1]\n"
    + "\n".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 8)}]" for a, b in zip("abcdefghi", "bcdefghij", strict=True)),
    "a bomb of mappings": "a: &a {x: 1}\nb: &b {<<: [*a, *a, *a]}\nc: {<<: [*b, *b, *b]}",
    "deep": "[" * 5000 + "]" * 5000,
    "deep blocks": "\n".join("  " * depth + "a:" for depth in range(500)),
    "Python": "!!python/object/apply:os.system ['touch executed']",
    "another tool's": "seed: 1\nmodel: {_target_: os.system}",
    "nothing": "",
    "not UTF-8": b"\xff\xfe",
    "half of one": "data: 5\nbudget: []\n",
}


@pytest.mark.parametrize("case", CONFIGS)
def test_a_config_that_is_none(attack, trained, case):
    text = CONFIGS[case]
    (trained / "config.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    without_checksums(trained)
    attack("evaluate", trained.name, code=2)
    attack("runs", "data.validation=238", code=2)


def test_interpolations_of_a_copied_run_are_not_resolved(attack, trained):
    changed(trained, "tags", ["${oc.env:SECRET}", "${ oc.env:SECRET}", "${oc.select:model}"])
    without_checksums(trained)
    attack("evaluate", trained.name, code=0)


def test_a_record_that_can_be_used_is(attack, trained):
    assert Store(trained.parents[1]).read(trained.name) is not None
    assert "as recorded" in attack("evaluate", trained.name, code=0).out


SOURCES = {
    "a data set of the hub": {"_target_": "paribus.datasets.huggingface.HuggingFace", "path": "somebody/else"},
    "a folder elsewhere": {"_target_": "paribus.datasets.folder.ImageFolder", "root": "/etc"},
    "the way up": {"_target_": "paribus.datasets.huggingface.HuggingFace", "path": ".."},
    "through a link": {"_target_": "paribus.datasets.folder.ImageFolder", "root": "link"},
    "a download": {"_target_": "paribus.datasets.cifar.CIFAR", "root": "gone"},
    "a known data set elsewhere": {"_target_": "paribus.datasets.idx.IDX", "name": "mnist", "root": "/etc"},
    "own code with a path": {"_target_": "strangers.Source", "where": "/etc/passwd"},
    "own code with an address": {"_target_": "strangers.Source", "options": ["https://host/x"]},
}


@pytest.mark.parametrize("case", SOURCES)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_copied_run_reads_no_data_elsewhere(attack, trained, tmp_path, case, command):
    (tmp_path / "link").symlink_to("/etc")
    changed(trained, "data.source", SOURCES[case])
    without_checksums(trained)
    said = attack(command[0], trained.name, *command[1:], code=2).err
    assert "--trust" in said
    assert "was not trained in" in said


def test_a_run_trained_here_reads_its_data_wherever_they_lie(trained, trained_outputs):
    own, copy = (Store(path) for path in (trained_outputs, trained.parents[1]))
    record, (base, _) = own.read(trained.name), recorded(own.config(trained.name))
    assert is_own(record, own)
    assert not is_own(record, copy)
    for root, found in (("data/x", None), (str(own.root / "x"), None), ("/etc", "/etc"), ("..", "..")):
        source = {"_target_": "paribus.datasets.folder.ImageFolder", "root": root}
        assert outside(base.but({"data.source": source}), own) == found
