"""One training as Lightning sees it: a LightningModule for classification and a LightningDataModule for its data."""
