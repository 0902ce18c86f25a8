"""Choose an action by looking ahead in a model: with a whole search tree, or with sampled episodes.

The slides, and where they are in this file
    Forward search             forward_search; "expensive": count_nodes;
                               "errors ... cumulative": errors_of_learned_models
    Simulation-based search    rollout_search; its errors, and acting on it: search_everywhere

The equations
    Forward search   Q_d(s,a) = R(s,a) + gamma sum_s' p(s'|s,a) V_{d-1}(s')      (d: steps to go)
                     V_d(s)   = max_a Q_d(s,a),   V_0(s) = 0,   a terminal state is worth 0
    Rollouts         Q(S,A)   = 1/K sum_k G^k,    G = R_1 + gamma R_2 + gamma^2 R_3 + ...
                     V(S)     = sum_a pi(a|S) Q(S,a), the same as the mean over episodes in which
                                already the first action is drawn from pi

Run it: python rollout_search.py (7 seconds). What you will see, and why
    A small treasure is near, and a big one lies behind a bridge between two drops. Forward search
    takes the small one until it looks 6 steps ahead, as far as the big one is. With every further
    step its tree has about nine times as many nodes (4 actions, and each can lead to at most 3
    cells: up to 12, but some of them are ends). A rollout has only one step more.
    In a learned model, the error of the values grows with depth, since every step asks the model
    again. It stops growing when most episodes are over.
    Rollouts are right on average; with 4 times as many, the error is half. Acting on them improves
    the policy that they simulate, but need not make it the best: a random walker falls off the
    bridge, so its rollouts speak against the bridge, and more of them only do so more surely.
    With too few rollouts, a good policy gets worse.

Try: three changes of one line, each with the question that it answers
    SLIP = 0.0        Without slipping, is there anything left to gain on the sensible policy?
    TREE_DEPTH = 7    How much more time does one more step take, and how much value does it add?
    "g": 0.1          With a smaller small treasure, do rollouts of the random policy suffice?

Notation (examples: BRIDGE below, where the start is state 8 and action 1 is "right", 3 "left"; a
          step succeeds with probability 0.8; left of the start is a treasure of 0.4)
    s, a, r, s2   S, A, R, S' of the slides: whole numbers, but for the reward r: 8, 1, 0.0, 9
    S, A          in shapes like (S, A): the number of states, of actions: 28, 4
    P[s, a, s2]   p(s2 | s, a), shape (S, A, S): P[8, 1, 9] = 0.8, as it may slip
    R[s, a]       expected reward, shape (S, A): R[8, 3] = 0.8 * 0.4 = 0.32
    policy[s, a]  pi(a | s), shape (S, A): policy[8] = [0.25, 0.25, 0.25, 0.25]
    Q[a], V[s]    value of each action in one state, of each state
    G, K          return of one episode; number of episodes (rollouts) for each action

Left out on purpose: growing the tree only where it pays (mcts.py), pruning, storing known states.

References
    Sutton & Barto, Reinforcement Learning, 2nd ed. (2018), sections 8.8 to 8.10: both searches.
    Tesauro & Galperin (1996), On-line policy improvement using Monte-Carlo search: acting on it.
"""
# For other programs: what "uv run" has to install for this script, and (SPDX) its licence.
# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy>=1.26", "matplotlib>=3.8"]
# ///
# SPDX-License-Identifier: MIT-0

import argparse
import math
import sys

import matplotlib.pyplot as plt
import numpy as np

# %% Settings

# S start, g small treasure, G big treasure, x drop, # wall. No free cell (.) at the border.
BRIDGE = ["#xxx###",
          "gS..xx#",
          "#.....G",
          "####xx#"]
# The sensible policy: the shortest way to G if nothing slipped. Change it together with BRIDGE.
SENSIBLE = ["#xxx###",
            "g>>vxx#",
            "#>>>>>G",
            "####xx#"]
# The best way to G earns 0.54 on average, because of the drops. g pays less, but is near.
TREASURES = {"g": 0.4, "G": 1.0}
# One step in five goes sideways: enough to make the edge of the drop a bad place to walk.
SLIP = 0.2
# Close to 1, so that a treasure 6 steps away still counts: paid in step 6, 0.98**5 = 0.90.
GAMMA = 0.98

# A tree of this depth has about 200,000 nodes, counted by count_nodes, and takes half a second.
TREE_DEPTH = 6
# Rollouts are cut after so many steps, by when nearly all episodes are over; so the exact answers
# look at most so many steps ahead.
HORIZON = 30
# Learned models that have seen each pair (s, a) only so many times.
N_SAMPLES = [3, 10, 100]
# Each number is 4 times the one before it, so the error should halve each time.
K_ROLLOUTS = [1, 4, 16, 64, 256]
# To see how good it is to act on rollouts, we search so often in each cell, in each run: enough
# to see how often each action wins.
N_SEARCHES = 12

# Four colours that colour-blind readers can tell apart.
BLUE, GREEN, RED, GREY = "#0072B2", "#009E73", "#D55E00", "#666666"


# %% Environment: a slippery world with a bridge

def bridge_model(rows, slip):
    """The world of a map as a TabularModel, the class below.

    Cells are numbered row by row. Actions 0 to 3: up, right, down, left. With probability `slip`
    a step goes to one of the two sides instead, for "up" to the left or to the right.
    """
    text = "".join(rows)
    width = len(rows[0])
    # What a move adds to the number of a cell: one row down is `width` cells further.
    moves = [-width, 1, width, -1]
    P = np.zeros((len(text), 4, len(text)))
    for s, letter in enumerate(text):
        # Nobody acts inside a wall or after the end: there, P stays 0.
        if letter not in "S.":
            continue
        if s // width in [0, len(rows) - 1] or s % width in [0, width - 1]:
            raise ValueError("the border of the map must be closed: only # x g G")
        for a in range(4):
            # The moves go round clockwise: from "up", one turn is "right", three are "left".
            for turns, p in [(0, 1 - slip), (1, slip / 2), (3, slip / 2)]:
                s2 = s + moves[(a + turns) % 4]
                if text[s2] == "#":
                    s2 = s                          # a wall stops the step
                # += because two moves can lead to the same S', for example in a corner.
                P[s, a, s2] += p
    # A pair's mean reward: what entering S' pays, times its probability, summed over S' (the last
    # axis of P).
    R = P @ [TREASURES.get(letter, 0.0) for letter in text]
    return TabularModel(P, R, [letter in "gGx" for letter in text])


# %% Algorithm: a model in tables, forward search, rollouts

def draw(sums, rows, rng):
    """Draw a column of a table of probabilities, for each row number in `rows` (K,).

    sums[c] (n_rows,) is the probability of the columns 0 to c together. For the last column it
    is 1 and may be left out. Example: a row .1 .1 .8 has the sums .1 .2. Draw u, uniform in
    [0, 1), and count the sums that u has reached. For u = .15 that is one, so we take column 1.
    That is so for all u from .1 to .2: with probability .1.
    """
    u = rng.random(len(rows))
    columns = np.zeros(len(rows), int)
    for sums_of_column in sums:
        columns += u >= sums_of_column[rows]        # True counts as 1
    return columns


class TabularModel:
    """A model p(s'|s,a), R(s,a) in tables, known or learned. All its luck comes from the rng.

    P         (S, A, S) probabilities of the next state. If P[s, a] sums to less than 1, the
              episode ends with the probability that is missing (so say learned models)
    R         (S, A) expected reward; every step from (s, a) pays exactly this
    terminal  (S,) bool, default none: the episode ends when such a state is entered

    ValueError for other shapes, NaN, or rows that are no probabilities. Needs draw. An example
    with one state, where action 0 pays 1 and ends the episode, and action 1 pays 0 and stays:

    >>> model = TabularModel(P=[[[0.0], [1.0]]], R=[[1.0, 0.0]])
    >>> next_states, rewards, terminated = model.step([0, 0], [0, 1], rng=0)
    >>> rewards.tolist(), terminated.tolist()
    ([1.0, 0.0], [True, False])
    """

    def __init__(self, P, R, terminal=None):
        # np.array makes copies: the caller's tables stay as they are.
        P = np.array(P, float)
        R = np.array(R, float)
        S, A = P.shape[:2]
        terminal = np.zeros(S, bool) if terminal is None else np.array(terminal, bool)
        # NaN >= 0 is False, so NaN is refused too. Rounding may lift a sum a bit above 1.
        if not (P.shape == (S, A, S) and R.shape == (S, A) and terminal.shape == (S,)
                and np.isfinite(R).all() and (P >= 0).all() and (P.sum(axis=2) <= 1 + 1e-6).all()):
            raise ValueError("need P (S, A, S) with rows of probabilities that sum to at most 1, "
                             "R (S, A) without NaN, and terminal (S,)")
        # Some tables go on after the end, and pay there. No episode ever gets there.
        P[terminal] = 0.0
        R[terminal] = 0.0
        self.P, self.R, self.terminal = P, R, terminal

        # Tables for `draw`, with one row for each pair: (s, a) has row s * A + a. Of the next
        # states we keep only the n most likely, sorted, since most are impossible. For example,
        # with n = 3, P[s, a] = 0 .8 0 .1 becomes 0 .1 .8, the probabilities of states 2, 3, 1:
        #     sums        0 .1 .9        state 2 fills the row; as u >= 0, it is never drawn
        #     successors  2  3  1  s     if u has reached all three sums, column 3 is drawn:
        #     ends        F  F  F  T     the episode ends, and S' is S
        rows = P.reshape(S * A, S)
        n = (rows > 0).sum(axis=1).max()
        self.sums = np.sort(rows)[:, -n:].T.cumsum(axis=0)
        # "stable": where probabilities are equal, every computer takes the same order.
        successors = rows.argsort(kind="stable")[:, -n:]
        self.successors = np.column_stack([successors, np.arange(S * A) // A])
        self.ends = terminal[self.successors]
        self.ends[:, -1] = True

    def step(self, states, actions, rng):
        """R, S' ~ model for K pairs at once: next_states, rewards, terminated, each (K,).

        rng is a Generator or a seed. A row's missing probability ends the episode: S' = S then.
        """
        rows = np.asarray(states) * self.R.shape[1] + actions
        columns = draw(self.sums, rows, np.random.default_rng(rng))
        # successors[rows, columns] is the same, but takes twice as long. ravel() puts the rows of
        # a table one after the other: row 2 of a table with 4 columns begins at 2 * 4.
        entries = rows * self.ends.shape[1] + columns
        return self.successors.ravel()[entries], self.R.ravel()[rows], self.ends.ravel()[entries]


def forward_search(model, state, depth, gamma, leaf_values=None):
    """Exact lookahead: Q (A,) of the actions in `state` when `depth` steps are left.

    Slide "Forward search". leaf_values (S,) are V_0, what a state is worth where the tree is cut:
    0 by default. The model has tables P, R, terminal as TabularModel does. ValueError for an
    unknown state, a depth that is no whole number from 1 on, gamma outside [0, 1], or
    leaf_values of another shape. Needs no helper.

    >>> model = TabularModel(P=[[[0.0], [1.0]]], R=[[1.0, 0.0]])    # pay 1 and end, or wait
    >>> forward_search(model, 0, depth=3, gamma=0.9).tolist()
    [1.0, 0.9]
    """
    S, A = model.R.shape
    leaf_values = np.zeros(S) if leaf_values is None else np.asarray(leaf_values, float)
    # A depth of 1.5 would never count down to 0: the search would not end.
    if not (0 <= state < S and depth >= 1 and depth == int(depth) and 0 <= gamma <= 1
            and leaf_values.shape == (S,)):
        raise ValueError("need a state in 0..S-1, a whole depth of at least 1, gamma in [0, 1] "
                         "and leaf_values (S,)")

    # Two functions that call each other: Q needs V of the next states, with one step less to go,
    # and V needs Q of the actions there.
    # Q_d(s,a) = R(s,a) + gamma sum_s' p(s'|s,a) V_{d-1}(s')
    def Q(s, a, d):
        future = 0.0
        # The branches of the tree are the next states with p > 0: flatnonzero gives their numbers.
        for s2 in np.flatnonzero(model.P[s, a]):
            future += model.P[s, a, s2] * V(s2, d - 1)
        return model.R[s, a] + gamma * future

    # V_d(s) = max_a Q_d(s,a): whoever gets here will choose the best action.
    def V(s, d):
        if model.terminal[s]:
            return 0.0                              # the episode is over, nothing can be earned
        if d == 0:
            return leaf_values[s]                   # a leaf: here the tree is cut
        return max([Q(s, a, d) for a in range(A)])

    return np.array([Q(state, a, depth) for a in range(A)])


def rollout_search(model, state, policy, n_rollouts, horizon, gamma, rng):
    """Value of each action in `state`, as the mean return of n_rollouts simulated episodes.

    Slide "Simulation-based search", with K = n_rollouts. policy (S, A) is pi(a|s), the policy
    that is simulated. Episodes are cut after `horizon` steps. The model has R (S, A) and step as
    TabularModel does. rng is a Generator or a seed; it goes to model.step. Returns Q (A,) and its
    standard error (A,), inf for a single rollout. V(S) is policy[state] @ Q. ValueError for an
    unknown state, n_rollouts or horizon below 1, gamma outside [0, 1], or a policy whose rows are
    no probabilities. Needs draw.

    >>> model = TabularModel(P=[[[0.0], [1.0]]], R=[[1.0, 0.0]])    # pay 1 and end, or wait
    >>> Q, error = rollout_search(model, 0, [[1.0, 0.0]], 4, horizon=9, gamma=0.5, rng=0)
    >>> Q.tolist(), error.tolist()      # if it waits first, the 1 is paid one step later
    ([1.0, 0.5], [0.0, 0.0])
    """
    S, A = model.R.shape
    policy = np.array(policy, float)
    if not (0 <= state < S and n_rollouts >= 1 and horizon >= 1 and 0 <= gamma <= 1
            and policy.shape == (S, A) and (policy >= 0).all()
            and np.allclose(policy.sum(axis=1), 1)):
        raise ValueError("need a state in 0..S-1, n_rollouts and horizon of at least 1, gamma in "
                         "[0, 1] and a policy (S, A) whose rows are probabilities that sum to 1")
    rng = np.random.default_rng(rng)                # a Generator comes back as it is
    # For `draw`: one line of sums for each action but the last, whose sums are 1.
    sums = policy.T.cumsum(axis=0)[:-1]

    # All A * K episodes walk side by side, each with its entry in the arrays. One call of the
    # model is then one time step of all of them, and costs little more than that of a single one.
    states = np.full(A * n_rollouts, state)
    # The asked action comes first, and pi chooses only afterwards: that makes it Q^pi(S,A).
    # If pi chose here too, every episode would estimate V^pi(S), whatever the action.
    actions = np.repeat(np.arange(A), n_rollouts)   # for K = 3: 0 0 0 1 1 1 2 2 2 ...
    G = np.zeros(A * n_rollouts)
    # The numbers of the episodes that are not over; `states` and `actions` have only theirs.
    running = np.arange(A * n_rollouts)
    for t in range(horizon):
        states, rewards, terminated = model.step(states, actions, rng)
        # G = R_1 + gamma R_2 + gamma^2 R_3 + ... The first reward, at t = 0, is not discounted.
        G[running] += gamma**t * rewards
        # Episodes that are over leave: they earn no more, and cost no more.
        running = running[~terminated]
        states = states[~terminated]
        if len(running) == 0:
            break
        actions = draw(sums, states, rng)           # A ~ pi(.|S)

    # Q(S,A) = 1/K sum_k G^k. What it tends to is Q^pi, not Q*: behind the first action, the
    # episodes did what pi does, and not what would be best.
    G = G.reshape(A, n_rollouts)                    # one row for each asked action
    Q = G.mean(axis=1)
    if n_rollouts == 1:
        return Q, np.full(A, np.inf)                # a single return does not show its spread
    # The mean of K returns is off by about their spread / sqrt(K). ddof=1: to divide by K - 1 and
    # not K, because around their own mean K numbers spread a little less than around Q^pi.
    return Q, G.std(axis=1, ddof=1) / math.sqrt(n_rollouts)


# %% Exact answers

MODEL = bridge_model(BRIDGE, SLIP)
START = "".join(BRIDGE).index("S")
# Where one can act: only there, P is not 0.
CELLS = np.flatnonzero(MODEL.P.sum(axis=(1, 2)))


def lookahead_values(model):
    """V_0, V_1, ..., V_HORIZON of all states (HORIZON + 1, S), by dynamic programming.

    The same numbers as forward_search, without a tree: each V_d is computed once for each state
    and kept, whereas the tree computes it again wherever the state turns up.
    """
    V = np.zeros((HORIZON + 1, len(model.P)))
    # Where an episode has ended, P and R are 0, and so V stays 0.
    for d in range(1, HORIZON + 1):
        # P @ V is the sum over s', for all pairs at once: (S, A).
        Q = model.R + GAMMA * (model.P @ V[d - 1])
        V[d] = Q.max(axis=1)
    return V


def count_nodes(depth):
    """How many nodes (s, a) a tree of forward_search has at each state: (S,)."""
    nodes = np.zeros(len(MODEL.P))
    for _ in range(depth):
        # Below a pair are the nodes of all its possible next states, with one step less to go. A
        # True counts as 1 in the sum over s'.
        below_pairs = (MODEL.P > 0) @ nodes         # (S, A)
        nodes[CELLS] = (1 + below_pairs[CELLS]).sum(axis=1)
    return nodes


def exact_returns(policy):
    """For episodes from START: V, Q (A,), and the variance of their returns Var(G) (A,)."""
    # From the end backwards, as in lookahead_values: with no step to go, G = 0 and G^2 = 0.
    V = square = np.zeros(len(policy))
    for _ in range(HORIZON):
        # G = R + gamma G', where G' is the return from S' on. So, with E for the mean,
        # E[G] = R + gamma E[G'],   E[G^2] = R^2 + 2 R gamma E[G'] + gamma^2 E[G'^2].
        # (In a TabularModel the reward R(s,a) itself is not random.)
        future = GAMMA * (MODEL.P @ V)
        Q = MODEL.R + future
        Q_square = MODEL.R**2 + 2 * MODEL.R * future + GAMMA**2 * (MODEL.P @ square)
        # V(S) = sum_a pi(a|S) Q(S,a): the mean over the actions, and for the square as well.
        V = (policy * Q).sum(axis=1)
        square = (policy * Q_square).sum(axis=1)
    variance = Q_square - Q**2                      # Var(G) = E[G^2] - E[G]^2
    return V[START], Q[START], variance[START]


# %% What the experiments and panels below share

V_EXACT = lookahead_values(MODEL)
# V_d does not grow any more by then: it is what the best policy earns.
OPTIMUM = V_EXACT[-1, START]
# Row a always takes action a: 0 0 1 0 for action 2. ALWAYS[[2, 2, 1]] is such a row for each of
# three states: a policy.
ALWAYS = np.eye(4)
# (Where there is no arrow, find gives -1, the last row. Nobody acts there.)
POLICIES = {"random": np.full((len(MODEL.P), 4), 0.25),
            "sensible": ALWAYS[["^>v<".find(letter) for letter in "".join(SENSIBLE)]]}


def draw_band(ax, runs, color, style, label):
    """The mean of runs (n_runs, T), and a band in which the mean of endless runs would be."""
    x = np.arange(1, runs.shape[1] + 1)
    mean = runs.mean(axis=0)
    # The mean of n runs is off by about their spread / sqrt(n); in 95 % by less than twice that.
    error = runs.std(axis=0) / math.sqrt(len(runs))
    ax.fill_between(x, mean - 2 * error, mean + 2 * error, color=color, alpha=0.2)
    ax.plot(x, mean, style, color=color, label=label)


def finish(ax, title, xlabel, ylabel):
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    ax.legend()


# %% Slide "Forward search": select the best action by lookahead

def search_trees():
    """Values of the best action at S, from search trees of depth 1, 2, ..., TREE_DEPTH."""
    depths = range(1, TREE_DEPTH + 1)
    return np.array([forward_search(MODEL, START, d, GAMMA).max() for d in depths])


def draw_depth(ax, values):
    ax.plot(V_EXACT[:, START], color=BLUE, label="dynamic programming")
    ax.plot(range(1, TREE_DEPTH + 1), values, "o", color=RED, label="search tree")
    ax.axhline(OPTIMUM, color=GREY, linestyle=":", label=f"optimum: {OPTIMUM:.3f}")
    # In the corner below the curves there is room for the world, above them for the legend.
    world = "\n".join(BRIDGE + ["S start, x drop", "g, G treasures", "sensible: to G"])
    ax.text(HORIZON, 0.02, world, family="monospace", ha="right")
    ax.set_ylim(0, 1.7 * OPTIMUM)
    finish(ax, "the deeper, the nearer to the optimum", "depth: steps looked ahead",
           "value of the best action at S")


# %% Slide "Forward search": expensive

def draw_nodes(ax):
    depths = np.arange(1, 2 * TREE_DEPTH + 1)
    nodes = [count_nodes(d)[START] for d in depths]
    # On a plain axis, all but the last two numbers would look like 0.
    ax.semilogy(depths, nodes, "o-", color=RED, label="nodes of the search tree")
    # K rollouts for each of the 4 actions: one step more of each for every step ahead.
    K = K_ROLLOUTS[-1]
    ax.semilogy(depths, 4 * K * depths, "--", color=GREEN, label=f"steps of 4 x {K} rollouts")
    finish(ax, "expensive: the tree multiplies", "depth: steps looked ahead",
           "questions to the model")


# %% Slide "Forward search": errors have a tendency to be cumulative

def errors_of_learned_models(n_runs, seed):
    """Error of V_1, V_2, ..., the mean over all cells: (n_runs, len(N_SAMPLES), HORIZON)."""
    errors = np.zeros((n_runs, len(N_SAMPLES), HORIZON))
    for run in range(n_runs):
        # A stream of random numbers for each run: run 3 is the same however many runs there are.
        rng = np.random.default_rng([seed, run])
        for i, n in enumerate(N_SAMPLES):
            # Learn by counting. For each pair, multinomial draws how often n tries led to each
            # s2, for example 7, 2, 1 of n = 10. The shares .7 .2 .1 are the learned p(s'|s,a).
            P = np.zeros_like(MODEL.P)
            P[CELLS] = rng.multinomial(n, MODEL.P[CELLS]) / n
            # The rewards are known, so V_1 is right: all errors come from the next states.
            learned = TabularModel(P, MODEL.R, MODEL.terminal)
            error = abs(lookahead_values(learned) - V_EXACT)
            errors[run, i] = error[1:, CELLS].mean(axis=1)
    return errors


def draw_learned(ax, errors):
    for i, color, style in [(0, RED, ":"), (1, GREEN, "--"), (2, BLUE, "-")]:
        draw_band(ax, errors[:, i], color, style, f"{N_SAMPLES[i]} samples of each pair")
    ax.set_ylim(0, 0.5 * OPTIMUM)
    finish(ax, "learned model: errors accumulate", "depth: steps looked ahead",
           "error of V, mean of all cells")


# %% Slide "Simulation-based search": the mean of K returns, and acting on it

def search_everywhere(policy, n_runs, seed):
    """RMS error of Q at S, and the value at S of acting on the searches: both are arrays (n_runs,
    len(K_ROLLOUTS))."""
    _, Q_pi, _ = exact_returns(policy)
    errors, values = np.zeros((2, n_runs, len(K_ROLLOUTS)))
    for run in range(n_runs):
        rng = np.random.default_rng([seed, run])
        for k, K in enumerate(K_ROLLOUTS):
            Q = np.zeros((N_SEARCHES, len(policy), 4))
            for i in range(N_SEARCHES):
                for s in CELLS:
                    Q[i, s], _ = rollout_search(MODEL, s, policy, K, HORIZON, GAMMA, rng)
            # RMS: the root of the mean square, over all searches at S and all actions.
            errors[run, k] = math.sqrt(((Q[:, START] - Q_pi)**2).mean())
            # Ties at random, by adding something tiny. With K = 1 often all four returns are 0,
            # and argmax would always take the first action, "up": into the wall.
            winners = (Q + 1e-9 * rng.random(Q.shape)).argmax(axis=2)       # (N_SEARCHES, S)
            # An agent searches anew in every step, and its searches differ. So it is like a policy
            # that takes each action with a probability: the share of searches that it wins. (12
            # searches give rough shares. With more of them, the values come out a little higher.)
            acting = ALWAYS[winners].mean(axis=0)                           # (S, A)
            values[run, k], _, _ = exact_returns(acting)
    return errors, values


def draw_errors(ax, name, errors, exact, color, style):
    draw_band(ax, errors, color, style, f"{name} policy")
    ax.semilogy(range(1, len(exact) + 1), exact, "o", color=color)
    ax.set_xticks(range(1, len(exact) + 1), K_ROLLOUTS)
    finish(ax, "rollouts: the error falls as 1/sqrt(K)", "K rollouts per action",
           "RMS error of Q at S (dots: exact)")


def draw_acting(ax, name, values, itself, color, style):
    draw_band(ax, values, color, style, "acting on rollouts")
    ax.axhline(itself, color=GREY, linestyle="-.", label=f"the policy itself: {itself:.3f}")
    ax.axhline(OPTIMUM, color=GREY, linestyle=":", label=f"optimum: {OPTIMUM:.3f}")
    ax.set_xticks(range(1, len(K_ROLLOUTS) + 1), K_ROLLOUTS)
    ax.set_ylim(0, 1.7 * OPTIMUM)
    finish(ax, f"rollouts of the {name} policy", "K rollouts per action", "value at S")


# %% The run: what is printed, and main

def row(what, measured, compare):
    """One printed line; `compare` says what the number should be near."""
    print(f"{what:46} | {measured:8.4g} | {compare}")


def run_all(axes, n_runs, seed):
    """All experiments, panels and printed lines, in the order of the slides."""
    print(f"{'what':46} | measured | compare")
    trees = search_trees()
    draw_depth(axes[0, 0], trees)
    row(f"value at S, search tree of depth {TREE_DEPTH}", trees[-1],
        f"{V_EXACT[TREE_DEPTH, START]:.4g}: exact, by dynamic programming")
    draw_nodes(axes[0, 1])
    errors = errors_of_learned_models(n_runs, seed)
    draw_learned(axes[0, 2], errors)
    row(f"{N_SAMPLES[0]} samples of each pair: error of V_{HORIZON}", errors[:, 0, -1].mean(),
        f"more than {errors[:, 0, 1].mean():.4g}, the error of V_2")
    for name, color, style, ax in [("random", RED, "--", axes[1, 1]),
                                   ("sensible", BLUE, "-", axes[1, 2])]:
        # The same seed for both policies: no difference between them comes from another seed.
        errors, values = search_everywhere(POLICIES[name], n_runs, seed)
        itself, _, variance = exact_returns(POLICIES[name])
        # The error of a mean of K returns is the root of Var(G) / K; RMS over the four actions.
        exact = np.sqrt(variance.mean() / np.array(K_ROLLOUTS))
        draw_errors(axes[1, 0], name, errors, exact, color, style)
        draw_acting(ax, name, values, itself, color, style)
        row(f"{K_ROLLOUTS[-1]} rollouts of the {name} policy: RMS error", errors[:, -1].mean(),
            f"{exact[-1]:.4g}: exact, spread / sqrt(K)")
        row("    value at S of acting on them", values[:, -1].mean(),
            f"the policy itself {itself:.4g}, optimum {OPTIMUM:.4g}")


def main():
    # Without SUPPRESS an error message would begin with a list of all options.
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], usage=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=20, help="independent runs (default 20)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random numbers")
    parser.add_argument("--save", metavar="FILE", help="write the figure here: png, pdf or svg")
    # In a notebook the command line is that of the program behind it, ipykernel: not for us.
    args = parser.parse_args([] if "ipykernel" in sys.argv[0] else None)
    if args.runs < 1 or args.seed < 0:
        parser.error("--runs must be at least 1 and --seed at least 0")
    fig, axes = plt.subplots(2, 3, figsize=(11, 6.6), layout="constrained")
    # matplotlib draws with one of several programs. Where there is no display it chooses the one
    # that is called "agg" and can only write files.
    if args.save is None and plt.get_backend().lower() == "agg":
        args.save = "rollout_search.png"
    if args.save:
        # An empty figure first, so that a bad file name is refused before all the work.
        try:
            fig.savefig(args.save)
        except (OSError, ValueError) as error:
            parser.error(f"cannot write {args.save}: {error}")
    run_all(axes, args.runs, args.seed)
    if args.save:
        fig.savefig(args.save, dpi=150)
        print("figure:", args.save)
    else:
        plt.show()


if __name__ == "__main__":
    main()
