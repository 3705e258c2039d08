"""`paribus plan`: the plan of a command, for a person or as JSON. Trains nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence

from paribus.base.terminal import show
from paribus.report.planned import planned


def show_plan(overrides: Sequence[str], as_json: bool, measure: bool) -> None:
    """Prints the plan of `paribus train -m OVERRIDES`.

    measure: time a few updates of each kind of run whose time no record tells.
    """
    found = planned(overrides, measure, grouped=not as_json)
    show(json.dumps(found.content(), indent=1) if as_json else str(found))
