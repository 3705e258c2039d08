"""Section 1.2 of the notes: batches and momentum."""

from __future__ import annotations

import math
from statistics import fmean

import torch
from torch import nn

from paribus.ablation.command import plan_command
from paribus.base.errors import UserError
from paribus.evidence.measurement import Measurement, at_least
from paribus.extras.surfaces.catalogue import ManyMinima
from paribus.stats.paired import paired_difference
from paribus.stats.verdict import Question, judge
from paribus.store.store import Store

SATURATED = 1.5  # an update that takes so many times that of one sample does not take "about the same time"
LARGE = 256  # the notes call a batch of the whole training set very large; below this one nobody would


def largest_batch(store: Store) -> list[Measurement]:
    """The largest B with t(B) / t(1) < 1.5, t the mean time of an update in ablation=notes/batch_time.

    SUPPORTED where that is at least 256, REFUTED below. Raises UserError while there are no such records.
    """
    [plan] = plan_command(["ablation=notes/batch_time"], store.read)
    times: dict[int, list[float]] = {}
    for arm, cells in plan.arms.items():
        for cell in cells:
            record = store.read(cell.id) if cell else None
            if record is not None and record.status == "done":
                times.setdefault(int(arm.removeprefix("b")), []).append(record.timing["ms_per_update"])
    if 1 not in times or len(times) < 3:
        raise UserError(
            "check 1.2-1B reads the times of an ablation. Train it: paribus train -m ablation=notes/batch_time"
        )
    ratios = {size: fmean(own) / fmean(times[1]) for size, own in sorted(times.items())}
    flat = []
    for size, ratio in ratios.items():
        if ratio >= SATURATED:
            break
        flat.append(size)
    shown = ", ".join(f"{size}: {ratio:.2f}" for size, ratio in ratios.items())
    hardware = next(record.provenance["hardware"] for cell in plan.cells if (record := store.read(cell.id)) is not None)
    words = (
        f"up to {flat[-1]} samples an update takes less than 1.5 times as long as with one, on {hardware['cpu']} "
        f"({hardware['device']}); t(B) / t(1): {shown}"
    )
    n = min(map(len, times.values()))
    return [at_least("largest B with t(B) / t(1) < 1.5", flat[-1], LARGE, words, n=n)]


def escapes(store: Store) -> list[Measurement]:
    r"""The share of starts from which descent ends in the lowest valley of $0.05 x^2 - 0.6 \cos 2x$, with momentum
    $\beta = 0.9$ and without: at equal $\eta$, small and large, and at equal $\eta / (1 - \beta)$.

    1,000 starts, uniform in [-8, 8], the same for all; 1,000 steps. A difference below 5 points does not matter.
    """
    generator = torch.Generator().manual_seed(0)
    starts = torch.empty(1, 1000, dtype=torch.float64).uniform_(-8, 8, generator=generator)
    beta = 0.9
    compared = {  # with momentum, without
        "equal small lr, 0.03": (0.03, 0.03),
        "equal large lr, 0.2": (0.2, 0.2),
        "equal lr / (1 − β), 0.5": (0.5 * (1 - beta), 0.5),
        "equal lr / (1 − β), 2": (2.0 * (1 - beta), 2.0),
    }
    shares = [(_escaped(starts, ours, beta), _escaped(starts, theirs, 0.0)) for ours, theirs in compared.values()]
    questions = [Question([paired_difference(ours, theirs, exact=False)], smallest=0.05) for ours, theirs in shares]
    found = []
    for regime, (ours, theirs), judged in zip(compared, shares, judge(questions), strict=True):
        d = judged.difference
        words = (
            f"momentum gets to the lowest valley from {100 * fmean(ours):.0f} % of the starts, "
            f"plain descent from {100 * fmean(theirs):.0f} %"
        )
        found.append(
            Measurement(regime, "escape share, momentum minus none", d.mean, judged.verdict.outcome, words,
                        low=d.low, high=d.high, n=d.n)
        )  # fmt: skip
    return found


def _escaped(starts: torch.Tensor, rate: float, beta: float) -> list[float]:
    """1 for each start that ends in the lowest valley, |x| < pi / 2 nearly, else 0."""
    surface, x = ManyMinima(), nn.Parameter(starts.clone())
    optimizer = torch.optim.SGD([x], lr=rate, momentum=beta)
    for _ in range(1000):
        optimizer.zero_grad()
        surface(x).sum().backward()
        optimizer.step()
    # Crests of the cosine stand at +-pi / frequency; the parabola moves them little.
    valley = math.pi / surface.frequency  # where the next crest stands
    return (x.detach()[0].abs() < valley).double().tolist()
