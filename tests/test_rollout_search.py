"""Tests of rollout_search.py: worked by hand, exact, statistics, curves, bad input; last what only our script has.

False alarms: the statistics (about 220 comparisons at 5 standard errors or more, two-sided 6e-7 each if normal; the
skewed ones as stated beside them) fail a right program in fewer than 1 of 5,000 runs.
"""
import itertools
import math
import random
import types

import numpy as np
import pytest

from conftest import require, require_names

failure = pytest.fail.Exception
# Worlds: what they are, {(s, a): (reward, {next state: probability})}, terminal states. Missing mass ends the episode.
CHAIN = ("0 -> 1 -> 2 -> 3 pays 1, 2, 4 (action 1: 11, 12, 14); 3 is terminal, though its row goes on and pays",
         {(s, a): (r + 10 * a, {(s + 1) % 4: 1}) for s, r in enumerate((1, 2, 4, 100)) for a in (0, 1)}, [3])
PAY_OR_WAIT = ("one state; action 0 pays 1 and ends the episode (its row of P is 0), action 1 waits",
               {(0, 0): (1, {}), (0, 1): (0, {0: 1})}, [])                      # issue 11
HALF = ("0 pays 1 and goes to 1 with p = .5, else it ends (missing mass); 1 pays 8 and ends", {(0, 0): (1, {1: 0.5}), (1, 0): (8, {})}, [])
FORK = ("after 0, 8 follows with p = .25, 4 with p = .75", {(0, 0): (0, {1: 0.25, 2: 0.75}), (1, 0): (8, {}), (2, 0): (4, {})}, [])
COSTS = ("every step costs 1, or 3", {(s, a): (-1 - 2 * a, {0: 0.5, 1: 0.5}) for s in (0, 1) for a in (0, 1)}, [])
LATE = {(0, 1): (2, {1: 1}), (1, 0): (4, {2: 1})}
SOON_OR_LATE = ("action 0 pays 1 and ends, in the terminal state 3 (whose row goes on and pays); action 1 pays 2, then 4, then 8",
                LATE | {(0, 0): (1, {3: 1}), (2, 0): (8, {3: 1}), (3, 0): (100, {0: 1})}, [3])
MISSING_END = ("action 0 pays 1 and ends, by missing mass; action 1 pays 2, then 4, then 8", LATE | {(0, 0): (1, {}), (2, 0): (8, {}), (3, 0): (0, {})}, [])
# All sorts of chance; state 4 is terminal.
WORLD = np.array([[[0, .5, .3, 0, .2]] * 3, [[.3, 0, .5, .1, .1]] * 3, [[0, .5, 0, .4, .1]] * 3, [[.4, .3, .1, .1, .1]] * 3,
                  [[1.0, 0, 0, 0, 0]] * 3])
POLICY = np.array([[0, .3, .7], [.2, .8, 0], [.5, 0, .5], [.1, .2, .7], [1.0, 0, 0]])
END = np.arange(5) == 4
BRIDGE = ["#xxx###", "gS..xx#", "#.....G", "####xx#"]
START, GAMMA, DOWN, LEFT = 8, 0.98, 2, 3                # actions: up, right, down, left
CELLS = [s for s, c in enumerate("".join(BRIDGE)) if c in "S."]         # where one can act


def numbers(values):
    return np.round(np.asarray(values, float), 4).tolist()


def close(a, b, tolerance=1e-9):
    return np.shape(a) == np.shape(b) and bool(np.all(abs(np.asarray(a, float) - np.asarray(b, float)) <= tolerance))


def make(script, world, scale=1.0):
    _, rows, terminal = world
    S, A = 1 + np.max(list(rows), axis=0)
    P, R = np.zeros((S, A, S)), np.zeros((S, A))
    for (s, a), (r, following) in rows.items():
        R[s, a] = scale * r
        for s2, p in following.items():
            P[s, a, s2] = p
    return script.TabularModel(P, R, np.isin(np.arange(S), terminal))


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
    cells = {(y, x): c for y, row in enumerate(BRIDGE) for x, c in enumerate(row)}
    number = {cell: i for i, cell in enumerate(cells)}
    P, R = np.zeros((28, 4, 28)), np.zeros((28, 4))
    for (y, x), s in number.items():
        for a in range(4):
            for turn, p in ((0, 1 - slip), (1, slip / 2), (3, slip / 2)):
                dy, dx = ((-1, 0), (0, 1), (1, 0), (0, -1))[(a + turn) % 4]
                there = (y + dy, x + dx) if cells.get((y + dy, x + dx), "#") != "#" else (y, x)
                P[s, a, number[there]] += p
                R[s, a] += p * {"g": 0.4, "G": 1.0}.get(cells[there], 0)
    return P, R, np.array([c in "gGx" for c in cells.values()])


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


def Q_pi(P, R, terminal, policy, gamma):
    """Solve V = sum_a pi (R + gamma P V)."""
    going_on = np.where(terminal, 0.0, P)
    P_pi = (policy[:, :, None] * going_on).sum(axis=1)
    return R + gamma * going_on @ np.linalg.solve(np.eye(len(R)) - gamma * P_pi, (policy * R).sum(axis=1))


def value_at_start(policy, gamma=GAMMA):
    return float(policy[START] @ Q_pi(*bridge(), policy, gamma)[START])


def careless():
    """The policy that takes the shortest way to G, as if nothing slipped: at the start along the drop."""
    P, R, terminal = bridge(0.0)
    R[START, LEFT] = 0
    return np.eye(4)[lookahead(P, R, terminal, 0.9, 40).round(9).argmax(axis=1)]


def test_the_names_of_the_contract_are_there(rollout_search):
    require_names(rollout_search)


# ---------------------------------------------------------------- worked by hand

def test_step_worked_by_hand(rollout_search):
    """Three pairs of CHAIN at once, rewards by 4. Order: next_states, rewards, terminated."""
    for rng in (np.random.default_rng(0), 0):
        s2, r, end = make(rollout_search, CHAIN, 0.25).step(np.array([0, 2, 1]), np.array([1, 0, 0]), rng)
        require(close(s2, [1, 3, 2]), f"pairs (0, 1), (2, 0), (1, 0) of a chain: next_states, the first of three, should be "
                f"[1, 3, 2]; it is {s2}")
        require(close(r, [2.75, 1, 0.5]), f"rewards, the second of three, should be R of each pair, [2.75, 1, 0.5], also where "
                f"the episode ends; it is {r}")
        require(close(end, [False, True, False]), f"only state 3 is terminal, next states are {s2}: terminated should be "
                f"[False, True, False]; it is {end}: it looks at the state that is entered")


def test_mass_missing_in_a_row_ends_the_episode(rollout_search):
    """Rows of 0, then a row [0, 0.5], of which half is missing: seen among 400 draws (all alike: 1e-120)."""
    half = np.array([[[0, 0.5]], [[0, 1]]])
    try:
        nothing, model = rollout_search.TabularModel(np.zeros((4, 1, 4)), np.full((4, 1), 3.0)), rollout_search.TabularModel(half, np.ones((2, 1)))
    except ValueError as error:
        require(False, f"rows of P may sum to less than 1 (with the rest, the episode ends): they were refused: {error}")
    s2, r, end = nothing.step(np.array([2, 1]), np.zeros(2, int), 0)
    require(np.all(end) and close(r, [3, 3]), f"rows of P that are all 0: the episode ends, after its reward 3; terminated is "
            f"{end}, rewards are {r}")
    require(close(s2, [2, 1]), f"where missing mass ends the episode, the next state is the state itself, here [2, 1]; it is {s2}")
    s2, _, end = [np.asarray(x) for x in model.step(np.zeros(400, int), np.zeros(400, int), 0)]
    require(0 < end.sum() < 400, f"the row [0, 0.5] lacks half: terminated in {end.sum()} of 400 draws, not in about 200 (one "
            "random number for all?)")
    require((s2 == ~end).all(), "the row [0, 0.5] goes on to state 1, or ends: then the next state is the state itself, 0; "
            f"going on led to {set(s2[~end].tolist())}, ending to {set(s2[end].tolist())}")


def test_all_luck_of_a_step_comes_from_the_rng_handed_over(rollout_search):
    """200 draws of rows 1/3 1/3 1/3: the same seed gives the same, another one something else."""
    model, asked = rollout_search.TabularModel(np.full((3, 1, 3), 1 / 3), np.zeros((3, 1))), np.zeros((2, 200), int)
    for kind, seeded in (("seed", int), ("Generator", np.random.default_rng)):
        first, other, again = [np.array(model.step(*asked, seeded(k))[0]) for k in (7, 8, 7)]
        require(np.ptp(first) > 0, f"200 draws of [1/3, 1/3, 1/3] in one call are all {first[0]}: the likeliest state, or one "
                "random number for all?")
        require((first == again).all(), f"step with the same {kind} twice gives different next states: is all luck from the rng "
                "that is handed over, and nothing remembered?")
        require((first != other).any(), f"step with another {kind} gives the same 200 next states: is it used?")
    rng = np.random.default_rng(7)
    first, second = [np.array(model.step(*asked, rng)[0]) for _ in range(2)]
    require((first != second).any(), "two steps with one Generator give the same: is it copied, instead of used?")


LEAF, ONE_LEAF = np.array([7.0, 8, 16, 50]), np.array([8.0])
ENDS = "a terminal state is worth 0, whatever its row of the table and its leaf value say"
MISSING = "missing mass ends the episode: it is worth 0, no row is scaled to 1, no leaf value counts"


LOOKAHEADS = [          # world, state, depth, gamma, leaf values, Q, hint
    (CHAIN, 0, 2, 0.5, None, [7, 17], {13: "gamma is missing", 10.5: "that is one step too many", 1: "that is one step too few",
     4.5: "V is the maximum over actions, not their mean", 2: "V is the maximum, not the minimum", 3.5: "R is not discounted"}),
    (CHAIN, 0, 1, 0.5, None, [1, 11], "one step: R only"),
    (CHAIN, 1, 2, 0.5, None, [9, 19], "does the search begin in the state that it is asked about?"),
    (CHAIN, 0, 3, 0.5, None, [10.5, 20.5], "R + gamma max_a of what follows, at every depth"),
    (CHAIN, 0, 3, 1.0, None, [27, 37], "gamma = 1 is allowed"), (CHAIN, 0, 3, 0.0, None, [1, 11], "gamma = 0 is allowed"),
    (CHAIN, 0, 4, 0.5, None, [10.5, 20.5], ENDS), (CHAIN, 0, 9, 0.5, None, [10.5, 20.5], ENDS), (CHAIN, 2, 2, 0.5, None, [4, 14], ENDS),
    (PAY_OR_WAIT, 0, 1, 0.9, None, [1, 0], "one step: R only"), (PAY_OR_WAIT, 0, 2, 0.9, None, [1, 0.9], MISSING),
    (PAY_OR_WAIT, 0, 4, 0.9, None, [1, 0.9], MISSING), (HALF, 0, 2, 0.5, None, [3], MISSING),
    (FORK, 0, 2, 1.0, None, [5], {8: "that is the best case", 4: "that is the likeliest case", 6: "that is the plain mean", 12: "that is the sum"}),
    (COSTS, 0, 4, 1.0, None, [-4, -6], "does a maximum start at 0?"),
    (CHAIN, 0, 1, 0.5, LEAF, [5, 15], "R + gamma times the leaf value of the state reached"),
    (CHAIN, 0, 2, 0.5, LEAF, [11, 21], "leaf values count once, where the tree is cut"), (CHAIN, 2, 1, 0.5, LEAF, [4, 14], ENDS),
    (CHAIN, 0, 3, 0.5, LEAF, [10.5, 20.5], ENDS), (CHAIN, 0, 5, 0.5, LEAF, [10.5, 20.5], ENDS),
    (PAY_OR_WAIT, 0, 2, 0.5, ONE_LEAF, [1, 2], MISSING)]


def test_forward_search_worked_by_hand(rollout_search):
    """In CHAIN, gamma 1/2, with action 1 below: depth 2 gives 1 + 12/2 = 7, depth 3 adds 14/4; leaf values 7, 8, 16, 50: depth
    1 gives 1 + 8/2, depth 2 gives 1 + 12/2 + 16/4. HALF: 1 + .5 * .5 * 8 = 3. FORK: .25 * 8 + .75 * 4 = 5."""
    for world, s, depth, gamma, leaf, exact, hint in LOOKAHEADS:
        case = f"from state {s}, depth {depth}, gamma {gamma}, leaf values {0 if leaf is None else leaf}"
        try:
            Q = rollout_search.forward_search(make(rollout_search, world), s, depth, gamma, **({} if leaf is None else {"leaf_values": leaf}))
        except ValueError as error:
            require(False, f"{case}: refused, but {hint} ({error})")
        require(np.shape(Q) == np.shape(exact), f"forward_search gives Q (A,), one value for each action; here it gives {Q!r}")
        if isinstance(hint, dict):
            hint = hint.get(round(float(Q[0]), 6), "R + gamma sum_s p(s|S,A) max_a Q(s,a)")
        require(close(Q, exact), f"{case}: Q should be {exact}, it is {numbers(Q)}: {hint} [{world[0]}]")


WHEN = "is every reward discounted by gamma for each step before it?"
OWN = "does each episode earn its own rewards until it ends, and none after?"


RETURNS = [             # world, state, action that the policy takes in states 0 to 3, horizon, gamma, Q, hint
    (CHAIN, 0, [0, 0, 0, 0], 10, 0.5, [3, 13], {3: "the first action is the asked one; the policy chooses only afterwards",
     20.5: "the asked action is taken once; afterwards the policy chooses", 17: "gamma is missing", 6.5: "the first reward is not discounted",
     12: "the reward of the step that ends the episode counts, too", 1: "the return is the sum of all rewards, not the last one",
     39: "the mean of the returns, not their sum", 11: "the return goes on after the first step", 9.6667: "episodes of different actions get mixed up",
     26.4766: "what a terminal state's row pays does not count"}),
    (CHAIN, 0, [1, 1, 1, 1], 10, 0.5, [10.5, 20.5], "the policy takes action 1 in every state"),
    (CHAIN, 0, [1, 0, 1, 0], 10, 0.5, [5.5, 15.5], "is the policy asked in the state that was reached?"),
    (CHAIN, 0, [0, 0, 0, 0], 10, 1.0, [7, 17], WHEN), (CHAIN, 0, [0, 0, 0, 0], 10, 0.0, [1, 11], WHEN),
    (CHAIN, 1, [0, 0, 0, 0], 10, 0.5, [4, 14], "do all rollouts start in the state asked about?"), (CHAIN, 2, [0] * 4, 10, 0.5, [4, 14], OWN),
    *[(CHAIN, 0, [0] * 4, h, 0.5, [q, q + 10], f"{h} steps, the first one included") for h, q in ((1, 1), (2, 2), (3, 3))],
    (SOON_OR_LATE, 0, [0] * 4, 20, 0.5, [1, 6], OWN), (MISSING_END, 0, [0] * 4, 20, 0.5, [1, 6], "missing mass ends it; " + OWN)]


def test_rollouts_worked_by_hand(rollout_search):
    """Nothing is left to chance. CHAIN, gamma 1/2, action 0 below: 1 + 2/2 + 4/4 = 3 for action 0, 10 more for action 1.
    SOON_OR_LATE: 1, and 2 + 4/2 + 8/4 = 6; its state 3 is terminal, or the mass is missing."""
    for world, s, actions, horizon, gamma, exact, hint in RETURNS:
        answer = rollout_search.rollout_search(make(rollout_search, world), s, np.eye(2)[actions], 3, horizon, gamma, 0)
        require(len(answer) == 2 and all(np.shape(x) == (2,) for x in answer), "rollout_search gives two arrays (A,): Q and its "
                f"standard error; here it gives {answer}")
        case = f"from state {s}, a policy that takes the actions {actions} in states 0 to 3, horizon {horizon}, gamma {gamma}"
        if isinstance(hint, dict):
            hint = hint.get(round(float(answer[0][1]), 4), "does the policy choose, and is every reward counted once?")
        require(close(answer[0], exact), f"{case}: Q should be {exact}, it is {numbers(answer[0])}: {hint} [{world[0]}]")
        require(close(answer[1], [0, 0]), f"{case}: the standard error should be 0, as the 3 rollouts of each action do not vary; "
                f"it is {numbers(answer[1])}: is n_rollouts per action, and the error that of each action's own returns? [{world[0]}]")


def test_mean_and_standard_error_worked_by_hand(rollout_search):
    """The returns of action 0 are 1, 2, 6, those of action 1 are 5, 5, 5. K = 3: mean 3, variance (4 + 1 + 9) / 2 = 7,
    standard error sqrt(7 / 3) = 1.528. K = 2: mean 1.5, variance 0.5, standard error 0.5. K = 1: inf."""
    class Lucky(rollout_search.TabularModel):
        """The first rollout of action 0 leads to state 1, the second to 2, the third to 3. Then 1, 2 or 6 is paid."""
        def step(self, states, actions, rng):
            first = (np.array(states) == 0) & (np.array(actions) == 0)
            require(first.sum() in (0, K), f"n_rollouts = {K}: the model was asked for {first.sum()} steps with action 0 at once: "
                    f"all {K} rollouts of each action are simulated in lockstep")
            s2, r, end = [np.array(x) for x in super().step(states, actions, rng)]
            s2[first] = 1 + np.arange(first.sum())
            return s2, r, end
    P, R = np.zeros((6, 2, 6)), np.repeat([[0.0], [1], [2], [6], [5], [0]], 2, axis=1)
    P[0, 0, 1:4], P[0, 1, 4], P[1:, :, 5] = 1 / 3, 1, 1
    wrong = {1.247: "divide by K - 1 in the variance, not by K", 2.646: "that is the spread of one return, not of the mean of K",
             0.882: "divide by sqrt(K), not by K", 4.041: "take the root of the variance", 1.08: "K is the rollouts of one action, not of all"}
    for K, mean, exact in ((3, 3, math.sqrt(7 / 3)), (2, 1.5, 0.5), (1, 1, math.inf)):
        Q, error = rollout_search.rollout_search(Lucky(P, R, np.arange(6) == 5), 0, np.eye(2)[[0] * 6], K, 9, 1.0, 0)
        require(close(Q, [mean, 5]), f"returns {[1, 2, 6][:K]} and {[5] * K}: Q should be their means, [{mean}, 5], it is {numbers(Q)}")
        right = [exact, 0 if K > 1 else exact]
        require(np.allclose(error, right, atol=1e-9), f"returns {[1, 2, 6][:K]} and {[5] * K}: the standard error should be {numbers(right)}, it is "
                f"{numbers(error)}: {wrong.get(round(float(error[0]), 3), 'sqrt(variance / K); a single return shows no spread: inf')}")


def test_long_rollouts(rollout_search):
    """A corridor of 300 that pays 1 in its last step: with horizon 300 it is paid, with 299 it is not."""
    P = np.eye(301, k=1)[:, None, :]
    model = rollout_search.TabularModel(P, (np.arange(301) == 299)[:, None] * 1.0)
    for horizon, gamma, exact in ((300, 1.0, 1), (1000, 1.0, 1), (300, 0.99, 0.99**299), (299, 1.0, 0)):
        Q = rollout_search.rollout_search(model, 0, np.ones((301, 1)), 2, horizon, gamma, 0)[0]
        require(close(Q, [exact]), f"a corridor of 300 steps pays 1 in its last, horizon {horizon}, gamma {gamma}: Q should be "
                f"{exact:.4g}, it is {numbers(Q)}")


# ---------------------------------------------------------------- rollouts, seen from the model

def replay(script, seed):
    """1,000 rollouts of 3 actions in WORLD from state 2, horizon 8: (states, actions, rng, next states, terminated) of each call."""
    log, rng = [], np.random.default_rng(seed)

    class Recorded(script.TabularModel):
        def step(self, states, actions, rng):
            require(len(log) < 3000, "the model was asked 3,000 times: does the search stop after `horizon` steps?")
            asked = np.array(states), np.array(actions)
            answer = super().step(states, actions, rng)
            log.append((*asked, rng, np.array(answer[0]), np.array(answer[2], bool)))
            return answer
    script.rollout_search(Recorded(WORLD, np.ones((5, 3)), END), 2, POLICY, 1000, 8, 0.9, rng)
    require(len(log) > 0, "rollout_search never asked model.step")
    return log, rng


def test_what_the_model_is_asked(rollout_search):
    """State 4 ends an episode. (Ended ones may be asked on, that does no harm.)"""
    log, rng = replay(rollout_search, 0)
    require(set(log[0][0].tolist()) == {2}, f"a search from state 2: the first step is asked from {set(log[0][0].tolist())}")
    times = np.bincount(log[0][1])
    require(close(times, [1000] * 3), f"n_rollouts = 1000 is per action: the first call should ask 1,000 times for each of the "
            f"actions 0, 1, 2; it asked {times} times")
    other = [call[2] for call in log if call[2] is not rng]
    require(not other, f"model.step was handed {other[:1]}, not the very Generator that was given to rollout_search")
    require(len(log) <= 8, f"horizon 8: the model was asked {len(log)} times; one call is one step of all episodes: at most 8")
    for t in range(1, 8):
        there = np.bincount(log[t - 1][3][~log[t - 1][4]], minlength=5)
        require(len(log) > t, f"horizon 8: after step {t} there are {there.sum()} episodes under way, but no step follows")
        asked = np.bincount(log[t][0], minlength=5)
        require((asked[:4] == there[:4]).all(), f"after step {t} the episodes under way are in states 0 to 3 {there[:4]} times; the "
                f"model was then asked about them {asked[:4]} times")


def test_rollouts_follow_the_policy_of_the_state_they_are_in(rollout_search, base_seed):
    """About 8,000 actions, each state's shares within 5 standard errors: 12 checks. One call alone must not be
    all alike: .8^200 is 4e-20."""
    log, _ = replay(rollout_search, [base_seed, 1])
    counts = np.zeros((5, 3))
    for t, call in enumerate(log[1:], 2):
        np.add.at(counts, call[:2], 1)
        for s in range(4):
            taken = call[1][call[0] == s]
            require(len(taken) < 200 or np.ptp(taken) > 0, f"in step {t}, all {len(taken)} episodes in state {s} take action "
                    f"{taken[:1]}, where pi = {POLICY[s]}: one random number for all, or always the likeliest?")
    for s in range(4):
        n = counts[s].sum()
        bound = 5 * np.sqrt(POLICY[s] * (1 - POLICY[s]) / n) + 1e-12
        require((abs(counts[s] / n - POLICY[s]) <= bound).all(), f"in state {s} the policy is {POLICY[s]}; of {n:.0f} actions "
                f"taken there the shares were {numbers(counts[s] / n)}: is pi(a|S) asked in the state that the episode is in?")


def test_seeds_and_generators(rollout_search):
    """200 rollouts: the same seed, the same answer; another seed, another one. No other generator moves."""
    model, np_state, state = rollout_search.TabularModel(*random_tables(0)), np.random.get_state()[1].copy(), random.getstate()

    def search(rng):
        return np.concatenate(rollout_search.rollout_search(model, 0, np.full((5, 2), 0.5), 200, 20, 0.9, rng))
    for kind, seeded in (("seed", int), ("Generator", np.random.default_rng)):
        first, other, again = search(seeded(1)), search(seeded(2)), search(seeded(1))
        require(close(first, again, 0), f"rollout_search with the same {kind} twice: Q is {numbers(first[:2])}, then "
                f"{numbers(again[:2])}: is all luck, also the policy's, drawn from rng?")
        require(not close(first, other, 0), f"rollout_search with another {kind} gives the same Q, {numbers(first[:2])}")
    rng = np.random.default_rng(1)
    require(not close(search(rng), search(rng), 0), "two searches with one Generator give the same: is it copied or reseeded?")
    require((np.random.get_state()[1] == np_state).all() and random.getstate() == state, "a search moves NumPy's or Python's global "
            "generator: all luck comes from rng")


# ---------------------------------------------------------------- random, but exact

@pytest.mark.parametrize("k", range(4))
def test_forward_search_equals_dynamic_programming(rollout_search, base_seed, k):
    """Random worlds: depths 1 to 3, gamma 0.9 and 1, with and without leaf values (also at the terminal state)."""
    tables = random_tables([base_seed, 2, k])
    model, leaf = rollout_search.TabularModel(*tables), np.random.default_rng([base_seed, 3, k]).normal(size=5)
    for depth, gamma, s in itertools.product((1, 2, 3), (0.9, 1.0), range(4)):
        for what, more in (("no leaf values", {}), (f"leaf values {numbers(leaf)}", {"leaf_values": leaf})):
            Q, exact = rollout_search.forward_search(model, s, depth, gamma, **more), lookahead(*tables, gamma, depth, *more.values())[s]
            require(close(Q, exact), f"a random world (state 4 terminal, some rows below 1), state {s}, depth {depth}, gamma "
                    f"{gamma}, {what}: Q is {numbers(Q)}, dynamic programming gives {numbers(exact)}")


def test_forward_search_equals_the_best_of_all_plans(rollout_search, base_seed):
    """Brute force: 3 states, 2 actions, 3 steps; 64 rules which action to take in each state, two and one step before
    the end, each one's value by multiplying its matrices; the best after each first action."""
    P, R, _ = random_tables([base_seed, 4], S=3)
    going = np.zeros(3, bool)

    def of_rule(rule, future):
        a, s = np.array(rule), np.arange(3)
        return R[s, a] + 0.8 * P[s, a] @ future
    rules = list(itertools.product(range(2), repeat=3))
    plans = [of_rule(one, of_rule(two, np.zeros(3))) for one in rules for two in rules]
    best = np.max([R[0] + 0.8 * P[0] @ V for V in plans], axis=0)
    Q = rollout_search.forward_search(rollout_search.TabularModel(P, R, going), 0, 3, 0.8)
    require(close(Q, best), f"the best of all 64 plans of 3 steps are worth {numbers(best)}, forward_search finds {numbers(Q)}")


def test_gymnasium_tables(rollout_search, base_seed):
    """FrozenLake and CliffWalking, whose goal's rows go on and pay -1 for ever. 24 checks at 5.5 standard errors."""
    gymnasium = pytest.importorskip("gymnasium")
    for name, arguments in (("FrozenLake-v1", {"map_name": "8x8"}), ("CliffWalking-v1", {})):
        table = gymnasium.make(name, **arguments).unwrapped.P
        S, A, K = len(table), len(table[0]), 2000
        P, R, terminal = np.zeros((S, A, S)), np.zeros((S, A)), np.zeros(S, bool)
        for s, a in np.ndindex(S, A):
            for p, s2, r, end in table[s][a]:
                P[s, a, s2] += p
                R[s, a] += p * r
                terminal[s2] |= end
        model, s, policy = rollout_search.TabularModel(P, R, terminal), S - 2, np.full((S, A), 1 / A)       # beside the goal
        for depth in (1, 2, 4):
            Q, exact = rollout_search.forward_search(model, s, depth, 0.99), lookahead(P, R, terminal, 0.99, depth)[s]
            require(close(Q, exact), f"{name}, state {s}, depth {depth}: Q is {numbers(Q)}, exact is {numbers(exact)}")
        Q = rollout_search.rollout_search(model, s, policy, K, 60, 0.99, np.random.default_rng([base_seed, 5]))[0]
        exact, variance = returns_of(P, R, terminal, policy, 0.99, 60)
        require((abs(Q - exact[s]) <= 5.5 * np.sqrt(variance[s] / K) + 1e-9).all(),
                f"{name}, rollouts of the random policy beside the goal: Q is {numbers(Q)}, exact is {numbers(exact[s])}")


def test_inputs_are_unchanged(rollout_search):
    """Read-only arrays everywhere; and a search leaves the model as it was."""
    names = "P R terminal policy leaf_values states actions".split()
    given = [*random_tables(3), np.full((5, 2), 0.5), np.ones(5), np.arange(40) % 5, np.arange(40) % 2]
    P, R, terminal, policy, leaf, states, actions = copies = [array.copy() for array in given]
    for array in copies:
        array.flags.writeable = False
    try:
        model = rollout_search.TabularModel(P, R, terminal)
        before = [np.array(x) for x in model.step(states, actions, 7)]
        rollout_search.forward_search(model, 0, 2, 0.9, leaf_values=leaf)
        rollout_search.rollout_search(model, 0, policy, 5, 5, 0.9, 0)
        after = model.step(states, actions, 7)
    except ValueError as error:
        require("read-only" not in str(error), f"a function writes into {', '.join(names)}, or one of them: {error}")
        raise
    changed = [name for name, x, y in zip(names, given, copies) if not close(x, y, 0)]
    require(not changed, f"{changed} was changed by the function that it was handed to")
    require(all(close(x, y, 0) for x, y in zip(before, after)), "after a search, model.step with the same seed gives other "
            "answers than before: does a search write into the model's tables?")


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
            went = np.where(end, 5, s2)[pairs == i]
            share = np.bincount(went, minlength=6) / n
            require((abs(share - p) <= 5.5 * np.sqrt(abs(p * (1 - p)) / n) + 1e-6).all(), f"P[{i // 2}, {i % 2}] and the missing "
                    f"mass are {numbers(p)}; of {n} draws the shares were {numbers(share)} (last: terminated)")
    check(P)
    with pytest.raises(failure):
        check(P[::-1])


@pytest.mark.parametrize("k", range(3))
def test_rollouts_tend_to_the_values_of_the_policy(rollout_search, base_seed, k):
    """4 states x 2 actions, K = 10,000, against Q^pi by linear solve (what 100 steps leave out is below 1e-4) and the
    exact variance: 5.5 standard errors, 24 checks. The standard errors themselves within a quarter: variances of 10,000
    returns are exact to 4 % at most. Control: the values of another policy and the optimal ones are far away."""
    tables, K, gamma = random_tables([base_seed, 8, k]), 10_000, 0.9
    policy = np.random.default_rng([base_seed, 9, k]).dirichlet([1, 1], 5)
    model = rollout_search.TabularModel(*tables)
    exact, variance = Q_pi(*tables, policy, gamma), returns_of(*tables, policy, gamma, 100)[1]
    answers = [rollout_search.rollout_search(model, s, policy, K, 100, gamma, np.random.default_rng([base_seed, 10, k, s]))
               for s in range(4)]

    def check(right):
        for s, (Q, error) in enumerate(answers):
            standard = np.sqrt(variance[s] / K)
            require((abs(Q - right[s]) <= 5.5 * standard + 1e-4).all(), f"a random world, state {s}, K = {K:,}: Q is {numbers(Q)}, "
                    f"Q^pi is {numbers(right[s])} (linear solve), {numbers(abs(Q - right[s]) / (standard + 1e-9))} standard "
                    "errors away")
            require((abs(error - standard) <= 0.25 * standard + 1e-9).all(), f"a random world, state {s}, K = {K:,}: the standard "
                    f"errors are {numbers(error)}, sqrt(Var(G) / K) is {numbers(standard)}")
    check(exact)
    for other in (Q_pi(*tables, policy[:, ::-1], gamma), lookahead(*tables, gamma, 200)):
        with pytest.raises(failure):
            check(other)


def test_intervals_cover(rollout_search, base_seed):
    """500 searches of 3 actions in WORLD, K = 100: Q +- 1.96 standard errors cover Q^pi in 94.5 % of 1,500 cases (of
    30,000 others: 94.6 %), standard error 0.6 %; 5 of them are 3 %. Control: half the width covers 67 %."""
    R = np.arange(15.0).reshape(5, 3) % 4
    model, rng = rollout_search.TabularModel(WORLD, R, END), np.random.default_rng([base_seed, 13])
    exact = returns_of(WORLD, R, END, POLICY, 0.9, 10)[0][2]
    answers = np.array([rollout_search.rollout_search(model, 2, POLICY, 100, 10, 0.9, rng) for _ in range(500)])

    def check(width):
        share = (abs(answers[:, 0] - exact) <= width * answers[:, 1]).mean()
        require(abs(share - 0.945) < 0.03, f"Q +- {width} standard errors cover Q^pi in {share:.1%} of 1,500 cases, not in 95 %")
    check(1.96)
    with pytest.raises(failure):
        check(0.98)


# ---------------------------------------------------------------- what it is for: curves

def test_forward_search_crosses_the_bridge_once_it_looks_far_enough(rollout_search):
    """The curve of values by depth, exact. Up to depth 5 the small treasure on the left is best, from depth 6 on the way
    to the big one, down from the start. (A tree of 200,000 nodes.) Control: depth 5 does not find it."""
    model, depths = rollout_search.TabularModel(*bridge()), range(1, 7)
    trees = [rollout_search.forward_search(model, START, depth, GAMMA) for depth in depths]
    for depth, Q in zip(depths, trees):
        exact = lookahead(*bridge(), GAMMA, depth)[START]
        require(close(Q, exact), f"the bridge, depth {depth}: Q of up, right, down, left is {numbers(Q)}, exact {numbers(exact)}")

    def check(Q):
        require(np.argmax(Q) == DOWN, f"Q of up, right, down, left is {numbers(Q)}: to look 6 steps ahead is enough to go down")
    check(trees[5])
    with pytest.raises(failure):
        check(trees[4])


def test_the_error_of_rollouts_falls_as_the_root_of_their_number(rollout_search, base_seed):
    """100 searches at the start, rollouts of the careless policy: RMS error of Q over 4 actions against sqrt(Var(G) / K).
    The ratio is 1 with a standard error of at most 0.045 (12 x 200 others): 0.78 to 1.22. Control: a fourth of the rollouts."""
    model, policy = rollout_search.TabularModel(*bridge()), careless()
    exact, variance = [x[START] for x in returns_of(*bridge(), policy, GAMMA, 60)]

    def check(K, n_rollouts):
        rng = np.random.default_rng([base_seed, 14, K])
        Q = np.array([rollout_search.rollout_search(model, START, policy, n_rollouts, 60, GAMMA, rng)[0] for _ in range(100)])
        error, right = math.sqrt(((Q - exact)**2).mean()), math.sqrt(variance.mean() / K)
        require(0.78 < error / right < 1.22, f"K = {K} rollouts: the RMS error of Q is {error:.4f}; sqrt(Var(G) / K) is {right:.4f}")
    for K in (4, 16, 64, 256):
        check(K, K)
    with pytest.raises(failure):
        check(64, 16)


def test_acting_on_rollouts_is_never_worse_than_the_policy(rollout_search, base_seed):
    """8 random worlds, gamma 0.8, K = 2,000: always taking the action of highest Q, solved exactly. In 200 others no state
    was worse than under the policy simulated (at worst 0.002 better). Control: the action of lowest Q is worse."""
    def check(choose):
        for k in range(8):
            tables, rng = random_tables([base_seed, 15, k]), np.random.default_rng([base_seed, 16, k])
            policy, model, plan = rng.dirichlet([1, 1], 5), rollout_search.TabularModel(*tables), np.eye(2)[[0] * 5]
            for s in range(4):
                plan[s] = np.eye(2)[choose(rollout_search.rollout_search(model, s, policy, 2000, 60, 0.8, rng)[0])]
            old, new = [(pi * Q_pi(*tables, pi, 0.8)).sum(axis=1)[:4] for pi in (policy, plan)]
            require((new > old - 0.05).all(), f"acting on rollouts improves the policy that they simulate: its values are "
                    f"{numbers(old)}, those of acting so are {numbers(new)}")
    check(np.argmax)
    with pytest.raises(failure):
        check(np.argmin)


def test_acting_on_rollouts_need_not_be_optimal(rollout_search, base_seed):
    """One search in each cell of the bridge, the value at the start of acting so solved exactly. Rollouts of the careless
    policy (0.415) lead to the optimum, 0.540 (145 of 150 others; the rest near-ties, at least 0.462); asked is 0.44.
    A random walker (0.139) falls off the bridge: its rollouts lead to the small treasure, 0.354 (20 of 20), and never
    further. Control: the policies themselves, and each other's limit."""
    model, uniform = rollout_search.TabularModel(*bridge()), np.full((28, 4), 0.25)

    def acting_on(policy, K):
        plan, rng = policy.copy(), np.random.default_rng([base_seed, 17])
        for s in CELLS:
            plan[s] = np.eye(4)[np.argmax(rollout_search.rollout_search(model, s, policy, K, 60, GAMMA, rng)[0])]
        return value_at_start(plan)

    def check(name, value):
        low, high = {"careless": (0.44, 0.5398), "random": (0.34, 0.36)}[name]
        require(low < value < high, f"acting on rollouts of the {name} policy earns {value:.4f} at the start, not {low} to {high}")
    careful, random_ones = acting_on(careless(), 10_000), acting_on(uniform, 4000)
    check("careless", careful)
    check("random", random_ones)
    for name, wrong in (("careless", value_at_start(careless())), ("random", value_at_start(uniform)), ("careless", random_ones)):
        with pytest.raises(failure):
            check(name, wrong)


# ---------------------------------------------------------------- bad input: a ValueError, one sentence

def refused(call, what):
    try:
        call()
    except ValueError as error:
        require(len(str(error)) > 10, f"{what}: the ValueError says {str(error)!r}; it should be a sentence")
    except Exception as error:
        require(False, f"{what} should be refused by a ValueError, not {error!r}")
    else:
        require(False, f"{what} was accepted; it should be refused by a ValueError")


P2, R2, T2 = np.full((2, 3, 2), 0.5), np.zeros((2, 3)), np.zeros(2, bool)


def test_tabular_model_refuses_bad_tables(rollout_search):
    def with_row(*row):
        P = P2.copy()
        P[0, 0] = row
        return P
    nan = R2.copy()
    nan[1, 2] = np.nan
    for what, *tables in (("a row of P that sums to 1.5", with_row(1, 0.5), R2, T2), ("a negative probability", with_row(1.5, -0.5), R2, T2),
                          ("a negative probability in a row that lacks mass", with_row(0.5, -0.1), R2, T2), ("NaN in P", with_row(np.nan, 0.5), R2, T2),
                          ("NaN in R", P2, nan, T2), ("R (A, S)", P2, R2.T, T2), ("R (S,)", P2, R2[:, 0], T2), ("R of fewer actions", P2, R2[:, :2], T2),
                          ("P (S, A, S - 1)", P2[:, :, :1], R2, T2), ("P (S, A, S + 1)", np.full((2, 3, 3), 0.3), R2, T2),
                          ("P of one state only", P2[0], R2, T2), ("a terminal that is too short", P2, R2, T2[:1]),
                          ("a terminal that is too long", P2, R2, np.zeros(3, bool))):
        refused(lambda: rollout_search.TabularModel(*tables), f"TabularModel: {what}")


def test_forward_search_refuses_bad_arguments(rollout_search):
    model = rollout_search.TabularModel(P2, R2, T2)
    for bad in (dict(state=2), dict(state=-1), dict(depth=0), dict(depth=-3), dict(depth=1.5), dict(gamma=1.1), dict(gamma=-0.1),
                dict(leaf_values=np.zeros(3)), dict(leaf_values=np.zeros(1)), dict(leaf_values=np.zeros((2, 3)))):
        refused(lambda: rollout_search.forward_search(model, **{"state": 0, "depth": 2, "gamma": 0.9, **bad}),
                f"forward_search in 2 states, 3 actions: {bad}")


def test_rollout_search_refuses_bad_arguments(rollout_search):
    model = rollout_search.TabularModel(P2, R2, T2)
    good = dict(state=0, policy=np.full((2, 3), 1 / 3), n_rollouts=3, horizon=5, gamma=0.9, rng=0)
    for bad in (dict(state=2), dict(state=-1), dict(n_rollouts=0), dict(n_rollouts=-1), dict(horizon=0), dict(horizon=-1), dict(gamma=1.1),
                dict(gamma=-0.1), dict(policy=np.full((2, 3), 0.3)), dict(policy=np.full((2, 3), 0.5)), dict(policy=np.full(3, 1 / 3)),
                dict(policy=np.full((2, 2), 0.5)), dict(policy=np.full((3, 2), 0.5)), dict(policy=np.array([[2, -1, 0], [1, 0, 0.0]])),
                dict(policy=np.full((2, 3), np.nan))):
        refused(lambda: rollout_search.rollout_search(model, **{**good, **bad}), f"rollout_search in 2 states, 3 actions: {bad}")


# ---------------------------------------------------------------- what only our own script has

def test_from_data_to_search(ours, rollout_search, expectation_model):
    """Issue 11: pay 1 and end, with the same observation once more, or wait. Learned by counting, then two lines to the
    search; and 300 random transitions of a world whose episodes end. Both agree with value_iteration on the tables."""
    P, R, _ = random_tables(5)
    rng = np.random.default_rng(6)
    states, actions, draw = rng.integers(5, size=300), rng.integers(2, size=300), rng.random(300)
    ends = draw >= P[states, actions].sum(axis=1)
    s2 = np.where(ends, states, (draw[:, None] >= P[states, actions].cumsum(axis=1)).sum(axis=1))
    for data, S, known in (((np.array([0, 0, 0]), np.array([0, 1, 0]), np.array([1.0, 0, 1]), np.zeros(3, int), np.array([True, False, True])), 1, 1.0),
                           ((states, actions, R[states, actions], s2, ends), 5, None)):
        learned = expectation_model.LookupModel(S, 2)
        learned.fit(*data)
        V, Q = expectation_model.value_iteration(learned.P, learned.R, 0.9)
        require(known is None or close(V, [known], 1e-6), f"pay 1 and end, or wait: V should be 1, value_iteration gives {V}")
        model = rollout_search.TabularModel(learned.P, learned.R)
        for s in range(S):
            found = rollout_search.forward_search(model, s, 3, 0.9, leaf_values=V)
            require(close(found, Q[s], 1e-6), f"state {s} of a learned table: forward_search gives {numbers(found)}, "
                    f"value_iteration {numbers(Q[s])}")
            always_best = np.eye(2)[Q.argmax(axis=1)]
            found, error = rollout_search.rollout_search(model, s, always_best, 400, 100, 0.9, 7)
            require((abs(found - Q[s]) <= 5 * error + 1e-3).all(), f"state {s}: rollouts of the best policy give {numbers(found)}, "
                    f"value_iteration {numbers(Q[s])}")


def test_world_and_exact_answers(ours, rollout_search):
    """bridge_model, lookahead_values, exact_returns and count_nodes against those of this file."""
    rs, (P, R, terminal) = rollout_search, bridge()
    model = rs.bridge_model(BRIDGE, 0.2)
    require(close(model.P[CELLS], P[CELLS]) and close(model.R[CELLS], R[CELLS]) and close(model.terminal, terminal),
            "bridge_model makes another world of BRIDGE than the one these tests know")
    require((rs.BRIDGE, rs.SLIP, rs.GAMMA, rs.TREE_DEPTH, rs.HORIZON, rs.START, rs.CELLS.tolist())
            == (BRIDGE, 0.2, GAMMA, 6, 30, START, CELLS), "the settings of the script are not those that these tests know")
    for d in range(1, 31):
        require(close(rs.V_EXACT[d, CELLS], lookahead(P, R, terminal, GAMMA, d).max(axis=1)[CELLS]), f"lookahead_values: V_{d}")
    require(abs(rs.OPTIMUM - lookahead(P, R, terminal, GAMMA, 500)[START].max()) < 5e-4, f"the optimum is 0.540, not {rs.OPTIMUM}")
    require(close(rs.POLICIES["sensible"][CELLS], careless()[CELLS]), "the arrows of SENSIBLE are not the shortest way to G")
    for name, value in (("random", 0.139), ("sensible", 0.415)):
        V, Q, variance = rs.exact_returns(rs.POLICIES[name])
        exact = returns_of(P, R, terminal, rs.POLICIES[name], GAMMA, 30)
        require(close(Q, exact[0][START]) and close(variance, exact[1][START]), f"exact_returns of the {name} policy: {Q}, {variance}")
        require(abs(V - value) < 1e-3 and abs(V - value_at_start(rs.POLICIES[name])) < 1e-3, f"the {name} policy earns {value}, not {V}")

    def count(s, depth):
        below = depth and not terminal[s]
        return sum(1 + sum(count(s2, depth - 1) for s2 in np.flatnonzero(P[s, a])) for a in range(4)) if below else 0
    for depth in range(1, 5):
        require(rs.count_nodes(depth)[START] == count(START, depth), f"a tree of depth {depth} has {count(START, depth)} nodes, "
                f"count_nodes says {rs.count_nodes(depth)[START]}")
    nodes = [rs.count_nodes(depth)[START] for depth in (5, 6)]
    require(nodes[1] == 209_596 and 9 < nodes[1] / nodes[0] < 10, f"209,596 nodes at depth 6, nine times as many as at 5: {nodes}")
    require(close(rs.search_trees(), rs.V_EXACT[1:7, START]), "search_trees differs from dynamic programming")


def test_errors_of_learned_models_accumulate(ours, rollout_search, base_seed):
    """200 runs; means and standard deviations of a run of 4,000 others, for V_2 and V_30. 5 standard errors. The error
    of V_1 is 0, then it grows, then it stays. Control: the same with the depths, or the models, in reverse order."""
    errors = rollout_search.errors_of_learned_models(200, base_seed)
    known = [(3, 0.0358, 0.0114, 0.123, 0.079), (10, 0.0172, 0.0092, 0.0686, 0.0447), (100, 0.00554, 0.0027, 0.0211, 0.0147)]

    def check(errors):
        for i, (n, early, sd_early, late, sd_late) in enumerate(known):
            e = errors[:, i].mean(axis=0)
            require(e[0] < 1e-12 and e[0] < e[1] < e[4] < e[9], f"{n} samples: the error grows from 0: {numbers(e[[0, 1, 4, 9]])}")
            require(abs(e[1] - early) < 5 * sd_early / math.sqrt(200) and abs(e[29] - late) < 5 * sd_late / math.sqrt(200),
                    f"{n} samples of each pair: the error of V_2 is {e[1]:.4f}, of V_30 {e[29]:.4f}, not {early} and {late}")
            require(abs(e[29] - e[19]) < 0.15 * e[29], f"{n} samples: the error still grows at depth 30: {e[19]:.4f}, {e[29]:.4f}")
    check(errors)
    for wrong in (errors[:, :, ::-1], errors[:, ::-1]):
        with pytest.raises(failure):
            check(wrong)


def test_search_everywhere(ours, rollout_search, base_seed):
    """6 runs. RMS errors in exact standard errors: 1 +- 0.25 in a run, 0.1 in 6: 0.5 to 1.5. Values of acting at S, and
    5 standard errors, from 240 other runs; at K = 1 the sensible policy gets worse (0.310 of 0.415), at K = 256 better.
    Control: K in reverse order, and the other policy's."""
    known = {"random": [(0.3355, 0.033), (0.3536, 0.001)], "sensible": [(0.3109, 0.090), (0.5148, 0.020)]}
    results = {name: rollout_search.search_everywhere(rollout_search.POLICIES[name], 6, base_seed) for name in known}

    def check(name, errors, values):
        itself, _, variance = rollout_search.exact_returns(rollout_search.POLICIES[name])
        ratio = errors.mean(axis=0) / np.sqrt(variance.mean() / np.array([1, 4, 16, 64, 256]))
        require((abs(ratio - 1) < 0.5).all(), f"{name}: RMS errors are {numbers(ratio)} times spread / sqrt(K)")
        for k, (value, bound) in zip((0, -1), known[name]):
            v = values[:, k].mean()
            require(abs(v - value) < bound, f"{name}, K = {[1, 256][k]}: acting earns {v:.4f}, not {value} +- {bound}")
        require(values[:, -1].mean() > itself and (name == "random") == (values[:, 0].mean() > itself),
                f"{name}: the policy itself earns {itself:.3f}, acting on rollouts {numbers(values.mean(axis=0))}")
    for name, other in (("random", "sensible"), ("sensible", "random")):
        check(name, *results[name])
        for errors, values in (results[other], [x[:, ::-1] for x in results[name]]):
            with pytest.raises(failure):
                check(name, errors, values)


def test_runs_do_not_depend_on_their_number(ours, rollout_search, monkeypatch):
    monkeypatch.setattr(rollout_search._module, "N_SEARCHES", 2)
    for experiment in (rollout_search.errors_of_learned_models,
                       lambda n, seed: np.array(rollout_search.search_everywhere(rollout_search.POLICIES["sensible"], n, seed)).swapaxes(0, 1)):
        one, two = experiment(1, 3), experiment(2, 3)
        require((one == two[:1]).all() and (two[0] != two[1]).any(), "run 0 of 1 is not run 0 of 2, or the runs are alike")


def test_own_world_is_drawn_and_printed(ours, rollout_search, capsys):
    """A map of 5 x 9 in place of BRIDGE, a shallower tree, fewer rollouts."""
    rows = ["##xx#####", "gS...xxx#", "#.......G", "#.......#", "###xxx###"]
    arrows = ["##xx#####", "g>>>vxxx#", "#>>>>>>>G", "#^^^^^^^#", "###xxx###"]
    text = (ours / "rollout_search.py").read_text(encoding="utf-8")
    settings = f"BRIDGE = {rows}\nSENSIBLE = {arrows}\nTREE_DEPTH, K_ROLLOUTS, N_SEARCHES = 4, [1, 4, 16], 2\n\n\n# %% Environment"
    module = types.ModuleType("own_world")
    exec(compile(text.replace("# %% Environment", settings, 1), "own_world", "exec"), module.__dict__)
    figure, axes = module.plt.subplots(2, 3)
    try:
        module.run_all(axes, 1, 0)
        drawn = [t.get_text() for t in axes[0, 0].texts]
        require(any("\n".join(rows) in t for t in drawn), f"the first panel does not show the map of the settings, but {drawn}")
        require(all(ax.get_title() and ax.get_xlabel() and ax.get_ylabel() for ax in axes.flat), "a panel lacks a title or a label")
    finally:
        module.plt.close(figure)
    lines = [line.split(" | ") for line in capsys.readouterr().out.splitlines()]
    require(len(lines) == 7 and all(len(line) == 3 for line in lines), f"printed are {len(lines)} lines, not 7 of three columns")
    tree, exact = float(lines[1][1]), float(lines[1][2].split(":")[0])
    require(tree == exact == float(f"{module.V_EXACT[4, module.START]:.4g}"), f"the tree's value {tree}, dynamic programming {exact}")
    errors = float(lines[2][1]), float(lines[2][2].split()[2].rstrip(","))
    require(errors[0] > errors[1] > 0, f"the errors of learned models are {errors}: the first, of V_30, should be larger")
