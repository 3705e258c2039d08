"""Independent streams of random numbers from one seed."""

from __future__ import annotations

_MASK = (1 << 64) - 1


def mix(seed: int, *path: int) -> int:
    """A seed for the sub-stream `path` of `seed`: a 63-bit number, well mixed, a pure function of its arguments.

    Neighbouring seeds and neighbouring paths give unrelated streams, so that epoch 1 of seed 0 has nothing in common
    with epoch 0 of seed 1. Source: SplitMix64 (Steele, Lea & Flood 2014).
    """
    state = seed & _MASK
    for number in path:
        state = _split((state + 0x9E3779B97F4A7C15 * (number + 1)) & _MASK)
    return _split(state) >> 1


def _split(z: int) -> int:
    z = (z + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)
