"""Choose an action by looking ahead in a model: with a whole search tree or with sampled episodes.

The slides, and where they are in this file
    Forward search             forward_search; show_depth, show_nodes (cost), show_learned (errors)
    Simulation-based search    rollout_search; rollout_errors, values_of_acting
The equations
    Forward search   Q_d(s,a) = R(s,a) + gamma sum_s' p(s'|s,a) V_{d-1}(s')      (d: steps to go)
                     V_d(s)   = max_a Q_d(s,a),   V_0(s) = 0,   a terminal state is worth 0
    Rollouts         Q(S,A)   = 1/K sum_k G^k,    G = R_1 + gamma R_2 + gamma^2 R_3 + ...
                     V(S)     = sum_a pi(a|S) Q(S,a), as pi also chooses the first action
Run it: python rollout_search.py (10 seconds). What you will see, and why
    A small treasure is near. A big one is 6 steps away, across a bridge between two drops (the map
    is BRIDGE, below). If forward search looks fewer than 6 steps ahead, it takes the small one.
    But every further step makes the search tree about ten times larger (4 actions, 2 or 3 next
    states each), and a rollout only one step longer. A learned model is a bit wrong, and each step
    ahead uses it once more: so the mean error grows with depth, until most episodes are over.
    Rollouts of a policy tell what this policy will earn. Four times as many make the error half as
    large. Now let an agent act: at each step it makes rollouts, and takes the action with the best
    mean return. With enough rollouts it does better than the policy itself (policy improvement).
    With few, luck decides which action looks best, and the agent may do worse than the policy.
    Random rollouts show only the way to the small treasure: just 1 in 200 gets to the big one.
Try, after reading: change one line, run again, and answer
    SLIP = 0.0        Without slips, can search still improve the policy SENSIBLE?
    TREE_DEPTH = 7    How much more time does one more step take, and how much value does it add?
    TREASURES = {"g": 0.1, "G": 1.0}   Do random rollouts now lead to the big treasure?
Notation: s, a, s2 are the slides' S, A, S', G is a return. P[s, a, s2] = p(s2|s,a), R[s, a] =
expected reward, policy[s, a] = pi(a|s). In shapes, S and A are the numbers of states and actions.
"Needs f, g" in a docstring: if you copy the function, copy f and g, too.
Left out on purpose: trees that grow only where it is useful (see mcts.py).
References: Sutton & Barto, 2nd ed. (2018), 8.8 to 8.10; Tesauro & Galperin (1996): rollouts.
"""

import argparse
import sys

import matplotlib.pyplot as plt
import numpy as np

# %% Settings
# S start, g small treasure, G big treasure, x drop, # wall, . free. g, G and x end the episode; x
# pays nothing. S and . are never at the border, so that no step leads out of the map.
BRIDGE = ["#xxx###",
          "gS..xx#",
          "#.....G",
          "####xx#"]
# If no step slips, this policy takes a shortest way to the big treasure. But it first walks right,
# under the drops of the top row, where a slip may be the end, and then down: search can do better.
SENSIBLE = ["#xxx###",
            "g>>vxx#",
            "#>>>>>G",
            "####xx#"]
TREASURES = {"g": 0.4, "G": 1.0}
SLIP = 0.2      # one step in five goes sideways, so walking beside a drop is dangerous
GAMMA = 0.98    # close to 1, so that a treasure 6 steps away still counts
HORIZON = 30    # a rollout has at most 30 steps: more than 99 % of random walks are over by then


# %% Environment: a slippery world with a bridge
def bridge_model(maze, slip):
    """Returns the map's TabularModel (class below) and pays (S,), what entering a cell pays: the
    learned models need it. Cells are numbered row by row. Actions 0 to 3: up, right, down, left.
    With probability `slip` a step goes to a side instead: from "up", left or right."""
    text = "".join(maze)
    width = len(maze[0])
    moves = [-width, 1, width, -1]      # added to the cell's number: one row down is + width
    P = np.zeros((len(text), 4, len(text)))
    for s, letter in enumerate(text):
        # Nobody acts in walls and after the end: there, P stays 0.
        if letter not in "S.":
            continue
        for a in range(4):
            # Clockwise: from "up", one turn leads to "right", three turns lead to "left".
            for turns, p in [(0, 1 - slip), (1, slip / 2), (3, slip / 2)]:
                s2 = s + moves[(a + turns) % 4]
                if text[s2] == "#":
                    s2 = s                          # a wall stops the step
                # += because two moves can lead to the same S', for example in a corner.
                P[s, a, s2] += p
    pays = np.array([TREASURES.get(letter, 0.0) for letter in text])
    # R(s,a) = sum_s' p(s'|s,a) * what entering s' pays: (S, A, S) @ (S,) = (S, A).
    return TabularModel(P, P @ pays, [letter in "gGx" for letter in text]), pays


# %% Algorithm: a model in tables, forward search, rollouts
def draw_columns(sums, rng):
    """Draw a column number for each row of running sums (N, n), last sum 1. rng: a Generator."""
    # Example: .1 .6 .3 has the sums .1 .7 1. Draw u, uniform in [0, 1). Below .1 it gives column
    # 0, from .1 to .7 column 1 (with probability .6), from .7 on column 2: the first column with a
    # sum above u. (The plain rng.choice(n, p=row) for each row would be slow.)
    u = rng.random((len(sums), 1), dtype="float32")     # (N, 1); float32 is faster
    return (u < sums).argmax(axis=1)            # argmax finds the first True


class TabularModel:
    """A model p(s'|s,a), R(s,a) in tables (slide "How to build a model? (III)"), known or learned.
    P         (S, A, S) probabilities of the next state. If P[s, a] sums to less than 1, say .9,
              the episode ends with the missing probability, .1 (learned from 1 end in 10 cases)
    R         (S, A) expected rewards. A step pays this mean, whatever S' is
    terminal  (S,) bool, by default all False. The episode ends when a terminal state is entered
    The model copies the tables. ValueError for bad shapes, P or R. Needs draw_columns.
    One state. Action 0 pays 1 and ends the episode (its row of P is [0.0]: the whole probability
    is missing), action 1 waits (its row is [1.0]):
    >>> model = TabularModel(P=[[[0.0], [1.0]]], R=[[1.0, 0.0]])
    >>> next_states, rewards, terminated = model.step([0, 0], [0, 1], rng=0)
    >>> rewards.tolist(), terminated.tolist()
    ([1.0, 0.0], [True, False])
    """

    def __init__(self, P, R, terminal=None):
        P = np.array(P, float)                      # np.array makes a copy
        R = np.array(R, float)
        S, A = P.shape[:2]
        terminal = np.zeros(S, bool) if terminal is None else np.array(terminal, bool)
        # NaN >= 0 is False, so NaN is refused, too. Rounding may lift a sum a bit above 1.
        if not (P.shape == (S, A, S) and R.shape == (S, A) and terminal.shape == (S,)
                and np.isfinite(R).all() and (P >= 0).all() and (P.sum(axis=2) <= 1 + 1e-6).all()):
            raise ValueError("need P (S, A, S) of probabilities, finite R (S, A), terminal (S,)")
        # The caller's tables may have rows for terminal states. They become 0: nothing follows.
        P[terminal] = 0.0
        R[terminal] = 0.0
        self.P = P
        self.R = R
        self.terminal = terminal
        # For draw_columns: P's running sums, and 1 for the missing probability: .7 .2 has .7 .9 1,
        # from u = .9 on the episode ends. (Rounding ends none: .9999999999 is 1 in float32.)
        self.sums = np.concatenate([P.cumsum(axis=2), np.ones((S, A, 1))], axis=2, dtype="float32")

    def step(self, states, actions, rng):
        """Draws S' for N pairs. Returns next_states, rewards (means), terminated, each (N,). If
        an episode ends by missing probability, S' is just S. rng: a Generator or a seed. (In a
        loop, pass a Generator: a seed would give each step the same luck.)"""
        # sums[states, actions] is (N, S + 1). (default_rng returns a Generator unchanged.)
        columns = draw_columns(self.sums[states, actions], np.random.default_rng(rng))
        missing = (columns == len(self.R))          # the last column: it has the number S
        next_states = np.where(missing, states, columns)
        return next_states, self.R[states, actions], self.terminal[next_states] | missing


def forward_search(model, state, depth, gamma, leaf_values=None):
    """Exact lookahead: Q (A,) of the actions in `state` when `depth` steps are left.
    Slide "Forward search". leaf_values (S,) are V_0, the values of the states at which the tree is
    cut: by default 0, but good learned values would be better. Terminal states are always worth 0.
    The model has tables P, R, terminal, like a TabularModel. ValueError for an unknown state, a
    depth below 1 or not whole, gamma outside [0, 1], or leaf_values of another shape.
    In TabularModel's example, waiting pays 0 now, and one step later the reward 1: 0 + 0.9 * 1.
    >>> model = TabularModel(P=[[[0.0], [1.0]]], R=[[1.0, 0.0]])
    >>> forward_search(model, 0, depth=3, gamma=0.9).tolist()
    [1.0, 0.9]
    """
    S, A = model.R.shape
    leaf_values = np.zeros(S) if leaf_values is None else np.asarray(leaf_values, float)
    if not (state in range(S) and depth >= 1 and depth % 1 == 0 and 0 <= gamma <= 1
            and leaf_values.shape == (S,)):
        raise ValueError("need state in 0..S-1, whole depth >= 1, gamma in 0..1, leaf_values (S,)")
    # Q needs V (below) of the next states, and V needs Q: they call each other until d is 0.
    # Q_d(s,a) = R(s,a) + gamma sum_s' p(s'|s,a) V_{d-1}(s'), for all actions together: (A,).
    def Q(s, d):
        values = np.array(model.R[s], float)        # a copy: += must not change the model
        for a in range(A):
            # The branches of the tree are the next states with p > 0: flatnonzero finds them.
            for s2 in np.flatnonzero(model.P[s, a]):
                values[a] += gamma * model.P[s, a, s2] * V(s2, d - 1)
        return values

    # V_d(s) = max_a Q_d(s,a), because an agent in s will choose the best action.
    def V(s, d):
        if model.terminal[s]:
            return 0.0                              # the episode is over, nothing can be earned
        if d == 0:
            return leaf_values[s]                   # a leaf: here the tree is cut
        return Q(s, d).max()
    return Q(state, depth)


def rollout_search(model, state, policy, n_rollouts, horizon, gamma, rng):
    """Value of each action in `state`, as the mean return of n_rollouts simulated episodes.
    model       a TabularModel, or any object with such a method step, and R (for its shape)
    policy      (S, A), pi(a|s): the policy that is simulated
    n_rollouts  the number of episodes for each action: the slide's K
    horizon     each episode is cut after this number of steps
    rng         a Generator or a seed: all random numbers come from it, also those of model.step
    Slide "Simulation-based search". Returns Q (A,) and its standard error (A,): the standard
    deviation (over K - 1) of the K returns, divided by sqrt(K), or inf if K is 1. (A TabularModel
    pays mean rewards, so the luck of single rewards is missing here.) V(S) is policy[state] @ Q.
    ValueError for an unknown state, n_rollouts or horizon below 1, gamma outside [0, 1], or a
    policy whose rows are not probabilities. Needs draw_columns.
    In TabularModel's example, let pi always take action 0. If we wait first, it pays a step later:
    >>> model = TabularModel(P=[[[0.0], [1.0]]], R=[[1.0, 0.0]])
    >>> Q, error = rollout_search(model, 0, [[1.0, 0.0]], 4, horizon=9, gamma=0.5, rng=0)
    >>> Q.tolist(), error.tolist()
    ([1.0, 0.5], [0.0, 0.0])
    """
    S, A = model.R.shape
    policy = np.array(policy, float)
    if not (state in range(S) and n_rollouts >= 1 and horizon >= 1 and 0 <= gamma <= 1
            and policy.shape == (S, A) and (policy >= 0).all()
            and np.allclose(policy.sum(axis=1), 1)):
        raise ValueError("need state in 0..S-1, n_rollouts, horizon >= 1, gamma in 0..1, policy")
    rng = np.random.default_rng(rng)
    sums = policy.cumsum(axis=1).astype("float32")  # for draw_columns
    sums[:, -1] = 1                                 # rounding may have changed it a bit
    # All A * K episodes run side by side: one call of model.step moves all of them by one step.
    states = np.full(A * n_rollouts, state)
    # Each episode starts with the action whose Q we want. pi chooses only after that. If pi chose
    # the first action, too, every episode would estimate V^pi(S) instead of Q^pi(S,A).
    actions = np.repeat(np.arange(A), n_rollouts)   # for K = 3: 0 0 0 1 1 1 2 2 2 ...
    G = np.zeros(A * n_rollouts)
    # The numbers of the episodes that are not over: when episode 1 of 0 1 2 ends, running is 0 2.
    # G has an entry for each episode, `states` and `actions` have one for each running episode.
    running = np.arange(A * n_rollouts)
    for t in range(horizon):
        states, rewards, terminated = model.step(states, actions, rng)
        # G = R_1 + gamma R_2 + gamma^2 R_3 + ... The first reward, at t = 0, is not discounted.
        G[running] += gamma**t * rewards
        # We remove the episodes that are over. (actions are drawn anew, below.)
        goes_on = np.logical_not(terminated)
        running = running[goes_on]
        states = states[goes_on]
        if len(running) == 0:
            break
        actions = draw_columns(sums[states], rng)       # A ~ pi(.|S), for all that still run
    # Q(S,A) = 1/K sum_k G^k. With more rollouts this mean comes near Q^pi (of `horizon` steps),
    # not Q*: after the first action, the episodes followed pi. We only become more sure of Q^pi.
    G = G.reshape(A, n_rollouts)        # a row for each first action, as np.repeat ordered them
    Q = G.mean(axis=1)
    if n_rollouts == 1:
        return Q, np.full(A, np.inf)                # one return alone does not show the spread
    # The mean of K returns is wrong by about spread / sqrt(K). (If it is 0, K may be too small for
    # rare rewards. ddof=1 divides by K - 1, as returns are nearer to their own mean than to Q^pi.)
    return Q, G.std(axis=1, ddof=1) / np.sqrt(n_rollouts)


# %% Exact answers
MODEL, PAYS = bridge_model(BRIDGE, SLIP)
START = "".join(BRIDGE).index("S")
CELLS = [s for s, letter in enumerate("".join(BRIDGE)) if letter in "S."]   # here one can act


def lookahead_values(policy=None, P=MODEL.P, R=MODEL.R):
    """V_0, ..., V_HORIZON of all states (HORIZON + 1, S), by dynamic programming: the values that
    forward_search finds or, if a policy is given, those of this policy. (A tree computes V_d(s)
    again wherever s appears. Here each V_d(s) is computed once.)"""
    V = np.zeros((HORIZON + 1, len(P)))     # in walls and ends it stays 0, because R and P are 0
    for d in range(1, HORIZON + 1):
        Q = R + GAMMA * (P @ V[d - 1])        # P @ V: the sum over s', for all pairs (S, A)
        V[d] = Q.max(axis=1) if policy is None else (policy * Q).sum(axis=1)
    return V


V_EXACT = lookahead_values()
OPTIMUM = V_EXACT[HORIZON, START]       # of the best policy (more steps would add nearly nothing)

# %% What the experiments and panels below share
RED, BLUE, GREEN = "#D55E00", "#0072B2", "#009E73"


def draw_band(ax, x, runs, i, label):
    """Draw curve i: the mean of runs (n_runs, len(x)), and a band of about two standard errors."""
    color = [RED, BLUE, GREEN][i]
    mean = runs.mean(axis=0)
    error = 2 * runs.std(axis=0) / len(runs)**0.5       # (with ddof=1, --runs 1 would give NaN)
    ax.fill_between(x, mean - error, mean + error, color=color, alpha=0.2)
    ax.plot(x, mean, ["--", "-", ":"][i], color=color, label=label)


# %% Slide "Forward search": select the best action by lookahead
TREE_DEPTH = 6      # 600,000 nodes (some branches end early): about a second


def show_depth(ax):
    depths = range(1, TREE_DEPTH + 1)
    values = [forward_search(MODEL, START, d, GAMMA).max() for d in depths]
    print(f"value at S, search tree of depth {TREE_DEPTH}             | {values[-1]:8.4g} | "
          f"{V_EXACT[TREE_DEPTH, START]:.4g}: exact, by dynamic programming")
    ax.plot(V_EXACT[:, START], color=BLUE, label="dynamic programming")
    ax.plot(depths, values, "o", color=RED, label="search tree")
    ax.axhline(OPTIMUM, color="grey", linestyle=":", label=f"optimum: {OPTIMUM:.3f}")
    ax.text(HORIZON, 0.02, "\n".join(BRIDGE) + "\nS start, x drop\ng, G treasures\nsensible: to G",
            family="monospace", ha="right")
    ax.set(title="the deeper, the nearer to the optimum", xlabel="depth: steps looked ahead",
           ylabel="value at S", ylim=(0, 1.7 * OPTIMUM))        # room for map and legend


# %% Slide "Forward search": expensive
def show_nodes(ax):
    depths = np.arange(1, HORIZON + 1)
    # nodes[d, s]: the number of nodes in the search tree of depth d that has s at the top.
    nodes = np.ones((HORIZON + 1, len(MODEL.R)))    # the tree of depth 0 is the state alone
    for d in depths:
        # Below s, there is a tree of depth d - 1 for each action and each next state with P > 0.
        # True counts as 1, False as 0: so @ adds up the nodes of these trees, for each (s, a).
        below = (MODEL.P > 0) @ nodes[d - 1]
        nodes[d] = 1 + below.sum(axis=1)
    ax.semilogy(nodes[:, START], color=RED, label="search tree")
    # A rough comparison (a node costs about one step in the model, like each step of a rollout):
    # 1000 rollouts of at most d steps for each of the 4 actions.
    ax.semilogy(depths, 4000 * depths, "--", color=GREEN, label="4 x 1000 rollouts")
    ax.set(title="expensive: the tree multiplies", xlabel="depth: steps looked ahead",
           ylabel="steps in the model")


# %% Slide "Forward search": errors have a tendency to be cumulative
N_SAMPLES = [3, 10, 100]        # how often a learned model has seen each pair (s, a)


def errors_of_learned_models(n_runs, seed):
    """Mean error over CELLS of V_0, V_1, ...: (n_runs, len(N_SAMPLES), HORIZON + 1)."""
    errors = np.zeros((n_runs, len(N_SAMPLES), HORIZON + 1))
    for run in range(n_runs):
        rng = np.random.default_rng(1000 * seed + run)      # --seed 1: 1000, 1001, ...
        for i, n in enumerate(N_SAMPLES):
            # P is learned by counting (what each cell pays is known). For each pair, multinomial
            # draws how often n tries led to each s2: from 7, 2, 1 of n = 10 we learn .7 .2 .1.
            P = np.zeros_like(MODEL.P)
            P[CELLS] = rng.multinomial(n, MODEL.P[CELLS]) / n       # all pairs: (cells, 4, S)
            # The error of the values of forward search: (HORIZON + 1, S).
            error = abs(lookahead_values(P=P, R=P @ PAYS) - V_EXACT)
            errors[run, i] = error[:, CELLS].mean(axis=1)
    return errors


def show_learned(ax, n_runs, seed):
    errors = errors_of_learned_models(n_runs, seed)
    for i, n in enumerate(N_SAMPLES):
        draw_band(ax, range(HORIZON + 1), errors[:, i], i, f"{n} samples of each pair")
    print(f"{N_SAMPLES[0]} samples of each pair: error of V_{HORIZON}          | "
          f"{errors[:, 0, HORIZON].mean():8.4g} | {errors[:, 0, 1].mean():.4g}: error of V_1")
    ax.set(title="learned model: errors accumulate", ylim=(0, 0.6 * OPTIMUM),
           xlabel="depth: steps looked ahead", ylabel="mean error of V")


# %% Slide "Simulation-based search": the mean of K returns, and acting on it
K_ROLLOUTS = 4**np.arange(5)    # 1, 4, 16, 64, 256: from each to the next, the error should halve
N_SEARCHES = 12     # searches for each K and cell. (100 give nearly the same curves.)
# An arrow's place in "^>v<" is its action. (Elsewhere find gives -1, but there nobody acts.)
ARROWS = ["^>v<".find(letter) for letter in "".join(SENSIBLE)]
# Row a of np.eye(4) is 1 in column a, else 0: a policy that always chooses action a.
# np.eye(4)[ARROWS] has such a row for each cell: (S, 4).
POLICIES = {"random": np.full(MODEL.R.shape, 0.25), "sensible": np.eye(4)[ARROWS]}


def rollout_errors(policy, n_runs, seed):
    """RMS (root mean square) error of Q at S, by K: (n_runs, len(K_ROLLOUTS))."""
    # Q^pi(S,a) = R + gamma sum_s' p(s'|S,a) V^pi(s'): after the first step, HORIZON - 1 are left.
    Q_pi = MODEL.R[START] + GAMMA * (MODEL.P[START] @ lookahead_values(policy)[HORIZON - 1])
    errors = np.zeros((n_runs, len(K_ROLLOUTS)))
    for run in range(n_runs):
        rng = np.random.default_rng(1000 * seed + run)
        for i, K in enumerate(K_ROLLOUTS):
            Qs = [rollout_search(MODEL, START, policy, K, HORIZON, GAMMA, rng)[0]
                  for _ in range(N_SEARCHES)]
            # Qs is a list, but Qs - Q_pi is an array (N_SEARCHES, 4). The mean is over both axes.
            errors[run, i] = np.sqrt(((Qs - Q_pi)**2).mean())
    return errors


def values_of_acting(policy, n_runs, seed):
    """The value at S, by K, of an agent that at each step makes K rollouts of `policy` per action
    and takes the action with the largest Q: (n_runs, len(K_ROLLOUTS))."""
    values = np.zeros((n_runs, len(K_ROLLOUTS)))
    for run in range(n_runs):
        rng = np.random.default_rng(1000 * seed + run)
        for i, K in enumerate(K_ROLLOUTS):
            # We need not run the agent: it searches anew in each state, so it is a policy, too. We
            # estimate its pi(a|s), how often a search prefers a, and compute the value of this pi.
            votes = np.zeros_like(policy)       # (S, A): how many searches preferred the action
            for s in CELLS:
                for _ in range(N_SEARCHES):
                    Q, _ = rollout_search(MODEL, s, policy, K, HORIZON, GAMMA, rng)
                    # Ties are shared: True True False False become .5 .5 0 0, not 1 0 0 0.
                    best = (Q == Q.max())
                    votes[s] += best / best.sum()
            values[run, i] = lookahead_values(votes / N_SEARCHES)[HORIZON, START]
    return values


def show_rollouts(errors_ax, values_ax, i, name, n_runs, seed):
    policy = POLICIES[name]
    errors = rollout_errors(policy, n_runs, seed)
    values = values_of_acting(policy, n_runs, seed)
    # Theory: the error is spread / sqrt(K). The spread, the standard deviation of one return, is
    # measured with 10,000 rollouts: their standard error is spread / sqrt(10,000).
    _, standard_error = rollout_search(MODEL, START, policy, 10_000, HORIZON, GAMMA, seed)
    spread = 10_000**0.5 * np.sqrt((standard_error**2).mean())  # RMS over the four actions
    theory = spread / np.sqrt(K_ROLLOUTS)
    print(f"{name:8} policy, {K_ROLLOUTS[-1]} rollouts: RMS error of Q  | "
          f"{errors[:, -1].mean():8.4g} | {theory[-1]:.4g}: theory, spread / sqrt(K)")
    draw_band(errors_ax, K_ROLLOUTS, errors, i, f"{name} policy")
    errors_ax.loglog(K_ROLLOUTS, theory, "ko:")         # black dots
    errors_ax.set(title="rollouts: the error falls as 1/sqrt(K)", xlabel="K rollouts per action",
                  ylabel="RMS error of Q at S (dots: theory)")
    itself = lookahead_values(policy)[HORIZON, START]
    print(f"    value at S of acting on rollouts           | {values[:, -1].mean():8.4g} | "
          f"the policy itself {itself:.4g}, optimum {OPTIMUM:.4g}")
    draw_band(values_ax, K_ROLLOUTS, values, i, "acting on rollouts")
    values_ax.axhline(itself, color="grey", linestyle="-.", label=f"policy itself: {itself:.3f}")
    values_ax.axhline(OPTIMUM, color="grey", linestyle=":", label=f"optimum: {OPTIMUM:.3f}")
    values_ax.set(title=f"enough rollouts improve\nthe {name} policy", xscale="log",
                  ylim=(0, 1.7 * OPTIMUM), xlabel="K rollouts per action", ylabel="value at S")


# %% The run: what is printed, and main
def run_all(axes, n_runs, seed):
    print("what                                           | measured | compare")
    show_depth(axes[0, 0])
    show_nodes(axes[0, 1])
    show_learned(axes[0, 2], n_runs, seed)
    show_rollouts(axes[1, 0], axes[1, 1], 0, "random", n_runs, seed)
    show_rollouts(axes[1, 0], axes[1, 2], 1, "sensible", n_runs, seed)
    for ax in axes.flat:
        ax.legend()


def main():
    """Not about the lecture: reads the options, then shows the figure, or saves it."""
    # Without a screen, matplotlib chooses the backend "agg", which has no windows: we save a file.
    file = "rollout_search.png" if plt.get_backend().lower() == "agg" else None
    # usage=SUPPRESS: an error prints one line, without the list of all options before it.
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=16, help="independent runs (default 16)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random numbers")
    parser.add_argument("--save", metavar="FILE", default=file, help="figure: png, pdf or svg")
    # In a notebook the program is ipykernel_launcher: the options are its own, not ours.
    args = parser.parse_args([] if "kernel_launcher" in sys.argv[0] else sys.argv[1:])
    if args.runs < 1 or args.seed < 0:
        parser.error("--runs must be at least 1 and --seed at least 0")
    fig, axes = plt.subplots(2, 3, figsize=(11, 6.6), layout="constrained")
    if args.save:
        # We save the empty figure first: so a bad file name is refused before the work.
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

# SPDX-License-Identifier: MIT-0
# (MIT-0: do what you like with this file. The rest is for the tool `uv run`; Python ignores it.)
# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy>=1.26", "matplotlib>=3.8"]
# ///
