"""How fast the scripts are, each number beside a yardstick measured in the same run.

    python tests/benchmark.py              all scripts (a few minutes, on an otherwise idle machine)
    python tests/benchmark.py dyna_q       some

"ratio" is value / yardstick: it carries over to other machines, seconds do not. Nothing is asserted.
"""
import os
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MPLBACKEND="agg")

import importlib.util
import random
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


def seconds(function, *arguments, repeat=3, timer=time.process_time, **keywords):
    """The best of `repeat` timings in processor time: other work on the machine adds nothing."""
    times = []
    for _ in range(repeat):
        start = timer()
        function(*arguments, **keywords)
        times.append(timer() - start)
    return min(times)


def together(function, yardstick, repeat=5):
    """The best of both, timed in turns, so that a busy moment of the machine meets both."""
    pairs = [(seconds(function, repeat=1), seconds(yardstick, repeat=1)) for _ in range(repeat)]
    return [min(column) for column in zip(*pairs)]


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
        value = seconds(subprocess.run, command, check=True, capture_output=True, repeat=1,
                        timer=time.perf_counter)
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


# ---------------------------------------------------------------- expectation_model.py

def products(shapes, batch, n_steps, members=()):
    """The matrix products of n_steps of a fit: forwards; backwards to weights and to layers below."""
    rng = np.random.default_rng(0)
    layers = [(rng.normal(size=(*members, batch, i)), rng.normal(size=(*members, i, o)),
               rng.normal(size=(*members, batch, o))) for i, o in shapes]

    def run():
        for _ in range(n_steps):
            for k, (h, W, d) in enumerate(layers):
                h @ W
                h.swapaxes(-1, -2) @ d
                if k:
                    d @ W.swapaxes(-1, -2)
    return run


def bench_expectation_model(script):
    rng = np.random.default_rng(0)
    x, actions = rng.normal(size=(5000, 3)), rng.integers(3, size=5000)
    data, n_steps, rows = (x, actions, x[:, 0] + actions, x + np.sin(x[:, ::-1])), 500, []
    for name, members in (("one network", 1), ("ensemble of 5", 5)):
        model = script.NeuralModel(3, 3, n_members=members)
        parts = [products(((6, 64), (64, 64), (64, o)), 128, n_steps, (members,)) for o in (3, 1)]
        value, own = together(lambda: model.fit(*data, n_steps=n_steps), lambda: [f() for f in parts])
        rows.append((f"NeuralModel.fit, {name}, {n_steps} steps", value, "s", value / own,
                     "its matrix products"))
    mixture = script.MixtureModel(3, 3)
    value, own = together(lambda: mixture.fit(*data, n_steps=n_steps),
                          products(((6, 64), (64, 64), (64, 45)), 128, n_steps))
    rows.append((f"MixtureModel.fit, {n_steps} steps", value, "s", value / own, "its matrix products"))
    P, R, V = rng.dirichlet(np.ones(200), size=(200, 4)), rng.normal(size=(200, 4)), np.zeros(200)
    value, own = together(lambda: script.value_iteration(P, R, 0.9),
                          lambda: [P @ V for _ in range(300)])
    rows.append(("value_iteration, 200 states, gamma 0.9", value, "s", value / own, "300 x P @ V"))
    return rows


# ---------------------------------------------------------------- mpc.py

def bench_mpc(script):
    rng, f = np.random.default_rng(0), np.float32
    states, actions = rng.normal(size=(5000, 4)), rng.uniform(-1, 1, (5000, 2))
    next_states = states + 0.1 * np.tanh(states @ rng.normal(size=(4, 4)))
    model = script.NeuralDynamics(4, 2, hidden=64)
    model.fit(states, actions, next_states, n_epochs=1)
    W1, W2, W3 = (rng.normal(size=shape).astype(f) for shape in ((6, 64), (64, 64), (64, 4)))
    b1, b2, b3 = np.zeros(64, f), np.zeros(64, f), np.zeros(4, f)
    batch = rng.normal(size=(128, 6)).astype(f)
    h, d = np.tanh(batch @ W1), rng.normal(size=(128, 4)).astype(f)

    def plan(horizon, n_candidates):
        script.cem(model.predict, lambda s, a, s2: -np.hypot(s2[:, 0], s2[:, 1]), np.ones(4), horizon,
                   -1, np.ones(2), n_candidates=n_candidates, n_elites=50, n_iterations=5, rng=0)

    def products_of_a_plan(horizon, n_candidates):
        x = rng.normal(size=(n_candidates, 6)).astype(f)
        for _ in range(horizon * 5):
            h1 = x @ W1
            h1 += b1
            np.tanh(h1, out=h1)
            h2 = h1 @ W2
            h2 += b2
            np.tanh(h2, out=h2)
            y = h2 @ W3
            y += b3

    def products_of_a_fit():
        for _ in range(100 * 40):                       # 3 products forwards, 5 backwards
            batch @ W1, h @ W2, h @ W3, d @ W3.T, h @ W2.T, h.T @ d, h.T @ h, batch.T @ h

    rows = []
    for H, N in ((20, 500), (40, 500), (20, 1000)):
        value, own = together(lambda: plan(H, N), lambda: products_of_a_plan(H, N), 10)
        rows.append((f"CEM plan, {N} x {H} x 5, network 2 x 64", 1e3 * value, "ms", value / own,
                     "its products, biases, tanh"))
    value, own = together(lambda: model.fit(states, actions, next_states, n_epochs=100, batch_size=128),
                          products_of_a_fit, 3)
    rows.append(("fit 5,000 transitions, 100 epochs", value, "s", value / own, "its matrix products"))
    return rows


# ---------------------------------------------------------------- rollout_search.py

LAKE = ["SFFFFFFF", "FFFFFFFF", "FFFHFFFF", "FFFFFHFF", "FFFHFFFF", "FHHFFFHF", "FHFFHFHF", "FFFHFFFG"]


def frozen_lake():
    """Gymnasium's slippery FrozenLake 8x8 as P, R, terminal: a third each for a move and its sides."""
    P, R = np.zeros((64, 4, 64)), np.zeros((64, 4))
    terminal = np.array([cell in "HG" for cell in "".join(LAKE)])
    for s, a in np.ndindex(64, 4):
        for b in (a - 1, a, a + 1):
            dy, dx = ((0, -1), (1, 0), (0, 1), (-1, 0))[b % 4]          # left, down, right, up
            y, x = min(max(s // 8 + dy, 0), 7), min(max(s % 8 + dx, 0), 7)
            P[s, a, 8 * y + x] += 1 / 3
            R[s, a] += (LAKE[y][x] == "G" and not terminal[s]) / 3
    return P, R, terminal


def plain_table_rollouts(P, R, terminal, policy, n_rollouts, horizon, gamma):
    """rollout_search as a plain Python loop over lists, one episode after the other."""
    table = [[[(p, s2) for s2, p in enumerate(row) if p] for row in rows] for rows in P.tolist()]
    R, terminal, policy, draw = R.tolist(), terminal.tolist(), policy.tolist(), random.Random(0).random
    Q = [0.0] * len(R[0])
    for first in range(len(Q)):
        for _ in range(n_rollouts):
            s, a, G, discount = 0, first, 0.0, 1.0
            for _ in range(horizon):
                G += discount * R[s][a]
                discount *= gamma
                u = draw()
                for p, s2 in table[s][a]:
                    u -= p
                    if u < 0:
                        break
                s = s2
                if terminal[s]:
                    break
                u = draw()
                for a, p in enumerate(policy[s]):
                    u -= p
                    if u < 0:
                        break
            Q[first] += G / n_rollouts
    return Q


def bench_rollout_search(script):
    P, R, terminal = frozen_lake()
    model, policy, rows = script.TabularModel(P, R, terminal), np.full((64, 4), 0.25), []
    plain = 6000 / seconds(plain_table_rollouts, P, R, terminal, policy, 1500, 100, 0.99)
    rows.append(("plain Python loop, FrozenLake 8x8, depth 100", plain, "roll/s", 1, "itself"))
    for K in (250, 1000, 4000, 16000):
        rng = np.random.default_rng(0)
        value = 4 * K / seconds(lambda: script.rollout_search(model, 0, policy, K, 100, 0.99, rng))
        rows.append((f"rollout_search, the same, K = {K}", value, "roll/s", value / plain,
                     "the plain loop"))
    world = script.bridge_model(script.BRIDGE, script.SLIP)
    for depth in (4, 5, 6):
        n = script.count_nodes(world, 8, depth)
        value = n / seconds(lambda: script.forward_search(world, 8, depth, 0.98))
        rows.append((f"forward_search, depth {depth}, {n} nodes", value, "node/s",
                     value * list_yardstick(), "list turns/s"))
    return rows


# ---------------------------------------------------------------- mcts.py

SLIPPERY_MAZE = [".......#G", "..#....#.", "S.#....#.", "..#......", ".....#...", "........."]


def plain_maze_rollouts(world, n):
    """The loop one would write first: n random rollouts of at most 100 steps."""
    rng = random.Random(0)
    for _ in range(n):
        s, G = world.start, 0.0
        for t in range(100):
            s, r, terminated = world.step(s, rng.choice(world.actions(s)), rng)
            G += 0.95**t * r
            if terminated:
                break


def bench_mcts(script):
    world, rows = script.GridWorld(SLIPPERY_MAZE, slip=0.2), []
    plain = 1000 / seconds(plain_maze_rollouts, world, 1000, repeat=7)
    rows.append(("plain Python rollouts, Dyna maze, slip 0.2", plain, "roll/s", 1, "itself"))
    for n, repeat in ((500, 7), (1000, 7), (5000, 2), (20_000, 1)):
        value = n / seconds(script.mcts, world, world.start, n, gamma=0.95, max_depth=100, rng=0,
                            repeat=repeat)
        rows.append((f"mcts, the same, {n} simulations", value, "sim/s", value / plain,
                     "the plain rollouts"))
    return rows


def main():
    print(f"Python {sys.version.split()[0]}, NumPy {np.__version__}, {os.cpu_count()} cores")
    print(f"{'what':52} | {'value':>10} {'unit':6} | {'ratio':>8} to yardstick")
    for name in sys.argv[1:] or SCRIPTS:
        for what, value, unit, ratio, yardstick in [*globals()[f"bench_{name}"](load(name)), default_run(name)]:
            print(f"{what:52} | {value:10.4g} {unit:6} | {ratio:8.3g} {yardstick}", flush=True)


if __name__ == "__main__":
    main()
