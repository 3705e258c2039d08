"""Runs alone and in a stack, from command lines."""

import json

import pytest
import torch

from paribus.config.compose import load, resolved
from paribus.config.identity import run_id
from paribus.config.run import Run
from paribus.extras.stack.execute import train_stack
from paribus.run.execute import train
from paribus.store.store import Store


class Runs:
    """Trains command lines; records and checkpoints lie in `folder`."""

    def __init__(self, folder):
        self.folder = folder
        self.store = Store(folder)
        self.configs = {}  # composing takes a fifth of a second

    def config(self, overrides):
        key = tuple(overrides)
        if key not in self.configs:
            self.configs[key] = resolved(load([*overrides, f"paths.outputs={self.folder}"]))
        return self.configs[key]

    def run_of(self, line):
        return Run.parse(self.config(line))

    def ids(self, lines):
        return [run_id(self.config(line)) for line in lines]

    def alone(self, lines):
        return [train(self.run_of(line), {"norm": ["batch"]}, line) for line in lines]

    def members(self, lines):
        """The file that a sweep would write for these runs."""
        path = self.folder / "members.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        members = [
            {"config": self.config(line), "choices": {"norm": ["batch"]}, "overrides": list(line)} for line in lines
        ]
        path.write_text(json.dumps({"members": members}))
        return path

    def stacked(self, lines, size=1000, **keys):
        config = {**self.config(lines[0]), "stack": size, **keys}
        train_stack(Run.parse(config), self.members(lines))
        return [self.store.read(id) for id in self.ids(lines)]

    def checkpoint(self, line, name="last"):
        [id] = self.ids([line])
        return torch.load(self.store.run_dir(id) / "checkpoints" / f"{name}.ckpt", weights_only=True)

    def weights(self, line):
        return {key.removeprefix("network."): value for key, value in self.checkpoint(line)["state_dict"].items()}


@pytest.fixture
def runs(tmp_path):
    return lambda name="outputs": Runs(tmp_path / name)
