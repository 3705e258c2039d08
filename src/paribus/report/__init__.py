"""Records in, documents out. Never imports torch."""
