"""The check of a user's option files: each is composed, built, trained, stopped and resumed, on a few samples."""
