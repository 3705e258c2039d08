"""Stored searches as plain data and as text: trials, the best of them, importances."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from paribus.base.errors import UserError
from paribus.base.redaction import redacted_text
from paribus.extras.search.study import FAILURE, RUNS, SETTINGS, importances, quiet

STORAGE = "searches.db"  # in the outputs folder


def default_storage(outputs: Path) -> str:
    """The URL of the storage of an outputs folder."""
    return f"sqlite:///{(outputs / STORAGE).resolve()}"


def listed(storage: str) -> list[dict[str, Any]]:
    """The searches of a storage: study, trials by state, and both in words."""
    found = []
    for name in _names(storage):
        counts = Counter(_state(trial) for trial in _load(storage, name).get_trials(deepcopy=False))
        said = ", ".join(f"{number} {state}" for state, number in counts.items())
        found.append({"study": name, "trials": dict(counts), "text": f"{counts.total()} trials ({said})"})
    return found


def stored(storage: str, name: str) -> dict[str, Any]:
    """One search: objectives, trials, `best` (numbers of the trials that no other beats), importances.

    Raises UserError where the storage has no such study, or it is not of Paribus.
    """
    names = _names(storage)
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"It has: {', '.join(names) or 'none'}"
        raise UserError(f"{redacted_text(storage)} has no study {name!r}. {hint}")
    study = _load(storage, name)
    if SETTINGS not in study.user_attrs:
        raise UserError(f"the study {name} is not of Paribus. Look at it with optuna-dashboard")
    objectives = [each.partition(" ")[0] for each in study.user_attrs[SETTINGS]["objectives"]]
    trials = study.get_trials(deepcopy=False)
    complete = any(trial.state == TrialState.COMPLETE for trial in trials)
    return {
        "study": name,
        "storage": redacted_text(storage),
        "objectives": dict(zip(objectives, (each.name.lower() for each in study.directions), strict=True)),
        "trials": [_trial(trial, objectives) for trial in trials],
        "best": [trial.number for trial in study.best_trials] if complete else [],
        "importances": importances(study, objectives),
    }


def text(content: Mapping[str, Any]) -> str:
    """A search for people: a line for each trial, with * for the best, and what explains the results."""
    lines = [f"{content['study']} in {content['storage']}"]
    keys = list(dict.fromkeys(key for trial in content["trials"] for key in trial["values"]))
    rows = [["trial", "state", *content["objectives"], *keys, "runs"]]
    for trial in content["trials"]:
        star = "*" if trial["number"] in content["best"] else ""
        results = [_short(trial["results"].get(objective)) for objective in content["objectives"]]
        values = [_short(trial["values"].get(key)) for key in keys]
        rows.append([f"{trial['number'] + 1}{star}", trial["state"], *results, *values, " ".join(trial["runs"])])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines += ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    best = "the best" if len(content["objectives"]) == 1 else "the Pareto front"
    lines.append(f"*: {best} of {sum(trial['state'] == 'complete' for trial in content['trials'])} complete trials")
    for objective, shares in content["importances"].items():
        if shares:
            said = ", ".join(f"{key} {share:.2f}" for key, share in shares.items())
            lines.append(f"what explains {objective} (functional ANOVA): {said}")
    return "\n".join(lines)


def _trial(trial: FrozenTrial, objectives: list[str]) -> dict[str, Any]:
    done = trial.state == TrialState.COMPLETE
    return {
        "number": trial.number,
        "state": _state(trial),
        "values": dict(trial.params),
        "results": dict(zip(objectives, trial.values, strict=True)) if done else {},
        "runs": trial.user_attrs.get(RUNS, []),
        "failure": trial.user_attrs.get(FAILURE),
    }


def _state(trial: FrozenTrial) -> str:
    return {"fail": "failed"}.get(trial.state.name.lower(), trial.state.name.lower())


def _short(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _names(storage: str) -> list[str]:
    path = storage.removeprefix("sqlite:///")
    if path != storage and not Path(path).is_file():  # Optuna would make it
        raise UserError(f"there is no search in {Path(path).parent}. Begin one: paribus train -m hparams_search=optuna")
    with quiet(storage):
        return sorted(optuna.get_all_study_names(storage))


def _load(storage: str, name: str) -> optuna.Study:
    with quiet(storage):
        return optuna.load_study(study_name=name, storage=storage)
