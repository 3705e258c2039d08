"""Hessian-vector products of every model, norm and loss, against differences of gradients."""

import copy

import pytest
import torch
from networks import OF_NUMBERS, OF_TOKENS
from omegaconf import OmegaConf

from paribus.base.weights import flatten, unflatten_into
from paribus.config import config_dir
from paribus.config.compose import load, resolved
from paribus.config.run import Run
from paribus.extras.curvature.objective import Function, Risk
from paribus.models.dense import MLP
from paribus.models.vit import ViT
from paribus.run import build
from paribus.run.targets import locate
from paribus.techniques.augment import soft
from paribus.techniques.label_losses import BinaryCrossEntropy
from paribus.techniques.losses import Loss
from paribus.techniques.regression_losses import Huber, MeanSquaredError

CONF = config_dir()
# Smooth activations where there is a choice: differences say nothing across a kink.
SMALL = {
    "mlp": ["model.width=8", "model.activation=tanh"],
    "cnn": ["model.widths=[8,8]", "model.activation=gelu"],
    "resnet20": ["model.blocks=[1]", "model.widths=[8]"],
    "resnet56": ["model.blocks=[1]", "model.widths=[8]"],
    "resnet18": ["model.blocks=[1]", "model.widths=[8]"],
    "resnet50": ["model.blocks=[1]", "model.widths=[8]"],
    "vit_tiny": ["model.depth=1", "model.width=12", "model.heads=2", "norm=layer"],
    "vit_small": ["model.depth=1", "model.width=12", "model.heads=2", "norm=layer"],
}


def names(group):
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def risk_of(*overrides, statistics="moving", size=12):
    run = Run.parse(resolved(load(list(overrides))))
    setting = build.build_setting(run)
    network = build.build_network(run, setting)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(size, *setting.source.shape, generator=generator)
    y = torch.randint(0, 10, (size,), generator=generator)
    network.train()
    with torch.no_grad():
        network(x)  # batch statistics of its own
    return network, Risk(
        network, setting.loss, lambda: zip(x.split(5), y.split(5), strict=True), size, statistics=statistics
    )


def check(network, risk):
    before = {key: value.clone() for key, value in network.state_dict().items()}
    theta = risk.point(network)
    generator = torch.Generator().manual_seed(1)
    u, v = (torch.randn(len(theta), generator=generator, dtype=torch.float64) for _ in range(2))
    u, v = u / u.norm(), v / v.norm()
    image = risk.product(theta, v)
    assert bool(image.isfinite().all())
    assert float(u @ image) == pytest.approx(float(v @ risk.product(theta, u)), rel=1e-6, abs=1e-9)  # symmetric
    step = 1e-8  # so short that it meets no kink of a relu
    difference = (risk.gradient(theta + step * v)[1] - risk.gradient(theta - step * v)[1]) / (2 * step)
    error = float((difference - image).norm() / image.norm())
    assert error < 1e-4, error
    assert risk.products == 2
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key]), key


@pytest.mark.parametrize("norm", [name for name in names("norm") if name != "own"])  # of models with their own
def test_products_with_every_norm(norm):
    check(*risk_of("model=cnn", *SMALL["cnn"], f"norm={norm}"))


@pytest.mark.parametrize("model", OF_NUMBERS)
def test_products_of_every_model(model):
    check(*risk_of(f"model={model}", "norm=layer", *SMALL.get(model, [])))


@pytest.mark.parametrize("model", OF_TOKENS)
def test_products_of_every_model_of_tokens(model):
    small = ["model.depth=1", "model.heads=2", "model.positions=rotary", "model.qk_norm=true", "model.std=0.3"]
    few = ["data.source.length=4", "data.source.num_train=20", "data.source.num_test=12", "data.validation=4"]
    line = ["task=language", f"model={model}", "model.width=4", *(small if model == "gpt" else []), *few]
    run = Run.parse(resolved(load([*line, "batch_size=b8"])))
    setting = build.build_setting(run)
    test = build.build_data(run, setting).splits.test
    network = build.build_network(run, setting)
    check(network, Risk(network, setting.task.loss, lambda: zip(test.x.split(5), test.y.split(5), strict=True), 12))


def of_classes(name):
    return issubclass(locate("loss", OmegaConf.load(CONF / "loss" / f"{name}.yaml")["_target_"]), Loss)


@pytest.mark.parametrize("loss", [name for name in names("loss") if of_classes(name)])
def test_products_of_every_loss_of_classes(loss):
    check(*risk_of("model=mlp", *SMALL["mlp"], f"loss={loss}"))


# The absolute error has no curvature.
@pytest.mark.parametrize("loss", [MeanSquaredError(), Huber(0.5), BinaryCrossEntropy()])
def test_products_of_losses_of_numbers_and_labels(loss):
    generator = torch.Generator().manual_seed(0)
    network = MLP((5,), 4, width=8, activation="tanh")
    x, y = torch.randn(12, 5, generator=generator), torch.randint(0, 2, (12, 4), generator=generator).float()
    check(network, Risk(network, loss, lambda: zip(x.split(5), y.split(5), strict=True), 12))


@pytest.mark.parametrize("norm", ["batch", "spectral", "weight", "none", "sync_batch"])
def test_the_function_that_training_descends(norm):
    """With batch statistics and power iterations the gradient is that of the network in training."""
    network, risk = risk_of("model=cnn", *SMALL["cnn"], f"norm={norm}", statistics="batch")
    if norm != "spectral":  # its iterations change the function from one evaluation to the next only in training
        check(network, risk)
    theta = risk.point(network)
    _, gradient = risk.gradient(theta)
    twin = copy.deepcopy(network).double().train()
    state = copy.deepcopy(twin.state_dict())
    expected = torch.zeros_like(theta)
    for x, y in risk.batches():
        twin.load_state_dict(state)
        twin.zero_grad()
        risk.loss(twin(x.double()), y).backward()
        expected += torch.cat([p.grad.flatten() for p in twin.parameters()]) * len(x) / risk.samples
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)


def test_dropout_is_off_and_no_random_number_is_taken():
    network = ViT((1, 8, 8), 10, None, width=12, depth=1, heads=2, dropout=0.5)
    x, y = torch.randn(6, 1, 8, 8), soft(torch.arange(6), 10, torch.float32)
    risk = Risk(network, torch.nn.CrossEntropyLoss(), lambda: [(x, y.double())], 6, statistics="batch")
    state = torch.get_rng_state()
    values = {risk.value(risk.point(network)) for _ in range(3)}
    risk.product(risk.point(network), risk.point(network))
    assert len(values) == 1
    assert torch.equal(torch.get_rng_state(), state)


def test_batches_add_up_and_a_penalty_adds_its_diagonal():
    network, risk = risk_of("model=mlp", "model.width=4", "norm=none", "model.activation=tanh")
    theta = risk.point(network)
    x, y = (torch.cat(parts) for parts in zip(*risk.batches(), strict=True))
    whole = Risk(network, risk.loss, lambda: [(x, y)], len(x))
    torch.testing.assert_close(whole.hessian(theta), risk.hessian(theta))
    assert whole.value(theta) == pytest.approx(risk.value(theta))
    penalty = torch.rand(len(theta), dtype=torch.float64)
    decayed = Risk(network, risk.loss, lambda: [(x, y)], len(x), penalty=penalty)
    torch.testing.assert_close(decayed.hessian(theta), whole.hessian(theta) + torch.diag(penalty))
    torch.testing.assert_close(decayed.gradient(theta)[1], whole.gradient(theta)[1] + penalty * theta)


def test_flatten_and_back():
    network, risk = risk_of("model=mlp", "model.width=4")
    theta = flatten(network)
    unflatten_into(network, theta * 2)
    torch.testing.assert_close(flatten(network), theta * 2)
    assert sum(part.numel() for part in risk.unflatten(theta).values()) == len(theta)


def test_a_linear_function_has_no_curvature():
    line = Function(lambda t: 3 * t.sum())
    theta = torch.ones(3, dtype=torch.float64)
    assert torch.equal(line.product(theta, theta), torch.zeros(3, dtype=torch.float64))
    assert torch.equal(line.hessian(theta), torch.zeros(3, 3, dtype=torch.float64))


def test_products_of_a_network_of_tokens():
    """Whole numbers stay what they are, whatever type the network computes in."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Embedding(7, 4), torch.nn.Flatten(), torch.nn.Tanh(), torch.nn.Linear(24, 3))
    x = torch.randint(0, 7, (12, 6), generator=torch.Generator().manual_seed(0))
    y = torch.arange(12) % 3
    check(network, Risk(network, torch.nn.CrossEntropyLoss(), lambda: zip(x.split(5), y.split(5), strict=True), 12))
