"""One run, from a resolved configuration to its record: the LightningModule, its data, checkpoints, evaluation."""
