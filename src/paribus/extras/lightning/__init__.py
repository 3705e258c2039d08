"""task=lightning: any LightningModule, trained by Lightning's own Trainer."""
