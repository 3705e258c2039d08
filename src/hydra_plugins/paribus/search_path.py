"""Adds ./conf of the current folder to Hydra's search path, so that an installed Paribus takes a user's own options."""

from __future__ import annotations

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class ParibusSearchPath(SearchPathPlugin):
    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        local = Path.cwd() / "conf"
        known = {entry.path for entry in search_path.get_path()}
        if local.is_dir() and not known & {str(local), f"file://{local}"}:
            search_path.append(provider="paribus-local", path=f"file://{local}")
