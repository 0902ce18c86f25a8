"""The speed targets, each a ratio to a yardstick timed in turns with it, and the default runs' seconds.

    python tests/benchmark.py          one short table (nothing is asserted); two minutes on an idle machine"""
import os
import random
import subprocess
import sys
import tempfile
import time

from conftest import REPOSITORY, SCRIPTS, Script    # first: it allows only one thread, and no window

import numpy as np


def load(name):
    return Script(name, REPOSITORY)._load()


def seconds(function):
    """Processor time: other work on the machine adds little."""
    start = time.process_time()
    function()
    return time.process_time() - start


def in_turns(function, yardstick, repeat):
    """The best of both, timed in turns, so that a busy moment of the machine meets both."""
    times = [(seconds(function), seconds(yardstick)) for _ in range(repeat)]
    return [min(column) for column in zip(*times)]


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


def planning_update(script, n=50, n_steps=4000):
    """dyna_q's planning updates, less its real steps, against those of the NumPy loop."""
    def run(n):
        return lambda: script.dyna_q(script.Maze(script.DYNA_MAZE), n, n_steps=n_steps)
    planned, plain = in_turns(run(n), run(0), 5)
    loop = seconds(lambda: numpy_dyna(script.Maze(script.DYNA_MAZE), n, 400, np.random.default_rng(0)))
    return (planned - plain) / (n * n_steps) / (loop / (n * 400))


def products(sizes, batch, n_steps, dtype=float):
    """The matrix products of n_steps of a fit: forwards; backwards to weights and to layers below."""
    rng = np.random.default_rng(0)
    layers = [[rng.normal(size=shape).astype(dtype) for shape in [(batch, i), (i, o), (batch, o)]]
              for i, o in zip(sizes, sizes[1:])]
    for _ in range(n_steps):
        for k, (h, W, d) in enumerate(layers):
            h @ W
            h.T @ d
            if k:
                d @ W.T


def fit_of_networks(script, n_steps=500):
    """NeuralModel.fit against its products."""
    rng = np.random.default_rng(0)
    x, actions = rng.normal(size=(5000, 3)), rng.integers(3, size=5000)
    data = x, actions, x[:, 0] + actions, x + np.sin(x[:, ::-1])
    value, own = in_turns(lambda: script.NeuralModel(3, 3).fit(*data, n_steps=n_steps),
                          lambda: products((6, 64, 64, 4), 128, n_steps), 5)
    return value / own


def fit_of_dynamics(script):
    """NeuralDynamics.fit against its products: 100 epochs of 40 batches."""
    rng = np.random.default_rng(0)
    states, actions = rng.normal(size=(5000, 4)), rng.uniform(-1, 1, (5000, 2))
    model = script.NeuralDynamics(4, 2, hidden=64)
    value, own = in_turns(lambda: model.fit(states, actions, states + 0.1, n_epochs=100, batch_size=128),
                          lambda: products((6, 64, 64, 4), 128, 100 * 40, np.float32), 3)
    return value / own


def plan(script, horizon=20, n_candidates=500):
    """A plan of CEM with a network of 2 x 64 against its products, biases and tanh."""
    rng = np.random.default_rng(0)
    states, actions = rng.normal(size=(5000, 4)), rng.uniform(-1, 1, (5000, 2))
    model = script.NeuralDynamics(4, 2, hidden=64)
    model.fit(states, actions, states + 0.1, n_epochs=1)
    W1, W2, W3, b1, b3, x = [rng.normal(size=shape).astype(np.float32) for shape in
                             [(6, 64), (64, 64), (64, 4), 64, 4, (n_candidates, 6)]]

    def run():
        script.cem(model.predict, lambda s, a, s2: -np.hypot(s2[:, 0], s2[:, 1]), np.ones(4), horizon,
                   -1, np.ones(2), n_candidates=n_candidates, n_elites=50, n_iterations=5, rng=0)

    def own():
        for _ in range(horizon * 5):
            h = x @ W1
            h += b1
            np.tanh(h, out=h)
            h = h @ W2
            h += b1
            np.tanh(h, out=h)
            y = h @ W3
            y += b3
    value, own = in_turns(run, own, 20)
    return value / own


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
    """The loop one would write first, with random.choices. (`u -= p` by hand is 5 times as fast.)"""
    states = [[[s2 for s2, p in enumerate(row) if p] for row in rows] for rows in P.tolist()]
    probabilities = [[[p for p in row if p] for row in rows] for rows in P.tolist()]
    R, terminal, policy, rng = R.tolist(), terminal.tolist(), policy.tolist(), random.Random(0)
    actions = range(len(R[0]))
    Q = [0.0] * len(actions)
    for first in actions:
        for _ in range(n_rollouts):
            s, a, G = 0, first, 0.0
            for t in range(horizon):
                G += gamma**t * R[s][a]
                s = rng.choices(states[s][a], probabilities[s][a])[0]
                if terminal[s]:
                    break
                a = rng.choices(actions, policy[s])[0]
            Q[first] += G / n_rollouts
    return Q


def rollouts(script, K=2500):
    """Rollouts each second against those of the plain loop, slippery FrozenLake 8x8."""
    P, R, terminal = frozen_lake()
    model, policy = script.TabularModel(P, R, terminal), np.full((64, 4), 0.25)
    value, plain = in_turns(lambda: script.rollout_search(model, 0, policy, K, 100, 0.99, 0),
                            lambda: plain_table_rollouts(P, R, terminal, policy, K // 4, 100, 0.99), 5)
    return 4 * plain / value


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


def simulations(script, n=1000):
    """Simulations of MCTS for each plain rollout in the same world."""
    world = script.GridWorld(load("dyna_q").DYNA_MAZE, slip=0.2)
    value, plain = in_turns(lambda: script.mcts(world, world.start, n, gamma=0.95, max_depth=100, rng=0),
                            lambda: plain_maze_rollouts(world, n), 7)
    return plain / value


TARGETS = [("dyna_q", planning_update, "at most 0.12 of the NumPy loop's"),
           ("expectation_model", fit_of_networks, "at most 3 times its products"),
           ("mpc", plan, "at most 1.7 times its products, biases and tanh"),
           ("mpc", fit_of_dynamics, "at most 3 times its products"),
           ("rollout_search", rollouts, "at least 20 times the list loop, K = 2,500"),
           ("mcts", simulations, "at least 0.85 for each rollout of a plain loop")]


def main():
    print(f"Python {sys.version.split()[0]}, NumPy {np.__version__}, {os.cpu_count()} cores")
    for name, measure, target in TARGETS:
        print(f"{name:18} {measure.__name__:16} {measure(load(name)):8.3g}   {target}", flush=True)
    for name in SCRIPTS:
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, REPOSITORY / f"{name}.py"], cwd=folder, check=True, capture_output=True)
        print(f"{name:18} default run      {time.perf_counter() - start:8.3g} s at most 10", flush=True)


if __name__ == "__main__":
    main()
