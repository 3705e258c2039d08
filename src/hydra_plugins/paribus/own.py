"""The defaults of a user's project: ./conf/train.yaml, which Hydra composes as `own: train` on top of our train.yaml.

A place of Hydra's search path has it, so command lines, plans and sweeps read it alike.
"""

from __future__ import annotations

from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult, ConfigSource

from paribus.config.defaults import own_defaults


class OwnDefaults(ConfigSource):
    @staticmethod
    def scheme() -> str:
        return "paribus-own"

    def load_config(self, config_path: str) -> ConfigResult:
        found = own_defaults()
        assert found is not None, config_path  # is_config has said so
        path, content = found
        return ConfigResult(self.provider, f"file://{path}", content, {"package": "_global_"})

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return config_path == "" or (config_path == "own" and own_defaults() is not None)

    def is_config(self, config_path: str) -> bool:
        return config_path.removesuffix(".yaml") == "own/train" and own_defaults() is not None

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        return []
