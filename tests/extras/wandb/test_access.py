"""The question whether W&B answers: it takes no longer than one is ready to wait."""

import os
import time

import pytest

from paribus.extras.wandb import access as wandb_access
from paribus.extras.wandb.access import base_url, has_key, unreachable


def test_a_server_that_answers_or_only_wants_a_key(wandb_server):
    assert base_url() == wandb_server.url
    assert has_key()
    assert unreachable(5.0) is None
    wandb_server.failure = "401"
    assert unreachable(5.0) is None


@pytest.mark.parametrize(("failure", "reason"), [("500", "HTTP 500"), ("hang", "timed out"), ("drop", "closed")])
def test_a_server_that_does_not_answer_is_not_asked_twice(wandb_server, failure, reason):
    wandb_server.failure = failure
    started = time.monotonic()
    assert reason in unreachable(0.5)
    assert time.monotonic() - started < 5.0
    wandb_server.failure = None
    assert "the last question" in unreachable(0.5)


def test_nobody_listens(wandb_server):
    wandb_server.refuse()
    assert "refused" in unreachable(1.0)


def test_keys_are_found_where_wandb_finds_them(monkeypatch, tmp_path):
    monkeypatch.setattr(wandb_access, "_silent", {})
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_BASE_URL", raising=False)
    monkeypatch.setenv("NETRC", os.devnull)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert not has_key()
    (tmp_path / ".netrc").write_text(f"machine api.wandb.ai login user password {'a' * 40}\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert has_key()
