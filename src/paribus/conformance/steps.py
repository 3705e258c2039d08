"""The steps of a check, each by the code that does the same before and in a sweep."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from paribus.ablation.command import plan_command
from paribus.base.errors import Interrupted, UserError
from paribus.base.signals import asked_to_stop
from paribus.config.composer import Composer
from paribus.config.identity import BUDGET_UNITS
from paribus.config.nodes import name_of, target_of, warmup_updates
from paribus.config.run import Run
from paribus.config.task import LIGHTNING
from paribus.conformance.options import Option
from paribus.store.record import Record
from paribus.store.store import Store
from paribus.sweep.grouping import grouping

STEPS = ("composes", "builds", "trains", "resumes", "stacks", "norm")
EPOCHS, STOPS = 2, 3  # of the short run, and how often it is stopped
BATCHES = 2.5  # of an epoch of it: the last one is ragged
FEW = 100  # samples, where a batch holds all of them
_CHECKPOINTS = {"_target_": "paribus.callback.Checkpoints"}
_OTHERS = {"seed": 1, "seeds.init": 1, "seeds.order": 1, "seeds.augmentation": 1}


@dataclass
class Checked:
    """What came of an option. found: step -> yes, no or a remark; a step that was not reached is missing.

    faults: step -> why it failed, and what to do. remarks: step -> what is no fault, and good to know.
    """

    option: Option
    found: dict[str, str] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """Plain values."""
        own = {"group": self.option.group, "option": self.option.name, "file": str(self.option.path)}
        return {**own, "steps": self.found, "faults": self.faults, "remarks": self.remarks}


class Failed(Exception):
    """A step that can't be taken; what follows is left out."""


def check(option: Option, overrides: Sequence[str], composer: Composer) -> Checked:
    """All steps of one option, on a few samples, in a folder that is removed. Raises nothing that is its fault.

    overrides: beside the option, such as data=mine.
    """
    checked = Checked(option)

    def composed(*more: str) -> Run:
        return composer([option.override, *overrides, *more]).run

    with tempfile.TemporaryDirectory(prefix="paribus-check-") as folder, contextlib.suppress(Failed):
        with _step(checked, "composes"):
            runs = _arms(option, overrides, composer) if option.group == "ablation" else [composed()]
        with _step(checked, "builds"):
            if option.group == "model" and _makes_norms(runs[0]) and not any(map(_is_norm, overrides)):
                runs = [composed("norm=own")]
            built = _Built(runs)
        short = built.short(folder)
        with _step(checked, "trains"):
            record, stops = _train(short)
        with contextlib.suppress(Failed), _step(checked, "resumes"):
            _compare(record, Store(folder), stops)
            if not stops:
                checked.remarks["resumes"] = "it was trained twice with the same bits, but could not be stopped between"
        with contextlib.suppress(Failed), _step(checked, "stacks"):
            if (reason := built.refusal(short)) is not None:
                checked.found["stacks"], checked.remarks["stacks"] = "alone", reason
        if option.group in ("model", "task"):
            with _step(checked, "norm"):
                checked.found["norm"] = _norm(composed)
    return checked


@contextlib.contextmanager
def _step(checked: Checked, name: str) -> Iterator[None]:
    """A step whose failure is noted; what it tells a person is not shown. Raises Failed."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    except (Interrupted, KeyboardInterrupt):
        raise
    except Exception as error:  # whatever another's code raises
        checked.found[name] = "no"
        checked.faults[name] = str(error) if isinstance(error, UserError) else _described(error)
        raise Failed from error
    checked.found.setdefault(name, "yes")


def _described(error: Exception) -> str:
    from paribus.run.alone import place

    return f"{type(error).__name__}: {error}{place(error)}. Correct it there"


def _arms(option: Option, overrides: Sequence[str], composer: Composer) -> list[Run]:
    """A run of each arm of an ablation, the baseline first."""
    plans = plan_command([option.override, *overrides], lambda id: None, composer)
    cells = [cell for plan in plans for cell in plan.cells]
    return list({cell.arm: cell.run for cell in reversed(cells)}.values())[::-1]


def _is_norm(override: str) -> bool:
    return override.lstrip("+").startswith("norm")


def _makes_norms(run: Run) -> bool:
    """Whether the network makes its norms itself, if it has any."""
    from paribus.run.instantiate import asked_for

    return not asked_for("model", run.model, norm=None)


class _Built:
    """Runs that came through preflight, with the setting and the data of the first of them."""

    def __init__(self, runs: Sequence[Run]):
        from paribus.run import build
        from paribus.run.preflight import Preflight

        preflight = Preflight()
        for run in runs:
            preflight.check(run)
        self.run = runs[0]
        self.lightning = self.run.task.target == LIGHTNING
        self.setting = None if self.lightning else build.build_setting(self.run)
        self.data = None if self.setting is None else build.build_data(self.run, self.setting)

    def short(self, folder: str) -> Run:
        """The run on a few samples, with checkpoints and without loggers."""
        from paribus.run import build

        run = self.run
        values: dict[str, Any] = {
            "budget": {**dict.fromkeys(BUDGET_UNITS), "epochs": EPOCHS},
            "paths.outputs": folder,
            "trainer.threads": run.trainer.threads or 1,
            "logger": {},
            "stack": "off",
        }
        if not any(target_of(node) == _CHECKPOINTS["_target_"] for node in run.callback_nodes.values()):
            values["callbacks"] = {**run.callback_nodes, "checkpoints": _CHECKPOINTS}
        if self.data is None:
            limits = {f"limit_{name}_batches": 2 for name in ("train", "val", "test")}
            values["trainer.flags"] = {**limits, **run.trainer.flags}
        else:
            number = len(self.data.splits.train)
            few = FEW if run.data.batch_size == "full" else int(BATCHES * self.data.base_batch_size)
            if few < number:
                values["data.subset"] = few
            if (warmup_updates(run.scheduler) or 0) > EPOCHS:
                values["scheduler.warmup"] = 0
        short = run.but(values)
        if self.data is not None:
            build.keep_splits(short.data)  # it is built five times
        return short

    def refusal(self, short: Run) -> str | None:
        """Why runs with other seeds can't be trained with this one as one job."""
        from paribus.run import build

        setting = data = None
        if self.setting is not None:
            setting = build.build_setting(short)
            data = build.build_data(short, setting)
        return grouping().refusal([short, short.but(_OTHERS)], setting, data)


def _train(run: Run) -> tuple[Record, int]:
    """(record, how often it was stopped) of a run that is stopped again and again."""
    from paribus.run.execute import train
    from paribus.sweep.ranks import run_ranks

    stops = 0
    record: Record | None = None
    while record is None:
        stopping = run.processes == 1 and stops < STOPS
        try:
            with asked_to_stop() if stopping else contextlib.nullcontext():
                record = train(run, {}, [], run_ranks, checked=stops > 0)
        except Interrupted:
            if not stopping:
                raise
            stops += 1
    if record.status != "done":
        raise UserError(
            f"the loss was not finite after {record.timing.get('steps', 0):.0f} updates. Try a smaller learning rate, "
            f"or look at what {name_of(run.model)} and {name_of(run.loss)} compute"
        )
    return record, stops


def _compare(record: Record, store: Store, stops: int) -> None:
    """Raises UserError where the run that was stopped differs from one that was not."""
    from paribus.run.rerun import rerun
    from paribus.sweep.ranks import run_ranks

    for each in rerun(record, store, run_ranks, store.root):
        if each.difference is not None:
            raise UserError(
                f"a run that was stopped and resumed {stops} times differs from one that was not, first in its "
                f"{each.what}: {each.difference}. Keep what the code counts in buffers (register_buffer), and let it "
                "draw random numbers from torch only"
            )


def _norm(composed: Callable[..., Run]) -> str:
    """How norm= acts on the network. Raises UserError where the network asks for norms and does not use them."""
    from paribus.run import build
    from paribus.run.preflight import Preflight
    from paribus.techniques.norms.convert import replace_norms

    run = composed("norm=none")
    if run.task.target == LIGHTNING:
        try:
            Preflight().check(run)
        except UserError:
            return "none"
        return "replaced"
    setting = build.build_setting(run)
    if _makes_norms(run):
        network = build.build_network(composed("norm=own"), setting, pretrained=False)
        number = len(replace_norms(network, None))
        return f"{number} replaced" if number else "none"
    parts = []
    for each in (run, composed("norm=rms")):
        network = build.build_network(each, setting, pretrained=False)
        parts.append([(name, type(module)) for name, module in network.named_modules()])
    if parts[0] == parts[1]:
        raise UserError(
            f"model={name_of(run.model)} takes an argument norm and does not use it, so arms with different norms "
            "would have equal results. Put norm(channels, layout) into the network, or drop the argument"
        )
    return "given"
