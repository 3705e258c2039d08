"""Parts that networks of tokens share: norms that see no later token, and the output layer."""

from __future__ import annotations

from torch import nn

from paribus.techniques.norms.norm import InstanceNorm, NormFactory, make


def causal_norm(norm: NormFactory | None, channels: int) -> nn.Module:
    """The norm of sequences (N, T, C), or the identity where there is none.

    Statistics of the batch hold later places too, in training; an evaluation has moving averages in their stead.

    Raises ValueError for one that takes statistics over the places of a sequence in evaluations.
    """
    module = make(norm, channels, "tokens")
    if isinstance(module, InstanceNorm):
        raise ValueError(
            "instance norm takes statistics over all places of a sequence, so that a prediction would see the tokens "
            "that it predicts. Use norm=layer, or norm=group"
        )
    return module


def output_layer(embedding: nn.Embedding, num_outputs: int, tied: bool) -> nn.Linear:
    """Outputs of features, without a bias; tied: with the embedding's table as its weight.

    Raises ValueError for a tie where there is not one output for each token.

    Source: Press & Wolf 2017, arXiv:1608.05859.
    """
    head = nn.Linear(embedding.embedding_dim, num_outputs, bias=False)
    if tied:
        if num_outputs != embedding.num_embeddings:
            raise ValueError(
                f"a tied output layer has one output for each of {embedding.num_embeddings} tokens, and the loss wants "
                f"{num_outputs}. Use model.tied=false"
            )
        head.weight = embedding.weight
    return head
