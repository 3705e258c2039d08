"""What the reading commands do."""
