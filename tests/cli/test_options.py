"""The format of a file follows from its name."""

import click
import pytest

from paribus.base.options import SUFFIXES, check_folder, check_page, format_of


def test_the_ending_says_the_format():
    for suffix, form in SUFFIXES.items():
        assert format_of(None, f"a.b/x{suffix}") == format_of(None, f"X{suffix.upper()}") == form
        assert format_of(form, f"x{suffix}") == form
        assert format_of(form, "x.txt") == format_of(form, None) == form
    assert format_of(None, None) == format_of(None, "/dev/stdout") == "markdown"


@pytest.mark.parametrize(("form", "output"), [(None, "x.txt"), (None, "x.pdf"), ("markdown", "x.tex"), ("csv", "x.md")])
def test_what_fits_nothing_is_refused(form, output):
    with pytest.raises(click.UsageError, match=output):
        format_of(form, output)


@pytest.mark.parametrize("command", [["table"], ["claims"]])
def test_commands_name_the_known_endings(paribus, command):
    refused = paribus(*command, "-o", "x.docx")
    assert refused.code == 2
    assert all(suffix in refused.err for suffix in SUFFIXES)
    assert paribus(*command, "--format", "markdown", "-o", "x.tex").code == 2


@pytest.mark.parametrize("command", [["figures", "-o", "x.pdf"], ["report", "-o", "x.pdf"], ["surface", "-o", "x.png"]])
def test_pages_and_pictures(paribus, command):
    refused = paribus(*command)
    assert refused.code == 2
    assert command[-1] in refused.err


def test_names_of_pages_and_folders():
    for name in ("report.html", "report", "r.htm"):
        check_page(name)
    for name in ("figures", "v1.2", None):
        check_folder(name)
