"""What all tests share: loading a script, from here or from somebody else's folder, seeds, time limits.

    pytest tests --scripts DIR      grade the scripts in DIR: same tests, but for those of our own figures
    pytest tests --base-seed N      other random numbers; only the tests that draw any are run"""
import _thread
import importlib.util
import os
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ["MPLBACKEND"] = "agg"                    # no window may open, here or in a subprocess
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")                # small matrices: two threads are slower than one

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
CONTRACT = {                                        # the public names of each script
    "dyna_q": ["Maze", "dyna_q", "replay_q"],
    "expectation_model": ["LookupModel", "LinearModel", "NeuralModel", "MixtureModel", "value_iteration"],
    "mpc": ["PointMass", "NeuralDynamics", "random_shooting", "cem", "planning_v05", "planning_v10", "planning_v15"],
    "rollout_search": ["TabularModel", "forward_search", "rollout_search"],
    "mcts": ["GridWorld", "mcts", "CountModel"],
}
SCRIPTS = tuple(CONTRACT)
SECONDS = 120                                       # longer than any test of NumPy loops takes


def require(condition, sentence):
    """Fail with one sentence and no traceback: a student reads what is wrong, not how we found it."""
    if not condition:
        pytest.fail(sentence, pytrace=False)


def attempt(what, function, *arguments, **settings):
    """What the script's function gives for right arguments; if it raises, a sentence with the script's last line."""
    try:
        return function(*arguments, **settings)
    except Exception as raised:
        error = raised
    lines = [f", at line {frame.lineno}: {frame.line}" for frame in traceback.extract_tb(error.__traceback__)
             if Path(frame.filename).stem in SCRIPTS]
    wrote = "; it writes into an array that it was handed" if "read-only" in str(error) else ""
    require(False, f"{what} was refused: {error!r}{''.join(lines[-1:])}{wrote}")


def require_refused(what, function, *arguments, **settings):
    """A ValueError with a sentence; no other error, and no answer."""
    try:
        outcome = f"the answer was {function(*arguments, **settings)!r}"[:99]
    except Exception as error:
        if isinstance(error, ValueError) and str(error):
            return
        outcome = f"it raised {error!r}{', with an empty text' * isinstance(error, ValueError)}"
    require(False, f"{what}: this must be a ValueError that says what is wrong, but {outcome}")


def fails(check, *arguments, **settings):
    """Negative control: a check that a wrong result passes as well shows nothing."""
    with pytest.raises(pytest.fail.Exception):
        check(*arguments, **settings)


def require_names(script):
    """The first test of each file: one failure for all names of the contract that are missing."""
    missing = script._missing()
    require(not missing, f"{script._path.name} does not define {', '.join(missing)}")


def pytest_addoption(parser):
    parser.addoption("--scripts", type=Path, metavar="DIR", help="grade the scripts in DIR instead")
    parser.addoption("--base-seed", type=int, metavar="N", help="other random numbers in all statistics")


def pytest_configure(config):
    if config.getoption("scripts"):
        config.option.tbstyle = "short"


def pytest_collection_modifyitems(config, items):
    """With a base seed, only what depends on it is worth running again."""
    if config.getoption("base_seed") is not None:
        items[:] = [item for item in items if "base_seed" in item.fixturenames]


def limited():
    """Run a part of a test; an endless loop ends in a failure with one sentence."""
    expired = threading.Event()

    def interrupt():
        expired.set()
        _thread.interrupt_main()
    timer = threading.Timer(SECONDS, interrupt)
    timer.start()
    outcome = yield
    timer.cancel()
    if expired.is_set():
        sentence = f"this took more than {SECONDS} seconds: a loop that never ends? NumPy calls for single numbers?"
        outcome.force_exception(pytest.fail.Exception(sentence, pytrace=False))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup(item):
    yield from limited()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    yield from limited()


class Script:
    """A script's public names. Each test asks for those that it needs; where one is missing the test
    is skipped, and require_names fails once for all of them."""

    def __init__(self, name, folder):
        self._path = folder / f"{name}.py"
        self._module = None
        self._tested = set()

    def _load(self):
        if self._module is None:
            if not self._path.is_file():
                pytest.skip(f"there is no {self._path.name} in {self._path.parent}")
            spec = importlib.util.spec_from_file_location(self._path.stem, self._path)
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module
            try:
                spec.loader.exec_module(module)
            except Exception as error:
                pytest.fail(f"{self._path.name} cannot be imported: {error!r}", pytrace=False)
            self._module = module
        return self._module

    def _missing(self):
        module = self._load()
        return [name for name in CONTRACT[self._path.stem] if not hasattr(module, name)]

    def __getattr__(self, name):
        if not hasattr(self._load(), name):
            pytest.skip(f"{self._path.name} defines no {name}")
        self._tested.add(name)
        return getattr(self._module, name)


LOADED = {}


def script_fixture(name):
    @pytest.fixture(scope="session", name=name)
    def script(pytestconfig):
        folder = (pytestconfig.getoption("scripts") or REPOSITORY).resolve()
        return LOADED.setdefault(name, Script(name, folder))
    return script


dyna_q, expectation_model, mpc, rollout_search, mcts = map(script_fixture, SCRIPTS)


@pytest.fixture(scope="session")
def base_seed(pytestconfig):
    return pytestconfig.getoption("base_seed") or 0


@pytest.fixture
def ours(pytestconfig):
    """For tests of what only our own scripts have: experiments, figure, command line."""
    if pytestconfig.getoption("scripts"):
        pytest.skip("only for this repository's own scripts")
    return REPOSITORY


BEGUN, SECOND_CORE = {}, ThreadPoolExecutor(1)


def pytest_collection_finish(session):
    """What needs processes of its own begins before the first test; its tests, in the end, wait for it."""
    for item in session.items:
        if "begun" in item.fixturenames and not session.config.getoption("scripts"):
            BEGUN[item.nodeid] = SECOND_CORE.submit(item.function.work, item.callspec.params["script"])


@pytest.fixture
def begun(request):
    return BEGUN[request.node.nodeid].result()


def pytest_unconfigure(config):
    """The last lines of a graded run: how much of the contract was there to be tested."""
    SECOND_CORE.shutdown(cancel_futures=True)
    if config.getoption("scripts"):
        for name, script in LOADED.items():
            if script._module is None:
                print(f"{name}.py: not there, nothing of it was tested")
            else:
                tested = [n for n in CONTRACT[name] if n in script._tested]
                print(f"{name}.py: {len(tested)} of the {len(CONTRACT[name])} names of the contract tested; "
                      f"missing: {', '.join(script._missing()) or 'none'}")
