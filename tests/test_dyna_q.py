"""Tests of dyna_q.py. Exact answers first, then statistics; each statistic says what it can catch.

False alarms: the statistical checks below are made at 5 standard errors (two-sided 6e-7 if normal) or
as stated beside them, in all about 100 of them: below 1 in 1,000 for a run of this file.
"""
import csv
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

EXPECTED = Path(__file__).parent / "expected"
DYNA_MAZE = [".......#G",
             "..#....#.",
             "S.#....#.",
             "..#......",
             ".....#...",
             "........."]
GAP_RIGHT = ["........G", ".........", ".........", "########.", ".........", "...S....."]
GAP_LEFT = GAP_RIGHT[:3] + [".########"] + GAP_RIGHT[4:]
GAP_BOTH = GAP_RIGHT[:3] + [".#######."] + GAP_RIGHT[4:]
MAZES = {"blocking": ((GAP_RIGHT, GAP_LEFT, 1000), 3000), "shortcut": ((GAP_LEFT, GAP_BOTH, 3000), 6000)}
CHANGING = dict(alpha=1.0, gamma=0.95, epsilon=0.1)


class Recorder:
    """Passes everything on to `env` and keeps the transitions (s, a, r, s2, terminated)."""

    def __init__(self, env):
        self.env, self.transitions = env, []
        self.observation_space, self.action_space = env.observation_space, env.action_space

    def reset(self, **arguments):
        self.s, info = self.env.reset(**arguments)
        return self.s, info

    def step(self, a):
        s2, r, terminated, truncated, info = self.env.step(a)
        self.transitions.append((self.s, a, r, s2, terminated))
        self.s = s2
        return s2, r, terminated, truncated, info


class Table:
    """An environment from a table {(s, a): (r, s2, terminated, truncated)}, starting in state 0."""

    def __init__(self, n_states, n_actions, table):
        self.observation_space = SimpleNamespace(n=n_states)
        self.action_space = SimpleNamespace(n=n_actions)
        self.table = table

    def reset(self, seed=None):
        self.s = 0
        return 0, {}

    def step(self, a):
        r, self.s, terminated, truncated = self.table[self.s, a]
        return self.s, r, terminated, truncated, {}


# State 0 is the start and also where the last step ends, so that its value is not zero there.
RING = Table(3, 2, {(0, 0): (0.0, 1, False, False), (0, 1): (0.5, 0, False, False),
                    (1, 0): (0.0, 2, False, False), (1, 1): (-1.0, 0, False, True),
                    (2, 0): (2.0, 0, True, False), (2, 1): (0.0, 1, False, False)})


def dyna_maze(script, limit=20_000):
    """The Dyna maze, which gives up on an agent that runs in circles: a random walk needs 869 steps
    on average, and more than 20,000 once in 10 billion episodes."""
    maze = script.Maze(DYNA_MAZE)
    reset, step, t = maze.reset, maze.step, 0

    def counting_reset(**arguments):
        nonlocal t
        t = 0
        return reset(**arguments)

    def counting_step(a):
        nonlocal t
        t += 1
        if t > limit:
            pytest.fail(f"an episode in the Dyna maze took over {limit} steps", pytrace=False)
        return step(a)
    maze.reset, maze.step = counting_reset, counting_step
    return maze


def ring_values(gamma):
    """Exact Q of RING by value iteration: no value beyond a terminal step, but beyond a truncated one."""
    Q = np.zeros((3, 2))
    for _ in range(2000):
        for (s, a), (r, s2, terminated, _) in RING.table.items():
            Q[s, a] = r if terminated else r + gamma * Q[s2].max()
    return Q


def move_of(dyna_q):
    """Which way each action goes, found by trying: the numbering of actions is the script's own."""
    maze, moves = dyna_q.Maze(["...", ".S.", "..G"]), {}
    for a in range(4):
        maze.reset()
        moves[a] = {1: (-1, 0), 5: (0, 1), 7: (1, 0), 3: (0, -1)}[maze.step(a)[0]]
    assert len(set(moves.values())) == 4
    return moves


# ---------------------------------------------------------------- the mazes, exactly

@pytest.mark.parametrize("name, rows, later_rows, change_at", [
    ("Dyna maze", DYNA_MAZE, None, None), ("blocking", GAP_RIGHT, GAP_LEFT, 1000),
    ("shortcut", GAP_LEFT, GAP_BOTH, 1500), ("early", GAP_RIGHT, GAP_LEFT, 1)])
def test_maze_moves_exactly_as_its_text_says(dyna_q, base_seed, name, rows, later_rows, change_at):
    """Every step of a random walk against the text: catches walls that move late, early or only at
    the end of an episode, wrong borders, a lost reward."""
    moves = move_of(dyna_q)
    maze = dyna_q.Maze(rows) if later_rows is None else dyna_q.Maze(rows, later_rows, change_at)
    rng = np.random.default_rng([base_seed, 1])
    height, width = len(rows), len(rows[0])
    assert (maze.observation_space.n, maze.action_space.n) == (height * width, 4)
    s, info = maze.reset(seed=0)
    assert s == "".join(rows).index("S") and isinstance(info, dict)
    mid_episode = False
    for t in range(3000):
        now = rows if later_rows is None or t < change_at else later_rows
        mid_episode |= t == change_at and not done
        a = int(rng.integers(4))
        (y, x), (dy, dx) = divmod(s, width), moves[a]
        free = 0 <= y + dy < height and 0 <= x + dx < width and now[y + dy][x + dx] != "#"
        expected = s + dy * width + dx if free else s
        s, r, done, truncated, _ = maze.step(a)
        assert (s, truncated) == (expected, False), f"step {t + 1}"
        assert done == (now[s // width][s % width] == "G") and r == float(done)
        if done:
            s, _ = maze.reset()
            assert s == "".join(now).index("S")


def test_walls_move_in_mid_episode(dyna_q):
    """With change_at = 1 the first step still uses the old layout; the agent walks out of the wall."""
    right, down = ({v: k for k, v in move_of(dyna_q).items()}[m] for m in ((0, 1), (1, 0)))
    maze = dyna_q.Maze(["S.G", "..."], ["S#G", "..."], 1)
    maze.reset(seed=0)
    assert maze.step(right)[0] == 1                     # still free
    assert maze.step(down)[0] == 4                      # out of what is now a wall
    assert maze.step({v: k for k, v in move_of(dyna_q).items()}[-1, 0])[0] == 4     # and not back in
    maze = dyna_q.Maze(["S.G", "..."], ["S#G", "..."], 0)
    maze.reset(seed=0)
    assert maze.step(right)[0] == 0                     # change_at = 0: never free


@pytest.mark.parametrize("rows, later", [
    (["..G"], None), (["S.S", "..G"], None), (["S.", "..G"], None), (["S?G"], None), (["S#G"], None),
    (["S.."], None), ([], None), (["S.G", "..."], ["S#G", ".#."]), (["S.G"], ["S.G", "..."]),
    (["S.G", "..."], ["..G", "..."]), (["S..G", "...."], ["S#.G", "##.."])])
def test_bad_mazes_are_refused(dyna_q, rows, later):
    """No start, two, ragged, unknown character, goal out of reach, nothing at all; after the change:
    out of reach, other shape, no start, and out of reach only from where the agent might then be."""
    with pytest.raises(ValueError) as error:
        dyna_q.Maze(rows) if later is None else dyna_q.Maze(rows, later, 5)
    assert "\n" not in str(error.value) and len(str(error.value)) > 20


@pytest.mark.parametrize("arguments", [
    dict(alpha=-0.1), dict(alpha=0.0), dict(alpha=1.5), dict(alpha=math.nan), dict(gamma=-0.1),
    dict(gamma=1.1), dict(epsilon=-0.1), dict(epsilon=1.1), dict(kappa=-1e-3), dict(n_episodes=0),
    dict(n_steps=0), dict(n_steps=2.5), dict(n=-1), dict(n=2.5)])
@pytest.mark.parametrize("name", ["dyna_q", "replay_q"])
def test_bad_arguments_are_refused(dyna_q, name, arguments):
    n = {"dyna_q": "n_planning", "replay_q": "n_replay"}[name]
    arguments = {n if key == "n" else key: value for key, value in arguments.items()}
    with pytest.raises(ValueError):
        getattr(dyna_q, name)(RING, **{"n_episodes": 1, "epsilon": 1.0, **arguments})


# ---------------------------------------------------------------- the update, exactly

def test_ties_are_broken_at_random(dyna_q, base_seed):
    """The first action over 400 seeds, all values zero and epsilon = 0: 100 of each expected.
    Chi-square with 3 degrees of freedom exceeds 30 once in 700,000; a first-index argmax gives 1200."""
    counts = np.zeros(4)
    for seed in range(400):
        env = Recorder(dyna_maze(dyna_q))
        dyna_q.dyna_q(env, 0, n_steps=1, epsilon=0.0, seed=base_seed * 1000 + seed)
        counts[env.transitions[0][1]] += 1
    assert ((counts - 100) ** 2 / 100).sum() < 30


@pytest.mark.parametrize("env, gamma", [("ring", 0.9), ("ring", 1.0), ("maze", 0.95)])
def test_without_planning_it_is_q_learning(dyna_q, base_seed, env, gamma):
    """Q-learning replayed over the recorded transitions gives the same numbers. Catches: gamma
    dropped, bootstrapping through a terminal state or not through a truncated one, r of another step."""
    recorder = Recorder(RING if env == "ring" else dyna_maze(dyna_q))
    Q, steps, rewards = dyna_q.dyna_q(recorder, n_planning=0, n_steps=3000, alpha=0.3, gamma=gamma,
                                      epsilon=0.5, seed=base_seed)
    expected = np.zeros_like(Q)
    for s, a, r, s2, terminated in recorder.transitions:
        target = r if terminated else r + gamma * expected[s2].max()
        expected[s, a] += 0.3 * (target - expected[s, a])
    assert Q.shape == (recorder.observation_space.n, recorder.action_space.n)
    np.testing.assert_allclose(Q, expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(rewards, [transition[2] for transition in recorder.transitions])


@pytest.mark.parametrize("name", ["dyna_q", "replay_q"])
@pytest.mark.parametrize("gamma", [0.5, 0.9])
def test_planning_reaches_the_models_exact_values(dyna_q, base_seed, name, gamma):
    """300 random real steps know all 6 pairs of the ring, and with alpha = 1 then 200 updates per
    step reach the exact Q. Catches: gamma dropped in planning, a terminal step forgotten by the model."""
    Q = getattr(dyna_q, name)(RING, 200, n_steps=300, alpha=1.0, gamma=gamma, epsilon=1.0,
                              seed=base_seed)[0]
    np.testing.assert_allclose(Q, ring_values(gamma), rtol=0, atol=1e-9)


def test_planning_keeps_to_pairs_that_were_tried(dyna_q, base_seed):
    """After one step only one pair is known, so 500 updates may change no other value; and there
    are 500 of them: alpha = 0.01 brings Q within 0.99^501 = 0.7 % of its target."""
    env = Table(2, 3, {(0, a): (1.0, 1, True, False) for a in range(3)})
    Q = dyna_q.dyna_q(env, n_planning=500, n_steps=1, alpha=0.01, gamma=0.9, seed=base_seed)[0]
    assert np.count_nonzero(Q) == 1
    assert Q.max() == pytest.approx(1 - 0.99**501, abs=1e-9)


def test_dyna_q_plus_bonus_is_kappa_sqrt_tau(dyna_q, base_seed):
    """Episodes of one step, gamma = 0, alpha = 1: planning leaves Q = r + kappa sqrt(tau) exactly.
    tau runs across episodes, from 0 for an action never tried. Catches tau reset per episode."""
    for n_steps in (1, 2, 7, 60):
        env = Recorder(Table(1, 4, {(0, a): (0.1 * a, 0, True, False) for a in range(4)}))
        Q = dyna_q.dyna_q(env, 300, n_steps=n_steps, alpha=1.0, gamma=0.0, epsilon=0.2, kappa=0.25,
                          seed=base_seed)[0]
        last = {a: t for t, (_, a, *_) in enumerate(env.transitions, 1)}
        expected = [(0.1 * a if a in last else 0) + 0.25 * math.sqrt(n_steps - last.get(a, 0))
                    for a in range(4)]
        np.testing.assert_allclose(Q[0], expected, rtol=0, atol=1e-12)


def test_dyna_q_plus_models_untried_actions_as_staying_put(dyna_q, base_seed):
    """After one step: the tried action ends the episode (r = 1, tau = 0), each other stays put with
    its bonus: Q = kappa + gamma max Q, hence Q = 1 and kappa + 0.5 * 1; only in the visited state."""
    env = Table(2, 3, {(0, a): (1.0, 1, True, False) for a in range(3)})
    Q = dyna_q.dyna_q(env, 400, n_steps=1, alpha=1.0, gamma=0.5, kappa=0.25, seed=base_seed)[0]
    np.testing.assert_allclose(np.sort(Q[0]), [0.75, 0.75, 1.0], rtol=0, atol=1e-12)
    assert not Q[1].any()


def test_the_bonus_is_for_planning_only(dyna_q, base_seed):
    """Without planning kappa changes nothing. Catches the bonus added to real experience."""
    plain, plus = (dyna_q.dyna_q(RING, 0, n_steps=500, kappa=kappa, seed=base_seed)[0]
                   for kappa in (0.0, 0.5))
    np.testing.assert_array_equal(plain, plus)


def test_replay_equals_dyna_on_a_fixed_deterministic_maze(dyna_q, base_seed):
    """Bit for bit. Catches a buffer that drops transitions, or draws that upset the other streams."""
    for seed in range(base_seed, base_seed + 3):
        results = [learner(dyna_maze(dyna_q), 5, seed=seed)
                   for learner in (dyna_q.dyna_q, dyna_q.replay_q)]
        for dyna, replay in zip(*results):
            np.testing.assert_array_equal(dyna, replay)


def test_the_buffer_keeps_what_the_model_forgets(dyna_q, base_seed):
    """A reward of 1 becomes 0 after 50 of 100 steps. The model says 0; half the buffer says 1. Replay
    with alpha = 0.01 averages about 100 draws: 0.5 with standard deviation 0.035, so 0.3 to 0.7 is
    5.7 of them."""
    class Fading(Table):
        def step(self, a):
            self.t = getattr(self, "t", 0) + 1
            return 0, float(self.t <= 50), True, False, {}
    Q_dyna, Q_replay = (learner(Fading(1, 1, {}), 3000, n_steps=100, alpha=0.01, seed=base_seed)[0]
                        for learner in (dyna_q.dyna_q, dyna_q.replay_q))
    assert abs(Q_dyna[0, 0]) < 1e-6
    assert 0.3 < Q_replay[0, 0] < 0.7


# ---------------------------------------------------------------- acting

def test_first_episode_is_the_same_for_every_n(dyna_q, base_seed):
    """Catches one random stream for acting and planning."""
    for seed in range(base_seed, base_seed + 5):
        walks = []
        for n in (0, 5, 50):
            env = Recorder(dyna_maze(dyna_q))
            dyna_q.dyna_q(env, n, n_episodes=1, seed=seed)
            walks.append(env.transitions)
        assert walks[0] == walks[1] == walks[2]


def test_epsilon_is_the_probability_of_a_random_action(dyna_q, base_seed):
    """Only action 0 pays. Of 6,000 actions epsilon * 2/3 = 0.2 are others (standard error 0.0052,
    5 of them allowed) once it is found, which takes about 5 steps (0.001)."""
    env = Recorder(Table(1, 3, {(0, a): (float(a == 0), 0, True, False) for a in range(3)}))
    dyna_q.dyna_q(env, 0, n_steps=6000, epsilon=0.3, seed=base_seed)
    others = np.mean([transition[1] != 0 for transition in env.transitions])
    assert abs(others - 0.2) < 5 * 0.0052 + 0.002


@pytest.mark.parametrize("name", ["dyna_q", "replay_q"])
def test_results_have_the_promised_form_and_seeds_reproduce(dyna_q, base_seed, name):
    learner, maze = getattr(dyna_q, name), dyna_q.Maze(GAP_RIGHT, GAP_LEFT, 300)
    first = learner(maze, 5, n_steps=3000, seed=base_seed)
    again = learner(maze, 5, n_steps=3000, seed=base_seed)       # the same maze starts over
    other = learner(maze, 5, n_steps=3000, seed=base_seed + 1)
    for x, y in zip(first, again):
        np.testing.assert_array_equal(x, y)
    Q, steps, rewards = first
    assert Q.shape == (54, 4) and rewards.shape == (3000,) and steps.sum() <= 3000
    assert rewards.sum() == len(steps) and not np.array_equal(first[0], other[0])
    Q, steps, rewards = learner(dyna_maze(dyna_q), 5, n_episodes=4,
                                seed=np.random.default_rng(base_seed))
    assert steps.shape == (4,) and rewards.shape == (steps.sum(),) and rewards.sum() == 4


# ---------------------------------------------------------------- the textbook's curves

def reference(filename, *key):
    with open(EXPECTED / filename, newline="") as file:
        lines = [line for line in csv.reader(file)][1:]
    return np.array([[float(x) for x in line[len(key):-1]] for line in lines
                     if line[:len(key)] == [str(k) for k in key]]).T


def assert_follows_reference(steps, n):
    """Steps per episode (runs, 50) against the mean of 2,000 runs of another program, in blocks.

    With R = 40 runs a block's standard error is s / sqrt(R), s being the runs' own spread but at
    least half that of the reference's episodes, were they independent (a lucky few runs of a skewed
    distribution understate it). 18 blocks in all, 6 standard errors each.
    """
    _, mean, sd = reference("dyna_maze_steps.csv", n)
    for block in (slice(0, 1), slice(1, 2), slice(2, 5), slice(5, 10), slice(10, 25), slice(25, 50)):
        values, size = steps[:, block].mean(axis=1), block.stop - block.start
        least = math.sqrt((sd[block] ** 2).sum()) / size
        error = max(values.std(ddof=1), least) * math.sqrt(1 / len(steps) + 1 / 2000)
        z = (values.mean() - mean[block].mean()) / error
        assert abs(z) < 6, f"n = {n}, episodes {block.start + 1}-{block.stop}: {z:.1f} standard errors"


@pytest.fixture(scope="module")
def curves(dyna_q, base_seed):
    return {n: np.array([dyna_q.dyna_q(dyna_maze(dyna_q), n, seed=base_seed * 1000 + run)[1]
                         for run in range(40)]) for n in (0, 5, 50)}


@pytest.mark.parametrize("n", [0, 5, 50])
def test_learning_curve_follows_the_reference(curves, n):
    """Catches what exact tests may not: planning over the wrong pairs, a wrong n, first-index argmax."""
    assert_follows_reference(curves[n], n)


def test_reference_test_fails_for_other_agents(dyna_q, curves, base_seed):
    """Negative control: a random agent, and each n against another n's curve."""
    random_agent = np.array([dyna_q.dyna_q(dyna_maze(dyna_q), 0, epsilon=1.0,
                                           seed=base_seed * 1000 + run)[1] for run in range(8)])
    for steps, n in ((random_agent, 0), (curves[0], 5), (curves[5], 50), (curves[50], 5)):
        with pytest.raises(AssertionError):
            assert_follows_reference(steps, n)


@pytest.mark.parametrize("n, least, most", [(0, 21, 35), (5, 4, 8), (50, 3, 4)])
def test_twenty_steps_are_reached_when_expected(curves, n, least, most):
    """First episode with a mean of at most 20 steps: 28 +- 1.2, 6 +- 0.4, 3 for 40 runs (standard
    deviations over 600), so the bounds are 5 of them away. n = 0 fails the bounds of n = 5."""
    first = np.argmax(curves[n].mean(axis=0) <= 20) + 1
    assert least <= first <= most


@pytest.fixture(scope="module")
def changing(dyna_q, base_seed):
    def run(maze, learner=dyna_q.dyna_q, kappa=0.0, n_runs=24):
        layouts, n_steps = MAZES[maze]
        return np.array([np.cumsum(learner(dyna_q.Maze(*layouts), 10, n_steps=n_steps, kappa=kappa,
                                           seed=base_seed * 1000 + i, **CHANGING)[2])
                         for i in range(n_runs)])
    return {(maze, kappa): run(maze, kappa=kappa) for maze in MAZES for kappa in (0.0, 1e-3)} | {
        "replay": run("blocking", dyna_q.replay_q)}


def assert_follows_changing_reference(rewards, maze, method):
    """Cumulative reward (runs, T) every 500 steps, at 5 of the reference's standard errors."""
    step, mean, sd = reference("changing_maze_reward.csv", maze, method)
    for k in range(4, len(step), 5):
        error = sd[k] * math.sqrt(1 / len(rewards) + 1 / 2000)
        z = (rewards[:, int(step[k]) - 1].mean() - mean[k]) / error
        assert abs(z) < 5, f"{maze}, {method}, step {step[k]:.0f}: {z:.1f} standard errors"


@pytest.mark.parametrize("maze", MAZES)
@pytest.mark.parametrize("method, kappa", [("dyna-q", 0.0), ("dyna-q+", 1e-3)])
def test_changing_maze_follows_the_reference(changing, maze, method, kappa):
    """36 points in all. Catches a wrong bonus or tau, and actions never tried being left out."""
    assert_follows_changing_reference(changing[maze, kappa], maze, method)


def test_changing_reference_fails_for_the_other_method(changing):
    for maze in MAZES:
        with pytest.raises(AssertionError):
            assert_follows_changing_reference(changing[maze, 0.0], maze, "dyna-q+")


@pytest.mark.parametrize("maze, least", [("blocking", 25), ("shortcut", 25)])
def test_dyna_q_plus_wins_on_changing_mazes(changing, maze, least):
    """24 runs: the final rewards differ by 67 and 62 with standard errors sqrt(39.6^2 + 9.4^2) /
    sqrt(24) = 8.3 and 6.3, so 25 is 5 of them away. Control: Dyna-Q against itself does not win."""
    plain, plus = changing[maze, 0.0][:, -1], changing[maze, 1e-3][:, -1]
    assert plus.mean() - plain.mean() > least
    assert not plain[::2].mean() - plain[1::2].mean() > 2.2 * least


def test_who_finds_the_new_way(changing):
    """Blocked: all 24 of Dyna-Q+ still get rewards at the end; of Dyna-Q 45 % do (fewer than 23 of
    24 but for 1 in 10 million). Shortcut: more than 62.5 rewards in the last 1,000 steps need a
    way shorter than the old 16: all of Dyna-Q+, of Dyna-Q 0.3 % (4 or more of 24: 1 in a million)."""
    last = {key: curve[:, -1] - curve[:, -1001] for key, curve in changing.items()}
    assert (last["blocking", 1e-3] > 0).all() and (last["blocking", 0.0] > 0).sum() < 23
    assert (last["shortcut", 1e-3] > 62.5).all() and (last["shortcut", 0.0] > 62.5).sum() < 4


def test_replay_suffers_from_stale_transitions(changing):
    """The same until the walls move at step 1,000, bit for bit (the control), then behind: 25.9 with
    standard deviation 37.6, standard error 7.7 for 24 runs; -5 is 4 of them away."""
    ahead = changing["blocking", 0.0] - changing["replay"]
    assert not ahead[:, :1000].any()
    assert ahead[:, 1000:].any() and ahead[:, -1].mean() > -5


# ---------------------------------------------------------------- the script as a whole

@pytest.mark.parametrize("seed", [0, 1])
def test_every_claim_of_the_table_holds(ours, dyna_q, base_seed, seed):
    """4 runs instead of 30, for which the table widens its own tolerances. Control: with agents that
    do not learn, the 6 claims about episodes 2 to 50 fail."""
    results = dyna_q.run_experiments(4, base_seed * 1000 + seed, lambda text: None)
    rows = dyna_q.check_claims(**results)
    assert len(rows) > 20 and all(ok for *_, ok in rows), [row for row in rows if not row[3]]
    results["steps"] = np.full_like(results["steps"], 869)
    assert sum(not ok for *_, ok in dyna_q.check_claims(**results)) == 6


def test_runs_do_not_depend_on_their_number(ours, dyna_q):
    two, three = (dyna_q.compare_planning(n, seed=5, n_episodes=3) for n in (2, 3))
    np.testing.assert_array_equal(two, three[:2])


def test_exact_steps(ours, dyna_q):
    """Against values solved elsewhere (the design's facts)."""
    for rows, lengths in ((DYNA_MAZE, (14, 15.878, 868.73)), (GAP_RIGHT, (10, 11.26, None)),
                          (GAP_LEFT, (16, 17.92, None)), (GAP_BOTH, (10, 11.26, None))):
        for epsilon, expected in zip((0, 0.1, 1), lengths):
            if expected:
                exact = dyna_q.expected_steps(dyna_q.Maze(rows), epsilon)
                assert exact == pytest.approx(expected, abs=0.006)


# ---------------------------------------------------------------- Gymnasium

def greedy_return(env, Q, n_steps=1000, seed=None):
    s, _ = env.reset(seed=seed)
    total = 0.0
    for _ in range(n_steps):
        s, r, terminated, truncated, _ = env.step(int(Q[s].argmax()))
        total += r
        if terminated or truncated:
            break
    return total


def test_gymnasium_cliff_walking(dyna_q, base_seed):
    """The best return is -13, and 500 episodes find it (20 of 20 seeds tried)."""
    gymnasium = pytest.importorskip("gymnasium")
    env = gymnasium.make("CliffWalking-v1")
    Q = dyna_q.dyna_q(env, n_episodes=500, gamma=1.0, seed=base_seed)[0]
    assert greedy_return(env, Q) == -13
    assert greedy_return(env, np.zeros_like(Q)) != -13


def test_gymnasium_frozen_lake(dyna_q, base_seed):
    """Without slipping 1,000 episodes find the goal (20 of 20 seeds tried)."""
    gymnasium = pytest.importorskip("gymnasium")
    env = gymnasium.make("FrozenLake-v1", is_slippery=False)
    Q = dyna_q.dyna_q(env, n_episodes=1000, gamma=0.99, seed=base_seed)[0]
    assert greedy_return(env, Q) == 1 and greedy_return(env, np.zeros_like(Q)) == 0


def test_gymnasium_taxi(dyna_q, base_seed):
    """300 episodes with n = 5 deliver nearly every passenger (7.6, once 0.6, over 20 seeds); without
    planning they do not (-75 at best)."""
    gymnasium = pytest.importorskip("gymnasium")
    env = gymnasium.make("Taxi-v4")
    settings = dict(n_episodes=300, alpha=0.5, gamma=0.99, seed=base_seed)
    planned, plain = (dyna_q.dyna_q(env, n, **settings)[0] for n in (5, 0))
    planned, plain = (np.mean([greedy_return(env, Q, 200, seed) for seed in range(30)])
                      for Q in (planned, plain))
    assert planned > -20 and planned - plain > 40
