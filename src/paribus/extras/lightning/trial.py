"""The trial of a module: one batch of training, validation and test, in a process of its own.

Constructors and steps of others may do anything, so they are not run on the meta device, and what they do to their
process does not reach the one that plans. The trial has the first batches, no loggers, and no callbacks of the user's.
"""

from __future__ import annotations

import functools
import inspect
import tempfile
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from paribus.base.errors import UserError
from paribus.base.forked import apart
from paribus.base.terminal import say
from paribus.config.nodes import class_of
from paribus.config.run import Run
from paribus.run.alone import place
from paribus.run.instantiate import check_arguments

LIMIT = 600.0  # seconds
MOST = 16  # batches without an update
_CONSEQUENCE = {"training": "nothing would be learned", "validation": "nothing would be validated"}


def try_batches(run: Run) -> None:
    """Raises UserError for what can't work: arguments, a step, a metric that is never logged, a checkpoint that would
    not load."""
    check_arguments("task.module", run.task.node["module"])
    if run.task.node.get("datamodule") is not None:
        check_arguments("task.datamodule", run.task.node["datamodule"])
    for kind, nodes in (("callbacks", run.callback_nodes), ("logger", run.logger_nodes)):
        for name, node in nodes.items():
            check_arguments(f"{kind}.{name}", node)
    ended = apart(functools.partial(_tried, run), LIMIT)
    if not ended.result:
        how = "ended its process while it trained one batch." + ended.last_words
        if ended.code is None:
            how = f"did not train one batch within {LIMIT:g} s. Look at its data and its steps"
        raise UserError(f"{_named(run)} {how}")
    fault, remark = ended.result[0]
    if fault is not None:
        raise UserError(fault)
    if remark is not None:
        say(remark)


def _tried(run: Run) -> tuple[str | None, str | None]:
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # nobody sees them, and what they warn of is an error here
    try:
        return None, _train_a_batch(run.but({"trainer.threads": 1}))
    except UserError as error:
        return str(error), None
    except Exception as error:  # whatever another's code raises
        return f"{_named(run)} can't be trained: {type(error).__name__}: {str(error)[:500]}{place(error)}", None


def _train_a_batch(run: Run) -> str | None:
    """Raises UserError for what is known to fail; what may be missing."""
    from paribus.extras.lightning import driver
    from paribus.extras.lightning.callbacks import user_callbacks
    from paribus.extras.lightning.ledger import Ledger, history_logger
    from paribus.extras.lightning.logged import NotLogged, check_logged

    lightning = driver.Lightning.of(run)
    parts = lightning.parts
    user_callbacks(run, parts.library)
    ledger = Ledger(None, run.declared, run.evaluation.monitor)
    with tempfile.TemporaryDirectory() as folder:
        lightning.trainer([], [], Path(folder))  # with the processes and the strategy of the run, which a trial has not
        keeper, _ = lightning.callbacks(ledger, Path(folder))
        keeper.every_seconds, keeper.progress = LIMIT, None
        history = history_logger(parts.library.get("loggers.logger.Logger"), lambda values: None, folder)
        end = _end_of_trial(parts.library.pl.Callback, keeper)
        trainer = lightning.trainer([keeper, end], [history], Path(folder), **_one_batch(run))
        keeper.watch(trainer, parts.source)
        with driver.quiet():
            trainer.fit(parts.module, datamodule=parts.datamodule)
        _check_data(run, trainer)
        _check_learning(run, trainer, end)
        _check_length(run, keeper)
        remark = _may_not_end(run, trainer)
        _check_factories(run, parts, trainer)
        logged = driver.numbers(trainer.callback_metrics)
        _check_schedulers(trainer, logged)
        logged.update(driver.test(lightning, trainer))
    if not logged:
        raise UserError(
            f"{_named(run)} logs nothing, so its record would hold no result. Log what you want to know in "
            "training_step, validation_step or test_step: self.log('val/loss', loss)"
        )
    try:
        check_logged(run, logged)
    except NotLogged as error:
        several = any(key.startswith(f"{error.name}/dataloader_idx_") for key in logged)
        if error.name.rpartition("/")[2] in _source_of(type(parts.module)) and not error.needed and not several:
            return f"{error} It may do so later than in a first batch, so the run is trained."
        raise
    return remark


def _one_batch(run: Run) -> dict[str, Any]:
    """Arguments of the Trainer. What schedulers are made of (epochs, updates, batches) stays as in the run."""
    flags = run.trainer.flags
    return {
        "devices": 1,
        "num_nodes": 1,
        "strategy": "auto",
        "profiler": None,
        "limit_val_batches": 0 if flags.get("limit_val_batches") == 0 else 1,
        "limit_test_batches": 0 if flags.get("limit_test_batches") == 0 else 1,
        "check_val_every_n_epoch": 1,
        "log_every_n_steps": 1,
        "min_epochs": None,
        "min_steps": None,
    }


def _end_of_trial(base: type, keeper: Any) -> Any:
    """A callback that ends a training after the first update; where none comes, after some batches.

    learns: whether the module has returned a loss, or takes its steps itself. lost: what of the first batch is not
    finite, where the loss is not either.
    """

    def on_train_batch_end(self: Any, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.learns = self.learns or bool(outputs) or not pl_module.automatic_optimization
        if keeper.losses is not None and not bool(keeper.losses.isfinite().all()):
            self.lost = self.lost or not_finite(batch)
        updated = trainer.global_step > 0 and self.learns
        trainer.should_stop = trainer.should_stop or updated or batch_idx + 1 >= MOST

    members = {"learns": False, "lost": "", "on_train_batch_end": on_train_batch_end}
    return type("EndOfTrial", (base,), members)()


def not_finite(batch: Any, where: str = "batch") -> str:
    """The place of the first tensor in a batch that holds nan or inf; empty where there is none."""
    if hasattr(batch, "isfinite"):
        return "" if bool(batch.isfinite().all()) else where
    named = batch.items() if isinstance(batch, Mapping) else enumerate(batch) if isinstance(batch, list | tuple) else ()
    return next((found for key, each in named if (found := not_finite(each, f"{where}[{key!r}]"))), "")


def _check_data(run: Run, trainer: Any) -> None:
    """Every loader that is asked for has batches."""
    validates = run.trainer.flags.get("limit_val_batches") != 0
    for part, numbers in (("training", [trainer.num_training_batches]), ("validation", trainer.num_val_batches)):
        if (part == "training" or validates) and any(number == 0 for number in numbers):
            raise UserError(
                f"the {part} loader has no batches, so {_CONSEQUENCE[part]}. It may have a batch_size larger than its "
                "data set with drop_last=True, or an empty data set"
            )


def _check_learning(run: Run, trainer: Any, end: Any) -> None:
    if end.lost:
        raise UserError(
            f"the loss of the first batch of training is not finite, and neither are numbers in its {end.lost}: every "
            "run would diverge. Correct the data set, or the part of it that may be used"
        )
    own = {id(p) for p in trainer.lightning_module.parameters()}
    trained = any(id(p) in own for each in trainer.optimizers for group in each.param_groups for p in group["params"])
    if trainer.lightning_module.automatic_optimization and not (end.learns and trained):
        lacks = "training_step returned no loss"
        if not trained:
            lacks = "configure_optimizers returned no optimizer of the module's parameters"
        raise UserError(
            f"{lacks}, so {_named(run)} would learn nothing. Return it, or let the module take its steps: "
            "self.automatic_optimization = False"
        )


def _check_schedulers(trainer: Any, logged: Mapping[str, float]) -> None:
    """A scheduler that follows a metric steps at the end of an epoch, which a trial does not reach."""
    for config in trainer.lr_scheduler_configs:
        if config.reduce_on_plateau and config.strict and config.monitor not in logged:
            raise UserError(
                f"{type(config.scheduler).__name__} follows {config.monitor}, and the module logs "
                f"{', '.join(sorted(logged)) or 'nothing'}. Correct `monitor` in configure_optimizers"
            )


def _check_length(run: Run, keeper: Any) -> None:
    """An epoch must end, and only a length says that it does."""
    if run.length.unit != "epochs" or run.trainer.flags.get("limit_train_batches") is not None:
        return
    for loader in keeper.loaders:
        if not _has_length(loader):
            raise UserError(
                f"the training loader ({type(getattr(loader, 'dataset', loader)).__name__}) has no length, so nobody "
                f"knows whether an epoch of budget.epochs={run.length.amount} ends. Use budget.updates, "
                "budget.samples or budget.seconds, give its data set a __len__, or say how many batches make an "
                "epoch: trainer.flags.limit_train_batches=NUMBER"
            )


def _may_not_end(run: Run, trainer: Any) -> str | None:
    found = trainer.val_dataloaders
    for loader in found if isinstance(found, list | tuple) else [found]:
        if loader is not None and run.trainer.flags.get("limit_val_batches") is None and not _has_length(loader):
            return (
                "the validation loader has no length. If it never ends, the first validation will not end either; "
                "trainer.flags.limit_val_batches=NUMBER bounds it."
            )
    return None


def _has_length(loader: Any) -> bool:
    try:
        len(loader)
    except (TypeError, NotImplementedError):
        return False
    return True


def _check_factories(run: Run, parts: Any, trainer: Any) -> None:
    """What a group gives to the constructor must be used, or arms that differ in it would have equal results."""
    if parts.optimizer is not None and not parts.optimizer.used:
        raise UserError(
            f"optimizer={class_of(run.optimizer).lower()} has no effect: {_named(run)} takes an argument optimizer and "
            "does not call it in configure_optimizers. Leave optimizer out"
        )
    if parts.scheduler is not None and not any(
        config.scheduler is made for config in trainer.lr_scheduler_configs for made in parts.scheduler.made
    ):
        raise UserError(
            f"scheduler={class_of(run.scheduler).lower()} has no effect: {_named(run)} takes an argument scheduler, "
            "and configure_optimizers does not return what it makes. Leave scheduler out"
        )


def _source_of(kind: type) -> str:
    texts = []
    for each in kind.__mro__:
        with suppress(OSError, TypeError):
            if not each.__module__.startswith(("torch", "pytorch_lightning", "lightning", "builtins")):
                texts.append(inspect.getsource(each))
    return "\n".join(texts)


def _named(run: Run) -> str:
    return f"task.module ({run.task.node['module']['_target_']})"
