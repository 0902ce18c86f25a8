"""What all tests share: loading a script, from here or from somebody else's folder, and seeds.

    pytest --scripts DIR    run the same tests against the scripts in DIR
    pytest --base-seed N    other random numbers in every statistical test (default 0)
"""
import importlib.util
import os
import sys
from pathlib import Path

os.environ["MPLBACKEND"] = "agg"                    # no window may open, here or in a subprocess
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")                # small matrices: two threads are slower than one

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SCRIPTS = ("dyna_q", "expectation_model", "mpc", "rollout_search", "mcts")


def pytest_addoption(parser):
    parser.addoption("--scripts", type=Path, metavar="DIR", help="test the scripts in DIR instead")
    parser.addoption("--base-seed", type=int, default=0, metavar="N", help="seed of all statistics")


class Script:
    """A script's public names; a missing one fails the test with one sentence."""

    def __init__(self, name, folder):
        self._path = folder / f"{name}.py"
        self._module = None

    def __getattr__(self, name):
        if self._module is None:
            if not self._path.is_file():
                pytest.fail(f"there is no {self._path.name} in {self._path.parent}", pytrace=False)
            spec = importlib.util.spec_from_file_location(self._path.stem, self._path)
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module
            try:
                spec.loader.exec_module(module)
            except Exception as error:
                pytest.fail(f"{self._path.name} cannot be imported: {error!r}", pytrace=False)
            self._module = module
        if not hasattr(self._module, name):
            pytest.fail(f"{self._path.name} defines no {name!r}, which this test needs", pytrace=False)
        return getattr(self._module, name)


def script_fixture(name):
    @pytest.fixture(scope="session", name=name)
    def script(pytestconfig):
        return Script(name, (pytestconfig.getoption("scripts") or REPOSITORY).resolve())
    return script


dyna_q, expectation_model, mpc, rollout_search, mcts = map(script_fixture, SCRIPTS)


@pytest.fixture(scope="session")
def base_seed(pytestconfig):
    return pytestconfig.getoption("base_seed")


@pytest.fixture
def ours(pytestconfig):
    """For tests of what only our own scripts have: the figure, the table, the command line."""
    if pytestconfig.getoption("scripts"):
        pytest.skip("only for this repository's own scripts")
    return REPOSITORY
