"""The ablations that come with Paribus: files in folders of conf/ablation, each of which a short name finds.

So every name directly below conf/ablation is free for users: `ablation=norms` is conf/ablation/notes/norms.yaml as long
as no other folder of the search path has an ablation/norms.yaml.
"""

from __future__ import annotations

from pathlib import Path

from paribus.config import config_dir


def shipped() -> dict[str, Path]:
    """Short name -> file."""
    return {path.stem: path for path in sorted((config_dir() / "ablation").glob("*/*.yaml"))}
