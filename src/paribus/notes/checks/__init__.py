"""Claims that are identities, closed forms or short experiments, measured against theory. One file a section."""
