"""Weight decay: it acts on the weights that multiply activations, in shipped networks and in those of others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from networks import OF_NUMBERS
from omegaconf import OmegaConf
from torch import nn

from paribus.techniques.norms import norm as norms
from paribus.techniques.norms.parametrize import spectral_norm
from paribus.techniques.optimizers.decay import no_decay_parameters

MODELS = [Path(__file__).parents[3] / f"conf/model/{name}.yaml" for name in OF_NUMBERS]


def decayed(network: nn.Module) -> set[str]:
    return {name for name, _ in network.named_parameters()} - no_decay_parameters(network)


@pytest.mark.parametrize("file", MODELS, ids=lambda file: file.stem)
@pytest.mark.parametrize("outputs", [1, 10])
def test_of_shipped_networks_the_weights_of_layers_decay(file, outputs):
    with torch.device("meta"):
        network = instantiate(OmegaConf.load(file), shape=(1, 8, 8), num_outputs=outputs, norm=norms.layer)
    layers = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    assert decayed(network) == {f"{name}.weight" for name, _ in layers}


def test_looking_does_not_turn_the_vectors_of_spectral_norm():
    network = nn.Sequential(nn.Linear(4, 1))
    spectral_norm(network)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert decayed(network) == {"0.parametrizations.weight.original"}
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


class Language(nn.Module):
    def __init__(self, tied: bool):
        super().__init__()
        self.words, self.out = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
        self.bag = nn.EmbeddingBag(3, 4)
        self.positions = nn.Parameter(torch.zeros(5, 4))
        if tied:
            self.out.weight = self.words.weight


def test_tables_of_embeddings_do_not_decay_unless_a_layer_shares_them():
    assert decayed(Language(False)) == {"out.weight", "positions"}
    assert decayed(Language(True)) == {"words.weight", "positions"}


@pytest.mark.parametrize("shape", [(4,), (4, 1, 1), (1, 1, 1, 4), (1, 4, 1, 1), ()])
def test_scales_of_any_shape_do_not_decay(shape):
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.gamma = nn.Parameter(torch.ones(shape))

    assert decayed(nn.Sequential(nn.Conv2d(1, 1, 1), Scale())) == {"0.weight"}


def test_a_module_names_what_else_is_kept_off():
    class Ours(nn.Module):
        no_decay = ("position",)

        def __init__(self):
            super().__init__()
            self.position, self.weight = (nn.Parameter(torch.zeros(3, 4)) for _ in range(2))

    class Timm(Ours):
        def __init__(self):
            super().__init__()
            self.block = nn.Linear(3, 3)

        def no_weight_decay(self):
            return {"block.weight"}

    assert decayed(nn.Sequential(Ours())) == {"0.weight"}
    assert decayed(Timm()) == {"weight"}
    assert decayed(nn.Sequential(Timm())) == {"0.weight"}


def test_norms_of_torch_and_recurrent_layers():
    network = nn.Sequential(nn.BatchNorm3d(2), nn.SyncBatchNorm(2), nn.InstanceNorm2d(2, affine=True), nn.LSTM(3, 4))
    assert decayed(network) == {"3.weight_ih_l0", "3.weight_hh_l0"}
