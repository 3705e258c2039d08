"""The module learns, and the data module splits its samples without overlap."""

import torch
from torch import nn

from PACKAGE.data import Digits
from PACKAGE.module import Classifier


def test_the_module_learns_a_batch() -> None:
    torch.manual_seed(0)
    data, module = Digits(batch_size=32), Classifier(width=32)
    data.setup("fit")
    images, labels = next(iter(data.train_dataloader()))
    optimizer = module.configure_optimizers()
    losses = []
    for _ in range(50):
        loss = nn.functional.cross_entropy(module(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def test_the_parts_are_all_samples() -> None:
    data = Digits()
    data.setup("fit")
    assert [len(part) for part in data.parts.values()] == [1197, 300, 300]
