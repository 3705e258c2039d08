"""A quicker `self.log` logs the same bits as Lightning's own."""

import copy
import pickle
from contextlib import nullcontext

import pytest
import pytorch_lightning as pl
import torch
import torchmetrics
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from paribus.base.lightning_internals import QuickLog, quick_logging


class Logs(pl.LightningModule):
    """Logs in every way that the documentation shows, in every hook that allows it."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 2)
        self.accuracy = torchmetrics.MeanMetric()
        self.histories = []

    def log_all(self, loss, n, batch_idx):
        self.log("default", loss)
        self.log("epoch", loss, on_step=False, on_epoch=True)
        self.log("both", loss, on_step=True, on_epoch=True, prog_bar=True)
        self.log("positional", loss, False, True, False, True)
        self.log("most", loss, on_step=False, on_epoch=True, reduce_fx="max")
        self.log("sum", loss, on_step=False, on_epoch=True, reduce_fx=torch.sum)
        self.log("sized", loss, on_step=False, on_epoch=True, batch_size=n)
        self.log("number", 0.1 * batch_idx + 1 / 3, on_step=False, on_epoch=True)
        self.log("whole", batch_idx, on_step=False, on_epoch=True)
        self.log("double", loss.double() / 3, on_step=False, on_epoch=True)
        self.log("shaped", loss.detach()[None], on_step=False, on_epoch=True)
        self.log("sometimes", loss if batch_idx % 2 else float(loss), on_step=False, on_epoch=True)
        self.accuracy(loss.detach())
        self.log("metric", self.accuracy, on_step=False, on_epoch=True)
        self.log_dict({"of_dict": loss, "other": loss * 2}, on_step=False, on_epoch=True)

    def training_step(self, batch, batch_idx):
        loss = self.net(batch[0]).square().mean()
        self.log_all(loss, len(batch[0]), batch_idx)
        if batch_idx == 2:  # only now and then
            self.log("rare", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.log("after", outputs["loss"], on_step=False, on_epoch=True)

    def on_train_epoch_end(self):
        self.log("end", torch.tensor(float(self.current_epoch)))

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        self.log("val", self.net(batch[0]).mean(), on_epoch=True)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


class Seen(pl.Callback):
    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, module, *_):
        self.seen.append({key: value.clone() for key, value in trainer.callback_metrics.items()})

    on_train_epoch_end = on_validation_end = on_train_batch_end


def loader(n=10):
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(1))
    return DataLoader(TensorDataset(x), 3)


@pytest.mark.filterwarnings("ignore")
def trained(quick, tmp_path, validations=1):
    torch.manual_seed(0)
    module, seen = Logs(), Seen()
    trainer = pl.Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, callbacks=[seen], default_root_dir=str(tmp_path),
    )  # fmt: skip
    with quick_logging(module, pl.LightningModule) if quick else nullcontext():
        trainer.fit(module, loader(), [loader(5 + k) for k in range(validations)])
        known = dict(module.log.known) if quick else {}
    assert "log" not in vars(module)
    return seen.seen, {name for _, name, _ in known}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("validations", [1, 2])
def test_all_that_callbacks_see_has_the_same_bits(tmp_path, validations):
    found, quickly = trained(True, tmp_path, validations)
    wanted, _ = trained(False, tmp_path, validations)
    assert len(found) == len(wanted) == 18
    for one, other in zip(found, wanted, strict=True):
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert torch.equal(value, other[key]), key
            assert value.dtype == other[key].dtype, key
    assert {"default", "epoch", "both", "most", "sum", "sized", "number", "of_dict", "after"} <= quickly
    assert not {"positional", "metric"} & quickly
    assert ("val" in quickly) == (validations == 1)


@pytest.mark.filterwarnings("ignore")
def test_a_name_that_is_logged_twice_in_different_ways_is_refused_as_before(tmp_path):
    class Twice(Logs):
        def log_all(self, loss, n, batch_idx):
            self.log("x", loss, on_step=False, on_epoch=True)
            if batch_idx == 1:
                self.log("x", loss, on_step=True, on_epoch=False)

    module = Twice()
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
                         enable_progress_bar=False, default_root_dir=str(tmp_path))  # fmt: skip
    with quick_logging(module, pl.LightningModule), pytest.raises(Exception, match="twice"):
        trainer.fit(module, loader(), loader())


def test_copies_of_a_module_have_lightnings_own_and_a_log_of_ones_own_is_kept():
    class Own(Logs):
        def log(self, *_, **__):
            pass

    module, own = Logs(), Own()
    with quick_logging(module, pl.LightningModule), quick_logging(own, pl.LightningModule):
        for copied in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
            assert copied.log.__self__ is copied
            assert copied.log.__func__ is pl.LightningModule.log
        assert isinstance(module.log, QuickLog)
        assert "log" not in vars(own)
