"""Commands. They parse, call the layer that does the work, and turn a user's mistake into exit code 2."""
