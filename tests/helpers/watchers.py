"""Callbacks of Lightning as users write them."""

import os

import pytorch_lightning as pl
from pytorch_lightning.callbacks import BaseFinetuning
from pytorch_lightning.utilities.exceptions import MisconfigurationException


class Counter(pl.Callback):
    def __init__(self):
        self.batches = 0

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.batches += 1


class Epochs(pl.Callback):
    def on_train_epoch_end(self, trainer, pl_module):
        pass


class Gradients(pl.Callback):
    def on_after_backward(self, trainer, pl_module):
        pass


class Assigned(pl.Callback):
    """As LambdaCallback: the hook is an attribute of the object."""

    def __init__(self):
        self.on_before_zero_grad = lambda trainer, pl_module, optimizer: None


class Late(Counter):
    def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0):
        raise AssertionError("evaluations have no batches of Lightning")


class Misconfigured(pl.Callback):
    def on_train_start(self, trainer, pl_module):
        raise MisconfigurationException("not like this")


class Thaw(BaseFinetuning):
    def freeze_before_training(self, pl_module):
        pass

    def finetune_function(self, pl_module, epoch, optimizer):
        pass


class Stop(pl.Callback):
    """Ends a run at the beginning of its second epoch, unless it goes on from there."""

    def on_train_epoch_start(self, trainer, pl_module):
        self.here = getattr(self, "here", -1) + 1
        if self.here == 1:
            raise RuntimeError("on purpose")


class Witness(pl.Callback):
    """Writes down which hook was called, and with what."""

    calls: list = []


def _plain(name):
    def hook(self, trainer, pl_module, *rest, **named):
        self.calls.append((name,))

    return hook


for _name in ("setup", "teardown"):
    setattr(Witness, _name, _plain(_name))
for _name in ("fit_start", "fit_end", "train_start", "train_end", "train_epoch_start", "train_epoch_end",
              *(f"{part}{when}" for part in ("validation_", "test_")
                for when in ("start", "epoch_start", "epoch_end", "end"))):  # fmt: skip
    setattr(Witness, f"on_{_name}", _plain(_name))


def _with(name, tell):
    def hook(self, trainer, pl_module, *rest):
        self.calls.append((name, *tell(trainer, pl_module, *rest)))

    setattr(Witness, f"on_{name}", hook)


def _gradients(trainer, pl_module, *rest):
    return [sum(p.grad is not None for p in pl_module.parameters())]


_with("train_batch_start", lambda trainer, pl_module, batch, number: (*(tuple(each.shape) for each in batch), number))
_with(
    "train_batch_end",
    lambda trainer, pl_module, outputs, batch, number: (float(outputs["loss"]), trainer.global_step),
)
_with("before_backward", lambda trainer, pl_module, loss: [float(loss.detach())])
_with("after_backward", _gradients)
_with("before_optimizer_step", _gradients)
_with("before_zero_grad", _gradients)
_with("validation_end", lambda trainer, pl_module: [float(trainer.callback_metrics["val/acc"])])


class Fading(pl.Callback):
    """Counts epochs in an attribute that no state_dict holds, and shrinks the weights by it."""

    def __init__(self):
        self.epochs = 0

    def on_train_epoch_end(self, trainer, pl_module):
        self.epochs += 1
        for p in pl_module.parameters():
            p.data.mul_(1 - 0.01 * self.epochs)


class ThawsFirst(BaseFinetuning):
    def freeze_before_training(self, pl_module):
        self.freeze(pl_module.net[0])

    def finetune_function(self, pl_module, epoch, optimizer):
        if epoch == 1:
            self.unfreeze_and_add_param_group(pl_module.net[0], optimizer, lr=0.01)


class StopInFourth(pl.Callback):
    """Ends a run in its fourth epoch, unless the file is there: the next attempt goes on."""

    def __init__(self, file: str):
        self.file = file

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.current_epoch == 3 and batch_idx == 2 and not os.path.exists(self.file):
            with open(self.file, "w"):
                raise RuntimeError("on purpose")
