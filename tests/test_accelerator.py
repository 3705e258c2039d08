"""Runs on a device that is not there: tensors of two devices never meet, and nothing in an update waits for it."""

import accelerator_runs
import pytest
from accelerator import NAME
from torch.utils import backend_registration

from paribus.sweep.fork import ForkServer

pytestmark = pytest.mark.skipif(
    not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this torch takes no device that is written in Python",
)
RUNS = {
    "averaged": ["model=mlp", "norm=batch", "callbacks=[checkpoints,ema]", "augmentation=mixup", "clip.norm=1"],
    "accumulated": ["model=cnn", "norm=group", "optimizer=adamw", "trainer.accumulate=2", "scheduler=cosine"],
    "recomputed": ["norm=batch_renorm", "optimizer=schedulefree_sgd"],
    "observed": ["norm=layer", "callbacks=[checkpoints,sharpness]"],
    "statistics of the batch": ["norm=batch", "evaluation.statistics=recomputed", "loss=label_smoothing"],
    "cut": ["model=cnn", "norm=instance", "augmentation=cutmix", "trainer.channels_last=true"],
    "erased": ["model=cnn", "norm=rms", "augmentation=cutout", "optimizer=rmsprop"],
    "moved": ["model=cnn", "norm=weight", "augmentation=crop_flip", "optimizer=lion"],
    "decomposed": ["norm=spectral", "optimizer=muon"],
    "a transformer": [
        "model=vit_tiny",
        "model.depth=1",
        "model.width=24",
        "norm=layer",
        "optimizer=adamw",
        "clip.value=0.1",
    ],
    "tokens": [
        *(
            "task=language",
            "data=markov",
            "model=gpt",
            "model.depth=1",
            "model.width=16",
            "norm=layer",
            "budget.epochs=null",
        ),
        *("budget.updates=3", "data.source.num_train=300", "data.source.num_test=50", "data.validation=50"),
    ],
}
FAST = ("averaged", "equal")
STACKS = {
    "equal": [["norm=batch", f"seed={seed}"] for seed in range(2)],
    "unlike": [["norm=layer", "optimizer=adamw", "clip.norm=1", f"optimizer.lr={rate}"] for rate in (0.001, 0.01)],
    "mixed": [["norm=batch", "augmentation=mixup", f"optimizer={name}"] for name in ("sgd", "momentum", "adam")],
}


@pytest.fixture(scope="module")
def server():
    server = ForkServer.start()
    yield server
    server.close()


def agree(expected, found):
    """Sums have other orders on a device: its kernels take lists of tensors."""
    assert found.keys() == expected.keys()
    for key in ("train/loss", "val/loss", "grad_norm"):
        if key in expected:
            assert found[key] == pytest.approx(expected[key], rel=1e-2), key


def during(waits, doing):
    return {(what, where): number for (done, what, where), number in waits.items() if done == doing}


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in RUNS])
def test_an_update_waits_for_nothing_and_meets_no_tensor_of_another_device(server, tmp_path, name):
    expected, found, waits = server.call(accelerator_runs.both, RUNS[name], str(tmp_path))
    agree(expected, found)
    assert during(waits, "update") == {}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "equal" else pytest.mark.slow) for name in STACKS]
)
def test_an_update_of_a_stack_waits_for_nothing(server, tmp_path, name):
    expected, found, waits, sizes = server.call(accelerator_runs.both_stacked, STACKS[name], str(tmp_path))
    for one, other in zip(expected, found, strict=True):
        agree(one, other)
    assert during(waits, "update") == {}
    assert sizes == [len(STACKS[name])] * len(sizes)


@pytest.mark.slow
@pytest.mark.parametrize("line", [["norm=batch", "callbacks=[checkpoints,ema]"], ["norm=layer", "optimizer=adamw"]])
def test_a_run_goes_on_on_the_device(server, tmp_path, line):
    expected, found, waits = server.call(accelerator_runs.interrupted, line, str(tmp_path))
    agree(expected, found)
    assert during(waits, "update") == {}


@pytest.mark.slow
def test_an_evaluation_waits_as_often_for_many_batches_as_for_one(server, tmp_path):
    waits = []
    for size in (1000, 10):
        line = ["norm=batch", f"evaluation.batch_size={size}"]
        waits.append(server.call(accelerator_runs.both, line, str(tmp_path / str(size)))[2])
    few, many = (during(each, "evaluate") for each in waits)
    assert few
    assert many == few


def test_the_device_knows_what_a_device_knows(server):
    assert server.call(accelerator_runs.planted) == {
        **dict.fromkeys(("a sum", "with a number of the CPU", "to the device, and the program goes on"), 0),
        **dict.fromkeys(("float", "if", "a list", "a mask", "indices of the CPU", "nonzero", "to the CPU"), 1),
        **dict.fromkeys(("to the device", "a new tensor", "a tensor", "copied"), 1),
        "of two devices": "RuntimeError",
        "an array": "TypeError",
    }


def test_gradients_are_those_of_the_cpu(server):
    assert server.call(accelerator_runs.gradients) == (True, f"{NAME}:0")
