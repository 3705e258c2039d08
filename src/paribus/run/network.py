"""What a network is told of its data and its norm: the arguments that its constructor asks for."""

from __future__ import annotations

from typing import Any

from paribus.base.errors import UserError
from paribus.config.nodes import name_of, target_of
from paribus.config.run import Run
from paribus.datasets.source import Form
from paribus.run.instantiate import asked_for


def arguments(run: Run, form: Form, num_outputs: int, norm: Any) -> dict[str, Any]:
    """shape, num_outputs, norm and, for tokens, vocabulary_size; each only where the constructor takes it.

    Raises UserError for a norm that is chosen and not taken: arms that differ in it would be equal. Also for tokens and
    a network of Paribus, all of which compute with numbers.
    """
    offered: dict[str, Any] = {"shape": form.shape, "num_outputs": num_outputs, "norm": norm}
    if form.has_tokens:
        if target_of(run.model).startswith("paribus.model."):
            raise UserError(
                f"model={name_of(run.model)} computes with numbers, and data.source={name_of(run.data.source)} has "
                f"{form}. Use a model of your own with an embedding; an argument vocabulary_size of its constructor is "
                "given the number of tokens"
            )
        offered["vocabulary_size"] = form.vocabulary_size
    taken = asked_for("model", run.model, **offered)
    if norm is not None and "norm" not in taken:
        raise UserError(
            f"model={name_of(run.model)} takes no norm, so norm={name_of(run.norm.nodes[0])} would change nothing. Use "
            "norm=none, or give the constructor an argument norm: norm(channels, layout) is the module to put in"
        )
    return taken
