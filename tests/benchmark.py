"""How fast the scripts are, each number beside a yardstick measured in the same run.

    python tests/benchmark.py              all scripts (a few minutes, on an otherwise idle machine)
    python tests/benchmark.py dyna_q       some

"ratio" is value / yardstick: it carries over to other machines, seconds do not. Nothing is asserted.
"""
import os
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MPLBACKEND="agg")

import importlib.util
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parent.parent
SCRIPTS = ("dyna_q", "expectation_model", "mpc", "rollout_search", "mcts")


def load(name):
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def seconds(function, *arguments, repeat=3, **keywords):
    """The best of `repeat` timings."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        function(*arguments, **keywords)
        times.append(time.perf_counter() - start)
    return min(times)


def list_yardstick(n=500_000):
    """Seconds of one turn of a loop that adds to an element of a list."""
    def loop():
        numbers = [0.0] * 64
        for i in range(n):
            numbers[i & 63] += 0.5 * i
    return seconds(loop) / n


def default_run(script):
    """Seconds of the default run, in a process of its own; the yardstick's loop counts as 1e7 turns."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(REPOSITORY / f"{script}.py"), "--save", f"{folder}/figure.png"]
        value = seconds(subprocess.run, command, check=True, capture_output=True, repeat=1)
    return f"{script}.py, default run", value, "s", value / (1e7 * list_yardstick()), "10^7 list turns"


# ---------------------------------------------------------------- dyna_q.py

def numpy_dyna(env, n_planning, n_steps, rng, alpha=0.1, gamma=0.95, epsilon=0.1):
    """Dyna-Q as assignments have it: NumPy arrays, one element at a time."""
    S, A = env.observation_space.n, env.action_space.n
    Q, model, tried = np.zeros((S, A)), np.zeros((S, A, 3)), {}
    s, _ = env.reset(seed=0)
    for _ in range(n_steps):
        ties = np.flatnonzero(Q[s] == Q[s].max())
        a = rng.integers(A) if rng.random() < epsilon else rng.choice(ties)
        s2, r, terminated, _, _ = env.step(a)
        Q[s, a] += alpha * (r + gamma * (not terminated) * Q[s2].max() - Q[s, a])
        model[s, a] = r, s2, terminated
        tried.setdefault(s, [])
        if a not in tried[s]:
            tried[s].append(a)
        states = list(tried)
        for _ in range(n_planning):
            s3 = states[rng.integers(len(states))]
            a3 = tried[s3][rng.integers(len(tried[s3]))]
            r3, s4, terminated3 = model[s3, a3]
            Q[s3, a3] += alpha * (r3 + gamma * (1 - terminated3) * Q[int(s4)].max() - Q[s3, a3])
        s = env.reset()[0] if terminated else s2


def bench_dyna_q(script):
    yardstick = list_yardstick()
    rows, n_steps = [], 4000
    without = seconds(script.dyna_q, script.Maze(script.DYNA_MAZE), 0, n_steps=n_steps)
    for n in (5, 50, 500):
        total = seconds(script.dyna_q, script.Maze(script.DYNA_MAZE), n, n_steps=n_steps)
        value = (total - without) / (n * n_steps)
        rows.append((f"dyna_q, planning update at n={n}", 1e6 * value, "us", value / yardstick, "list turn"))
    rows.append(("dyna_q, real step", 1e6 * without / n_steps, "us", without / n_steps / yardstick, "list turn"))
    value = seconds(numpy_dyna, script.Maze(script.DYNA_MAZE), 50, 400, np.random.default_rng(0), repeat=1)
    value /= 50 * 400
    rows.append(("the same loop on NumPy arrays, n=50", 1e6 * value, "us", value / yardstick, "list turn"))
    return rows


def main():
    print(f"Python {sys.version.split()[0]}, NumPy {np.__version__}, {os.cpu_count()} cores")
    print(f"{'what':52} | {'value':>10} {'unit':6} | {'ratio':>8} to yardstick")
    for name in sys.argv[1:] or SCRIPTS:
        for what, value, unit, ratio, yardstick in [*globals()[f"bench_{name}"](load(name)), default_run(name)]:
            print(f"{what:52} | {value:10.4g} {unit:6} | {ratio:8.3g} {yardstick}", flush=True)


if __name__ == "__main__":
    main()
