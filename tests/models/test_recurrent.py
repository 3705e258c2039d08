"""Recurrent networks: torch's own with the same weights, layer norm by its paper, causality."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from paribus.models.recurrent import GRU, LSTM, RNN
from paribus.models.token_mlp import TokenMLP
from paribus.techniques.norms.norm import batch, group, instance, layer, rms
from paribus.techniques.norms.parametrize import spectral_norm, weight_norm
from paribus.techniques.optimizers.build import hidden_matrices
from paribus.techniques.optimizers.decay import no_decay_parameters

TOKENS, PLACES, WIDTH = 9, 6, 4
KINDS = {RNN: nn.RNN, LSTM: nn.LSTM, GRU: nn.GRU}


def made(kind, **options):
    torch.manual_seed(0)
    return kind((PLACES,), TOKENS, TOKENS, **({"width": WIDTH} | options)).double()


def batch_of(number=5):
    return torch.randint(0, TOKENS, (number, PLACES), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_norm_they_are_those_of_torch(kind):
    network = made(kind, depth=2)
    own = KINDS[kind](WIDTH, WIDTH, num_layers=2, batch_first=True).double()
    state = {}
    for number, cells in enumerate(network.layers[1::2]):
        for ours, theirs in (("input", "ih"), ("hidden", "hh")):
            state[f"weight_{theirs}_l{number}"] = getattr(cells, ours).weight
            state[f"bias_{theirs}_l{number}"] = getattr(cells, ours).bias
    own.load_state_dict(state)
    features, _ = own(network.embedding(batch_of()))
    torch.testing.assert_close(network(batch_of()), features @ network.head.weight.T)
    bound = WIDTH**-0.5
    assert all(float(p.detach().abs().max()) <= bound for p in network.layers.parameters())


def test_layer_norm_in_an_lstm_is_that_of_its_paper():
    """Ba et al. 2016, equations 20 to 22, with gains and shifts that are not 1 and 0."""
    network = made(LSTM, norm=layer)
    with torch.no_grad():
        for p in network.layers.parameters():
            p.add_(torch.linspace(-0.3, 0.3, p.numel()).view(p.shape))
    cells, x = network.layers[1], network.embedding(batch_of())
    h = c = torch.zeros(5, WIDTH).double()
    states = []
    for place in range(PLACES):
        given = F.layer_norm(cells.input(x[:, place]), (16,), cells.norm_input.weight, cells.norm_input.bias)
        before = F.layer_norm(cells.hidden(h), (16,), cells.norm_hidden.weight, cells.norm_hidden.bias)
        i, f, g, o = (given + before).split(WIDTH, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(F.layer_norm(c, (WIDTH,), cells.norm_cell.weight, cells.norm_cell.bias))
        states.append(h)
    torch.testing.assert_close(network(batch_of()), torch.stack(states, 1) @ network.head.weight.T)


def test_a_norm_of_inputs_sees_all_places_at_once():
    network = made(GRU, norm=batch, norm_at="inputs").train()
    cells = network.layers[1]
    seen = []
    cells.norm_input.register_forward_hook(lambda module, args, result: seen.append(result))
    network(batch_of())
    torch.testing.assert_close(seen[0].flatten(0, 1).mean(0), torch.zeros(12).double(), atol=1e-12, rtol=0)
    assert isinstance(cells.norm_hidden, nn.Identity)
    assert cells.input.bias is None  # the norm takes away what it would add


OPTIONS = [
    *({"norm": norm} for norm in (None, layer, rms)),
    {"norm": lambda channels, layout: group(channels, layout, groups=2)},
    *({"norm": norm, "norm_at": "inputs"} for norm in (layer, rms, batch)),
    {"tied": True, "dropout": 0.5, "depth": 2},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_no_output_depends_on_later_tokens(kind, options):
    network, x = made(kind, **options).eval(), batch_of()
    other = x.clone()
    other[:, 3:] = (x[:, 3:] + 2) % TOKENS
    torch.testing.assert_close(network(other)[:, :3], network(x)[:, :3])
    assert not torch.allclose(network(other)[:, 3:], network(x)[:, 3:])


def test_a_perceptron_of_tokens_is_one_of_one_hot_tokens():
    network, x = made(TokenMLP, activation="square"), batch_of()
    hot = F.one_hot(x, TOKENS).double()
    tables = network.tables.weight.view(PLACES, TOKENS, WIDTH)
    for place in range(PLACES):
        hidden = torch.einsum("nsv,svc->nc", hot[:, : place + 1], tables[: place + 1])
        torch.testing.assert_close(network(x)[:, place], hidden.square() @ network.head.weight.T)


@pytest.mark.parametrize("kind", KINDS)
def test_muon_has_the_maps_and_decay_leaves_embeddings_norms_and_biases_alone(kind):
    network = made(kind, norm=layer)
    maps = {"layers.1.input.weight", "layers.1.hidden.weight"}
    assert hidden_matrices(network) == maps
    assert {name for name, _ in network.named_parameters()} - no_decay_parameters(network) == maps | {"head.weight"}


def test_weights_can_be_parametrized_and_are_computed_once_in_a_pass():
    for parametrize in (weight_norm, spectral_norm):
        network = made(LSTM)
        parametrize(network)
        calls = []
        network.layers[1].hidden.parametrizations.weight[0].register_forward_hook(partial(_count, calls))
        network(batch_of()).sum().backward()
        assert len(calls) == 1


def _count(calls, module, given, result):
    calls.append(module)


@pytest.mark.parametrize("kind", KINDS)
def test_what_can_not_work_is_refused(kind):
    with pytest.raises(ValueError, match=r"differ from step to step.*Use model.norm_at=inputs, .*or norm=layer"):
        made(kind, norm=batch)
    with pytest.raises(ValueError, match=r"would see the tokens that it predicts. Use norm=layer"):
        made(kind, norm=instance, norm_at="inputs")
