"""Multi-label classification: any number of K labels for each sample."""
