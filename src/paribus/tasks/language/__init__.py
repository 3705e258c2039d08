"""Language: a token at each place of a sequence."""
