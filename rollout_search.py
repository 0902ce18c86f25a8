"""Choose an action by looking ahead in a model: with a whole search tree, or with sampled episodes.

Slides and functions
    Forward search           forward_search; "expensive": count_nodes;
                             "errors ... cumulative": errors_of_learned_models
    Simulation-based search  rollout_search; search_everywhere: its errors, and acting on it

Equations
    Forward search   Q_d(s,a) = R(s,a) + gamma sum_s' p(s'|s,a) V_{d-1}(s')      (d: steps to go)
                     V_d(s)   = max_a Q_d(s,a),   V_0(s) = 0,   a terminal state is worth 0
    Rollouts         Q(S,A)   = 1/K sum_k G^k,    G = R_1 + gamma R_2 + gamma^2 R_3 + ...
                     V(S)     = sum_a pi(a|S) Q(S,a)

Run it: python rollout_search.py (6 s). What you will see, and why
    Forward search takes the near, small treasure until it looks far enough to see the big one.
    Its tree multiplies with every further step, where rollouts only add one step each.
    In a learned model the error of the values grows with depth, since every step asks the model
    again; it levels off at a depth where most episodes are over.
    Rollouts are right on average. Their error falls as 1/sqrt(K): a tenth for 100 times the work.
    Acting on rollouts improves the policy that they simulate, but need not make it the best. After
    its first action a random walker falls off the bridge, so its rollouts advise against the
    bridge, and more of them are only more sure. With few rollouts even a good policy gets worse.

Try (each is a change of one line in the settings)
    SLIP = 0.0        Without slipping, is there anything left to gain on the sensible policy?
    HORIZON = 5       Can more rollouts make up for rollouts that are cut too early?
    "g": 0.1          With a smaller small treasure, do rollouts of the random policy suffice?

Notation
    s, a, r, s2   S, A, R, S' of the slides; states and actions are whole numbers    8, 1, 0.0, 9
    P[s, a, s2]   p(s2 | s, a), shape (S, A, S)                        P[8, 1, 9] = 0.8
    R[s, a]       expected reward of the pair, shape (S, A)            R[8, 3] = 0.32
    policy[s, a]  pi(a | s), shape (S, A)                              policy[8] = [0, 1, 0, 0]
    Q[a], V[s]    values of the actions in one state, of states        Q = [0, 0.2, 0.1, 0.3]
    G             return: discounted sum of an episode's rewards       0.98**5 * 1 = 0.90
    K             number of rollouts (simulated episodes) per action   300

Left out on purpose: growing the tree only where it pays (mcts.py), pruning, storing known states.

References
    Sutton & Barto, Reinforcement Learning, 2nd ed. (2018), sections 8.8 to 8.10: both ideas.
    Tesauro & Galperin (1996), On-line policy improvement using Monte-Carlo search: the last panel.
"""
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

# S start, g small treasure, G big treasure, x drop, # wall. The way to G is a narrow bridge.
BRIDGE = ["#xxx###",
          "gS..xx#",
          "#.....G",
          "####xx#"]
# The sensible policy: the shortest way to G if nothing slipped. Change it together with BRIDGE.
SENSIBLE = ["#xxx###",
            "g>>vxx#",
            "#>>>>>G",
            "####xx#"]
# The small treasure pays a bit less than the best policy earns by crossing the bridge: 0.54.
TREASURES = {"g": 0.4, "G": 1.0}
# One step in five goes sideways: enough to make the edge of the drop a bad place to walk.
SLIP = 0.2
# Close to 1, so that a treasure 6 steps away still counts (0.98**5 = 0.90).
GAMMA = 0.98

# The tree of depth 6 has 209,596 nodes (half a second); one of depth 7 would have two million.
TREE_DEPTH = 6
# Exact answers do not need the tree. They go on to 30 steps, when nearly all episodes are over.
LAST_DEPTH = 30
# How often each pair (s, a) was tried before its row of the model was counted.
N_SAMPLES = (3, 10, 100)
# About equal steps on a logarithmic axis, from one rollout to many.
K_ROLLOUTS = (1, 3, 10, 30, 100, 300)
# A rollout is cut after so many steps. Nearly all have ended by then.
HORIZON = 100
# Searches in each cell: enough to see that searches of the same cell differ, few enough for 6 s.
N_SEARCHES = 5

BLUE, GREEN, RED, GREY = "#0072B2", "#009E73", "#D55E00", "#666666"     # for colour-blind eyes too


# %% Environment: a slippery world with a bridge

def bridge_model(rows, slip):
    """The world of a text as a TabularModel (see below); actions 0 to 3: up, right, down, left."""
    text = "".join(rows)
    width = len(rows[0])
    S = len(text)                                   # states are numbered row by row
    moves = [(-1, 0), (0, 1), (1, 0), (0, -1)]      # (rows down, columns right) of each action
    P = np.zeros((S, 4, S))
    R = np.zeros((S, 4))
    for s in range(S):
        # Nobody acts inside a wall or after the end. These rows stay 0.
        if text[s] not in "S.":
            continue
        for a in range(4):
            # The actions go round clockwise: one further and three further are the sides of a.
            for turn, p in ((0, 1 - slip), (1, slip / 2), (3, slip / 2)):
                down, right = moves[(a + turn) % 4]
                y, x = s // width + down, s % width + right
                # A wall or the border stops the step: S' = S.
                inside = 0 <= y < len(rows) and 0 <= x < width
                s2 = y * width + x if inside and rows[y][x] != "#" else s
                # += because two directions can lead to the same S', for example in a corner.
                P[s, a, s2] += p
                R[s, a] += p * TREASURES.get(text[s2], 0.0)
    return TabularModel(P, R, [cell in "gGx" for cell in text])


# %% Algorithm: a model in tables, forward search, rollouts

def draw(cumulative, rows, rng):
    """Draw a column number for each of `rows`; each row of `cumulative` holds summed probabilities.

    Inverse transform sampling. Probabilities .1 .1 .8 have the sums .1 .2 1.0. Draw u, uniform in
    [0, 1), and count the sums that are not above it: u = .15 passes one of them, so column 1 is
    drawn. That happens for u from .1 to .2: with probability .1, as it should.
    """
    u = rng.random(len(rows))
    count = np.zeros(len(rows), int)
    # In one line: (u[:, None] >= cumulative[rows]).sum(axis=1). Column by column is 4 times faster.
    for column in cumulative.T:
        count += u >= column[rows]
    return count


class TabularModel:
    """A model p(s'|s,a), R(s,a) in tables, known or learned. All its luck comes from the rng.

    P         (S, A, S) probabilities of the next state. A row may sum to less than 1: with the
              probability that is missing, the episode ends (learned tables say ends this way)
    R         (S, A) expected reward; every step from (s, a) pays exactly this
    terminal  (S,) bool, default none: the episode ends when such a state is entered

    ValueError for other shapes, NaN, or rows that are no probabilities. Copy draw along with it.

    One state; action 0 pays 1 and ends the episode, action 1 pays nothing and stays:

    >>> model = TabularModel(P=[[[0.0], [1.0]]], R=[[1.0, 0.0]])
    >>> next_states, rewards, terminated = model.step([0, 0], [0, 1], rng=0)
    >>> rewards.tolist(), terminated.tolist()
    ([1.0, 0.0], [True, False])
    """

    def __init__(self, P, R, terminal=None):
        # np.array copies: the caller's tables stay as they are.
        P = np.array(P, float)
        R = np.array(R, float)
        terminal = np.zeros(len(P), bool) if terminal is None else np.array(terminal, bool)
        good = P.shape == (*R.shape, len(P)) and terminal.shape == (len(P),) and R.ndim == 2
        if good:
            # Some tables go on behind the end: CliffWalking's goal pays -1 for ever. Clear these
            # rows, or else a search would add up rewards that no episode can earn.
            P[terminal] = 0.0
            R[terminal] = 0.0
            # NaN >= 0 is False, so this refuses NaN too. Rounding may lift a sum a bit above 1.
            good = np.isfinite(R).all() and (P >= 0).all() and (P.sum(axis=2) <= 1 + 1e-6).all()
        if not good:
            raise ValueError("need P (S, A, S) with rows of probabilities that sum to at most 1, "
                             "R (S, A) without NaN, and terminal (S,)")
        self.P, self.R, self.terminal = P, R, terminal

        # For sampling. Rows of P are mostly zeros: keep only the n most likely next states, where n
        # is the number of possible ones, and add up their probabilities. With n = 3 the row
        #     P            0  .1  .8   0  .1      (states 0 to 4)      becomes
        #     successors  [1, 4, 2, s]            sorted by probability; why s, see step
        #     cumulative  [.1, .2, 1.0]           .1, .1 + .1, .1 + .1 + .8
        # Both tables have one row for each pair: pair (s, a) has number s * A + a.
        S, A = R.shape
        rows = P.reshape(S * A, S)
        n = (rows > 0).sum(axis=1).max()
        self.cumulative = np.sort(rows, axis=1)[:, -n:].cumsum(axis=1)          # (S A, n)
        # "stable" keeps equal probabilities in order, so that every machine draws the same states.
        successors = rows.argsort(axis=1, kind="stable")[:, -n:]
        itself = np.repeat(np.arange(S), A)         # the s of each pair: 0 0 0 0 1 1 1 1 2 ...
        self.successors = np.column_stack([successors, itself])                 # (S A, n + 1)

    def step(self, states, actions, rng):
        """R, S' ~ model for K pairs at once: next_states, rewards, terminated, each (K,).

        rng is a Generator or a seed. A row's missing probability ends the episode: S' = S then.
        """
        A = self.R.shape[1]
        pairs = np.asarray(states) * A + np.asarray(actions)
        i = draw(self.cumulative, pairs, np.random.default_rng(rng))
        # If u passed all n of them, it fell into the missing probability: the episode has ended,
        # and as "next state" the state itself, the last of the row, does no harm.
        ended = i == self.cumulative.shape[1]
        next_states = self.successors[pairs, i]
        return next_states, self.R.ravel()[pairs], ended | self.terminal[next_states]


def forward_search(model, state, depth, gamma, leaf_values=None):
    """Exact lookahead: Q (A,) of the actions in `state` when `depth` steps are left.

    Slide "Forward search". leaf_values (S,) are V_0, what a state is worth where the tree is cut:
    0 by default. Needs model.P, model.R, model.terminal as TabularModel has them.
    ValueError for an unknown state, a depth below 1, gamma outside [0, 1], other leaf_values.

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

    # Q_d(s,a) = R(s,a) + gamma sum_s' p(s'|s,a) V_{d-1}(s')
    def Q(s, a, d):
        future = 0.0
        # Only the possible next states become branches of the tree.
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

    Slide "Simulation-based search", with K = n_rollouts. policy (S, A) is pi(a|s), the base policy.
    Episodes are cut after `horizon` steps. rng is a Generator or a seed; it goes to model.step.
    Returns Q (A,) and its standard error (A,), inf for a single rollout. V(S) is policy[state] @ Q.
    Needs model.step and model.R as TabularModel has them. Copy draw along with it.
    ValueError for an unknown state, n_rollouts or horizon below 1, gamma outside [0, 1], or a
    policy whose rows are no probabilities.

    >>> model = TabularModel(P=[[[0.0], [1.0]]], R=[[1.0, 0.0]])    # pay 1 and end, or wait
    >>> Q, standard_error = rollout_search(model, 0, [[0.5, 0.5]], 10_000, 50, gamma=0.9, rng=0)
    >>> Q.round(2).tolist()         # waiting: 0.9 (0.5 + 0.5 * 0.9 * (0.5 + ...)) = 0.82
    [1.0, 0.82]
    """
    S, A = model.R.shape
    policy = np.array(policy, float)
    if not (0 <= state < S and n_rollouts >= 1 and horizon >= 1 and 0 <= gamma <= 1
            and policy.shape == (S, A) and (policy >= 0).all()
            and np.allclose(policy.sum(axis=1), 1)):
        raise ValueError("need a state in 0..S-1, n_rollouts and horizon of at least 1, gamma in "
                         "[0, 1] and a policy (S, A) whose rows are probabilities that sum to 1")
    rng = np.random.default_rng(rng)                # a Generator comes back as it is
    cumulative = policy.cumsum(axis=1)
    # Rounding may leave .9999999 at the end of a row: make it exactly 1. Then no u ever passes the
    # last sum, and draw needs only the columns before it.
    cumulative = (cumulative / cumulative[:, -1:])[:, :-1]

    # All A * K episodes walk side by side, one entry of each array for one episode. Each time step
    # is then one call of the model for all of them, which in NumPy costs little more than one for
    # a single episode. One after the other, in a Python loop, takes over ten times as long.
    n_episodes = A * n_rollouts
    states = np.full(n_episodes, state)
    # The asked action comes first, and pi chooses only afterwards: that makes it Q^pi(S,A).
    # If pi chose here too, every episode would estimate V^pi(S), whatever the action.
    actions = np.repeat(np.arange(A), n_rollouts)   # for K = 3: 0 0 0 1 1 1 2 2 2 ...
    G = np.zeros(n_episodes)
    running = np.arange(n_episodes)                 # the numbers of the episodes still under way
    for t in range(horizon):
        states, rewards, terminated = model.step(states, actions, rng)
        # G = R_1 + gamma R_2 + gamma^2 R_3 + ... is counted from the root, so that a reward after
        # t further steps weighs gamma^t. Counted from where it is paid, far treasures look near.
        G[running] += gamma**t * rewards
        # Episodes that are over leave the arrays: they earn no more, and cost no more.
        running = running[~terminated]
        states = states[~terminated]
        if len(running) == 0:
            break
        actions = draw(cumulative, states, rng)     # A ~ pi(.|S)

    G = G.reshape(A, n_rollouts)
    # Q(S,A) = 1/K sum_k G^k. What it tends to is Q^pi, not Q*: behind the first action, the
    # episodes did what pi does, and not what would be best.
    Q = G.mean(axis=1)
    # The variance of a sum of K independent returns is K Var(G), that of their mean Var(G) / K:
    # its error is the spread of a single return / sqrt(K). One return alone shows no spread.
    # ddof=1 divides by K - 1: around their own mean, K numbers spread a little too little.
    if n_rollouts == 1:
        return Q, np.full(A, np.inf)
    return Q, G.std(axis=1, ddof=1) / math.sqrt(n_rollouts)


# %% Exact answers

MODEL = bridge_model(BRIDGE, SLIP)
START = "".join(BRIDGE).index("S")
CELLS = [s for s, cell in enumerate("".join(BRIDGE)) if cell in "S."]       # where one can act


def lookahead_values(model, gamma, depth):
    """V_0, V_1, ..., V_depth of all states (depth + 1, S), by dynamic programming.

    The same numbers as forward_search, without a tree: each V_d is computed once for each state
    and kept, whereas the tree computes it again wherever the state turns up.
    """
    V = np.zeros((depth + 1, len(model.P)))
    # Rows of terminal states are 0 in TabularModel, so their V stays 0 without any further care.
    for d in range(1, depth + 1):
        V[d] = (model.R + gamma * (model.P @ V[d - 1])).max(axis=1)
    return V


def count_nodes(model, state, depth):
    """How many nodes (s, a) the tree of forward_search has, without building it."""
    nodes = np.zeros(len(model.P))
    for _ in range(depth):
        # Below s hang A nodes (s, a), and below each of these the trees of its possible S'.
        nodes = (1 + (model.P > 0) @ nodes).sum(axis=1)
        nodes[model.terminal] = 0                   # nothing hangs below the end of an episode
    return int(nodes[state])


def exact_returns(model, policy, gamma):
    """Mean Q^pi (S, A) and variance (S, A) of the return of a and then pi; nothing is sampled."""
    # One step of pi leads from s to s2 with probability P_pi[s, s2], and pays R_pi[s].
    P_pi = (policy[:, :, None] * model.P).sum(axis=1)
    R_pi = (policy * model.R).sum(axis=1)
    # V = R_pi + gamma P_pi V are S linear equations for S numbers: (I - gamma P_pi) V = R_pi.
    I = np.eye(len(R_pi))
    V = np.linalg.solve(I - gamma * P_pi, R_pi)
    future = gamma * (model.P @ V)
    Q = model.R + future
    # The return is G = R + gamma G', where G' is the return from S' on. Take the square, and then
    # the mean:   E[G^2] = R^2 + 2 R gamma E[G'] + gamma^2 E[G'^2].
    # The first two terms are known. The last one is like V above: linear equations, with gamma^2.
    known = model.R**2 + 2 * model.R * future
    square = np.linalg.solve(I - gamma**2 * P_pi, (policy * known).sum(axis=1))
    return Q, known + gamma**2 * (model.P @ square) - Q**2      # Var(G) = E[G^2] - E[G]^2


def value_at_start(policy):
    """The slide's V(S) = sum_a pi(a|S) Q(S,a), exactly."""
    Q, _ = exact_returns(MODEL, policy, GAMMA)
    return policy[START] @ Q[START]


def draw_band(ax, x, runs, color, style, label):
    """The mean of the runs (first axis), and a band of two standard errors: about 95 %."""
    mean = runs.mean(axis=0)
    error = runs.std(axis=0) / math.sqrt(max(len(runs) - 1, 1))
    ax.fill_between(x, mean - 2 * error, mean + 2 * error, color=color, alpha=0.2, linewidth=0)
    ax.plot(x, mean, style, color=color, label=label)


def draw_reference(ax, x, y, side, label):
    """A line at the exact answer y, with its label at x, to the right or left of it."""
    # Grey and dotted in every panel, so that exact answers look alike.
    ax.axhline(y, color=GREY, linestyle=":")
    ax.text(x, y, f"{label} {y:.3f}", color=GREY, fontsize=9, ha=side, va="bottom")


# %% Slide "Forward search": select the best action by lookahead

def draw_world(ax):
    # The text of the settings: whoever changes the world there sees it here.
    text = "\n".join(BRIDGE + ["", "S start   x drop   # wall", "treasures: g small, G big",
                               "", "the sensible policy:"] + SENSIBLE)
    ax.text(0.5, 0.5, text, family="monospace", ha="center", va="center")
    ax.set_title("a bridge between two drops")
    ax.axis("off")


def search_trees():
    """Q of the actions at S, from search trees of depth 1, 2, ...: (TREE_DEPTH, A)."""
    return np.array([forward_search(MODEL, START, d + 1, GAMMA) for d in range(TREE_DEPTH)])


def draw_depth(ax, Q):
    # After 1000 steps, more of them change nothing: gamma^1000 is 0.000000002.
    V = lookahead_values(MODEL, GAMMA, 1000)[:, START]
    ax.plot(range(LAST_DEPTH + 1), V[:LAST_DEPTH + 1], color=BLUE, label="dynamic programming")
    # The tree is built for the first few depths only; it finds the same values.
    ax.plot(range(1, TREE_DEPTH + 1), Q.max(axis=1), "o", color=RED, label="search tree")
    draw_reference(ax, 0, V[-1], "left", "optimum")
    ax.set(title="the deeper, the nearer to the optimum", xlabel="depth: steps looked ahead",
           ylabel="value of the best action at S", ylim=(0, 1.2 * V[-1]))
    ax.legend()


# %% Slide "Forward search": expensive

def draw_nodes(ax):
    depths = np.arange(1, 2 * TREE_DEPTH + 1)
    nodes = [count_nodes(MODEL, START, d) for d in depths]
    # A rollout has one step for each step ahead, however many branches there are.
    n_rollouts = 4 * K_ROLLOUTS[-1]
    # Only a logarithmic axis has room for both: 4 nodes at depth 1, 10^11 at depth 12.
    ax.plot(depths, nodes, "o-", color=RED, label="nodes of the search tree")
    ax.plot(depths, n_rollouts * depths, "--", color=GREEN, label=f"steps of {n_rollouts} rollouts")
    ax.set(title="expensive: the tree multiplies", xlabel="depth: steps looked ahead",
           ylabel="questions to the model", yscale="log")
    ax.legend()


# %% Slide "Forward search": errors have a tendency to be cumulative

def errors_of_learned_models(n_runs, seed):
    """RMS error over the cells of V_d, for d = 1, 2, ...: (n_runs, len(N_SAMPLES), LAST_DEPTH)."""
    # What entering each state pays; 0 for all but the treasures.
    pays = np.array([TREASURES.get(cell, 0.0) for cell in "".join(BRIDGE)])
    V = lookahead_values(MODEL, GAMMA, LAST_DEPTH)
    errors = np.zeros((n_runs, len(N_SAMPLES), LAST_DEPTH))
    for run in range(n_runs):
        # A stream for each run of each experiment: run 3 is the same however many runs there are.
        rng = np.random.default_rng([seed, 1, run])
        for i, n in enumerate(N_SAMPLES):
            # Learn by counting. multinomial draws how often n tries of each (s, a) led to each s2,
            # for example 7 2 1 of n = 10; the shares .7 .2 .1 are the learned p(s'|s,a).
            # (Rows of walls and ends come out as nonsense, but no episode ever asks for them.)
            P = rng.multinomial(n, MODEL.P) / n
            # P @ pays is the mean reward of these tries: shares times what entering s2 pays.
            learned = TabularModel(P, P @ pays, MODEL.terminal)
            # How wrong a lookahead is that trusts this model. V_0 is 0 in both, so it is left out.
            error = lookahead_values(learned, GAMMA, LAST_DEPTH) - V
            errors[run, i] = np.sqrt((error[1:, CELLS]**2).mean(axis=1))
    return errors


def draw_learned(ax, errors):
    # Three line styles, so that nobody needs the colours to tell the curves apart.
    for i, n in enumerate(N_SAMPLES):
        draw_band(ax, range(1, LAST_DEPTH + 1), errors[:, i], (RED, BLUE, GREEN)[i],
                  ("-", "--", "-.")[i], f"{n} samples of each pair")
    ax.axhline(0, color=GREY, linestyle=":", label="true model: no error")
    ax.set(title="learned model: errors accumulate", xlabel="depth: steps looked ahead",
           ylabel="RMS error of V over all cells", ylim=(None, 2 * errors.mean(axis=0).max()))
    ax.legend()


# %% Slide "Simulation-based search": the mean of K returns, and acting on it

def sensible_policy():
    """The arrows of SENSIBLE as probabilities (S, 4)."""
    # Every row must be probabilities, also those of walls and ends, where nobody ever acts.
    policy = np.full((len(MODEL.P), 4), 0.25)
    for s, cell in enumerate("".join(SENSIBLE)):
        if cell in "^>v<":
            policy[s] = np.eye(4)["^>v<".index(cell)]       # up is 1 0 0 0, right 0 1 0 0, ...
    return policy


def search_everywhere(policy, n_runs, seed):
    """Rollouts of `policy` in all cells: Q at S (n_runs, Ks, N_SEARCHES, A), and the value at S of
    always taking the action with the best Q (n_runs, Ks)."""
    Q_start = np.zeros((n_runs, len(K_ROLLOUTS), N_SEARCHES, 4))
    values = np.zeros((n_runs, len(K_ROLLOUTS)))
    for run in range(n_runs):
        rng = np.random.default_rng([seed, 2, run])
        for k, K in enumerate(K_ROLLOUTS):
            # An agent that searches anew in every step does not always do the same: its searches
            # differ. The share of searches in which an action wins is its probability.
            plan = np.zeros_like(policy)
            for s in CELLS:
                for i in range(N_SEARCHES):
                    Q, _ = rollout_search(MODEL, s, policy, K, HORIZON, GAMMA, rng)
                    # Ties at random. With K = 1 often all four returns are 0, and argmax would
                    # take "up" each time: into the wall, and never out of there.
                    plan[s, rng.choice(np.flatnonzero(Q == Q.max()))] += 1 / N_SEARCHES
                    if s == START:
                        Q_start[run, k, i] = Q
            # Solved exactly: a few episodes played would mostly show their own luck.
            values[run, k] = value_at_start(plan)
    return Q_start, values


def draw_errors(ax, name, policy, Q_start, color, style, marker):
    Q_pi, variance = exact_returns(MODEL, policy, GAMMA)
    # Standard error of a mean: spread of one return / sqrt(K), here from the exact variance.
    exact = np.sqrt(variance[START].mean() / np.array(K_ROLLOUTS))
    ax.plot(K_ROLLOUTS, exact, style, color=color, label=f"{name} policy, exact")
    # Root of the mean square: errors of opposite signs would cancel in a plain mean.
    rms = np.sqrt(((Q_start - Q_pi[START])**2).mean(axis=(0, 2, 3)))
    ax.plot(K_ROLLOUTS, rms, marker, color=color, label=f"{name} policy, measured")
    ax.set(title="rollouts: the error falls as 1/sqrt(K)", xlabel="K rollouts per action",
           ylabel="RMS error of Q at S", xscale="log", yscale="log")
    ax.legend(loc="lower left")


def draw_acting(ax, name, policy, values, color, style):
    draw_band(ax, K_ROLLOUTS, values, color, style, f"acting on rollouts of the {name} policy")
    draw_reference(ax, 1, value_at_start(policy), "left", f"{name} policy itself")
    # More and more rollouts tend to Q^pi: the end of this road is its best action everywhere.
    Q_pi, _ = exact_returns(MODEL, policy, GAMMA)
    limit = value_at_start(np.eye(4)[Q_pi.argmax(axis=1)])
    draw_reference(ax, K_ROLLOUTS[-1], limit, "right", f"{name}, exact Q")
    ax.set(title="acting on rollouts improves a policy", xlabel="K rollouts per action",
           ylabel="value at S", xscale="log", ylim=(0, 0.8))
    ax.legend()


# %% The run: what is printed, and main

def row(what, measured, compare):
    """One printed line; `compare` says what the number should be near, and why."""
    print(f"{what:46} | {measured:9.6g} | {compare}")


def run_all(axes, n_runs, seed):
    print(f"{'what':46} |  measured | compare")
    # In the order of the slides: above forward search, below learned models and rollouts.
    draw_world(axes[0, 0])
    Q = search_trees()
    draw_depth(axes[0, 1], Q)
    V = lookahead_values(MODEL, GAMMA, TREE_DEPTH)[-1, START]
    row(f"value at S, search tree of depth {TREE_DEPTH}", Q[-1].max(), f"{V:.6f}: without a tree")
    draw_nodes(axes[0, 2])
    one_less = count_nodes(MODEL, START, TREE_DEPTH - 1)
    row("nodes of that tree", count_nodes(MODEL, START, TREE_DEPTH), f"{one_less}: one step less")
    errors = errors_of_learned_models(n_runs, seed)
    draw_learned(axes[1, 0], errors)
    for i, n in enumerate(N_SAMPLES):
        mean = errors[:, i].mean(axis=0)
        row(f"RMS error of V_{LAST_DEPTH}, {n} samples of a pair", mean[-1], f"{mean[0]:.4f}: V_1")
    random = np.full((len(MODEL.P), 4), 0.25)
    # Both policies with the same seed: neither is luckier.
    for name, policy, color, style, marker in (("random", random, RED, "--", "s"),
                                               ("sensible", sensible_policy(), BLUE, "-", "o")):
        Q_start, values = search_everywhere(policy, n_runs, seed)
        draw_errors(axes[1, 1], name, policy, Q_start, color, style, marker)
        draw_acting(axes[1, 2], name, policy, values, color, style)
        for k in (0, -1):
            row(f"acting on K = {K_ROLLOUTS[k]} rollouts, {name} policy", values[:, k].mean(),
                f"{value_at_start(policy):.4g}: that policy itself")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], usage=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=30, help="independent runs (default 30)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random numbers (0)")
    parser.add_argument("--save", metavar="FILE", help="write the figure here: png, pdf or svg")
    # In a notebook's cell the command line belongs to the kernel, not to this script.
    args = parser.parse_args([] if "ipykernel" in sys.argv[0] else None)
    if args.runs < 1 or args.seed < 0:
        parser.error("--runs must be at least 1 and --seed at least 0")
    plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False,
                         "legend.frameon": False, "legend.fontsize": 9})
    fig, axes = plt.subplots(2, 3, figsize=(12.8, 7.6), layout="constrained")
    if args.save is None and plt.get_backend().lower() == "agg":        # there is no display
        args.save = "rollout_search.png"
    if args.save:
        try:
            fig.savefig(args.save)      # a file that cannot be written is refused before any work
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
