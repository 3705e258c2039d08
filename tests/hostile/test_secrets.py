"""Secrets of a command line reach no file that a run leaves, and change no id."""

import json
import os
import time

import pytest

from paribus.base.redaction import redacted, redacted_text
from paribus.sweep.grouping import WITHHELD

SECRETS = {
    "an address": ("data=https://user:hunter2hunter2@host/x", "hunter2hunter2"),
    "a key": ("+api_key=hunter2hunter2", "hunter2hunter2"),
    "a quoted password": ("train db.password='hunter2 hunter2' seed=1", "hunter2"),
    "a token of GitHub": ("x ghp_" + "a1" * 18, "a1a1a1"),
    "a token of Hugging Face": ("path=hf_" + "b2" * 17, "b2b2b2"),
    "a password with @": ("x=https://user:hunt@hunter2@host/x", "hunt"),
    "a password with a slash": ("x=https://user:a/hunter2@host/x@v1", "hunter2"),
    "a password of digits": ("x=https://user:12345@host/x", "12345"),
    "an escaped address": (r"x=https\://user\:hunter2@host/x", "hunter2"),
    "a token as the user": ("git clone https://hunter2@host/x", "hunter2"),
    "a second address": ("x=[https://host:80/a,redis://u:hunter2@host]", "hunter2"),
    "an argument of an address": ("x=https://host/x?sig=hunter2&y=2", "hunter2"),
    "a number": ("+db.password=12345678", "12345678"),
    "a mapping": ("+opts={url:x,api_key:hunter2}", "hunter2"),
    "JSON": ('+opts={"client_secret": "hunter2 hunter2"}', "hunter2"),
    "an escaped quote": (r"+db.password='a\'hunter2' seed=1", "hunter2"),
    "camel case": ("+opts.apiKey=hunter2", "hunter2"),
    "a dash": ("+opts.api-key=hunter2", "hunter2"),
    "a number behind it": ("+opts.password_2=hunter2", "hunter2"),
    "a key with another name": ("+aws.secret_key=hunter2", "hunter2"),
    "within credentials": ("+credentials.user=hunter2", "hunter2"),
    "a header": ("+header='Authorization: Bearer hunter2hunter2=='", "hunter2"),
    "basic authorization": ("Authorization: Basic aHVudGVyMg==", "aHVudGVyMg"),
    "a header of another name": ("X-Api-Key: hunter2", "hunter2"),
    "the value of a variable": ("note canary-7f3a91c2", "canary-7f3a91c2"),
}
HARMLESS = [
    "optimizer.lr=0.1",
    "data.token_dim=5",
    "keys=3",
    "https://host/x",
    "api_key=${oc.env:KEY}",
    "a@b.c",
    "http://host:8080/x@v1",
    "git@github.com:a/b.git",
    "model.pad_token=0",
    "token: not found",
    "author=me",
    "auth=null",
    "Basic statistics of the data",
    "norm.key=3",
    "keyboard=us",
    "api_key=***",
    "x={token:***}",
]


@pytest.mark.parametrize("case", SECRETS)
def test_a_secret_is_written_out(monkeypatch, case):
    monkeypatch.setenv("MY_TOKEN", "canary-7f3a91c2")
    text, secret = SECRETS[case]
    assert secret not in redacted_text(text)
    assert redacted_text(redacted_text(text)) == redacted_text(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(text):
    assert redacted_text(text) == text


def test_the_current_folder_of_a_shell_is_no_password(monkeypatch):
    monkeypatch.setenv("PWD", "/home/me/faces")
    monkeypatch.setenv("DATABASE_PWD", "swordfish-and-chips")
    assert redacted_text("records lie in /home/me/faces/outputs") == "records lie in /home/me/faces/outputs"
    assert "swordfish" not in redacted_text("opened with swordfish-and-chips")


def test_long_texts_take_no_time():
    for part in ("a", "@", "token:x ", "a://b:", "a=", "x://a:b@", "{token:", "a.", "https://", "\\"):
        started = time.process_time()
        redacted_text(part * (300_000 // len(part)))
        redacted_text("a://b:" + part * (300_000 // len(part)) + "=://")
        assert time.process_time() - started < 10, part


def test_values_by_their_names():
    nested = {"credentials": {"user": "x", "more": ["y"]}, "model.auth.by": "z", "password": 12345678, "pad_token": 3}
    masked = {"credentials": {"user": "***", "more": ["***"]}, "model.auth.by": "***", "password": "***"}
    assert redacted(nested) == {**masked, "pad_token": 3}
    given = {"api_key": "x", "list": [{"password": "y"}], "lr": 0.1, "token": None, "wandb": {"token": "${oc.env:T}"}}
    assert redacted(given) == {**given, "api_key": "***", "list": [{"password": "***"}]}


def test_a_run_leaves_no_secret_and_keeps_its_id(attack, tmp_path):
    quick = ["model=mlp", "model.width=8", "data.subset=60", "data.batch_size=20", "budget.epochs=1", "norm=none"]
    line = ["group=${oc.env:SECRET}", "arm=x-${oc.env:SECRET}", "tags=['${oc.env:SECRET}']"]
    attack("train", *quick, *line, code=0)
    [run] = (tmp_path / "outputs" / "runs").iterdir()
    assert "already" in attack("train", *quick, code=0).err
    assert json.loads((run / "record.json").read_text())["ablation"] == "${oc.env:SECRET}"
    attack("evaluate", run.name, code=0)
    attack("export", "-o", "outputs/runs.csv", code=0)


NET = """
import math
from torch import nn

class Net(nn.Module):
    def __init__(self, shape, num_outputs, norm=None, url="", api_key="", options=None, fail=False):
        super().__init__()
        self.fail = (url, api_key) if fail else None
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), num_outputs))

    def forward(self, x):
        if self.fail and x.device.type != "meta" and self.training and x.abs().sum() > 0:
            raise ValueError(f"{self.fail} can't be reached")
        return self.layers(x)
"""
SWEEP = [
    "train", "-m", "model=mlp", "model._target_=strangers_net.Net", "~model.width", "~model.depth", "~model.activation",
    "norm=none", "data.subset=60", "data.batch_size=20", "budget.epochs=1", "seed=1,2", "logger=wandb",
    "logger.wandb.mode=offline", '+model.url="https://user:hunter2a@host/x","https://user:hunter2b@host/x"',
    "+model.api_key=hunter2c", "+model.options={token:hunter2d}", "tags=['https://user:hunter2e@host/x']",
]  # fmt: skip


@pytest.mark.needs("wandb")
@pytest.mark.parametrize(
    "more",
    [
        pytest.param((), marks=pytest.mark.slow),
        ("stack=off",),
        pytest.param(("+model.fail=true", "stack=off"), marks=pytest.mark.slow),
        ("+model.fail=true",),
    ],
)
def test_a_sweep_writes_no_secret(paribus, tmp_path, monkeypatch, more):
    """Of values on an axis and of fixed ones; runs are found again, since ids are of the real values."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "strangers_net.py").write_text(NET)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"))
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    said = paribus(*SWEEP, *more)
    assert said.code == any("fail" in each for each in more), said.err
    files = [path for path in (tmp_path / "outputs").rglob("*") if path.is_file()]
    assert [path for path in files if b"hunter2" in path.read_bytes()] == []
    assert "hunter2" not in said.err
    [sweep] = [path for path in files if path.name == "sweep.json"]
    [plan] = json.loads(sweep.read_text())["plans"]
    assert list(plan["arms"]) == ["https://***@host/x", "https://***@host/x (2)"]
    assert all(len(ids) == 2 for ids in plan["arms"].values())
    if not any("fail" in each for each in more):
        assert "4 done, 0 to train" in paribus(*SWEEP, *more).err
        for command in (["table"], ["plan", "--json", *SWEEP[2:]], ["report"], ["export", "-o", "all.csv"], ["runs"]):
            shown = paribus(*command)
            assert shown.code == 0, shown.err
            assert "hunter2" not in shown.out + shown.err
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if b"hunter2" in path.read_bytes()] == []


@pytest.mark.needs("stack")  # whose lists outlive a kill
def test_a_killed_sweep_leaves_no_secret(paribus, tmp_path, monkeypatch):
    """Its lists of stacks stay, and its processes had the values from the environment."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "strangers_net.py").write_text(NET)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"))
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    monkeypatch.setattr("paribus.extras.stack.offers.Stacking.discard", lambda stacking, job: None)
    line = [item for item in SWEEP if not item.startswith("logger")]
    said = paribus(*line)
    assert said.code == 0, said.err
    files = [path for path in (tmp_path / "outputs").rglob("*") if path.is_file()]
    lists = [path for path in files if path.parent.name == "stacks"]
    assert lists
    assert [path for path in files if b"hunter2" in path.read_bytes()] == []
    assert "4 done, 0 to train" in paribus(*line).err  # with the ids of the real values
    for key in [key for key in os.environ if key.startswith(WITHHELD)]:
        monkeypatch.delenv(key)
    plain = [item for item in line[2:] if not item.startswith(("seed=", "+model.url="))]
    said = paribus("train", *plain, f"members={lists[0]}")
    assert said.code == 2
    assert "it lacks secrets" in said.err
