"""Plant classic student mistakes, one at a time, and show what the first test that catches each says.

    python tests/planted_bugs.py [dyna_q mcts ...]      all scripts take minutes

They are in planted/<script>.py: BUGS = [(name, source text, what replaces it), ...], where a fourth entry such
as "def dyna_q(" narrows the place. Exit code 1 if a mistake goes unnoticed."""
import os
import re
import runpy
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from conftest import SCRIPTS

TESTS = Path(__file__).resolve().parent


def bugs(script):
    return runpy.run_path(str(TESTS / "planted" / f"{script}.py"))["BUGS"]


def plant(script, old, new, within=""):
    """The script's source with one mistake in it; `within` names the only block to look at."""
    source = (TESTS.parent / f"{script}.py").read_text(encoding="utf-8")
    start = source.index(within)
    end = source.find("\n\n\n", start) if within else len(source)
    block = source[start:end]
    if block.count(old) != 1:
        raise ValueError(f"{script}.py: this text is there {block.count(old)} times, not once: {old!r}")
    return source[:start] + block.replace(old, new) + source[end:]


def caught_by(script, source):
    """What the first test of `script` that fails for this source says, or None."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, f"{script}.py").write_text(source, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", str(TESTS / f"test_{script}.py"), "-x", "-q",
                   "-p", "no:cacheprovider", "--scripts", folder]
        run = subprocess.run(command, capture_output=True, text=True, cwd=TESTS.parent,
                             env={**os.environ, "COLUMNS": "300"})
    if run.returncode == 0:
        return None
    found = re.search(r"^(?:FAILED|ERROR) \S*?::(.+)", run.stdout, re.MULTILINE)
    return found[1] if found else f"(pytest ended with code {run.returncode})"


def main():
    jobs = [(script, name, plant(script, *change))
            for script in sys.argv[1:] or SCRIPTS for name, *change in bugs(script)]
    n_missed = 0
    with ThreadPoolExecutor(2) as pool:
        results = pool.map(lambda job: caught_by(job[0], job[2]), jobs)
        for (script, name, _), test in zip(jobs, results):
            n_missed += test is None
            print(f"{script}: {name}\n    {test or 'NOT CAUGHT'}", flush=True)
    print(f"{len(jobs) - n_missed} of {len(jobs)} planted bugs caught")
    return 1 if n_missed else 0


if __name__ == "__main__":
    sys.exit(main())
