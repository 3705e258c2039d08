r"""Learning rates that hold for every width of a network: those of the maximal update parametrization for Adam.

A matrix with $n$ inputs, which has $n_0$ of them in the network of the base width, gets $n_0 / n$ of the learning rate.
Embeddings, norms and biases keep all of it. Features then change equally much in an update, however wide the network
is, if its initial matrices have variances in proportion to $1 / n$, as torch's layers have.

Adam's updates do not depend on the scale of gradients. Those of gradient descent do, and so on the initial output
layer, which is the model's: its rule is not offered.

Source: Yang et al. 2022, arXiv:2203.03466, table 3 ("muP"). Only the rates are changed here: the variance of the output
layer and the scale of attention stay those of the model.
"""

from __future__ import annotations

import math

from torch import nn

from paribus.techniques.optimizers.decay import no_decay_parameters

ADAPTIVE = ("Adam", "AdamW", "NAdam", "RAdam", "AdaBelief", "Lion")


def width_factors(network: nn.Module, base: nn.Module, optimizer: str) -> dict[str, float]:
    """The factor on the learning rate of each parameter, by its name. base: the same network with the base width.

    optimizer: the name of its class. Raises ValueError for one whose updates follow the scale of gradients, or that has
    a rule of its own; for networks that differ in more than their widths; and for a table of embeddings that is the
    output layer as well.
    """
    if optimizer not in ADAPTIVE:
        known = ", ".join(name.lower() for name in ADAPTIVE)
        raise ValueError(f"the rule for widths is that of {known}, got {optimizer}. Use optimizer=adamw, or "
                         "lr_scaling.rule=none")  # fmt: skip
    shapes = {name: p.shape for name, p in base.named_parameters()}
    if {name: p.ndim for name, p in network.named_parameters()} != {name: len(shape) for name, shape in shapes.items()}:
        raise ValueError("a network of another width must have the same parameters, in other sizes only")
    tables = {id(each.weight) for each in network.modules() if isinstance(each, nn.Embedding)}
    if any(id(each.weight) in tables for each in network.modules() if isinstance(each, nn.Linear)):
        raise ValueError("a table that is the output layer as well would need two rates. Use model.tied=false")
    kept_off = no_decay_parameters(network)
    factors = {}
    for name, p in network.named_parameters():
        is_matrix = p.ndim >= 2 and (name not in kept_off or name.endswith(".original1")) and id(p) not in tables
        factors[name] = math.prod(shapes[name][1:]) / math.prod(p.shape[1:]) if is_matrix else 1.0
    return factors
