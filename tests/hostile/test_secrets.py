"""Secrets of a command line reach no file that a run leaves, and change no id."""

import json

import pytest

from paribus.base.redaction import redacted, redacted_text

SECRETS = {
    "an address": ("data=https://user:hunter2hunter2@host/x", "hunter2hunter2"),
    "a key": ("+api_key=hunter2hunter2", "hunter2hunter2"),
    "a quoted password": ("train db.password='hunter2 hunter2' seed=1", "hunter2"),
    "a token of GitHub": ("x ghp_" + "a1" * 18, "a1a1a1"),
    "a token of Hugging Face": ("path=hf_" + "b2" * 17, "b2b2b2"),
    "the value of a variable": ("note canary-7f3a91c2", "canary-7f3a91c2"),
}
HARMLESS = ["optimizer.lr=0.1", "data.token_dim=5", "keys=3", "https://host/x", "api_key=${oc.env:KEY}", "a@b.c"]


@pytest.mark.parametrize("case", SECRETS)
def test_a_secret_is_written_out(monkeypatch, case):
    monkeypatch.setenv("MY_TOKEN", "canary-7f3a91c2")
    text, secret = SECRETS[case]
    assert secret not in redacted_text(text)
    assert redacted_text(redacted_text(text)) == redacted_text(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(text):
    assert redacted_text(text) == text


def test_values_by_their_names():
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
