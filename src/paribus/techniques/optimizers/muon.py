"""Muon in the parameters' own precision."""

from __future__ import annotations

from typing import Any

from pytorch_optimizer import Muon as _Muon
from pytorch_optimizer.optimizer.utils.matrix import zero_power_via_newton_schulz_5
from torch import Tensor

from paribus.base.errors import UserError

if not hasattr(_Muon, "_orthogonalize"):  # the method below would be there and never called
    raise UserError(
        "optimizer=muon overrides a method of pytorch-optimizer 4.1 that the installed version lacks: "
        "pip install pytorch-optimizer==4.1.0"
    )


class Muon(_Muon):
    r"""Momentum, orthogonalised, for groups with use_muon=True; AdamW for the others.

    For a matrix W of m rows and n columns (a kernel (out, in, kh, kw) has out rows) with momentum $\mu$,
    $B \leftarrow \mu B + (1 - \mu) G$, $U = (1 - \mu) G + \mu B$, and
    $W \leftarrow (1 - \eta \lambda) W - \eta \sqrt{\max(1, m / n)}\, \mathrm{NS}_5(U)$.
    $\mathrm{NS}_5$ brings all singular values to about 1 (0.7 to 1.2) by five steps of
    $X \leftarrow a X + (b\, X X^\top + c\, (X X^\top)^2) X$.

    The library iterates in bfloat16 whatever the parameters are. On a CPU that is neither fast nor the same
    on every processor, so the iteration stays in the parameters' type there.

    Source: Jordan et al. 2024, kellerjordan.github.io/posts/muon.
    """

    @staticmethod
    def _orthogonalize(group: dict[str, Any], updates: list[Tensor]) -> list[Tensor]:
        if updates[0].device.type != "cpu" or group["ns_method"] != "newton_schulz":
            return _Muon._orthogonalize(group, updates)
        return [
            zero_power_via_newton_schulz_5(
                update.flatten(1), num_steps=group["ns_steps"], weights=group["ns_coeffs"], dtype=update.dtype
            )
            for update in updates
        ]
