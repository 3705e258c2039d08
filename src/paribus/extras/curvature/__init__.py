"""Second derivatives of a loss: spectra, critical points and what kind they are. torch and scipy only."""
