"""The loop against a loop written out by hand, and what happens in each update."""

import csv
import math

import pytest
import torch
import yaml

from paribus.config.compose import load, resolved
from paribus.config.run import Run
from paribus.run import build
from paribus.run.fit import build_callbacks, build_loop, build_trainer, quiet_lightning
from paribus.run.loop import Loop
from paribus.store.history import HistoryWriter

BASE = [
    "model=mlp",
    "model.width=16",
    "data.subset=50",
    "data.batch_size=20",
    "budget.epochs=3",
    "callbacks=[none]",
    "trainer.precision=64-true",
    "optimizer.fused=false",
]


def trained(tmp_path, *overrides, base=BASE):
    run = Run.parse(resolved(load([*base, *overrides])))
    setting = build.build_setting(run)
    data = build.build_data(run, setting)
    loop = build_loop(run, setting, HistoryWriter(tmp_path / "history.csv"))
    trainer = build_trainer(run, build_callbacks(run, tmp_path), [], tmp_path)
    with quiet_lightning():
        trainer.fit(loop, datamodule=data)
    return run, loop


def validations(loop, metric):
    """The column of the history."""
    loop.journal.history.flush()
    with open(loop.journal.history.path) as file:
        return [float(row[metric]) for row in csv.DictReader(file) if row[metric]]


def by_hand(run, *, clip=None, factor=lambda step, horizon: 1.0, epochs=3):
    """Plain PyTorch: the same data, order and initial weights."""
    setting = build.build_setting(run)
    data = build.build_data(run, setting)
    network = build.build_network(run, setting).double()
    optimizer = build.build_optim(run, network)
    rates = [group["lr"] for group in optimizer.param_groups]
    x, y = data.splits.train.x.double(), data.splits.train.y
    updates = [indices for epoch in range(epochs) for indices in data.plan.epoch(epoch)]
    for step, indices in enumerate(updates):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor(step, len(updates))
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(x[indices]), y[indices]).backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(network.parameters(), clip)
        optimizer.step()
    return network


def assert_same(network, expected):
    for (name, found), wanted in zip(network.state_dict().items(), expected.state_dict().values(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-14, msg=lambda text, name=name: f"{name}: {text}")


def test_the_task_takes_the_updates_of_a_plain_loop(tmp_path):
    run, loop = trained(tmp_path)
    assert loop.trainer.global_step == 9
    assert loop.trainer.current_epoch == 3
    assert_same(loop.network, by_hand(run))


def test_clipping_and_a_schedule_act_on_every_update(tmp_path):
    run, loop = trained(tmp_path, "clip.norm=0.1", "scheduler=cosine")
    expected = by_hand(run, clip=0.1, factor=lambda step, horizon: (1 + math.cos(math.pi * step / horizon)) / 2)
    assert_same(loop.network, expected)


def counted(calls):
    backward = Loop._backward

    def count(loop, x, y, size):
        calls.append(size)
        backward(loop, x, y, size)

    return count


def test_accumulation_changes_memory_and_not_the_updates(tmp_path, monkeypatch):
    """Without batch statistics the gradient of a batch is that of its parts."""
    calls = []
    monkeypatch.setattr(Loop, "_backward", counted(calls))
    run, loop = trained(tmp_path, "norm=layer", "trainer.accumulate=4", "data.batch_size=9")
    sizes = {share for [share] in loop.data.batch_shares()}
    assert any(len(torch.arange(size).chunk(4)) != 4 for size in sizes)  # chunk would make other numbers of parts
    assert len(calls) == 4 * loop.trainer.global_step
    for found, wanted in zip(loop.network.parameters(), by_hand(run).parameters(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)


def test_the_learning_rate_follows_the_batch_size_by_rule(run_of):
    for rule, factor in (("none", 1.0), ("linear", 4.0), ("sqrt", 2.0)):
        run = run_of("data.batch_size=256", f"lr_scaling.rule={rule}")
        network = torch.nn.Linear(2, 2)
        assert build.build_optim(run, network).param_groups[0]["lr"] == pytest.approx(0.05 * factor)


def test_the_batch_grows_where_a_schedule_says_so(tmp_path):
    _, loop = trained(
        tmp_path,
        "scheduler=batch_growth",
        "scheduler.milestones=[0.5]",
        "scheduler.growth=2",
        "data.batch_size=10",
        "budget.epochs=4",
    )
    assert [loop.data.plan.batch_size_at(epoch) for epoch in range(4)] == [10, 10, 20, 20]
    assert loop.trainer.global_step == 5 + 5 + 3 + 3
    assert loop.data.cursor.samples == 200


@pytest.mark.parametrize(
    ("budget", "steps"),
    [("budget.updates=7", 7), ("budget.samples=70", 4), ("budget.samples=101", 7), ("budget.epochs=2", 6)],
)
def test_a_budget_is_kept_to_the_update(tmp_path, budget, steps):
    _, loop = trained(tmp_path, "budget.epochs=null", budget)
    assert loop.data.cursor.step == steps
    assert "test/acc" in loop.metrics


def test_a_budget_in_seconds_stops_within_an_update_of_it(tmp_path):
    _, loop = trained(tmp_path, "budget.epochs=null", "budget.seconds=0.2", "scheduler=linear")
    assert 0.2 <= loop.data.cursor.seconds < 1.0
    assert loop.metrics["lr"] < 0.05 * 0.2  # the schedule ran over the time


def test_ema_evaluates_with_the_average_and_trains_without_it(tmp_path):
    run, plain = trained(tmp_path)
    _, averaged = trained(tmp_path, "callbacks=[ema]", "callbacks.ema.decay=0.9", "callbacks.ema.warmup=false")
    assert_same(averaged.network, plain.network)
    assert averaged.metrics["val/loss"] != plain.metrics["val/loss"]
    [ema] = [callback for callback in averaged.trainer.callbacks if hasattr(callback, "average")]

    setting = build.build_setting(run)
    network = build.build_network(run, setting).double()
    average = [p.detach().clone() for p in network.parameters()]
    data = build.build_data(run, setting)
    optimizer = build.build_optim(run, network)
    x, y = data.splits.train.x.double(), data.splits.train.y
    for epoch in range(3):
        for indices in data.plan.epoch(epoch):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(x[indices]), y[indices]).backward()
            optimizer.step()
            average = [0.9 * a + 0.1 * p.detach() for a, p in zip(average, network.parameters(), strict=True)]
    for found, wanted in zip(ema.average.values(), average, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)


def test_ema_never_averages_the_vectors_of_spectral_norm(tmp_path):
    _, loop = trained(tmp_path, "callbacks=[ema]", "norm=spectral")
    [ema] = [callback for callback in loop.trainer.callbacks if hasattr(callback, "average")]
    assert not [name for name in ema.average if name.endswith(("_u", "_v"))]
    for name, vector in loop.network.named_buffers():
        if name.endswith(("_u", "_v")):
            assert vector.norm().item() == pytest.approx(1.0)


def test_schedule_free_evaluates_with_statistics_of_its_averaged_weights(tmp_path):
    _, loop = trained(tmp_path, "optimizer=schedulefree_sgd", "budget.epochs=20", base=BASE[:-1])
    before = {key: value.clone() for key, value in loop.network.state_dict().items()}
    assert loop.metrics["train/acc"] > 0.9
    assert loop.metrics["val/acc"] > 0.7
    with loop.evaluation_weights():
        assert any(not torch.equal(value, before[key]) for key, value in loop.network.state_dict().items())
    assert all(torch.equal(value, before[key]) for key, value in loop.network.state_dict().items())


def test_validation_every_few_epochs_and_at_the_end(tmp_path):
    _, loop = trained(tmp_path, "evaluation.every=2", "callbacks=[checkpoints]")
    loop.journal.history.flush()
    rows = (tmp_path / "history.csv").read_text().splitlines()
    column = rows[-1].split(",")
    assert len(rows) == 4
    assert column[-1] != ""


def test_best_weights_are_those_of_the_best_validation(tmp_path):
    _, loop = trained(
        tmp_path,
        "evaluation.checkpoint=best",
        "evaluation.monitor=val/loss",
        "budget.epochs=15",
        "optimizer.lr=0.5",
    )
    assert loop.journal.best_score == loop.metrics["val/loss_best"] == min(validations(loop, "val/loss"))
    loop.network.load_state_dict(loop.trainees[0].best_weights)
    assert loop.engine.evaluate("val")[0]["loss"] == pytest.approx(loop.metrics["val/loss_best"], rel=1e-12)


def test_the_order_the_augmentation_and_the_weights_have_seeds_of_their_own(tmp_path):
    def run(*seeds):
        return trained(tmp_path, "augmentation=mixup", *seeds)[1].network.state_dict()["1.weight"]

    base = run()
    assert torch.equal(base, run())
    for seed in ("seeds.init=1", "seeds.order=1", "seeds.augmentation=1"):
        assert not torch.equal(base, run(seed))


def test_chunks_of_any_length_give_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setattr("paribus.run.loop.CHUNK_SECONDS", 0.0)
    _, single = trained(tmp_path, "data.batch_size=5")
    monkeypatch.setattr("paribus.run.loop.CHUNK_SECONDS", 10.0)
    _, many = trained(tmp_path, "data.batch_size=5")
    assert_same(single.network, many.network)


def test_an_epoch_that_ends_early_does_not_shorten_the_chunks_of_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr("paribus.run.loop.CHUNK_SECONDS", 10.0)
    sizes, step = [], Loop.training_step

    def counted(loop, chunk, number):
        sizes.append(len(chunk.batches))
        return step(loop, chunk, number)

    monkeypatch.setattr(Loop, "training_step", counted)
    _, loop = trained(tmp_path, "data.batch_size=5", "budget.epochs=4")
    in_epoch = loop.data.plan.updates_in(0)
    assert in_epoch > 7
    assert sizes[0] == 1
    assert sizes[-3:] == [in_epoch] * 3


def test_workers_give_the_same_batches_as_resident_samples(tmp_path):
    from PIL import Image

    folder = tmp_path / "images"
    generator = torch.Generator().manual_seed(0)
    for part in ("train", "test"):
        for label in range(3):
            (folder / part / f"c{label}").mkdir(parents=True)
            for number in range(8):
                pixels = torch.randint(0, 256, (8, 8, 3), generator=generator, dtype=torch.uint8).numpy()
                Image.fromarray(pixels).save(folder / part / f"c{label}" / f"{number}.png")
    common = [
        "data=image_folder",
        f"data.source.root={folder}",
        "data.source.image_size=8",
        "~data.subset",
        "+data.subset=null",
        "data.validation=6",
        "data.batch_size=5",
    ]
    _, resident = trained(tmp_path, *common, "data.resident=true")
    _, lazy = trained(tmp_path, *common, "data.resident=false")
    assert_same(lazy.network, resident.network)
    assert lazy.metrics["test/loss"] == pytest.approx(resident.metrics["test/loss"], rel=1e-12)


def test_configs_are_plain_yaml(compose):
    assert yaml.safe_load(yaml.safe_dump(compose())) == compose()
