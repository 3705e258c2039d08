"""Arms that share all their runs are refused by their names; two tuned arms may come to the same winner."""

import pytest

from paribus.ablation.command import plan_command
from paribus.base.errors import UserError
from paribus.store.record import Record


def nothing(id):
    return None


@pytest.mark.parametrize(
    ("line", "names"),
    [
        (["logger=none,csv", "seed=range(3)"], "none and csv"),
        (["trainer.threads=1,2", "norm=none,batch"], "trainer.threads=1, norm=none and trainer.threads=2, norm=none"),
        (["data=mnist", "data.source.root=a,b"], "a and b"),
    ],
)
def test_a_sweep_over_what_is_no_part_of_a_run_is_refused(line, names):
    with pytest.raises(UserError, match=f"share all their runs: {names}"):
        plan_command(line, nothing)


@pytest.mark.parametrize(
    "line", [["data=huggingface", "data.source.path=a,b"], ["data=image_folder", "data.source.root=a,b"]]
)
def test_data_of_two_folders_are_two_arms(line):
    [plan] = plan_command(line, nothing)
    assert len({cell.id for cell in plan.cells}) == len(plan.arms) == 2


def ablation(folder, text):
    (folder / "conf" / "ablation").mkdir(parents=True, exist_ok=True)
    (folder / "conf" / "ablation" / "mine.yaml").write_text("# @package _global_\nablation:\n  name: mine\n" + text)


FACTORS = (
    "  factors:\n    decay: [weights, all]\n    place:\n      here: {data.workers: 0}\n      there: {data.workers: 1}\n"
)


@pytest.mark.parametrize("rest", ["", "  tune: {optimizer.lr: [0.1, 0.2]}\n", "  design: path\n"])
def test_an_ablation_with_a_level_of_no_effect_is_refused(tmp_path, monkeypatch, rest):
    monkeypatch.chdir(tmp_path)
    ablation(tmp_path, FACTORS + rest)
    with pytest.raises(UserError, match=r"mine.yaml: .*share all their runs: .*there"):
        plan_command(["ablation=mine"], nothing)


def test_two_arms_whose_tuning_comes_to_the_same_are_compared_all_the_same(tmp_path, monkeypatch):
    """They have grids of their own; that both find the same rate is a result."""
    monkeypatch.chdir(tmp_path)
    ablation(
        tmp_path,
        "  factors:\n    grid:\n      low: {data.workers: 0}\n      high: {data.workers: 1}\n"
        "  tune: {optimizer.lr: [0.1, 0.2]}\n  when:\n"
        "    - {if: {grid: high}, tune: {optimizer.lr: [0.2, 0.3]}}\n",
    )
    scores = {}

    def read(id):
        return Record(id, "done", metrics={"val/acc": scores.get(id, 0.0)})

    [plan] = plan_command(["ablation=mine"], nothing)
    scores.update({cell.id: 1.0 for cell in plan.tuning if cell.run.optimizer["lr"] == 0.2})
    [plan] = plan_command(["ablation=mine"], read)
    low, high = ([cell.id for cell in cells] for cells in plan.arms.values())
    assert low == high


def test_the_same_ablation_twice_in_a_label_is_refused():
    with pytest.raises(UserError, match="share all their runs"):
        plan_command(["ablation=demo", "logger=none,csv"], nothing)
