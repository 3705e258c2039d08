"""A perceptron of the tokens so far, for algorithmic data: what a transformer's attention is compared with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from paribus.models.dense import ACTIVATIONS, Activation
from paribus.models.tokens import causal_norm, output_layer
from paribus.techniques.norms.norm import NormFactory


class TokenMLP(nn.Module):
    r"""$z_t = W\, \phi(\mathrm{norm}(\sum_{s \le t} E_s[x_s]))$: tokens (N, T) to outputs (N, T, O).

    With a table $E_s$ for each place that is a multilayer perceptron of one-hot tokens. With $\phi(h) = h^2$ it can
    represent addition modulo p: Gromov 2023, arXiv:2301.02679.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_outputs: int,
        vocabulary_size: int,
        norm: NormFactory | None = None,
        width: int = 64,
        activation: Activation = "square",
    ):
        super().__init__()
        [places] = shape
        self.vocabulary_size = vocabulary_size
        self.tables = nn.Embedding(places * vocabulary_size, width)
        self.norm = causal_norm(norm, width)
        self.activation = ACTIVATIONS[activation]()
        self.head = output_layer(self.tables, num_outputs, tied=False)

    def forward(self, x: Tensor) -> Tensor:
        rows = x + self.vocabulary_size * torch.arange(x.shape[1], device=x.device)
        result: Tensor = self.head(self.activation(self.norm(self.tables(rows).cumsum(1))))
        return result
