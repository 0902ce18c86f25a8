"""Monte-Carlo Tree Search: simulate episodes, and remember in a tree which actions went well.

The slides, and where they are here
    Monte-Carlo Tree Search                    mcts: Select, Expand, Rollout, Update
    "pick actions according to Q(s,a)"         Node.select
    "output best action" in the root           Node.best
    Putting it all together                    CountModel, together
    Simulation-based search (the baseline)     flat_search

Select   untried actions first, then the largest UCB1 score  Q(s,a) + c sqrt(ln N(s) / N(s,a))
Update   Q(s,a) = 1/N(s,a) sum over k, u of 1(S_u^k,A_u^k = s,a) G_u^k: the mean, over simulations k
         that took a in s, of G_u = R_{u+1} + gamma R_{u+2} + ..., the return from that very step
Output   argmax_a Q(root,a), the slide's rule; or the action of most visits, the common one

Run it: python mcts.py (about 15 s; --quick 5 s; --help for more). To expect, mean +- standard
error of 16 runs:
    a bridge of 2 / 3 / 4 cells is crossed from 100 / 300 / 3000 simulations on (the latter two in
    93 % of the runs), with 30 / 100 / 300 in 9 % / 0 / 0: there the near treasure fools the search.
    It always fools flat search: random rollouts fall down, however many they are;
    slippery bridge of 3, 1000 simulations a step: return 0.72 +- 0.04 (optimum 0.744), flat 0.40;
    c = 1: 0.81 +- 0.04 (optimum 0.812); c = 0.1 doesn't look far enough, c = 10 doesn't use what it
    saw: 0.43; best Q and most visits hardly differ (0.025 +- 0.02 at c = 0.3);
    a reused tree gains 0.07 +- 0.01;
    all together: mean return 0.38 +- 0.02 over 25 episodes; without search 0.25, without model
    0.21, without values 0.17. The last ten are at 0.49; an optimal epsilon-greedy agent gets 0.527.
The last lines printed check each of these sentences on the run you just made. Among them are the
root's table (N, Q and the exact Q*) and, indented, the next two levels of the tree.

Notation
    s, a, r     S, A, R of the slide: any hashable state, an action, a float
    node        a state in the tree, with N[i], Q[i] and children[i] for its actions[i]
    N(s), V(s)  visits of s, the sum of its N; its value, max_a Q(s,a) or learned
    path        the (node, i, r) a simulation has passed in the tree;  G: return from a step on
    c, gamma, epsilon    exploration constant, discount, probability of a random action

Left out on purpose: learned priors over actions (PUCT), progressive widening for continuous
actions, two players (fold the opponent into step), nodes shared by paths, parallel simulations.

Kocsis & Szepesvari, Bandit based Monte-Carlo planning (2006): UCT. Browne et al., A survey of Monte
Carlo tree search methods (2012). Silver et al., Mastering the game of Go (2016): values at leaves.
"""
# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy>=1.26", "matplotlib>=3.8"]
# ///
# SPDX-License-Identifier: MIT-0

import argparse
import math
import os
import random
import sys
from pathlib import Path

import numpy as np

# %% Settings

GAMMA, SLIP = 0.95, 0.1                                     # the slip of all slippery worlds
N_SIMULATIONS = (10, 30, 100, 300, 1000, 3000)
N_RETURN = (10, 30, 100, 300, 1000)                         # simulations before each real step
N_TREES = (10, 100, 1000)                                   # trees shown
CONSTANTS, N_CONSTANTS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0), 300
N_PLAYED = 3                                                # episodes played per run and setting
MAZE = ["....#...",                                         # reuse, and putting it all together
        ".##.#.#.",
        "S#....#G",
        "...#...."]
N_REUSE = (5, 10, 20, 40)
N_EPISODES, EPSILON = 25, 0.1                               # putting it all together,
AGENTS = {"all": {}, "no values": {"values": False},        # and with parts removed
          "no search": {"search": 0}, "no model": {"model": False}}
MOVES, BRIDGE_3 = ("up", "right", "down", "left"), "gS...G##xxx#"

BLUE, GREEN, RED, GREY = "#0072B2", "#009E73", "#D55E00", "#666666"     # colour-blind safe
PURPLE = "#CC79A7"


# %% Environment: a bridge over a drop

class GridWorld:
    """A small world of text, and at the same time its own model: step has no hidden state.

    rows    equally long strings of '.' free, '#' wall, 'S' start (one), and cells that end the
            episode: 'x' drop (reward 0), 'g' small treasure (0.4), 'G' big treasure (1)
    slip    probability that the action is replaced by a random one of those the cell offers

    States are numbered row by row from the top left; actions: 0 up, 1 right, 2 down, 3 left. Moves
    into a wall or over the border aren't offered. ValueError if rows or slip are malformed.
    """

    def __init__(self, rows, slip=0.0):
        text, height, width = "".join(rows), len(rows), max(map(len, rows), default=0)
        if len(text) != height * width or text.count("S") != 1 or not set(text) <= set(".#SxgG"):
            raise ValueError("a grid needs equally long rows of . # S x g G with exactly one S")
        if not 0 <= slip <= 1:
            raise ValueError(f"slip is a probability, in [0, 1]; got {slip}")
        self.start, self.shape, self.slip = text.index("S"), (height, width), slip
        self.moves, self.outcomes = [], []          # offered; [s][a] next state, reward, terminated
        for s in range(len(text)):
            y, x = divmod(s, width)
            cells = [(y - 1, x), (y, x + 1), (y + 1, x), (y, x - 1)]
            offered = [0 <= i < height and 0 <= j < width and rows[i][j] != "#" for i, j in cells]
            self.moves.append([a for a in range(4) if offered[a]])
            successors = [i * width + j if ok else s for (i, j), ok in zip(cells, offered)]
            self.outcomes.append([(s2, {"g": 0.4, "G": 1.0}.get(text[s2], 0.0), text[s2] in "xgG")
                                  for s2 in successors])

    def actions(self, state):
        return self.moves[state]

    def step(self, state, action, rng):
        if rng.random() < self.slip:
            moves = self.moves[state]
            action = moves[int(rng.random() * len(moves))]
        return self.outcomes[state][action]


# %% Algorithm: the slide's four phases

class Node:
    """A state in the tree: per action, visits N and mean return Q; and the nodes that came next.

    children[i] is a dict {next state: Node} for actions[i]: one node per state *actually reached*,
    so that chance may continue differently every time.
    """
    __slots__ = ("state", "actions", "N", "Q", "children")

    def __init__(self, state, actions):
        if len(actions) == 0:
            raise ValueError(f"state {state!r} has no actions: does step return terminated=True?")
        self.state, self.actions = state, actions
        self.N, self.Q = [0] * len(actions), [0.0] * len(actions)
        self.children = [{} for _ in actions]

    def select(self, c, epsilon, rng):
        """Index of the action to simulate; ties at random. An untried action comes first."""
        if 0 in self.N:
            score = [n == 0 for n in self.N]
        elif epsilon and rng.random() < epsilon:
            score = [0] * len(self.N)
        else:                                       # UCB1: Q(s,a) + c sqrt(ln N(s) / N(s,a))
            log_n = math.log(sum(self.N))
            score = [q + c * math.sqrt(log_n / n) for q, n in zip(self.Q, self.N)]
        best = max(score)
        ties = [i for i, x in enumerate(score) if x == best]
        return ties[int(rng.random() * len(ties))]

    def best(self, rng, by="Q"):
        """The action to output: of highest Q (the slide's), or by="N" of most visits."""
        score = self.N if by == "N" else [q if n else -math.inf for q, n in zip(self.Q, self.N)]
        top = max(score)
        best = [a for a, x in zip(self.actions, score) if x == top]
        return best[int(rng.random() * len(best))]


def mcts(model, state, n_simulations, gamma=1.0, c=2**0.5, max_depth=100, rng=None, root=None,
         rollout=None, leaf_value=None, epsilon=0.0):
    """Slide "Monte-Carlo Tree Search": returns the root Node after n_simulations more simulations.

    model       has actions(state) -> a non-empty sequence, which may differ by state, and
                step(state, action, rng) -> (next_state, reward, terminated), without hidden state
                and drawing by rng.random() only. States are hashable
    gamma       discount, in [0, 1]
    c           exploration constant of UCB1, in units of returns: sqrt(2) suits those in [0, 1]
    max_depth   steps from the root after which a simulated episode is cut, with 0 for the rest
    rng         random.Random, numpy Generator, int or None
    root        an earlier tree to go on with; after a real step pass the child that was reached,
                root.children[i].get(next_state) (None, if the search never saw it: a new tree)
    rollout     the fixed policy, rollout(state, rng) -> action; None is uniformly random
    leaf_value  leaf_value(state) -> float, used instead of a rollout (and where max_depth cuts)
    epsilon     with c=0: the slide's "according to Q", epsilon-greedily, in place of UCB1

    The root's N and Q (A,) are arrays in the order of its .actions, those of nodes below it lists;
    Q of an action never tried is 0. ValueError for an argument out of range, a state without
    actions, or a root of another state.
    """
    if n_simulations < 1 or max_depth < 1 or not (0 <= gamma <= 1 and 0 <= epsilon <= 1
                                                  and 0 <= c < math.inf):
        raise ValueError("need n_simulations, max_depth >= 1, gamma and epsilon in [0, 1], c >= 0; "
                         f"got {n_simulations=}, {max_depth=}, {gamma=}, {epsilon=}, {c=}")
    if root is not None and root.state != state:
        raise ValueError(f"root is the tree of state {root.state!r}, not of {state!r}")
    if not isinstance(rng, random.Random):          # several times faster at single numbers
        rng = random.Random(int(np.random.default_rng(rng).integers(2**63)))
    actions, step, bits = model.actions, model.step, rng.getrandbits
    root = root or Node(state, actions(state))
    root.N, root.Q = np.asarray(root.N).tolist(), np.asarray(root.Q).tolist()

    for _ in range(n_simulations):
        # Select until you reach a leaf node of the tree: an edge that leads out of it
        node, path = root, []
        while True:
            i = node.select(c, epsilon, rng)
            s, r, terminated = step(node.state, node.actions[i], rng)
            path.append((node, i, r))
            if terminated or len(path) == max_depth or s not in node.children[i]:
                break
            node = node.children[i][s]
        # Expand the search tree by one node
        if not terminated and len(path) < max_depth:
            node.children[i][s] = Node(s, actions(s))
        # Rollout until episode termination with a fixed simulation policy: G, discounted from s on
        G = 0.0
        if leaf_value and not terminated:
            G = leaf_value(s)
        elif not terminated:
            for t in range(max_depth - len(path)):
                if rollout:
                    a = rollout(s, rng)
                else:                               # nearly all the time is spent in these lines;
                    available = actions(s)          # bits(30) % n is faster than rng.choice
                    n = len(available) or Node(s, available)    # no actions: Node says so
                    a = available[bits(30) % n]
                s, r, terminated = step(s, a, rng)
                if r:
                    G += gamma**t * r
                if terminated:
                    break
        # Update all pairs on the path. G_u is the return from the pair's own step u on, discounted
        # from there: G_u = R_{u+1} + gamma G_{u+1}
        # Q(s,a) = 1/N(s,a) sum of its G_u, as incremental mean: Q <- Q + (G_u - Q) / N
        for node, i, r in reversed(path):
            G = r + gamma * G
            node.N[i] += 1
            node.Q[i] += (G - node.Q[i]) / node.N[i]
    root.N, root.Q = np.array(root.N), np.array(root.Q)
    return root


def flat_search(model, state, n_calls, gamma, rng, max_depth=100):
    """Slide "Simulation-based search", the baseline: random rollouts of each root action in turn,
    until the model has been called n_calls times. Returns a Node without children."""
    root = Node(state, model.actions(state))
    while n_calls > 0:
        i = root.N.index(min(root.N))
        G, s, a = 0.0, state, root.actions[i]
        for t in range(max_depth):
            s, r, terminated = model.step(s, a, rng)
            n_calls -= 1
            G += gamma**t * r
            if terminated:
                break
            a = rng.choice(model.actions(s))
        root.N[i] += 1
        root.Q[i] += (G - root.Q[i]) / root.N[i]
    return root


# %% Algorithm: putting it all together

class CountModel:
    """A model learned by counting (slide "How to build a model? (III)"), in mcts's interface.

    seen[s, a] lists the outcomes of a in s, each as often as it happened: drawing one of them is
    drawing from N(s,a,s') / N(s,a). A pair never tried is taken for an end without
    reward (staying put, as in Dyna-Q's model, a search would run in circles there).
    """

    def __init__(self, actions):
        self.actions, self.seen = actions, {}

    def learn(self, state, action, next_state, reward, terminated):
        self.seen.setdefault((state, action), []).append((next_state, reward, terminated))

    def step(self, state, action, rng):
        outcomes = self.seen.get((state, action), [(state, 0.0, True)])
        return outcomes[int(rng.random() * len(outcomes))]


def together(world, n_episodes, seed, gamma, search=20, values=True, model=True, epsilon=0.1,
             alpha=0.5, longest=100):
    """Slide "Putting it all together": acts, learns a model and values, and searches with both.

    search      simulations before each action; 0 looks one step ahead in the learned model
    values      the learned values at the leaves of the search; False is random rollouts
    model       False is Q-learning (step size alpha), without a model and without search
    epsilon     probability of a random real action (mcts's own epsilon is inside the search)
    Returns each episode's discounted return (n_episodes,).
    """
    streams = np.random.SeedSequence(seed).generate_state(3).tolist()
    real, imagined, acting = map(random.Random, streams)
    learned, V, Q, returns = CountModel(world.actions), {}, {}, []

    def value(s):
        return V.get(s, 0.0)                        # of a state never visited: 0

    for _ in range(n_episodes):
        s, G = world.start, 0.0
        for t in range(longest):
            actions = world.actions(s)
            if not model:
                scores = [Q.get((s, a), 0.0) for a in actions]
            elif search:
                scores = mcts(learned, s, search, gamma, c=0.5, max_depth=20, rng=imagined,
                              leaf_value=value if values else None).Q.tolist()
            else:                                   # sum over s' of p(s'|s,a) [R + gamma V(s')]
                scores = []
                for a in actions:
                    outcomes = learned.seen.get((s, a), [(s, 0.0, True)])
                    scores.append(sum(r + gamma * value(s2) * (not end) for s2, r, end in outcomes)
                                  / len(outcomes))
            V[s] = best = max(scores)               # the search's verdict is what values learn
            greedy = [a for a, score in zip(actions, scores) if score == best]
            a = acting.choice(actions if acting.random() < epsilon else greedy)
            s2, r, terminated = world.step(s, a, real)
            learned.learn(s, a, s2, r, terminated)
            if not model:
                ahead = 0.0 if terminated else max(Q.get((s2, b), 0.0) for b in world.actions(s2))
                Q[s, a] = Q.get((s, a), 0.0) + alpha * (r + gamma * ahead - Q.get((s, a), 0.0))
            G, s = G + gamma**t * r, s2
            if terminated:
                break
        returns.append(G)
    return np.array(returns)


# %% Exact answers

def optimal_values(world, gamma, epsilon=0.0):
    """Q* (S, 4) and V* (S,) of a GridWorld by value iteration; Q* is nan for moves not offered.

    With epsilon: the best that an agent can do which acts at random with that probability.
    """
    s2, r, terminated = np.moveaxis(np.array(world.outcomes), 2, 0)         # each (S, 4)
    offered = np.array([[a in moves for a in range(4)] for moves in world.moves])
    share = offered / np.maximum(offered.sum(axis=1, keepdims=True), 1)     # where a slip may lead
    V, change = np.zeros(len(s2)), math.inf
    while change > 1e-12:
        # Q(s,a) = sum over s' of p(s'|s,a) [R + gamma V(s')],  V(s) = max_a Q(s,a)
        T = r + gamma * (1 - terminated) * V[s2.astype(int)]
        Q = (1 - world.slip) * T + world.slip * (share * T).sum(axis=1, keepdims=True)
        best = np.where(offered, Q, 0.0).max(axis=1)                        # no reward is negative
        V, old = (1 - epsilon) * best + epsilon * (share * Q).sum(axis=1), V
        change = abs(V - old).max()
    return np.where(offered, Q, math.nan), V


# %% Experiments: arrays with a leading axis of runs; nothing is drawn or printed

def bridge(length, slip=0.0):
    """Small treasure, start, a bridge over a drop, big treasure."""
    return GridWorld(["gS" + "." * length + "G", "##" + "x" * length + "#"], slip)


def run_seeds(n_runs, seed):
    """One seed per run, the same for all methods, so that they meet the same luck."""
    return np.random.SeedSequence(seed).generate_state(n_runs).tolist()


class Counted:
    """A model that counts how often it is asked."""

    def __init__(self, model):
        self.model, self.actions, self.calls = model, model.actions, 0

    def step(self, state, action, rng):
        self.calls += 1
        return self.model.step(state, action, rng)


def crosses(length, method, seeds):
    """Whether the root action is "right" (runs, N_SIMULATIONS); flat search gets the same calls."""
    right = []
    for s in seeds:
        model, rng, root, right_now = Counted(bridge(length)), random.Random(s), None, []
        for n, more in zip(N_SIMULATIONS, np.diff(N_SIMULATIONS, prepend=0)):
            start = model.model.start
            root = mcts(model, start, more, GAMMA, rng=rng, root=root)      # the tree goes on
            chosen = root
            if method is flat_search:
                chosen = flat_search(model.model, start, model.calls, GAMMA, rng=rng)
            right_now.append(chosen.best(rng) == 1)
        right.append(right_now)
    return np.array(right, dtype=float)


def play(world, seed, n, by="Q", reuse=False, method=mcts, **options):
    """Discounted return of one episode with a search of n simulations before every action."""
    streams = np.random.SeedSequence(seed).generate_state(3).tolist()
    real, imagined, acting = map(random.Random, streams)
    s, G, root = world.start, 0.0, None
    for t in range(100):
        model = Counted(world)
        root = mcts(model, s, n, GAMMA, rng=imagined, root=root if reuse else None, **options)
        if method is flat_search:                   # as many calls of the model as MCTS made
            root = flat_search(world, s, model.calls, GAMMA, rng=imagined)
        a = root.best(acting, by)
        s, r, terminated = world.step(s, a, real)
        G += GAMMA**t * r
        if terminated:
            break
        root = root.children[root.actions.index(a)].get(s)
    return G


def cell_visits(world, root):
    """How often each cell of a deterministic world was entered by a tree's simulations."""
    visits, nodes = np.zeros(world.shape, dtype=int), [root]
    for node in nodes:                              # the list grows while we walk it
        for a, n, children in zip(node.actions, node.N, node.children):
            visits.flat[world.outcomes[node.state][a][0]] += n
            nodes += children.values()
    return visits


def run_experiments(n_runs, seed, progress):
    seeds = run_seeds(n_runs, seed)
    progress("crossing the bridge")
    crossing = {length: crosses(length, mcts, seeds) for length in (2, 3, 4)}
    crossing["flat"] = crosses(3, flat_search, seeds)
    trees = [mcts(bridge(3), bridge(3).start, n, GAMMA, rng=seeds[0]) for n in N_TREES]

    def compare(world, ns, **options):              # mean returns (runs, len(ns))
        return np.array([[np.mean([play(world, (s, k), n, **options) for k in range(N_PLAYED)])
                          for n in ns] for s in seeds])

    progress("return")
    returns = {name: compare(bridge(3, SLIP), N_RETURN, method=method)
               for name, method in (("MCTS", mcts), ("flat", flat_search))}
    progress("exploration constant")
    constants = {by: np.hstack([compare(bridge(2, SLIP), [N_CONSTANTS], by=by, c=c)
                                for c in CONSTANTS]) for by in "QN"}
    progress("reusing the tree")
    maze = GridWorld(MAZE, SLIP)
    reused = {reuse: compare(maze, N_REUSE, reuse=reuse, max_depth=50) for reuse in (True, False)}
    progress("putting it all together")
    learned = {name: np.array([together(maze, N_EPISODES, s, GAMMA, epsilon=EPSILON, **without)
                               for s in seeds]) for name, without in AGENTS.items()}
    return dict(crossing=crossing, trees=trees, returns=returns, constants=constants, reused=reused,
                learned=learned)


# %% Claims: what the docstring says, checked on this very run

def near(claim, expected, tolerance, measured):
    return (claim, f"{expected:g} ± {tolerance:.3g}", f"{measured:.4g}",
            abs(measured - expected) <= tolerance)


def tree_rows(node, Q, levels):
    """The tree as text: each action's N and Q beside the exact Q*, then the most visited child.

    In a world without chance no mean return can be above Q*.
    """
    rows = []
    for level in range(levels):
        for a, n, q in zip(node.actions, node.N, node.Q):
            exact = Q[node.state][a]
            rows.append((f"{'  ' * level}{MOVES[a]}: N = {n}", f"Q <= Q* = {exact:.4f}", f"{q:.4f}",
                         bool(q <= exact + 1e-9)))
        i = int(np.argmax(node.N))
        if not node.children[i]:
            break
        node, = node.children[i].values()
    return rows


def check_claims(crossing, trees, returns, constants, reused, learned):
    """Rows (claim, expected, measured, ok).

    A tolerance is 4 standard errors for this number of runs (for counts: and 1), from the standard
    deviations of 150 other runs; 1,500 for counts expected to be all or none.
    """
    n_runs = len(learned["all"])
    se4 = 4 / math.sqrt(n_runs)
    Q, V = optimal_values(bridge(3), GAMMA)
    rows = [near("bridge of 3: exact V* of the start, gamma^3", GAMMA**3, 1e-9, V[bridge(3).start])]
    for name, n, share in ((2, 30, 0.085), (2, 100, 1), (3, 100, 0), (3, 300, 0.94), (3, 1000, 1),
                           (4, 300, 0), (4, 3000, 0.927), ("flat", 3000, 0)):
        text = "flat search, calls of" if name == "flat" else f"bridge of {name},"
        rows.append(near(f"{text} {n} simulations: runs (of {n_runs}) that cross", share * n_runs,
                         4 * math.sqrt(n_runs * share * (1 - share)) + (0 < share < 1),
                         crossing[name][:, N_SIMULATIONS.index(n)].sum()))
    sums = [int(tree.N.sum()) for tree in trees]
    rows += [("visits of the three roots add up to", ", ".join(map(str, N_TREES)),
              ", ".join(map(str, sums)), sums == list(N_TREES))]
    rows += tree_rows(trees[-1], Q, 3)
    optimum = optimal_values(bridge(3, SLIP), GAMMA)[1][1]
    for name, expected, sd in (("MCTS", 0.72, 0.16), ("flat", 0.397, 0.035)):
        rows.append(near(f"slippery, 1000 simulations: return of {name} (optimum {optimum:.3f})",
                         expected, sd * se4, returns[name][:, -1].mean()))
    optimum = optimal_values(bridge(2, SLIP), GAMMA)[1][1]
    for i, expected, sd in ((1, 0.427, 0.1), (3, 0.813, 0.16), (5, 0.43, 0.1)):
        rows.append(near(f"c = {CONSTANTS[i]:g}: return (optimum {optimum:.3f})", expected,
                         sd * se4, constants["Q"][:, i].mean()))
    rows += [near("c = 0.3: best Q gains over most visits", 0.025, 0.07 * se4,
                  (constants["Q"] - constants["N"])[:, 2].mean()),
             near("a reused tree gains", 0.071, 0.053 * se4, (reused[True] - reused[False]).mean())]
    for name, expected, sd in (("all", 0.379, 0.064), ("no search", 0.252, 0.082),
                               ("no model", 0.213, 0.076), ("no values", 0.165, 0.045)):
        rows.append(near(f"together, {name}: return in episodes 1-{N_EPISODES}", expected, sd * se4,
                         learned[name].mean()))
    maze = GridWorld(MAZE, SLIP)
    optimum = optimal_values(maze, GAMMA, EPSILON)[1][maze.start]
    return rows + [
        near(f"together, all: episodes 16-{N_EPISODES} (ε-greedy optimum {optimum:.3f})", 0.487,
             0.05 * se4, learned["all"][:, 15:].mean()),
        near("together, all: gains from episodes 1-3 to 16-25", 0.439, 0.08 * se4,
             (learned["all"][:, 15:].mean(axis=1) - learned["all"][:, :3].mean(axis=1)).mean())]


# %% Figure: one panel per question on the slides

def draw_band(ax, x, runs, color, label, at, shift, ha="left"):
    """Mean over runs (axis 0) and its 95 % band (2 standard errors), labelled near point `at`."""
    mean, error = runs.mean(axis=0), runs.std(axis=0) / math.sqrt(max(len(runs) - 1, 1))
    ax.fill_between(x, mean - 2 * error, mean + 2 * error, color=color, alpha=0.2, linewidth=0)
    ax.plot(x, mean, color=color, linewidth=1.8)
    ax.annotate(label, (x[at], mean[at]), shift, textcoords="offset points", color=color, ha=ha)


def draw_exact(ax, value, label="optimum"):
    ax.axhline(value, color=GREY, linewidth=1, linestyle="--")
    ax.annotate(label, (1, value), (0, 3), xycoords=("axes fraction", "data"),
                textcoords="offset points", color=GREY, ha="right")


def draw_visits(ax, root):
    """How often each cell of the bridge was entered."""
    visits = cell_visits(bridge(3), root)
    ax.imshow(np.log1p(visits), cmap="Blues", vmax=1.7 * math.log1p(visits.max()))
    for cell, ((y, x), n) in zip(BRIDGE_3, np.ndenumerate(visits)):
        ax.text(x, y, f"{cell}\n{n}" if n else cell, ha="center", va="center", fontsize="small")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.set_title(f"{root.N.sum()} simulations", loc="left", fontsize="small", color=GREY, pad=2)


def draw_tree(ax, root):
    """Children below their parents, lines as thick as visits, the most visited path in blue."""
    leaves = []

    def draw(node, depth, best):
        """Draws what is below the node; returns where the node is (x)."""
        below = []
        for a, n, children in reversed(list(zip(node.actions, node.N, node.children))):
            on_path = best and n == max(node.N)
            for child in children.values():
                below.append((draw(child, depth + 1, on_path), n, on_path))
            if n and not children:                  # the episode ended there: name the cell
                leaves.append(a)
                below.append((len(leaves), n, on_path))
                ax.text(len(leaves), depth + 1.1, BRIDGE_3[bridge(3).outcomes[node.state][a][0]],
                        ha="center", va="top")
        if not below:
            leaves.append(node)
            return len(leaves)
        middle = sum(x for x, _, _ in below) / len(below)
        for x, n, on_path in below:
            ax.plot((middle, x), (depth, depth + 1), color=BLUE if on_path else GREY,
                    linewidth=0.5 + 5 * n / root.N.sum(), solid_capstyle="round")
        return middle

    draw(root, 0, True)
    ax.invert_yaxis()
    ax.set(xticks=[], ylabel="steps from the root")
    ax.spines["bottom"].set_visible(False)


def draw_figure(fig, crossing, trees, returns, constants, reused, learned):
    axes = fig.subplot_mosaic([["cross", "cross", "return", "visits"],
                               ["constant", "reuse", "together", "tree"]])
    maze, x = GridWorld(MAZE, SLIP), N_SIMULATIONS
    ax = axes["cross"]
    draw_band(ax, x, crossing[2], GREEN, "bridge of 2", 2, (-16, -30), "right")
    draw_band(ax, x, crossing[3], BLUE, "bridge of 3", 3, (-34, -60), "right")
    draw_band(ax, x, crossing[4], PURPLE, "bridge of 4", 4, (12, 54), "right")
    draw_band(ax, x, crossing["flat"], RED, "flat search, bridge of 3, same calls of the model", 5,
              (0, -15), "right")
    draw_exact(ax, 1)
    ax.set(ylabel="probability of going right", ylim=(-0.1, 1.12))
    ax = axes["return"]
    draw_band(ax, N_RETURN, returns["MCTS"], BLUE, "MCTS", 3, (-6, 8), "right")
    draw_band(ax, N_RETURN, returns["flat"], RED, "flat search", 4, (0, -18), "right")
    draw_exact(ax, optimal_values(bridge(3, SLIP), GAMMA)[1][1])
    ax = axes["constant"]
    draw_band(ax, CONSTANTS, constants["Q"], BLUE, "best Q", 2, (-8, 4), "right")
    draw_band(ax, CONSTANTS, constants["N"], GREEN, "most\nvisits", 2, (4, -32))
    draw_exact(ax, optimal_values(bridge(2, SLIP), GAMMA)[1][1])
    ax = axes["reuse"]
    draw_band(ax, N_REUSE, reused[True], GREEN, "tree reused", 2, (-8, 8), "right")
    draw_band(ax, N_REUSE, reused[False], BLUE, "new tree", 2, (0, -20))
    draw_exact(ax, optimal_values(maze, GAMMA)[1][maze.start])
    ax = axes["together"]
    for name, color, at, shift, ha in (
            ("all", BLUE, 7, (-6, 8), "right"), ("no values", PURPLE, 24, (0, -28), "right"),
            ("no search", GREEN, 14, (-2, 8), "right"), ("no model", RED, 9, (2, -22), "left")):
        draw_band(ax, np.arange(1, N_EPISODES + 1), learned[name], color, name, at, shift, ha)
    draw_exact(ax, optimal_values(maze, GAMMA)[1][maze.start])
    draw_exact(ax, optimal_values(maze, GAMMA, EPSILON)[1][maze.start], "")
    axes["visits"].axis("off")
    for i, root in enumerate(trees):
        draw_visits(axes["visits"].inset_axes([0, 0.68 - 0.34 * i, 1, 0.26]), root)
    draw_tree(axes["tree"], trees[1])
    for name, xlabel, title in (
            ("cross", "simulations", f"crossing the bridge ({len(crossing[2])} runs, 95 % band)"),
            ("return", "simulations per step", "slippery bridge of 3"),
            ("constant", "exploration constant c", f"c and output rule (n = {N_CONSTANTS})"),
            ("reuse", "simulations per step", "reusing the tree (maze)"),
            ("together", "episode", "putting it all together"),
            ("visits", "", "visits of the cells"),
            ("tree", "", f"tree of {N_TREES[1]} simulations")):
        axes[name].set_title(title, loc="left", fontsize="medium")
        axes[name].set_xlabel(xlabel)
        if name in ("return", "constant", "reuse", "together"):
            axes[name].set(ylabel="return", ylim=(-0.08, 0.95))
        if name in ("cross", "return", "constant", "reuse"):
            axes[name].set_xscale("log")
    axes["reuse"].set_xticks(N_REUSE, N_REUSE)
    axes["reuse"].minorticks_off()


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
    parser.add_argument("--runs", type=int, metavar="N", help="independent runs (default 16)")
    parser.add_argument("--seed", type=int, metavar="S", default=0, help="base seed (default 0)")
    parser.add_argument("--quick", action="store_true", help="a few seconds: 5 runs")
    parser.add_argument("--save", type=Path, metavar="PATH", help="write the figure: png, pdf, svg")
    args = parser.parse_args()
    n_runs = args.runs if args.runs is not None else 5 if args.quick else 16
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
