"""The options of conf/model by what their networks read."""

from inspect import signature

import yaml

from paribus.config import config_dir
from paribus.run.targets import locate


def _reads_tokens(path):
    target = locate("model", yaml.safe_load(path.read_text())["_target_"])
    return "vocabulary_size" in signature(target).parameters


_FILES = sorted((config_dir() / "model").glob("*.yaml"))
OF_TOKENS = [path.stem for path in _FILES if _reads_tokens(path)]
OF_NUMBERS = [path.stem for path in _FILES if path.stem not in OF_TOKENS]
