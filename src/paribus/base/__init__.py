"""The ground that everything stands on: no other package of ours is imported here."""
