"""Classification: one of K classes for each sample."""
