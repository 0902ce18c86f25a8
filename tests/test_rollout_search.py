"""Tests of rollout_search.py: worked by hand, exact, statistics, curves, bad input; last what only our script has.

False alarms: the statistics (about 130 comparisons at 5 standard errors or more, two-sided 6e-7 each if normal; the
skewed ones as stated beside them) fail a right program in fewer than 1 of 5,000 runs."""
import itertools
import math
import random
import types

import numpy as np
import pytest

from conftest import attempt, fails, require, require_names, require_refused


# ---------------------------------------------------------------- worlds, and exact answers
def read_only(array):
    """Whoever writes into what he was handed raises an error, and `attempt` says so."""
    return np.broadcast_to(array, np.shape(array))


def world(text, pairs, *terminal):
    """What it is, P, R and, if there are any, terminal, from {(s, a): (reward, {next state: p})}. Missing mass ends."""
    S, A = 1 + np.max(list(pairs), axis=0)
    P, R = np.zeros((S, A, S)), np.zeros((S, A))
    for (s, a), (reward, following) in pairs.items():
        R[s, a] = reward
        for s2, p in following.items():
            P[s, a, s2] = p
    return [text, read_only(P), read_only(R)] + [read_only(np.isin(np.arange(S), s)) for s in terminal]


STEPS = {(s, a): (r + 10 * a, {(s + 1) % 4: 1}) for s, r in enumerate((1, 2, 4, 100)) for a in (0, 1)}
RING = world("0 -> 1 -> 2 -> 3 -> 0 pays 1, 2, 4, 100 (action 1: 11, 12, 14, 110)", STEPS)
CHAIN = world("0 -> 1 -> 2 -> 3 pays 1, 2, 4 (action 1: 11, 12, 14); 3 is terminal, though its row goes on and pays",
              STEPS, 3)
FORK = world("action 0 leads to 1 with p = .25 and to 2 with p = .75, action 1 to 3; 1, 2, 3 pay 8, 4, 2 and stay",
             {(0, 0): (0, {1: 0.25, 2: 0.75}), (0, 1): (0, {3: 1})}
             | {(s, a): (16 / 2**s, {s: 1}) for s in (1, 2, 3) for a in (0, 1)})
STAY = world("one state, which pays 1 and stays", {(0, 0): (1, {0: 1})})
COSTS = world("every step costs .001, or .003", {(0, 0): (-0.001, {0: 1}), (0, 1): (-0.003, {0: 1})})
RARE = world("0 stays, or leads to 1 with p = .001", {(0, 0): (0, {0: 0.999, 1: 0.001}), (1, 0): (0, {1: 1})})
PAY_OR_WAIT = world("one state; action 0 pays 1 and ends the episode (its row of P is 0), action 1 waits",  # issue 11
                    {(0, 0): (1, {}), (0, 1): (0, {0: 1})})
HALF = world("0 pays 1 and goes to 1 with p = .5, else it ends (missing mass); 1 pays 8 and ends",
             {(0, 0): (1, {1: 0.5}), (1, 0): (8, {})})
CORRIDOR = world("a corridor of 300 steps; only the last pays, 2^299 (so 1, seen with gamma = .5 from its beginning)",
                 {(s, 0): (2.0**299 * (s == 299), {s + 1: 1} if s < 300 else {}) for s in range(301)})
BRIDGE = ["#xxx###", "gS..xx#", "#.....G", "####xx#"]
CELLS, START, GAMMA = [8, 9, 10, 15, 16, 17, 18, 19], 8, 0.98         # cells where one can act
# The shortest way to G if nothing slipped, along the drop. Actions: up, right, down, left.
CARELESS = np.eye(4)[["^>v<".find(c) for c in "^^^^^^^" "^>>v^^^" "^>>>>>^" "^^^^^^^"]]


class OwnModel:
    """All that rollouts need, R (for its shape: step pays something else) and step. It logs what it was asked and
    handed, and one random number of each call."""

    def __init__(self, P, R, terminal=False):
        self.R, self.pays, self.log = np.full(R.shape, 77.0), R, []
        self.sums, self.ends = P.cumsum(axis=2), np.broadcast_to(terminal, len(R))

    def step(self, states, actions, rng):
        require(len(self.log) < 3000, "the model was asked 3,000 times: does the search stop after `horizon` steps?")
        states, actions = np.array(states), np.array(actions)
        u = np.random.default_rng(rng).random(len(states))
        self.log.append((states, actions, rng, u[:1].tolist()))
        s2 = (u[:, None] >= self.sums[states, actions]).sum(axis=1)
        ends = np.append(self.ends, True)[s2]           # s2 = S: u has passed all sums
        return np.where(s2 == len(self.R), states, s2), self.pays[states, actions], ends


def random_tables(seed, S=5, A=2):
    """P, R, terminal: rewards of both signs, rows that lack mass or all of it, a terminal state that goes on, pays."""
    rng = np.random.default_rng(seed)
    P = rng.random((S, A, S)) * (rng.random((S, A, S)) < 0.7) + 1e-3
    P *= rng.choice([1.0, 1.0, 0.6], (S, A, 1)) / P.sum(axis=2, keepdims=True)
    P[1, 0] = 0
    return P, rng.normal(size=(S, A)), np.arange(S) == S - 1


def bridge():
    """P, R, terminal of the script's world, with slip 0.2, written down independently of it."""
    text = "".join(BRIDGE)
    P, R = np.zeros((28, 4, 28)), np.zeros((28, 4))
    for s, a, (turn, p) in itertools.product(CELLS, range(4), ((0, 0.8), (1, 0.1), (3, 0.1))):
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


def numbers(values, digits=4):
    return np.round(np.asarray(values, float), digits).tolist()


def close(a, b, tolerance=1e-9):
    return np.shape(a) == np.shape(b) and np.allclose(np.asarray(a, float), b, rtol=0, atol=tolerance)


def require_values(Q, exact, case, hint, telling={}):
    """In 9 digits, so that float32 shows. telling: {a wrong value of the first action: its hint}."""
    require(np.shape(Q) == np.shape(exact), f"{case}: Q should be {exact}, one value for each action, not {Q!r}")
    shown = numbers(Q, 9)
    require(close(Q, exact), f"{case}: Q should be {numbers(exact, 9)}, it is {shown}: {telling.get(shown[0], hint)}")


def test_the_names_of_the_contract_are_there(rollout_search):
    require_names(rollout_search)


# ---------------------------------------------------------------- worked by hand
def test_step_worked_by_hand(rollout_search):
    """Three pairs of CHAIN at once, rewards (R - 5) / 10. Order: next_states, rewards, terminated."""
    _, P, R, terminal = CHAIN
    model = attempt("TabularModel(P, R, terminal) of a chain", rollout_search.TabularModel, P, (R - 5) / 10, terminal)
    s2, r, end = attempt("a step from three pairs", model.step, read_only([0, 2, 1]), read_only([1, 0, 0]), 0)
    require(close(s2, [1, 3, 2]), "step from pairs (0, 1), (2, 0), (1, 0) of a chain: next_states, the first of three, "
            f"should be [1, 3, 2], drawn from the rows P[s, a, :]; it is {s2}")
    require(close(r, [0.6, -0.1, -0.3]), "rewards, the second of three, should be R of the pairs that are left, in "
            f"float64, [0.6, -0.1, -0.3], also where the episode ends; it is {np.asarray(r).tolist()}")
    require(close(end, [False, True, False]), f"only state 3 is terminal, next states are {s2}: terminated should be "
            f"[False, True, False]; it is {end}: it looks at the state that is entered")
    require(np.asarray(end).dtype == bool, f"terminated should be True or False, as Gymnasium's, not {end} (~1 is -2)")


def test_draws_and_missing_mass_worked_by_hand(rollout_search):
    """400 draws with p = .5: 200 +- 10, and as many changes between neighbours; with p = .4 160 +- 10; asked are 6
    standard deviations. 20,000 draws with p = .001: 20; none 2e-9, 60 or more 1e-12."""
    P = [[[0, 0.5, 0.5]] * 2, [[0, 0, 0]] * 2, [[0, 0.6, 0], [0.998, 0.001, 0]]]
    model = attempt("TabularModel with rows P[s, a, :] that sum to 1, 0, .6 and .999 (missing mass ends the episode)",
                 rollout_search.TabularModel, P, np.full((3, 2), 3.0))

    def draw(n, s, *actions):
        return [np.asarray(x) for x in model.step(np.full(n, s), np.resize(actions, n), 0)]
    s2, _, end = draw(400, 0, 0, 1)
    found = [(s2 == 1).sum(), (s2 == 2).sum(), (s2[1:] != s2[:-1]).sum()]
    require(found[0] + found[1] == 400 and all(140 < n < 260 for n in found), "400 draws of [0, .5, .5] in one call "
            f"led to 1 {found[0]} times, to 2 {found[1]} times, with {found[2]} changes from one to the next; all are "
            "about 200 if each draw has a number of its own (not one for all, sorted or evenly spread, no likeliest)")
    require(not end.any(), "entering state 1 should not end the episode (no `terminal` was given): that its row of P "
            "is all 0 ends it with the step from there, which still pays")
    found = [x.tolist() for x in draw(1, 1, 0)]
    require(found == [[1], [3], [True]], "a step from one pair, (1, 0), whose row of P is all 0, should give next "
            f"state [1] itself, reward R = [3], terminated [True]; it gives {found}")
    s2, r, end = draw(400, 2, 0)
    require(100 < end.sum() < 220, "the row [0, .6, 0] lacks .4, which ends the episode: terminated is True in "
            f"{end.sum()} of 400 draws, not in about 160 (is the row scaled to 1?)")
    found = sorted(set(zip(s2.tolist(), r.tolist(), end.tolist())))
    require(found == [(1, 3, False), (2, 3, True)], "draws of [0, .6, 0] in state 2 go on to 1, or end, in state 2 "
            f"itself, with reward 3; next state, reward, terminated were {found}")
    s2, _, end = draw(20_000, 2, 1)
    found = [(s2 == 1).sum(), end.sum()]
    require(all(0 < n < 60 for n in found), "20,000 draws of [.998, .001, 0] should lead to state 1, and end, about 20 "
            f"times each; they did so {found[0]} and {found[1]} times: is .001 taken for rounding, or p not used?")


LEAF = read_only([7.0, 8, 16, 50])
ENDS = "a terminal state is worth 0, whatever its row of the table and its leaf value say"
MISSING = "missing mass ends the episode: it is worth 0, no row is scaled to 1, no leaf value counts"
LOOKAHEADS = [          # world, state, depth, gamma, leaf values, Q, hint, {telling wrong Q of action 0: its hint}
    (RING, 0, 1, 0.5, None, [1, 11], "one step: R only, not discounted", {7: "2 steps", 0: "Q of all actions"}),
    (RING, 0, 2, 0.5, None, [7, 17], "R + gamma max_a' Q(s',a')",
     {1: "the second step does not count: is it searched, with p(s'|s,a) = P[s, a, s']?", 13: "gamma is missing",
      4.5: "V is the maximum over the actions, not the mean"}),
    (RING, 0, 2, 0, None, [1, 11], "gamma = 0: what follows does not count", {}),
    (RING, 0, 2, 1, None, [13, 23], "gamma = 1: all rewards of the best behaviour count alike", {}),
    (RING, 0, 3, 0.5, None, [10.5, 20.5], "R + gamma sum_s' p(s'|s,a) max_a' Q(s',a') in each of the 3 steps", {}),
    (RING, 1, 2, 0.5, None, [9, 19], "does the search begin in the state that it is asked about?", {}),
    (FORK, 0, 2, 1, None, [5, 2], "the mean of V(s') over all next states of this action, weighted with p",
     {4: "only the likeliest next state counts", 0: "is a state searched that only one of the actions leads to?"}),
    (STAY, 0, 4, 1, None, [4], "a state that was met before in the tree is searched again", {}),
    (COSTS, 0, 4, 1, None, [-0.004, -0.006], "does a maximum start at 0, or the search stop when little changes?", {}),
    (RING, 0, 1, 0.5, LEAF, [5, 15], "R + gamma leaf_values[s'] of the state reached", {1: "leaf_values do not count"}),
    (RING, 0, 2, 0.5, LEAF, [11, 21], "leaf values count once, where the tree is cut", {}),
    (RARE, 0, 1, 1, read_only([0, 1000]), [1], "1,000 with p = .001", {0: "is it left out, as p is small?"}),
    (CHAIN, 0, 9, 0.5, None, [10.5, 20.5], ENDS, {}),
    (CHAIN, 2, 1, 0.5, LEAF, [4, 14], ENDS, {}),
    (PAY_OR_WAIT, 0, 1, 0.9, None, [1, 0], "R is paid in full, not R times sum_s' p(s'|s,a)", {}),
    (HALF, 0, 2, 0.5, None, [3], MISSING, {1: "state 1 is not terminal: the step from it still pays"}),
    (PAY_OR_WAIT, 0, 2, 0.5, read_only([8.0]), [1, 2], MISSING, {}),
    (CORRIDOR, 200, 100, 0.5, None, [2.0**200], "the search goes on to its depth, 100, however small gamma^99 is", {}),
]


def test_forward_search_worked_by_hand(rollout_search):
    """RING, gamma 1/2, action 1 below: depth 3 gives 1 + 12/2 + 14/4 = 10.5; with leaf values, depth 1 gives 1 + 8/2,
    depth 2 1 + 12/2 + 16/4. FORK: .25 * 8 + .75 * 4 = 5. HALF: 1 + .5 * .5 * 8 = 3."""
    def tables(P, R, terminal=False):
        return types.SimpleNamespace(P=P, R=R, terminal=np.broadcast_to(terminal, len(R)))
    kept, shared = [], {world: tables(*more) for (world, *more), *_ in LOOKAHEADS}
    for where, make, cases in (("", lambda text, *more: tables(*more), LOOKAHEADS),
            ("right for an own model with these tables, but in a TabularModel (does it keep them as given?), ",
             lambda text, *more: rollout_search.TabularModel(*more), LOOKAHEADS),
            ("right at first, but after other calls with this model (is an earlier answer remembered?) ",
             lambda text, *more: shared[text], LOOKAHEADS[::-1])):
        for world, s, depth, gamma, leaf, exact, hint, telling in cases:
            kept.append(attempt(f"TabularModel [{world[0]}]", make, *world))
            case = f"{where}from state {s}, depth {depth}, gamma {gamma}, leaf values {leaf}"
            Q = attempt(f"forward_search, {case}", rollout_search.forward_search, kept[-1], s, depth, gamma, leaf)
            require_values(Q, exact, f"{case} [{world[0]}]", hint, telling)


def test_rollouts_step_by_step(rollout_search):
    """What the model is asked in 3 rollouts of 2 steps for each action of RING, from state 1."""
    policy = read_only(np.eye(2)[[1, 0, 1, 0]])
    for rng in (7, np.random.default_rng(7)):
        model = OwnModel(*RING[1:])
        answer = attempt("a model that has R and step", rollout_search.rollout_search, model, 1, policy, 3, 2, 0.5, rng)
        require(len(model.log) == 2, f"horizon 2: the model was asked {len(model.log)} times, not 2: a call is a step "
                "of all episodes, and `horizon` counts the first step too")
        (first, asked, handed, luck), (second, chosen, *again) = model.log
        require((first == 1).all(), f"a search from state 1: the first step is asked from {first}")
        require(sorted(asked) == [0, 0, 0, 1, 1, 1], "n_rollouts = 3 is for each action, and it comes first, not pi's: "
                f"the first call should ask 3 times for action 0 and 3 times for 1; it asked for {asked}")
        require((second == 2).all() and (chosen == 1).all(), "the second step is from state 2, where pi takes action 1 "
                f"(in 1 it takes 0); it was from {second}, actions {chosen}: A ~ pi(.|S) of the state reached, anew")
        require(again[1] != luck, f"rng={rng}: the same luck in both steps: is the model handed a seed or a copy?")
        require(rng == 7 or handed is again[0] is rng, "model.step was not handed the very Generator that "
                "rollout_search was given, but a new one, a copy, a child or a seed")
        require(not close(answer[1], [9, 19]), f"Q comes first, its standard error second; here {answer}")


RETURNS = [             # world, state, actions of the policy in states 0, 1, ..., horizon, gamma, Q, hint, telling
    (RING, 1, [1, 0, 1, 0], 1, 0.5, [2, 12], "one step: R, and nothing behind it; the actions' returns are not mixed",
     {0: "what a cut episode has earned counts", 1: "R_1 is not discounted", 4: "R of the pair left, not entered"}),
    (RING, 1, [1, 0, 1, 0], 2, 0.5, [9, 19], "R_1 + gamma R_2", {7: "rewards are added up", 16: "gamma is missing"}),
    (RING, 1, [1, 0, 1, 0], 2, 0, [2, 12], "gamma = 0: only R_1 counts", {}),
    (RING, 1, [1, 0, 1, 0], 2, 1, [16, 26], "gamma = 1: the sum of all rewards", {}),
    (RING, 1, [1, 0, 1, 0], 3, 0.5, [34, 44], "R_1 + gamma R_2 + gamma^2 R_3", {}),
    (CHAIN, 0, [1, 0, 1, 0], 9, 0.5, [5.5, 15.5], "no pay after step says terminated", {2: "the last reward counts"}),
    (PAY_OR_WAIT, 0, [0], 9, 0.5, [1, 0.5], "each episode earns its own rewards until step says that it ends", {}),
    (CORRIDOR, 0, [0] * 301, 300, 0.5, [1], "episodes go on to the horizon, 300, however small gamma^299 is", {}),
]


def test_rollouts_worked_by_hand(rollout_search):
    """Nothing is left to chance. CHAIN, gamma 1/2, action 0 below: 1 + 2/2 + 14/4 = 5.5, 10 more for action 1."""
    for (text, *tables), s, actions, horizon, gamma, exact, hint, telling in RETURNS:
        case = f"from {s}, pi takes {actions[:4]} in states 0, 1, ..., horizon {horizon}, gamma {gamma} [{text}]"
        Q, _ = attempt(f"rollout_search, {case}", rollout_search.rollout_search, OwnModel(*tables), s,
                    np.eye(len(exact))[actions], 3, horizon, gamma, 0)
        require_values(Q, exact, case, hint, telling)


def test_mean_and_standard_error_worked_by_hand(rollout_search):
    """The returns of action 0 are 1, 2, 6, those of action 1 are 5, 5, 5. K = 3: mean 3, variance (4 + 1 + 9) / 2 = 7,
    standard error sqrt(7 / 3) = 1.528. K = 2: mean 1.5, variance 0.5, standard error 0.5. K = 1: inf."""
    class Lucky(OwnModel):                  # the rollouts of action 0 lead to states 1, 2, 3, which pay 1, 2, 6
        def step(self, states, actions, rng):
            s2, r, end = super().step(states, actions, rng)
            first = (np.array(states) == 0) & (np.array(actions) == 0)
            s2[first] = 1 + np.arange(first.sum())
            return s2, r, end
    P, R = np.zeros((6, 2, 6)), np.repeat([[0.0], [1], [2], [6], [5], [0]], 2, axis=1)
    P[0, 0, 1:4], P[0, 1, 4], P[[1, 2, 4, 5], :, 5], P[3, :, 3] = 1 / 3, 1, 1, 1
    for K, mean, right in ((3, 3, [math.sqrt(7 / 3), 0]), (2, 1.5, [0.5, 0]), (1, 1, [math.inf, math.inf])):
        Q, error = rollout_search.rollout_search(Lucky(P, R, np.arange(6) == 5), 0, np.eye(2)[[0] * 6], K, 2, 1.0, 0)
        case = f"returns {[1, 2, 6][:K]} and {[5] * K}"
        require_values(Q, [mean, 5], case, "the means; the third episode of action 0 is cut by the horizon, 2: what it "
                       "has earned counts like the others' returns", {2: "not the median", 1: "all rollouts count"})
        require(close(error, right, 1e-6), f"{case}: standard errors should be {right}, they are {numbers(error, 9)}: "
                "sqrt(sum of (G - mean)^2 / (K - 1)) / sqrt(K), for each action; a single return shows no spread: inf")


def test_right_input_is_accepted(rollout_search):
    """PAY_OR_WAIT, the docstrings' example, in whole numbers and in NumPy's; sums that are 1 but for rounding."""
    for kind, one in ((int, 1), (np.int64, 1), (int, float(np.nextafter(1, 0))), (int, float(np.nextafter(1, 2)))):
        case = f"PAY_OR_WAIT in numbers of type {kind.__name__}, a row of P and one of the policy sum to {one}:"
        model = attempt(f"{case} TabularModel", rollout_search.TabularModel, [[[kind(0)], [one]]], [[kind(1), kind(0)]])
        Q = attempt(f"{case} forward_search", rollout_search.forward_search, model, kind(0), kind(3), 0.5)
        mean, _ = attempt(f"{case} rollout_search", rollout_search.rollout_search, model, kind(0), [[one, 0]], kind(4),
                       kind(9), 0.5, 0)
        require_values([*Q, *mean], [1, 0.5, 1, 0.5], f"{case} forward_search, then rollout_search", "are they float?")


def test_all_luck_comes_from_the_rng_handed_over(rollout_search):
    """The same seed or Generator, the same answer; another one, another answer. No global generator moves."""
    thirds, R = np.full((3, 2, 3), 1 / 3), np.arange(6.0).reshape(3, 2)
    model, zeros = rollout_search.TabularModel(thirds, R), np.zeros(200, int)
    search, all_0, half = rollout_search.rollout_search, np.eye(2)[[0, 0, 0]], np.full((1, 2), 0.5)
    calls = {"step": lambda rng: model.step(zeros, zeros, rng)[0], "rollout_search (only the model is random)":
             lambda rng: search(OwnModel(thirds, R), 0, all_0, 200, 9, 0.9, rng), "rollout_search (only pi is random)":
             lambda rng: search(OwnModel(np.ones((1, 2, 1)), R[:1]), 0, half, 200, 9, 0.9, rng)}
    before = np.random.get_state()[1].copy(), random.getstate()
    for what, draw in calls.items():
        for kind, seeded in (("seed", int), ("Generator", np.random.default_rng)):
            first, other, again = [np.array(draw(seeded(k))) for k in (0, 8, 0)]
            require(close(first, again, 0), f"{what} with the same {kind} twice gives different answers: is all luck "
                    "from the rng that is handed over, and nothing remembered?")
            require(not close(first, other, 0), f"{what} with another {kind} gives the same: is it used, all drawn?")
        rng = np.random.default_rng(7)
        require(not close(draw(rng), draw(rng), 0), f"{what} twice with one Generator gives the same: is the "
                "Generator copied, or the first answer overwritten by the second?")
        require((np.random.get_state()[1] == before[0]).all() and random.getstate() == before[1],
                f"{what} moves NumPy's or Python's global generator: all luck comes from rng")


# ---------------------------------------------------------------- random worlds: exact answers, statistics, curves
def test_forward_search_equals_dynamic_programming(rollout_search, base_seed):
    """4 random worlds: depths 1 to 3, gamma 0.9 and 1, with and without leaf values (also at the terminal state)."""
    for k, depth, gamma, s, with_leaf in itertools.product(range(4), (1, 2, 3), (0.9, 1.0), range(4), (0, 1)):
        tables = random_tables([base_seed, 2, k])
        leaf = with_leaf * np.random.default_rng([base_seed, 3, k]).normal(size=5)
        Q = rollout_search.forward_search(rollout_search.TabularModel(*tables), s, depth, gamma, leaf)
        require_values(Q, lookahead(*tables, gamma, depth, leaf)[s], f"random world {k} (4 is terminal, some "
                       f"rows lack mass), state {s}, depth {depth}, gamma {gamma}, leaf values {numbers(leaf)}",
                       "V of a state depends on the steps left: is it kept from another depth, or call?")


def test_tables_are_copied(rollout_search):
    """What the caller does to his own arrays of P, R, terminal does not change the model's answers."""
    tables, pairs = random_tables(3), (np.arange(40) % 5, np.arange(40) % 2)
    model = rollout_search.TabularModel(*tables)

    def answers():
        return np.append(model.step(*pairs, 7), rollout_search.forward_search(model, 0, 2, 0.9))
    before = answers()
    for name, array in zip(("P", "R", "terminal"), tables):
        array[:] = array[::-1].copy()
        require(close(before, answers(), 0), f"the caller wrote into his own {name} after TabularModel(P, R, terminal) "
                "and the model's answers changed: does it keep copies of its tables?")


def test_step_draws_the_next_state_from_P(rollout_search, base_seed):
    """5,000 draws of each of 10 pairs in one call, shuffled; shares of 5 states and of ends, 60 checks at 5.5 standard
    errors (4e-8 each). Control: the rows of other pairs do not fit."""
    P, R, _ = random_tables([base_seed, 6])
    pairs = np.random.default_rng([base_seed, 7]).permutation(np.repeat(np.arange(10), 5000))
    s2, _, end = [np.asarray(x) for x in rollout_search.TabularModel(P, R).step(pairs // 2, pairs % 2, base_seed)]

    def check(P):
        for i, row in enumerate(P.reshape(10, 5)):
            p = np.append(row, 1 - row.sum())
            share = np.bincount(np.where(end, 5, s2)[pairs == i], minlength=6) / 5000
            require((abs(share - p) <= 5.5 * np.sqrt(abs(p * (1 - p)) / 5000) + 1e-6).all(), f"P[{i // 2}, {i % 2}] "
                    f"and the missing mass are {numbers(p)}; of 5,000 draws the shares were {numbers(share)}")
    check(P)
    fails(check, P[::-1])


@pytest.mark.parametrize("k", range(3))
def test_rollouts_tend_to_the_values_of_the_policy(rollout_search, base_seed, k):
    """4 states x 2 actions, K = 10,000, against the exact mean and variance, and shares of later actions: 72 checks,
    5.5 standard errors. Standard errors within a quarter (most are exact to 4 %) and 5.5 w / 2K, for rare returns: w,
    here 5, is how far G may be from its mean, and w / 2K bounds the standard error's own. Control: other policies."""
    tables, K, gamma = random_tables([base_seed, 8, k]), 10_000, 0.9
    tables[0][:, :, 4] += 1 - tables[0].sum(axis=2)     # all episodes end in 4, where a program may go on asking
    policy = np.random.default_rng([base_seed, 9, k]).dirichlet([1, 1], 5)
    exact, variance = returns_of(*tables, policy, gamma, 100)
    rng, answers = np.random.default_rng([base_seed, 10, k]), []
    for s in range(4):
        model = OwnModel(*tables)
        answers.append(rollout_search.rollout_search(model, s, policy, K, 100, gamma, rng))
        for s2 in range(4 * (len(model.log[-1][0]) < K)):       # if it keeps rows of episodes that are over: no check
            actions = np.concatenate([actions[states == s2] for states, actions, *_ in model.log[1:]])
            p, share, n = policy[s2, 1], actions.mean(), len(actions)
            require(abs(share - p) < 5.5 * np.sqrt(p * (1 - p) / n) + 2 / n, f"in state {s2} pi takes action 1 with "
                    f"p = {p:.4f}; of {n} actions of the rollouts its share is {share:.4f}: is it drawn from pi(.|S)?")

    def check(right):
        for s, (Q, error) in enumerate(answers):
            standard = np.sqrt(variance[s] / K)
            case = f"a random world, state {s}, K = {K:,}"
            require((abs(Q - right[s]) <= 5.5 * standard + 1e-4).all(), f"{case}: Q is {numbers(Q)}, Q^pi is exactly "
                    f"{numbers(right[s])}: {numbers(abs(Q - right[s]) / (standard + 1e-9))} standard errors away")
            require((abs(error - standard) <= 0.25 * standard + 13.75 / K).all(), f"{case}: the standard errors are "
                    f"{numbers(error)}, sqrt(Var(G) / K) is {numbers(standard)}: is each draw of pi independent?")
    check(exact)
    for other in (returns_of(*tables, policy[:, ::-1], gamma, 100)[0], lookahead(*tables, gamma, 200)):
        if (abs(other - exact)[:4] > 11 * np.sqrt(variance[:4] / K)).any():      # nearly always
            fails(check, other)


@pytest.mark.parametrize("name, K, low, high", [("careless", 15_000, 0.44, 0.5398), ("random", 4000, 0.34, 0.36)])
def test_acting_on_rollouts_improves_but_need_not_be_optimal(rollout_search, base_seed, name, K, low, high):
    """One search in each cell of the bridge, the value at the start of acting so exact. Rollouts of the careless policy
    (0.415) lead to the optimum, 0.540, or, with a near-tie lost, to 0.458 or more; with two lost (1 run of 80,000) to
    0.36. A random walker (0.139) falls off: its rollouts lead to the small treasure, 0.354. Control: the policy."""
    policy = CARELESS if name == "careless" else np.full((28, 4), 0.25)
    model, rng, acting = rollout_search.TabularModel(*bridge()), np.random.default_rng([base_seed, 17]), policy.copy()
    for s in CELLS:
        Q, _ = rollout_search.rollout_search(model, s, policy, K, 60, GAMMA, rng)
        acting[s] = np.eye(4)[np.argmax(Q)]

    def check(policy):
        value = float(policy[START] @ returns_of(*bridge(), policy, GAMMA, 1000)[0][START])
        require(low < value < high, f"acting on rollouts of the {name} policy earns {value:.4f}, not {low} to {high}")
    check(acting)
    fails(check, policy)


# ---------------------------------------------------------------- bad input: a ValueError, one sentence
H, U, NAN, GAMMAS = [0.5, 0.5], [0.25, 0.5, 0.25], math.nan, [1.1, -0.1, math.nan]
BAD = {                 # function: right arguments; wrong values in place of one of them (2 states, 3 actions)
    "TabularModel": ({"P": [[H] * 3] * 2, "R": [U] * 2}, {
        "P": [P for row in ([1, 0.5], [1.5, -0.5], [0.5, -0.1], [NAN, 0.5]) for P in ([[row, H, H], [H] * 3],
              [[H] * 3, [H, H, row]])] + [[U] * 2, [[[0.5]] * 3] * 2, [[U] * 3] * 2],
        "R": [[U, [NAN, 0, 0]], [[0, 0, NAN], U], [H] * 3, [H] * 2, H, U], "terminal": [[False], [False] * 3]}),
    "forward_search": ({"state": 0, "depth": 2, "gamma": 0.9}, {
        "state": [2, -1], "depth": [0, -3, 1.5], "gamma": GAMMAS, "leaf_values": [U, [1], [U] * 2]}),
    "rollout_search": ({"state": 0, "policy": [U] * 2, "n_rollouts": 3, "horizon": 5, "gamma": 0.9, "rng": 0}, {
        "state": [2, -1], "n_rollouts": [0, -1], "horizon": [0, -1], "gamma": GAMMAS,
        "policy": [policy for row in ([0.5, 0, 0], [1, 1, 0], [2, -1, 0], [NAN, 0.5, 0.5])
                   for policy in ([row, U], [U, row])] + [U, [H] * 2, [U] * 3, [[0.5] * 3, [0, 0.5, 0]]]})}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused(rollout_search, name):
    function, (right, wrong) = getattr(rollout_search, name), BAD[name]
    if name != "TabularModel":
        right = right | {"model": rollout_search.TabularModel(**BAD["TabularModel"][0])}
    for argument, value in [(argument, value) for argument, values in wrong.items() for value in values]:
        require_refused(f"{name} (2 states, 3 actions), {argument} = {value}", function, **right | {argument: value})


# ---------------------------------------------------------------- what only our own script has
def test_world_and_exact_answers(ours, rollout_search):
    """A tree of depth 1 has the start and 4 times 3 next cells; in 6 of these 12 one can act, with 66 nodes below."""
    rs, (P, R, terminal) = rollout_search, bridge()
    model, _ = rs.bridge_model(BRIDGE, 0.2)
    require(close(model.P[CELLS], P[CELLS]) and close(model.R[CELLS], R[CELLS]) and close(model.terminal, terminal),
            "bridge_model makes another world of BRIDGE than the one these tests know")
    exact = [lookahead(P, R, terminal, GAMMA, depth).max(axis=1)[CELLS] for depth in range(1, 31)]
    require(close(rs.V_EXACT[1:, CELLS], exact), "lookahead_values differs from dynamic programming")
    found = [rs.OPTIMUM, *(rs.lookahead_values(rs.POLICIES[name])[30, START] for name in ("random", "sensible"))]
    require(close(found, [0.540, 0.139, 0.415], 1e-3), f"optimum and policies: 0.540, 0.139, 0.415, not {found}")
    rs.show_nodes(rs.plt.gca())
    nodes = rs.plt.gca().lines[0].get_ydata()[[0, 1, 2, 6]].tolist()
    rs.plt.close()
    require(nodes == [1, 13, 79, 604_873], f"trees of depth 0, 1, 2, 6 have 1, 13, 79, 604,873 nodes, not {nodes}")


def test_errors_of_learned_models_accumulate(ours, rollout_search, base_seed):
    """200 runs; means and standard deviations of a run of 4,000 others, for V_1 and V_30. 5 standard errors. From V_20
    on, episodes are over (0.1 % in 4,000). Control: the same with the depths, or the models, in reverse order."""
    errors = rollout_search.errors_of_learned_models(200, base_seed)
    known = [(3, 0.0352, 0.0134, 0.1747, 0.1123), (10, 0.01645, 0.011, 0.1028, 0.0695),
             (100, 0.00558, 0.0033, 0.0326, 0.0228)]

    def check(errors):
        for i, (n, early, sd_early, late, sd_late) in enumerate(known):
            e = errors[:, i].mean(axis=0)
            case = f"{n} samples of each pair: the error of V_0, V_1, V_20, V_30 is {numbers(e[[0, 1, 20, 30]])}"
            require(e[0] < 1e-12 and abs(e[30] - e[20]) < 0.02 * e[30], f"{case}: it should grow from 0, then stay")
            require(abs(e[1] - early) < 5 * sd_early / math.sqrt(200), f"{case}: that of V_1 should be {early}")
            require(abs(e[30] - late) < 5 * sd_late / math.sqrt(200), f"{case}: that of V_30 should be {late}")
    check(errors)
    for wrong in (errors[:, :, ::-1], errors[:, ::-1]):
        fails(check, wrong)
    one = rollout_search.errors_of_learned_models(1, base_seed)
    require((one == errors[:1]).all() and (errors[0] != errors[1]).any(), "run 0 of 1 is not run 0 of 200, or alike")


@pytest.mark.parametrize("name, first, last", [("random", (0.3355, 0.033), (0.3536, 0.001)),
                                               ("sensible", (0.3109, 0.090), (0.5148, 0.020))])
def test_rollout_errors_and_values_of_acting(ours, rollout_search, base_seed, name, first, last):
    """6 runs. RMS errors in exact standard errors: 1 +- 0.25 in a run, 0.1 in 6: 0.5 to 1.5. Values of acting at S, and
    5 standard errors, from 240 other runs: at K = 1 the sensible policy gets worse (0.310 of 0.415), at K = 256 better;
    the random one (0.139) gets better. Control: K in reverse order, and the value of the policy itself."""
    rs, policy = rollout_search, rollout_search.POLICIES[name]
    errors, values = rs.rollout_errors(policy, 6, base_seed), rs.values_of_acting(policy, 6, base_seed)
    itself, variance = [x[START] for x in returns_of(*bridge(), policy, GAMMA, 30)]

    def check(errors, values):
        ratio = errors.mean(axis=0) / np.sqrt(variance.mean() / np.array([1, 4, 16, 64, 256]))
        require((abs(ratio - 1) < 0.5).all(), f"{name}: RMS errors are {numbers(ratio)} times spread / sqrt(K)")
        for v, (value, bound) in zip(values.mean(axis=0)[[0, -1]], (first, last)):
            require(abs(v - value) < bound, f"{name}, K = 1, then 256: acting earns {v:.4f}, not {value} +- {bound}")
    check(errors, values)
    require((errors[0] != errors[1]).any(), f"{name}: two runs are the same")
    for wrong in ((errors[:, ::-1], values), (errors, 0 * values + policy[START] @ itself)):
        fails(check, *wrong)


def test_own_world_is_drawn_and_printed(ours, capsys):
    """A map of 5 x 9 in place of BRIDGE, a shallower tree, fewer rollouts."""
    rows = ["##xx#####", "gS...xxx#", "#.......G", "#.......#", "###xxx###"]
    arrows = ["##xx#####", "g>>>vxxx#", "#>>>>>>>G", "#^^^^^^^#", "###xxx###"]
    text = (ours / "rollout_search.py").read_text(encoding="utf-8")
    for old, new in (("# %% Env", f"BRIDGE, SENSIBLE = {rows}, {arrows}\n# %% Env"), ("DEPTH = 6", "DEPTH = 4"),
                     ("4**np.arange(5)", "4**np.arange(3)"), ("N_SEARCHES = 12", "N_SEARCHES = 2")):
        require(text.count(old) == 1, f"{old!r} is not in the script once")
        text = text.replace(old, new)
    module = types.ModuleType("own_world")
    exec(text, module.__dict__)
    figure, axes = module.plt.subplots(2, 3)
    module.run_all(axes, 1, 0)
    module.plt.close(figure)
    require(any("\n".join(rows) in t.get_text() for t in axes[0, 0].texts), "the first panel does not show this map")
    require(all(ax.get_title() and ax.get_xlabel() and ax.get_ylabel() for ax in axes.flat), "title or label missing")
    lines = [line.split(" | ") for line in capsys.readouterr().out.splitlines()]
    require([len(line) for line in lines] == [3] * 7, f"printed are {lines}, not 7 lines of 3 columns")
