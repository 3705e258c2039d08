"""Searches in this process, with a function in place of the launcher: Hydra composes one configuration for each."""

from types import SimpleNamespace

import pytest
from hydra.core.utils import JobReturn, JobStatus

from paribus.config.compose import load
from paribus.config.composer import Composer
from paribus.extras.search.search import Search
from paribus.extras.search.settings import settings_of
from paribus.sweep.failure import guarded


@pytest.fixture(scope="session")
def composer():
    return Composer()


@pytest.fixture
def searched(tmp_path, monkeypatch, capsys, composer):
    """Carries out a search: `train` gets the run of each trial. Returns exit code and output, as of a command."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PARIBUS_OUTPUTS", raising=False)

    def command(train, *arguments):
        own = [item for item in arguments if item.lstrip("+~").startswith(("hydra", "hparams_search", "paths."))]
        config = load([*own, "hydra.sweep.dir=sweep"])
        settings, nodes = settings_of(config.hydra.sweeper)

        def launch(lines, initial_job_idx):
            results = []
            for line in lines:
                result = JobReturn(overrides=line)
                try:
                    train(composer(line).run)
                    result.status, result.return_value = JobStatus.COMPLETED, None
                except Exception as error:
                    result.status, result.return_value = JobStatus.FAILED, error
                results.append(result)
            return results

        rest = [item for item in arguments if item not in own or item.startswith("paths.")]
        Search(rest, launch, composer, config, settings, nodes).run()

    def run(train, *arguments):
        capsys.readouterr()
        code = guarded(lambda: command(train, *arguments))
        captured = capsys.readouterr()
        return SimpleNamespace(code=code, out=captured.out, err=captured.err)

    return run
