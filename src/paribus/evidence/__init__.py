"""Records in, numbers out: arms, aggregates, verdicts on claims. Never imports torch."""
