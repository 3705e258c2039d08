"""Secrets of a recorded run, which no record holds, from the environment: what `paribus rerun` trains with.

A variable may be given to what a record asks for only if the run that it makes has the id of the record. So a record of
a stranger gets nothing: who does not know a secret does not know the id that it makes.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from paribus.base.errors import UserError
from paribus.base.redaction import MASK, names_secret, variables
from paribus.config.identity import run_id
from paribus.config.run import Run

_VARIABLE = re.compile(r"\$\{oc\.env:(\w+)\}")
_MOST = 2000  # combinations of variables that are tried; each takes a millisecond

Place = tuple[Any, ...]


def with_secrets(run: Run, id: str) -> Run:
    """The run of a recorded configuration as it was trained: with the id of its record.

    A value that the record calls `${oc.env:NAME}` is that of the variable. For `***`, each variable is tried whose name
    says that it is a secret. What does not change the id stays as it is recorded.

    Raises UserError where values are missing, or are others now, and names the variables.
    """
    if run.id == id or not (places := dict(_withheld(run.resolved))):
        return run
    candidates = [list(dict.fromkeys(_candidates(text))) for text in places.values()]
    for values in itertools.islice(itertools.product(*candidates), _MOST):
        found = dict(zip(places, values, strict=True))
        if run_id(_with(run.resolved, found)) == id:
            needed = {place: found[place] for place in found if run_id(_with(run.resolved, _but(found, place))) != id}
            return Run.parse(_with(run.resolved, needed))
    raise UserError(
        f"the record of run {id} holds no secrets, and with those of the environment it is another run: "
        + "; ".join(dict.fromkeys(_asked(place, text) for place, text in places.items()))
    )


def _withheld(node: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """(place, text) of each value that was replaced by the name of a variable, or by asterisks."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _withheld(value, (*place, key))
    elif isinstance(node, list | tuple):
        for number, value in enumerate(node):
            yield from _withheld(value, (*place, number))
    elif isinstance(node, str) and (MASK in node or _VARIABLE.search(node)):
        yield place, node


def _candidates(text: str) -> Iterator[Any]:
    """What a text of a record may have been: nothing where a variable is missing."""
    if any(name not in os.environ for name in _VARIABLE.findall(text)):
        return
    whole = text == MASK or _VARIABLE.fullmatch(text)
    text = _VARIABLE.sub(lambda found: os.environ[found[1]], text)
    for value in [value for _, value in variables()] if MASK in text else [MASK]:
        yield (found := text.replace(MASK, value))
        if whole and found.isdecimal():
            yield int(found)


def _asked(place: Place, text: str) -> str:
    key = ".".join(map(str, place))
    names = _VARIABLE.findall(text)
    if missing := [name for name in names if name not in os.environ]:
        return f"set {' and '.join(missing)}, which gave {key}"
    if names and MASK not in text:
        return f"{' and '.join(names)}, which gave {key}, has another value now"
    own = re.sub(r"\W+", "_", next((part for part in reversed(place) if isinstance(part, str)), "")).upper()
    name = own if names_secret(own) else f"{own}_TOKEN"
    return f"set a variable such as {name} to what {MASK} stands for in {key}={text}"


def _but(values: Mapping[Place, Any], place: Place) -> dict[Place, Any]:
    return {other: value for other, value in values.items() if other != place}


def _with(node: Any, values: Mapping[Place, Any], place: Place = ()) -> Any:
    """Nested mappings and lists with values at some places."""
    if place in values:
        return values[place]
    if isinstance(node, Mapping):
        return {key: _with(value, values, (*place, key)) for key, value in node.items()}
    return (
        [_with(value, values, (*place, number)) for number, value in enumerate(node)]
        if isinstance(node, list | tuple)
        else node
    )
