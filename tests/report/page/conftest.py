"""Studies for the page."""

from __future__ import annotations

import pytest


@pytest.fixture
def make():
    """make(arms, seeds, epochs, regimes): an ablation over batch sizes, or over arms with the names given."""
    from made_studies import made

    return made
