"""What does not go with the kind of the samples is refused before training, with what does."""

from contextlib import nullcontext

import pytest
import torch

from paribus.base.errors import UserError
from paribus.config.compose import load, resolved
from paribus.config.run import Run
from paribus.run import build
from paribus.run.passes import on_meta


def built(*line):
    """The network, after its preflight."""
    run = Run.parse(resolved(load(["data=wine", "batch_size=b16", *line])))
    setting = build.build_setting(run)
    network, _ = on_meta(run, setting, sorted(build.build_data(run, setting).batch_shares()))
    return network


@pytest.mark.parametrize(
    ("line", "named"),
    [
        (["model=cnn"], r"a cnn takes images of shape .*\(13,\)\. Use model=mlp or model=linear"),
        (["model=resnet20"], "a residual network takes images"),
        (["model=vit_tiny", "norm=layer"], "a vision transformer takes images"),
        (["model=mlp", "norm=instance"], r"vectors \(N, C\) have one place"),
        *(
            (["model=mlp", f"augmentation={name}"], r"changes images, and .* has vectors of shape \(13,\)\. Use augm")
            for name in ("crop_flip", "cutout", "cutmix")
        ),
        (["model=mlp", "trainer.channels_last=true"], "is a memory layout of images"),
        (["model=mlp", "task=regression"], "has kind_of_y='class'. Use task=classification"),
        (["model=mlp", "task=multilabel"], "has kind_of_y='class'. Use task=classification"),
        (["model=mlp", "data=diabetes"], "has kind_of_y='number'. Use task=regression"),
        (["model=mlp", "data=diabetes", "task=regression", "data.label_noise=0.1"], "label_noise replaces classes"),
        (
            ["model=mlp", "data=diabetes", "task=regression", "augmentation=cutmix"],
            "changes targets of the kind class or labels, and data.source=diabetes has kind_of_y='number'. Use augm",
        ),
    ],
)
def test_what_does_not_fit_is_refused(line, named):
    with pytest.raises(UserError, match=named):
        built(*line)


@pytest.mark.parametrize(
    "line",
    [
        ["model=linear"],
        ["model=mlp", "augmentation=mixup"],
        ["model=mlp", "norm=group", "norm.activation.groups=4"],
        ["model=mlp", "data=diabetes", "task=regression"],
        ["model=mlp", "data=diabetes", "task=regression", "augmentation=mixup"],
    ],
)
def test_what_fits_goes_through_preflight(line):
    assert next(built(*line).parameters()).device == torch.device("meta")


class OneHot:
    def __call__(self, x, y, *, num_classes, generator):
        return x, torch.nn.functional.one_hot(y, num_classes).float()


class Shorter:
    def __call__(self, x, y, *, num_classes, generator):
        return x[:, 1:], y


@pytest.mark.parametrize(
    ("augmentation", "data", "said"),
    [
        ("OneHot", "diabetes", r"kind_of_y='number', into what the task can learn\. RuntimeError: one_hot"),
        ("Shorter", "diabetes", r"ValueError: samples of the shape \(8, 9\) came out\. Use another one, or augment"),
        ("Shorter", "wine", r"targets of the shape \(8,\), kind_of_y='class'"),
        ("OneHot", "wine", None),
    ],
)
def test_an_augmentation_is_tried_on_a_batch_before_training(augmentation, data, said):
    line = [f"data={data}", "batch_size=b16", "model=mlp", f"augmentation._target_={__name__}.{augmentation}"]
    run = Run.parse(resolved(load([*line, "task=regression"] if data == "diabetes" else line)))
    with pytest.raises(UserError, match=said) if said else nullcontext():
        build.try_augmentation(run, build.build_setting(run))
