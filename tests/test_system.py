"""Programs of the system that tests need: installed where possible, else one line says what was skipped."""

import os

import pytest
import system


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with these programs alone; a program that is run writes down how it was called."""

    def make(*programs: str, root: bool, code: int = 0):
        for program in programs:
            path = tmp_path / program
            path.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\necho no network >&2\nexit {code}\n')
            path.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
        return lambda: (tmp_path / "calls").read_text().splitlines() if (tmp_path / "calls").exists() else []

    return make


def test_what_is_missing_is_installed_and_nothing_else(machine, capsys):
    calls = machine("apt-get", "g++", "chromedriver", "google-chrome", root=True)
    system.install()
    update, install = calls()
    assert update.split()[-1] == "update"
    assert {"texlive-science", "poppler-utils"} <= set(install.split())
    assert not {"g++", "chromium", "chromium-driver"} & set(install.split())
    assert "LaTeX" in capsys.readouterr().out


@pytest.mark.parametrize(("programs", "root"), [(["apt-get"], False), (["g++"], True)])
def test_without_root_or_apt_nothing_is_tried(machine, programs, root, capsys):
    calls = machine(*programs, root=root)
    system.install()
    assert calls() == []
    assert capsys.readouterr() == ("", "")


def test_an_installation_that_fails_does_no_harm_and_is_said(machine, capsys):
    machine("apt-get", root=True, code=100)
    system.install()
    assert capsys.readouterr().err == "apt-get update failed: no network\napt-get install failed: no network\n"


def test_a_driver_without_a_browser_is_no_browser(machine, monkeypatch):
    monkeypatch.setattr(system, "MAC_BROWSER", system.Path("/nowhere"))
    machine("chromedriver", root=False)
    assert not system.NEEDS["browser"].here()


def test_one_line_counts_the_skipped_and_says_what_to_install():
    browser, latex = system.reason("browser"), system.reason("latex")
    line = system.summary([latex, "this torch has no Muon", browser, latex])
    assert line == (
        "3 tests skipped for want of a browser with its driver (1), LaTeX (2). As root: apt-get install "
        + " ".join((*system.NEEDS["browser"].packages, *system.NEEDS["latex"].packages))
    )
    assert system.summary(["this torch has no Muon"]) == ""
