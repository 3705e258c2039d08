"""The study of the lecture notes: its checks, its scoreboard by section, its results pages. Only commands import it."""
