"""Sources of tokens: texts, and made ones whose floor is known exactly. A target for each place, IGNORED for none."""
