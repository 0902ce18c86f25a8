"""Tests of dyna_q.py: by hand, statistics of the luck, exact checks, curves, bad input, and our own figure.

False alarms: about 120 comparisons, most at 5 standard errors (6e-7 each), others as stated beside them:
a right program fails this file in fewer than 1 of 5,000 runs.
"""
import csv
import functools
import math
import random
from pathlib import Path

import numpy as np
import pytest

from conftest import require, require_names

EXPECTED = Path(__file__).parent / "expected"
DYNA_MAZE = [".......#G", "..#....#.", "S.#....#.", "..#......", ".....#...", "........."]
GAP_RIGHT = ["........G", ".........", ".........", "########.", ".........", "...S....."]
GAP_LEFT = GAP_RIGHT[:3] + [".########"] + GAP_RIGHT[4:]
GAP_BOTH = GAP_RIGHT[:3] + [".#######."] + GAP_RIGHT[4:]
MAZES = {"blocking": ((GAP_RIGHT, GAP_LEFT, 1000), 3000), "shortcut": ((GAP_LEFT, GAP_BOTH, 3000), 6000)}
UP, RIGHT, DOWN, LEFT = range(4)
ACTIONS = ["up", "right", "down", "left"]
both = pytest.mark.parametrize("name", ["dyna_q", "replay_q"])
failure = pytest.fail.Exception


class Discrete:
    """What an agent may ask of Gymnasium's space of that name."""
    shape, dtype = (), np.dtype(int)

    def __init__(self, n, start=0):
        self.n, self.start = n, start

    def contains(self, x):
        return self.start <= x < self.start + self.n

    def sample(self):
        return self.start + random.Random(0).randrange(self.n)


class World:
    """An environment in which outcome(s, a) gives (r, s2, terminated, truncated), starting in 0; or a script's maze. It
    keeps a log of (s, a, r, s2, terminated), and stops whoever breaks Gymnasium's rules or goes on for ever."""

    def __init__(self, n_states, n_actions, outcome, maze=None):
        self.observation_space, self.action_space = Discrete(n_states), Discrete(n_actions)
        self.outcome, self.maze, self.unwrapped, self.metadata = outcome, maze, self, {}
        self.log, self.seeds, self.over = [], [], True

    def reset(self, seed=None, options=None):
        require(seed is None or type(seed) is int, f"reset() was given the seed {seed!r}: Gymnasium takes an int or None")
        self.seeds.append(seed)
        self.s = 0 if self.maze is None else self.maze.reset(**({} if seed is None else {"seed": seed}))[0]
        self.over = False
        return self.s, {}

    def step(self, a):
        require(not self.over, "an action was taken after the episode had terminated or was truncated: reset() first")
        require(0 <= a < self.action_space.n and a == int(a), f"there is no action {a!r}")
        require(len(self.log) < 20_000, "after 20,000 real steps the agent goes on: does it stop at n_steps or "
                "n_episodes? Does it run in circles, because ties between actions are not broken at random?")
        r, s2, terminated, truncated = self.outcome(self.s, int(a))
        self.log.append((self.s, int(a), float(r), s2, terminated))
        self.s, self.over = s2, terminated or truncated
        return s2, r, terminated, truncated, {}


def maze_world(maze):
    def outcome(s, a):
        s2, r, terminated, truncated, _ = maze.step(a)
        return r, s2, terminated, truncated
    return World(maze.observation_space.n, maze.action_space.n, outcome, maze)


# State 0 is the start and also where the last step ends, so that its value is not zero there.
RING = {(0, 0): (0.0, 1, False, False), (0, 1): (0.5, 0, False, False), (1, 0): (0.0, 2, False, False),
        (1, 1): (-1.0, 0, False, True), (2, 0): (2.0, 0, True, False), (2, 1): (0.0, 1, False, False)}


def ring(kind=float):                              # the kind of number that it pays in
    return World(3, 2, lambda s, a: (kind(RING[s, a][0]), *RING[s, a][1:]))


def require_value(value, expected, where):
    require(abs(value - expected) < 1e-9, f"{where}: Q is {value:.6g}, not {expected:.6g}")


def test_the_names_of_the_contract_are_there(dyna_q):
    require_names(dyna_q)


# ---------------------------------------------------------------- by hand: the mazes

def follow(maze, *path):
    """path: (action, expected cell, why)."""
    for a, expected, why in path:
        s, r, terminated, truncated, _ = maze.step(a)
        require(s == expected, f"{ACTIONS[a]} led to cell {s}, not to {expected}: {why}")
        goal = "goal" in why
        require((r, bool(terminated), bool(truncated)) == (goal, goal, False), f"{ACTIONS[a]} to cell {s} ({why}) gave "
                f"reward {r}, terminated {terminated}, truncated {truncated}: a step into a goal pays 1 and ends the "
                "episode, no other does")


def test_a_maze_by_hand(dyna_q):
    """The cells of the first are 0 1 2, 3 4 5, 6 7 8; 0 is S, 2 is G, 4 is a wall."""
    maze = dyna_q.Maze(["S.G", ".#.", "..."])
    sizes = maze.observation_space.n, maze.action_space.n
    require(sizes == (9, 4), f"a maze of 3 x 3 cells has 9 states and 4 actions, not {sizes}")
    require(tuple(maze.reset()) == (0, {}), "reset() gives the cell of S, 0, and an empty dict")
    free, wall = "it is free", "cell 4 is a wall"
    follow(maze, (UP, 0, "above is the border"), (LEFT, 0, "left is the border"), (RIGHT, 1, free), (DOWN, 1, wall),
           (RIGHT, 2, "a goal"))
    require(maze.reset()[0] == 0, "reset() did not lead back to S")
    follow(maze, (DOWN, 3, free), (UP, 0, "back onto S, which is free"), (DOWN, 3, free),
           (LEFT, 3, "left is the border, not the row above"), (RIGHT, 3, wall), (DOWN, 6, free),
           (DOWN, 6, "below is the border"), (RIGHT, 7, free), (UP, 7, wall), (RIGHT, 8, free),
           (RIGHT, 8, "right is the border"), (UP, 5, free), (RIGHT, 5, "right is the border, not the row below"),
           (UP, 2, "a goal"))
    maze = dyna_q.Maze(["GS.G"])
    for path in [[(LEFT, 0, "a goal")], [(RIGHT, 2, free), (RIGHT, 3, "the other goal")]]:
        maze.reset()
        follow(maze, *path)


def test_walls_that_move_by_hand(dyna_q):
    """change_at = 1: the first real step still meets the old walls, all others the new ones."""
    maze = dyna_q.Maze(["S.G", "..."], ["S#G", "..."], 1)
    for _ in range(2):
        maze.reset(seed=0)
        follow(maze, (RIGHT, 1, "the first step of a new run (reset with a seed counts from 0) meets the old walls"),
               (DOWN, 4, "the agent stands in what is now a wall, and can leave it"), (UP, 4, "cell 1 is now a wall"))
        maze.reset()
        follow(maze, (RIGHT, 0, "the walls moved after change_at = 1 real step, counted through all episodes"))
    maze.reset(seed=0)
    follow(maze, (UP, 0, "above is the border"), (RIGHT, 0, "a step against a wall or border is a real step as well"))
    maze = dyna_q.Maze(["S.G"], ["G.S"], 2)
    maze.reset(seed=0)
    follow(maze, (RIGHT, 1, "it is free"), (RIGHT, 2, "the goal"))
    require(maze.reset()[0] == 2, "S and G have changed places: reset() leads to the new S, cell 2")
    follow(maze, (LEFT, 1, "it is free"), (LEFT, 0, "the new place of the goal"))
    maze = dyna_q.Maze(["S.G", "..."], ["S#G", "..."], 0)
    maze.reset(seed=0)
    follow(maze, (RIGHT, 0, "change_at = 0: the later walls hold from the first step on"))


def test_only_cells_in_which_the_agent_can_be_need_a_way(dyna_q):
    for arguments in [(["S.G", "###", "..."],), (["S.G#G"],), (["G#S.G"],), (["S.G"], ["#SG"], 5),
                      (["S.G#.", "..###"], ["S.G#.", ".####"], 3)]:
        try:
            dyna_q.Maze(*arguments)
        except ValueError as error:
            require(False, f"Maze{arguments} was refused ({error}), but there is a way to a goal from wherever the agent "
                    "can be")


# ---------------------------------------------------------------- by hand: the agent

@both
def test_what_is_returned_by_hand(dyna_q, name):
    """Episodes of 3 steps, the last one with reward 1. n_steps = 7 is two of them and one step, whatever n_episodes."""
    for stop, n_steps in [(dict(n_steps=T, n_episodes=1), T) for T in (0, 2, 6, 7)] + [(dict(n_episodes=2), 6), ({}, 150)]:
        world = World(3, 1, lambda s, a: (float(s == 2), (s + 1) % 3, s == 2, False))
        Q, steps, rewards = results = getattr(dyna_q, name)(world, 2, **stop)
        said = f"episodes of 3 steps with rewards 0, 0, 1, {stop}:"
        require(len(world.log) == n_steps, f"{said} {len(world.log)} real steps were made, not {n_steps}")
        for what, x, kind in zip(["Q", "steps_per_episode", "rewards"], results, [np.float64, np.integer, np.float64]):
            require(isinstance(x, np.ndarray) and np.issubdtype(x.dtype, kind),
                    f"{what} is {type(x).__name__} {getattr(x, 'dtype', '')}, not an array of {kind.__name__} numbers")
        require(Q.shape == (3, 1), f"Q has the shape {Q.shape}, not (3, 1): states, actions")
        require(n_steps > 2 or not Q.any(), f"before the first reward Q is {Q.ravel()}: all values start at 0")
        require(steps.tolist() == [3] * (n_steps // 3), f"{said} steps_per_episode (finished ones only) is "
                f"{steps.tolist()[:9]}...")
        require(rewards.tolist() == ([0.0, 0.0, 1.0] * 50)[:n_steps], f"{said} rewards is {rewards.tolist()[:9]}...")


@both
@pytest.mark.parametrize("n", [0, 2])
def test_ends_by_hand(dyna_q, name, n):
    """One state, one action, reward 1, gamma = 0.5, alpha = 1. If each step ends the episode: Q = 1. If it is only cut
    off: each update makes Q <- 1 + 0.5 Q, so 1, 1.5, 1.75, ... With alpha = 0.1 and an end: 1 - 0.9^updates."""
    updates = 3 * (n + 1)
    hint = "Q <- Q + alpha (R + gamma max Q(S') - Q), without the value of S' where the episode has ended, and only there"
    if n:
        hint = f"{n} imagined updates follow each real step, with the newest outcome among them, and whether it ended"
    for end, alpha, expected in [(True, 1.0, 1.0), (False, 1.0, 2 - 0.5 ** (updates - 1)), (True, 0.1, 1 - 0.9 ** updates)]:
        # NumPy's bools, as many environments return them.
        world = World(1, 1, lambda s, a: (1.0, 0, np.bool_(end), np.bool_(not end)))
        Q = getattr(dyna_q, name)(world, n, n_steps=3, alpha=alpha, gamma=0.5)[0]
        require(abs(Q[0, 0] - expected) < 1e-9, f"one state, reward 1, gamma = 0.5, alpha = {alpha}, each episode "
                f"{'ended' if end else 'cut off (truncated)'} after one step; 3 real steps with {n} imagined updates "
                f"after each: Q is {Q[0, 0]:.6g}, not {expected:.6g}: {hint}")


def test_the_model_by_hand(dyna_q):
    """One pair that ends; rewards 8, 4, 2, 1; alpha = 1: real and imagined updates leave Q = 1."""
    for n in [0, 5]:
        world = World(1, 1, lambda s, a: (8 / 2 ** len(world.log), 0, True, False))
        Q = dyna_q.dyna_q(world, n, n_steps=4, alpha=1.0)[0]
        require_value(Q[0, 0], 1.0, f"one pair, rewards 8, 4, 2, 1, alpha = 1, {n} imagined updates after each step (the "
                      "model is the last outcome)")


@both
@pytest.mark.parametrize("n", [0, 3])
def test_cut_off_away_from_the_start_by_hand(dyna_q, name, n):
    """0 -> 1 -> 2, reward 1 each, and there the time limit cuts. Next comes state 0. alpha = 1, gamma = 0.5: Q(1) = 1 +
    0.5 Q(2) = 1, as no action was taken in 2; Q(0) = 1 + 0.5 Q(1) = 1.5."""
    world = World(4, 1, lambda s, a: (1.0, s + 1, False, s == 1))
    Q, steps, _ = getattr(dyna_q, name)(world, n, n_episodes=30, alpha=1.0, gamma=0.5)
    where = "0 -> 1 -> 2, reward 1 each, cut off in 2, then from 0 again; Q(S) = 1 + 0.5 max Q(S'); state"
    require(not Q[2:].any(), f"{where} 2: Q is {Q[2, 0]:.3g}, not 0, as no action is taken there: the next state to act "
            "in is the one that reset() returns")
    for s, expected in [(1, 1.0), (0, 1.5)]:
        require_value(Q[s, 0], expected, f"{where} {s}")
    require(steps.tolist() == [2] * 30, f"30 episodes of 2 steps, each cut off: steps_per_episode is {steps.tolist()}")


@both
@pytest.mark.parametrize("n", [0, 5])
def test_the_best_action_counts_by_hand(dyna_q, base_seed, name, n):
    """Both actions lead from 0 to 1, reward 0; there they end with -1 and -3. alpha = 1, gamma = 0.5: Q(0) = 0.5 max
    = -0.5. (An action of the 200 random ones is missing once in 10^28 runs.)"""
    world = World(2, 2, lambda s, a: ((0.0, -1.0, -3.0)[s + s * a], 1, s == 1, False))
    Q = getattr(dyna_q, name)(world, n, n_steps=200, alpha=1.0, gamma=0.5, epsilon=1.0, seed=base_seed)[0]
    for s, a, expected in [(1, 0, -1.0), (1, 1, -3.0), (0, 0, -0.5), (0, 1, -0.5)]:
        require_value(Q[s, a], expected, "both actions lead from 0 to 1, where they end with -1 and -3; gamma = 0.5 "
                      f"(times the maximum), epsilon = 1, state {s}, action {a}")


# ---------------------------------------------------------------- luck

def test_ties_are_broken_at_random(dyna_q, base_seed):
    """First actions of 400 seeds, epsilon = 0: 100 of each; chi-square (3 degrees of freedom) exceeds 30 once in
    700,000."""
    counts = np.zeros(4, int)
    for seed in range(400):
        world = World(1, 4, lambda s, a: (0.0, 0, True, False))
        dyna_q.dyna_q(world, 0, n_steps=1, epsilon=0.0, seed=base_seed * 1000 + seed)
        counts[world.log[0][1]] += 1
    require(((counts - 100) ** 2 / 100).sum() < 30, f"all values equal and epsilon = 0: of 400 seeds {counts.tolist()} "
            "take the actions 0 to 3 first, not about 100 each. Are ties broken at random, and is the seed used?")


def test_epsilon_greedy(dyna_q, base_seed):
    """Actions 1 and 3 pay 1, alpha = 1, epsilon = 0.4, 8,000 steps: 0.4 each, the others 0.1 each (5.5 standard errors,
    and 50 steps until both are known: more once in 10^5 runs)."""
    world = World(1, 4, lambda s, a: (float(a % 2), 0, True, False))
    dyna_q.dyna_q(world, 0, n_steps=8000, alpha=1.0, epsilon=0.4, seed=base_seed)
    shares = np.bincount([a for _, a, *_ in world.log], minlength=4) / 8000
    for a, p in enumerate([0.1, 0.4, 0.1, 0.4]):
        require(abs(shares[a] - p) < 5.5 * math.sqrt(p * (1 - p) / 8000) + 50 / 8000, f"actions 1 and 3 are best alike, "
                f"epsilon = 0.4 (any of the 4): the actions' shares are {shares.round(3)}, not 0.1, 0.4, 0.1, 0.4")


@both
def test_seeds(dyna_q, base_seed, name):
    """Same seed, same output, the environment's luck included; ints or Generators; global generators stay untouched."""
    def run(seed, n=5):
        world = World(3, 2, lambda s, a: (np.random.default_rng([world.seeds[0] or 0, len(world.log)]).random(),
                                          (s + 1) % 3, s == 2, False))
        Q, _, rewards = getattr(dyna_q, name)(world, n, n_steps=60, epsilon=0.5, seed=seed)
        require(world.seeds[0] is not None, "the environment got no seed at its first reset()")
        require(not any(world.seeds[1:]), "the environment got a seed in episode 2: that is the same luck again")
        return world.seeds, [step[1] for step in world.log], rewards.tolist(), Q.tolist()
    before = random.getstate(), str(np.random.get_state())
    first = run(base_seed)
    require(before == (random.getstate(), str(np.random.get_state())), "a global random generator was used or seeded")
    random.random(), np.random.random()
    require(first == run(base_seed), "the same seed gave two different runs")
    for n in [0, 50]:
        require(run(base_seed, n)[0] == first[0], f"the environment's seed for n = {n} is not that for n = 5")
    other = run(base_seed + 1)
    require(other[1] != first[1], "another seed gave the same actions: is the seed ignored?")
    require(other[2] != first[2], "another seed gave the environment the same luck")
    for kind in [np.random.default_rng, list]:
        one, again, two = [run(kind([base_seed, k])) for k in (2, 2, 3)]
        require(one == again, f"a {kind.__name__} given as seed, twice in the same state, gave different runs")
        require(one[1] != two[1], f"two different seeds ({kind.__name__}) gave the same actions")


@both
def test_defaults_and_order_of_arguments(dyna_q, name):
    n = {"dyna_q": "n_planning", "replay_q": "n_replay"}[name]
    defaults = {n: 5, "n_episodes": 50, "n_steps": None, "alpha": 0.1, "gamma": 0.95, "epsilon": 0.1, "kappa": 0.0, "seed": 0}
    others = {n: 3, "n_episodes": 7, "n_steps": 99, "alpha": 0.3, "gamma": 0.6, "epsilon": 0.5, "kappa": 0.2, "seed": 4}
    for positional, named in [([], defaults), (others.values(), others)]:
        one, two = [getattr(dyna_q, name)(ring(), *positional), getattr(dyna_q, name)(ring(), **named)]
        require(np.array_equal(one[0], two[0]), f"{name}(env, {', '.join(map(str, positional))}) differs from {named}")


@both
def test_same_maze_again_and_inputs_unchanged(dyna_q, base_seed, name):
    rows, later = list(GAP_RIGHT), list(GAP_LEFT)
    maze = dyna_q.Maze(rows, later, 300)
    first, again = [getattr(dyna_q, name)(maze, 5, n_steps=1500, seed=base_seed) for _ in range(2)]
    require(all(np.array_equal(x, y) for x, y in zip(first, again)),
            "a second run with the same seed in the same Maze differs: does its first reset() get a seed?")
    require((rows, later) == (GAP_RIGHT, GAP_LEFT), "Maze changes the rows that it is given")


def test_first_episode_is_the_same_for_every_n(dyna_q, base_seed):
    """Nothing is learned before the first reward. Control: another seed walks otherwise."""
    def walk(n, seed):
        world = maze_world(dyna_q.Maze(DYNA_MAZE))
        dyna_q.dyna_q(world, n, n_episodes=1, seed=seed)
        return [step[1] for step in world.log]
    for n in [5, 50]:
        require(walk(n, base_seed) == walk(0, base_seed),
                f"episode 1 for n = {n} is not that for n = 0: acting and planning need random streams of their own")
    require(walk(0, base_seed) != walk(0, base_seed + 1), "two seeds give the same walk")


@pytest.mark.parametrize("name, kappa", [("dyna_q", 0.0), ("replay_q", 0.0), ("dyna_q", 1e-9), ("replay_q", 1e-9)])
def test_which_pairs_are_planned_and_how_often(dyna_q, base_seed, name, kappa):
    """State 0 leads to a new state each time, and that ends: so 0 knows up to 3 actions, the others one. Reward 1,
    gamma = 0: Q tells the number of updates, log(1 - Q) / log(1 - alpha). Expected: a state uniformly, then a known
    action (for Dyna-Q+ all 3). 60 pairs at 5.5 standard deviations: one false alarm in 100,000 runs, skewness
    included."""
    n, T, alpha, plus = 300, 24, 0.002, kappa > 0 and name == "dyna_q"
    world = World(1 + T, 3, lambda s, a: (1.0, 1 + len(world.log) // 2 if s == 0 else 0, s > 0, False))
    Q = getattr(dyna_q, name)(world, n, n_steps=T, alpha=alpha, gamma=0.0, epsilon=1.0, kappa=kappa, seed=base_seed)[0]
    real, mean, variance, known = np.zeros((4, 1 + T, 3))
    for s, a, *_ in world.log:
        real[s, a] += 1
        known[s, a] = 1
        p = known / known.any(axis=1).sum() / (3 if plus else np.maximum(known.sum(axis=1, keepdims=True), 1))
        mean, variance = mean + n * p, variance + n * p * (1 - p)
    planned = np.log(np.maximum(1 - Q, 1e-300)) / math.log(1 - alpha) - real
    others = np.argwhere((Q != 0) & (known == 0))
    require(plus or not len(others), f"(state, action) {others[:3].tolist()} changed in planning, but was never tried")
    for s, a in np.argwhere(known):
        require(abs(planned[s, a] - mean[s, a]) < 5.5 * math.sqrt(variance[s, a]),
                f"{name}, kappa = {kappa}: state {s}, action {a} ({int(known[s].sum())} action(s) tried there) was "
                f"imagined {planned[s, a]:.0f} times, not {mean[s, a]:.0f} +- {math.sqrt(variance[s, a]):.0f}: draw a "
                f"visited state uniformly, then one of its {'3' if plus else 'tried'} actions")
    total = (planned * known).sum()
    require(plus or round(total) == n * T, f"{total:.0f} imagined updates changed pairs that were tried, not {n} after "
            f"each of {T} real steps = {n * T}")


# ---------------------------------------------------------------- exact checks of random runs

@both
@pytest.mark.parametrize("n_steps", [1, 9, 60])
def test_the_bonus_is_kappa_sqrt_tau(dyna_q, base_seed, name, n_steps):
    """gamma = 0: planning leaves Q = r + kappa sqrt(tau); tau counts real steps since the pair was tried, through all
    episodes; if never, all of them, and r = 0. (900 draws update each of 6 pairs 35 times but in 1 of 10^28 runs.)"""
    world = ring()
    Q = getattr(dyna_q, name)(world, 900, n_steps=n_steps, alpha=0.5, gamma=0.0, epsilon=1.0, kappa=0.25,
                              seed=base_seed)[0]
    last = {(s, a): (t, r) for t, (s, a, r, *_) in enumerate(world.log, 1)}
    for s, a in [(s, a) for s in {step[0] for step in world.log} for a in range(2)]:
        t, r = last.get((s, a), (0, 0.0))
        where = f"kappa = 0.25, gamma = 0, alpha = 0.5, after {n_steps} real step(s); state {s}, action {a}, "
        if (s, a) not in last and name == "replay_q":
            require_value(Q[s, a], 0.0, where + "never tried: a buffer knows nothing of it")
        else:
            tau, when = n_steps - t, f"last tried at step {t}" if t else "never tried, so as if at step 0"
            require_value(Q[s, a], r + 0.25 * math.sqrt(tau), f"{where}{when}: the imagined reward is r + kappa "
                          f"sqrt(tau) = {r} + 0.25 sqrt({tau}), tau in real steps through all episodes")


def test_untried_actions_stay_put(dyna_q, base_seed):
    """0 -> 1 -> end with reward 1; 3 actions, gamma = 0.5, kappa = 0.25, after these two steps. In 1 the action taken
    has Q = 1 (tau = 0), the others stay put, with tau = 2: 0.25 sqrt(2) + 0.5 * 1. In 0: 0.25 + 0.5 * 1 = 0.75, and
    0.25 sqrt(2) + 0.5 * 0.75."""
    world, bonus = World(3, 3, lambda s, a: (float(s), s + 1, s == 1, False)), 0.25 * math.sqrt(2)
    Q = dyna_q.dyna_q(world, 600, n_steps=2, alpha=1.0, gamma=0.5, kappa=0.25, seed=base_seed)[0]
    for s, best in [(1, 1.0), (0, 0.75)]:
        taken = world.log[s][1]
        said = "0 -> 1 -> end with reward 1, Dyna-Q+ with kappa = 0.25, gamma = 0.5:"
        require_value(Q[s, taken], best, f"{said} the action taken in {s}")
        for a in {0, 1, 2} - {taken}:
            require_value(Q[s, a], bonus + 0.5 * best, f"{said} action {a}, never tried in {s}, stays put with reward 0: "
                          f"0.25 sqrt(2) + 0.5 * {best}")
    require(not Q[2].any(), f"Q(2) = {Q[2]}, but the episode ended there: nothing is planned in 2")


@both
@pytest.mark.parametrize("place, gamma, kappa", [("ring", 0.9, 0.0), ("ring", 1.0, 0.5), ("maze", 0.95, 0.0)])
def test_without_planning_it_is_q_learning(dyna_q, base_seed, name, place, gamma, kappa):
    """The log, replayed through the slide's update, gives the same numbers (kappa is for planning only). The ring pays in
    float16: its rewards are exact, their sums are not."""
    world = ring(np.float16) if place == "ring" else maze_world(dyna_q.Maze(DYNA_MAZE))
    Q, _, rewards = getattr(dyna_q, name)(world, 0, n_steps=3000, alpha=0.3, gamma=gamma, epsilon=0.5, kappa=kappa,
                                          seed=base_seed)
    expected = np.zeros_like(Q)
    for s, a, r, s2, terminated in world.log:
        expected[s, a] += 0.3 * ((r if terminated else r + gamma * expected[s2].max()) - expected[s, a])
    s, a = np.unravel_index(np.abs(Q - expected).argmax(), Q.shape)
    require(abs(Q - expected)[s, a] < 1e-9, f"n = 0, kappa = {kappa}: Q({s}, {a}) is {Q[s, a]:.6g}; Q-learning from the "
            f"same 3000 real steps gives {expected[s, a]:.6g} (no bonus here, and float16 rewards become floats)")
    require(rewards.dtype == np.float64 and rewards.tolist() == [step[2] for step in world.log],
            f"the rewards ({rewards.dtype}) are not those that the environment paid, as floats")


@both
def test_the_model_is_the_last_outcome_and_the_buffer_holds_all(dyna_q, base_seed, name):
    """Reward 1 in the first 1,200 steps, 0 in the last 300. The model says 0. The buffer says 1 with probability
    1200/1500 (0.7 if it held 1,000 transitions, 0.5 if each outcome once). Updates with alpha = 0.001 average over
    about 1,000 draws: standard deviation sqrt(0.0005 * 0.16) = 0.009, 5.5 of them allowed."""
    world, expected = World(1, 1, lambda s, a: (float(len(world.log) < 1200), 0, True, False)), 0.0
    Q = getattr(dyna_q, name)(world, 50, n_steps=1500, alpha=0.001, seed=base_seed)[0][0, 0]
    for t in range(1, 1501):
        drawn = min(1, 1200 / t) if name == "replay_q" else t <= 1200
        expected += 0.001 * ((t <= 1200) - expected)
        expected = drawn + (expected - drawn) * 0.999 ** 50
    require(abs(Q - expected) < 5.5 * 0.009, f"reward 1 in 1,200 steps, then 0 in 300: {name}'s imagined rewards now "
            f"average {Q:.3f}, not {expected:.3f} (the model is the last outcome; replay draws all stored ones alike)")


def test_replay_is_dyna_where_nothing_changes(dyna_q, base_seed):
    """Bit for bit: pairs are drawn like Dyna's, transitions from a stream of their own."""
    for n in [1, 5]:
        dyna, replay = [learner(maze_world(dyna_q.Maze(DYNA_MAZE)), n, 15, seed=base_seed)
                        for learner in (dyna_q.dyna_q, dyna_q.replay_q)]
        require(dyna[1].tolist() == replay[1].tolist() and (dyna[0] == replay[0]).all(),
                f"n = {n}, in a maze that stays replay_q should do as dyna_q does (same pairs, the transition from a "
                f"stream of its own); it takes {replay[1].tolist()[:6]}... steps, dyna_q {dyna[1].tolist()[:6]}...")


# ---------------------------------------------------------------- the textbook's curves

def reference(filename, *key):
    with open(EXPECTED / filename, newline="") as file:
        lines = [line for line in csv.reader(file) if line[:len(key)] == [str(k) for k in key]]
    return np.array([line[len(key):-1] for line in lines], float).T


def require_dyna_maze_curve(steps, n):
    """Steps per episode (runs, E) against 2,000 runs of another program, in blocks of episodes, at 6 standard errors
    s / sqrt(runs); s is the runs' own spread or, if more, that of the reference's episodes, were they independent."""
    _, mean, sd = reference("dyna_maze_steps.csv", n)
    for first, last in [(1, 1), (2, 2), (3, 5), (6, 10), (11, 20), (21, 50)]:
        if last <= steps.shape[1]:
            block, values = slice(first - 1, last), steps[:, first - 1:last].mean(axis=1)
            spread = max(values.std(ddof=1), math.sqrt((sd[block] ** 2).sum()) / (last - first + 1))
            z = abs(values.mean() - mean[block].mean()) / spread / math.sqrt(1 / len(steps) + 1 / 2000)
            require(z < 6, f"Dyna maze, n = {n}: episodes {first} to {last} take {values.mean():.1f} steps on average, "
                    f"{mean[block].mean():.1f} in 2,000 runs of another program ({z:.0f} standard errors apart)")


def require_twenty_steps(steps, n, least, most):
    first = 1 + int(np.argmax(steps.mean(axis=0) <= 20))
    require(least <= first <= most, f"Dyna maze, n = {n}: the mean of {len(steps)} runs is at most 20 steps first in "
            f"episode {first}, not {least} to {most}")


@pytest.mark.parametrize("n, n_runs, n_episodes, least, most", [(0, 30, 50, 21, 35), (5, 30, 50, 4, 8),
                                                                  (50, 24, 20, 3, 4)])
def test_learning_curve_of_the_dyna_maze(dyna_q, base_seed, n, n_runs, n_episodes, least, most):
    """20 steps are reached in episode 28 +- 1.3, 6 +- 0.44, 3. Controls: the other n; an agent that does not learn."""
    steps = np.array([dyna_q.dyna_q(maze_world(dyna_q.Maze(DYNA_MAZE)), n, n_episodes,
                                    seed=base_seed * 1000 + run)[1] for run in range(n_runs)])
    require_dyna_maze_curve(steps, n)
    require_twenty_steps(steps, n, least, most)
    for wrong in {0, 5, 50} - {n}:
        with pytest.raises(failure):
            require_dyna_maze_curve(steps, wrong)
    walk = np.array([np.roll(steps[:, 0], episode) for episode in range(50)]).T
    for check in [lambda: require_dyna_maze_curve(walk, n), lambda: require_twenty_steps(walk, n, least, most)]:
        with pytest.raises(failure):
            check()


@pytest.fixture(scope="module")
def changing(dyna_q, base_seed):
    """Rewards so far (runs, T), computed once."""
    @functools.cache
    def run(maze, method):
        layouts, n_steps = MAZES[maze]
        learner = dyna_q.replay_q if method == "replay" else dyna_q.dyna_q
        kappa, n_runs = 1e-3 if method == "dyna-q+" else 0.0, 14 if (maze, method) in FEW else 40
        return np.array([learner(dyna_q.Maze(*layouts), 10, n_steps=n_steps, alpha=1.0, kappa=kappa,
                                 seed=base_seed * 1000 + i)[2] for i in range(n_runs)]).cumsum(axis=1)
    return run


FEW = [("blocking", "dyna-q+"), ("shortcut", "dyna-q"), ("shortcut", "dyna-q+")]
FINDERS = {("blocking", "dyna-q"): (0.13, 0.77), ("blocking", "dyna-q+"): (0.85, 1),       # share of the runs
           ("shortcut", "dyna-q"): (0, 0.15), ("shortcut", "dyna-q+"): (0.85, 1)}


def require_changing_curve(rewards, maze, method):
    """Rewards so far (runs, T) every 500 steps, at 5 of the reference's standard errors."""
    for step, mean, sd in reference("changing_maze_reward.csv", maze, method).T[4::5]:
        measured = rewards[:, int(step) - 1].mean()
        z = abs(measured - mean) / sd / math.sqrt(1 / len(rewards) + 1 / 2000)
        require(z < 5, f"{maze} maze, {method}: {measured:.1f} rewards in {step:.0f} steps on average, {mean:.1f} in 2,000 "
                f"runs of another program ({z:.0f} standard errors apart); walls move after {MAZES[maze][0][2]} steps")


def require_finders(rewards, maze, method):
    """Runs that find the new way: a reward in the last 1,000 steps; with the shortcut, more than 16 steps allow."""
    share = (rewards[:, -1] - rewards[:, -1001] > {"blocking": 0, "shortcut": 1000 / 16}[maze]).mean()
    least, most = FINDERS[maze, method]
    require(least <= share <= most, f"{maze} maze, {method}: {share} of the runs find the new way, not {least} to {most}")


@pytest.mark.parametrize("maze, method", FINDERS)
def test_changing_mazes(changing, maze, method):
    """36 points of the four curves, and who finds the new way. Blocked: 45 % of Dyna-Q's 40 runs (18 +- 3.1, 4.1 of
    them allowed), nearly all of Dyna-Q+'s. Shortcut: 0.3 % of Dyna-Q's 14 (3 or more: once in 100,000), nearly all of
    Dyna-Q+'s. Control: the other method's curve and finders."""
    rewards, other = changing(maze, method), {"dyna-q": "dyna-q+", "dyna-q+": "dyna-q"}[method]
    for check in [require_changing_curve, require_finders]:
        check(rewards, maze, method)
        with pytest.raises(failure):
            check(changing(maze, other), maze, method)


def test_replay_falls_behind_when_the_walls_move(changing):
    """The same until step 1,000, then behind: 25.9 rewards with standard deviation 37.6, 5.9 for 40 runs, so that 0.5
    is 4.3 of them away. Control: Dyna-Q is not behind itself."""
    def check(replay, dyna):
        lost = (dyna - replay)[:, -1].mean()
        require(lost > 0.5, f"replay has lost {lost:.1f} rewards to Dyna-Q in the end, not about 26")
    dyna, replay = changing("blocking", "dyna-q"), changing("blocking", "replay")
    require((dyna[:, :1000] == replay[:, :1000]).all(), "replay differs from Dyna-Q before the walls move")
    check(replay, dyna)
    with pytest.raises(failure):
        check(dyna, dyna)


# ---------------------------------------------------------------- bad input

def refused(call, what):
    """A ValueError, not another error and no result."""
    try:
        call()
    except ValueError:
        return
    except Exception as error:
        require(False, f"{what} must be a ValueError, but ended in {error!r}")
    require(False, f"{what} must be a ValueError, but was accepted")


def test_bad_mazes_are_refused(dyna_q):
    for what, *layouts in [
            ("without S", ["..G"]), ("with two S", ["S.S", "..G"]), ("of unequal rows", ["S.", "..G"]),
            ("without G", ["S.."]), ("of unequal rows", ["S..G", "....", "..."]), ("whose goal is behind a wall", ["S#G"]),
            ("whose goal could be reached around the border only", ["S.#G", "..##"]),
            ("whose later goal is out of reach from S", ["S.G", "..."], ["S#G", ".#."]),
            ("of another height later", ["S.G"], ["S.G", "..."]), ("without S later", ["S.G", "..."], ["..G", "..."]),
            ("of another width later", ["S.G", "..."], ["S.G.", "...."]),
            ("whose later goal is out of reach from where the agent may be", ["S..G", "....", "...."],
             ["S..G", "####", "...."])]:
        arguments = (*layouts, 5) if len(layouts) == 2 else layouts
        refused(lambda: dyna_q.Maze(*arguments), f"a maze {what}, Maze{tuple(arguments)},")


@both
def test_bad_arguments_are_refused(dyna_q, name):
    def world(reward=1.0):
        return World(2, 2, lambda s, a: (reward, 1 - s, s == 1, False))
    cases = [(f"{key} = {value}", world(), {key: value}) for key, values in [
        ("alpha", (-0.1, 1.5, math.nan)), ("gamma", (-0.1, 1.1, math.nan)), ("epsilon", (-0.1, 1.1, math.nan)),
        ("kappa", (-1e-3, math.nan)),
        ({"dyna_q": "n_planning", "replay_q": "n_replay"}[name], (-1,))] for value in values]
    cases.append(("a reward of NaN", world(math.nan), {}))
    for space in ["observation_space", "action_space"]:
        cases.append((f"numbers that start at 1, not 0, in the {space},", world(), {}))
        setattr(cases[-1][1], space, Discrete(2, start=1))
    for what, env, arguments in cases:
        refused(lambda: getattr(dyna_q, name)(env, **{"n_steps": 20, **arguments}), f"{name}: {what}")


# ---------------------------------------------------------------- our own experiments and figure

def test_expected_steps(ours, dyna_q):
    """Solved elsewhere: shortest paths, the best agents with 10 % random actions (15.878, of one that keeps to shortest
    paths, is no optimum), the random walk. And a maze in which a wall opens on a pocket without a way is refused."""
    for rows, epsilon, exact in [
            (DYNA_MAZE, 0, 14), (DYNA_MAZE, 0.1, 15.813), (DYNA_MAZE, 1, 868.73), (GAP_RIGHT, 0, 10), (GAP_LEFT, 0, 16),
            (GAP_RIGHT, 0.1, 11.07), (GAP_LEFT, 0.1, 17.54), (["S.#.", "..#G", "...."], 0, 6)]:
        steps = dyna_q.expected_steps(rows, epsilon)
        require(abs(steps - exact) < 0.005, f"expected_steps({rows}, {epsilon}) is {steps:.3f}, not {exact}")
    refused(lambda: dyna_q.Maze(["S.G", "...", "###"], ["S.G", "###", "#.#"], 9), "a pocket behind a new wall")


def test_experiments_run_what_they_say(ours, dyna_q):
    """The public functions with the printed settings, one seed a run; the curves of these are tested above."""
    steps = dyna_q.compare_planning(2, 5, n_episodes=4)
    for run, i in np.ndindex(2, 3):
        expected = dyna_q.dyna_q(dyna_q.Maze(DYNA_MAZE), [0, 5, 50][i], 4, seed=[5, run])[1]
        require((steps[run, i] == expected).all(), f"compare_planning, run {run}, n = {[0, 5, 50][i]}: {steps[run, i]}, "
                f"not {expected}")
    for (layouts, n_steps), constant in zip(MAZES.values(), [dyna_q.BLOCKING, dyna_q.SHORTCUT]):
        for method, learner, kappa in [("Dyna-Q", dyna_q.dyna_q, 0.0), ("Dyna-Q+", dyna_q.dyna_q, 1e-3),
                                       ("replay", dyna_q.replay_q, 0.0)]:
            expected = learner(dyna_q.Maze(*layouts), 10, n_steps=n_steps, alpha=1.0, kappa=kappa, seed=[5, 1])[2].cumsum()
            rewards = dyna_q.changing_maze(method, constant, n_steps, 2, 5)[1]
            require((rewards == expected).all(), f"changing_maze, {method}: {rewards[-1]} rewards, not {expected[-1]}")


def require_drawn(ax, rows):
    """S, G and walls are in their cells, and nothing lies outside."""
    cells = np.array([list(row) for row in rows])
    require((ax.images[0].get_array() == (cells == "#")).all(), f"the walls drawn are not those of {rows}")
    letters = {(y, x): text.get_text() for text in ax.texts for x, y in [text.get_position()]}
    expected = {(y, x): cells[y, x] for y, x in np.ndindex(cells.shape) if cells[y, x] in "SG"}
    require(letters == expected, f"the letters are drawn at (row, column) {letters}, not {expected}")
    box = ax.get_window_extent()
    for extent in [artist.get_window_extent() for artist in [*ax.lines, *ax.texts]]:
        require(box.x0 - 1 < extent.x0 and extent.x1 < box.x1 + 1 and box.y0 - 1 < extent.y0 and extent.y1 < box.y1 + 1,
                f"something is drawn outside the maze, at {extent}")


def test_halfway_through_episode_2(ours, dyna_q, base_seed):
    """Arrows: 1 for n = 0 (before the goal); for n = 50 25 with standard deviation 8.3: 2.4 for 12 runs, 5 of them
    allowed. Control: n = 0 has not 25. For one run, the cells are those of an agent stopped there."""
    arrows = {0: [], 50: []}
    figure, axes = dyna_q.plt.subplots(12, 2)
    for run in range(12):
        seed = base_seed * 1000 + run
        steps = dyna_q.compare_planning(1, seed, n_episodes=2)
        for ax, i, n in [(axes[run, 0], 0, 0), (axes[run, 1], 2, 50)]:
            dyna_q.draw_policy(ax, steps, i, seed)
            arrows[n].append(len(ax.lines))
            if run == 0:
                Q = dyna_q.dyna_q(dyna_q.Maze(DYNA_MAZE), n, n_steps=steps[0, i, 0] + steps[0, i, 1] // 2, seed=[seed, 0])[0]
                drawn = sorted(9 * int(line.get_ydata()[0]) + int(line.get_xdata()[0]) for line in ax.lines)
                require(drawn == np.flatnonzero(np.ptp(Q, axis=1)).tolist(), f"triangles are in the cells {drawn}")
    dyna_q.plt.close(figure)
    require(arrows[0] == [1] * 12, f"n = 0: {arrows[0]} cells know a way, not 1 each")
    for counts, right in [(arrows[50], True), (arrows[0], False)]:
        require((abs(np.mean(counts) - 25) < 5 * 2.4) == right, f"n = 50: {np.mean(counts):.1f} cells know a way, not "
                "about 25")


def test_own_maze_is_drawn(ours, dyna_q, monkeypatch):
    """A maze of 4 x 12 in place of DYNA_MAZE. Control: it is not the drawing of another maze."""
    own = ["S...#.......", ".##.#.###.#.", "..#...#...#.", "#...#...#..G"]
    monkeypatch.setattr(dyna_q._module, "DYNA_MAZE", own)
    figure, axes = dyna_q.plt.subplots(1, 3, figsize=(18, 6))
    steps = dyna_q.compare_planning(2, 0, n_episodes=3)
    dyna_q.draw_policy(axes[0], steps, 2, 0)
    require_drawn(axes[0], own)
    with pytest.raises(failure):
        require_drawn(axes[0], own[::-1])
    dyna_q.draw_comparison(axes[1], steps)
    words, shortest = " ".join(text.get_text() for text in axes[1].texts), dyna_q.expected_steps(own, 0)
    require(f"{shortest:.0f}" in words, f"the shortest path has {shortest} steps, the panel says {words!r}")
    change = own, [row.replace("#", ".") for row in own], 50
    dyna_q.draw_change(axes[2], "title", "Dyna-Q+", change, 200, 2, 0, "")
    for inset, rows in zip(axes[2].child_axes, change[:2], strict=True):
        require_drawn(inset, rows)
    dyna_q.plt.close(figure)
