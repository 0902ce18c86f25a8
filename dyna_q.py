"""Dyna-Q: learn values from real experience, and from experience imagined with a learned model.

The slides, and where they are here
    Sample-based planning: Dyna-Q (I), (II)    dyna_q, lines (a) to (f)
    set-up; comparison of 0/5/50 steps         Maze, compare_planning, halfway
    "harder": the path is blocked              changing_maze(BLOCKING, ...)
    "easier": a shortcut opens                 changing_maze(SHORTCUT, ...)
    What about Experience Replay?              replay_q, pairs_tried

Q-learning   Q(S,A) <- Q(S,A) + alpha [R + gamma max_a Q(S',a) - Q(S,A)]    after every real step
Dyna-Q       also Model(S,A) <- R, S'; then n times the same update with R, S' <- Model(S,A)
Dyna-Q+      the same, with R + kappa sqrt(tau) in the imagined updates
replay       the same as Dyna-Q, with R, S' from a stored transition instead of the model

Run it: python dyna_q.py (about 10 s; --quick 4 s; --help for more). To expect, mean +- standard
error of 30 runs:
    the first episode is a random walk (868.7 steps, standard deviation 789), the same for every n;
    20 steps are reached around episode 28 +- 1.3 / 6 +- 0.4 / 3 for n = 0 / 5 / 50 (the textbook
    reads about 25 / 5 / 3); then 18.1 / 16.7 / 16.8 steps, the exact epsilon-greedy optimum 15.88;
    halfway through episode 2, n = 0 has learned in 1 cell, n = 50 in 25 +- 1.5;
    blocked: 45 % of Dyna-Q's runs find the new path, all of Dyna-Q+'s; final reward 74 +- 7
    against 142 +- 2;
    shortcut: 0.3 % of Dyna-Q's runs find it, all of Dyna-Q+'s; 284 +- 5 against 346 +- 2;
    replay equals Dyna-Q bit for bit until the walls move; then stale transitions cost it 26 +- 7.
The last lines printed check each of these sentences on the run you just made.

Notation
    s, a, r, s2    S, A, R, S' of the slide: ints 0..S-1 and 0..A-1, a float, an int
    Q[s][a]        estimated value of action a in state s; nested lists, as explained at (f)
    model[s][a]    (r, s2, terminated) as last seen
    n_planning     the slide's n;  t: real steps so far;  tau: real steps since (s, a) was tried
    alpha, gamma, epsilon    step size, discount, probability of a random action

Left out on purpose: stochastic models (expectation_model.py), prioritized sweeping, function
approximation, and DQN's uniform draw from the buffer: here both learners draw pairs alike, so that
what they are told about a pair is the only difference.

Sutton & Barto, Reinforcement Learning, 2nd ed. (2018), sections 8.2 and 8.3: the mazes, and alpha,
gamma, epsilon of the comparison. The book prints none for the changing mazes; ours are below.
"""
# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy>=1.26", "matplotlib>=3.8"]
# ///
# SPDX-License-Identifier: MIT-0

import argparse
import math
import os
import random
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

# %% Settings

DYNA_MAZE = [".......#G",          # '#' wall, 'S' start, 'G' goal
             "..#....#.",
             "S.#....#.",
             "..#......",
             ".....#...",
             "........."]
GAP_RIGHT = ["........G",
             ".........",
             ".........",
             "########.",
             ".........",
             "...S....."]
GAP_LEFT = GAP_RIGHT[:3] + [".########"] + GAP_RIGHT[4:]
GAP_BOTH = GAP_RIGHT[:3] + [".#######."] + GAP_RIGHT[4:]
BLOCKING = dict(rows=GAP_RIGHT, later_rows=GAP_LEFT, change_at=1000)    # a slide: it gets harder
SHORTCUT = dict(rows=GAP_LEFT, later_rows=GAP_BOTH, change_at=3000)     # the next: easier

N_PLANNING = (0, 5, 50)                                     # the slide's comparison (alpha = 0.1)
CHANGING = dict(alpha=1.0, gamma=0.95, epsilon=0.1)         # one setting for both changing mazes,
N_CHANGING, KAPPA = 10, 1e-3                                # n = 10, and Dyna-Q+'s bonus
N_QUESTIONS = 100                               # real steps before what the model is asked is drawn

BLUE, GREEN, RED, GREY = "#0072B2", "#009E73", "#D55E00", "#666666"     # colour-blind safe


# %% Environment: the textbook's mazes

class Maze:
    """A grid in Gymnasium's interface: entering a goal pays 1 and terminates, all else pays 0.

    rows        equally long strings of '.' free, '#' wall, 'S' start (one), 'G' goal
    later_rows  the layout after the first `change_at` real steps. Real steps are counted across
                episodes, so walls also move in mid-episode; an agent caught in one can walk out.

    States are numbered row by row from the top left; actions: 0 up, 1 right, 2 down, 3 left. A move
    into a wall or over the border stays put. ValueError if a layout is malformed, or if its goal
    cannot be reached (after the change: from wherever the agent may be by then).
    """

    def __init__(self, rows, later_rows=None, change_at=None):
        if (later_rows is None) != (change_at is None):
            raise ValueError("later_rows and change_at must be given together")
        self.change_at = math.inf if change_at is None else change_at
        self.layouts = [self.read(rows), self.read(later_rows or rows)]
        now, later = self.layouts
        if now.shape != later.shape:
            raise ValueError(f"rows and later_rows differ in shape: {now.shape}, {later.shape}")
        if any(now.distance[s] < math.inf and later.distance[s] == math.inf for s in now.free):
            raise ValueError("after the walls have moved, the goal is out of reach from some cells")
        self.observation_space = SimpleNamespace(n=len(now.next_states))
        self.action_space = SimpleNamespace(n=4)
        self.reset(seed=0)

    @staticmethod
    def read(rows):
        """One layout: start, goals, free cells, next_states[s][a], and distance to G in moves."""
        text, height, width = "".join(rows), len(rows), max(map(len, rows), default=0)
        if len(text) != height * width or not set(text) <= set(".#SG") or text.count("S") != 1:
            raise ValueError(f"a maze is equally long rows of . # S G with one S; got {rows}")
        next_states = []
        for s in range(len(text)):
            y, x = divmod(s, width)
            moves = [(y - 1, x), (y, x + 1), (y + 1, x), (y, x - 1)]
            next_states.append([i * width + j if 0 <= i < height and 0 <= j < width
                                and text[i * width + j] != "#" else s for i, j in moves])
        goals = {s for s in range(len(text)) if text[s] == "G"}
        distance = [0 if s in goals else math.inf for s in range(len(text))]
        for k in range(len(text)):          # cells k steps from G are found from those k - 1 away
            for s, successors in enumerate(next_states):
                if distance[s] == math.inf and min(distance[s2] for s2 in successors) == k:
                    distance[s] = k + 1
        start = text.index("S")
        if distance[start] == math.inf:
            raise ValueError("the goal G cannot be reached from the start S")
        free = [s for s in range(len(text)) if text[s] != "#"]
        return SimpleNamespace(start=start, goals=goals, free=free, next_states=next_states,
                               distance=distance, shape=(height, width))

    def reset(self, seed=None):
        """Back to S. A seed, given once before the first episode, also resets the step count."""
        if seed is not None:
            self.t = 0
        self.state = self.layouts[self.t >= self.change_at].start
        return self.state, {}

    def step(self, action):
        layout = self.layouts[self.t >= self.change_at]
        self.t += 1
        self.state = layout.next_states[self.state][action]
        terminated = self.state in layout.goals
        return self.state, float(terminated), terminated, False, {}


# %% Algorithm: Q-learning, Dyna-Q and Dyna-Q+ are one loop

def dyna_q(env, n_planning=5, n_episodes=50, n_steps=None, alpha=0.1, gamma=0.95, epsilon=0.1,
           kappa=0.0, seed=0):
    """Tabular Dyna-Q: n_planning = 0 is Q-learning, kappa > 0 is Dyna-Q+ (slide "Dyna-Q (II)").

    env         Gymnasium's interface, discrete states and actions, e.g. gymnasium.make("Taxi-v4")
    n_planning  imagined updates after each real step
    n_episodes  episodes to run; or, if given, exactly n_steps real steps, whatever the episodes
    kappa       bonus kappa sqrt(tau) in imagined updates; actions never tried in a visited state
                may then be planned too, and are modelled as staying put with reward 0
    seed        int or Generator; environment, acting and planning draw from separate streams of it

    Returns Q (S, A), steps of each finished episode (E,), reward of each real step (T,). ValueError
    for an argument out of range. Without exploration (epsilon = 0) an episode may never end: then
    give n_steps.
    """
    if not (0 < alpha <= 1 and 0 <= gamma <= 1 and 0 <= epsilon <= 1 and 0 <= kappa < math.inf):
        raise ValueError("need 0 < alpha <= 1, gamma and epsilon in [0, 1], kappa >= 0; "
                         f"got {alpha=}, {gamma=}, {epsilon=}, {kappa=}")
    n_real = n_episodes if n_steps is None else n_steps
    if n_planning < 0 or n_planning % 1 or n_real < 1 or n_real % 1:
        raise ValueError("need whole numbers: n_planning >= 0, and n_episodes or n_steps >= 1; "
                         f"got {n_planning=}, {n_episodes=}, {n_steps=}")
    env_seed, *seeds = (int(rng.integers(2**31)) for rng in np.random.default_rng(seed).spawn(3))
    acting, planning = map(random.Random, seeds)
    S, A = int(env.observation_space.n), int(env.action_space.n)
    Q = [[0.0] * A for _ in range(S)]
    model = [[(0.0, s, False)] * A for s in range(S)]   # of an untried pair: stay put, reward 0
    tried_at = [[0] * A for _ in range(S)]
    visited, known = [], [[] for _ in range(S)]         # states seen; actions to plan in each
    rewards, steps_per_episode, t_start = [], [], 0

    state, _ = env.reset(seed=env_seed)
    while len(rewards) < n_steps if n_steps else len(steps_per_episode) < n_episodes:
        # (a) S <- current (nonterminal) state
        s = state
        # (b) A <- epsilon-greedy(S, Q), ties broken at random
        if acting.random() < epsilon:
            a = int(acting.random() * A)
        else:
            best = max(Q[s])
            ties = [b for b in range(A) if Q[s][b] == best]
            a = ties[int(acting.random() * len(ties))]
        # (c) take action A; observe resultant reward R, and state S'
        s2, r, terminated, truncated, _ = env.step(a)
        rewards.append(r)
        t = len(rewards)
        if terminated or truncated:
            steps_per_episode.append(t - t_start)
            t_start = t
            state, _ = env.reset()
        else:
            state = s2
        # (d) Q(S,A) <- Q(S,A) + alpha [R + gamma max_a Q(S',a) - Q(S,A)]
        Q[s][a] += alpha * ((r if terminated else r + gamma * max(Q[s2])) - Q[s][a])
        # (e) Model(S,A) <- R, S'
        if not known[s]:
            visited.append(s)
            if kappa > 0:                               # Dyna-Q+ may plan actions never tried
                known[s] = list(range(A))
        if a not in known[s]:
            known[s].append(a)
        model[s][a] = (r, s2, terminated)
        tried_at[s][a] = t
        # (f) repeat n times: S <- a visited state, A <- an action taken in S, both at random;
        #     R, S' <- Model(S,A); the update of (d). Why lists: for single numbers they are quick.
        #     One imagined update takes 0.4 microseconds; on NumPy arrays, as assignments have it,
        #     4 to 5; in the best-known public script 21 to 24; in compiled code 0.005.
        for s in planning.choices(visited, k=int(n_planning)):
            actions = known[s]
            a = actions[int(planning.random() * len(actions))]
            r, s2, terminated = model[s][a]
            if kappa:                                   # Dyna-Q+: a bonus for the long untried
                r += kappa * math.sqrt(t - tried_at[s][a])
            target = r if terminated else r + gamma * max(Q[s2])
            Q[s][a] += alpha * (target - Q[s][a])
    return np.array(Q), np.array(steps_per_episode), np.array(rewards)


def replay_q(env, n_replay=5, n_episodes=50, n_steps=None, alpha=0.1, gamma=0.95, epsilon=0.1,
             kappa=0.0, seed=0):
    """Experience replay: dyna_q, but (e) stores every transition and (f) draws from those.

    Slide "What about Experience Replay?". Arguments, results and errors are dyna_q's, with n_replay
    for n_planning. The buffer keeps everything and holds nothing about pairs never tried.
    """
    if not (0 < alpha <= 1 and 0 <= gamma <= 1 and 0 <= epsilon <= 1 and 0 <= kappa < math.inf):
        raise ValueError("need 0 < alpha <= 1, gamma and epsilon in [0, 1], kappa >= 0; "
                         f"got {alpha=}, {gamma=}, {epsilon=}, {kappa=}")
    n_real = n_episodes if n_steps is None else n_steps
    if n_replay < 0 or n_replay % 1 or n_real < 1 or n_real % 1:
        raise ValueError("need whole numbers: n_replay >= 0, and n_episodes or n_steps >= 1; "
                         f"got {n_replay=}, {n_episodes=}, {n_steps=}")
    env_seed, *seeds = (int(rng.integers(2**31)) for rng in np.random.default_rng(seed).spawn(4))
    acting, planning, drawing = map(random.Random, seeds)
    S, A = int(env.observation_space.n), int(env.action_space.n)
    Q = [[0.0] * A for _ in range(S)]
    buffer = [[[] for _ in range(A)] for _ in range(S)]     # every transition, filed by (s, a)
    tried_at = [[0] * A for _ in range(S)]
    visited, known = [], [[] for _ in range(S)]         # states seen; actions to plan in each
    rewards, steps_per_episode, t_start = [], [], 0

    state, _ = env.reset(seed=env_seed)
    while len(rewards) < n_steps if n_steps else len(steps_per_episode) < n_episodes:
        # (a) S <- current (nonterminal) state
        s = state
        # (b) A <- epsilon-greedy(S, Q), ties broken at random
        if acting.random() < epsilon:
            a = int(acting.random() * A)
        else:
            best = max(Q[s])
            ties = [b for b in range(A) if Q[s][b] == best]
            a = ties[int(acting.random() * len(ties))]
        # (c) take action A; observe resultant reward R, and state S'
        s2, r, terminated, truncated, _ = env.step(a)
        rewards.append(r)
        t = len(rewards)
        if terminated or truncated:
            steps_per_episode.append(t - t_start)
            t_start = t
            state, _ = env.reset()
        else:
            state = s2
        # (d) Q(S,A) <- Q(S,A) + alpha [R + gamma max_a Q(S',a) - Q(S,A)]
        Q[s][a] += alpha * ((r if terminated else r + gamma * max(Q[s2])) - Q[s][a])
        # (e) store the transition: here Dyna-Q would overwrite what it knew of (S, A)
        if not known[s]:
            visited.append(s)
        if a not in known[s]:
            known[s].append(a)
        buffer[s][a].append((r, s2, terminated))
        tried_at[s][a] = t
        # (f) repeat n times: draw (S, A) as Dyna does, then R, S' from its stored transitions
        for s in planning.choices(visited, k=int(n_replay)):
            actions = known[s]
            a = actions[int(planning.random() * len(actions))]
            stored = buffer[s][a]
            r, s2, terminated = stored[int(drawing.random() * len(stored))]
            if kappa:                                   # Dyna-Q+: a bonus for the long untried
                r += kappa * math.sqrt(t - tried_at[s][a])
            target = r if terminated else r + gamma * max(Q[s2])
            Q[s][a] += alpha * (target - Q[s][a])
    return np.array(Q), np.array(steps_per_episode), np.array(rewards)


# %% Exact answers

def expected_steps(maze, epsilon):
    """Exact mean length of an episode for an epsilon-greedy agent that knows the maze.

    With probability epsilon it moves at random, else along a shortest path (ties at random); so
    epsilon = 0 gives the shortest path, 1 the random walk. Solves h = 1 + P h, h = 0 at the goal.
    """
    layout = maze.layouts[0]
    distance, next_states = np.array(layout.distance), np.array(layout.next_states) # (S,), (S,A)
    S, A = next_states.shape
    best = distance[next_states] == distance[next_states].min(axis=1, keepdims=True)
    policy = epsilon / A + (1 - epsilon) * best / best.sum(axis=1, keepdims=True)       # (S,A)
    P = np.zeros((S, S))
    np.add.at(P, (np.arange(S)[:, None], next_states), policy)
    inner = [s for s in layout.free if 0 < distance[s] < math.inf]
    h = np.linalg.solve(np.eye(len(inner)) - P[np.ix_(inner, inner)], np.ones(len(inner)))
    return h[inner.index(layout.start)]


# %% Experiments: arrays with a leading axis of runs; nothing is drawn or printed

def run_seeds(n_runs, seed):
    """One seed per run, the same for all methods, so that they meet the same luck."""
    return np.random.SeedSequence(seed).generate_state(n_runs).tolist()


def compare_planning(n_runs, seed, n_episodes=50):
    """The slide that compares 0, 5, 50 planning steps: steps per episode (runs, 3, n_episodes)."""
    return np.array([[dyna_q(Maze(DYNA_MAZE), n, n_episodes, seed=s)[1] for n in N_PLANNING]
                     for s in run_seeds(n_runs, seed)])


def halfway(steps, i, seed):
    """Halfway through episode 2 with N_PLANNING[i]: Q (runs, S, A), the agent's states (runs,)."""
    Qs, agents = [], []
    for run_seed, (first, second) in zip(run_seeds(len(steps), seed), steps[:, i, :2].tolist()):
        maze = Maze(DYNA_MAZE)                      # the same seed walks the same way again
        Qs.append(dyna_q(maze, N_PLANNING[i], n_steps=first + second // 2, seed=run_seed)[0])
        agents.append(maze.state)
    return np.array(Qs), np.array(agents)


def changing_maze(maze, learner, n_steps, n_runs, seed, kappa=0.0):
    """The slides "harder", "easier": cumulative reward (runs, n_steps) while the walls move."""
    results = [learner(Maze(**maze), N_CHANGING, n_steps=n_steps, kappa=kappa, seed=s, **CHANGING)
               for s in run_seeds(n_runs, seed)]
    return np.cumsum([rewards for _, _, rewards in results], axis=1)


def pairs_tried(n_steps, seed):
    """The pairs (s, a) that Dyna-Q+ has tried in its first real steps on the shortcut maze."""
    maze, tried = Maze(**SHORTCUT), set()
    step = maze.step

    def recording_step(action):                     # look over the agent's shoulder
        tried.add((maze.state, action))
        return step(action)

    maze.step = recording_step
    dyna_q(maze, N_CHANGING, n_steps=n_steps, kappa=KAPPA, seed=run_seeds(1, seed)[0], **CHANGING)
    return tried


def run_experiments(n_runs, seed, progress):
    progress("Dyna maze, n = 0, 5, 50")
    steps = compare_planning(n_runs, seed)
    policies = halfway(steps, 0, seed), halfway(steps, 2, seed)
    progress("blocking maze")
    blocking = {"Dyna-Q": changing_maze(BLOCKING, dyna_q, 3000, n_runs, seed),
                "Dyna-Q+": changing_maze(BLOCKING, dyna_q, 3000, n_runs, seed, KAPPA),
                "replay": changing_maze(BLOCKING, replay_q, 3000, n_runs, seed)}
    progress("shortcut maze")
    shortcut = {"Dyna-Q": changing_maze(SHORTCUT, dyna_q, 6000, n_runs, seed),
                "Dyna-Q+": changing_maze(SHORTCUT, dyna_q, 6000, n_runs, seed, KAPPA)}
    return dict(steps=steps, policies=policies, blocking=blocking, shortcut=shortcut,
                tried=pairs_tried(N_QUESTIONS, seed))


# %% Claims: what the docstring says, checked on this very run

def n_arrows(Q):
    """In how many states Q (..., S, A) prefers some action to another."""
    return (Q.max(axis=-1) > Q.min(axis=-1)).sum(axis=-1)


def near(claim, expected, tolerance, measured):
    return (claim, f"{expected:g} ± {tolerance:.3g}", f"{measured:.4g}",
            abs(measured - expected) <= tolerance)


def check_claims(steps, policies, blocking, shortcut, tried):
    """Rows (claim, expected, measured, ok).

    A tolerance is 4 standard errors for this number of runs (1 seed in 10,000 misses it), from the
    standard deviations of 600 other runs; of the final rewards: of 2,000 runs of another program.
    """
    se4 = 4 / math.sqrt(len(steps))
    shortest, optimum, walk = (expected_steps(Maze(DYNA_MAZE), epsilon) for epsilon in (0, 0.1, 1))
    rows = [near("Dyna maze: shortest path", 14, 1e-9, shortest),
            near("episode 1: difference between n = 0, 5, 50", 0, 0,
                 np.ptp(steps[:, :, 0], axis=1).max()),
            near("episode 1: steps of a random walk", round(walk, 1), 789 * se4,
                 steps[:, 0, 0].mean())]
    for i, (n, expected, sd) in enumerate(zip(N_PLANNING, (28, 6, 3), (7.2, 2.4, 1.4))):
        short = np.flatnonzero(steps[:, i].mean(axis=0) <= 20)
        rows.append(near(f"n = {n}: first episode with a mean of at most 20 steps", expected,
                         sd * se4, short[0] + 1 if len(short) else math.nan))
    for i, (n, expected, sd) in enumerate(zip(N_PLANNING, (18.1, 16.7, 16.8), (1.5, 1.2, 1.5))):
        rows.append(near(f"n = {n}: steps in episodes 31 to 50 (exact optimum {optimum:.3f})",
                         expected, sd * se4, steps[:, i, 30:].mean()))
    for n, expected, sd, (Q, _) in zip((0, 50), (1, 25), (0, 8.3), policies):
        rows.append(near(f"n = {n}: cells with an arrow halfway through episode 2", expected,
                         sd * se4, n_arrows(Q).mean()))
    # found: rewards in the last 1000 steps; there, more of them than the old way's 16 steps allow
    for maze, curves, least, name, share, sd_share, reward, sd in (
            ("blocking", blocking, 0, "Dyna-Q", 0.45, 0.5, 74.1, 39.6),
            ("blocking", blocking, 0, "Dyna-Q+", 1.0, 0, 141.6, 9.4),
            ("shortcut", shortcut, 1000 / 16, "Dyna-Q", 0.003, 0.13, 283.7, 29.1),   # 0.13: so rare
            ("shortcut", shortcut, 1000 / 16, "Dyna-Q+", 1.0, 0, 345.9, 10.8)):      # it is skewed
        final, before = curves[name][:, -1], curves[name][:, -1001]
        rows += [near(f"{maze} maze, {name}: share of runs that find the new way", share,
                      sd_share * se4, (final - before > least).mean()),
                 near(f"{maze} maze, {name}: final reward", reward, sd * se4, final.mean())]
    ahead, change_at = blocking["Dyna-Q"] - blocking["replay"], BLOCKING["change_at"]
    untried = 4 * len({s for s, _ in tried}) - len(tried)
    return rows + [
        near("replay: reward apart from Dyna-Q's before the walls move", 0, 0,
             np.abs(ahead[:, :change_at]).max()),
        near("replay: final reward lost to stale transitions", 25.9, 37.6 * se4,
             ahead[:, -1].mean()),
        (f"Dyna-Q+ after {N_QUESTIONS} steps: planned pairs that no buffer holds", "> 0",
         str(untried), untried > 0)]


# %% Figure: one panel per slide

def draw_band(ax, x, runs, color, label, at, shift, ha="left"):
    """Mean over runs (axis 0) and its 95 % band (2 standard errors), labelled near point `at`."""
    mean, error = runs.mean(axis=0), runs.std(axis=0) / math.sqrt(max(len(runs) - 1, 1))
    ax.fill_between(x, mean - 2 * error, mean + 2 * error, color=color, alpha=0.2, linewidth=0)
    ax.plot(x, mean, color=color, linewidth=1.8)
    ax.annotate(label, (x[at], mean[at]), shift, textcoords="offset points", color=color, ha=ha)


def draw_maze(ax, rows):
    ax.imshow([[cell == "#" for cell in row] for row in rows], cmap="Greys", vmin=0, vmax=1.6)
    for s, cell in enumerate("".join(rows)):
        if cell in "SG":
            ax.text(s % 9, s // 9, cell, ha="center", va="center", color=GREY, fontweight="bold")
    ax.set_xticks(np.arange(10) - 0.5, [])
    ax.set_yticks(np.arange(7) - 0.5, [])
    ax.grid(color="#cccccc", linewidth=0.6)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


ARROWS = [(0, -0.36), (0.36, 0), (0, 0.36), (-0.36, 0)]     # up, right, down, left in the picture


def draw_policy(ax, Qs, agents):
    """The run with the median number of arrows: greedy actions, and the agent as a dot."""
    run = np.argsort(n_arrows(Qs), kind="stable")[len(Qs) // 2]
    Q, agent = Qs[run], agents[run]
    draw_maze(ax, DYNA_MAZE)
    for s in np.flatnonzero(Q.max(axis=1) > Q.min(axis=1)):         # no arrow where all are equal
        for a in np.flatnonzero(Q[s] == Q[s].max()):
            (dx, dy), (y, x) = ARROWS[a], divmod(s, 9)
            ax.annotate("", (x + dx, y + dy), (x - dx, y - dy),
                        arrowprops=dict(arrowstyle="->", color=BLUE, linewidth=1.3))
    ax.plot(agent % 9, agent // 9, "o", color=RED, markersize=7)


def draw_questions(ax, tried):
    """The pairs the model is asked about: full triangles are in the buffer too, open are not."""
    draw_maze(ax, GAP_LEFT)
    for s in {s for s, _ in tried}:
        for a, (dx, dy) in enumerate(ARROWS):
            held = (s, a) in tried
            ax.plot(s % 9 + 0.85 * dx, s // 9 + 0.85 * dy, "^>v<"[a], markersize=3.2,
                    color=BLUE if held else RED, fillstyle="full" if held else "none")


def draw_change(ax, maze, curves, colors):
    for (name, color), shift, ha in zip(colors.items(), ((8, -14), (-8, 6)), ("left", "right")):
        t = np.arange(9, curves[name].shape[1], 10)                 # every 10th step is enough
        draw_band(ax, t + 1, curves[name][:, t], color, name, -len(t) // 3, shift, ha)
    ax.axvline(maze["change_at"], ymax=0.66, color=GREY, linewidth=1, linestyle=":")
    ax.set(xlabel="real steps", ylabel="cumulative reward", xlim=(0, t[-1] + 1))
    ax.set_ylim(0, 1.5 * ax.get_ylim()[1])                          # room for the two layouts
    draw_maze(ax.inset_axes([0.02, 0.72, 0.45, 0.28]), maze["rows"])
    draw_maze(ax.inset_axes([0.53, 0.72, 0.45, 0.28]), maze["later_rows"])


def draw_figure(fig, steps, policies, blocking, shortcut, tried):
    axes = fig.subplot_mosaic([["curve", "curve", "n = 0", "n = 50"],
                               ["harder", "easier", "replay", "questions"]], height_ratios=[6, 5])
    ax = axes["curve"]
    shortest, optimum, walk = (expected_steps(Maze(DYNA_MAZE), epsilon) for epsilon in (0, 0.1, 1))
    for exact in (shortest, optimum, walk):
        ax.axhline(exact, color=GREY, linewidth=1, linestyle="--")
    ax.text(50, 1.1 * walk, f"episode 1: the same random walk for every n, {walk:.2f} expected",
            color=GREY, ha="right")
    ax.text(50, 10.5, f"exact: shortest path {shortest:.0f}, ε-greedy optimum {optimum:.3f}",
            color=GREY, ha="right")
    for i, (n, color, at) in enumerate(zip(N_PLANNING, (RED, GREEN, BLUE), (9, 3, 1))):
        draw_band(ax, np.arange(1, 51), steps[:, i], color, f"n = {n}", at, (6, 4))
    ax.set(xscale="log", yscale="log", xlim=(1, 50), ylim=(9, 1500),
           xlabel="episode", ylabel="steps per episode",
           xticks=(ticks := [1, 2, 3, 6, 10, 28, 50]), xticklabels=ticks,
           yticks=(ticks := [14, 30, 100, 300, 1000]), yticklabels=ticks)
    ax.minorticks_off()
    draw_maze(ax.inset_axes([0.68, 0.5, 0.3, 0.36]), DYNA_MAZE)
    draw_policy(axes["n = 0"], *policies[0])
    draw_policy(axes["n = 50"], *policies[1])
    draw_change(axes["harder"], BLOCKING, blocking, {"Dyna-Q": BLUE, "Dyna-Q+": GREEN})
    draw_change(axes["easier"], SHORTCUT, shortcut, {"Dyna-Q": BLUE, "Dyna-Q+": GREEN})
    draw_change(axes["replay"], BLOCKING, blocking, {"replay": RED, "Dyna-Q": BLUE})
    draw_questions(axes["questions"], tried)
    axes["n = 0"].set_xlabel("dot: the agent")
    axes["questions"].set_xlabel("▲ tried (in the buffer)\n△ untried (the model only)")
    for name, title in {
            "curve": f"Dyna maze: n planning steps per real step ({len(steps)} runs, 95 % band)",
            "n = 0": "halfway in episode 2: n = 0", "n = 50": "halfway in episode 2: n = 50",
            "harder": "harder: the path is blocked", "easier": "easier: a shortcut opens",
            "replay": "replay: the path is blocked",
            "questions": "what a model can be asked"}.items():
        axes[name].set_title(title, loc="left", fontsize="medium")


# %% Table and command line, the same in all five scripts

def print_table(rows):
    table = [("claim", "expected", "measured", "ok")]
    table += [(*row[:3], "yes" if row[3] else "NO") for row in rows]
    widths = [max(map(len, column)) for column in zip(*table)]
    for row in table:
        print(" | ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def progress(text):
    if sys.stderr.isatty():                         # nothing when piped
        print(f"\r{text:<60}\r", end="", file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], usage=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, metavar="N", help="independent runs (default 30)")
    parser.add_argument("--seed", type=int, metavar="S", default=0, help="base seed (default 0)")
    parser.add_argument("--quick", action="store_true", help="a few seconds: 8 runs")
    parser.add_argument("--save", type=Path, metavar="PATH", help="write the figure: png, pdf, svg")
    args = parser.parse_args()
    n_runs = args.runs if args.runs is not None else 8 if args.quick else 30
    if n_runs < 1 or args.seed < 0:
        parser.error("--runs must be at least 1 and --seed at least 0")

    import matplotlib.pyplot as plt                 # here: using the functions needs only NumPy
    plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False,
                         "svg.hashsalt": "same seed, same file"})
    fig = plt.figure(figsize=(12.8, 7.2), layout="constrained")
    has_window = fig.canvas.required_interactive_framework is not None
    path = args.save or (None if has_window else Path(Path(__file__).stem + ".png"))
    if path:                                        # refuse what cannot be written before any work
        kind, part = path.suffix[1:].lower(), path.with_name(path.name + ".part")
        if kind not in ("png", "pdf", "svg") or path.is_dir():
            parser.error(f"--save needs a file name ending in .png, .pdf or .svg, not {path.name}")
        try:
            part.touch()
            part.unlink()
        except OSError as error:
            parser.error(f"cannot write {path}: {error.strerror}; --save PATH chooses a place")

    results = run_experiments(n_runs, args.seed, progress)
    progress("drawing")
    draw_figure(fig, **results)
    if path:
        try:                                        # only a complete picture replaces an old one
            fig.savefig(part, format=kind, dpi=150,
                        metadata={"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind))
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    progress("")
    print_table(check_claims(**results))
    if path:
        print(f"figure: {path}")
    sys.stdout.flush()                              # notice here, not at exit, a reader that left
    if has_window and not args.save:
        plt.show()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:                         # our output went to a program that closed early
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
