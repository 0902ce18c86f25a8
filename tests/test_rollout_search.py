"""Tests of rollout_search.py: worked by hand, exact, statistics, curves, bad input; last what only our script has.

False alarms: the statistics (about 130 comparisons at 5 standard errors or more, two-sided 6e-7 each if normal; the
skewed ones as stated beside them) fail a right program in fewer than 1 of 5,000 runs.
"""
import functools
import itertools
import math
import random
import types

import numpy as np
import pytest

from conftest import require, require_names

failure = pytest.fail.Exception


# ---------------------------------------------------------------- worlds, and exact answers

def world(text, pairs, terminal=()):
    """What it is, P, R, terminal, from {(s, a): (reward, {next state: p})}. Missing mass ends the episode."""
    S, A = 1 + np.max(list(pairs), axis=0)
    P, R = np.zeros((S, A, S)), np.zeros((S, A))
    for (s, a), (reward, following) in pairs.items():
        R[s, a] = reward
        for s2, p in following.items():
            P[s, a, s2] = p
    return text, P, R, np.isin(np.arange(S), terminal)


CHAIN = world("0 -> 1 -> 2 -> 3 pays 1, 2, 4 (action 1: 11, 12, 14); 3 is terminal, though its row goes on and pays",
              {(s, a): (r + 10 * a, {(s + 1) % 4: 1}) for s, r in enumerate((1, 2, 4, 100)) for a in (0, 1)}, [3])
PAY_OR_WAIT = world("one state; action 0 pays 1 and ends the episode (its row of P is 0), action 1 waits",  # issue 11
                    {(0, 0): (1, {}), (0, 1): (0, {0: 1})})
HALF = world("0 pays 1 and goes to 1 with p = .5, else it ends (missing mass); 1 pays 8 and ends",
             {(0, 0): (1, {1: 0.5}), (1, 0): (8, {})})
FORK = world("after 0, 8 follows with p = .25, 4 with p = .75",
             {(0, 0): (0, {1: 0.25, 2: 0.75}), (1, 0): (8, {}), (2, 0): (4, {})})
COSTS = world("every step costs .001, or .003", {(0, 0): (-0.001, {0: 1}), (0, 1): (-0.003, {0: 1})})
SOON_OR_LATE = world("action 0 pays 1 and ends, by missing mass; action 1 pays 2, then 4, then 8",
                     {(0, 0): (1, {}), (0, 1): (2, {1: 1}), (1, 0): (4, {2: 1}), (2, 0): (8, {})})
BRIDGE = ["#xxx###", "gS..xx#", "#.....G", "####xx#"]
START, GAMMA, DOWN, LEFT = 8, 0.98, 2, 3                # actions: up, right, down, left
CELLS = [s for s, c in enumerate("".join(BRIDGE)) if c in "S."]         # where one can act


def random_tables(seed, S=5, A=2):
    """P, R, terminal: impossible successors, rewards of both signs, rows that lack mass, one of them all of it,
    and a terminal state whose rows go on and pay."""
    rng = np.random.default_rng(seed)
    P = rng.random((S, A, S)) * (rng.random((S, A, S)) < 0.7) + 1e-3
    P *= rng.choice([1.0, 1.0, 0.6], (S, A, 1)) / P.sum(axis=2, keepdims=True)
    P[1, 0] = 0
    return P, rng.normal(size=(S, A)), np.arange(S) == S - 1


def bridge(slip=0.2):
    """P, R, terminal of the script's world, written down independently of it."""
    text = "".join(BRIDGE)
    P, R = np.zeros((28, 4, 28)), np.zeros((28, 4))
    for s, a in itertools.product(CELLS, range(4)):
        for turn, p in ((0, 1 - slip), (1, slip / 2), (3, slip / 2)):
            there = s + (-7, 1, 7, -1)[(a + turn) % 4]
            there = s if text[there] == "#" else there
            P[s, a, there] += p
            R[s, a] += p * {"g": 0.4, "G": 1.0}.get(text[there], 0)
    return P, R, np.array([c in "gGx" for c in text])


def lookahead(P, R, terminal, gamma, depth, leaf=0.0):
    """Q (S, A) of the best behaviour over `depth` steps, by dynamic programming."""
    V = np.where(terminal, 0.0, leaf)
    for _ in range(depth):
        Q = R + gamma * P @ V
        V = np.where(terminal, 0.0, Q.max(axis=1))
    return Q


def returns_of(P, R, terminal, policy, gamma, horizon):
    """Mean and variance (S, A) of the return over `horizon` steps: sums, nothing is sampled."""
    mean, square = np.zeros(len(R)), np.zeros(len(R))
    for _ in range(horizon):
        Q = R + gamma * P @ mean
        Q2 = R**2 + 2 * R * gamma * (P @ mean) + gamma**2 * P @ square
        mean, square = [np.where(terminal, 0.0, (policy * x).sum(axis=1)) for x in (Q, Q2)]
    return Q, Q2 - Q**2


def careless():
    """The policy that takes the shortest way to G, as if nothing slipped: at the start along the drop."""
    P, R, terminal = bridge(0.0)
    R[START, LEFT] = 0
    return np.eye(4)[lookahead(P, R, terminal, 0.9, 40).round(9).argmax(axis=1)]


def numbers(values):
    return np.round(np.asarray(values, float), 4).tolist()


def close(a, b, tolerance=1e-9):
    return np.shape(a) == np.shape(b) and np.allclose(np.asarray(a, float), b, rtol=0, atol=tolerance)


def test_the_names_of_the_contract_are_there(rollout_search):
    require_names(rollout_search)


# ---------------------------------------------------------------- worked by hand

def test_step_worked_by_hand(rollout_search):
    """Three pairs of CHAIN at once, rewards divided by 4. Order: next_states, rewards, terminated."""
    _, P, R, terminal = CHAIN
    model = rollout_search.TabularModel(P, R / 4, terminal)
    s2, r, end = model.step(np.array([0, 2, 1]), np.array([1, 0, 0]), 0)
    require(close(s2, [1, 3, 2]), "step from pairs (0, 1), (2, 0), (1, 0) of a chain: next_states, the first of three, "
            f"should be [1, 3, 2]; it is {s2}")
    require(close(r, [2.75, 1, 0.5]), "rewards, the second of three, should be R of each pair, [2.75, 1, 0.5], also "
            f"where the episode ends; it is {r}")
    require(close(end, [False, True, False]), f"only state 3 is terminal, next states are {s2}: terminated should be "
            f"[False, True, False]; it is {end}: it looks at the state that is entered")
    require(np.asarray(end).dtype == bool, f"terminated should be True or False, as Gymnasium's, not {end!r} (~1 is -2)")
    answer = model.step(np.array([2]), np.array([0]), 0)
    require(all(np.shape(x) == (1,) for x in answer), f"one pair gives three arrays (1,), not {answer}")


def test_mass_missing_in_a_row_ends_the_episode(rollout_search):
    """State 2 has a row of 0. Half of state 0's row is missing: seen among 400 draws (all alike: 1e-120)."""
    P, asked = np.array([[[0, 0.5, 0]], [[0, 1, 0]], [[0, 0, 0]]]), np.repeat([2, 0], [1, 400])
    model = rollout_search.TabularModel(P, np.full((3, 1), 3.0))        # (rows of P may sum to less than 1)
    s2, r, end = [np.asarray(x) for x in model.step(asked, np.zeros(401, int), 0)]
    require(end[0] and (r == 3).all(), "a row of P that is all 0: the episode ends, after its reward 3; terminated is "
            f"{end[0]}; each of the 401 rewards should be 3, they are {sorted(set(r.tolist()))}")
    require(s2[0] == 2, f"where missing mass ends the episode in state 2, the next state is 2 itself; it is {s2[0]}")
    s2, end = s2[1:], end[1:]
    require(0 < end.sum() < 400, "the row [0, 0.5, 0] lacks half, which ends the episode: terminated is True in "
            f"{end.sum()} of 400 draws, not in about 200 (one random number for all, or the row scaled to 1?)")
    require((s2 == ~end).all(), "the row [0, 0.5, 0] goes on to state 1, or ends: then the next state is the state "
            f"itself, 0; going on led to {set(s2[~end].tolist())}, ending to {set(s2[end].tolist())}")


LEAF = [7.0, 8, 16, 50]
ENDS = "a terminal state is worth 0, whatever its row of the table and its leaf value say"
MISSING = "missing mass ends the episode: it is worth 0, no row is scaled to 1, no leaf value counts"
LOOKAHEADS = [          # world, state, depth, gamma, leaf values, Q, hint
    (CHAIN, 0, 1, 0.5, None, [1, 11], "one step: R only, not discounted"),
    (CHAIN, 0, 2, 0.0, None, [1, 11], "gamma = 0 is allowed: what follows counts gamma times, so not at all"),
    (CHAIN, 0, 2, 1.0, None, [13, 23], "gamma = 1 is allowed; 2 steps: what follows is worth its best action"),
    (CHAIN, 0, 3, 0.5, None, [10.5, 20.5], "R + gamma sum_s' p(s'|s,a) max_a' Q(s',a') in each of the 3 steps"),
    (CHAIN, 1, 2, 0.5, None, [9, 19], "does the search begin in the state that it is asked about?"),
    (CHAIN, 0, 9, 0.5, None, [10.5, 20.5], ENDS),
    (PAY_OR_WAIT, 0, 4, 0.9, None, [1, 0.9], MISSING),
    (HALF, 0, 2, 0.5, None, [3], MISSING),
    (FORK, 0, 2, 1.0, None, [5], "the mean of what may follow, weighted with p"),
    (COSTS, 0, 4, 1.0, None, [-0.004, -0.006], "does a maximum start at 0, or the search stop when values change little?"),
    (CHAIN, 0, 1, 0.5, LEAF, [5, 15], "R + gamma times the leaf value of the state reached"),
    (CHAIN, 0, 2, 0.5, LEAF, [11, 21], "leaf values count once, where the tree is cut"),
    (CHAIN, 2, 1, 0.5, LEAF, [4, 14], ENDS),
    (PAY_OR_WAIT, 0, 2, 0.5, [8.0], [1, 2], MISSING),
]


def test_forward_search_worked_by_hand(rollout_search):
    """In CHAIN, gamma 1/2, action 1 below: depth 3 gives 1 + 12/2 + 14/4 = 10.5; with leaf values, depth 1 gives
    1 + 8/2, depth 2 1 + 12/2 + 16/4. HALF: 1 + .5 * .5 * 8 = 3. FORK: .25 * 8 + .75 * 4 = 5."""
    for (text, *tables), s, depth, gamma, leaf, exact, hint in LOOKAHEADS:
        case = f"from state {s}, depth {depth}, gamma {gamma}, leaf values {leaf}"
        more = {} if leaf is None else {"leaf_values": np.array(leaf)}
        Q = rollout_search.forward_search(rollout_search.TabularModel(*tables), s, depth, gamma, **more)
        require(np.shape(Q) == np.shape(exact), f"forward_search gives Q (A,), one value for each action, not {Q!r}")
        require(close(Q, exact), f"{case}: Q should be {exact}, it is {numbers(Q)}: {hint} [{text}]")
    P, R, terminal = CHAIN[1:]
    Q = rollout_search.forward_search(types.SimpleNamespace(P=P, R=R, terminal=terminal), 0, 9, 0.5)
    require(close(Q, [10.5, 20.5]), "an own model with tables P, R, terminal, not a TabularModel, will do; on CHAIN Q "
            f"should be [10.5, 20.5], it is {numbers(Q)}")


RETURNS = [             # world, state, action that the policy takes in states 0, 1, ..., horizon, gamma, Q, hint
    (CHAIN, 0, [0, 0, 0, 0], 1, 0.5, [1, 11], "one step: the asked action, not the policy's; R_1 is not discounted"),
    (CHAIN, 0, [0, 0, 0, 0], 2, 1.0, [3, 13], "the asked action once, then the policy's; the sum of all rewards"),
    (CHAIN, 0, [0, 0, 0, 0], 2, 0.5, [2, 12], "2 steps, the first one included; the second counts gamma times"),
    (CHAIN, 0, [0, 0, 0, 0], 2, 0.0, [1, 11], "gamma = 0 is allowed: only R_1 counts"),
    (CHAIN, 1, [0, 0, 0, 0], 2, 0.5, [4, 14], "does it start in the state asked about, does the last reward count?"),
    (CHAIN, 0, [0, 0, 0, 0], 9, 0.5, [3, 13], "R_1 + gamma R_2 + gamma^2 R_3; after the terminal state nothing"),
    (CHAIN, 0, [1, 0, 1, 0], 9, 0.5, [5.5, 15.5], "is the policy asked in the state that was reached, and G no whole number?"),
    (SOON_OR_LATE, 0, [0, 0, 0], 9, 0.5, [1, 6], "each episode earns its own rewards until it ends, and none after"),
]


def test_rollouts_worked_by_hand(rollout_search):
    """Nothing is left to chance. CHAIN, gamma 1/2, action 0 below: 1 + 2/2 + 4/4 = 3 for action 0, 10 more for action
    1. SOON_OR_LATE: 1, and 2 + 4/2 + 8/4 = 6."""
    for (text, *tables), s, actions, horizon, gamma, exact, hint in RETURNS:
        model, policy = rollout_search.TabularModel(*tables), np.eye(2)[actions]
        answer = rollout_search.rollout_search(model, s, policy, 3, horizon, gamma, 0)
        require(len(answer) == 2 and all(np.shape(x) == (2,) for x in answer), "rollout_search gives two arrays (A,), "
                f"Q and its standard error; here it gives {answer}")
        case = f"from state {s}, pi takes actions {actions} in states 0, 1, ..., horizon {horizon}, gamma {gamma}"
        require(close(answer[0], exact), f"{case}: Q should be {exact}, it is {numbers(answer[0])}: {hint} [{text}]")
        require(close(answer[1], [0, 0]), f"{case}: the 3 rollouts of each action do not vary, so the standard error "
                f"is 0, not {numbers(answer[1])}: is it that of each action's own returns? [{text}]")


def test_mean_and_standard_error_worked_by_hand(rollout_search):
    """The returns of action 0 are 1, 2, 6, those of action 1 are 5, 5, 5. K = 3: mean 3, variance (4 + 1 + 9) / 2 = 7,
    standard error sqrt(7 / 3) = 1.528. K = 2: mean 1.5, variance 0.5, standard error 0.5. K = 1: inf."""
    class Lucky(rollout_search.TabularModel):
        """The first rollout of action 0 leads to state 1, the second to 2, the third to 3. Then 1, 2, 6 is paid."""
        def step(self, states, actions, rng):
            first = (np.array(states) == 0) & (np.array(actions) == 0)
            require(first.sum() in (0, K), f"n_rollouts = {K}: the model was asked for {first.sum()} steps with action "
                    f"0 at once: all {K} rollouts of each action are simulated in lockstep")
            s2, r, end = [np.array(x) for x in super().step(states, actions, rng)]
            s2[first] = 1 + np.arange(first.sum())
            return s2, r, end
    P, R = np.zeros((6, 2, 6)), np.repeat([[0.0], [1], [2], [6], [5], [0]], 2, axis=1)
    P[0, 0, 1:4], P[0, 1, 4], P[[1, 2, 4, 5], :, 5], P[3, :, 3] = 1 / 3, 1, 1, 1
    model = types.SimpleNamespace(R=R, step=Lucky(P, R, np.arange(6) == 5).step)      # all that rollouts need
    for K, mean, right in ((3, 3, [math.sqrt(7 / 3), 0]), (2, 1.5, [0.5, 0]), (1, 1, [math.inf, math.inf])):
        Q, error = rollout_search.rollout_search(model, 0, np.eye(2)[[0] * 6], K, 2, 1.0, 0)
        case = f"returns {[1, 2, 6][:K]} and {[5] * K}"
        require(close(Q, [mean, 5]), f"{case}: Q should be their means, [{mean}, 5], it is {numbers(Q)}: the third "
                "episode of action 0 is cut by the horizon, 2: what it has earned counts like the others' returns")
        require(close(error, right), f"{case}: the standard error should be {numbers(right)}, it is {numbers(error)}: "
                "sqrt(sum of (G - mean)^2 / (K - 1)) / sqrt(K), for each action; a single return shows no spread: inf")


def test_all_luck_comes_from_the_rng_handed_over(rollout_search):
    """200 draws of rows 1/3 1/3 1/3, or 200 rollouts: the same seed or Generator, the same answer; another one, another
    answer. No global generator moves."""
    model = rollout_search.TabularModel(np.full((3, 2, 3), 1 / 3), np.arange(6.0).reshape(3, 2))
    nought, policy = np.zeros(200, int), np.full((3, 2), 0.5)
    nought.flags.writeable = False          # "read-only": step writes into what it was handed
    drawn = np.array(model.step(nought, nought, 7)[0])
    require(np.ptp(drawn) > 0, f"200 draws of [1/3, 1/3, 1/3] in one call are all {drawn[0]}: the likeliest state, or "
            "one random number for all?")
    calls = {"step": lambda rng: model.step(nought, nought, rng)[0],
             "rollout_search": lambda rng: rollout_search.rollout_search(model, 0, policy, 200, 9, 0.9, rng)}
    before = np.random.get_state()[1].copy(), random.getstate()
    for what, call in calls.items():
        for kind, seeded in (("seed", int), ("Generator", np.random.default_rng)):
            first, other, again = [np.array(call(seeded(k))) for k in (0, 8, 0)]
            require(close(first, again, 0), f"{what} with the same {kind} twice gives different answers: is all luck "
                    "from the rng that is handed over, and nothing remembered?")
            require(not close(first, other, 0), f"{what} with another {kind} gives the same answer: is it used?")
        rng = np.random.default_rng(7)
        require(not close(call(rng), call(rng), 0), f"{what} twice with one Generator gives the same: is the "
                    "Generator copied, or the first answer overwritten by the second?")
        require((np.random.get_state()[1] == before[0]).all() and random.getstate() == before[1],
                f"{what} moves NumPy's or Python's global generator: all luck comes from rng")


def test_long_rollouts(rollout_search):
    """A corridor of 300 that pays 1 in its last step: with horizon 300 it is paid, with 299 it is not."""
    model = rollout_search.TabularModel(np.eye(301, k=1)[:, None, :], np.eye(301)[:, 299:300])
    for horizon, gamma, exact in ((300, 1.0, 1), (1000, 1.0, 1), (300, 0.99, 0.99**299), (299, 1.0, 0)):
        Q, _ = rollout_search.rollout_search(model, 0, np.ones((301, 1)), 2, horizon, gamma, 0)
        require(np.shape(Q) == (1,), f"one action: Q should be an array (1,), it is {Q!r}")
        require(close(Q, [exact]), f"a corridor of 300 steps pays 1 in its last, horizon {horizon}, gamma {gamma}: Q "
                f"should be {exact:.4g}, it is {numbers(Q)}")


# ---------------------------------------------------------------- random, but exact

def test_forward_search_equals_dynamic_programming(rollout_search, base_seed):
    """4 random worlds: depths 1 to 3, gamma 0.9 and 1, with and without leaf values (also at the terminal state)."""
    for k, depth, gamma, s in itertools.product(range(4), (1, 2, 3), (0.9, 1.0), range(4)):
        tables = random_tables([base_seed, 2, k])
        leaf = np.random.default_rng([base_seed, 3, k]).normal(size=5)
        for more in ({}, {"leaf_values": leaf}):
            Q = rollout_search.forward_search(rollout_search.TabularModel(*tables), s, depth, gamma, **more)
            exact = lookahead(*tables, gamma, depth, *more.values())[s]
            require(close(Q, exact), f"a random world (state 4 terminal, some rows below 1), state {s}, depth {depth}, "
                    f"gamma {gamma}, {more}: Q is {numbers(Q)}, dynamic programming gives {numbers(exact)}")


def test_inputs_are_unchanged_and_tables_copied(rollout_search):
    """Read-only arrays everywhere ("array is read-only": a function writes into what it was handed). Neither a search
    changes the model's answers, nor what the caller then does to his own arrays of P, R, terminal."""
    tables = random_tables(3)
    policy, leaf, states, actions = np.full((5, 2), 0.5), np.ones(5), np.arange(40) % 5, np.arange(40) % 2
    for array in (*tables, policy, leaf, states, actions):
        array.flags.writeable = False

    def answers():
        drawn = np.concatenate(model.step(states, actions, 7))
        return np.append(drawn, rollout_search.forward_search(model, 0, 2, 0.9, leaf))
    model = rollout_search.TabularModel(*tables)
    before = answers()
    rollout_search.rollout_search(model, 0, policy, 5, 5, 0.9, 0)
    require(close(before, answers(), 0), "after a search the model gives other answers, with the same seed: does the "
            "search write into its tables?")
    for name, array in zip(("P", "R", "terminal"), tables):
        array.flags.writeable = True
        array[:] = array[::-1].copy()
        require(close(before, answers(), 0), f"the caller wrote into his own {name} after TabularModel(P, R, terminal) "
                "and the model's answers changed: does it keep copies of its tables?")


# ---------------------------------------------------------------- statistics

def test_step_draws_the_next_state_from_P(rollout_search, base_seed):
    """5,000 draws of each of 10 pairs in one call, shuffled; shares of 5 states and of ends, 60 checks at 5.5 standard
    errors (4e-8 each). Control: the rows of other pairs do not fit."""
    P, R, _ = random_tables([base_seed, 6])
    rng, n = np.random.default_rng([base_seed, 7]), 5000
    pairs = rng.permutation(np.repeat(np.arange(10), n))
    s2, _, end = [np.asarray(x) for x in rollout_search.TabularModel(P, R).step(pairs // 2, pairs % 2, rng)]

    def check(P):
        for i, row in enumerate(P.reshape(10, 5)):
            p = np.append(row, 1 - row.sum())
            share = np.bincount(np.where(end, 5, s2)[pairs == i], minlength=6) / n
            bound = 5.5 * np.sqrt(abs(p * (1 - p)) / n) + 1e-6
            require((abs(share - p) <= bound).all(), f"P[{i // 2}, {i % 2}] and the missing mass are {numbers(p)}; of "
                    f"{n} draws the shares were {numbers(share)} (last: terminated)")
    check(P)
    with pytest.raises(failure):
        check(P[::-1])


WORLD = np.array([[[0, .5, .3, 0, .2]] * 3, [[.3, 0, .5, .1, .1]] * 3, [[0, .5, 0, .4, .1]] * 3,
                  [[.4, .3, .1, .1, .1]] * 3, [[1.0, 0, 0, 0, 0]] * 3])
POLICY = np.array([[0, .3, .7], [.2, .8, 0], [.5, 0, .5], [.1, .2, .7], [1.0, 0, 0]])


def test_what_the_model_is_asked(rollout_search, base_seed):
    """1,000 rollouts of 3 actions in WORLD (4 is terminal) from state 2, horizon 8. (Ended episodes may be asked on.)
    Shares of about 8,000 actions that follow the first within 5 standard errors of the policy: 12 checks."""
    log, generator = [], np.random.default_rng([base_seed, 1])

    class Recorded(rollout_search.TabularModel):
        def step(self, states, actions, rng):
            require(len(log) < 3000, "the model was asked 3,000 times: does the search stop after `horizon` steps?")
            require(rng is generator, f"model.step was handed {rng}, not the Generator that rollout_search was given")
            asked = np.array(states), np.array(actions)
            answer = super().step(states, actions, rng)
            log.append((*asked, np.array(answer[0])[~np.array(answer[2], bool)]))
            return answer
    model = Recorded(WORLD, np.ones((5, 3)), np.arange(5) == 4)
    rollout_search.rollout_search(model, 2, POLICY, 1000, 8, 0.9, generator)
    require(len(log) == 8, f"horizon 8: the model was asked {len(log)} times, not 8; a call is a step of all episodes")
    states, actions, there = log[0]
    require((states == 2).all(), f"a search from state 2: the first step is asked from {set(states.tolist())}")
    require(close(np.bincount(actions), [1000] * 3), "n_rollouts = 1000 is per action: the first call should ask 1,000 "
            f"times for each of the actions 0, 1, 2; it asked {np.bincount(actions)} times")
    counts = np.zeros((5, 3))
    for t, (states, actions, reached) in enumerate(log[1:], 1):
        there, asked = np.bincount(there, minlength=5)[:4], np.bincount(states, minlength=5)[:4]
        require(close(asked, there), f"after step {t} the episodes under way are in states 0 to 3 {there} times; the "
                f"model was then asked about them {asked} times")
        there = reached
        np.add.at(counts, (states, actions), 1)
    for s in range(4):
        n, shares = counts[s].sum(), counts[s] / counts[s].sum()
        bound = 5 * np.sqrt(POLICY[s] * (1 - POLICY[s]) / n) + 1e-12
        require((abs(shares - POLICY[s]) <= bound).all(), f"in state {s} the policy is {POLICY[s]}; of {n:.0f} actions "
                f"the shares were {numbers(shares)}: is pi(a|S) asked in each episode's own state, and drawn anew?")




@pytest.mark.parametrize("k", range(3))
def test_rollouts_tend_to_the_values_of_the_policy(rollout_search, base_seed, k):
    """4 states x 2 actions, K = 10,000, against the exact mean and variance: 5.5 standard errors, 24 checks. Standard
    errors within a quarter: variances of 10,000 returns are exact to 4 %. Control: another policy, and the best one."""
    tables, K, gamma = random_tables([base_seed, 8, k]), 10_000, 0.9
    policy = np.random.default_rng([base_seed, 9, k]).dirichlet([1, 1], 5)
    model = rollout_search.TabularModel(*tables)
    exact, variance = returns_of(*tables, policy, gamma, 100)
    rng = np.random.default_rng([base_seed, 10, k])
    answers = [rollout_search.rollout_search(model, s, policy, K, 100, gamma, rng) for s in range(4)]

    def check(right):
        for s, (Q, error) in enumerate(answers):
            standard = np.sqrt(variance[s] / K)
            case = f"a random world, state {s}, K = {K:,}"
            require((abs(Q - right[s]) <= 5.5 * standard + 1e-4).all(), f"{case}: Q is {numbers(Q)}, Q^pi is exactly "
                    f"{numbers(right[s])}: {numbers(abs(Q - right[s]) / (standard + 1e-9))} standard errors away")
            require((abs(error - standard) <= 0.25 * standard + 1e-9).all(), f"{case}: the standard errors are "
                    f"{numbers(error)}, sqrt(Var(G) / K) is {numbers(standard)}")
    check(exact)
    for other in (returns_of(*tables, policy[:, ::-1], gamma, 100)[0], lookahead(*tables, gamma, 200)):
        with pytest.raises(failure):
            check(other)


# ---------------------------------------------------------------- what it is for: curves

@pytest.mark.parametrize("name, K, low, high", [("careless", 10_000, 0.44, 0.5398), ("random", 4000, 0.34, 0.36)])
def test_acting_on_rollouts_improves_but_need_not_be_optimal(rollout_search, base_seed, name, K, low, high):
    """One search in each cell of the bridge, the value at the start of acting so exact. Rollouts of the careless policy
    (0.415) lead to the optimum, 0.540 (145 of 150 others; the rest near-ties, at least 0.462); asked is 0.44. A random
    walker (0.139) falls off the bridge: its rollouts lead to the small treasure, 0.354 (20 of 20). Control: itself."""
    policy = careless() if name == "careless" else np.full((28, 4), 0.25)
    model, rng, acting = rollout_search.TabularModel(*bridge()), np.random.default_rng([base_seed, 17]), policy.copy()
    for s in CELLS:
        Q, _ = rollout_search.rollout_search(model, s, policy, K, 60, GAMMA, rng)
        acting[s] = np.eye(4)[np.argmax(Q)]

    def check(policy):
        value = float(policy[START] @ returns_of(*bridge(), policy, GAMMA, 1000)[0][START])
        require(low < value < high, f"acting on rollouts of the {name} policy earns {value:.4f}, not {low} to {high}")
    check(acting)
    with pytest.raises(failure):
        check(policy)


# ---------------------------------------------------------------- bad input: a ValueError, one sentence

P2, R2, T2 = np.full((2, 3, 2), 0.5), np.zeros((2, 3)), np.zeros(2, bool)


def check_refused(call, bad):
    """Each of the bad values {name: [value, ...]}, in place of a good one, gives a ValueError with a sentence."""
    for name, value in [(name, value) for name, values in bad.items() for value in values]:
        try:
            answer = f"it was accepted: {call(**{name: value})}"
        except ValueError as error:
            answer = "" if len(str(error)) > 10 else f"the ValueError is no sentence: {error}"
        except Exception as error:
            answer = f"there was {error!r}"
        require(not answer, f"2 states, 3 actions, {name} of shape {np.shape(value)} = {np.array(value).tolist()} "
                f"should be refused by a ValueError, but {answer}")


def test_tabular_model_refuses_bad_tables(rollout_search):
    """Rows above 1, below 0 (also where mass is missing), NaN; then wrong shapes."""
    def model(P=P2, R=R2, terminal=T2):
        return rollout_search.TabularModel(P, R, terminal)
    rows = np.full((4, 2, 3, 2), 0.5)
    rows[:, 0, 0] = [[1, 0.5], [1.5, -0.5], [0.5, -0.1], [np.nan, 0.5]]
    check_refused(model, {"P": [*rows, P2[:, :, :1], np.full((2, 3, 3), 0.3), P2[0]],
                          "R": [np.where(np.eye(2, 3) == 1, np.nan, 0), R2.T, R2[:, 0], R2[:, :2]],
                          "terminal": [T2[:1], np.zeros(3, bool)]})


def test_forward_search_refuses_bad_arguments(rollout_search):
    model = rollout_search.TabularModel(P2, R2, T2)
    call = functools.partial(rollout_search.forward_search, model, state=0, depth=2, gamma=0.9)
    check_refused(call, {"state": [2, -1], "depth": [0, -3, 1.5], "gamma": [1.1, -0.1],
                         "leaf_values": [np.zeros(3), np.zeros(1), np.zeros((2, 3))]})


def test_rollout_search_refuses_bad_arguments(rollout_search):
    model, policy = rollout_search.TabularModel(P2, R2, T2), np.full((2, 3), 1 / 3)
    call = functools.partial(rollout_search.rollout_search, model, state=0, policy=policy, n_rollouts=3, horizon=5,
                             gamma=0.9, rng=0)
    check_refused(call, {"state": [2, -1], "n_rollouts": [0, -1], "horizon": [0, -1], "gamma": [1.1, -0.1],
                         "policy": [0.9 * policy, 1.5 * policy, policy[0], np.full((2, 2), 0.5), np.full((3, 2), 0.5),
                                    np.array([[2, -1, 0], [1, 0, 0.0]]), np.array([[1, 0, 0], [2, -1, 0.0]]), policy * np.nan]})


# ---------------------------------------------------------------- what only our own script has

def test_from_data_to_search(ours, rollout_search, expectation_model):
    """Issue 11: pay 1 and end, with the same observation once more, or wait. Learned by counting, then two lines to the
    searches: both agree with value_iteration."""
    learned, zeros = expectation_model.LookupModel(1, 2), np.zeros(3, int)
    learned.fit(zeros, np.array([0, 1, 0]), np.array([1.0, 0, 1]), zeros, np.array([True, False, True]))
    V, Q = expectation_model.value_iteration(learned.P, learned.R, 0.9)
    model = rollout_search.TabularModel(learned.P, learned.R)
    tree = rollout_search.forward_search(model, 0, 3, 0.9)
    rollouts, _ = rollout_search.rollout_search(model, 0, np.eye(2)[[0]], 10, 100, 0.9, 7)
    require(close(V, [1], 1e-6) and close([Q[0], tree, rollouts], [[1, 0.9]] * 3, 1e-6), "V should be 1, Q 1 and 0.9: "
            f"value_iteration gives {V}, {Q}, forward_search {tree}, rollouts of the best policy {rollouts}")


def test_world_and_exact_answers(ours, rollout_search):
    """bridge_model, lookahead_values and count_nodes against those of this file. A tree of depth 1 has the start and 4
    times 3 next cells. In 6 of these 12 one can act (up: 1, right: 2, down: 2, left: 1); 66 nodes are below them."""
    rs, (P, R, terminal) = rollout_search, bridge()
    model = rs.bridge_model(BRIDGE, 0.2)
    require(close(model.P[CELLS], P[CELLS]) and close(model.R[CELLS], R[CELLS]) and close(model.terminal, terminal),
            "bridge_model makes another world of BRIDGE than the one these tests know")
    exact = [lookahead(P, R, terminal, GAMMA, depth).max(axis=1)[CELLS] for depth in range(1, 31)]
    require(close(rs.V_EXACT[1:, CELLS], exact), "lookahead_values differs from dynamic programming")
    require(abs(rs.OPTIMUM - 0.540) < 1e-3, f"the optimum is 0.540, not {rs.OPTIMUM}")
    require(close(rs.POLICIES["sensible"][CELLS], careless()[CELLS]), "SENSIBLE is not the shortest way to G")
    for name, value in (("random", 0.139), ("sensible", 0.415)):
        policy = rs.POLICIES[name]
        V = rs.lookahead_values(policy)[30, START]
        exact = policy[START] @ returns_of(P, R, terminal, policy, GAMMA, 30)[0][START]
        require(abs(V - exact) < 1e-9 and abs(V - value) < 1e-3, f"the {name} policy earns {exact}, not {V}")
    nodes = rs.count_nodes()[[0, 1, 2, 6], START].tolist()
    require(nodes == [1, 13, 79, 604_873], f"trees of depth 0, 1, 2, 6 have 1, 13, 79, 604,873 nodes, not {nodes}")


def test_errors_of_learned_models_accumulate(ours, rollout_search, base_seed):
    """200 runs; means and standard deviations of a run of 4,000 others, for V_2 and V_30. 5 standard errors. The error
    of V_1 is 0, then it grows, then it stays. Control: the same with the depths, or the models, in reverse order."""
    errors = rollout_search.errors_of_learned_models(200, base_seed)
    known = [(3, 0.0358, 0.0114, 0.123, 0.079), (10, 0.0172, 0.0092, 0.0686, 0.0447),
             (100, 0.00554, 0.0027, 0.0211, 0.0147)]

    def check(errors):
        for i, (n, early, sd_early, late, sd_late) in enumerate(known):
            e = errors[:, i].mean(axis=0)
            case = f"{n} samples of each pair: the error of V_1, V_2, V_20, V_30 is {numbers(e[[0, 1, 19, 29]])}"
            require(e[0] < 1e-12 and abs(e[29] - e[19]) < 0.15 * e[29], f"{case}: it should grow from 0 until V_20")
            for d, mean, sd in ((2, early, sd_early), (30, late, sd_late)):
                require(abs(e[d - 1] - mean) < 5 * sd / math.sqrt(200), f"{case}: that of V_{d} should be {mean}")
    check(errors)
    for wrong in (errors[:, :, ::-1], errors[:, ::-1]):
        with pytest.raises(failure):
            check(wrong)
    one = rollout_search.errors_of_learned_models(1, base_seed)
    require((one == errors[:1]).all() and (errors[0] != errors[1]).any(), "run 0 of 1 is not run 0 of 200, or alike")


@pytest.mark.parametrize("name", ["random", "sensible"])
def test_search_everywhere(ours, rollout_search, base_seed, name):
    """6 runs. RMS errors in exact standard errors: 1 +- 0.25 in a run, 0.1 in 6: 0.5 to 1.5. Values of acting at S, and
    5 standard errors, from 240 other runs: at K = 1 the sensible policy gets worse (0.310 of 0.415), at K = 256 better;
    the random one (0.139) gets better. Control: K in reverse order, and the value of the policy itself."""
    known = {"random": [(0.3355, 0.033), (0.3536, 0.001)], "sensible": [(0.3109, 0.090), (0.5148, 0.020)]}[name]
    policy = rollout_search.POLICIES[name]
    errors, values = rollout_search.search_everywhere(policy, 6, base_seed)
    itself = rollout_search.lookahead_values(policy)[30, START]
    _, variance = returns_of(*bridge(), policy, GAMMA, 30)

    def check(errors, values):
        ratio = errors.mean(axis=0) / np.sqrt(variance[START].mean() / np.array([1, 4, 16, 64, 256]))
        require((abs(ratio - 1) < 0.5).all(), f"{name}: RMS errors are {numbers(ratio)} times spread / sqrt(K)")
        for v, (value, bound) in zip(values.mean(axis=0)[[0, -1]], known):
            require(abs(v - value) < bound, f"{name}, K = 1, then 256: acting earns {v:.4f}, not {value} +- {bound}")
    check(errors, values)
    for wrong in ((errors[:, ::-1], values), (errors, 0 * values + itself)):
        with pytest.raises(failure):
            check(*wrong)
    one, _ = rollout_search.search_everywhere(policy, 1, base_seed)
    require((one == errors[:1]).all() and (errors[0] != errors[1]).any(), "run 0 of 1 is not run 0 of 6, or alike")


def test_own_world_is_drawn_and_printed(ours, rollout_search, capsys):
    """A map of 5 x 9 in place of BRIDGE, a shallower tree, fewer rollouts."""
    rows = ["##xx#####", "gS...xxx#", "#.......G", "#.......#", "###xxx###"]
    arrows = ["##xx#####", "g>>>vxxx#", "#>>>>>>>G", "#^^^^^^^#", "###xxx###"]
    text = (ours / "rollout_search.py").read_text(encoding="utf-8")
    for old, new in (("# %% Env", f"BRIDGE, SENSIBLE = {rows}, {arrows}\n# %% Env"), ("\nTREE_DEPTH = 6", "\nTREE_DEPTH = 4"),
                     ("4**np.arange(5)", "4**np.arange(3)"), ("N_SEARCHES = 12", "N_SEARCHES = 2")):
        require(text.count(old) == 1, f"{old!r} is not in the script once")
        text = text.replace(old, new)
    module = types.ModuleType("own_world")
    exec(text, module.__dict__)
    figure, axes = module.plt.subplots(2, 3)
    module.run_all(axes, 1, 0)
    module.plt.close(figure)
    drawn = [t.get_text() for t in axes[0, 0].texts]
    require(any("\n".join(rows) in t for t in drawn), f"the first panel does not show this map, but {drawn}")
    for ax in axes.flat:
        require(ax.get_title() and ax.get_xlabel() and ax.get_ylabel(), f"{ax.get_title()}: title or label is missing")
    lines = [line.split(" | ") for line in capsys.readouterr().out.splitlines()]
    require(len(lines) == 7 and all(len(line) == 3 for line in lines), f"printed are {lines}, not 7 lines of 3 columns")
