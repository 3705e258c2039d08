"""The network of a run and its setting: arguments that its constructor asks for, and norms that it makes itself."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from paribus.base.errors import UserError
from paribus.config.nodes import name_of, target_of
from paribus.config.own import OWN_NORM
from paribus.config.run import Run
from paribus.datasets.source import Form
from paribus.run.instantiate import arguments_of, asked_for
from paribus.techniques.norms.convert import replace_norms
from paribus.techniques.norms.norm import NormFactory
from paribus.techniques.optimizers.decay import no_decay_parameters


def arguments(run: Run, form: Form, num_outputs: int, norm: Any) -> dict[str, Any]:
    """shape, num_outputs, norm and, for tokens, vocabulary_size; each only where the constructor takes it.

    Raises UserError for a network of Paribus and samples or targets that are not for it.
    """
    offered: dict[str, Any] = {"shape": form.shape, "num_outputs": num_outputs, "norm": norm}
    if form.has_tokens:
        offered["vocabulary_size"] = form.vocabulary_size
    told = asked_for("model", run.model, **offered)
    if target_of(run.model).startswith("paribus.model."):
        reads = "vocabulary_size" in arguments_of("model", run.model)
        model, data = f"model={name_of(run.model)}", f"data.source={name_of(run.data.source)}"
        if form.has_tokens and not reads:
            raise UserError(
                f"{model} computes with numbers, and {data} has {form}. Use model=gpt, lstm, gru or rnn, or one of "
                "your own with an embedding; an argument vocabulary_size of its constructor is given the number of "
                "tokens"
            )
        if reads and form.kind_of_y != "tokens":
            what = f"targets of the kind {form.kind_of_y}" if form.has_tokens else str(form)
            raise UserError(
                f"{model} reads tokens and predicts one at each place, and {data} has {what}. Use "
                + ("a model of your own, with an embedding" if form.has_tokens else "model=mlp, or cnn for images")
            )
    return told


def convert_norms(run: Run, network: nn.Module, norm: NormFactory | None) -> None:
    """Put the norm of a run in place of those of a model that makes its own; norm=own keeps them.

    Raises UserError for a norm that would change nothing: an arm with it would have the results of another. Raises
    ValueError for one that can't work with the channels of a layer.
    """
    if run.norm.activation and target_of(run.norm.activation) == OWN_NORM:
        return
    if not replace_norms(network, norm) and norm is not None:
        raise UserError(
            f"model={name_of(run.model)} takes no argument norm and has no norms that could be replaced, so "
            f"norm={name_of(run.norm.nodes[0])} would change nothing. Use norm=own, or give the constructor an "
            "argument norm: norm(channels, layout) is the module to put in"
        )


def scale_weights(network: nn.Module, scale: float) -> None:
    """Multiply the weight matrices and kernels, those parameters that weight decay acts on, in place.

    Raises ValueError where there are none: an arm with another scale would have the results of the first.
    """
    if scale == 1.0:
        return
    kept = no_decay_parameters(network)
    scaled = [p for name, p in network.named_parameters() if name not in kept]
    if not scaled:
        raise ValueError(f"the network has no weight matrix or kernel that {scale} could multiply. Leave it out")
    with torch.no_grad():
        for p in scaled:
            p.mul_(scale)
