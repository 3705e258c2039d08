"""Rates by width: the factors of the paper's table, and features that change equally much in networks of all widths."""

import pytest
import torch
from torch import nn

from paribus.base.errors import UserError
from paribus.config.compose import load, resolved
from paribus.config.run import Run
from paribus.run import build
from paribus.techniques.optimizers.width import width_factors

LINE = [
    "data.subset=64",
    "model=mlp",
    "model.depth=2",
    "norm=none",
    "lr_scaling.base_width=64",
    "optimizer.weight_decay=0",
]


def run_of(*overrides):
    return Run.parse(resolved(load([*LINE, *overrides])))


def rates(run):
    """The learning rate of each parameter, as a share of the configured one."""
    network = build.build_network(run, build.build_setting(run))
    optimizer = build.build_optim(run, network)
    found = {id(p): group["lr"] / run.optimizer["lr"] for group in optimizer.param_groups for p in group["params"]}
    return {name: found[id(p)] for name, p in network.named_parameters()}, network


def test_the_factors_are_those_of_the_table():
    found, network = rates(run_of("model.width=256", "optimizer=adamw", "lr_scaling.rule=width"))
    layers = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    assert [found[f"{name}.weight"] for name in layers] == [1, 1 / 4, 1 / 4]
    assert [found[f"{name}.bias"] for name in layers] == [1, 1, 1]


def test_the_rates_of_groups_are_scaled_as_well():
    groups = "groups={*.bias: {lr: 0.5}, *.weight: {lr: 0.2, weight_decay: 0.1}}"
    run = run_of("model.width=256", "optimizer=adamw", "lr_scaling.rule=width", groups)
    network = build.build_network(run, build.build_setting(run))
    groups = build.build_optim(run, network).param_groups
    found = {(group["lr"], group["weight_decay"], len(group["params"])) for group in groups}
    assert found == {(0.5, 0.0, 3), (0.2, 0.1, 1), (0.05, 0.1, 2)}


def test_the_base_width_and_other_rules_change_nothing():
    for line in (["model.width=64", "lr_scaling.rule=width"], ["model.width=256", "lr_scaling.rule=none"]):
        assert {*rates(run_of("optimizer=adamw", *line))[0].values()} == {1.0}


def test_embeddings_and_norms_of_a_transformer_keep_the_rate():
    line = [
        "task=language",
        "model.width=128",
        "model.depth=1",
        "lr_scaling.rule=width",
        "norm=layer",
        "data.subset=64",
    ]
    found, _ = rates(Run.parse(resolved(load(line))))
    reduced = {name for name, rate in found.items() if rate != 1}
    assert {found[name] for name in reduced} == {0.5}
    assert {name.rpartition(".")[2] for name in reduced} == {"weight"}
    assert not any(part in name for name in reduced for part in ("embedding", "position", "before", "norm"))
    assert sum("layers" in name for name in reduced) == 4
    assert "head.weight" in reduced


def change_of_features(width, optimizer, rule, updates=3):
    """The root mean square of the change of the last hidden features on a batch, after some updates by it."""
    run = run_of(f"model.width={width}", f"optimizer={optimizer}", f"lr_scaling.rule={rule}", "optimizer.lr=0.001")
    network = build.build_network(run, build.build_setting(run))
    step = build.build_optim(run, network)
    numbers = torch.Generator().manual_seed(1)
    x, y = torch.randn(64, *build.build_setting(run).form.shape, generator=numbers), torch.arange(64) % 10
    features = []
    [*_, last] = [module for module in network.modules() if isinstance(module, nn.Linear)]
    last.register_forward_pre_hook(lambda module, inputs: features.append(inputs[0].detach().clone()))
    for _ in range(updates):
        step.zero_grad()
        nn.functional.cross_entropy(network(x), y).backward()
        step.step()
    network(x)
    return float((features[-1] - features[0]).square().mean().sqrt())


@pytest.mark.parametrize("optimizer", ["adamw", "lion"])
def test_coordinates_change_equally_much_in_all_widths(optimizer):
    """The check of coordinates of Yang et al. 2022, appendix D.1."""
    widths = (64, 256, 1024)
    scaled = [change_of_features(width, optimizer, "width") for width in widths]
    plain = [change_of_features(width, optimizer, "none") for width in widths]
    assert max(scaled) / min(scaled) < 1.5, scaled
    assert max(plain) / min(plain) > 3, plain


def test_what_has_no_rule_is_said():
    with pytest.raises(UserError, match=r"the rule for widths is that of adam, .*got SGD\. Use optimizer=adamw"):
        rates(run_of("model.width=256", "optimizer=momentum", "lr_scaling.rule=width"))
    with pytest.raises(UserError, match="has no option width"):
        rates(linear())
    table = nn.Sequential(nn.Embedding(8, 4), nn.Linear(4, 8, bias=False))
    table[1].weight = table[0].weight
    with pytest.raises(ValueError, match=r"Use model\.tied=false"):
        width_factors(table, table, "Adam")
    with pytest.raises(ValueError, match="in other sizes only"):
        width_factors(nn.Linear(2, 2), nn.Linear(2, 2, bias=False), "Adam")


def linear():
    return Run.parse(resolved(load(["data.subset=64", "model=linear", "norm=none", "lr_scaling.rule=width"])))
