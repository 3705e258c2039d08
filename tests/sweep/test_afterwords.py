"""The commands that a training names at its end find just its runs."""

import pytest

from paribus.sweep.afterwords import command_on


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["ablation=demo"], "paribus table ablation=demo"),
        (
            ["+ablation=demo", "budget.epochs=1", "paths.outputs=my runs"],
            "paribus table +ablation=demo budget.epochs=1 'paths.outputs=my runs'",
        ),
        (["norm=none,layer", "seed=range(2)"], "paribus table"),
        (["norm=none,layer", "paths.outputs=here"], "paribus table paths.outputs=here"),
    ],
)
def test_an_ablation_is_named_as_it_was_trained_and_other_runs_by_their_place(overrides, said):
    assert command_on("table", overrides) == said


def test_a_command_repeats_no_secret():
    said = command_on("table", ["ablation=demo", "+model.api_key=hunter2", "budget.epochs=1"])
    assert "hunter2" not in said
    assert said.startswith("paribus table ablation=demo '+model.api_key=")
    assert said.endswith(" budget.epochs=1")


def test_the_table_that_a_training_names_is_there(paribus, tmp_path):
    """Also where the ablation was changed on the command line, and lies elsewhere."""
    (tmp_path / "conf" / "ablation").mkdir(parents=True)
    (tmp_path / "conf" / "ablation" / "tiny.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /model: mlp\nmodel: {width: 8}\nbudget: {epochs: 2}\n"
        "data: {subset: 60, batch_size: 20}\n"
        "ablation:\n  name: tiny\n  factors: {norm: [none, layer]}\n  seeds: {report: 2}\n"
    )
    done = paribus("train", "-m", "ablation=tiny", "budget.epochs=1", "paths.outputs=elsewhere")
    assert done.code == 0, done.err
    *_, last = done.err.splitlines()
    assert last == "to see the table: paribus table ablation=tiny budget.epochs=1 paths.outputs=elsewhere"
    table = paribus(*last.partition("paribus ")[2].split())
    assert table.code == 0, table.err
    assert "1 epoch" in table.out
