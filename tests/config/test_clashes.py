"""An option of one name in two files is refused by every command that would read one of them."""

import shutil

import pytest
from hydra import compose, initialize_config_dir
from hydra.plugins.config_source import ConfigSource

from paribus.base.errors import UserError
from paribus.config import config_dir
from paribus.config.compose import load, resolved
from paribus.config.composer import Composer

SGD = "_target_: torch.optim.SGD\nlr: 0.5\n"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes an option into ./conf or another folder, and works in the folder that ./conf lies in."""
    monkeypatch.chdir(tmp_path)

    def file(name, text="{}\n", conf="conf"):
        path = tmp_path / conf / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return file


@pytest.mark.parametrize(
    "line",
    [
        ["train", "optimizer=sgd"],
        ["train", "-m", "optimizer=sgd,adam"],
        ["train", "experiment=mine"],
        ["plan", "ablation=demo", "optimizer=sgd"],
        ["status", "ablation=demo", "optimizer=sgd"],
        ["table", "ablation=demo", "optimizer=sgd"],
        ["check", "conf/experiment/mine.yaml"],
    ],
)
def test_both_files_and_the_remedy_are_named(line, write, paribus):
    path = write("optimizer/sgd", SGD)
    write("experiment/mine", "# @package _global_\ndefaults: [{override /optimizer: sgd}]\n")
    result = paribus(*line)
    assert result.code == 2
    assert f"there are {config_dir()}/optimizer/sgd.yaml and {path}." in result.out + result.err
    assert f"Give {path} another name" in result.out + result.err
    assert not (path.parents[2] / "outputs" / "runs").exists()


def test_a_file_that_nothing_chooses_is_no_fault(write):
    write("optimizer/sgd", SGD)
    assert load(["optimizer=adam"]).optimizer._target_.endswith("Adam")


def test_a_checkout_beside_an_installed_paribus_has_copies(tmp_path, monkeypatch):
    line = ["optimizer=sgd", "norm=layer"]
    wanted = resolved(load(line))
    shutil.copytree(config_dir(), tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    assert resolved(load(line)) == wanted
    changed = tmp_path / "conf" / "optimizer" / "sgd.yaml"
    changed.write_text(changed.read_text() + "# changed\n")
    with pytest.raises(UserError, match="the option optimizer/sgd must be one file"):
        load(line)


@pytest.mark.parametrize("name", ["experiment/example", "ablation/notes/aa", "callbacks/default", "norm/batch"])
def test_every_group_has_the_rule_and_lists_have_it_too(name, write):
    path = write(name)
    group, option = name.split("/", 1)
    line = [f"{group}=[{option},weight]" if group == "norm" else f"{group}={option}"]
    for composed in (load, Composer()):
        with pytest.raises(UserError, match=f"{name} must be one file, and there are .* and {path}"):
            composed(line)


def test_two_folders_of_the_user_may_not_clash_either(write, tmp_path, paribus):
    write("optimizer/mine", SGD)
    other = write("optimizer/mine", SGD.replace("0.5", "0.3"), "other")
    result = paribus("train", "--config-dir", "other", "optimizer=mine", "--cfg", "job")
    assert result.code == 2
    assert str(other) in result.err
    result = paribus("train", "--config-dir", "conf", "optimizer=mine", "--cfg", "job")  # one folder, named twice
    assert (result.code, "lr: 0.5" in result.out) == (0, True)


def test_defaults_and_short_names_of_ablations_stand_for_ours(write):
    write("train", "budget: {epochs: 3}\n")
    write("ablation/norms", "# @package _global_\nablation: {name: mine}\n")
    config = load(["ablation=norms"])
    assert (config.budget.epochs, config.ablation.name) == (3, "mine")


def test_hydras_own_options_count(write):
    write("hydra/job_logging/disabled")
    with pytest.raises(UserError, match=r"there are pkg://hydra/conf/hydra/job_logging/disabled\.yaml and"):
        load(["hydra/job_logging=disabled"])


def test_applications_of_others_stay_as_they_are(write, tmp_path):
    load([])
    write("main", "defaults: [{optimizer: sgd}]\n")
    write("optimizer/sgd", SGD)
    write("optimizer/sgd", SGD, "other")
    with initialize_config_dir(config_dir=str(tmp_path / "conf"), version_base="1.3"):
        assert compose("main", [f"hydra.searchpath=[file://{tmp_path}/other]"]).optimizer.lr == 0.5


def test_the_cells_of_a_sweep_look_for_no_file_again(write, monkeypatch):
    write("optimizer/mine", SGD)
    composer, asked = Composer(), []
    for source in ConfigSource.__subclasses__():
        if source.scheme() == "file":

            def is_config(self, path, ask=source.is_config):
                asked.append(path)
                return ask(self, path)

            monkeypatch.setattr(source, "is_config", is_config)
    for option in ("mine", "adam"):
        composer([f"optimizer={option}"])
    assert "optimizer/mine" in asked
    asked.clear()
    for seed in range(20):
        composer([f"optimizer={('mine', 'adam')[seed % 2]}", f"seed={seed}"])
    assert asked == []
