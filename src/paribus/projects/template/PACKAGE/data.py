"""The LightningDataModule: scikit-learn's 1,797 handwritten digits, images of 8 x 8 pixels."""

import pytorch_lightning as pl
import torch
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset


class Digits(pl.LightningDataModule):
    """Two thirds of the samples are for training, a sixth each for validation and test. batch_size: for training."""

    def __init__(self, batch_size: int = 64):
        super().__init__()
        self.batch_size = batch_size

    def setup(self, stage: str) -> None:
        digits = load_digits()
        images = torch.tensor(digits.images, dtype=torch.float32) / 16
        labels = torch.tensor(digits.target)
        # Every seed has the same split, so that runs differ in what the ablation varies.
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
        train, val, test = order[:1197], order[1197:1497], order[1497:]
        self.parts = {
            name: TensorDataset(images[part], labels[part])
            for name, part in (("train", train), ("val", val), ("test", test))
        }

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.parts["train"], batch_size=self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.parts["val"], batch_size=300)

    def test_dataloader(self) -> DataLoader:
        return DataLoader(self.parts["test"], batch_size=300)
