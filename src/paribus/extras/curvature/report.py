"""The analysis of a critical point as text and as a picture of its spectrum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from paribus.report.figures.style import RC

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEGATIVE, ZERO, POSITIVE = "#D55E00", "#7F7F7F", "#0072B2"


def describe(result: Mapping[str, Any]) -> str:
    """What paribus.extras.curvature.recorded found, in lines of a name and a value."""
    top, bottom = result["top"], result["bottom"]
    penalty = ", with weight decay" if result["decay"] else ""
    rows = [
        ("run", f"{result['run']}, {result['parameters']:,} parameters"),
        ("loss", f"mean over {result['samples']:,} {result['split']} samples, norms in evaluation, float64{penalty}"),
        ("", f"{result['start_loss']:.6g} at the weights, {result['loss']:.6g} at the refined point"),
        (
            "gradient norm",
            f"{result['gradient_norm_start']:.3g} → {result['gradient_norm']:.3g} in {result['refine_steps']} steps "
            f"({result['refine_reason']})",
        ),
        ("λ max", _end(top)),
        ("λ min", _end(bottom)),
        ("zero", f"|λ| ≤ {result['zero']:.2g}"),
    ]
    if (counts := result["counts"]) is not None:
        total = result["parameters"]
        counted = ", ".join(f"{counts[kind]:,} {kind}" for kind in ("positive", "zero", "negative"))
        rows.append(("eigenvalues", f"{counted} of {total:,}"))
    names = {"index": "index (share negative)", "minimum_ratio": "minimum ratio (share positive)"}
    for name, label in names.items():
        if (share := result["shares"].get(name)) is not None:
            error = share["standard_error"]
            spread = "of one probe" if np.isnan(error) else f"± {error:.2g}, the standard error over probes"
            bounds = f"between {share['low']:.4f} and {share['high']:.4f} (what the quadrature resolves; {spread})"
            rows.append((label, f"{share['low']:.4f}" if counts is not None else bounds))
    rows.append(("flatness", f"{result['flatness']:.3g}"))
    if (step := result["confirmation"]) is not None:
        outcome = (
            f"a step of {step['step']:.2g} along the direction of λ min lowers the loss by {step['measured']:.4g}, "
            f"its curvature predicts {step['predicted']:.4g}"
        )
        rows.append(("confirmed" if step["confirmed"] else "not confirmed", outcome))
    if (escape := result.get("escape")) is not None:
        rows += [
            (
                "escape",
                f"loss {escape['loss_saddle']:.6g} at the saddle, {escape['loss_stepped']:.6g} after a step of "
                f"{escape['step']:.2g}",
            ),
            (
                "",
                f"{escape['loss_escaped']:.6g} after {escape['updates']} more updates; {escape['loss_stayed']:.6g} "
                "after as many without the step",
            ),
        ]
    rows += [("cost", f"{result['products']:,} Hessian-vector products"), ("verdict", result["verdict"].upper())]
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {value}" for name, value in rows]
    return "\n".join([*lines, f"{'':<{width}}  {result['reason']}"]) + "\n"


def spectrum(result: Mapping[str, Any], points: int = 1000) -> Figure:
    """The density of eigenvalues on a logarithmic axis, in colours for negative, zero and positive ones.

    Counted eigenvalues, or the nodes of a stochastic estimate, are drawn as Gaussians of a 200th of the range, so the
    area under the black curve is 1. A colour belongs to the eigenvalue and not to where its Gaussian reaches.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    top, bottom, zero = result["top"]["value"], result["bottom"]["value"], result["zero"]
    span = max(top - bottom, 1e-300)
    width = span / 200
    grid = np.linspace(bottom - 0.04 * span, top + 0.04 * span, points)
    nodes, weights = spectrum_nodes(result)
    with rc_context(RC):
        figure = Figure(figsize=(4.6, 2.7), layout="constrained")
        panel = figure.subplots()
        n = result["parameters"]
        if len(nodes):
            floor = 0.1 / (n * span)
            bumps = np.exp(-0.5 * ((grid[:, None] - nodes[None, :]) / width) ** 2) / (width * np.sqrt(2 * np.pi))
            kinds = {NEGATIVE: nodes < -zero, POSITIVE: nodes > zero, ZERO: np.abs(nodes) <= zero}
            for colour, kind in kinds.items():
                part = np.maximum(bumps[:, kind] @ weights[kind], floor)
                panel.fill_between(grid, floor, part, color=colour, alpha=0.35, linewidth=0)
            density = np.maximum(bumps @ weights, floor)
            panel.plot(grid, density, color="black", linewidth=0.8)
            panel.set_yscale("log")
            panel.set_ylim(floor, 8 * density.max())
        for value, name, side in ((bottom, "λ min", "left"), (top, "λ max", "right")):
            colour = NEGATIVE if value < -zero else POSITIVE
            panel.axvline(value, color=colour, linewidth=0.8, linestyle=(0, (4, 2)))
            panel.annotate(
                f"{name} {value:.3g}",
                (value, 0.97),
                xycoords=("data", "axes fraction"),
                xytext=(3 if side == "left" else -3, 0),
                textcoords="offset points",
                ha=side,
                va="top",
                fontsize=8,
                color=colour,
            )
        panel.set_xlabel("eigenvalue of the Hessian")
        panel.set_ylabel("density")
        share = result["shares"].get("index")
        index = "" if share is None or not result["counts"] else f", {100 * share['low']:.2g} % negative"
        kind = "all eigenvalues" if result["counts"] else "Lanczos quadrature"
        panel.set_title(f"{result['verdict']}{index} ({kind}, {n:,} parameters)", fontsize=9, loc="left")
    return figure


def spectrum_nodes(result: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights (adding up to 1) of the spectrum; empty where it is not known."""
    if result["eigenvalues"] is not None:
        values = np.array(result["eigenvalues"])
        return values, np.full(len(values), 1.0 / len(values))
    if result["density"] is not None:
        nodes, weights = (np.array(result["density"][key]) for key in ("nodes", "weights"))
        return nodes.ravel(), weights.ravel() / len(nodes)
    return np.empty(0), np.empty(0)


def _end(end: Mapping[str, Any]) -> str:
    how = "" if end["converged"] else ", not converged"
    return f"{end['value']:.8g}  (error about {end['error']:.1g}, {end['products']:,} products{how})"
