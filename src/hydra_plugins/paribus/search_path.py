"""Adds ./conf of the current folder to Hydra's search path, so that an installed Paribus takes a user's own options."""

from __future__ import annotations

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.plugins.search_path_plugin import SearchPathPlugin

from paribus.base.hydra_internals import watch
from paribus.config import config_dir
from paribus.config.clashes import check_name


class ParibusSearchPath(SearchPathPlugin):
    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        local = Path.cwd() / "conf"
        known = {entry.path for entry in search_path.get_path()}
        ours = known & {str(config_dir()), f"file://{config_dir()}"}  # other applications of Hydra stay as they are
        if local.is_dir() and ours and not known & {str(local), f"file://{local}"}:
            search_path.append(provider="paribus-local", path=f"file://{local}")
        if ours:
            watch(check_name)
            hide_plugin()
            # Hydra puts --config-dir before the first place of this provider, so ours comes after it.
            search_path.append(provider="schema", path="paribus://ablation")
            search_path.append(provider="own", path="paribus-own://train")


def hide_plugin() -> None:
    """Take away the options of hydra-optuna-sweeper: ours have the same names, and Hydra would mix both."""
    if (config_dir() / "hydra" / "sweeper" / "optuna.yaml").exists():
        registered = ConfigStore.instance().repo.get("hydra", {}).get("sweeper", {})
        for name in ("optuna.yaml", "sampler"):
            registered.pop(name, None)
