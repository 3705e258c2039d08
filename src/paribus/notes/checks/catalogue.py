"""Every check by id: its claim, where the literature stands, and the function that makes it. Imports no torch."""

from __future__ import annotations

import ast
import hashlib
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from paribus.base.extras import needed_by
from paribus.evidence.measurement import Measurement
from paribus.store.store import Store


@dataclass(frozen=True)
class Check:
    """module, function: of paribus.notes.checks; function(store) -> measurements.

    needs: an ablation whose records it reads; None where it measures by itself.
    """

    id: str
    claim: str
    module: str
    function: str
    literature: str
    needs: str | None = None

    def load(self) -> Callable[[Store], Sequence[Measurement]]:
        """The function. Raises UserError where it measures with an extra that was deleted."""
        with needed_by(f"the check {self.id}"):
            module = importlib.import_module(f"paribus.notes.checks.{self.module}")
        result: Callable[[Store], Sequence[Measurement]] = getattr(module, self.function)
        return result

    @property
    def fingerprint(self) -> str:
        """Of the code that makes it, but for its imports: a stored result with another one is out of date."""
        source = (Path(__file__).parent / f"{self.module}.py").read_text(encoding="utf-8")
        imports = {
            number
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
        }
        code = [line for number, line in enumerate(source.splitlines(), 1) if number not in imports]
        return hashlib.sha256("\n".join(code).encode()).hexdigest()[:12]


CHECKS = (
    Check(
        "1.1a", "training that stops improving has reached a critical point", "critical", "plateaus",
        "Frye et al. 2021: points where training ends are often gradient-flat, or no critical points at all",
    ),
    Check(
        "1.1b", "saddle points can be escaped along negative curvature", "critical", "saddle_escape",
        "for: Lee et al. 2016, from random starts descent ends in no strict saddle; Du et al. 2017: it may take long",
    ),
    Check(
        "1.1c", "a network's critical point is more often a saddle than a minimum", "critical", "saddles_or_minima",
        "for, at high loss: Dauphin et al. 2014; the share of negative eigenvalues falls with the loss",
    ),
    Check(
        "1.2-1B", "time per update hardly grows with the batch until it is very large", "batches", "largest_batch",
        "the notes: on a GPU; the largest batch below 1.5 times the time of one sample says how large",
        needs="batch_time",
    ),
    Check(
        "1.2-5e", "momentum helps to escape poor minima", "batches", "escapes",
        "inertia: Polyak 1964; Wang et al. 2023: at equal lr / (1 - beta) most of the gain is gone",
    ),
    Check(
        "1.3-1", "a loss that stops falling may be bouncing between the walls of a valley", "rates", "valley",
        "thresholds 1 / h and 2 / h: any text on convex optimisation (Nesterov 2004)",
    ),
    Check(
        "1.3-1n", "networks too end up swinging along the steepest direction", "rates", "edge_of_stability",
        "for: Cohen et al. 2021, sharpness rises to 2 / lr and hovers there",
    ),
    Check(
        "1.3-2e", "adaptive rates speed up flat directions", "rates", "flat_directions",
        "Duchi et al. 2011; each coordinate has a rate of its own",
    ),
    Check(
        "1.3-3", "Adagrad as in the notes bursts after many small gradients, and decay cures it", "rates", "bursts",
        "the threshold 2 / h of a preconditioned step: Cohen et al. 2022, adaptive edge of stability",
    ),
    Check(
        "1.3-4e", "gradient noise leaves a steady state that decay removes", "rates", "steady_state",
        "Robbins & Monro 1951; the closed form: Mandt et al. 2017",
    ),
    Check(
        "1.4a-e", "one-hot targets make all classes equidistant", "targets", "distances", "exact: the square root of 2",
    ),
    Check(
        "1.4b", "minimising cross-entropy is maximising likelihood", "targets", "likelihood",
        "exact: Bishop 2006, section 4.3",
    ),
    Check(
        "1.4c-e", "squared error after a softmax has no gradient at a confident wrong output", "targets", "vanishing",
        "exact: Bishop 1995, section 6.7; the notes' picture of the two error surfaces",
    ),
    Check(
        "1.5a-e", "batch norm makes a network blind to the scale of weights before it", "norms", "scale_blindness",
        "exact: Ioffe & Szegedy 2015, section 3.3: larger weights get smaller gradients",
    ),
    Check(
        "1.5b-e", "the moving average of the notes is torch's with momentum 1 - p", "norms", "moving_average", "exact",
    ),
    Check(
        "1.5c-e", "the limits of batch renorm and group norm are batch, instance and layer norm", "norms", "limits",
        "exact: Ioffe 2017, section 3; Wu & He 2018, section 3",
    ),
    Check(
        "1.5c-sn", "spectral norm bounds the slope of every layer by 1", "norms", "lipschitz",
        "for matrices: Miyato et al. 2018; not for convolutions: Sedghi et al. 2019, arXiv:1805.10408",
    ),
)  # fmt: skip
