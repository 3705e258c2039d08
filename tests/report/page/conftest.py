"""Studies for the page."""

from __future__ import annotations

import pytest


@pytest.fixture
def make():
    """make(arms, seeds, epochs, regimes): an ablation over batch sizes, or over arms with the names given."""
    from made_studies import made

    return made


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from browsers import start

    driver = start(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()
