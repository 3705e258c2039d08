"""A backward pass without what torch asks in each call before it."""

from __future__ import annotations

import torch
from torch import Tensor

_run = torch.autograd.Variable._execution_engine.run_backward


def backward(loss: Tensor) -> None:
    """loss.backward() of a scalar, bit for bit.

    It looks for subclasses of tensors, for shapes and for somebody who wants a log of the graph, and keeps the context
    for what is compiled: in a small network a tenth of an update. What is compiled needs that.
    """
    _run((loss,), (torch.ones_like(loss),), False, False, (), allow_unreachable=True, accumulate_grad=True)
