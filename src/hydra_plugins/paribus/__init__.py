"""The plugins of Paribus for Hydra: sweepers, launchers, and where configurations are found."""
