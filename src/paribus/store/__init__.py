"""Records of runs on disk. Never imports torch."""
