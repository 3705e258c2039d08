"""Runs of task=language: the weights of a plain loop, the same bits after stops, known floors, and refusals."""

import math

import pytest
import torch
import torch.nn.functional as F
import yaml
from networks import OF_TOKENS

from paribus.base.errors import Interrupted, UserError
from paribus.base.signals import asked_to_stop
from paribus.config import config_dir
from paribus.config.composer import Composer
from paribus.datasets.batches import BatchPlan
from paribus.datasets.source import IGNORED
from paribus.run import build
from paribus.run.execute import train
from paribus.run.passes import on_meta
from paribus.store.store import Store

SMALL = [
    *("task=language", "data.source.length=8", "data.source.num_train=150", "data.source.num_test=40"),
    *("data.validation=30", "data.batch_size=16", "trainer.threads=1", "logger=none", "paths.outputs=outputs"),
]
GPT = ["model.width=12", "model.depth=2", "model.heads=3", "model.std=0.2"]
CELLS = ["model.width=10"]
NORMS = ["none", "layer", "rms", "batch", "group", "weight", "spectral", "[layer,weight]"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


COMPOSER = Composer()


def run_of(*line, base=SMALL):
    return COMPOSER([*base, *line]).run


def weights_of(record, name="last"):
    path = Store("outputs").run_dir(record.id) / "checkpoints" / f"{name}.ckpt"
    state = torch.load(path, weights_only=True)["state_dict"]
    return {key.removeprefix("network."): value for key, value in state.items()}


def by_hand(run, updates):
    """Plain PyTorch, with its own cross-entropy over the places that count."""
    setting = build.build_setting(run)
    train = build.build_data(run, setting).splits.train
    network = build.build_network(run, setting).double().train()
    no_decay = {p for name, p in network.named_parameters() if p.ndim < 2 or name in ("embedding.weight",
                "position.weight", "tables.weight")}  # fmt: skip
    groups = [
        {"params": [p for p in network.parameters() if p not in no_decay], "weight_decay": 0.01},
        {"params": [p for p in network.parameters() if p in no_decay], "weight_decay": 0.0},
    ]
    if any("parametrizations" in name for name, _ in network.named_parameters()):
        groups = build.build_optim(run, network).param_groups
        groups = [{"params": group["params"], "weight_decay": group["weight_decay"]} for group in groups]
    optimizer = torch.optim.AdamW(groups, lr=0.003, betas=(0.9, 0.999), eps=1e-8)
    plan = BatchPlan(len(train.y), 16, seed=run.seeds.order)
    batches = [indices for epoch in range(updates) for indices in plan.epoch(epoch)][:updates]
    for indices in batches:
        optimizer.zero_grad()
        outputs = network(train.x[indices])
        F.cross_entropy(outputs.flatten(0, 1), train.y[indices].flatten(), ignore_index=IGNORED).backward()
        optimizer.step()
    return network.state_dict()


def lines():
    """Every norm in every place, of every model. Three of them every time."""
    often = ["gpt pre layer", "gpt post rms", "lstm steps layer"]
    for norm in NORMS:
        for place in ("pre", "post", "both", "none"):
            name = f"gpt {place} {norm}"
            line = ["model=gpt", *GPT, f"model.placement={place}", f"norm={norm}"]
            yield pytest.param(line, id=name, marks=() if name in often else pytest.mark.slow)
        for model in ("lstm", "gru", "rnn"):
            for place in ("steps", "inputs"):
                if (norm, place) != ("batch", "steps"):
                    name = f"{model} {place} {norm}"
                    line = [f"model={model}", *CELLS, f"model.norm_at={place}", f"norm={norm}"]
                    yield pytest.param(line, id=name, marks=() if name in often else pytest.mark.slow)
    for more in ("positions=rotary", "positions=none", "qk_norm=true", "residual=forward"):
        yield pytest.param(["model=gpt", *GPT, f"model.{more}"], id=more, marks=pytest.mark.slow)


@pytest.mark.parametrize("line", [*lines()])
def test_a_plain_loop_has_the_same_weights_after_100_updates(line):
    groups = ["norm.activation.groups=2"] if "norm=group" in line else []
    run = run_of(*line, *groups, "optimizer.lr=0.003", "optimizer.weight_decay=0.01", "trainer.precision=64-true",
                 "budget.updates=100", "callbacks=[checkpoints]")  # fmt: skip
    found, expected = weights_of(train(run, {}, [])), by_hand(run, 100)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("data", ["parity", pytest.param("recall", marks=pytest.mark.slow)])
def test_places_that_do_not_count_are_left_out_of_training(data):
    own = ["data.source.counted=last", "data.source.length=8"] if data == "parity" else []
    base = [each for each in SMALL if not each.startswith("data.source.length")]
    line = [f"data={data}", *own, *GPT, "optimizer.lr=0.003", "optimizer.weight_decay=0.01", "budget.updates=20",
            "trainer.precision=64-true", "callbacks=[checkpoints]"]  # fmt: skip
    run = run_of(*line, base=base)
    for name, value in by_hand(run, 20).items():
        torch.testing.assert_close(weights_of(train(run, {}, []))[name], value, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("model", ["gpt", pytest.param("lstm", marks=pytest.mark.slow)])
def test_a_run_that_is_stopped_again_and_again_ends_with_the_same_bits(model):
    own = [*GPT, "model.dropout=0.2"] if model == "gpt" else [*CELLS, "model.dropout=0.2"]
    run = run_of(f"model={model}", *own, "budget.updates=13", "callbacks=[default,ema]")
    for _ in range(3):
        with asked_to_stop(), pytest.raises(Interrupted):
            train(run, {}, [])
    stopped = train(run, {}, [])
    weights = weights_of(stopped)
    again = run_of(f"model={model}", *own, "budget.updates=13", "callbacks=[default,ema]", "paths.outputs=whole")
    whole = train(again, {}, [])
    assert stopped.metrics == whole.metrics
    state = torch.load(Store("whole").run_dir(whole.id) / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(weights[key.removeprefix("network.")], value) for key, value in state.items())


def test_a_record_has_every_metric_with_its_direction_and_chance():
    record = train(run_of(*GPT, "budget.updates=12", "callbacks=[none]", "metrics=[]"), {}, [])
    assert {f"test/{name}" for name in ("loss", "bits", "ppl", "acc", "top5", "excess")} <= {*record.metrics}
    assert {f"train/{name}" for name in ("loss", "acc")} <= {*record.metrics}
    assert "train/ppl" not in record.metrics
    loss, known = record.metrics["test/loss"], record.declared
    assert record.metrics["test/bits"] == pytest.approx(loss / math.log(2))
    assert record.metrics["test/ppl"] == pytest.approx(math.exp(loss))
    floor = build.build_setting(run_of()).form.floor
    assert record.metrics["test/excess"] == pytest.approx(loss - floor)
    assert known["excess"]["chance"] == pytest.approx(known["loss"]["chance"] - floor)
    assert floor < known["loss"]["chance"] < math.log(8) + 0.05
    assert known["acc"]["better"] == "higher"
    assert record.classes == 8


def built(*line):
    run = run_of(*line, "batch_size=b16", base=[])
    setting = build.build_setting(run)
    data = build.build_data(run, setting)
    build.check_monitors(run, setting.task)
    return on_meta(run, setting, sorted(data.batch_shares()))[0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["task=language", "data=digits"], "learns targets of the kind tokens, .*Use task=classification"),
        (["data=markov", "model=gpt", "norm=layer"], r"has kind_of_y='tokens'. Use task=language"),
        (["model=gpt", "norm=layer"], r"gpt reads tokens.*has images of shape .*Use model=mlp, or cnn"),
        (["task=language", "model=cnn"], r"model=cnn computes with numbers.*Use model=gpt, lstm, gru or rnn"),
        (["task=language", "norm=instance"], "model=gpt with norm=instance: .*Use norm=layer"),
        (["task=language", "model=gru", "norm=batch"], "model=gru with norm=batch: .*Use model.norm_at=inputs"),
        (["task=language", "loss=squared_error"], "language needs a loss .*got MeanSquaredError. Use loss=cross"),
        (
            ["task=language", "loss=mse", "evaluation.monitor=val/ppl"],
            "val/ppl, with loss=squarederror: the loss gives no",
        ),
        (["task=language", "augmentation=mixup"], "sequences of tokens of shape .32,.. Use augmentation=none"),
        (["task=language", "data.label_noise=0.1"], "targets of markov are tokens. Use data.label_noise=0"),
        (["task=language", "model.tied=true", "norm=[layer,weight]"], "weight of another layer .*Use model.tied=fal"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_does(line, said):
    with pytest.raises(UserError, match=said):
        built(*line)


@pytest.mark.parametrize("norm", sorted({path.stem for path in (config_dir() / "norm").glob("*.yaml")} - {"own"}))
@pytest.mark.parametrize("model", ["gpt", "lstm", "gru", "rnn", "token_mlp"])
def test_every_model_goes_through_preflight_with_every_norm_or_says_why_not(model, norm):
    depth = ["model.depth=1"] if model == "gpt" else []
    line = ["task=language", "data=modular", "data.source.modulus=11", f"model={model}", *depth, f"norm={norm}"]
    if norm == "instance":
        with pytest.raises(UserError, match="Use norm="):
            built(*line)
        return
    if norm in ("batch", "batch_renorm", "sync_batch") and model in ("lstm", "gru", "rnn"):
        with pytest.raises(UserError, match=r"Use model.norm_at=inputs"):
            built(*line)
        line += ["model.norm_at=inputs"]
    assert next(built(*line).parameters()).device == torch.device("meta")


# Each key of an option, with another value.
CELL_KEYS = ("width=8", "depth=2", "norm_at=inputs", "tied=true", "dropout=0.1")
DRAWN = ("num_train=41", "num_test=11", "seed=1")
KEYS = {
    "gpt": (
        *("depth=2", "heads=2", "positions=rotary", "positions=none", "activation=relu", "placement=post"),
        *("placement=both", "placement=none", "qk_norm=true", "residual=forward", "residual=none", "tied=true"),
        *("dropout=0.1", "std=0.1", "width=15"),
    ),
    **dict.fromkeys(("lstm", "gru", "rnn"), CELL_KEYS),
    "token_mlp": ("width=8", "activation=relu"),
    "markov": ("order=1", "alphabet=5", "length=5", "concentration=1", *DRAWN),
    "zipf": ("vocabulary_size=9", "exponent=0", "length=5", *DRAWN),
    "modular": ("modulus=7", "test_share=0.3", "seed=1"),
    "recall": ("keys=9", "values=5", "pairs=5", "queries=3", *DRAWN),
    "copy": ("alphabet=5", "letters=3", *DRAWN),
    "sort": ("alphabet=5", "letters=3", *DRAWN),
    "parity": ("length=7", "counted=last", *DRAWN),
}


def keys_of(option):
    """Of conf/model or conf/data, that the option has."""
    for group in ("model", "data"):
        if (path := config_dir() / group / f"{option}.yaml").exists():
            node = yaml.safe_load(path.read_text())
            return {*(node if group == "model" else node["source"])} - {"_target_"}
    raise FileNotFoundError(option)


@pytest.mark.parametrize("option", KEYS)
def test_no_key_is_without_effect(option):
    """On the outputs of the initial network in training, or on the data."""
    assert {each.partition("=")[0] for each in KEYS[option]} == keys_of(option)
    found = set()
    for key in ["", *KEYS[option]]:
        if option in OF_TOKENS:
            own = ["model.width=12", *(["model.depth=1", "model.heads=3"] if option == "gpt" else [])]
            run = run_of(f"model={option}", *own, *([f"model.{key}"] if key else []))
            network = build.build_network(run, build.build_setting(run)).train()
            torch.manual_seed(0)
            found.add(str(network(torch.arange(16).view(2, 8) % 8).detach().tolist()))
        else:
            small = {"num_train": 40, "num_test": 10} if "num_train" in keys_of(option) else {}
            own = [f"data.source.{name}={value}" for name, value in small.items()]
            run = run_of("task=language", f"data={option}", *own, *([f"data.source.{key}"] if key else []), base=[])
            raw = build.build_setting(run).source.load()
            found.add(str([part.tolist() for part in vars(raw).values()]))
    assert len(found) == len(KEYS[option]) + 1


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_transformer_comes_to_the_entropy_rate_of_a_markov_source(seed):
    """Order 2 over 8 symbols: within 0.015 nats of the floor in 1,000 updates. The test part has 64,000 targets, whose
    mean deviates by 0.003."""
    run = run_of(
        *("task=language", "data=markov", "data.source.length=16", "model.depth=1", "model.width=64", "model.std=0.1"),
        *("optimizer.lr=0.01", "scheduler=linear", "batch_size=b64", "budget.updates=1000", "evaluation.every=10"),
        *(f"seed={seed}", "callbacks=[none]", "paths.outputs=outputs"),
        base=[],
    )
    record = train(run, {}, [])
    assert -0.01 < record.metrics["test/excess"] < 0.015
    assert record.metrics["test/excess"] < 0.05 * record.declared["excess"]["chance"]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_network_of_squares_understands_addition_with_decay_alone(seed):
    """Modulo 31, half of the pairs: Power et al. 2022."""
    found = {}
    for decay in (0.0, 1.0):
        run = run_of(
            *("task=language", "data=modular", "model=token_mlp", "norm=none", "batch_size=full", "decay=all"),
            *("optimizer.lr=0.01", "optimizer.betas=[0.9,0.98]", f"optimizer.weight_decay={decay}", f"seed={seed}"),
            *("budget.updates=800", "evaluation.every=100", "callbacks=[none]", "paths.outputs=outputs"),
            base=[],
        )
        found[decay] = train(run, {}, []).metrics
    assert found[0.0]["train/acc"] == found[1.0]["train/acc"] == 1.0
    assert found[1.0]["test/acc"] > 0.95
    assert found[0.0]["test/acc"] < 0.1
