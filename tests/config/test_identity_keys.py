"""Every key of every option is judged: it is part of the identity, or it is in the list of those that can't matter.

The keys are found in the composed configurations, so a new key fails here until it has been judged.
"""

import copy
import fnmatch

import pytest
import system

from paribus.config import config_dir
from paribus.config.composer import Composer
from paribus.config.identity import run_id

# Patterns of keys that change no weight and no metric, each with the reason.
HARMLESS = {
    "seed": "stands in seeds.*",
    "optimized_metric": "what a sweeper is told",
    "task.metrics.*": "said of what is measured; the direction of the monitored metric counts as its mode",
    "metrics.*": "reported; those that are monitored count, see test_identity",
    "task.monitor": "what evaluation.monitor is by default, which counts",
    "stack": "how runs are grouped; a stack repeats single runs",
    "on_change": "what is done with a record that is there",
    "members": "a file of the sweep",
    "group": "label",
    "arm": "label",
    "tags*": "label",
    "paths.*": "place",
    "logger.*": "writes down",
    "data.resident": "where samples lie",
    "data.workers": "who reads samples",
    "init.parameters": "chooses from the file of weights, and there is none",
    "data.source.root": "place of fixed content (CIFAR, IDX)",
    "trainer.accelerator": "kind of device",
    "trainer.strategy": "how processes exchange gradients; their number counts",
    "trainer.threads": "rounding only",
    "trainer.profiler": "observes",
    "evaluation.batch_size": "matters to batch statistics only",
    "callbacks.checkpoints.*": "observes",
    "callbacks.progress.*": "observes",
    "callbacks.lr_monitor.*": "observes",
    "callbacks.grad_monitor.*": "observes",
    "callbacks.sharpness.*": "observes",
    "callbacks.noise_scale.*": "observes",
    "callbacks.gradient_cosine.*": "observes",
    "callbacks.plateau.*": "observes",
    "callbacks.snapshots.*": "observes",
}
# Patterns of options that go with a deleted extra.
OF_EXTRAS = {
    "curvature": [f"callbacks.{name}.*" for name in ("sharpness", "noise_scale", "gradient_cosine", "plateau")],
    "surfaces": ["callbacks.snapshots.*"],
    "wandb": ["logger.*"],
}
# What the pattern says of other options of the same key.
COUNTS = {
    ("data=image_folder", "data.source.root"),
    ("data=huggingface", "data.source.root"),
    ("seed=0", "task.metrics.acc.better"),
    ("task=language", "task.metrics.loss.better"),
    ("task=classification", "task.metrics.acc.better"),
    ("task=multilabel", "task.metrics.acc.better"),
    ("task=regression", "task.metrics.rmse.better"),
}
# Groups whose options are chosen beside a training, or are made of options of other groups.
BESIDE = {"ablation", "experiment", "hparams_search", "hydra", "local", "debug", "surface", "paths"}
OPTIONS = [
    "seed=0",
    *sorted(
        f"{path.parent.name}={path.stem}"
        for path in config_dir().glob("*/*.yaml")
        if path.parent.name not in BESIDE and f"{path.parent.name}={path.stem}" != "task=lightning"  # needs a module
    ),
]
COMPOSER = Composer()


def leaves(node, prefix=()):
    """(path, value) of everything below a node that is no mapping; a list is one value."""
    for key, value in node.items():
        if isinstance(value, dict):
            yield from leaves(value, (*prefix, key))
        else:
            yield (*prefix, key), value


def other(path, value):
    """Another value for a key, of its own kind where the kind matters to the hash."""
    if path == ("evaluation", "monitor"):
        return "val/loss"
    if path == ("init", "weights"):
        return __file__
    if path == ("budget", "seconds"):
        return 1.5
    if path[-1] == "better":
        return "lower" if value == "higher" else "higher"
    if path == ("freeze",):
        return ["0.weight"]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1 if value + 1 != value else 1.0
    if isinstance(value, list):
        return [*value, 1]
    return 7 if value is None else f"{value}x"


def harmless(option, key):
    if (option, key) in COUNTS:
        return False
    found = [pattern for pattern in HARMLESS if fnmatch.fnmatchcase(key, pattern)]
    return bool(found) and (key.startswith(("metrics.", "logger.")) or not key.endswith("._target_"))


def changed(config, path, value):
    new = copy.deepcopy(config)
    node = new
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return new


@pytest.mark.parametrize("option", OPTIONS)
def test_each_key_of_an_option_counts_or_is_known_to_be_harmless(option):
    config = COMPOSER([option]).resolved
    group = option.partition("=")[0]
    before = run_id(config)
    for path, value in leaves(config):
        key = ".".join(path)
        if option != "seed=0" and path[0] not in (group, "data"):
            continue  # judged with the defaults
        new = changed(config, path, other(path, value))
        assert (run_id(new) == before) == harmless(option, key), f"{key}={other(path, value)!r}"


def test_every_pattern_is_needed():
    """A pattern for a key that is gone would judge a new one of its name unseen."""
    found = {".".join(path) for option in OPTIONS for path, _ in leaves(COMPOSER([option]).resolved)}
    extras = {pattern for name, patterns in OF_EXTRAS.items() if not system.NEEDS[name].here() for pattern in patterns}
    assert not [pattern for pattern in HARMLESS if pattern not in extras and not fnmatch.filter(found, pattern)]


def test_a_recommended_length_counts_only_where_no_budget_is_given(compose):
    assert run_id(compose("data.epochs=21")) != run_id(compose())
    assert run_id(compose("data.epochs=21", "budget.epochs=3")) == run_id(compose("budget.epochs=3"))


def test_the_batch_of_the_evaluation_counts_with_statistics_of_the_batch(compose):
    line = "evaluation.statistics=batch"
    assert run_id(compose(line, "evaluation.batch_size=7")) != run_id(compose(line))
