"""Options without effect: two ids whose trainings are the same bits are suspect, and are listed here with a reason.

Each option of each group is trained against the default of its group, and each key of the default configuration against
another value, for two updates on a few digits. Same weights and metrics under different ids mean that an option is
ignored, or that it says the same in other words: the list of those must be the reviewed one, no more and no less.
"""

import copy

import pytest
import torch
from networks import OF_TOKENS

from paribus.base.errors import UserError
from paribus.config import config_dir
from paribus.config.compose import load, resolved
from paribus.config.identity import run_id
from paribus.config.run import Run
from paribus.run.execute import execute
from paribus.store.record import Record
from paribus.store.store import Store

# Small enough for two updates in a tenth of a second.
BASE = [
    "data.subset=16",
    "data.validation=20",
    "batch_size=b8",
    "budget.updates=2",
    "callbacks=[checkpoints]",
    "trainer.threads=1",
]
# Large networks in small: the same code, fewer and narrower layers.
SLIM = {
    "model=cnn": ["model.widths=[8,8,8]"],
    "model=linear": [],
    "model=mlp": ["model.width=8"],
    "model=resnet20": ["model.blocks=[1,1,1]", "model.widths=[4,4,8]"],
    "model=resnet56": ["model.blocks=[2,1,1]", "model.widths=[4,4,4]"],
    "model=resnet18": ["model.blocks=[1,1,1,1]", "model.widths=[4,4,4,4]"],
    "model=resnet50": ["model.blocks=[1,1,1,2]", "model.widths=[4,4,4,4]"],
    "model=vit_tiny": ["model.depth=1", "model.width=12"],
    "model=vit_small": ["model.depth=1", "model.width=24"],
}
GROUPS = ("optimizer", "scheduler", "norm", "model", "loss", "augmentation", "batch_size", "callbacks", "data")
# Options that can't be trained here, and why; their keys are judged by tests/config/test_identity_keys.py.
NOT_HERE = {
    **dict.fromkeys(("cifar10", "cifar100", "mnist", "fashion_mnist", "image_folder", "huggingface"), "files"),
    **dict.fromkeys(("csv", "parquet", "arrays"), "files"),
    "diabetes": "its targets are numbers",
    **dict.fromkeys(OF_TOKENS, "tests/run/test_language.py"),
    **dict.fromkeys(("markov", "zipf", "modular", "recall", "copy", "sort", "parity"), "tests/run/test_language.py"),
    **dict.fromkeys(("text", "words", "huggingface_text"), "files"),
    "own": "for models that make their norms themselves",
    **dict.fromkeys(("squared_error", "absolute_error", "huber", "binary_cross_entropy"), "losses of other tasks"),
    **dict.fromkeys([f"b{2**k}" for k in range(5, 15)], "larger than the training set"),
}
# Keys of the default configuration, each with another value.
KEYS = [
    "seeds.init=1",
    "seeds.order=1",
    "seeds.augmentation=1",
    "repetition=1",
    "budget.updates=3",
    "norm.activation.momentum=0.2",
    "norm.activation.eps=0.01",
    "norm.activation.affine=false",
    "lr_scaling.rule=linear",
    "lr_scaling.base_batch_size=32",
    "lr_scaling.base_width=32",
    "decay=all",
    "clip.norm=0.01",
    "clip.value=0.001",
    "evaluation.every=2",
    "evaluation.checkpoint=best",
    "evaluation.monitor=val/loss",
    "evaluation.statistics=recomputed",
    "init.scale=2.0",
    "data.validation=21",
    "data.split_seed=1",
    "data.subset=17",
    "data.label_noise=0.5",
    "data.noise_seed=1",
    "data.standardize=false",
    "data.drop_last=true",
    "data.batch_size=7",
    "model.convolutions=2",
    "model.activation=gelu",
    "optimizer.lr=0.1",
    "optimizer.weight_decay=0.01",
    "optimizer.momentum=0.8",
    "optimizer.dampening=0.1",
    "optimizer.nesterov=true",
    "scheduler.warmup=2",
    "scheduler.warmup_start=0.5",
    "trainer.precision=64-true",
    "trainer.accumulate=2",
    "trainer.channels_last=true",
    "trainer.deterministic=true",
]
# Longer, with a rate at which the loss rises: what is best is not what is last.
RISING = ["budget.updates=null", "budget.epochs=4", "optimizer.lr=2", "norm=none"]
# The loss falls while the accuracy stands, so the two are best in different epochs.
SLOW = ["budget.updates=null", "budget.epochs=4", "optimizer.lr=0.0001", "norm=none"]
# The reviewed list, with the reason: trained to the same bits as the default, though the id is another one. Both sides
# of the pair differ where the lines beside the reason are added; what has no such lines is the same for good.
SAME = {
    "norm=sync_batch": ("statistics over processes, and there is one", None),
    "trainer.deterministic=true": ("refuses operations of GPUs, and computes nothing", None),
    "seeds.augmentation=1": ("nothing is drawn", ["augmentation=crop_flip"]),
    "lr_scaling.base_batch_size=32": ("no rule scales the rate", ["lr_scaling.rule=linear"]),
    "lr_scaling.base_width=32": ("no rule scales the rate", ["model=mlp", "optimizer=adamw", "lr_scaling.rule=width"]),
    "data.noise_seed=1": ("no label is flipped", ["data.label_noise=0.5"]),
    "data.drop_last=true": ("no batch is smaller", ["data.batch_size=7", "budget.updates=3"]),
    "scheduler.warmup_start=0.5": ("no warm-up", ["scheduler.warmup=2"]),
    "scheduler=wsd": ("two updates are over before it decays", ["budget.updates=10"]),
    "scheduler=plateau": ("two updates are over before it waits", [*RISING, "scheduler.patience=1"]),
    "callbacks=[checkpoints,early_stopping]": (
        "two updates are over before it waits",
        [*RISING, "callbacks.early_stopping.patience=1"],
    ),
    "evaluation.every=2": ("one validation, the last, which there is always", RISING),
    "evaluation.checkpoint=best": ("one validation: the last weights are the best", RISING),
    "evaluation.monitor=val/loss": ("the last weights are tested", [*SLOW, "evaluation.checkpoint=best"]),
}
# What an option needs to train at all, on both sides of its pair.
NEEDS = {
    "scheduler=batch_growth": ["budget.updates=null", "budget.epochs=4"],
    "data=wine": ["model=mlp"],
    "data=breast_cancer": ["model=mlp"],
}


def options():
    for group in GROUPS:
        for path in sorted((config_dir() / group).glob("*.yaml")):
            if path.stem not in NOT_HERE:
                yield f"callbacks=[checkpoints,{path.stem}]" if group == "callbacks" else f"{group}={path.stem}"


class Trained:
    """id, weights and metrics of a run, which is trained once."""

    def __init__(self, line, folder):
        model = next((item for item in line if item.startswith("model=")), "model=cnn")
        run = Run.parse(resolved(load([*BASE, *SLIM[model], *line, f"paths.outputs={folder}"])))
        store, self.id = Store(folder), run.id
        record = store.read(self.id)
        if record is None:
            record = execute(run, Record(self.id, "running", seed=0, provenance={"hardware": {}}), store)
        assert record.status == "done", record.failure
        path = store.run_dir(self.id) / "checkpoints" / "last.ckpt"
        self.weights = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        self.metrics = {key: value for key, value in record.metrics.items() if "/" in key}

    def same_bits(self, other):
        return (
            list(self.weights) == list(other.weights)
            and all(torch.equal(self.weights[key], other.weights[key]) for key in self.weights)
            and repr(self.metrics) == repr(other.metrics)
        )


def without_effect(options, folder):
    """Those whose pair is trained to the same bits, of those that have another id than the default."""
    found = set()
    for option in options:
        context = NEEDS.get(option, [])
        one, other = Trained(context, folder), Trained([option, *context], folder)
        if one.id != other.id and one.same_bits(other):
            found.add(option)
    return found


PARTS = sorted({each.replace("=", ".").partition(".")[0] for each in [*options(), *KEYS]})
OFTEN = ("trainer", "budget")  # the others in make test-slow


@pytest.mark.parametrize(
    "part", [pytest.param(part, marks=() if part in OFTEN else pytest.mark.slow) for part in PARTS]
)
def test_options_without_effect_are_those_that_were_reviewed(part, tmp_path):
    """part: a group and the section of its name."""
    chosen = [each for each in [*options(), *KEYS] if each.replace("=", ".").partition(".")[0] == part]
    assert without_effect(chosen, tmp_path) == {each for each in chosen if each in SAME}


@pytest.mark.parametrize("option", [option for option, (_, lines) in SAME.items() if lines])
def test_options_without_effect_have_one_elsewhere(option, tmp_path):
    lines = SAME[option][1]
    key = option.partition("=")[0]
    of_both = [line for line in lines if not line.startswith((f"{key}.", "callbacks."))]
    assert not Trained(of_both, tmp_path).same_bits(Trained([option, *lines], tmp_path))


def test_every_reviewed_option_exists():
    assert set(SAME) <= {*options(), *KEYS}


def test_every_key_of_the_default_that_counts_is_trained_with_another_value():
    """Found in the composed configuration, so a new key must be judged here as well."""
    counts = {key.partition("=")[0] for key in KEYS}
    left_out = {
        "budget.epochs": "another unit of budget.updates",
        "budget.samples": "another unit of budget.updates",
        "budget.seconds": "depends on the clock",
        "norm.weight": "the group norm",
        "model.widths": "another network",
        "trainer.compile": "rounding, and minutes",
        "optimizer.fused": "rounding, which depends on shapes",
        "trainer.devices": "processes of their own",
        "trainer.num_nodes": "machines of their own",
        "data.epochs": "no budget is given",
        "data.test": "tests/datasets/test_redraw.py",
        **dict.fromkeys(("init.weights", "freeze", "groups"), "tests/run/test_parts.py"),
        "task.metrics.acc.better": "another best, of the same training",
    }
    config = resolved(load([]))
    keys = set()
    for path in leaves(config):
        if not path[-1].startswith("_") and counted(config, path):
            keys.add(".".join(path))
    assert keys - counts == set(left_out)
    assert counts <= {".".join(path) for path in leaves(config)}


def leaves(node, prefix=()):
    for key, value in node.items():
        if isinstance(value, dict):
            yield from leaves(value, (*prefix, key))
        else:
            yield (*prefix, key)


def counted(config, path):
    new = copy.deepcopy(config)
    node = new
    for key in path[:-1]:
        node = node[key]
    was = node[path[-1]]
    node[path[-1]] = not was if isinstance(was, bool) else f"{was}x" if isinstance(was, str) else 7
    try:
        return run_id(new) != run_id(config)
    except UserError:  # it is read, and refused
        return True
