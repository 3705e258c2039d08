"""Every option of every group: it says what it is, composes, and builds. A new file is covered by being there."""

import shlex
from pathlib import Path

import pytest
import torch
import yaml
from networks import OF_NUMBERS, OF_TOKENS

from paribus.ablation.command import plan_command
from paribus.ablation.planner import ablations_of
from paribus.base.errors import UserError
from paribus.config import config_dir
from paribus.config.ablations import shipped
from paribus.config.compose import load, resolved
from paribus.config.composer import Composer
from paribus.config.own import is_own
from paribus.config.run import Run
from paribus.run import build
from paribus.run.instantiate import check_arguments, instantiate

CONF = config_dir()
SOURCE = Path(build.__file__).parents[1]
OPTIONS = sorted(
    str(path.relative_to(CONF).with_suffix(""))
    for path in [*CONF.glob("*/*.yaml"), *shipped().values()]
    if path.parent.name not in ("hydra", "local")
)
SEARCHES = [option for option in OPTIONS if option.startswith("hparams_search/")]
# Options of the model that keep the check of a large network small.
SLIM = {
    "resnet56": ["model.blocks=[1,1,1]"],
    "resnet18": ["model.widths=[8,8,8,8]"],
    "resnet50": ["model.widths=[8,8,8,8]", "model.blocks=[1,1,1,1]"],
    "vit_tiny": ["model.depth=1", "norm=layer"],
    "vit_small": ["model.depth=1", "norm=layer"],
}
# What task=lightning leaves open, and what is for another task only.
_LIT = ["task.module={_target_: modules.Regressor}", "task.metrics={mse: {better: lower}}", "task.monitor=val/mse",
        "budget.epochs=1"]  # fmt: skip
MODULE = {"task/lightning": _LIT, "norm/own": ["task=lightning", *_LIT]}
MODULE |= {f"model/{name}": ["task=language"] for name in OF_TOKENS}
MODULE |= {
    f"metrics/{name}": ["task=regression", "data=diabetes", "model=mlp", "norm=none"]
    for name in ("explained_variance", "mae", "mape", "mse", "pearson", "r2", "rmse", "spearman")
}


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_says_in_its_first_line_what_it_is(option):
    lines = (CONF / f"{option}.yaml").read_text().splitlines()
    first = lines[1] if lines[0].startswith("# @package") else lines[0]
    assert first.startswith("# ")
    assert first.rstrip().endswith((".", ":", "?"))
    assert len(first) < 140


@pytest.fixture(scope="module")
def composer():
    return Composer()


# Options of conf/surface belong to another root; tests/extras/curvature/test_command.py composes them.
@pytest.mark.parametrize(
    "option", [option for option in OPTIONS if option not in SEARCHES and not option.startswith("surface/")]
)
def test_an_option_composes_and_is_valid(option, composer):
    group, _, name = option.partition("/")
    config = dict(composer([f"{group}={name}", *SLIM.get(name, []), *MODULE.get(option, [])]).resolved)
    if name == "b2048" or (option.startswith("batch_size/b") and int(name[1:]) > 1200):
        config["data"] = {**config["data"], "batch_size": 1200}  # the digits are fewer
    Run.parse(config)
    for section in ("model", "loss", "optimizer", "scheduler", "augmentation"):
        if not is_own(config[section]):
            check_arguments(section, config[section])
    nodes = {"norm": config["norm"]["activation"], "norm.weight": config["norm"]["weight"]}
    for section in ("callbacks", "logger"):
        nodes |= {f"{section}.{name}": node for name, node in config[section].items()}
    for where, node in nodes.items():
        if node:
            check_arguments(where, node)


# Those of tokens: tests/run/test_language.py.
@pytest.mark.parametrize("name", OF_NUMBERS)
@pytest.mark.parametrize("norm", sorted({path.stem for path in (CONF / "norm").glob("*.yaml")} - {"own"}))
def test_every_model_builds_with_every_norm_or_says_why_not(name, norm, composer):
    run = composer([f"model={name}", *SLIM.get(name, []), f"norm={norm}", "loss=mse"]).run
    setting = build.build_setting(run)
    if norm == "instance" and name == "mlp":
        with pytest.raises(UserError, match=r"model=mlp with norm=instance.*Use norm="):
            build.build_network(run, setting)
        return
    network = build.build_network(run, setting).train()
    x = torch.randn(4, *setting.source.shape)
    outputs = network(x)
    assert outputs.shape == (4, 10)
    setting.loss(outputs, torch.arange(4)).backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in network.parameters() if p.requires_grad)
    network.eval()
    # In evaluation a sample does not depend on its neighbours.
    torch.testing.assert_close(network(x)[:2], network(x[:2]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "callbacks").glob("*.yaml")))
def test_every_callback_builds(name):
    for key, node in resolved(load([f"callbacks=[{name}]"]))["callbacks"].items():
        instantiate(f"callbacks.{key}", node)


@pytest.mark.parametrize("name", shipped())
def test_every_ablation_file_states_its_command_and_time_and_parses(name):
    text = shipped()[name].read_text()
    assert f"# Command: paribus train -m ablation={name}" in text
    assert "# Time: " in text
    ablations = ablations_of([f"ablation={name}"], Composer())
    assert ablations
    assert {ablation.name for ablation in ablations} == {name}


_FORMS = [
    (name, line.split(": ")[1].split("     ")[0])
    for name, path in shipped().items()
    for line in path.read_text().splitlines()
    if line.startswith(("# Fashion-MNIST: data=", "# CIFAR-10: data="))
]
# A third of them every time: each ablation states a form or two, which differ in their data only.
FORMS = [pytest.param(*form, marks=() if k % 3 == 0 else pytest.mark.slow) for k, form in enumerate(_FORMS)]


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_every_ablation_can_be_planned_on_other_data(name, form):
    asked = shlex.split(form)
    source = resolved(load(asked[:1]))["data"]["source"]["_target_"]
    for plan in plan_command([f"ablation={name}", *asked], lambda id: None):
        cells = [*plan.cells, *plan.tuning]
        assert cells
        assert not plan.invalid
        assert {cell.run.data.source["_target_"] for cell in cells} == {source}


def test_no_key_of_the_main_config_is_unread():
    """Each leaf of train.yaml appears by its last name in the code that reads configs."""
    code = "".join(
        path.read_text()
        for path in SOURCE.rglob("*.py")
        if path.relative_to(SOURCE).parts[0] in ("run", "ablation", "config", "sweep", "cli")
    )

    def leaves(node):
        for key, value in node.items():
            if isinstance(value, dict):
                yield from leaves(value)
            else:
                yield key

    main = {key: value for key, value in yaml.safe_load((CONF / "train.yaml").read_text()).items() if key != "defaults"}
    trainer = yaml.safe_load((CONF / "trainer" / "cpu.yaml").read_text())
    unread = [key for key in (*leaves(main), *trainer) if f'"{key}"' not in code and f".{key}" not in code]
    assert unread == []
