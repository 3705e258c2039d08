"""Access to W&B: its address, a key for it, and whether it answers. Knows no wandb package."""

from __future__ import annotations

import json
import math
import netrc
import os
import time
import urllib.error
import urllib.request

RETRY_SECONDS = 60.0  # a server that did not answer is not asked again so soon: a stack has many runs
_silent: dict[str, float] = {}  # servers that did not answer, and when


def base_url() -> str:
    return os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").rstrip("/")


def has_key() -> bool:
    """Whether W&B would find an API key without asking."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = base_url().split("//")[-1].split("/")[0].split(":")[0]
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def unreachable(seconds: float) -> str | None:
    """Why W&B does not answer a question of no consequence; None if it does.

    seconds: longest time to connect, and longest to wait for the answer.
    """
    url = base_url()
    if time.monotonic() - _silent.get(url, -math.inf) < RETRY_SECONDS:
        return "it did not answer the last question"
    request = urllib.request.Request(
        f"{url}/graphql",
        json.dumps({"query": "query Viewer { viewer { id } }", "operationName": "Viewer"}).encode(),
        {"content-type": "application/json"},
    )
    try:
        urllib.request.urlopen(request, timeout=seconds).close()
    except urllib.error.HTTPError as error:
        error.close()
        if error.code < 500:  # it wants a key, which the client has
            return None
        reason = f"HTTP {error.code}"
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "reason", error)) or type(error).__name__
    else:
        return None
    was_silent()
    return reason


def was_silent() -> None:
    """Remember for a minute that the server did not answer in time."""
    _silent[base_url()] = time.monotonic()
