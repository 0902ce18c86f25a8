"""Plan by looking ahead: exactly, with a search tree, or by sampling, with simulated episodes.

The slides, and where they are here
    Forward search                 forward_search: "build a search tree ..."
      "expensive"                  count_nodes, search_trees
      "errors ... cumulative"      learn, plan_with_learned_models
    Simulation-based search        rollout_search, search_at_start, plan_everywhere

Lookahead    Q_d(s,a) = R(s,a) + gamma sum_s' p(s'|s,a) V_{d-1}(s'),    V_d(s) = max_a Q_d(s,a),
             V_0 = leaf values; a terminal state is worth 0
Rollouts     Q(S,A) = 1/K sum_k G^k -> Q^pi(S,A): A first, then the base policy pi chooses
             V(S)   = 1/K sum_k G^k -> V^pi(S) = sum_a pi(a|S) Q^pi(S,a)

Run it: python rollout_search.py (about 8 s; --quick 3 s; --help for more). To expect, mean +-
standard error of 30 runs:
    forward search equals dynamic programming to 1e-9; up to depth 5 it takes the small treasure,
    from 6 on it crosses the bridge; that tree has 209,596 nodes, 9 times more with every further
    step, while 100 rollouts per action over 6 steps cost less than 2,400;
    rollouts are unbiased, their mean squared error is the exact Var(G)/K, 95 % intervals cover;
    sensible policy: worth 0.415 at S; acting on K = 1 rollouts of it 0.31 +- 0.005 (worse!), on
    K = 300 0.519 +- 0.001, on its exact Q^pi 0.540, the optimum, in no state worse;
    random policy: 0.139, then 0.337 +- 0.002, 0.3537, 0.354: more rollouts are only more sure of
    the small treasure (97 +- 1 % of searches with K = 3, all with 1000), since Q^pi is not Q*;
    learned models: V_10 is 6.3 +- 0.1 times as wrong as V_1; looking 30 steps ahead instead of 1
    loses 1.3 +- 0.1 and 0.2 +- 0.1 after 5 and 10 trajectories, wins 0.5 +- 0.1 and 0.8 +- 0.1
    after 20 and 50; the best planning discounts are about 0.3 to 0.4, 0.5, 0.7, 0.8.
The last lines printed check each of these sentences on the run you just made.

Notation
    s, a, r, s2     S, A, R, S' of the slides: ints 0..S-1 and 0..A-1, a float, an int
    P[s, a, s2]     p(s2 | s, a);  R[s, a]: expected reward of the pair, what every step of it pays
    G, V            return of one episode, discounted from the root; values (S,) of the states
    Q[a]            value of action a in the root state;  policy[s, a]: probability of a in s
    K = n_rollouts  episodes per action;  depth, horizon: steps looked ahead;  gamma: discount

Left out on purpose: growing the tree only where it matters (mcts.py), pruning, caching of equal
states, rewards that vary for one (s, a).

Jiang, Kulesza, Singh & Lewis (2015), The dependence of effective planning horizon on model
accuracy: random MDPs like those behind our learned models; best discounts 0.4, 0.6, 0.7, 0.9.
Tesauro & Galperin (1996), On-line policy improvement using Monte-Carlo search. Sutton & Barto,
Reinforcement Learning, 2nd ed. (2018), sections 8.8 to 8.10.
"""
# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy>=1.26", "matplotlib>=3.8"]
# ///
# SPDX-License-Identifier: MIT-0

import argparse
import math
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

# %% Settings

BRIDGE = ["#xxx###",            # 'S' start, 'g' small treasure, 'G' big one, 'x' drop, '#' wall
          "gS..xx#",
          "#.....G",
          "####xx#"]
TREASURES = {"g": 0.4, "G": 1.0}
SLIP, GAMMA = 0.2, 0.98
SMALL = 3                                           # the action at S that takes the small treasure

DEPTH_TREE, DEPTH_EXACT = 6, 15                     # trees are built to depth 6; formulas go on
HORIZON = 100                                       # of rollouts; nearly all have ended long before
K_ROLLOUTS = (1, 3, 10, 30, 100, 300, 1000)
N_SEARCHES = 10                                     # searches from S per run and K
K_PLANS, N_PLANS = (1, 3, 10, 30, 100, 300), 30     # searches per state of the world, run and K

N_MDPS, N_STATES, N_ACTIONS = 30, 10, 2             # random MDPs per run, after Jiang et al.
TRAJECTORIES, LENGTH = (5, 10, 20, 50), 10          # the data behind a learned model
DISCOUNTS = np.array([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99])     # for planning
PAPER = (0.4, 0.6, 0.7, 0.9)                        # the best of them in the paper, for its data
GAMMA_MDP, DEPTHS = 0.99, np.array([1, 2, 3, 4, 5, 7, 10, 14, 20, 30])

BLUE, GREEN, RED, GREY = "#0072B2", "#009E73", "#D55E00", "#666666"     # colour-blind safe
ORANGE = "#E69F00"


# %% Environment: a slippery world with a bridge

def bridge_model(rows, slip):
    """The world as a TabularModel: entering a treasure pays and ends, entering the drop ends.

    States are numbered row by row from the top left; actions: 0 up, 1 right, 2 down, 3 left. With
    probability slip a step goes to one of its two sides instead. Walls and the border stop a step.
    """
    text, width = "".join(rows), len(rows[0])
    S, moves = len(text), [(-1, 0), (0, 1), (1, 0), (0, -1)]
    P = np.zeros((S, 4, S))
    for s in range(S):
        for a in range(4):
            for move, p in ((a, 1 - slip), ((a + 1) % 4, slip / 2), ((a - 1) % 4, slip / 2)):
                y, x = s // width + moves[move][0], s % width + moves[move][1]
                inside = 0 <= y < len(rows) and 0 <= x < width and rows[y][x] != "#"
                P[s, a, y * width + x if inside else s] += p
    R = P @ [TREASURES.get(cell, 0.0) for cell in text]
    return TabularModel(P, R, [cell in "gGx" for cell in text])


# %% Algorithm: lookahead, exactly and by rollouts

class TabularModel:
    """A known or learned model p(s'|s,a), R(s,a) as a table; pure: all its luck comes from `rng`.

    P         (S, A, S) probabilities of the next state
    R         (S, A) expected reward of the pair; each step from (s, a) pays exactly this
    terminal  (S,) bool: entering such a state ends the episode; it stays put then and pays nothing,
              whatever its rows of P and R say (those of some Gymnasium tables go on)

    ValueError if the shapes disagree or a row of P is no probability distribution.
    """

    def __init__(self, P, R, terminal):
        P, R, terminal = np.array(P, float), np.array(R, float), np.array(terminal, bool)
        if P.ndim != 3 or P.shape != (*R.shape, len(P)) or terminal.shape != P.shape[:1]:
            raise ValueError(f"need P (S, A, S), R (S, A), terminal (S,); got shapes {P.shape}, "
                             f"{R.shape}, {terminal.shape}")
        P[terminal], R[terminal] = np.eye(len(P))[terminal][:, None], 0.0
        if not (P.min() >= 0 and np.allclose(P.sum(axis=2), 1, rtol=0, atol=1e-6)):
            raise ValueError("each row P[s, a] must be probabilities (at least 0) that sum to 1")
        self.P, self.R, self.terminal = P, R, terminal
        # Compact table: per (s, a) the n possible successors first, and their cumulative
        # probabilities without the last, which is 1 (divided by itself: exactly 1).
        self.n = int((P > 0).sum(axis=2).max())
        successors = np.argsort(P <= 0, axis=2, kind="stable")[:, :, :self.n]
        cumulative = np.cumsum(np.take_along_axis(P, successors, axis=2), axis=2)
        cumulative = (cumulative / cumulative[:, :, -1:]).reshape(-1, self.n)
        self.successors = successors.ravel()                            # (S A n,)
        self.cumulative = np.ascontiguousarray(cumulative[:, :-1].T)    # (n - 1, S A)
        # The same as lists, for search trees: one number at a time is faster without NumPy.
        self.table = [[(r, [(p, s2) for s2, p in enumerate(row) if p]) for r, row in zip(*pair)]
                      for pair in zip(R.tolist(), P.tolist())]

    def step(self, states, actions, rng):
        """S', R ~ model for arrays of K pairs: next_states, rewards, terminated, each (K,)."""
        pairs = np.asarray(states) * self.R.shape[1] + actions
        # One uniform number each: as many cumulative probabilities below it, so many successors on.
        # (take, int16 and np.add.at rather than [], int64 and += make rollouts a quarter faster.)
        below = rng.random(len(pairs)) >= self.cumulative.take(pairs, axis=1)
        i = below.sum(axis=0, dtype=np.int16)
        next_states = self.successors.take(pairs * self.n + i)
        return next_states, self.R.take(pairs), self.terminal.take(next_states)

    def outcomes(self, s, a):
        """Node (s, a) of a search tree: its reward and its successors [(probability, s2), ...]."""
        return self.table[s][a]


def forward_search(model, state, depth, gamma, leaf_values=None):
    """Exact lookahead from `state`: Q (A,) of the best behaviour over `depth` steps.

    Slide "Forward search". Where the tree is cut, non-terminal states count leaf_values (S,), by
    default 0. Costs about (A times successors)^depth nodes, each asked of model.outcomes.
    ValueError for an unknown state, depth < 1, gamma outside [0, 1], leaf_values of another shape.
    """
    S, A = model.R.shape
    leaf_values = np.zeros(S) if leaf_values is None else np.asarray(leaf_values, float)
    if not (0 <= state < S and 1 <= depth == int(depth) and 0 <= gamma <= 1
            and leaf_values.shape == (S,)):
        raise ValueError(f"need a state in 0..{S - 1}, a whole depth >= 1, gamma in [0, 1] and "
                         f"leaf_values ({S},); got {state}, {depth}, {gamma}, {leaf_values.shape}")

    def action_values(s, d):
        return [action_value(*model.outcomes(s, a), d) for a in range(A)]

    def action_value(r, successors, d):
        # Q_d(s,a) = R(s,a) + gamma sum_s' p(s'|s,a) V_{d-1}(s')
        return r + gamma * sum(p * value(s2, d - 1) for p, s2 in successors)

    def value(s, d):
        if model.terminal[s]:
            return 0.0                              # the episode is over: nothing to expand
        # V_d(s) = max_a Q_d(s,a)
        return max(action_values(s, d)) if d else leaf_values[s]

    return np.array(action_values(state, depth))


def rollout_search(model, state, policy, n_rollouts, horizon, gamma, rng):
    """Monte-Carlo values of every action in `state`, by n_rollouts simulated episodes per action.

    Slide "Simulation-based search". Each episode takes its action first; then policy (S, A), the
    probabilities of the base policy pi, chooses. Episodes end in terminal states or after `horizon`
    steps; rewards are discounted from `state` on. A (B,) array of states is searched in one go.
    rng is a numpy Generator, or a seed for one.

    Returns Q (A,) and its standard error (A,), which is inf for one rollout; (B, A) each for (B,)
    states. V(S) is policy[S] @ Q. ValueError for an unknown state, n_rollouts or horizon < 1, gamma
    outside [0, 1], or a policy whose rows are no probability distributions.
    """
    S, A = model.R.shape
    state, policy, rng = np.asarray(state), np.asarray(policy, float), np.random.default_rng(rng)
    if not (((0 <= state) & (state < S)).all() and n_rollouts >= 1 and horizon >= 1
            and 0 <= gamma <= 1):
        raise ValueError(f"need a state in 0..{S - 1}, n_rollouts and horizon >= 1, gamma in "
                         f"[0, 1]; got {state}, {n_rollouts}, {horizon}, {gamma}")
    if not (policy.shape == (S, A) and policy.min() >= 0 and np.allclose(policy.sum(axis=1), 1)):
        raise ValueError(f"policy must be ({S}, {A}), each row probabilities (>= 0) that sum to 1")
    cumulative = policy.cumsum(axis=1)
    cumulative = np.ascontiguousarray((cumulative / cumulative[:, -1:])[:, :-1].T)      # (A - 1, S)

    shape = (*state.shape, A, n_rollouts)           # all episodes in lockstep, one call per step
    states = np.broadcast_to(state[..., None, None], shape).ravel()
    actions = np.broadcast_to(np.arange(A)[:, None], shape).ravel()     # the asked action is first
    G, running = np.zeros(states.size), np.arange(states.size)
    for t in range(horizon):
        states, rewards, terminated = model.step(states, actions, rng)
        # G^k = R_1 + gamma R_2 + gamma^2 R_3 + ..., counted from the root
        np.add.at(G, running, gamma**t * rewards)
        running, states = running[~terminated], states[~terminated]     # the ended cost no more
        if not len(running):
            break
        # A ~ pi(.|S): the action is the number of cumulative probabilities below one uniform number
        below = rng.random(len(states)) >= cumulative.take(states, axis=1)
        actions = below.sum(axis=0, dtype=np.int16)
    G = G.reshape(shape)
    # Q(S,A) = 1/K sum_k G^k; its standard error is the episodes' standard deviation / sqrt(K)
    if n_rollouts == 1:
        return G[..., 0], np.full(shape[:-1], np.inf)               # one episode shows no spread
    return G.mean(axis=-1), G.std(axis=-1) / math.sqrt(n_rollouts - 1)


# %% Exact answers

def dynamic_programming(model, gamma, depth, leaf_values=0.0):
    """What forward_search must find, for all states at once: Q_depth (S, A), by depth sweeps."""
    V = np.where(model.terminal, 0, leaf_values)
    for _ in range(depth):
        Q = model.R + gamma * model.P @ V
        V = Q.max(axis=1)
    return Q


def count_nodes(model, state, depth):
    """The number of nodes (s, a) in the tree of forward_search, without building it."""
    n = np.zeros(len(model.terminal))
    for _ in range(depth):
        n = np.where(model.terminal, 0, (1 + (model.P > 0) @ n).sum(axis=1))
    return int(n[state])


def evaluate(model, policy, gamma):
    """Exact Q^pi (S, A), and the variance of one rollout's return (S, A), by linear solves."""
    running = ~model.terminal
    P_pi = np.einsum("sa,sat->st", policy, model.P) * running[:, None]
    V = np.linalg.solve(np.eye(len(P_pi)) - gamma * P_pi, (policy * model.R).sum(axis=1))
    ahead = gamma * model.P @ V
    # E G^2 = R^2 + 2 R gamma E V(S') + gamma^2 E G'^2, again a linear equation
    now = model.R**2 + 2 * model.R * ahead
    square = np.linalg.solve(np.eye(len(P_pi)) - gamma**2 * P_pi, (policy * now).sum(axis=1))
    return model.R + ahead, now + gamma**2 * model.P @ square - (model.R + ahead)**2


def greedy(Q):
    """The policy (..., S, A) that takes the best action, equally good ones equally often."""
    best = Q >= Q.max(axis=-1, keepdims=True) - 1e-12
    return best / best.sum(axis=-1, keepdims=True)


def exact_answers():
    """The world, its two base policies and everything about them that needs no sampling."""
    model, start = bridge_model(BRIDGE, SLIP), "".join(BRIDGE).index("S")
    S, A = model.R.shape
    # The sensible policy: the shortest way to G if nothing slipped, ties by the action's number.
    to_big = [row.replace("g", "#") for row in BRIDGE]
    sure = dynamic_programming(bridge_model(to_big, 0.0), GAMMA, S)
    policies = np.array([np.full((S, A), 1 / A), np.eye(A)[sure.round(9).argmax(axis=1)]])
    Q, variance = map(np.array, zip(*(evaluate(model, policy, GAMMA) for policy in policies)))
    value = lambda policy: (policy * evaluate(model, policy, GAMMA)[0]).sum(axis=1)
    optimum = dynamic_programming(model, GAMMA, 1000)
    return SimpleNamespace(
        model=model, start=start, policies=policies, Q=Q, variance=variance,
        base=np.array([value(policy) for policy in policies]),
        limit=np.array([value(greedy(q)) for q in Q]), optimum=optimum.max(axis=1))


# %% Experiments: arrays with a leading axis of runs; nothing is drawn or printed

def streams(n_runs, seed, experiment):
    """One generator per run; every experiment has its own, so that none disturbs another."""
    return [np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(experiment, run)))
            for run in range(n_runs)]


def search_trees(exact, seed):
    """Q of forward_search at S for depths 1, 2, ... (D, A), and what was asked of the model (D, 2):
    nodes of the tree, and steps simulated by 100 rollouts per action cut at the same depth."""
    model, costs, Q = bridge_model(BRIDGE, SLIP), np.zeros((DEPTH_TREE, 2), int), []
    outcomes, step = model.outcomes, model.step

    def counting_outcomes(s, a):
        costs[depth - 1, 0] += 1
        return outcomes(s, a)

    def counting_step(states, actions, rng):
        costs[depth - 1, 1] += len(states)
        return step(states, actions, rng)

    model.outcomes, model.step = counting_outcomes, counting_step
    for depth in range(1, DEPTH_TREE + 1):
        Q.append(forward_search(model, exact.start, depth, GAMMA))
        rng, = streams(1, seed, 0)
        rollout_search(model, exact.start, exact.policies[0], 100, depth, GAMMA, rng)
    return np.array(Q), costs


def search_at_start(exact, n_runs, seed):
    """Q and standard error (runs, 2 base policies, K, searches, A) of rollout_search at S."""
    at = np.full(N_SEARCHES, exact.start)
    results = [[[rollout_search(exact.model, at, policy, K, HORIZON, GAMMA, rng)
                 for K in K_ROLLOUTS]
                for policy in exact.policies]
               for rng in streams(n_runs, seed, 1)]
    return np.moveaxis(np.array(results), 3, 0)


def plan_everywhere(exact, n_runs, seed):
    """Value at S (runs, 2, K) of searching anew at every step and taking the best action found.

    In each state, 30 searches show how often each action is chosen; the value of choosing so is
    then solved exactly. (A few episodes played would mostly show their own luck.)
    """
    model, start = exact.model, exact.start
    cells = np.array([s for s, cell in enumerate("".join(BRIDGE)) if cell in "S."] * N_PLANS)
    values = np.empty((n_runs, 2, len(K_PLANS)))
    for run, rng in enumerate(streams(n_runs, seed, 2)):
        for i, policy in enumerate(exact.policies):
            for k, K in enumerate(K_PLANS):
                Q, _ = rollout_search(model, cells, policy, K, HORIZON, GAMMA, rng)
                plan = policy.copy()
                plan[cells] = 0
                np.add.at(plan, cells, greedy(Q) / N_PLANS)
                values[run, i, k] = plan[start] @ evaluate(model, plan, GAMMA)[0][start]
    return values


def random_mdps(rng):
    """P (MDPs, S, A, S), R (MDPs, S, A): five random successors per pair, rewards in [0, 1]."""
    shape = (N_MDPS, N_STATES, N_ACTIONS, N_STATES)
    P = rng.random(shape) * (rng.random(shape).argsort(axis=-1) < 5)
    return P / P.sum(axis=-1, keepdims=True), rng.random(shape[:-1])


def learn(P, R, rng):
    """Models learned by counting (T, MDPs, ...), from the first 5, 10, 20, 50 random trajectories.

    Rewards are seen with noise of standard deviation 0.1. A pair without data is taken to lead
    anywhere and to pay 0.5.
    """
    mdp = np.arange(N_MDPS)[:, None]
    P_hat, R_hat = np.zeros((len(TRAJECTORIES), *P.shape)), np.zeros((len(TRAJECTORIES), *R.shape))
    s = rng.integers(N_STATES, size=(N_MDPS, max(TRAJECTORIES)))
    for _ in range(LENGTH):
        a = rng.integers(N_ACTIONS, size=s.shape)
        below = rng.random(s.shape)[..., None] >= P.cumsum(axis=-1)[mdp, s, a, :-1]
        s2, r = below.sum(axis=-1), R[mdp, s, a] + 0.1 * rng.standard_normal(s.shape)
        for i, n in enumerate(TRAJECTORIES):
            np.add.at(P_hat[i], (mdp, s[:, :n], a[:, :n], s2[:, :n]), 1)
            np.add.at(R_hat[i], (mdp, s[:, :n], a[:, :n]), r[:, :n])
        s = s2
    N = P_hat.sum(axis=-1)
    seen = np.maximum(N, 1)
    return (np.where(N[..., None] > 0, P_hat / seen[..., None], 1 / N_STATES),
            np.where(N > 0, R_hat / seen, 0.5))


def sweep(P, R, V, gamma):
    """Q(s,a) = R(s,a) + gamma sum_s' p(s'|s,a) V(s'), for many models at once."""
    return R + gamma * (P @ V[..., None, :, None])[..., 0]


def value_of(P, R, gamma, actions):
    """Exact V (..., S) of always taking actions (..., S), for many models at once."""
    P = np.take_along_axis(P, actions[..., None, None], axis=-2)[..., 0, :]
    R = np.take_along_axis(R, actions[..., None], axis=-1)
    return np.linalg.solve(np.eye(N_STATES) - gamma * P, R)[..., 0]


def optimal(P, R, gamma):
    """The best actions (..., S), by policy iteration (ten rounds are plenty for ten states)."""
    actions = R.argmax(axis=-1)
    for _ in range(10):
        actions = sweep(P, R, value_of(P, R, gamma, actions), gamma).argmax(axis=-1)
    return actions


def plan_with_learned_models(n_runs, seed):
    """Per run, amount of data and depth (or planning discount): the value lost in the true MDP by
    lookahead in the learned one, the same for optimal planning with a smaller discount, and the
    lookahead's own error, the root mean squared difference between V_d learned and V_d true."""
    data = [(*(mdp := random_mdps(rng)), *learn(*mdp, rng)) for rng in streams(n_runs, seed, 3)]
    P, R, P_hat, R_hat = map(np.array, zip(*data))
    P, R = np.broadcast_to(P[:, None], P_hat.shape), np.broadcast_to(R[:, None], R_hat.shape)
    best = value_of(P, R, GAMMA_MDP, optimal(P, R, GAMMA_MDP))
    loss = lambda actions: (best - value_of(P, R, GAMMA_MDP, actions)).mean(axis=(2, 3))
    V, V_hat, by_depth, error = np.zeros(best.shape), np.zeros(best.shape), [], []
    for depth in range(1, max(DEPTHS) + 1):
        V = sweep(P, R, V, GAMMA_MDP).max(axis=-1)
        Q_hat = sweep(P_hat, R_hat, V_hat, GAMMA_MDP)
        V_hat = Q_hat.max(axis=-1)
        if depth in DEPTHS:
            by_depth.append(loss(Q_hat.argmax(axis=-1)))
            error.append(np.sqrt(((V_hat - V)**2).mean(axis=(2, 3))))
    by_discount = [loss(optimal(P_hat, R_hat, gamma)) for gamma in DISCOUNTS]
    return tuple(np.stack(values, axis=-1) for values in (by_depth, by_discount, error))


def run_experiments(n_runs, seed, progress):
    exact = exact_answers()
    progress("forward search")
    trees = search_trees(exact, seed)
    progress("rollouts from the start")
    searches = search_at_start(exact, n_runs, seed)
    progress("rollouts from everywhere")
    plans = plan_everywhere(exact, n_runs, seed)
    progress("learned models")
    return dict(exact=exact, trees=trees, searches=searches, plans=plans,
                learned=plan_with_learned_models(n_runs, seed))


# %% Claims: what the docstring says, checked on this very run

def near(claim, expected, tolerance, measured):
    return (claim, f"{expected:g} ± {tolerance:.3g}", f"{measured:.4g}",
            abs(measured - expected) <= tolerance)


def check_claims(exact, trees, searches, plans, learned):
    """Rows (claim, expected, measured, ok).

    A tolerance is 4 standard errors for this number of runs (1 seed in 10,000 misses it), from the
    standard deviations of 300 other runs; that of the place of a minimum shrinks more slowly.
    """
    n_runs, start, K = len(plans), exact.start, np.array(K_ROLLOUTS)[:, None, None]
    se4 = 4 / math.sqrt(n_runs)
    (Q_tree, costs), (Q, error), (by_depth, by_discount, rms) = trees, searches, learned
    Q_exact = [dynamic_programming(exact.model, GAMMA, d)[start] for d in range(1, DEPTH_TREE + 1)]
    crossing = next(d for d, q in enumerate(Q_tree, 1) if q.argmax() != SMALL)
    nodes = count_nodes(exact.model, start, DEPTH_TREE)
    worse = (exact.limit < exact.base - 1e-12).sum()
    misses = Q - exact.Q[:, None, None, start]
    z = misses / np.sqrt(exact.variance[:, None, None, start] / K)
    small = greedy(Q)[..., SMALL].mean(axis=(0, 3))                     # (2 base policies, K)
    rows = [
        near("forward search - dynamic programming, at most", 0, 1e-9, abs(Q_tree - Q_exact).max()),
        near("depth at which forward search gives up the small treasure", 6, 0, crossing),
        (f"nodes in the tree of depth {DEPTH_TREE}", "209596", str(costs[-1, 0]),
         costs[-1, 0] == nodes == 209596),
        near("times more nodes than one step less deep", 9.35, 0.005, costs[-1, 0] / costs[-2, 0]),
        (f"steps of 100 rollouts per action over {DEPTH_TREE} steps", "at most 2400",
         str(costs[-1, 1]), costs[-1, 1] <= 2400),
        near("rollouts: mean error, in exact standard errors", 0, 0.041 * se4, z.mean()),
        near("rollouts: squared error, in exact variances / K (K >= 30)", 1, 0.084 * se4,
             (z[:, :, 3:]**2).mean()),
        near("rollouts: share of 95 % intervals that cover Q^pi", 0.945, 0.026 * se4,
             (abs(misses) <= 1.96 * error)[:, :, -1].mean()),
        near("states in which greedy on Q^pi is worse than pi", 0, 0, worse),
        near("optimum from S", 0.540, 5e-4, exact.optimum[start])]
    for i, (base, value, limit, few, many) in enumerate((
            ("random", 0.139, 0.354, (0.337, 0.0086), (0.3537, 3e-4)),
            ("sensible", 0.415, 0.540, (0.311, 0.023), (0.519, 0.0047)))):
        one, most = plans[:, i, 0].mean(), plans[:, i, -1].mean()
        rows += [near(f"{base} policy itself", value, 5e-4, exact.base[i, start]),
                 near(f"{base}, acting on K = 1 rollouts", few[0], few[1] * se4, one),
                 near(f"{base}, acting on K = {K_PLANS[-1]}", many[0], many[1] * se4, most),
                 near(f"{base}, acting on its exact Q^pi", limit, 5e-4, exact.limit[i, start])]
    for i, (base, few, sd, many) in enumerate((("random", 0.972, 0.052, 1),
                                               ("sensible", 0.218, 0.131, 0))):
        rows += [near(f"{base}: prefers the small treasure, K = 3", few, sd * se4, small[i, 1]),
                 near(f"{base}: prefers the small treasure, K = 1000", many, 0, small[i, -1])]
    rows.append(near("learned model: error of V_10 / error of V_1", 6.3, 0.66 * se4,
                     (rms[:, :, DEPTHS == 10] / rms[:, :, DEPTHS == 1]).mean()))
    deep = (by_depth[:, :, -1] - by_depth[:, :, 0]).mean(axis=0)
    best, wide = DISCOUNTS[by_discount.mean(axis=0).argmin(axis=-1)], 0.6 / n_runs**(1/3)
    for i, (loss, sd, discount) in enumerate(((1.33, 0.68, 0.35), (0.19, 0.42, 0.5),
                                              (-0.49, 0.34, 0.7), (-0.82, 0.29, 0.8))):
        data = f"{TRAJECTORIES[i]} trajectories"
        rows += [near(f"{data}: lost by depth 30 instead of 1", loss, sd * se4, deep[i]),
                 near(f"{data}: best discount (paper: {PAPER[i]})", discount, wide, best[i])]
    return rows


# %% Figure: above forward search, below rollouts, on the right imprecise models

def draw_band(ax, x, runs, color, label, at, shift, ha="left"):
    """Mean over runs (axis 0) and its 95 % band (2 standard errors), labelled near point `at`."""
    mean, error = runs.mean(axis=0), runs.std(axis=0) / math.sqrt(max(len(runs) - 1, 1))
    ax.fill_between(x, mean - 2 * error, mean + 2 * error, color=color, alpha=0.2, linewidth=0)
    ax.plot(x, mean, color=color, linewidth=1.8)
    ax.annotate(label, (x[at], mean[at]), shift, textcoords="offset points", color=color, ha=ha)


def draw_exact(ax, y, label="", x=0.0, shift=3, ha="left"):
    ax.axhline(y, color=GREY, linewidth=1, linestyle="--", zorder=1)
    ax.annotate(label, (x, y), (0, shift), textcoords="offset points", color=GREY, ha=ha,
                fontsize="small")


def draw_world(ax):
    width = len(BRIDGE[0])
    ax.imshow([[".x#".find(cell) if cell in "x#" else 0 for cell in row] for row in BRIDGE],
              cmap="Greys", vmax=3.4)
    for s, cell in enumerate("".join(BRIDGE)):
        ax.text(s % width, s // width, cell.strip(".#"), ha="center", va="center", fontsize="small")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def draw_forward_search(ax_value, ax_nodes, exact, trees):
    """Dots: the tree was built; dotted: the same by formula."""
    start, built, (Q, costs) = exact.start, np.arange(1, DEPTH_TREE + 1), trees
    depths = np.arange(1, DEPTH_EXACT + 1)
    values = [dynamic_programming(exact.model, GAMMA, d)[start].max() for d in depths]
    ax_value.plot(depths, values, ":", color=BLUE)
    ax_value.plot(built, Q.max(axis=1), "o-", color=BLUE, markersize=4)
    draw_exact(ax_value, exact.optimum[start], f"optimum {exact.optimum[start]:.3f}", 1)
    ax_value.set(xlabel="depth", ylabel="value of the best action at S", ylim=(0, 0.62))
    draw_world(ax_value.inset_axes([0.3, 0.03, 0.7, 0.42]))
    ax_nodes.plot(depths, [count_nodes(exact.model, start, d) for d in depths], ":", color=BLUE)
    ax_nodes.plot(built, costs[:, 0], "o-", color=BLUE, markersize=4)
    ax_nodes.plot(built, costs[:, 1], "o-", color=GREEN, markersize=4)
    ax_nodes.text(8, 1e9, "search tree", color=BLUE, ha="right")
    ax_nodes.text(6.6, 500, "100 rollouts\nper action", color=GREEN)
    ax_nodes.set(xlabel="depth", ylabel="steps asked of the model", yscale="log")


def draw_rollouts(ax_error, ax_value, ax_small, exact, Q, plans):
    start, K = exact.start, np.array(K_ROLLOUTS)
    squares = ((Q - exact.Q[:, None, None, start])**2).mean(axis=(0, 3, 4))             # (2, K)
    small = greedy(Q)[..., SMALL].mean(axis=3)
    for i, (name, color, up, ha) in enumerate((("random policy", RED, -16, "right"),
                                               ("sensible policy", GREEN, 8, "left"))):
        ax_error.plot(K, np.sqrt(exact.variance[i, start].mean() / K), "--", color=GREY,
                      linewidth=1)
        ax_error.plot(K, np.sqrt(squares[i]), "o", color=color, markersize=4)
        at = 4 - i
        ax_error.annotate(name, (K[at], np.sqrt(squares[i, at])), (up / 2, up / 2), color=color,
                          textcoords="offset points", ha=ha, va="top" if up < 0 else "bottom")
        draw_band(ax_value, K_PLANS, plans[:, i], color, "", -1, (0, 0))
        draw_band(ax_small, K, small[:, i], color, name, -1, (0, up), "right")
    ax_value.text(1, 0.265, "random", color=RED)
    ax_value.text(1, 0.45, "sensible", color=GREEN)
    ax_error.text(1.2, squares[0, -1]**0.5, "dashed: exact", color=GREY, fontsize="small")
    for y, label, shift in ((exact.optimum[start], "sensible, exact Q: optimum", 3),
                            (exact.base[1, start], "sensible itself", -12),
                            (exact.limit[0, start], "random, exact Q", -12),
                            (exact.base[0, start], "random itself", 3)):
        draw_exact(ax_value, y, f"{label} {y:.3f}", K_PLANS[-1], shift, "right")
    draw_exact(ax_small, 0)
    draw_exact(ax_small, 1)
    ax_error.set(yscale="log", ylabel="RMS error of Q at S")
    ax_value.set(ylabel="value at S", ylim=(0, 0.62))
    ax_small.set(ylabel="share of searches")
    for ax in (ax_error, ax_value, ax_small):
        ax.set(xscale="log", xlabel="K rollouts per action")


def draw_learned(ax_error, ax_depth, ax_discount, by_depth, by_discount, rms):
    for i, (n, color) in enumerate(zip(TRAJECTORIES, (RED, ORANGE, GREEN, BLUE))):
        for ax, x, runs in ((ax_error, DEPTHS, rms[:, i]), (ax_depth, DEPTHS, by_depth[:, i]),
                            (ax_discount, DISCOUNTS, by_discount[:, i])):
            draw_band(ax, x, runs, color, str(n), -1, (5, -4))
            mean = runs.mean(axis=0)
            if ax != ax_error:
                ax.plot(x[mean.argmin()], mean.min(), "o", color=color, markersize=6)
        ax_discount.plot(PAPER[i], mean[DISCOUNTS == PAPER[i]], "|", color=GREY, markersize=16)
    ax_error.text(1, 1, "data: 5, 10, 20, 50\ntrajectories", color=GREY, fontsize="small")
    ax_error.set(yscale="log", ylabel="RMS error of V")
    for ax in (ax_error, ax_depth):
        ticks = [1, 2, 3, 5, 10, 30]
        ax.set(xscale="log", xlabel="depth", xticks=ticks, xticklabels=ticks)
        ax.minorticks_off()
    ax_depth.set(ylabel="value lost (dot: least)", ylim=0)
    ticks = [0, 0.2, 0.4, 0.6, 0.8, 0.99]
    ax_discount.set(xlabel="planning discount (bar: paper)", xticks=ticks, xticklabels=ticks,
                    ylabel="value lost (dot: least)", ylim=0)


def draw_figure(fig, exact, trees, searches, plans, learned):
    axes = fig.subplot_mosaic([["value", "nodes", "accumulate", "depth"],
                               ["error", "improvement", "small", "discount"]])
    draw_forward_search(axes["value"], axes["nodes"], exact, trees)
    draw_rollouts(axes["error"], axes["improvement"], axes["small"], exact, searches[0], plans)
    draw_learned(axes["accumulate"], axes["depth"], axes["discount"], *learned)
    for name, title in {
            "value": "forward search: exact", "nodes": "forward search: expensive",
            "accumulate": "learned model: errors add up", "depth": "learned model: best depth",
            "error": f"rollouts: error ~ 1/√K ({len(plans)} runs)",
            "improvement": "acting on rollouts", "small": "prefers the small treasure",
            "discount": "learned model: best discount"}.items():
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
