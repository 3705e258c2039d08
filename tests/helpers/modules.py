"""LightningModules and data modules as people write them."""

from __future__ import annotations

import os
import random
import signal

import numpy as np
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset
from torchmetrics import MaxMetric


def samples(number: int, features: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(number, features, generator=generator)
    return x, (x[:, :1] * x[:, 1:2]).sin()


class Data(pl.LightningDataModule):
    """96 samples for training, 32 for validation and 32 for the test."""

    def __init__(self, batch_size: int = 16):
        super().__init__()
        self.batch_size = batch_size

    def setup(self, stage):
        x, y = samples(160)
        self.parts = [TensorDataset(x[a:b], y[a:b]) for a, b in ((0, 96), (96, 128), (128, 160))]

    def train_dataloader(self):
        return DataLoader(self.parts[0], self.batch_size, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.parts[1], self.batch_size)

    def test_dataloader(self):
        return DataLoader(self.parts[2], self.batch_size)


class Regressor(pl.LightningModule):
    """The usual module: a network, a loss, what it logs, and an optimizer of its own."""

    def __init__(self, width: int = 8, lr: float = 0.05, dropout: float = 0.1):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(
            nn.Linear(4, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, 1)
        )

    def step(self, batch):
        return nn.functional.mse_loss(self.net(batch[0]), batch[1])

    def training_step(self, batch, batch_idx):
        loss = self.step(batch)
        self.log("train/mse", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val/mse", self.step(batch))

    def test_step(self, batch, batch_idx):
        self.log("test/mse", self.step(batch))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)


class WithFactories(Regressor):
    """As lightning-hydra-template has it: the network, optimizer and schedule come from outside."""

    def __init__(self, net: nn.Module, optimizer, scheduler=None):
        super(Regressor, self).__init__()
        self.save_hyperparameters(logger=False)
        self.net = net

    def configure_optimizers(self):
        optimizer = self.hparams.optimizer(params=self.trainer.model.parameters())
        if self.hparams.scheduler is None:
            return {"optimizer": optimizer}
        schedule = {"scheduler": self.hparams.scheduler(optimizer=optimizer), "monitor": "val/mse", "interval": "epoch"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}


def network(width: int = 8) -> nn.Module:
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 1))


class Unused(WithFactories):
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Autoencoder(pl.LightningModule):
    """Without a test, and with its loaders in the module."""

    def __init__(self, code: int = 2):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, code))
        self.decoder = nn.Sequential(nn.Linear(code, 8), nn.ReLU(), nn.Linear(8, 4))

    def training_step(self, batch, batch_idx):
        loss = nn.functional.mse_loss(self.decoder(self.encoder(batch[0])), batch[0])
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", nn.functional.mse_loss(self.decoder(self.encoder(batch[0])), batch[0]))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-2)

    def train_dataloader(self):
        return DataLoader(TensorDataset(samples(64)[0]), 16, shuffle=True)

    def val_dataloader(self):
        return DataLoader(TensorDataset(samples(96)[0][64:]), 16)


class GAN(pl.LightningModule):
    """Two networks, two optimizers, manual optimization."""

    def __init__(self, latent: int = 4, lr: float = 1e-3):
        super().__init__()
        self.automatic_optimization = False
        self.latent, self.lr = latent, lr
        self.generator = nn.Sequential(nn.Linear(latent, 16), nn.ReLU(), nn.Linear(16, 4))
        self.critic = nn.Sequential(nn.Linear(4, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))

    def training_step(self, batch, batch_idx):
        real, loss = batch[0], nn.functional.binary_cross_entropy_with_logits
        of_generator, of_critic = self.optimizers()
        fake = self.generator(torch.randn(len(real), self.latent))
        fooled = loss(self.critic(fake), torch.ones(len(real), 1))
        of_generator.zero_grad()
        self.manual_backward(fooled)
        of_generator.step()
        told = self.critic(torch.cat([real, fake.detach()]))
        found = loss(told, torch.cat([torch.ones(len(real), 1), torch.zeros(len(real), 1)]))
        of_critic.zero_grad()
        self.manual_backward(found)
        of_critic.step()
        self.log_dict({"train/generator": fooled, "train/critic": found}, on_step=False, on_epoch=True)
        self.logger.experiment.add_image("fake", fake, 0)

    def validation_step(self, batch, batch_idx):
        fake = self.generator(torch.randn(len(batch[0]), self.latent))
        self.log("val/gap", (fake.mean(0) - batch[0].mean(0)).norm())

    def configure_optimizers(self):
        return [
            torch.optim.Adam(self.generator.parameters(), self.lr),
            torch.optim.Adam(self.critic.parameters(), self.lr),
        ]


class Augmented(Dataset):
    """Noise from every generator that there is: Python's, numpy's, torch's, and one of its own."""

    def __init__(self, number: int, own: bool):
        self.x, self.y = samples(number)
        self.rng = np.random.default_rng(3)
        self.own = own
        self.seen = 0

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        self.seen += 1
        noise = np.random.randn(4)  # noqa: NPY002
        noise = noise + random.gauss(0, 1) + torch.randn(4).numpy()
        if self.own:
            noise = noise + self.rng.normal(size=4) + 1e-3 * self.seen
        return self.x[index] + 0.1 * torch.as_tensor(noise, dtype=torch.float32), self.y[index]


class AugmentedData(pl.LightningDataModule):
    def __init__(self, workers: int = 2, generator: bool = False):
        super().__init__()
        self.workers = workers
        self.generator = torch.Generator().manual_seed(5) if generator else None

    def setup(self, stage):
        self.train, self.val = Augmented(96, own=self.workers == 0), Augmented(32, own=False)

    def train_dataloader(self):
        return DataLoader(self.train, 16, shuffle=True, num_workers=self.workers, generator=self.generator)

    def val_dataloader(self):
        return DataLoader(self.val, 16)

    def test_dataloader(self):
        return DataLoader(self.val, 16)


class Stateful(Regressor):
    """State in all the places where a state_dict does not look, and hooks that begin anew."""

    def __init__(self, scheduler: str = "plateau", manual: bool = False):
        super().__init__(dropout=0.3)
        self.scheduler = scheduler
        self.automatic_optimization = not manual
        self.best = MaxMetric()
        self.counter = 0
        self.register_buffer("scratch", torch.zeros(1), persistent=False)
        self.noise = np.random.default_rng(1)

    def on_train_start(self):
        self.best.reset()
        self.counter = 0

    def on_train_epoch_start(self):
        self.extra = 0.01 * float(np.random.randn())  # noqa: NPY002

    def training_step(self, batch, batch_idx):
        self.counter += 1
        self.scratch += 1
        loss = self.step((batch[0] + 0.01 * float(self.noise.normal()), batch[1]))
        loss = loss * (1 + 0.001 * self.counter + self.extra + 0.001 * float(self.scratch))
        self.log("train/mse", loss, on_step=False, on_epoch=True)
        if self.automatic_optimization:
            return loss
        self.manual_backward(loss)
        if batch_idx % 4 == 3:
            for optimizer in self.optimizers():
                optimizer.step()
                optimizer.zero_grad()
        return None

    def on_validation_epoch_end(self):
        self.best(-self.trainer.callback_metrics["val/mse"])
        self.log("val/best", self.best.compute())

    def configure_optimizers(self):
        if not self.automatic_optimization:
            first, last = self.net[0].parameters(), self.net[4].parameters()
            return [torch.optim.SGD(first, 0.05, momentum=0.9), torch.optim.Adam(last, 0.01)]
        optimizer = torch.optim.Adam(self.parameters(), 0.02)
        if self.scheduler == "plateau":
            schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "monitor": "val/mse"}}
        total = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.02, total_steps=total)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Killer(pl.Callback):
    """Kills its process at a batch, once: the second time the file is there."""

    def __init__(self, at: int, file: str, hook: str = "on_train_batch_end"):
        self.at, self.file = at, file
        setattr(self, hook, self.kill)

    def kill(self, trainer, *args):
        if trainer.fit_loop.total_batch_idx + 1 >= self.at and not os.path.exists(self.file):
            with open(self.file, "w"):
                os.kill(os.getpid(), signal.SIGKILL)


class Silent(Regressor):
    def log(self, *args, **kwargs):
        pass


class Nan(Regressor):
    def step(self, batch):
        return super().step(batch) * (float("nan") if self.trainer.global_step > 3 else 1.0)


class Pickled(Regressor):
    def on_save_checkpoint(self, checkpoint):
        checkpoint["network"] = {"of mine": self.net}


class Broken(Regressor):
    def validation_step(self, batch, batch_idx):
        self.log("val/mse", nn.functional.mse_loss(self.net(batch[0])[:, 0], batch[2]))


class Late(Regressor):
    """Logs a metric in its second epoch for the first time."""

    def on_train_epoch_end(self):
        if self.current_epoch == 1:
            self.log("val/late", 1.0)


class Endless(IterableDataset):
    def __iter__(self):
        x, y = samples(64)
        while True:
            yield from zip(x, y, strict=True)


class EndlessData(Data):
    def train_dataloader(self):
        return DataLoader(Endless(), self.batch_size)


class Crash(Regressor):
    def training_step(self, batch, batch_idx):
        os._exit(7)


class Worse(Regressor):
    """Whose validation is worse from epoch to epoch."""

    def validation_step(self, batch, batch_idx):
        self.log("val/mse", self.step(batch) + self.current_epoch)


class TwoLoaders(Data):
    """Batches of two training loaders, and two validations."""

    def train_dataloader(self):
        return {name: DataLoader(self.parts[k], 16, shuffle=True, num_workers=k) for k, name in enumerate("ab")}

    def val_dataloader(self):
        return [super().val_dataloader(), super().test_dataloader()]


class OfTwoLoaders(Regressor):
    def training_step(self, batch, batch_idx):
        return super().training_step(batch["a"], batch_idx)

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        self.log("val/mse", self.step(batch))


class KnowsItsLength(Regressor):
    """As schedules do that are made for the whole training."""

    def configure_optimizers(self):
        assert self.trainer.estimated_stepping_batches == 12
        optimizer = super().configure_optimizers()
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": "val/mse"}}


class WrongMonitor(Regressor):
    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": "val/other"}}


class Thawing(Regressor):
    """Trains its first layer from the third epoch on."""

    def __init__(self):
        super().__init__()
        self.net[0].requires_grad_(False)

    def on_train_epoch_start(self):
        if self.current_epoch == 2:
            self.net[0].requires_grad_(True)


class OnSteps(Regressor):
    """Logs its evaluations for each batch and for the whole, as Lightning's example of an autoencoder does."""

    def validation_step(self, batch, batch_idx):
        self.log("val_mse", self.step(batch), on_step=True)

    def test_step(self, batch, batch_idx):
        self.log("test_mse", self.step(batch), on_step=True)


class Rows(pl.loggers.CSVLogger):
    """A logger of the user's."""


class Holes(Data):
    """With numbers that are missing."""

    def setup(self, stage):
        super().setup(stage)
        self.parts[0].tensors[0][5:] = float("nan")


class Empty(Data):
    """Without batches in one of the parts."""

    def __init__(self, part: str):
        super().__init__()
        setattr(self, f"{part}_dataloader", lambda: DataLoader(TensorDataset(*samples(8)), 16, drop_last=True))


class EndlessValidation(Data):
    def val_dataloader(self):
        return DataLoader(Endless(), self.batch_size)


class Skips(Regressor):
    def training_step(self, batch, batch_idx):
        super().training_step(batch, batch_idx)


class WithoutOptimizer(Regressor):
    def configure_optimizers(self):
        return None


class WrongTargets(Regressor):
    """Classes where the data have numbers."""

    def step(self, batch):
        return nn.functional.cross_entropy(self.net(batch[0]).repeat(1, 3), batch[1][:, 0])
