"""Names of ablations and their files: the user's own names first, then short names of those that come with Paribus."""

import subprocess
import sys

import pytest

from paribus.ablation.ablation_files import all_names, file_of, place_of
from paribus.ablation.command import plan_command
from paribus.base.errors import UserError
from paribus.config import config_dir
from paribus.config.ablations import shipped
from paribus.config.compose import group_options, load

FILE = "# @package _global_\nablation: {{name: {name}, factors: {{norm: [batch, none]}}, seeds: 2}}\n"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes an ablation into ./conf or another folder, and works in the folder that ./conf lies in."""
    monkeypatch.chdir(tmp_path)

    def file(name, conf="conf", called="mine"):
        path = tmp_path / conf / "ablation" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(FILE.format(name=called))
        return path

    return file


def plan_of(*arguments):
    return plan_command(arguments, lambda id: None)


def ids(plans):
    return [cell.id for plan in plans for cell in plan.cells]


def test_every_short_name_stands_for_one_file():
    files = list((config_dir() / "ablation").glob("*/*.yaml"))
    assert len(files) > 20
    assert sorted(shipped().values()) == sorted(files)
    assert not list((config_dir() / "ablation").glob("*.yaml")), "names directly below are the users'"


@pytest.mark.parametrize("name", ["norms", "demo"])
def test_a_short_name_means_the_same_runs_and_labels_as_the_whole(name):
    whole = shipped()[name].relative_to(config_dir() / "ablation").with_suffix("").as_posix()
    assert "/" in whole
    short, long = plan_of(f"ablation={name}"), plan_of(f"ablation={whole}")
    assert ids(short) == ids(long)
    assert [plan.name for plan in short] == [plan.name for plan in long]
    assert {plan.ablation.name for plan in short} == {name}
    assert file_of(name) == file_of(whole) == shipped()[name]
    assert place_of(name) == place_of(whole) == f"conf/ablation/{whole}.yaml"


@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_users_own_file_may_have_any_name(name, write):
    own = write(name)
    [plan] = plan_of(f"ablation={name}")
    assert (plan.name, list(plan.arms)) == ("mine", ["batch", "none"])
    assert file_of(name) == own
    assert place_of(name) == f"conf/ablation/{name}.yaml"


def test_a_users_own_file_may_have_the_name_of_a_folder_of_ours(write):
    write("notes")
    assert plan_of("ablation=notes")[0].name == "mine"
    assert plan_of("ablation=notes/aa")[0].name == "aa"


def test_what_a_user_hides_is_there_by_its_whole_name(write):
    before = ids(plan_of("ablation=aa"))
    write("aa")
    assert ids(plan_of("ablation=aa")) != before
    assert ids(plan_of("ablation=notes/aa")) == before


def test_a_file_with_the_whole_name_of_one_of_ours_would_be_hidden(write):
    write("notes/aa")
    with pytest.raises(UserError, match=r"notes/aa must be one file, .*Give \S+conf/ablation/notes/aa.yaml another"):
        plan_of("ablation=notes/aa")


def test_names_of_users_and_ours_are_suggested(write):
    write("lrates")
    with pytest.raises(UserError, match=r"ablation=lrate is not an option. Did you mean lrates.* Options: aa, .*norms"):
        plan_of("ablation=lrate")
    assert {"lrates", *shipped()} <= set(group_options("ablation"))


def test_all_names_has_each_file_once(write):
    write("aa")
    write("paper/rates")
    assert {"aa", "notes/aa", "paper/rates", "examples/demo"} <= set(all_names())
    assert len(all_names()) == len(set(all_names())) == len(shipped()) + 2


def test_a_short_name_works_in_a_defaults_list(write, tmp_path):
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "again.yaml").write_text("# @package _global_\ndefaults: [{override /ablation: aa}]\n")
    assert ids(plan_of("experiment=again")) == ids(plan_of("ablation=aa"))
    write("aa")
    assert plan_of("experiment=again")[0].name == "mine"


def test_glob_finds_short_names(write):
    [plan] = plan_of("ablation=glob(d*,exclude=decay)")
    assert ids([plan]) == ids(plan_of("ablation=demo"))


def test_a_folder_of_the_command_line_comes_first(write, tmp_path):
    write("norms", "other", "theirs")
    line = ["train", "--config-dir", "other", "--cfg", "job", "-p", "ablation", "ablation=norms"]
    done = subprocess.run([sys.executable, "-m", "paribus", *line], capture_output=True, text=True, cwd=tmp_path)
    assert "name: theirs" in done.stdout, done.stderr


def test_a_folder_of_hydras_searchpath_would_be_hidden(write, tmp_path):
    write("norms", "other", "theirs")
    write("own", "other", "theirs")
    given = f"hydra.searchpath=[file://{tmp_path}/other]"
    assert plan_of("ablation=own", given)[0].name == "theirs"
    with pytest.raises(
        UserError, match=r"there are .*notes/norms.yaml and .*Give \S+other/ablation/norms.yaml another"
    ):
        plan_of("ablation=norms", given)


def test_an_application_of_others_does_not_see_our_ablations(tmp_path):
    from hydra import compose, initialize_config_dir

    (tmp_path / "ablation").mkdir()
    (tmp_path / "main.yaml").write_text("x: 1\n")
    with (
        initialize_config_dir(str(tmp_path), version_base="1.3"),
        pytest.raises(Exception, match="Could not find 'ablation/norms'"),
    ):
        compose("main", ["+ablation=norms"])


def test_the_choice_keeps_the_name_that_was_given():
    assert load(["ablation=norms"]).hydra.runtime.choices.ablation == "norms"
