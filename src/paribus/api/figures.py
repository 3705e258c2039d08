"""Figures from Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from paribus.api.runs import TrainedRun
from paribus.api.words import own_hydra, words
from paribus.base.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from paribus.base.metrics import Metrics
    from paribus.report.study import Study

Figures = Literal[
    "learning_curves_epochs",
    "learning_curves_updates",
    "learning_curves_seconds",
    "sensitivity",
    "forest",
    "seeds",
    "batch_times",
    "best_of_k",
    "performance_profile",
    "time_to_target",
    "path",
    "heat_map",
    "interaction",
    "over_numbers",
    "regimes",
    "speed_profile",
    "critical_difference",
    "training",
    "gradient_over_loss",
    "edge_of_stability",
]


def figure(
    kind: Figures,
    *what: str | TrainedRun | Mapping[str, Iterable[TrainedRun | str]],
    title: str | None = None,
    regime: str | None = None,
    metrics: Sequence[str] = (),
    mix: Sequence[str] = (),
    width: str | float = "column",
    **settings: Any,
) -> Figure:
    """One of the figures that `paribus figures` writes.

    what: of an ablation or the newest sweep, words of the command line: figure("forest", ablation="norms").
        Of a run ("training", "gradient_over_loss", "edge_of_stability"), the run or its id.
        Of runs that you put together, a mapping of runs or ids: figure("seeds", {"small": runs, "large": others}).
    title: of runs that you put together. regime: which one, where an ablation has several.
    metrics: of learning curves, those that are drawn; of other figures, the first is what arms are compared by.
    mix: something that the runs may differ in.
    width: column, text or inches, as in `paribus figures --width`.

    The caption, which says what was compared, how often and how sure, is the figure's label: `figure.get_label()`.

    Raises UserError for an unknown kind, and where the records don't support the figure, with the reason.
    """
    from paribus.report.figures import catalogue, named
    from paribus.report.figures.style import inches

    wide = inches(str(width))
    with own_hydra():
        if kind in named.OF_RUNS:
            return _found(kind, dict(catalogue.of_run(*_history(kind, what, words((), settings)), wide))[kind])
        if kind not in named.OF_ABLATIONS:
            raise UserError(f"a figure is one of {', '.join((*named.OF_ABLATIONS, *named.OF_RUNS))}, got {kind!r}")
        groups = [each for each in what if isinstance(each, Mapping)]
        if groups:
            if len(what) > 1 or settings:
                raise UserError("runs that you put together are one mapping, name -> runs, and nothing beside it")
            runs = {name: [_run(each) for each in of] for name, of in groups[0].items()}
            if (x := catalogue.CURVES.get(kind)) is not None:
                return _curves(title or " and ".join(runs), runs, metrics, x, wide)
            studies = [_put_together(runs, title, metrics, mix)]
        else:
            compared = () if kind in catalogue.CURVES else metrics
            studies = _studies(tuple(str(each) for each in what), settings, mix, compared)
        if kind in catalogue.OF_STUDIES:
            return _found(kind, catalogue.OF_STUDIES[kind](studies[0].name.partition(" [")[0], studies, wide))
        [(_, drawn)] = catalogue.of_study(_one(studies, regime), [kind], wide, metrics)
        return _found(kind, drawn)


def _curves(
    title: str, runs: Mapping[str, Sequence[TrainedRun]], metrics: Sequence[str], x: str, width: float
) -> Figure:
    """Curves need no comparison of their runs, so any runs may stand beside each other."""
    from paribus.base.metrics import Metrics
    from paribus.report.curves import curve_keys
    from paribus.report.figures.learning import learning_curves
    from paribus.store.declared import agreed

    histories = {name: [run.store.history(run.id) for run in of] for name, of in runs.items()}
    records = [run.record for of in runs.values() for run in of]
    known = Metrics(metric for record in records for metric in record.known.values())
    logged = {column for of in histories.values() for history in of for column in history}
    keys = [agreed(metric, records) for metric in tuple(metrics) or curve_keys(known, logged)]
    return learning_curves(title, histories, keys, x, width=width)


def _run(given: TrainedRun | str) -> TrainedRun:
    """The run, or that of an id."""
    from paribus.config.outputs import store_of

    if isinstance(given, TrainedRun):
        return given
    store = store_of(None)
    return TrainedRun(store.find(given), store)


def _found(kind: str, drawn: Any) -> Figure:
    from paribus.report.figures.catalogue import Missing

    if isinstance(drawn, Missing):
        raise UserError(f"{kind} can't be drawn: {drawn.reason}")
    made: Figure = drawn
    return made


def _history(kind: str, what: Sequence[Any], settings: Sequence[str]) -> tuple[str, Any, Metrics]:
    """Title and history of the one run that is named, and the metrics that it declares."""
    from paribus.config.outputs import outputs_folder
    from paribus.report.figures.named import title_of
    from paribus.store.store import Store

    if len(what) != 1 or isinstance(what[0], Mapping):
        raise UserError(f"{kind} is of one run: give the run, or its id")
    run = what[0]
    if not isinstance(run, TrainedRun):
        store = Store(outputs_folder(settings))
        run = TrainedRun(store.find(run), store)
    return title_of(run.record), run.store.history(run.id), run.record.known


def _studies(
    overrides: tuple[str, ...], settings: Mapping[str, Any], mix: Sequence[str], metrics: Sequence[str]
) -> list[Study]:
    from paribus.report.collect import studies

    return studies(words(overrides, settings), mix, metrics=metrics)


def _put_together(
    groups: Mapping[str, Sequence[TrainedRun]], title: str | None, metrics: Sequence[str], mix: Sequence[str]
) -> Study:
    from paribus.report.collect import default_metrics
    from paribus.report.study import study

    runs = {run.id: run for of in groups.values() for run in of}
    return study(
        title or " and ".join(groups),
        {name: [run.record for run in of] for name, of in groups.items()},
        tuple(metrics) or default_metrics(run.record for run in runs.values()),
        None,
        lambda id: runs[id].record if id in runs else None,
        lambda id: runs[id].store.history(id),
        mix,
    )


def _one(studies: Sequence[Study], regime: str | None) -> Study:
    """The only one, or that of a regime."""
    names = [each.regime or each.name for each in studies]
    if regime is None and len(studies) == 1:
        return studies[0]
    if regime not in names:
        raise UserError(f"this has several parts: regime=... is one of {', '.join(names)}, got {regime!r}")
    return studies[names.index(regime)]
