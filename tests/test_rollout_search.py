"""Tests of rollout_search.py. Exact answers first, then statistics; each says what it can catch.

False alarms: the statistical checks are made at 5 standard errors or more (two-sided 6e-7 if normal),
about 150 comparisons in all: below 1 in 1,000 for a run of this file.
"""
import math
import subprocess
import sys

import numpy as np
import pytest

BRIDGE = ["#xxx###", "gS..xx#", "#.....G", "####xx#"]
START, GAMMA, DOWN, LEFT = 8, 0.98, 2, 3                # actions of the bridge: up, right, down, left


def bridge(slip=0.2, rows=BRIDGE):
    """P, R, terminal of the script's world, written down independently of it."""
    cells = {(y, x): c for y, row in enumerate(rows) for x, c in enumerate(row)}
    number = {cell: i for i, cell in enumerate(cells)}
    S = len(cells)
    P, R = np.zeros((S, 4, S)), np.zeros((S, 4))
    for (y, x), s in number.items():
        for a in range(4):
            for turn, p in ((0, 1 - slip), (1, slip / 2), (3, slip / 2)):
                dy, dx = ((-1, 0), (0, 1), (1, 0), (0, -1))[(a + turn) % 4]
                there = (y + dy, x + dx) if cells.get((y + dy, x + dx), "#") != "#" else (y, x)
                P[s, a, number[there]] += p
                R[s, a] += p * {"g": 0.4, "G": 1.0}.get(cells[there], 0)
    return P, R, np.array([c in "gGx" for c in cells.values()])


def random_tables(seed, S=6, A=3, n_terminal=1):
    """Some successors impossible, rewards of both signs, and rows of the terminal states that go on."""
    rng = np.random.default_rng([4, seed])
    P = rng.random((S, A, S)) * (rng.random((S, A, S)) < 0.6) + 1e-3 * np.eye(S)[:, None]
    terminal = np.zeros(S, bool)
    terminal[rng.permutation(S)[:n_terminal]] = True
    return P / P.sum(axis=2, keepdims=True), rng.normal(size=(S, A)), terminal


def sweeps(P, R, terminal, gamma, depth, leaf=0.0):
    """Q of the best behaviour over `depth` steps, for all states, by dynamic programming."""
    V = np.where(terminal, 0.0, leaf)
    for _ in range(depth):
        Q = np.where(terminal[:, None], 0.0, R + gamma * P @ V)
        V = Q.max(axis=1)
    return Q


def exact(P, R, terminal, policy, gamma, horizon):
    """Mean and variance of the return of each pair over `horizon` steps: sums, nothing sampled."""
    mean, square = np.zeros(len(R)), np.zeros(len(R))
    for _ in range(horizon):
        Q = R + gamma * P @ mean
        Q2 = R**2 + 2 * R * gamma * (P @ mean) + gamma**2 * P @ square
        Q[terminal] = Q2[terminal] = 0
        mean, square = (policy * Q).sum(axis=1), (policy * Q2).sum(axis=1)
    return Q, Q2 - Q**2


def uniform(R):
    return np.full(R.shape, 1 / R.shape[1])


def careless(slip=0.2):
    """The policy that goes to G as if nothing slipped; at the start along the drop."""
    P, R, terminal = bridge(0.0, [row.replace("g", "#") for row in BRIDGE])
    return np.eye(4)[sweeps(P, R, terminal, 0.9, 40).round(9).argmax(axis=1)]


def value_of(P, R, terminal, policy):
    return (policy * exact(P, R, terminal, policy, GAMMA, 2000)[0]).sum(axis=1)


def chain(script):
    """0 -> 1 -> 2 -> 3, which ends it, for 1, 2 and 4 (action 0); action 1 goes the same way for 10 more."""
    P = np.zeros((4, 2, 4))
    P[[0, 1, 2, 3], :, [1, 2, 3, 0]] = 1                # the row of the terminal state must not matter
    R = np.array([[1.0, 11], [2, 12], [4, 14], [100, 100]])
    return script.TabularModel(P, R, np.array([False, False, False, True]))


def record(model):
    """Every call of model.step from now on, as [(states, actions), ...]."""
    calls, step = [], model.step

    def recording(states, actions, rng):
        calls.append((np.array(states), np.array(actions)))
        return step(states, actions, rng)

    model.step = recording
    return calls


ALWAYS_0 = np.array([[1.0, 0]] * 4)


# ---------------------------------------------------------------- the model

def test_step_gives_arrays_with_the_pair_s_reward_and_the_end(rollout_search):
    model = chain(rollout_search)
    s2, r, terminated = model.step(np.array([0, 2, 1]), np.array([1, 0, 0]), np.random.default_rng(0))
    np.testing.assert_array_equal(s2, [1, 3, 2])
    np.testing.assert_array_equal(r, [11, 4, 2])
    np.testing.assert_array_equal(terminated, [False, True, False])
    assert np.asarray(terminated).dtype == bool


def test_step_draws_the_next_state_from_P(rollout_search, base_seed):
    """60,000 draws of each of 18 pairs: 5.5 standard errors for 108 frequencies (4e-8 each). Catches
    successors mixed up, one uniform number shared by all rows, the last successor lost."""
    P, R, terminal = random_tables(base_seed, n_terminal=0)
    model, n, rng = rollout_search.TabularModel(P, R, terminal), 60_000, np.random.default_rng(base_seed)
    pairs = np.repeat(np.arange(18), n)
    s2, r, _ = model.step(pairs // 3, pairs % 3, rng)
    np.testing.assert_array_equal(r, R.ravel()[pairs])
    share = np.array([np.bincount(s2[pairs == i], minlength=6) / n for i in range(18)])
    p = P.reshape(18, 6)
    assert (abs(share - p) <= 5.5 * np.sqrt(p * (1 - p) / n) + 1e-12).all()     # exact where p = 0
    # Draws within one call are independent: all n equal would have made the shares 0 or 1, and pairs
    # of neighbours agree as often as chance says.
    agree = (s2[:-1] == s2[1:])[:n - 1].mean()
    assert abs(agree - (p[0]**2).sum()) < 6 * math.sqrt(1 / n)
    assert not (abs(share - P[::-1].reshape(18, 6)) <= 5.5 * np.sqrt(p * (1 - p) / n)).all()   # control


def test_the_model_is_pure(rollout_search):
    """All randomness comes from the generator handed over; nothing is remembered between calls."""
    P, R, terminal = random_tables(3)
    tables = P.copy(), R.copy(), terminal.copy()
    model, states = rollout_search.TabularModel(P, R, terminal), np.arange(5).repeat(50)
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    first = model.step(states, states % 3, np.random.default_rng(7))
    model.step(states, states % 3, np.random.default_rng(8))
    again = model.step(states, states % 3, np.random.default_rng(7))
    for x, y in zip(first, again):
        np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(before, np.random.get_state()[1])
    for x, y in zip((P, R, terminal), tables):
        np.testing.assert_array_equal(x, y)


# ---------------------------------------------------------------- forward search: exact

@pytest.mark.parametrize("seed", range(6))
def test_forward_search_equals_dynamic_programming(rollout_search, base_seed, seed):
    """At every depth, with and without leaf values, on random worlds with rewards of both signs."""
    P, R, terminal = random_tables(10 * base_seed + seed)
    model = rollout_search.TabularModel(P, R, terminal)
    leaf = np.random.default_rng([base_seed, seed]).normal(size=6)      # also at the terminal state
    for gamma in (0.0, 0.9, 1.0):
        for depth in (1, 2, 3):
            for s in np.flatnonzero(~terminal):
                Q = rollout_search.forward_search(model, s, depth, gamma)
                np.testing.assert_allclose(Q, sweeps(P, R, terminal, gamma, depth)[s], atol=1e-9)
                Q = rollout_search.forward_search(model, s, depth, gamma, leaf_values=leaf)
                np.testing.assert_allclose(Q, sweeps(P, R, terminal, gamma, depth, leaf)[s], atol=1e-9)


def test_forward_search_crosses_the_bridge_from_depth_six_on(rollout_search):
    P, R, terminal = bridge()
    model = rollout_search.TabularModel(P, R, terminal)
    for depth in range(1, 7):
        Q = rollout_search.forward_search(model, START, depth, GAMMA)
        assert Q.shape == (4,)
        np.testing.assert_allclose(Q, sweeps(P, R, terminal, GAMMA, depth)[START], atol=1e-9)
        assert Q.argmax() == (DOWN if depth == 6 else LEFT)


def test_forward_search_by_hand(rollout_search):
    """Depth 1 sees rewards only; then 11 + 0.5 * 12 + 0.25 * 14; cut at 2, the leaf at state 2 counts."""
    search, model = rollout_search.forward_search, chain(rollout_search)
    np.testing.assert_allclose(search(model, 0, 1, 0.5), [1, 11])
    np.testing.assert_allclose(search(model, 0, 3, 0.5), [1 + 6 + 3.5, 11 + 6 + 3.5])
    np.testing.assert_allclose(search(model, 0, 9, 0.5), [1 + 6 + 3.5, 11 + 6 + 3.5])
    np.testing.assert_allclose(search(model, 0, 2, 0.5, np.array([7, 7, 8.0, 7])), [1 + 6 + 2, 11 + 6 + 2])
    np.testing.assert_allclose(search(model, 2, 4, 0.5, np.full(4, 50.0)), [4, 14])
    np.testing.assert_allclose(search(model, 3, 2, 0.5), [0, 0])


def test_forward_search_with_only_negative_rewards(rollout_search):
    """Catches a maximum that starts at 0: two steps of -1 each are worth -2, not -1."""
    P = np.full((2, 2, 2), 0.5)
    model = rollout_search.TabularModel(P, np.array([[-1.0, -3], [-1, -3]]), np.zeros(2, bool))
    np.testing.assert_allclose(rollout_search.forward_search(model, 0, 4, 1.0), [-4, -6])


# ---------------------------------------------------------------- rollouts: exact

def test_rollouts_on_a_chain_by_hand(rollout_search):
    """Catches the policy used for the first action, the discount off by one or missing, the terminal
    reward lost or paid twice, the horizon off by one, the end ignored."""
    model, rng = chain(rollout_search), np.random.default_rng(0)

    def Q(state, horizon, gamma=0.5, policy=ALWAYS_0):
        value, error = rollout_search.rollout_search(model, state, policy, 3, horizon, gamma, rng)
        np.testing.assert_array_equal(error, [0, 0])            # nothing varies here
        return value

    np.testing.assert_allclose(Q(0, 10), [1 + 1 + 1, 11 + 1 + 1])
    np.testing.assert_allclose(Q(0, 10, gamma=1.0), [7, 17])
    np.testing.assert_allclose(Q(0, 10, policy=1 - ALWAYS_0), [1 + 6 + 3.5, 11 + 6 + 3.5])
    np.testing.assert_allclose(Q(0, 3), [3, 13])
    np.testing.assert_allclose(Q(0, 2), [2, 12])
    np.testing.assert_allclose(Q(0, 1), [1, 11])
    np.testing.assert_allclose(Q(0, 10, gamma=0.0), [1, 11])
    np.testing.assert_allclose(Q(2, 10), [4, 14])               # one step before the end
    np.testing.assert_allclose(Q(3, 10), [0, 0])                # in it


def test_each_action_gets_its_rollouts_in_lockstep_and_ended_ones_cost_nothing(rollout_search):
    """5 rollouts of each action from the start, one call of the model per step, no step from the end."""
    model = chain(rollout_search)
    calls = record(model)
    rollout_search.rollout_search(model, 0, ALWAYS_0, 5, 50, 0.9, np.random.default_rng(0))
    states, actions = map(np.concatenate, zip(*calls))
    np.testing.assert_array_equal(np.bincount(actions[states == 0]), [5, 5])
    np.testing.assert_array_equal(np.bincount(states, minlength=4), [10, 10, 10, 0])
    assert len(calls) <= 4                                      # not one call per episode


def test_standard_error_is_that_of_the_mean(rollout_search, base_seed):
    """Returns are 0 or 1, so that the error follows from Q: sqrt(Q (1 - Q) / (K - 1)) up to 1 %."""
    P = np.array([[[0, 0.3, 0.7]], [[0, 0, 1]], [[0, 0, 1.0]]])
    model = rollout_search.TabularModel(P, np.array([[0.0], [1], [0]]), np.array([False, False, True]))
    for K in (100, 1000):
        Q, error = rollout_search.rollout_search(model, 0, np.ones((3, 1)), K, 10, 1.0,
                                                 np.random.default_rng([base_seed, K]))
        assert 0 < Q[0] < 1
        np.testing.assert_allclose(error, np.sqrt(Q * (1 - Q) / (K - 1)), rtol=0.01)


def test_a_single_rollout_claims_no_precision(rollout_search):
    Q, error = rollout_search.rollout_search(chain(rollout_search), 0, ALWAYS_0, 1, 9, 0.5,
                                             np.random.default_rng(0))
    np.testing.assert_allclose(Q, [3, 13])
    assert not np.isfinite(error).any()


def test_actions_of_probability_zero_are_never_taken(rollout_search):
    P, R, terminal = random_tables(1, n_terminal=0)
    policy = np.array([[0, 1.0, 0], [0.3, 0.7, 0], [0, 0.4, 0.6], [1, 0, 0], [0, 0, 1], [0.5, 0, 0.5]])
    model = rollout_search.TabularModel(P, R, terminal)
    calls = record(model)
    rollout_search.rollout_search(model, 2, policy, 300, 20, 0.9, np.random.default_rng(0))
    states, actions = map(np.concatenate, zip(*calls[1:]))
    assert (policy[states, actions] > 0).all()


def test_same_generator_same_answer_and_no_other_is_touched(rollout_search):
    """The planner draws neither from the environment's generator nor from NumPy's global one."""
    P, R, terminal = bridge()
    model, search = rollout_search.TabularModel(P, R, terminal), rollout_search.rollout_search
    environment = np.random.default_rng(5)
    model.step(np.array([START]), np.array([0]), environment)           # the real world moved
    state, other = environment.bit_generator.state, np.random.get_state()[1].copy()
    answers = [search(model, START, uniform(R), 50, 60, GAMMA, np.random.default_rng(seed))
               for seed in (1, 2, 1)]
    np.testing.assert_array_equal(answers[0], answers[2])
    assert (answers[0][0] != answers[1][0]).any()
    assert environment.bit_generator.state == state
    np.testing.assert_array_equal(other, np.random.get_state()[1])


# ---------------------------------------------------------------- rollouts: statistics

@pytest.mark.parametrize("world", ["bridge-random", "bridge-careless", 0, 1, 2])
def test_rollouts_are_unbiased(rollout_search, base_seed, world):
    """2 states x 3 or 4 actions, K = 20,000, against exact mean and variance: 5.5 standard errors, 38
    comparisons (4e-8 each). Catches all mistakes in the return, the mean over survivors only, a policy
    misread. Control: the values of a policy that prefers action 0 are many standard errors away."""
    bridging = isinstance(world, str)
    tables = bridge() if bridging else random_tables(100 + world)
    policy = careless() if world == "bridge-careless" else uniform(tables[1])
    if world == 2:
        policy = np.random.default_rng(9).dirichlet([1] * 3, 6)
    gamma, horizon = (GAMMA, 60) if bridging else (0.9, 15)
    model, K = rollout_search.TabularModel(*tables), 20_000
    Q_exact, variance = exact(*tables, policy, gamma, horizon)
    Q_other, _ = exact(*tables, np.eye(policy.shape[1])[np.zeros(len(policy), int)], gamma, horizon)
    for s in (START, START + 1) if bridging else np.flatnonzero(~tables[2])[:2]:
        Q, error = rollout_search.rollout_search(model, s, policy, K, horizon, gamma,
                                                 np.random.default_rng([base_seed, 1, s]))
        standard = np.sqrt(variance[s] / K)
        assert Q.shape == error.shape == (policy.shape[1],)
        assert (abs(Q - Q_exact[s]) <= 5.5 * standard + 1e-12).all()
        assert not (abs(Q - Q_other[s]) <= 5.5 * standard).all()
        np.testing.assert_allclose(error, standard, rtol=0.25)  # variances of 20,000 draws: 5 % or less


def test_intervals_cover(rollout_search, base_seed):
    """400 searches x 4 actions with K = 400, 95 % intervals: 0.948 of 1,600 in the mean of many seeds,
    standard error 0.0055, 5 of them 0.028. Catches a standard error without the root, of one return
    instead of the mean, or over all actions. Control: intervals half as wide cover about 0.67."""
    P, R, terminal = bridge()
    model, policy = rollout_search.TabularModel(P, R, terminal), careless()
    rng = np.random.default_rng(base_seed)
    Q_exact, _ = exact(P, R, terminal, policy, GAMMA, 40)
    answers = np.array([rollout_search.rollout_search(model, START, policy, 400, 40, GAMMA, rng)
                        for _ in range(400)])
    misses = abs(answers[:, 0] - Q_exact[START])

    def covers(width):
        return abs((misses <= width * answers[:, 1]).mean() - 0.948) <= 0.028

    assert covers(1.96)
    assert not covers(0.98)


def test_acting_on_rollouts_improves_a_policy_but_not_to_the_optimum(rollout_search, base_seed):
    """One search with K = 30,000 per cell; the value of acting so is solved exactly. From the careless
    policy (0.415) its limit is the optimum 0.540; 40 of 40 seeds reached it, and with K = 10,000 the
    one near-tie that was ever decided wrongly left 0.475: at least 0.46. From the random policy (0.139)
    it is 0.354, far below: more rollouts cannot help. Control: acting at random does neither."""
    P, R, terminal = bridge()
    model, rng = rollout_search.TabularModel(P, R, terminal), np.random.default_rng([base_seed, 2])
    optimum = sweeps(P, R, terminal, GAMMA, 500)[START].max()
    assert abs(optimum - 0.5397) < 1e-4

    def acting_on(policy):
        plan = policy.copy()
        for s in (s for s, cell in enumerate("".join(BRIDGE)) if cell in "S."):
            Q, _ = rollout_search.rollout_search(model, s, policy, 30_000, 100, GAMMA, rng)
            plan[s] = np.eye(4)[Q.argmax()]
        return plan

    def crosses_well(plan):
        return value_of(P, R, terminal, plan)[START] > 0.46

    def takes_the_small_treasure(plan):
        return 0.34 < value_of(P, R, terminal, plan)[START] < 0.36

    assert crosses_well(acting_on(careless())) and not crosses_well(careless())
    assert takes_the_small_treasure(acting_on(uniform(R)))
    assert not crosses_well(uniform(R)) and not takes_the_small_treasure(uniform(R))


# ---------------------------------------------------------------- on Gymnasium's tables

@pytest.mark.parametrize("name, arguments", [("FrozenLake-v1", {"map_name": "4x4"}),
                                             ("FrozenLake-v1", {"map_name": "8x8"}), ("CliffWalking-v1", {})])
def test_on_gymnasium_tables(rollout_search, base_seed, name, arguments):
    """The rows of CliffWalking's goal go on with reward -1; the model has to end there all the same."""
    gymnasium = pytest.importorskip("gymnasium")
    try:
        table = gymnasium.make(name, **arguments).unwrapped.P
    except gymnasium.error.Error as error:
        pytest.skip(str(error))
    S, A = len(table), len(table[0])
    P, R, terminal = np.zeros((S, A, S)), np.zeros((S, A)), np.zeros(S, bool)
    for s, a in np.ndindex(S, A):
        for p, s2, r, terminated in table[s][a]:
            P[s, a, s2] += p
            R[s, a] += p * r
            terminal[s2] |= terminated
    model = rollout_search.TabularModel(P, R, terminal)
    s, gamma, horizon, K = S - 2, 0.99, 60, 4000            # beside the goal
    for depth in (1, 2, 4):
        np.testing.assert_allclose(rollout_search.forward_search(model, s, depth, gamma),
                                   sweeps(P, R, terminal, gamma, depth)[s], atol=1e-9)
    Q, _ = rollout_search.rollout_search(model, s, uniform(R), K, horizon, gamma,
                                         np.random.default_rng([base_seed, S]))
    Q_exact, variance = exact(P, R, terminal, uniform(R), gamma, horizon)
    assert (abs(Q - Q_exact[s]) <= 5.5 * np.sqrt(variance[s] / K) + 1e-9).all()


# ---------------------------------------------------------------- bad input

def with_row(P, row):
    P = P.copy()
    P[0, 0] = row
    return P


P2, R2, T2 = np.full((2, 3, 2), 0.5), np.zeros((2, 3)), np.array([False, False])


@pytest.mark.parametrize("P, R, terminal", [
    (with_row(P2, [0.5, 0.4]), R2, T2), (with_row(P2, [1.5, -0.5]), R2, T2), (with_row(P2, [0, 0]), R2, T2),
    (with_row(P2, [np.nan, 1]), R2, T2), (P2, R2.T, T2), (P2, R2[:, :2], T2), (P2, R2, T2[:1]),
    (P2[:, :, :1], R2, T2), (P2[0], R2, T2)])
def test_bad_tables_are_refused(rollout_search, P, R, terminal):
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        rollout_search.TabularModel(P, R, terminal)


@pytest.mark.parametrize("change", [
    {"state": 2}, {"state": -1}, {"depth": 0}, {"depth": -3}, {"depth": 1.5}, {"gamma": 1.1}, {"gamma": -0.1},
    {"leaf_values": np.zeros(3)}, {"leaf_values": np.zeros((2, 3))}])
def test_bad_input_to_forward_search(rollout_search, change):
    model = rollout_search.TabularModel(P2, R2, T2)
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        rollout_search.forward_search(model, **{"state": 0, "depth": 2, "gamma": 0.9} | change)


@pytest.mark.parametrize("change", [
    {"state": 2}, {"state": -1}, {"n_rollouts": 0}, {"n_rollouts": -1}, {"horizon": 0}, {"gamma": 1.1},
    {"gamma": -0.1}, {"policy": np.full((2, 3), 0.3)}, {"policy": np.full((2, 2), 0.5)},
    {"policy": np.full((3, 2), 0.5)}, {"policy": np.array([[2, -1, 0], [1, 0, 0.0]])},
    {"policy": np.full((2, 3), np.nan)}])
def test_bad_input_to_rollout_search(rollout_search, change):
    model, rng = rollout_search.TabularModel(P2, R2, T2), np.random.default_rng(0)
    arguments = {"state": 0, "policy": uniform(R2), "n_rollouts": 3, "horizon": 5, "gamma": 0.9, "rng": rng}
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        rollout_search.rollout_search(model, **arguments | change)


# ---------------------------------------------------------------- what only our own script has

@pytest.fixture(scope="module")
def results(rollout_search, base_seed, pytestconfig):
    if pytestconfig.getoption("scripts"):
        pytest.skip("only for this repository's own scripts")
    return rollout_search.run_experiments(3, base_seed, lambda text: None)


def test_world_is_the_one_of_these_tests(rollout_search, ours):
    model, (P, R, terminal) = rollout_search.bridge_model(BRIDGE, 0.2), bridge()
    inner = ~terminal
    np.testing.assert_allclose(model.P[inner], P[inner])
    np.testing.assert_allclose(model.R[inner], R[inner])
    np.testing.assert_array_equal(model.terminal, terminal)
    assert rollout_search.BRIDGE == BRIDGE and rollout_search.SLIP == 0.2 and rollout_search.GAMMA == GAMMA


def test_many_states_are_searched_as_one_by_one(rollout_search, ours, base_seed):
    """The (B,) form: same exact values; 5.5 standard errors, 8 comparisons."""
    P, R, terminal = bridge()
    model, states, K = rollout_search.TabularModel(P, R, terminal), np.array([START, 16]), 5000
    Q, error = rollout_search.rollout_search(model, states, careless(), K, 60, GAMMA,
                                             np.random.default_rng(base_seed))
    Q_exact, variance = exact(P, R, terminal, careless(), GAMMA, 60)
    assert Q.shape == error.shape == (2, 4)
    assert (abs(Q - Q_exact[states]) <= 5.5 * np.sqrt(variance[states] / K)).all()


def test_exact_answers_of_the_script(rollout_search, ours):
    """The linear solves against sums over 2,000 steps."""
    P, R, terminal = bridge()
    answers = rollout_search.exact_answers()
    for i, policy in enumerate((uniform(R), careless())):
        Q, variance = exact(P, R, terminal, policy, GAMMA, 2000)
        cells = [s for s, c in enumerate("".join(BRIDGE)) if c in "S."]
        np.testing.assert_allclose(answers.Q[i][cells], Q[cells], atol=1e-9)
        np.testing.assert_allclose(answers.variance[i][cells], variance[cells], atol=1e-9)
        best = np.eye(4)[answers.Q[i].argmax(axis=1)]
        np.testing.assert_allclose(answers.limit[i][cells], value_of(P, R, terminal, best)[cells], atol=1e-9)
        assert (answers.limit[i] >= answers.base[i] - 1e-12).all()
    assert abs(answers.optimum[START] - sweeps(P, R, terminal, GAMMA, 2000)[START].max()) < 1e-9


def test_count_nodes_by_hand(rollout_search, ours):
    """3 states that all follow each other, 2 actions: 2, 2 + 2*3*2 = 14, 2 + 2*3*14 = 86; ends are free."""
    P = np.full((3, 2, 3), 1 / 3)
    open_, closed = (rollout_search.TabularModel(P, np.zeros((3, 2)), [False, False, end])
                     for end in (False, True))
    assert [rollout_search.count_nodes(open_, 0, d) for d in (1, 2, 3)] == [2, 14, 86]
    assert [rollout_search.count_nodes(closed, 0, d) for d in (1, 2, 3)] == [2, 10, 42]


def test_every_claim_holds_and_a_wrong_result_is_shown_as_wrong(rollout_search, ours, results):
    rows = rollout_search.check_claims(**results)
    assert len(rows) > 20 and all(row[3] for row in rows), [row for row in rows if not row[3]]
    wrong = results | {"plans": results["plans"][..., ::-1]}            # control: K = 1 and 300 exchanged
    assert sum(not row[3] for row in rollout_search.check_claims(**wrong)) >= 3
    flat = results | {"learned": tuple(x[..., ::-1] for x in results["learned"])}
    assert sum(not row[3] for row in rollout_search.check_claims(**flat)) >= 4


def test_a_run_does_not_depend_on_how_many_there_are(rollout_search, ours, results, base_seed):
    fewer = rollout_search.run_experiments(1, base_seed, lambda text: None)
    np.testing.assert_array_equal(fewer["searches"][:, :1], results["searches"][:, :1])
    np.testing.assert_array_equal(fewer["plans"], results["plans"][:1])
    for x, y in zip(fewer["learned"], results["learned"]):
        np.testing.assert_array_equal(x, y[:1])


def test_learned_models_are_counts(rollout_search, ours, base_seed):
    """Each row a distribution; more data brings the model closer; the first trajectories are shared."""
    rng = np.random.default_rng(base_seed)
    P, R = rollout_search.random_mdps(rng)
    assert P.shape == (30, 10, 2, 10) and ((P > 0).sum(axis=-1) == 5).all()
    P_hat, R_hat = rollout_search.learn(P, R, rng)
    np.testing.assert_allclose(P_hat.sum(axis=-1), 1)
    assert (P_hat[(P_hat > 0) & (P_hat != 0.1) & (P == 0)].size == 0)   # only unseen pairs are uniform
    wrong = abs(P_hat - P).mean(axis=(1, 2, 3, 4))
    assert (np.diff(wrong) < 0).all()
    assert abs(R_hat[-1] - R).mean() < 0.05


def test_the_run_writes_its_table_and_picture(ours, tmp_path):
    run = subprocess.run([sys.executable, "-W", "error", str(ours / "rollout_search.py"), "--runs", "2",
                          "--save", str(tmp_path / "figure.png")], capture_output=True, text=True)
    assert run.returncode == 0 and not run.stderr, run.stderr
    assert run.stdout.startswith("claim") and " | NO" not in run.stdout
    assert (tmp_path / "figure.png").stat().st_size > 50_000
