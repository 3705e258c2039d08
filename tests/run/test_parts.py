"""Parts of a network: initial weights from a file, frozen parameters, options of groups; any constructor."""

import sys

import pytest
import torch
from torch import nn

from paribus.base.errors import UserError
from paribus.config.compose import load, resolved
from paribus.config.run import Run
from paribus.extras.stack.planning import alone_because
from paribus.run import build
from paribus.run.evaluate import load_weights
from paribus.run.execute import train
from paribus.run.fit import build_loop, build_trainer, quiet_lightning
from paribus.store.store import Store

BASE = ["model=mlp", "model.width=8", "data.subset=60", "data.batch_size=20", "budget.epochs=3", "callbacks=[none]"]


def run_of(*overrides):
    return Run.parse(resolved(load([*BASE, *overrides])))


def trained(tmp_path, *overrides):
    """The network before and after a training, and the loop."""
    run = run_of(*overrides)
    setting = build.build_setting(run)
    data = build.build_data(run, setting)
    loop = build_loop(run, setting, None)
    before = {name: p.detach().clone() for name, p in loop.network.named_parameters()}
    trainer = build_trainer(run, [], [], tmp_path)
    with quiet_lightning():
        trainer.fit(loop, datamodule=data)
    return before, dict(loop.network.named_parameters()), loop


# ------------------------------------------------------------------------------------------ freeze


def test_frozen_parameters_stay_and_the_others_are_trained(tmp_path):
    before, after, loop = trained(tmp_path, "freeze=[1.*]")
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if not name.startswith("1.")}
    assert {id(p) for g in loop.optimizer.param_groups for p in g["params"]} == {id(after[name]) for name in moved}


def test_parameters_are_frozen_until_their_epoch(tmp_path):
    frozen = []
    for epochs in (2, 3):
        before, after, _ = trained(tmp_path, "freeze={1.*: 2}", f"budget.epochs={epochs}")
        frozen.append(torch.equal(before["1.weight"], after["1.weight"]))
    assert frozen == [True, False]


def test_until_then_training_is_that_of_frozen_parameters(tmp_path):
    """Clipping, moments and the other weights do not see them either."""
    setting = ["budget.epochs=2", "clip.norm=0.05", "optimizer=adamw"]
    _, one, _ = trained(tmp_path, "freeze=[1.*]", *setting)
    _, other, _ = trained(tmp_path, "freeze={1.*: 2}", *setting)
    for name, p in one.items():
        torch.testing.assert_close(other[name], p, rtol=1e-6, atol=1e-7)


def test_a_list_and_a_mapping_are_one_run():
    assert run_of("freeze=[1.*]").id == run_of("freeze={1.*: null}").id != run_of().id
    assert run_of("freeze=[]").id == run_of("groups={}").id == run_of("init.weights=null").id == run_of().id


def test_the_order_of_patterns_counts():
    """The first pattern that fits decides, so another order is another training."""
    first, second = ("*.bias: {lr: 0.1}", "1.*: {lr: 0.2}"), ("*.bias: 1", "1.*: 2")
    for section, (one, other) in {"groups": first, "freeze": second}.items():
        assert run_of(f"{section}={{{one}, {other}}}").id != run_of(f"{section}={{{other}, {one}}}").id


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("freeze=[backbone.*]", r"freeze: backbone.\* fits no parameter of the network.* They are 1.weight"),
        ("freeze=1", r"freeze must be a list of patterns of parameter names.*got 1. Try 'freeze=\[backbone.\*\]'"),
        ("freeze={1.*: 0}", r"freeze of 1.\* must be the number of epochs.*got 0"),
        ("freeze=[*]", "an optimizer needs trainable parameters"),
        ("groups={*.bias: 3}", r"groups of \*.bias must hold options of the optimizer, got 3"),
        ("groups={*.bias: {rate: 3}}", r"groups of \*.bias: SGD takes no rate. .*It takes lr, momentum"),
        ("groups={x.*: {lr: 3}}", r"x.\* fits no parameter of the network"),
        ("groups=[a]", "groups must hold options by patterns"),
    ],
)
def test_what_can_not_be_is_said(override, said):
    with pytest.raises(UserError, match=said):  # noqa: PT012
        run = run_of(override)
        setting = build.build_setting(run)
        build.build_optim(run, build.build_network(run, setting))


# ------------------------------------------------------------------------------------------ groups


def test_groups_have_their_own_options_and_the_first_pattern_counts(tmp_path):
    groups = "groups={1.*: {lr: 0.001}, *.bias: {momentum: 0.5}}"
    _, after, loop = trained(
        tmp_path, groups, "optimizer.lr=0.1", "optimizer.weight_decay=0.01", "scheduler=cosine", "norm=none"
    )
    last = list(after)[-1].rpartition(".")[0]
    options = {id(p): group for group in loop.optimizer.param_groups for p in group["params"]}
    assert options[id(after["1.weight"])]["initial_lr"] == options[id(after["1.bias"])]["initial_lr"] == 0.001
    assert options[id(after["1.bias"])]["momentum"] == 0.9
    assert options[id(after[f"{last}.bias"])]["initial_lr"] == options[id(after[f"{last}.weight"])]["initial_lr"] == 0.1
    assert options[id(after[f"{last}.bias"])]["momentum"] == 0.5
    assert options[id(after[f"{last}.bias"])]["weight_decay"] == 0  # as without groups
    assert options[id(after[f"{last}.weight"])]["weight_decay"] == 0.01
    assert options[id(after["1.weight"])]["lr"] == pytest.approx(options[id(after[f"{last}.weight"])]["lr"] / 100)


def test_a_decay_that_a_group_asks_for_is_meant():
    run = run_of("groups={*.bias: {weight_decay: 0.3}}")
    network = build.build_network(run, build.build_setting(run))
    groups = {id(p): g for g in build.build_optim(run, network).param_groups for p in g["params"]}
    assert {groups[id(p)]["weight_decay"] for name, p in network.named_parameters() if name.endswith(".bias")} == {0.3}


def test_the_rule_of_batch_sizes_scales_rates_of_groups_too():
    run = run_of("groups={*.bias: {lr: 0.1}}", "lr_scaling.rule=linear", "lr_scaling.base_batch_size=10")
    network = build.build_network(run, build.build_setting(run))
    rates = {group["lr"] for group in build.build_optim(run, network).param_groups}
    assert rates == {0.1 * 2, 0.05 * 2}


def test_stacks_train_groups_and_frozen_parts_as_their_runs_do(paribus, tmp_path):
    setting = ["model=mlp", "model.width=8", "data.batch_size=20", "data.subset=60", "budget.epochs=2", "seed=range(3)"]
    parts = ["freeze=[1.*]", "groups={*.bias: {lr: 0.001}}"]
    stores = {}
    for stack in ("off", "3"):
        folder = tmp_path / stack
        found = paribus("train", "-m", *setting, *parts, f"stack={stack}", f"paths.outputs={folder}")
        assert found.code == 0, found.err
        stores[stack] = Store(folder)
    records = stores["3"].scan()
    assert {record.timing["stack"] for record in records} == {3}
    for record in records:
        one, other = (load_weights(store.run_dir(record.id) / "checkpoints" / "last.ckpt") for store in stores.values())
        for name, value in one.items():
            torch.testing.assert_close(other[name], value, rtol=1e-5, atol=1e-6)


def test_runs_with_parts_that_are_frozen_for_a_while_go_alone():
    assert "frozen for a while" in (alone_because(run_of("freeze={1.*: 2}", "callbacks=[default]")) or "")
    assert alone_because(run_of("freeze=[1.*]", "callbacks=[default]")) is None


# ------------------------------------------------------------------------------------------ initial weights


@pytest.fixture
def weights(tmp_path):
    """A file of a state dict of the same form, from another seed."""
    run = run_of("seed=5")
    network = build.build_network(run, build.build_setting(run))
    path = tmp_path / "weights.pt"
    torch.save(network.state_dict(), path)
    return path, network.state_dict()


def network_of(*overrides):
    run = run_of(*overrides)
    return build.build_network(run, build.build_setting(run)).state_dict()


def test_a_network_starts_from_a_file(weights):
    path, state = weights
    found = network_of(f"init.weights={path}")
    assert all(torch.equal(found[name], value) for name, value in state.items())


def test_patterns_choose_what_is_taken(weights):
    path, state = weights
    found, own = network_of(f"init.weights={path}", "init.parameters=[1.*]"), network_of()
    for name in own:
        assert torch.equal(found[name], (state if name.startswith("1.") else own)[name]), name


@pytest.mark.parametrize("wrap", [lambda s: {"state_dict": {f"network.{k}": v for k, v in s.items()}}, dict])
def test_checkpoints_are_files_of_weights(weights, tmp_path, wrap):
    _, state = weights
    path = tmp_path / "checkpoint.ckpt"
    torch.save(wrap(state), path)
    assert torch.equal(network_of(f"init.weights={path}")["1.weight"], state["1.weight"])


def test_the_content_of_the_file_is_the_identity(weights, tmp_path):
    path, state = weights
    moved, other = tmp_path / "moved.pt", tmp_path / "other.pt"
    moved.write_bytes(path.read_bytes())
    torch.save({name: value + 1 for name, value in state.items()}, other)
    assert run_of(f"init.weights={path}").id == run_of(f"init.weights={moved}").id
    assert len({run_of(f"init.weights={each}").id for each in (path, other)} | {run_of().id}) == 3
    assert run_of(f"init.weights={path}").id != run_of(f"init.weights={path}", "init.parameters=[1.*]").id


def test_a_record_keeps_the_hash_and_is_evaluated_without_the_file(weights, tmp_path, paribus):
    path, _ = weights
    line = [*BASE[:-1], f"init.weights={path}", f"paths.outputs={tmp_path / 'outputs'}"]
    record = train(Run.parse(resolved(load(line))), {}, [])
    assert record.status == "done"
    store = Store(tmp_path / "outputs")
    assert Run.parse(store.config(record.id)).id == record.id
    path.unlink()
    assert Run.parse(store.config(record.id)).id == record.id
    found = paribus("evaluate", record.id, "--trust", "--outputs", str(tmp_path / "outputs"))
    assert found.code == 0, found.err


def test_another_content_than_the_record_says_is_refused(weights):
    path, _ = weights
    with pytest.raises(UserError, match="its content is another one"):
        network_of(f"init.weights={path}", f"+init.sha256={'f' * 64}")


def test_files_that_do_not_fit_are_refused(weights, tmp_path):
    path, state = weights
    cases = {
        "lacks": ({k: v for k, v in state.items() if k != "1.weight"}, "lacks 1.weight of the network"),
        "more": ({**state, "extra": torch.zeros(1)}, "has extra, which the network does not have"),
        "shape": ({**state, "1.weight": torch.zeros(2, 2)}, r"1.weight has the shape \(2, 2\)"),
        "list": ([1, 2], "must hold a state dict"),
    }
    for name, (content, said) in cases.items():
        torch.save(content, tmp_path / name)
        with pytest.raises(UserError, match=said):
            network_of(f"init.weights={tmp_path / name}")
    (tmp_path / "text").write_text("no weights")
    with pytest.raises(UserError, match="it can't be read"):
        network_of(f"init.weights={tmp_path / 'text'}")
    with pytest.raises(UserError, match=r"init.weights must be a file of weights"):
        run_of("init.weights=nowhere.pt").id  # noqa: B018
    with pytest.raises(UserError, match=r"init.parameters: head.\* fits no parameter"):
        network_of(f"init.weights={path}", "init.parameters=[head.*]")


# ------------------------------------------------------------------------------------------ any constructor


class Plain(nn.Module):
    """Asks for nothing that Paribus offers."""

    def __init__(self, width: int = 4):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))

    def forward(self, x):
        return self.layers(x)


class Classes(nn.Sequential):
    def __init__(self, num_outputs: int):
        super().__init__(nn.Flatten(), nn.Linear(64, num_outputs))


@pytest.fixture
def mine(monkeypatch):
    monkeypatch.setitem(sys.modules, "mine", sys.modules[__name__])


@pytest.mark.parametrize("name", ["Plain", "Classes"])
def test_a_model_gets_what_it_asks_for(mine, name):
    run = run_of("norm=none").but({"model": {"_target_": f"mine.{name}"}})
    network = build.build_network(run, build.build_setting(run))
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


class Normed(nn.Sequential):
    """Has a norm of its own."""

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 10))


@pytest.mark.parametrize(
    ("norm", "kind"), [("own", "BatchNorm1d"), ("none", "Identity"), ("layer", "GroupNorm"), ("group", "GroupNorm")]
)
def test_the_norms_of_a_model_are_converted_or_kept(mine, norm, kind):
    run = run_of(f"norm={norm}").but({"model": {"_target_": "mine.Normed"}})
    network = build.build_network(run, build.build_setting(run))
    assert kind in {type(module).__name__ for module in network[2].modules()}
    assert network(torch.randn(4, 1, 8, 8)).shape == (4, 10)


def test_a_norm_that_would_change_nothing_is_an_error(mine):
    run = run_of("norm=layer").but({"model": {"_target_": "mine.Plain"}})
    with pytest.raises(UserError, match=r"norm=layer would change nothing. Use norm=own"):
        build.build_network(run, build.build_setting(run))
    run = run_of("norm=own").but({"model": {"_target_": "mine.Plain"}})
    assert build.build_network(run, build.build_setting(run))


def test_our_models_have_no_norms_of_their_own():
    run = run_of("norm=own")
    with pytest.raises(UserError, match="norm=own keeps the norms"):
        build.build_network(run, build.build_setting(run))


# ------------------------------------------------------------------------------------------ scale of initial weights


def test_matrices_and_kernels_are_multiplied_and_the_rest_stays():
    line = ["model=cnn", "model.widths=[4,4]", "norm=batch"]
    found, own = (network_at(*line, f"init.scale={scale}") for scale in (0.5, 1.0))
    kernels = {name for name, value in own.items() if name.endswith(".weight") and value.ndim >= 2}
    assert len(kernels) == 3
    for name, value in own.items():
        assert torch.equal(found[name], value * 0.5 if name in kernels else value), name


def network_at(*overrides):
    """Of any model: BASE is one of mlp."""
    run = Run.parse(resolved(load([*(item for item in BASE if not item.startswith("model")), *overrides])))
    return build.build_network(run, build.build_setting(run)).state_dict()


def test_weight_norm_takes_the_lengths_of_the_scaled_weights():
    found, own = (network_of("norm=weight", f"init.scale={scale}") for scale in (2.0, 1.0))
    lengths = [name for name in own if name.endswith("original0")]
    assert lengths
    assert all(torch.equal(found[name], 2.0 * own[name]) for name in lengths)


def test_a_scale_of_one_is_no_part_of_the_identity_and_any_other_is():
    assert run_of("init.scale=1").id == run_of("init.scale=1.0").id == run_of("~init").id == run_of().id
    assert len({run_of(f"init.scale={scale}").id for scale in (0.5, 1.0, 2.0)}) == 3


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["init.scale=0"], "init.scale must be a number above 0"),
        (["init.scale=2", "init.weights=some.pt"], r"init.weights=some.pt gives them, got init.scale=2"),
    ],
)
def test_scales_that_can_not_be_are_refused(overrides, said):
    with pytest.raises(UserError, match=said):
        run_of(*overrides)


def test_a_network_without_weights_to_scale_is_refused():
    from paribus.run.network import scale_weights

    with pytest.raises(ValueError, match=r"has no weight matrix or kernel that 2\.0 could multiply"):
        scale_weights(nn.Sequential(nn.BatchNorm1d(3)), 2.0)
