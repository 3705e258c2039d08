"""A release has one version and one date, wherever they are written."""

import re
from pathlib import Path

import yaml

import paribus

ROOT = Path(__file__).parents[1]


def test_changelog_and_citation_are_of_this_version():
    releases = re.findall(r"^## (\S+) \((\d{4}-\d\d-\d\d)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], str(citation["date-released"])) == releases[0]
    assert releases[0][0] == paribus.__version__
    dates = [date for _, date in releases]
    assert dates == sorted(dates, reverse=True)
