"""Rooms that can be deleted one by one: the rest works without them."""
