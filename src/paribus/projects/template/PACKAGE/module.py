"""The LightningModule: a network with one hidden layer that classifies small images."""

import pytorch_lightning as pl
import torch
from torch import Tensor, nn


class Classifier(pl.LightningModule):
    """width: hidden units. lr: learning rate of SGD with momentum 0.9. dropout: share of units left out."""

    def __init__(self, width: int = 64, lr: float = 0.05, dropout: float = 0.0):
        super().__init__()
        self.save_hyperparameters()
        self.lr = lr
        self.network = nn.Sequential(
            nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, 10)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 8, 8) -> scores of the ten classes (B, 10)."""
        return self.network(images)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        return self._measured(batch, "train")

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._measured(batch, "val")

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._measured(batch, "test")

    def _measured(self, batch: tuple[Tensor, Tensor], part: str) -> Tensor:
        """The loss of a batch. What is logged here can be a metric of the table: conf/task declares it."""
        images, labels = batch
        scores = self(images)
        loss = nn.functional.cross_entropy(scores, labels)
        self.log(f"{part}/loss", loss, on_step=False, on_epoch=True)
        self.log(f"{part}/acc", (scores.argmax(1) == labels).float().mean(), on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.lr, momentum=0.9)
