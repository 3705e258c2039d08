"""Runs that other tools have trained become records, and records become tidy data."""
