import hashlib
import json

import pytest

from paribus.base.errors import UserError
from paribus.config import identity
from paribus.config.identity import Identities, Repair, budget, run_id, semantics, world_size
from paribus.config.targets import hashed_name

HARMLESS = [
    "logger=csv",
    "paths.outputs=/elsewhere",
    "group=g",
    "tags=[a]",
    "callbacks=[default,grad_monitor]",
    "trainer.threads=1",
    "data.workers=3",
    "optimized_metric=val/loss",
    "evaluation.batch_size=7",
    "budget.epochs=20",  # what the data set recommends anyway
    "batch_size=b64",
    "optimizer.momentum=0.90",
]
MEANINGFUL = [
    "seed=1",
    "seeds.order=1",
    "norm=layer",
    "norm=[batch,weight]",
    "optimizer.lr=0.049",
    "budget.epochs=21",
    "budget.updates=380",
    "callbacks=[default,ema]",
    "callbacks=[default,early_stopping]",
    "trainer.precision=64-true",
    "trainer=ddp_sim",
    "evaluation.checkpoint=best",
    "data.label_noise=0.1",
    "decay=all",
    "clip.norm=1",
    "augmentation=mixup",
    "data.batch_size=63",
]


@pytest.mark.parametrize("override", HARMLESS)
def test_labels_places_and_observers_do_not_change_the_id(compose, override):
    assert run_id(compose(override)) == run_id(compose())


def test_everything_that_can_change_the_result_changes_the_id(compose):
    ids = [run_id(compose(override)) for override in ("seed=0", *MEANINGFUL)]
    assert len(set(ids)) == len(ids)


def test_the_order_of_keys_and_the_form_of_numbers_do_not_matter(compose):
    config = compose("optimizer.lr=1")
    backwards = dict(reversed(config.items()))
    backwards["optimizer"] = {**dict(reversed(config["optimizer"].items())), "lr": 1.0}
    assert run_id(backwards) == run_id(config)


def test_an_unknown_key_counts(compose):
    assert run_id(compose("+new_idea=true")) != run_id(compose())


@pytest.mark.needs("curvature")
def test_a_callback_is_judged_by_its_class_and_not_by_its_key(compose):
    plain = run_id(compose())
    assert run_id(compose("+callbacks.plateau={_target_: mycb.Zero}")) != plain
    assert run_id(compose("callbacks=[default,sharpness]", "callbacks.sharpness._target_=mycb.Zero")) != plain
    assert run_id(compose("callbacks.progress._target_=mycb.Zero")) != plain
    assert (
        run_id(compose("+callbacks.mine={_target_: paribus.extras.curvature.sharpness.Sharpness, every: 5}")) == plain
    )
    assert run_id(compose("callbacks.progress=null")) == plain
    assert run_id(compose("+callbacks.mine.every=5")) != plain  # of no class that is known


@pytest.mark.parametrize(
    "logger",
    ["{_target_: pytorch_lightning.loggers.MLFlowLogger, experiment_name: a}",
     "{_target_: lightning.pytorch.loggers.CSVLogger, save_dir: logs}", "{_target_: mine.Logger}", "null"],
)  # fmt: skip
def test_no_logger_counts_whoever_wrote_it(logger, compose):
    assert run_id(compose(f"+logger.rows={logger}")) == run_id(compose())


def test_a_folder_of_fixed_content_is_a_place_and_any_other_counts(compose):
    def differ(*overrides, key):
        return run_id(compose(*overrides, f"{key}=/a")) != run_id(compose(*overrides, f"{key}=/b"))

    for data in ("mnist", "fashion_mnist", "cifar10", "cifar100"):
        assert not differ(f"data={data}", key="data.source.root")
    assert differ("data=image_folder", key="data.source.root")
    assert differ("data=huggingface", key="data.source.path")
    assert differ("data=mnist", "data.source._target_=mine.Source", key="data.source.root")
    assert differ("data.source._target_=mine.Source", key="+data.source.download")


def test_an_added_key_at_its_value_of_before_is_absent(compose, monkeypatch):
    before = {value: run_id(compose(f"clip.norm={value}")) for value in ("null", "1")}
    assert run_id(compose("repetition=1")) != run_id(compose("repetition=0"))
    monkeypatch.setattr(identity, "ADDED", {**identity.ADDED, "clip.kind": "global", "aim": "classes"})
    for value, id in before.items():
        assert run_id(compose(f"clip.norm={value}", "+clip.kind=global", "+aim=classes")) == id
        assert run_id(compose(f"clip.norm={value}", "+clip.kind=blockwise", "+aim=classes")) != id
        assert run_id(compose(f"clip.norm={value}", "+clip.kind=global", "+aim=numbers")) != id


def test_a_repaired_part_concerns_only_the_runs_that_use_it(compose, monkeypatch):
    before = {value: run_id(compose(f"clip.norm={value}")) for value in ("null", "1")}
    repair = Repair(2, lambda config: config["clip"]["norm"] is not None)
    monkeypatch.setattr(identity, "REPAIRS", {"clip": repair})
    assert run_id(compose("clip.norm=null")) == before["null"]
    assert run_id(compose("clip.norm=1")) != before["1"]
    assert semantics(compose("clip.norm=1"))["versions"] == {"clip": 2}


def test_the_source_is_named_but_not_its_folder(compose):
    here, there = compose("data=mnist", "data.source.root=/a"), compose("data=mnist", "data.source.root=/b")
    assert run_id(here) == run_id(there)
    assert semantics(here)["data"]["source"]["name"] == "mnist"


def test_exactly_one_budget(compose):
    assert budget(compose()) == {"epochs": 20}
    assert budget(compose("budget.seconds=1.5")) == {"seconds": 1.5}
    with pytest.raises(
        UserError, match=r"exactly one budget.*budget.epochs=2 and budget.updates=3.*budget.epochs=null"
    ):
        budget(compose("budget.epochs=2", "budget.updates=3"))


@pytest.mark.parametrize(
    "override", ["budget.epochs=0", "budget.updates=1.5", "budget.samples=true", "budget.seconds=x"]
)
def test_a_budget_is_a_positive_number(compose, override):
    with pytest.raises(UserError, match=override.partition("=")[0]):
        budget(compose(override))


def test_world_size(compose):
    assert world_size(compose("trainer=ddp_sim", "trainer.num_nodes=3")) == 6
    with pytest.raises(UserError, match=r"trainer.devices.*'auto'"):
        world_size(compose("trainer.devices=auto"))


def test_ids_are_those_of_the_canonical_json_whatever_sections_are_shared(compose):
    """The definition, written out; an id must not depend on what was identified before."""

    def whole(value):
        if isinstance(value, dict):
            return {key: hashed_name(item) if key == "_target_" else whole(item) for key, item in value.items()}
        if isinstance(value, list):
            return [whole(item) for item in value]
        return int(value) if isinstance(value, float) and value.is_integer() else value

    identities = Identities()
    config = compose()
    for override in ("seed=0", *HARMLESS, *MEANINGFUL, "seed=0"):
        other = compose(override)
        shared = {key: config[key] if config.get(key) == item else item for key, item in other.items()}
        text = json.dumps(whole(semantics(other)), sort_keys=True, separators=(",", ":"))
        expected = hashlib.sha256(text.encode()).hexdigest()[:16]
        assert identities(shared) == run_id(other) == expected


def test_a_metric_counts_where_it_chooses_weights_or_ends_a_run(compose):
    plain = run_id(compose())
    assert run_id(compose("metrics=[f1,auroc]")) == run_id(compose("metrics=f1", "metrics.f1.average=micro")) == plain
    best = [
        run_id(compose("metrics=f1", "evaluation.monitor=val/f1", *more)) for more in ([], ["metrics.f1.unit=null"])
    ]
    micro = run_id(compose("metrics=f1", "evaluation.monitor=val/f1", "metrics.f1.average=micro"))
    lower = run_id(compose("metrics=f1", "evaluation.monitor=val/f1", "metrics.f1.better=lower"))
    assert best[0] == best[1]
    assert len({plain, best[0], micro, lower}) == 4
    stopping = ("callbacks=[default,early_stopping]", "callbacks.early_stopping.monitor=val/f1", "metrics=[f1,auroc]")
    assert run_id(compose(*stopping)) == run_id(compose(*stopping, "metrics.auroc.average=weighted"))
    assert run_id(compose(*stopping)) != run_id(compose(*stopping, "metrics.f1.average=micro"))


def test_the_metric_that_a_schedule_follows_counts_with_its_direction(compose):
    """Ids of before, when a plateau followed val/loss without saying so, stay."""
    plateau = compose("scheduler=plateau")
    before = {key: value for key, value in plateau["scheduler"].items() if key != "monitor"}
    assert run_id(plateau) == run_id({**plateau, "scheduler": before})
    followed = ("metrics=[f1,auroc]", "scheduler=plateau", "scheduler.monitor=val/f1")
    others = [
        run_id(compose(*line))
        for line in (
            ("scheduler=plateau", "scheduler.monitor=val/acc"),
            (
                "scheduler=plateau",
                "scheduler.monitor=val/acc",
                "task.metrics.acc.better=lower",
                "task.monitor=val/loss",
            ),
            ("scheduler=plateau", "task.metrics.loss.better=higher"),
            followed,
            (*followed, "metrics.f1.average=micro"),
            (*followed, "metrics.f1.better=lower"),
        )
    ]
    assert len({run_id(plateau), *others}) == 7
    assert run_id(compose(*followed, "metrics.auroc.average=weighted")) == others[3]
