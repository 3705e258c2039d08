"""The configuration. This module finds the config tree: beside src in a checkout, inside an installed package."""

from __future__ import annotations

from pathlib import Path


def config_dir() -> Path:
    """The folder that holds train.yaml and the config groups."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"
