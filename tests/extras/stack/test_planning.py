"""The runs that share a program, and the reasons why others are trained alone."""

from dataclasses import replace

import pytest

from paribus.ablation.cells import Cell
from paribus.ablation.command import plan_command
from paribus.base.errors import UserError
from paribus.config import config_dir
from paribus.config.composed import Composed
from paribus.extras.stack.measure import Findings
from paribus.extras.stack.measured import Measured
from paribus.extras.stack.planning import alone_because, foreign_parts, program, reasons, stacks
from paribus.sweep.trial import measure

PROBES = {
    "sharpness": "curvature",
    "noise_scale": "curvature",
    "gradient_cosine": "curvature",
    "plateau": "curvature",
    "snapshots": "surfaces",
}  # callback -> its extra


@pytest.fixture
def cell(compose):
    def make(*overrides):
        composed = Composed(compose(*overrides), {})
        return Cell("arm", composed.run.seed, "report", overrides, composed.run.id, composed)

    return make


def sizes(groups):
    return [len(group.cells) for group in groups]


@pytest.mark.parametrize(
    "own",
    [
        "seed=3",
        "seeds.order=5",
        "optimizer=lamb",
        "optimizer.lr=0.2",
        "optimizer.weight_decay=0.1",
        "scheduler=cosine",
        "clip.norm=1",
        "decay=all",
        "lr_scaling.rule=linear",
        "loss=mse",
        "tags=[a]",
        "arm=b",
    ],
)
def test_what_a_replica_can_have_for_itself_does_not_part_runs(run_of, own):
    assert program(run_of()) == program(run_of(own))


@pytest.mark.parametrize(
    "shared",
    [
        "model.widths=[8,8]",
        "norm=layer",
        "norm.activation.momentum=0.2",
        "data.batch_size=32",
        "data=synthetic",
        "data.label_noise=0.1",
        "budget.epochs=3",
        "augmentation=mixup",
        "loss=scalar_mse",
        "scheduler=batch_growth",
        "trainer.precision=64-true",
        "trainer.accumulate=2",
        "callbacks=[default,ema]",
        "evaluation.every=2",
    ],
)
def test_what_the_program_is_made_of_parts_them(run_of, shared):
    assert program(run_of()) != program(run_of(shared))


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["trainer=ddp", "trainer.devices=2"], "several processes"),
        (["scheduler=plateau"], "scheduler=plateau"),
        (["budget.seconds=10"], "budget.seconds"),
        (["trainer.precision=16-mixed"], "trainer.precision=16-mixed"),
        (["trainer.precision=bf16-true"], "trainer.precision=bf16-true: only a run by itself notices"),
        (["trainer.channels_last=true"], "channels_last"),
        (["trainer.profiler=simple"], "profiler"),
        (["data.resident=false"], "data.resident=false"),
        (["callbacks=[default,early_stopping]"], "stop early"),
        (["+callbacks.mine._target_=my.Callback"], "my.Callback"),
        (["+callbacks.mine._target_=my.EMA"], "my.EMA may change the run"),
        (["callbacks=[default,ema]", "callbacks.ema._target_=my.EarlyStopping"], "my.EarlyStopping may change the run"),
        (["+callbacks.progress.every._target_=my.Clock"], "Progress, my.Clock may change the run"),
        (["scheduler._target_=my.Plateau"], "my.Plateau may depend on the run"),
        (["scheduler._target_=my.BatchGrowth"], "my.BatchGrowth may depend on the run"),
        (["scheduler._target_=paribus.techniques.schedules.Schedule"], "may depend on the run"),
        *(
            pytest.param(
                [f"callbacks=[default,{name}]"],
                f"callbacks.{name}: it measures a single network",
                marks=pytest.mark.needs(extra),
            )
            for name, extra in PROBES.items()
        ),
    ],
)
def test_runs_that_can_not_be_stacked_say_why(run_of, overrides, reason):
    assert reason in alone_because(run_of(*overrides))


def test_ordinary_runs_can_be_stacked(run_of):
    for overrides in ([], ["callbacks=[default,ema,lr_monitor,grad_monitor]"], ["trainer.precision=bf16-mixed"]):
        assert alone_because(run_of(*overrides)) is None


@pytest.mark.parametrize(
    "group",
    [
        *("augmentation", "scheduler", "norm"),
        *(pytest.param(group, marks=pytest.mark.slow) for group in ("model", "loss", "optimizer")),
    ],
)
def test_every_option_is_known_and_needs_no_rehearsal(run_of, group):
    for path in (config_dir() / group).glob("*.yaml"):
        run = run_of(f"{group}=[{path.stem}]" if group == "norm" else f"{group}={path.stem}")
        assert foreign_parts(run) == []
        assert path.stem == "plateau" or alone_because(run) is None


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["model._target_=my.Net"], ["my.Net"]),
        (["model._target_=torch.nn.LSTM"], ["torch.nn.LSTM"]),
        (["+model.head._target_=my.Head"], ["my.Head"]),
        (["loss._target_=my.CrossEntropy", "optimizer._target_=my.SGD"], ["my.CrossEntropy", "my.SGD"]),
        (["norm.activation._target_=my.norm", "augmentation._target_=my.Noise"], ["my.Noise", "my.norm"]),
        (["optimizer._target_=torch.optim.sgd.SGD"], []),
    ],
)
def test_code_that_is_not_ours_is_rehearsed(run_of, overrides, parts):
    assert foreign_parts(run_of(*overrides)) == parts


def test_what_was_found_out_about_code_holds_until_its_file_changes(cell, tmp_path):
    cells = [cell(f"seed={seed}", "optimizer._target_=my.SGD") for seed in range(3)]
    others = [cell(f"seed={seed}") for seed in range(3)]
    source, measured = tmp_path / "my.py", Measured(tmp_path)
    source.write_text("a = 1")
    measured.refuse(program(cells[0].run), "my.SGD: it differs", [source])
    for stack in ("auto", 8):
        groups = stacks([*cells, *others], stack, 1, measured.best_size, measured.refusal)
        assert sizes(groups) == [1, 1, 1, 3]
        assert list(reasons(groups)) == ["my.SGD: it differs"]
    source.write_text("a = 2")
    assert sizes(stacks([*cells, *others], "auto", 1, measured.best_size, measured.refusal)) == [3, 3]


@pytest.mark.slow
def test_every_callback_of_the_config_is_known(run_of):
    for path in (config_dir() / "callbacks").glob("*.yaml"):
        reason = alone_because(run_of(f"callbacks=[default,{path.stem}]"))
        assert reason is None or "a stack can't repeat" not in reason, reason


def test_groups_keep_every_cell_once_and_the_order_of_training(cell):
    cells = [cell(f"norm={norm}", f"seed={seed}") for seed in range(3) for norm in ("batch", "layer")]
    cells.append(cell("scheduler=plateau"))
    groups = stacks(cells, "auto")
    assert sizes(groups) == [3, 3, 1]
    assert sorted(c.id for group in groups for c in group.cells) == sorted(c.id for c in cells)
    assert [c.seed for c in groups[0].cells] == [0, 1, 2]
    assert list(reasons(groups)) == [groups[2].reason]
    assert "plateau" in groups[2].reason


def test_stack_says_how_many_at_most(cell):
    cells = [cell(f"seed={seed}") for seed in range(10)]
    assert sizes(stacks(cells, 4)) == [3, 4, 3]
    assert sizes(stacks(cells, "off")) == [1] * 10
    assert sizes(stacks(cells, False)) == [1] * 10
    with pytest.raises(UserError, match="stack must be auto, off or a number of runs, got 'many'"):
        stacks(cells, "many")


def test_every_slot_gets_a_stack(cell):
    cells = [cell(f"seed={seed}") for seed in range(10)]
    assert sizes(stacks(cells, "auto", slots=4)) == [2, 3, 3, 2]


def test_programs_that_may_differ_in_their_time_are_cut_finer(cell):
    def many(number, *overrides):
        first = cell(*overrides)
        return [replace(first, id=f"{first.id} {k}") for k in range(number)]

    batch, layer = many(60, "norm=batch"), many(60, "norm=layer")
    assert sizes(stacks([*batch, *layer], "auto", slots=2)) == [20] * 6
    assert sizes(stacks([*batch[:40], *layer[:10]], "auto", slots=2)) == [20, 20, 10]  # not below 16
    assert sizes(stacks(batch, "auto", slots=2)) == [30, 30]
    gpu = [*many(60, "norm=batch", "trainer=gpu"), *many(60, "norm=layer", "trainer=gpu")]
    assert sizes(stacks(gpu, "auto", slots=2)) == [60, 60]


def test_what_was_measured_is_heeded(cell, tmp_path):
    cells = [cell(f"seed={seed}") for seed in range(8)]
    measured = Measured(tmp_path)
    key = program(cells[0].run)
    assert measured.best_size(key) is None
    measured.remember(key, "a machine", {"size": 1})
    groups = stacks(cells, "auto", measured=measured.best_size)
    assert sizes(groups) == [1] * 8
    assert list(reasons(groups)) == ["a measurement on this machine shows that these runs are faster one by one"]
    measured.remember(key, "a machine", {"size": 4})
    assert sizes(stacks(cells, "auto", measured=measured.best_size)) == [4, 4]
    assert sizes(stacks(cells, 8, measured=measured.best_size)) == [8]
    measured.path.write_text("{")
    assert measured.best_size(key) is None


PLAIN = ["model=mlp", "model.width=8", "data.subset=60", "data.batch_size=20", "budget.epochs=1"]


def test_members_of_a_stack_are_estimated_as_such(monkeypatch):
    """Where an update of eight runs together takes half as long as one of a run alone."""
    [plan] = plan_command([*PLAIN[:-1], "budget.epochs=10000"], lambda id: None)
    found = Findings({1: 1.0, 8: 0.5})
    monkeypatch.setattr("paribus.extras.stack.decision.explore", lambda *of, **options: found)
    alone, together = (measure(plan.cells[0], size)[2] for size in (1, 8))
    assert together < alone / 4
