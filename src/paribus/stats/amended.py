"""Looks that are changed after some of them are over: only the error that is left may be spent."""

from __future__ import annotations

from collections.abc import Sequence

NOTHING = 1e-9  # the share of a look for which no error is left


def linear(sizes: Sequence[int], seen: int = 0, left: float = 1.0) -> list[float]:
    r"""The shares of looks at these numbers of seeds: $w_k = l (n_k - n_{k-1}) / (n_K - n_0)$; seen: $n_0$, left: l."""
    before = [seen, *sizes]
    return [left * (size - last) / (sizes[-1] - seen) for size, last in zip(sizes, before, strict=False)]


def amended(
    sizes: Sequence[int],
    shares: Sequence[float],
    seen: int,
    wanted: Sequence[int],
    same: bool = True,
    fresh: bool = False,
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Looks and shares after an amendment.

    Looks that are over keep their shares, so that what they have settled stays as it is. A look that is partly over has
    spent its part. What is left is divided among the looks that come, linearly in their seeds.

    sizes, shares: before. seen: the largest number of reporting seeds of an arm that had results then. wanted: the
        looks that are asked for now. same: whether the tests at the looks that are over stay the same ones; otherwise
        they are tests that nobody registered before the data, and get nothing. fresh: the seeds are other ones, so that
        no look is over.
    """
    over = [(size, share) for size, share in zip(sizes, shares, strict=True) if size <= seen]
    spent = sum(share for _, share in over)
    last = over[-1][0] if over else 0
    if len(over) < len(sizes):
        spent += shares[len(over)] * (seen - last) / (sizes[len(over)] - last)
    seen = 0 if fresh else seen
    coming = [size for size in wanted if size > seen]
    left = max(NOTHING, sum(shares) - spent)
    kept = [] if fresh else over if same else [(size, NOTHING) for size, _ in over]
    kept += list(zip(coming, linear(coming, seen, left), strict=True)) if coming else []
    kept = kept or [(wanted[-1], NOTHING)]  # fewer seeds than have been seen
    return tuple(size for size, _ in kept), tuple(share for _, share in kept)
