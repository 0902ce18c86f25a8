"""Tests of dyna_q.py: by hand, statistics of the luck, exact checks, curves, bad input, and our own figure.

False alarms: about 130 comparisons, most at 5 standard errors (6e-7 each), others as stated beside them: a right
program fails this file in fewer than 1 of 5,000 runs."""
import csv
import functools
import math
import random
from pathlib import Path

import numpy as np
import pytest

from conftest import attempt, fails, require, require_names, require_refused

EXPECTED = Path(__file__).parent / "expected"
DYNA_MAZE = [".......#G", "..#....#.", "S.#....#.", "..#......", ".....#...", "........."]
GAP_RIGHT = ["........G", ".........", ".........", "########.", ".........", "...S....."]
GAP_LEFT = GAP_RIGHT[:3] + [".########"] + GAP_RIGHT[4:]
GAP_BOTH = GAP_RIGHT[:3] + [".#######."] + GAP_RIGHT[4:]
MAZES = {"blocking": ((GAP_RIGHT, GAP_LEFT, 1000), 3000), "shortcut": ((GAP_LEFT, GAP_BOTH, 3000), 6000)}
both = pytest.mark.parametrize("name", ["dyna_q", "replay_q"])


class Discrete:
    """What an agent may ask of Gymnasium's space of that name."""
    def __init__(self, n, start=0):
        self.n, self.start, self.rng = n, start, random.Random()
        self.seed = self.rng.seed

    def contains(self, x):
        return self.start <= x < self.start + self.n

    def sample(self):
        return self.start + self.rng.randrange(self.n)


class World:
    """An environment in which outcome(s, a) gives (r, s2, terminated, truncated); or a script's maze. It keeps a log of
    (s, a, r, s2, terminated), and stops whoever breaks Gymnasium's rules or goes on for ever."""
    def __init__(self, n_states, n_actions, outcome, maze=None, start=0, shown=int):
        self.observation_space, self.action_space = Discrete(n_states), Discrete(n_actions)
        self.outcome, self.maze, self.start, self.shown = outcome, maze, start, shown
        self.log, self.seeds, self.over, self.unwrapped, self.metadata = [], [], True, self, {}

    def __repr__(self):
        return "env"

    def reset(self, seed=None, options=None):
        require(seed is None or type(seed) is int, f"reset() was given the seed {seed!r}: it takes an int or None")
        self.seeds.append(seed)
        self.s = self.start if self.maze is None else self.maze.reset(**({} if seed is None else {"seed": seed}))[0]
        self.over = False
        return self.shown(self.s), {}

    def step(self, a):
        require(not self.over, "an action was taken after the episode had terminated or was truncated: reset() first")
        require(0 <= a < self.action_space.n and a == int(a), f"there is no action {a!r}")
        require(len(self.log) < 20_000, "after 20,000 real steps the agent goes on: does it stop at n_steps or "
                "n_episodes? Does it run in circles, because ties between actions are not broken at random?")
        r, s2, terminated, truncated = self.outcome(self.s, int(a))
        self.log.append((self.s, int(a), float(r), s2, terminated))
        self.s, self.over = s2, terminated or truncated
        return self.shown(s2), r, np.bool_(terminated), np.bool_(truncated), {}      # NumPy's bools, as many give


def maze_world(maze):
    def outcome(s, a):
        s2, r, terminated, truncated, _ = maze.step(a)
        return r, s2, terminated, truncated
    return World(maze.observation_space.n, maze.action_space.n, outcome, maze)


def run(script, name, *arguments, **settings):
    said = ", ".join([repr(x) for x in arguments] + [f"{key}={x!r}" for key, x in settings.items()])
    return attempt(f"{name}({said}), which is right,", getattr(script, name), *arguments, **settings)


# State 0 is the start and also where the last step ends, so that its value is not zero there.
RING = {(0, 0): (0.0, 1, False, False), (0, 1): (0.5, 0, False, False), (1, 0): (0.0, 2, False, False),
        (1, 1): (-1.0, 0, False, True), (2, 0): (2.0, 0, True, False), (2, 1): (0.0, 1, False, False)}


def ring(kind=float):                              # the kind of number that it pays in
    return World(3, 2, lambda s, a: (kind(RING[s, a][0]), *RING[s, a][1:]))


def require_value(value, expected, where, hint=""):
    require(abs(value - expected) < 1e-9, f"{where}: Q is {value:.9g}, not {expected:.9g}{hint and ': '}{hint}")


def test_the_names_of_the_contract_are_there(dyna_q):
    require_names(dyna_q)


# ---------------------------------------------------------------- by hand: the mazes
def follow(maze, rows, path, why="0 up, 1 right, 2 down, 3 left; cell = row * columns + column; walls and border stop"):
    """path: letters of actions, each with the cell to which it leads in a maze of these rows."""
    moves = path.split()
    for i, move in enumerate(moves):
        result = maze.step("URDL".index(move[0]))
        require(len(result) == 5, f"step() gives next state, reward, terminated, truncated, info, not {result}")
        s, r, terminated, truncated, _ = result
        said = f"{rows}, moves {' '.join(moves[:i + 1])}: action {'URDL'.index(move[0])} ({move[0]})"
        require(s == int(move[1:]), f"{said} led to cell {s}, not {move[1:]}: {why}")
        goal = "".join(rows)[s] == "G"
        require((r, bool(terminated), bool(truncated)) == (goal, goal, False), f"{said} gave reward {r}, terminated "
                f"{terminated}, truncated {truncated}: a step into a G of the rows that hold pays 1 and ends")


def test_a_maze_by_hand(dyna_q):
    rows = ["....", "S#G.", "G#.."]
    maze = run(dyna_q, "Maze", rows)
    sizes = maze.observation_space.n, maze.action_space.n
    require(sizes == (12, 4), f"a maze of 3 x 4 cells has 12 states and 4 actions, not {sizes}")
    for path in ["U0 U0 L0 D4 L4 R4 U0 R1 D1 U1 R2 R3 R3 U3 D7 R7 D11 R11 D11 L10 L10 D10 U6", "D8"]:
        start = maze.reset()
        require(start[0] == 4 and isinstance(start[1], dict), f"{rows}: reset() leads to S, (4, {{}}), not {start}: "
                "row 1, column 0, where cell = row * columns + column; then info, a dict")
        follow(maze, rows, path)


def test_walls_that_move_by_hand(dyna_q):
    """The first two real steps meet the old rows, all others the new ones: walls in 2 and 3, S in 4, G in 7."""
    old, new = ["S..G", "...."], ["..##", "S..G"]
    maze = run(dyna_q, "Maze", old, new, 2)
    for _ in range(2):
        maze.reset(seed=0)
        follow(maze, old, "R1 R2", "the first 2 = change_at steps after reset(seed=0), a new run, meet the old walls")
        follow(maze, new, "R2", "change_at = 2: step 3 meets the new walls, in mid-episode too: 3 is one (and the "
               "agent stands in another, 2, which moves it nowhere)")
        follow(maze, new, "D6 U6 R7", "who stands in a new wall, 2, can leave it, but not come back; 7 is the goal now")
        require(maze.reset()[0] == 4, "change_at = 2 real steps, counted through all episodes, are over: reset() "
                "leads to the new S, cell 4")
        follow(maze, new, "U0 R1 R1", "the walls moved after change_at = 2 real steps, counted through all episodes")
    maze.reset(seed=0)
    follow(maze, old, "U0 R1")
    follow(maze, new, "R1", "change_at = 2: step 1 went against the border, but is a real step as well")
    follow(run(dyna_q, "Maze", ["S.G."], ["S..G"], 2), ["S.G."], "R1 R2", "step 2 = change_at meets the old goal")
    require(run(dyna_q, "Maze", old, new, 0).reset(seed=0)[0] == 4, "change_at = 0: the later rows hold from the start")
    require((old, new) == (["S..G", "...."], ["..##", "S..G"]), "Maze changes the rows that it is given")


def test_only_cells_in_which_the_agent_can_be_need_a_way(dyna_q):
    for arguments in [(["S.G", "###", "..."],), (["S.G#G"],), (["G#S.G"],), (["S.G"], ["#SG"], 5),
                      (["S..G"], ["SG##"], 2), (["S.G#.", "..###"], ["S.G#.", ".####"], 3)]:
        run(dyna_q, "Maze", *arguments)


# ---------------------------------------------------------------- by hand: the agent
@both
def test_what_is_returned_by_hand(dyna_q, name):
    """Episodes of 3 steps, rewards 1, 1, 2. n_steps = 7 is two of them and one step, whatever n_episodes."""
    stops = [(3, dict(n_steps=T, n_episodes=E), T) for T, E in [(0, 1), (2, 1), (6, 1), (7, 1), (7, None), (7, -1)]]
    stops += [(3, dict(n_episodes=2), 6), (3, {}, 150), (3000, dict(n_episodes=1), 3000)]
    for cut, (length, stop, T) in [(cut, stop) for cut in (False, True) for stop in stops]:
        def outcome(s, a, paid=np.zeros((), np.float16)):
            last = (len(world.log) + 1) % length == 0
            paid[...] = 1 + last
            return paid, (s + 1) % 3, last and not cut, last and cut
        world = World(3, 1, outcome)
        Q, steps, rewards = results = run(dyna_q, name, world, 2, **stop)
        said = f"episodes of {length} steps, {'cut off (truncated)' if cut else 'ended'}, {stop}:"
        require(len(world.log) == T, f"{said} {len(world.log)} real steps were made, not {T}")
        for what, x, kind in zip(["Q", "steps_per_episode", "rewards"], results, [np.float64, np.integer, np.float64]):
            require(isinstance(x, np.ndarray) and np.issubdtype(x.dtype, kind), f"{what} is {type(x).__name__} "
                    f"{getattr(x, 'dtype', '')}, not {kind.__name__} (Q, steps, rewards; paid in float16)")
        require(Q.shape == (3, 1), f"Q has the shape {Q.shape}, not (3, 1): states, actions")
        require(T > 0 or not Q.any(), f"before the first step Q is {Q.ravel()}: all values start at 0")
        require(steps.tolist() == [length] * (T // length), f"{said} steps_per_episode (of all finished ones, ended or "
                f"cut off, and only these) is {steps.tolist()[:9]}...")
        paid = ([1.0] * (length - 1) + [2.0]) * 50
        require(rewards.tolist() == paid[:T], f"{said} rewards is {rewards.tolist()[:6]}..., not {paid[:6]}... (they "
                "are paid in one array, overwritten in each step: make floats of them)")


@both
def test_updates_by_hand(dyna_q, name):
    """One action, reward 1, alpha = 0.1: each update of a pair makes 1 - Q ten percent smaller, so Q = 1 - 0.9^updates.
    One real step from 0 to 1, gamma = 0; or three from 0 to 0, each of which ends the episode."""
    for n, end in [(0, True), (2, False), (2, True)]:
        steps, gamma = (3, 0.5) if end else (1, 0.0)
        world = World(2, 1, lambda s, a: (1.0, 0 if end else 1, end, False))
        Q = run(dyna_q, name, world, n, n_steps=steps, alpha=0.1, gamma=gamma)[0][0, 0]
        updates, made = steps * (n + 1), math.log(max(1 - Q, 1e-300)) / math.log(0.9)
        hint = "no number of updates Q <- Q + alpha (R + gamma max Q(S') - Q) gives that; after an end S' counts 0"
        if n:
            hint = "no number of updates gives that: imagined ones use the full alpha, newest R, and whether it ended"
        if abs(made - round(made)) < 1e-6:
            hint = f"{made:.0f} updates give that, not {updates}: n = {n} imagined ones follow, one by one, same alpha"
        if end and abs(1 - Q - (1 - gamma) ** updates) < 1e-9:
            hint = f"that is what alpha = {gamma} gives, your gamma: are the two handed on in the right order?"
        if Q == 0:
            hint = "is R lost? Only max Q(S') is multiplied by gamma"
        require_value(Q, 1 - 0.9 ** updates, f"{name}, one action, reward 1, alpha 0.1, gamma {gamma}, {steps} real "
                      f"step(s) from 0 to {'0, where each episode ends' if end else '1, no end'}; n = {n}", hint)
    calls = [([1.0] * 3, ""), ([0.5] * 3, "does a table, model or buffer outlive its call?"),
             ([1.0, 0.5, 0.25], "the model is the last outcome, not the first or a mean")]
    for rewards, hint in calls if name == "dyna_q" else calls[:2]:
        world = World(1, 1, lambda s, a: (rewards[len(world.log)], 0, True, False))
        Q = run(dyna_q, name, world, 50, n_steps=3, alpha=0.5)[0][0, 0]
        require_value(Q, rewards[-1], f"one pair, which ends, with rewards {rewards}; alpha = 0.5, n = 50", hint)


@both
def test_only_what_was_tried_has_a_value_by_hand(dyna_q, base_seed, name):
    """0 -> 1 -> ... -> 12, reward -1 each, 4 actions, of which at least two are taken but for 1 in 10^6 runs."""
    for n in [0, 300]:
        world = World(14, 4, lambda s, a: (-1.0, s + 1, False, False))
        Q = run(dyna_q, name, world, n, n_steps=12, alpha=1.0, seed=base_seed)[0]
        tried = [step[:2] for step in world.log]
        wrong = [(int(s), int(a)) for s, a in np.argwhere(Q) if (s, a) not in tried]
        require(not wrong, f"12 real steps, n = {n}: Q is not 0 for the pairs (state, action) {wrong[:4]}, but "
                f"{tried[:4]}... were tried: " + ("only these can be imagined" if n else "a row of Q is a state"))
        values = sorted({round(float(Q[s, a]), 3) for s, a in tried})
        require(values == [-1], f"12 steps of reward -1, n = {n}, alpha = 1: Q of what was tried is {values}, not -1 = "
                "R + gamma max Q(S'): in this maximum, actions never tried count with their 0")


@both
def test_the_best_action_counts_by_hand(dyna_q, base_seed, name):
    """Action 0 leads from 0 to 1, action 1 to 2, reward 0. There the episode ends (in 3) with -1 and -3, or -3 and -1.
    Q(0, a) = 0.5 max = -0.5. (One of the 6 pairs is missing once in 10^12 runs.)"""
    ends = {(1, 0): -1.0, (1, 1): -3.0, (2, 0): -3.0, (2, 1): -1.0}
    hints = {-1.5: "is an action of S' left out of the maximum?", -1.0: "is that the mean, or without gamma?",
             0.0: "the maximum is over the actions of S', of no other state. Or does a new episode not begin where "
             "reset() says?"}
    for n in [0, 5]:
        world = World(4, 2, lambda s, a: (ends.get((s, a), 0.0), 3 if s else 1 + a, s > 0, False))
        Q = run(dyna_q, name, world, n, n_steps=200, alpha=1.0, gamma=0.5, epsilon=1.0, seed=base_seed)[0]
        missing = {(0, 0), (0, 1), *ends} - {step[:2] for step in world.log}
        require(not missing, "epsilon = 1: any action, the best and the last one too; but in 200 steps the pairs "
                f"(state, action) {sorted(missing)} were never tried")
        more = "with n = 0 it is right: what do model or buffer hold for this pair, as R, S', terminated?" if n else ""
        for (s, a), r in ends.items():
            require_value(Q[s, a], r, f"{name}, n = {n}, alpha = 1: state {s}, action {a} ends with R = {r}", more)
        for a in [0, 1]:
            require_value(Q[0, a], -0.5, f"{name}, n = {n}: R = 0 from state 0, action {a} to S' = {1 + a}, Q(S') = "
                          f"{Q[1 + a]}; gamma = 0.5; R + gamma max Q(S')", more or hints.get(round(Q[0, a], 9), ""))


@both
def test_cut_off_by_hand(dyna_q, name):
    """From the start, 1, to 2, and from 2 to 2, where the time limit cuts; reward 1 each. Q(2) = 1 + 0.5 Q(2) = 2 and
    Q(1) = 1 + 0.5 Q(2) = 2. If that step also ends the episode: Q(2) = 1, Q(1) = 1.5."""
    def overwritten(s, cell=np.array(0)):
        cell[...] = s
        return cell
    for shown, n, end in [(int, 0, False), (int, 0, True), (int, 3, False), (int, 3, True), (overwritten, 3, False)]:
        world = World(3, 1, lambda s, a: (1.0, 2, end and s == 2, s == 2), start=1, shown=shown)
        Q = run(dyna_q, name, world, n, n_episodes=40, alpha=1.0, gamma=0.5)[0]
        where = f"1 -> 2 -> 2, reward 1 each, then cut off{' and ended' * end} (truncated), gamma = 0.5, n = {n}"
        if shown is overwritten:
            where += ", in an environment that returns the same array each time, overwritten (copy the number)"
        for s, expected, hint in [(0, 0.0, "an episode starts in the state that reset() returns, 1"),
                (2, 1.0 if end else 2.0, "S' counts after a cut, but not after an end" + ", if imagined too" * (n > 0)),
                (1, 1.5 if end else 2.0, "after a cut, the next state to act in is the one that reset() returns, 1")]:
            require_value(Q[s, 0], expected, f"{where}; state {s}, R + gamma max Q(S')", hint)


# ---------------------------------------------------------------- luck
def test_epsilon_greedy(dyna_q, base_seed):
    """Actions 1, 2, 3 pay 1: 0.3 each, and 0.1 for action 0 (5.5 standard errors, 50 steps until all are known)."""
    world = World(1, 4, lambda s, a: (float(a > 0), 0, True, False))
    run(dyna_q, "dyna_q", world, 0, n_steps=8000, alpha=1.0, epsilon=0.4, seed=base_seed)
    shares = np.bincount([a for _, a, *_ in world.log], minlength=4) / 8000
    for a, p in enumerate([0.1, 0.3, 0.3, 0.3]):
        require(abs(shares[a] - p) < 5.5 * math.sqrt(p * (1 - p) / 8000) + 50 / 8000, f"actions 1, 2, 3 are best alike "
                f"(ties at random), epsilon = 0.4 (any of 4): the shares are {shares.round(3)}, not 0.1, 0.3, 0.3, 0.3")
    world = World(1, 3, lambda s, a: ([1e-9, 3e-9, 2e-9][a], 0, True, False))
    run(dyna_q, "dyna_q", world, 0, n_steps=1000, alpha=1.0, epsilon=0.4, seed=base_seed)
    share = np.mean([a == 1 for _, a, *_ in world.log])                     # (less the first 8 steps or so)
    require(share > 0.6, f"Q of the actions is 1e-9, 3e-9, 2e-9, epsilon = 0.4: action 1 is taken in {share:.2f} of "
            "the steps, not 0.73: it is the best, however small the difference")


@both
def test_seeds(dyna_q, base_seed, name):
    """Same seed, same output, the environment's luck included; ints or Generators; global generators stay untouched."""
    def life(seed, n=5):
        world = World(3, 2, lambda s, a: (np.random.default_rng([world.seeds[0] or 0, len(world.log)]).random(),
                                          (s + 1) % 3, s == 2, False))
        Q, _, rewards = run(dyna_q, name, world, n, n_steps=60, epsilon=0.5, seed=seed)
        require(world.seeds[0] is not None, "the environment got no seed at its first reset()")
        require(not any(world.seeds[1:]), "the environment got a seed in episode 2: that is the same luck again")
        return world.seeds, [step[1] for step in world.log], rewards.tolist(), Q.tolist()
    before = random.getstate(), str(np.random.get_state())
    first = life(base_seed)
    require(before == (random.getstate(), str(np.random.get_state())), "a global random generator was used or seeded")
    random.random(), np.random.random()
    require(first == life(base_seed), "the same seed gave two different runs")
    for n in [0, 50]:
        require(life(base_seed, n)[0] == first[0], f"the environment's seed for n = {n} is not that for n = 5")
    other = life(base_seed + 1)
    require(other[1] != first[1], "another seed gave the same actions: is the seed ignored?")
    require(other[2] != first[2], "another seed gave the environment the same luck")
    for kind in [np.random.default_rng, list]:
        seeds = [[base_seed, 2], [base_seed, 2], [base_seed, 3], [2, base_seed]]
        one, again, *others = [life(kind(seed)) for seed in seeds]
        require(one == again, f"a {kind.__name__} given as seed, twice in the same state, gave different runs")
        require(base_seed == 2 or all(one[1] != two[1] for two in others), f"two of the seeds {seeds[1:]} (given as "
                f"{kind.__name__}) gave the same actions")


def test_first_episode_is_the_same_for_every_n(dyna_q, base_seed):
    walks = []
    for n in [0, 5, 50]:
        world = maze_world(dyna_q.Maze(DYNA_MAZE))
        run(dyna_q, "dyna_q", world, n, n_episodes=1, seed=base_seed)
        walks.append([step[1] for step in world.log])
    require(walks[0] == walks[1] == walks[2], "episode 1, before any reward, is not the same walk for n = 0, 5, 50: "
            "acting and planning need random streams of their own")


@both
def test_acting_and_planning_do_not_share_their_luck(dyna_q, base_seed, name):
    """Reward 1, gamma = 0: Q tells how often action 0 was imagined. How far that is from 50 of 100, and how far the
    times it was taken, have a correlation of about 0 over 100 seeds: standard error 0.1, 5.5 of them allowed."""
    taken, imagined = np.zeros((2, 100))
    for i in range(100):
        world = World(1, 2, lambda s, a: (1.0, 0, True, False))
        Q = run(dyna_q, name, world, 1, n_steps=100, alpha=0.01, gamma=0.0, epsilon=1.0, seed=base_seed * 1000 + i)[0]
        taken[i] = sum(a == 0 for _, a, *_ in world.log)
        imagined[i] = math.log(1 - Q[0, 0]) / math.log(0.99) - taken[i]
    correlation = np.corrcoef(abs(taken - 50), abs(imagined - 50))[0, 1]
    require(abs(correlation) < 0.55, "2 actions, taken and imagined at random, 100 times each, are unevenly taken "
            f"and imagined together, correlation {correlation:.2f} in 100 runs: same seed? Only the newest imagined?")


@both
def test_no_two_generators_make_the_same_numbers(dyna_q, name, monkeypatch):
    """Those that random.Random and np.random.default_rng make in a run begin in different states."""
    states, default_rng = [], np.random.default_rng

    class Recorded(random.Random):
        def __init__(self, *seed):
            super().__init__(*seed)
            states.append(self.getstate())

    def recorded(seed=None):
        generator = default_rng(seed)
        if generator is not seed:
            states.append(repr(generator.bit_generator.state))
        return generator
    monkeypatch.setattr(random, "Random", Recorded)
    monkeypatch.setattr(np.random, "default_rng", recorded)
    run(dyna_q, name, World(1, 2, lambda s, a: (1.0, 0, False, False)), 5, n_steps=5, seed=1)
    require(len(set(states)) == len(states), f"{name}: {len(states)} generators were made, but {len(set(states))} "
            "different ones: made anew in each step? Acting, planning (and replay) each need a seed of their own")


@pytest.mark.parametrize("name, kappa", [("dyna_q", 0.0), ("replay_q", 0.0), ("dyna_q", 1e-18), ("replay_q", 1e-18)])
def test_which_pairs_are_planned_and_how_often(dyna_q, base_seed, name, kappa):
    """State 0 leads to a new state each time, and that ends: so 0 knows up to 3 actions, the others one. Reward 1,
    gamma = 0: Q tells the number of updates, log(1 - Q) / log(1 - alpha). Expected: a state uniformly, then a known
    action (for Dyna-Q+ all 3). 60 pairs at 5.5 standard deviations: one false alarm in 100,000 runs."""
    n, T, alpha, plus = 300, 24, 0.002, kappa > 0 and name == "dyna_q"
    world = World(1 + T, 3, lambda s, a: (1.0, 1 + len(world.log) // 2 if s == 0 else 0, s > 0, False))
    Q = run(dyna_q, name, world, n, n_steps=T, alpha=alpha, gamma=0.0, epsilon=1.0, kappa=kappa, seed=base_seed)[0]
    real, mean, variance, known = np.zeros((4, 1 + T, 3))
    for s, a, *_ in world.log:
        real[s, a] += 1
        known[s, a] = 1
        p = known / known.any(axis=1).sum() / (3 if plus else np.maximum(known.sum(axis=1, keepdims=True), 1))
        mean, variance = mean + n * p, variance + n * p * (1 - p)
    planned = np.log(np.maximum(1 - Q, 1e-300)) / math.log(1 - alpha) - real
    total = (planned * known).sum()
    require(plus or round(total) == n * T, f"{name}, kappa = {kappa}: {total:.0f} imagined updates were of pairs that "
            f"were tried (only Dyna-Q+ imagines others, no buffer has them), not {n} after each of {T} steps: {n * T}")
    drawn = "all its 3 actions, untried ones too (kappa > 0)" if plus else "its tried actions"
    for s, a in np.argwhere(known):
        require(abs(planned[s, a] - mean[s, a]) < 5.5 * math.sqrt(variance[s, a]),
                f"{name}, kappa = {kappa}: state {s}, action {a} ({int(known[s].sum())} action(s) tried there) was "
                f"imagined {planned[s, a]:.0f} times, not {mean[s, a]:.0f} +- {math.sqrt(variance[s, a]):.0f}: draw a "
                f"visited state uniformly, then one of {drawn}")


# ---------------------------------------------------------------- exact checks of random runs
@both
@pytest.mark.parametrize("place, gamma, kappa, epsilon", [("ring", 0.9, 0.0, 0.5), ("ring", 1.0, 50.0, 0.0),
                                                          ("maze", 0.95, 0.5, 0.5)])
def test_without_planning_it_is_q_learning(dyna_q, base_seed, name, place, gamma, kappa, epsilon):
    """The log, replayed through the slide's update, gives the same numbers, and with epsilon = 0 greedy actions (kappa
    is for planning only). The ring pays in float16: its rewards are exact, their sums are not."""
    world = ring(np.float16) if place == "ring" else maze_world(dyna_q.Maze(DYNA_MAZE))
    settings = dict(alpha=0.3, gamma=gamma, epsilon=epsilon, kappa=kappa, seed=base_seed)
    Q = run(dyna_q, name, world, 0, n_steps=3000, **settings)[0]
    expected = np.zeros_like(Q)
    for t, (s, a, r, s2, terminated) in enumerate(world.log, 1):
        require(epsilon or expected[s, a] > expected[s].max() - 1e-9, f"n = 0, epsilon = 0, kappa = {kappa}: step {t} "
                f"takes action {a} in state {s}, where Q is {expected[s]}: not greedy (kappa is for imagined rewards)")
        expected[s, a] += 0.3 * ((r if terminated else r + gamma * expected[s2].max()) - expected[s, a])
    s, a = np.unravel_index(np.abs(Q - expected).argmax(), Q.shape)
    require(abs(Q - expected)[s, a] < 1e-9, f"n = 0, kappa = {kappa}: Q({s}, {a}) is {Q[s, a]:.12g}; Q-learning from "
            f"the same 3000 real steps gives {expected[s, a]:.12g} (no bonus here, and float16 rewards become floats)")


@both
@pytest.mark.parametrize("n_steps", [1, 9, 60])
def test_the_bonus_is_kappa_sqrt_tau(dyna_q, base_seed, name, n_steps):
    """gamma = 0: planning leaves Q = r + kappa sqrt(tau); tau counts real steps since the pair was tried, through all
    episodes; if never, all of them, and r = 0. (900 draws update each of 6 pairs 35 times but in 1 of 10^28 runs.)"""
    world = ring()
    Q = run(dyna_q, name, world, 900, n_steps=n_steps, alpha=0.5, gamma=0.0, epsilon=1.0, kappa=0.25, seed=base_seed)[0]
    last = {(s, a): (t, r) for t, (s, a, r, *_) in enumerate(world.log, 1)}
    for s, a in [(s, a) for s in {step[0] for step in world.log} for a in range(2)]:
        t, r = last.get((s, a), (0, 0.0))
        where = f"{name}, kappa = 0.25, gamma = 0, alpha = 0.5, {n_steps} real step(s); state {s}, action {a}, "
        if (s, a) not in last and name == "replay_q":
            require_value(Q[s, a], 0.0, where + "never tried: replay_q draws from a buffer, which knows nothing of it")
        else:
            tau, when = n_steps - t, f"last tried at step {t}" if t else "never tried, imagined as if tried at step 0"
            require_value(Q[s, a], r + 0.25 * math.sqrt(tau), f"{where}{when}: the imagined reward is r + kappa "
                          f"sqrt(tau) = {r} + 0.25 sqrt({tau}), tau in real steps, all episodes; no bonus in models")


def test_untried_actions_stay_put(dyna_q, base_seed):
    """0 -> 1 -> end with reward 1, then 600 imagined updates. In 1 the action taken has Q = 1 (tau = 0), in 0 it has
    0.25 + 0.5 * 1 = 0.75 (tau = 1). The others (tau = 2) stay put: 0.25 sqrt(2) + 0.5 max Q."""
    world = World(3, 3, lambda s, a: (float(s), s + 1, s == 1, False))
    Q = run(dyna_q, "dyna_q", world, 600, n_steps=2, alpha=1.0, gamma=0.5, kappa=0.25, seed=base_seed)[0]
    said = "0 -> 1 -> end with reward 1, Dyna-Q+ with kappa = 0.25, gamma = 0.5:"
    for s, best in [(1, 1.0), (0, 0.75)]:
        taken = world.log[s][1]
        require_value(Q[s, taken], best, f"{said} the action taken in {s}")
        for a in {0, 1, 2} - {taken}:
            require_value(Q[s, a], 0.25 * math.sqrt(2) + 0.5 * best, f"{said} action {a}, never tried in {s}, stays "
                          f"put with reward 0: 0.25 sqrt(2) + 0.5 * {best}")


@pytest.mark.parametrize("ends", [(True, False), (False, True)])
def test_the_model_keeps_whether_the_last_outcome_ended(dyna_q, base_seed, ends):
    world = World(1, 1, lambda s, a: (1.0, 0, ends[len(world.log) % 2], False))
    Q = run(dyna_q, "dyna_q", world, 200, n_steps=2, alpha=0.5, gamma=0.5, seed=base_seed)[0][0, 0]
    require_value(Q, 2.0 - ends[1], f"reward 1, gamma 0.5; the steps end: {ends}", "the model has the last end, too")


@both
def test_the_model_is_the_last_outcome_and_the_buffer_holds_all(dyna_q, base_seed, name):
    """Reward 1 in the first 1,200 steps, 0 in the last 300. The model says 0; the buffer 1 with probability 1200/1500
    (0.7 if it held 1,000 transitions, 0.5 if each outcome once). alpha = 0.001 averages over about 1,000 draws:
    standard deviation sqrt(0.0005 * 0.16) = 0.009, 5.5 of them allowed."""
    world, expected = World(1, 1, lambda s, a: (float(len(world.log) < 1200), 0, True, False)), 0.0
    Q = run(dyna_q, name, world, 50, n_steps=1500, alpha=0.001, seed=base_seed)[0][0, 0]
    for t in range(1, 1501):
        drawn = min(1, 1200 / t) if name == "replay_q" else t <= 1200
        expected += 0.001 * ((t <= 1200) - expected)
        expected = drawn + (expected - drawn) * 0.999 ** 50
    require(abs(Q - expected) < 5.5 * 0.009, f"reward 1 in 1,200 steps, then 0 in 300: {name}'s imagined rewards now "
            f"average {Q:.3f}, not {expected:.3f} (the model is the last outcome; replay draws all stored ones alike)")


@both
def test_known_actions_are_imagined_alike(dyna_q, base_seed, name):
    """The first action pays -1 and is never taken again, the other one 9 times; -Q / alpha counts the updates of the
    first: 1 + 1000 + 9 * 500 = 5501, standard deviation 47, 6 of them allowed."""
    world = World(1, 2, lambda s, a: (1.0 if world.log else -1.0, 0, False, False))
    Q = run(dyna_q, name, world, 1000, n_steps=10, alpha=1e-9, gamma=0.0, epsilon=0.0, seed=base_seed)[0]
    require(abs(-Q.min() / 1e-9 - 5501) < 6 * 47, f"{name}, one state, 1,000 imagined updates after each of 10 steps: "
            f"the action tried once had {-Q.min() / 1e-9:.0f} updates, not 5501: it counts like that tried 9 times")


def test_replay_draws_the_newest_and_the_oldest(dyna_q, base_seed):
    """Rewards 1, 2; alpha = 1: Q is the last one drawn, 2 in half of 60 runs (10 or fewer, 50 or more: 1e-7)."""
    worlds = [World(1, 1, lambda s, a, paid=iter([1.0, 2.0]): (next(paid), 0, True, False)) for _ in range(60)]
    newest = sum(run(dyna_q, "replay_q", world, 20, n_steps=2, alpha=1.0, seed=base_seed * 1000 + k)[0][0, 0] == 2
                 for k, world in enumerate(worlds))
    require(10 < newest < 50, f"a pair has two stored transitions: the last one drawn is the newer one in {newest} of "
            "60 runs, not in about 30: is any of them drawn?")


def test_replay_is_dyna_where_nothing_changes(dyna_q, base_seed):
    """Bit for bit: pairs are drawn like Dyna's, transitions from a stream of their own."""
    for n in [1, 5]:
        dyna, replay = [run(dyna_q, name, maze_world(dyna_q.Maze(DYNA_MAZE)), n, n_episodes=15, seed=base_seed)
                        for name in ("dyna_q", "replay_q")]
        require(dyna[1].tolist() == replay[1].tolist() and (dyna[0] == replay[0]).all(),
                f"n = {n}, in a maze that stays replay_q should do as dyna_q does (same defaults, same pairs, the "
                f"transition from its own stream); steps: {replay[1].tolist()[::3]}, dyna_q's {dyna[1].tolist()[::3]}")


@both
def test_defaults_and_order_of_arguments(dyna_q, name):
    n = {"dyna_q": "n_planning", "replay_q": "n_replay"}[name]
    defaults = dict(n_episodes=50, n_steps=None, alpha=0.1, gamma=0.95, epsilon=0.1, kappa=0.0, seed=0) | {n: 5}
    others = {n: 3} | dict(n_episodes=7, n_steps=99, alpha=0.3, gamma=0.6, epsilon=0.5, kappa=0.2, seed=4)
    for positional, named in [([], defaults), (others.values(), others)]:
        one, two = run(dyna_q, name, ring(), *positional), run(dyna_q, name, ring(), **named)
        require(np.array_equal(one[0], two[0]), f"{name}(env, {', '.join(map(str, positional))}) differs from {named}")


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


@pytest.mark.parametrize("n, n_runs, n_episodes", [(0, 30, 50), (5, 30, 50), (50, 24, 20)])
def test_learning_curve_of_the_dyna_maze(dyna_q, base_seed, n, n_runs, n_episodes):
    """Controls: the other n; an agent that does not learn."""
    steps = np.array([run(dyna_q, "dyna_q", maze_world(dyna_q.Maze(DYNA_MAZE)), n, n_episodes,
                          seed=base_seed * 1000 + i)[1] for i in range(n_runs)])
    require_dyna_maze_curve(steps, n)
    for wrong in {0, 5, 50} - {n}:
        fails(require_dyna_maze_curve, steps, wrong)
    walk = np.array([np.roll(steps[:, 0], episode) for episode in range(50)]).T
    fails(require_dyna_maze_curve, walk, n)


@pytest.fixture(scope="module")
def changing(dyna_q, base_seed):
    """Rewards so far (runs, T), computed once."""
    @functools.cache
    def rewards(maze, method):
        layouts, n_steps = MAZES[maze]
        name = "replay_q" if method == "replay" else "dyna_q"
        kappa = 1e-3 if method == "dyna-q+" else 0.0
        n_runs = 40 if maze == "blocking" and method != "dyna-q+" else 14
        return np.array([run(dyna_q, name, dyna_q.Maze(*layouts), 10, n_steps=n_steps, alpha=1.0, kappa=kappa,
                             seed=base_seed * 1000 + i)[2] for i in range(n_runs)]).cumsum(axis=1)
    return rewards


def require_changing_curve(rewards, maze, method):
    """Rewards so far (runs, T) every 500 steps, at 5 of the reference's standard errors."""
    for step, mean, sd in reference("changing_maze_reward.csv", maze, method).T[4::5]:
        measured = rewards[:, int(step) - 1].mean()
        z = abs(measured - mean) / sd / math.sqrt(1 / len(rewards) + 1 / 2000)
        require(z < 5, f"{maze} maze, {method}: {measured:.1f} rewards in {step:.0f} steps on average, {mean:.1f} in "
                f"2,000 runs of another program ({z:.0f} standard errors apart); walls move at {MAZES[maze][0][2]}")


@pytest.mark.parametrize("maze", MAZES)
@pytest.mark.parametrize("method, other", [("dyna-q", "dyna-q+"), ("dyna-q+", "dyna-q")])
def test_changing_mazes(changing, maze, method, other):
    """36 points of the four curves. Control: the other method's curve."""
    require_changing_curve(changing(maze, method), maze, method)
    fails(require_changing_curve, changing(maze, other), maze, method)


def test_replay_falls_behind_when_the_walls_move(changing):
    """25.9 rewards with standard deviation 37.6, 5.9 for 40 runs, so that 0.5 is 4.3 of them away."""
    def check(replay, dyna):
        lost = (dyna - replay)[:, -1].mean()
        require(lost > 0.5, f"replay has lost {lost:.1f} rewards to Dyna-Q in the end, not about 26")
    dyna, replay = changing("blocking", "dyna-q"), changing("blocking", "replay")
    check(replay, dyna)
    fails(check, dyna, dyna)
    for method, least, most in [("dyna-q", 0.24, 0.92), ("dyna-q+", 0, 0)]:     # 0.58 in 1,600 runs; 40: +-4.4 sd
        stuck = np.mean(changing("blocking", method)[:, -1] == changing("blocking", method)[:, 1099])
        require(least <= stuck <= most, f"{method}: {stuck:.2f} of the runs earn nothing after step 1,100")


# ---------------------------------------------------------------- bad input
def test_bad_mazes_are_refused(dyna_q):
    for what, *layouts in [("without S", ["..G"]), ("with two S", ["S.S", "..G"]), ("of unequal rows", ["S.", "..G"]),
            ("of unequal rows", ["S..G", "....", "..."]), ("without G", ["S.."]), ("whose G is behind a wall", ["S#G"]),
            ("whose goal could be reached around the border only", ["S.#G", "..##"]),
            ("whose later goal is out of reach from S", ["S.G", "..."], ["S#G", ".#."]),
            ("whose later S has no way to a goal", ["GS#."], ["G.#S"]), ("of one row later", ["S.G", "..."], ["S.G"]),
            ("of another height later", ["S.G"], ["S.G", "..."]), ("without S later", ["S.G", "..."], ["..G", "..."]),
            ("of another width later", ["S.G", "..."], ["S.G.", "...."]), ("2 x 2, then 1 x 4", ["SG", ".."], ["SG.."]),
            ("whose later goal is out of reach from where the agent may be", ["S..G", "....", "...."],
             ["S..G", "####", "...."])]:
        arguments = (*layouts, 5) if len(layouts) == 2 else layouts
        require_refused(f"a maze {what}, Maze{tuple(arguments)}", dyna_q.Maze, *arguments)


@both
def test_bad_arguments_are_refused(dyna_q, name):
    def world(reward=1.0):
        return World(2, 2, lambda s, a: (reward, 1 - s, s == 1, False))
    cases = [(f"{key} = {value}", world(), {key: value}) for key, values in [
        ("alpha", (-0.1, 1.5, math.nan)), ("gamma", (-0.1, 1.1, math.nan)), ("epsilon", (-0.1, 1.1, math.nan)),
        ("kappa", (-1e-3, math.nan)), ("n_steps", (-1,)),
        ({"dyna_q": "n_planning", "replay_q": "n_replay"}[name], (-1,))] for value in values]
    cases += [("a reward of NaN", world(math.nan), {}),
              ("a reward of NaN in the only step", world(math.nan), {"n_steps": 1, **{cases[-1][0].split()[0]: 0}})]
    for space in ["observation_space", "action_space"]:
        cases.append((f"numbers that start at 1, not 0, in the {space},", world(), {}))
        setattr(cases[-1][1], space, Discrete(2, start=1))
    for (what, env, arguments), n_steps in [(case, n_steps) for case in cases for n_steps in (1, 20)]:
        require_refused(f"{name}: {what}", getattr(dyna_q, name), env, **{"n_steps": n_steps, **arguments})


# ---------------------------------------------------------------- our own experiments and figure
def test_steps_to_goal(ours, dyna_q):
    """Solved elsewhere: shortest paths, the best agents with 10 % random actions, the random walk."""
    for rows, epsilon, n in [(DYNA_MAZE, 0, 14), (DYNA_MAZE, 0.1, 15.813), (DYNA_MAZE, 1, 868.73), (GAP_LEFT, 0, 16)]:
        steps = dyna_q.steps_to_goal(dyna_q.Maze(rows), "".join(rows), epsilon, 15_000)["".join(rows).index("S")]
        require(abs(steps - n) < 0.005, f"steps_to_goal({rows}, {epsilon}) is {steps:.3f}, not {n}")
    for old, new in [(["GS.#"], ["GS#."]), (["S.G", "...", "###"], ["S.G", "###", "..."])]:
        require_refused(f"{old}, then {new}, which shuts the agent in,", dyna_q.Maze, old, new, 1)


def test_experiments_run_what_they_say(ours, dyna_q):
    """The public functions with the printed settings, one seed a run; the curves of these are tested above."""
    steps = dyna_q.compare_planning(2, 5, n_episodes=4)
    for run, i in np.ndindex(2, 3):
        expected = dyna_q.dyna_q(dyna_q.Maze(DYNA_MAZE), [0, 5, 50][i], 4, seed=5000 + run)[1]
        require((steps[run, i] == expected).all(), f"compare_planning, run {run}, agent {i}: not {expected}")
    for (layouts, _), constant in zip(MAZES.values(), [dyna_q.BLOCKING, dyna_q.SHORTCUT]):
        n_steps = layouts[2] + 100              # until just after the walls have moved
        for method, learner, kappa in [("Dyna-Q", dyna_q.dyna_q, 0.0), ("Dyna-Q+", dyna_q.dyna_q, 1e-3),
                                       ("replay", dyna_q.replay_q, 0.0)]:
            expected = learner(dyna_q.Maze(*layouts), 10, n_steps=n_steps, alpha=1.0, kappa=kappa, seed=5001)[2]
            rewards = dyna_q.changing_maze(method, constant, n_steps, 2, 5)[1]
            require((rewards == expected.cumsum()).all(), f"changing_maze, {method}: other rewards")


def require_drawn(ax, rows):
    """S, G and walls are in their cells."""
    cells = np.array([list(row) for row in rows])
    require((ax.images[0].get_array() == (cells == "#")).all(), f"the walls drawn are not those of {rows}")
    letters = {(y, x): text.get_text() for text in ax.texts for x, y in [text.get_position()]}
    expected = {(y, x): cells[y, x] for y, x in np.ndindex(cells.shape) if cells[y, x] in "SG"}
    require(letters == expected, f"the letters are drawn at (row, column) {letters}, not {expected}")


def test_halfway_through_episode_2(ours, dyna_q):
    """Arrows are in the cells that an agent stopped there knows a way from: for n = 0 just one, before the goal."""
    steps = dyna_q.compare_planning(1, 0, n_episodes=2)
    figure, axes = dyna_q.plt.subplots(1, 2)
    for ax, i, n in [(axes[0], 0, 0), (axes[1], 2, 50)]:
        dyna_q.draw_policy(ax, steps, i, 0)
        Q = dyna_q.dyna_q(dyna_q.Maze(DYNA_MAZE), n, n_steps=steps[0, i, 0] + steps[0, i, 1] // 2, seed=0)[0]
        drawn = sorted(9 * int(line.get_ydata()[0]) + int(line.get_xdata()[0]) for line in ax.lines)
        require(drawn == np.flatnonzero(np.ptp(Q, axis=1)).tolist(), f"n = {n}: triangles are in the cells {drawn}")
        require((len(drawn) == 1) == (n == 0), f"n = {n}: {len(drawn)} cells know a way")
    dyna_q.plt.close(figure)


def test_own_maze_is_drawn(ours, dyna_q, monkeypatch):
    """A maze of 4 x 12 in place of DYNA_MAZE. Control: it is not the drawing of another maze."""
    own = ["S...#.......", ".##.#.###.#.", "..#...#...#.", "#...#...#..G"]
    monkeypatch.setattr(dyna_q._module, "DYNA_MAZE", own)
    figure, axes = dyna_q.plt.subplots(1, 2)
    dyna_q.draw_policy(axes[0], dyna_q.compare_planning(1, 0, n_episodes=2), 2, 0)
    require_drawn(axes[0], own)
    fails(require_drawn, axes[0], own[::-1])
    change = own, [row.replace("#", ".") for row in own], 50
    dyna_q.draw_change(axes[1], "title", "Dyna-Q+", change, 200, 2, 0, "")
    for inset, rows in zip(axes[1].child_axes, change[:2], strict=True):
        require_drawn(inset, rows)
    dyna_q.plt.close(figure)
