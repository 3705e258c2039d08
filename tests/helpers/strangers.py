"""Networks, losses, augmentations and optimizers as strangers write them: some can be stacked, most can't."""

import functools
import itertools
import math
import random

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from paribus.models.dense import MLP
from paribus.techniques.losses import CrossEntropy

HIDDEN = 12
MASK = None
CALLS = 0


def half():
    return (torch.rand(HIDDEN) < 0.5).float()


class Plain(nn.Module):
    def __init__(self, shape, num_outputs, norm=None):
        super().__init__()
        self.a = nn.Linear(math.prod(shape), HIDDEN)
        self.b = nn.Linear(HIDDEN, num_outputs)
        self.prepare()

    def prepare(self):
        pass

    def forward(self, x):
        return self.b(self.between(F.relu(self.a(x.flatten(1)))))

    def between(self, h):
        return h


class Mask(Plain):
    def prepare(self):
        self.mask = half()

    def between(self, h):
        return h * self.mask


class MaskInList(Plain):
    def prepare(self):
        self.masks = {"first": [half()]}

    def between(self, h):
        return h * self.masks["first"][0]


class MaskInClosure(Plain):
    def prepare(self):
        mask = half()
        self.f = lambda h: h * mask

    def between(self, h):
        return self.f(h)


class MaskInPartial(Plain):
    def prepare(self):
        self.f = functools.partial(torch.mul, half())

    def between(self, h):
        return self.f(h)


class MaskInGlobal(Plain):
    def prepare(self):
        global MASK
        MASK = half()

    def between(self, h):
        return h * MASK.to(h.dtype)


class MaskInBuffer(Plain):
    def prepare(self):
        self.register_buffer("mask", half())

    def between(self, h):
        return h * self.mask


class MaskOnOurs(MLP):
    def __init__(self, shape, num_outputs, norm=None):
        super().__init__(shape, num_outputs, norm, width=8)
        self.mask = torch.rand(num_outputs)

    def forward(self, x):
        return super().forward(x) * self.mask


class NumberOfASeed(Plain):
    def prepare(self):
        self.scale = float(torch.rand(()))

    def between(self, h):
        return h * self.scale


class Recurrent(nn.Module):
    def __init__(self, shape, num_outputs, norm=None, kind="LSTM"):
        super().__init__()
        self.layer = getattr(nn, kind)(shape[-1], HIDDEN, batch_first=True)
        self.b = nn.Linear(HIDDEN, num_outputs)

    def forward(self, x):
        return self.b(self.layer(x.squeeze(1))[0][:, -1])


class Attention(nn.Module):
    def __init__(self, shape, num_outputs, norm=None):
        super().__init__()
        self.layer = nn.MultiheadAttention(shape[-1], 2, batch_first=True)
        self.b = nn.Linear(shape[-1], num_outputs)

    def forward(self, x):
        x = x.squeeze(1)
        return self.b(self.layer(x, x, x)[0].mean(1))


class LooksAtValues(Plain):
    def between(self, h):
        return h * 2 if h.mean().item() > 1e9 else h


class LooksAtValuesLater(Plain):
    def between(self, h):
        return h * 2 if not self.training and h.mean().item() > 1e9 else h


class Counts(Plain):
    calls = 0

    def between(self, h):
        self.calls += 1
        return h * 2 if self.calls > 4 else h


class CountsInClass(Plain):
    calls = 0

    def between(self, h):
        CountsInClass.calls += 1
        return h


class CountsInGlobal(Plain):
    def between(self, h):
        global CALLS
        CALLS += 1
        return h


class CountsByIterator(Plain):
    def prepare(self):
        self.calls = itertools.count()

    def between(self, h):
        return h * 2 if next(self.calls) > 4 else h


class Draws(Plain):
    def between(self, h):
        return h * (torch.rand_like(h) < 0.8) if self.training else h


class DrawsRarely(Plain):
    def between(self, h):
        return torch.where(torch.rand(()) < 1e-9, 0 * h, h)


class DrawsFromPython(Plain):
    def between(self, h):
        return h if random.random() < 1 - 1e-9 else 0 * h


class Dropout(Plain):
    def prepare(self):
        self.drop = nn.Dropout(0.3)

    def between(self, h):
        return F.dropout(self.drop(h), 0.2, self.training)


class AlphaDropout(Plain):
    def between(self, h):
        return F.alpha_dropout(h, 0.3, self.training)


class ReplacesBuffer(Plain):
    def prepare(self):
        self.register_buffer("mean", torch.zeros(HIDDEN))

    def between(self, h):
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * h.detach().mean(0)
        return h - self.mean


class ChangesBuffer(ReplacesBuffer):
    def between(self, h):
        if self.training:
            self.mean.mul_(0.9).add_(0.1 * h.detach().mean(0))
        return h - self.mean


class Tied(Plain):
    def prepare(self):
        self.c, self.d = nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, HIDDEN)
        self.d.weight = self.c.weight

    def between(self, h):
        return self.d(F.relu(self.c(h)))


class Hook(Plain):
    def prepare(self):
        mask = half()
        self.a.register_forward_hook(lambda module, inputs, outputs: outputs * mask)


class GradientHook(Plain):
    def prepare(self):
        self.a.weight.register_hook(lambda grad: grad * 0.5)


class Lazy(Plain):
    def prepare(self):
        self.a = nn.LazyLinear(HIDDEN)


class OldFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, grad):
        return grad * (ctx.saved_tensors[0] > 0)


class OwnFunction(Plain):
    def between(self, h):
        return OldFunction.apply(h)


class Checkpointed(Plain):
    def between(self, h):
        return checkpoint(torch.tanh, h, use_reentrant=False)


class TorchBatchNorm(Plain):
    def prepare(self):
        self.norm = nn.BatchNorm1d(HIDDEN)

    def between(self, h):
        return self.norm(h)


class InSinglePrecision(Plain):
    def between(self, h):
        return F.softmax(h.float(), 1).to(h.dtype)


class SinglePrecisionOnly(Plain):
    def between(self, h):
        return h + (h.float() @ torch.eye(HIDDEN, dtype=torch.float32) * 0).to(torch.float32).to(h) + self.need(h)

    def need(self, h):
        assert h.dtype == torch.float32
        return 0 * h


def sequential(shape, num_outputs, norm=None):
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, num_outputs))


def patched(shape, num_outputs, norm=None):
    network = sequential(shape, num_outputs)
    layer, mask = network[1], half()
    layer.forward = lambda x: F.linear(x, layer.weight, layer.bias) * mask
    return network


class SameLoss(CrossEntropy):
    pass


class LossWithBuffer(CrossEntropy):
    def __init__(self, num_classes):
        super().__init__(num_classes)
        self.register_buffer("scale", torch.tensor(0.5))

    def per_sample(self, outputs, target):
        return super().per_sample(outputs * self.scale, target)

    def forward(self, outputs, target):
        return self.per_sample(outputs, target).mean()


class LossOfABatch(CrossEntropy):
    def forward(self, outputs, target):
        losses = self.per_sample(outputs, target)
        return (losses * (losses > losses.median())).mean()


class LossWithState(CrossEntropy):
    def __init__(self, num_classes):
        super().__init__(num_classes)
        self.register_buffer("calls", torch.zeros(()))

    def per_sample(self, outputs, target):
        self.calls += 1
        return super().per_sample(outputs, target)


class Noise:
    def __call__(self, x, y, *, num_classes, generator):
        return x + 0.1 * torch.randn(x.shape, generator=generator).to(x.dtype), y


class NoiseOfAll:
    def __call__(self, x, y, *, num_classes, generator):
        return x + 0.1 * torch.randn_like(x), y


class CountedNoise:
    calls = 0

    def __call__(self, x, y, *, num_classes, generator):
        self.calls += 1
        return x * (self.calls < 4), y


class NewMemory(torch.optim.Optimizer):
    """Gives parameters new memory in every fifth step only, which no rehearsal of three updates sees."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})
        self.steps = 0

    @torch.no_grad()
    def step(self, closure=None):
        self.steps += 1
        for group in self.param_groups:
            for p in group["params"]:
                if self.steps % 5:
                    p.sub_(group["lr"] * p.grad)
                else:
                    p.data = p.data - 2 * group["lr"] * p.grad
