"""Arms that differ: two that share all their runs would be compared with themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Runs = tuple[str, ...]


def same_runs(arms: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """The names of arms whose runs are all the same, in groups. Arms without any run are left out.

    arms: arm -> the ids of its runs. Of a tuned arm, those of its tuning: two winners may be equal by chance.
    """
    groups: dict[Runs, list[str]] = {}
    for name, ids in arms.items():
        if ids:
            groups.setdefault(tuple(sorted(set(ids))), []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def why_refused(groups: Sequence[Sequence[str]]) -> str:
    """What the user reads: the names, why that is no comparison, and what to do."""
    listed = "; ".join(" and ".join(name or "the run" for name in names) for names in groups)
    return (
        f"arms must differ in something that changes the runs, but these share all their runs: {listed}. Labels, "
        "places and observers are no part of it, and options may come to the same. Drop one of them, or exclude it "
        "(ablation.when)"
    )
