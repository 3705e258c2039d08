"""Claims that are identities, closed forms or short experiments: measured against what theory says. One file a section."""
