"""Plans: configurations and ablation files become runs, with identities, arms and cells. Never imports torch."""
