"""From configuration and ablation files to runs: composition, identity, arms and cells. Never imports torch."""
