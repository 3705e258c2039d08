"""The last place of Hydra's search path: where no other has it, `ablation=norms` is conf/ablation/notes/norms.yaml.

Hydra itself resolves the name, on command lines and in defaults lists, for composition, glob() and suggestions alike.
"""

from __future__ import annotations

from pathlib import Path

from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from omegaconf import OmegaConf

from paribus.config.ablations import shipped


class ShippedAblations(ConfigSource):
    @staticmethod
    def scheme() -> str:
        return "paribus"

    def load_config(self, config_path: str) -> ConfigResult:
        if (path := self._file(config_path)) is None:
            raise ConfigLoadError(f"Config not found: {config_path}")
        text = path.read_text(encoding="utf-8")
        return ConfigResult(self.provider, f"file://{path}", OmegaConf.create(text), self._get_header_dict(text))

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return config_path in ("", "ablation")

    def is_config(self, config_path: str) -> bool:
        return self._file(config_path) is not None

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        if config_path == "ablation" and results_filter is not ObjectType.GROUP:
            return sorted(shipped())
        return ["ablation"] if config_path == "" and results_filter is not ObjectType.CONFIG else []

    @staticmethod
    def _file(config_path: str) -> Path | None:
        group, _, name = config_path.removesuffix(".yaml").rpartition("/")
        return shipped().get(name) if group == "ablation" else None
