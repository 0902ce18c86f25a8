"""Monte-Carlo Tree Search: simulate episodes, and remember in a tree which actions went well.

The slides, and where they are in this file
    Monte-Carlo Tree Search      mcts: Select, Expand, Rollout, Update; its output is Node.best
    Simulation-based search      flat_search: the same without a tree
    Putting it all together      together: mcts with a learned model (CountModel) and values

The equations
    Counts   N(s,a): how often simulations took action a in state s. N(s): the sum over all a
    Update   Q(s,a) = mean of the N(s,a) returns that followed. If a was taken in s at step u:
             G_u = R_{u+1} + gamma R_{u+2} + gamma^2 R_{u+3} + ...
    Select   untried actions first, then the largest UCB1 = Q(s,a) + c sqrt(ln N(s) / N(s,a)). The
             slide says only "according to Q"; UCB1 is the usual way, explained in Node.select
    Output   the action with the largest Q(s,a) in the root

Run it: python mcts.py (9 seconds). What you will see, and why
    A small treasure lies beside the start, a big one behind a narrow bridge. Flat search does not
    cross: its random walks fall off, so the bridge looks bad, however many walks there are.
    MCTS repeats first steps that went well, so more and more of its simulations cross. If c is
    too small, it gives up the bridge after a few falls; if too large, it goes on falling. After a
    real step, the part of the tree below the new state can be kept: it is as good as some more
    simulations. Model, values and search together learn fastest: without values or without
    search, it takes many more episodes until far cells "know" that there is a treasure.

Try: three changes of one line (the new line is shown), and the question that each answers
    rewards = {"g": 0.1, "G": 1.0} in GridWorld     When is flat search good enough?
    self.Q[i] = max(self.Q[i], G) in Node.update    Why the mean return, and not the best one?
    the first return in CountModel.step becomes
    return state, 1.0, True                         What if the unknown looks good, not bad?

Notation
    s, a, r       a state (9, or anything hashable), an action (1), a reward (0.4)
    node          a state in the tree: actions [1, 3], visits N [90, 10], mean returns Q [.6, .4]
    path          the steps of one simulation inside the tree: (node, number of action, reward)
    G, V[s]       a return; the learned value of a state

Left out on purpose: a learned policy that guides Select (as in AlphaGo), continuous actions,
one node for a state that is reached on several ways (here it gets several), parallel computing.

References
    Kocsis & Szepesvari, Bandit based Monte-Carlo planning (2006): UCB1 in trees, with proofs.
    Silver et al., Mastering the game of Go (2016): learned values at the leaves.
"""
# For other programs: what "uv run" has to install for this script, and (SPDX) its licence.
# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy>=1.26", "matplotlib>=3.8"]
# ///
# SPDX-License-Identifier: MIT-0

import argparse
import math
import random
import sys

import matplotlib.pyplot as plt
import numpy as np

# %% Settings

# The discount. A bridge of 4 cells leads to the big treasure in 5 steps. The reward of the first
# step is not discounted, that of the fifth counts 0.95^4 = 0.81. The small treasure pays 0.4, at
# once: it is right to cross.
GAMMA = 0.95
# How many simulations: with 10 no bridge is crossed, with 3000 even that of 4 cells, mostly.
SIMULATIONS = [10, 30, 100, 300, 1000, 3000]
# In slippery worlds chance chooses 1 action in 10: often enough to matter.
SLIP = 0.1
# Values of c to compare: from hardly any exploration to hardly anything else.
CONSTANTS = [0.03, 0.1, 0.3, 1.0, 3.0, 10.0]
# Simulations before each real step, with a kept tree or a new one. Only few: with many, a kept
# tree would add little.
REUSE = [5, 10, 20]
# Two ways lead from S to G, both around corners: a random walk seldom arrives.
MAZE = ["....#...",
        ".##.#.#.",
        "S#....#G",
        "...#...."]
# The names of the actions 0, 1, 2, 3.
MOVES = ["up", "right", "down", "left"]
# Four colours that colour-blind readers can tell apart.
BLUE, GREEN, RED, GREY = "#0072B2", "#009E73", "#D55E00", "#666666"


# %% Environment: treasures, walls and drops

class GridWorld:
    """A small world, and at the same time a model of it: step(state, ...) works for any state.

    rows    equally long texts of '.' free, '#' wall, 'S' the start, and what ends the episode:
            'x' a drop (reward 0), 'g' a small treasure (0.4), 'G' a big one (1)
    slip    probability that chance replaces the action by a random one of those offered
    States are numbered row by row from the top left. Actions: 0 up, 1 right, 2 down, 3 left;
    moves into walls or over the border are not offered. ValueError for malformed rows or slip.
    If you copy it: Needs pick.

    >>> world = GridWorld(["gS.G"])
    >>> world.actions(1), world.step(1, 3, random.Random(0))
    ([1, 3], (0, 0.4, True))
    """

    def __init__(self, rows, slip=0.0):
        # All rows as one text: the cell of state s is its letter number s.
        self.cells = "".join(rows)
        self.slip = slip
        if (self.cells.count("S") != 1 or any(len(row) != len(rows[0]) for row in rows)
                or any(cell not in ".#SxgG" for cell in self.cells) or not 0 <= slip <= 1):
            raise ValueError("need equally long rows of . # S x g G, one S, and slip in [0, 1]")
        self.start = self.cells.index("S")
        width = len(rows[0])
        rewards = {"g": 0.4, "G": 1.0}
        # outcomes[state][action] = (next state, reward, terminated), unless the agent slips.
        # (Walls and ends get outcomes as well; nobody asks for them.)
        self.outcomes = [{} for _ in self.cells]
        for state in range(len(self.cells)):
            y, x = divmod(state, width)
            for action, y2, x2 in [(0, y - 1, x), (1, y, x + 1), (2, y + 1, x), (3, y, x - 1)]:
                if 0 <= y2 < len(rows) and 0 <= x2 < width and rows[y2][x2] != "#":
                    cell = rows[y2][x2]
                    outcome = (y2 * width + x2, rewards.get(cell, 0.0), cell in "xgG")
                    self.outcomes[state][action] = outcome

    def actions(self, state):
        return list(self.outcomes[state])

    def step(self, state, action, rng):
        # The slip is drawn anew at every step, with the generator of the search.
        if rng.random() < self.slip:
            action = pick(self.actions(state), rng)
        return self.outcomes[state][action]


# %% Algorithm: choosing at random, and the nodes of the tree

def pick(items, rng):
    """One of the items, each with the same probability."""
    n = len(items)
    if n == 0:
        raise ValueError("a state has no actions: a step into it must return terminated = True")
    # rng.random() is uniform in [0, 1). With n = 4, n * rng.random() is in [0, 4), and int()
    # cuts it down to 0, 1, 2 or 3, each as likely as the others. Why not rng.choice(items)?
    # random() is the same in random.Random and in NumPy's Generator; choice is not.
    return items[int(n * rng.random())]


def index_of_best(scores, rng):
    """Index of the largest score. Ties at random: else ties would always favour action 0."""
    best = max(scores)
    return pick([i for i, score in enumerate(scores) if score == best], rng)


def as_generator(rng):
    """Returns rng if it is a generator; else a new one: rng is its seed, None means any."""
    # Generators of Python and of NumPy have a method random; seeds have none.
    if hasattr(rng, "random"):
        return rng
    # Python's own generator draws single numbers several times faster than NumPy's.
    if rng is None:
        return random.Random()
    return random.Random(int(rng))


class Node:
    """A state in the tree. Its action number i has visits N[i], mean return Q[i], children[i].

    ValueError for no actions, or a return of NaN. Needs pick, index_of_best, as_generator.

    >>> node = Node("start", ["left", "right"])
    >>> node.update(0, -1.0)
    >>> node.select(1.0, random.Random(0))      # number 1, "right", as the untried come first
    1
    >>> node.best()                             # -1 is the best known; 0 is only a start value
    'left'
    """

    def __init__(self, state, actions):
        if len(actions) == 0:
            raise ValueError(f"{state!r} has no actions: a step into it must return terminated")
        self.state = state
        self.actions = list(actions)
        # Lists, not arrays: a single number of an array takes several times as long to read.
        self.N = [0] * len(actions)
        self.Q = [0.0] * len(actions)
        # children[i] = {state reached: its node}. With chance there can be several: "right" leads
        # to the right, or after a slip to the left. The best action differs there, so each state
        # gets a node of its own.
        self.children = [{} for _ in actions]

    def select(self, c, rng):
        """Number of the action to simulate; slide: "pick actions according to Q(s,a)"."""
        # Below, UCB1 divides by the visits n. With n = 0 it is infinite: the untried come first.
        if 0 in self.N:
            return pick([i for i, n in enumerate(self.N) if n == 0], rng)
        # UCB1 = Q(s,a) + c sqrt(ln N(s) / N(s,a)). A mean of n returns is off by about 1/sqrt(n).
        # So Q + c/sqrt(n) says how good the action may really be, if so far its returns happened
        # to be low. And sqrt(ln N(s)) grows with every visit of s: an action that is not chosen
        # gets a higher and higher score, until it is tried again. (Why a logarithm? It grows so
        # slowly that bad actions are tried ever more seldom, but never for the last time.)
        # A small c trusts the means, a large c tries all alike. c has the size of the returns: if
        # they are around 100 and not around 1, so is c.
        log_visits = math.log(sum(self.N))
        scores = [q + c * math.sqrt(log_visits / n) for q, n in zip(self.Q, self.N)]
        return index_of_best(scores, rng)

    def update(self, i, G):
        """One more return of action i."""
        # A NaN (not a number) would stay in Q for ever, and no action could be called the best.
        if math.isnan(G):
            raise ValueError("a reward or a leaf's value is NaN (not a number)")
        # The mean, without a list of all returns. With returns 1, 2, 6 it goes
        # 1,  1 + (2 - 1)/2 = 1.5,  1.5 + (6 - 1.5)/3 = 3.
        self.N[i] += 1
        self.Q[i] += (G - self.Q[i]) / self.N[i]

    def best(self, rng=None):
        """The action with the largest Q, ties at random; slide: "output best action"."""
        # An untried action has Q = 0, which would look best where all returns are negative.
        scores = [q if n > 0 else -math.inf for q, n in zip(self.Q, self.N)]
        return self.actions[index_of_best(scores, as_generator(rng))]


# %% Algorithm: Monte-Carlo Tree Search

def rollout_return(model, state, n_steps, gamma, rng, rollout=None):
    """Return of a simulated episode from `state` on, cut after n_steps. Needs pick.

    rollout    rollout(state, rng) -> action, the slide's "fixed simulation policy"; None: random
    """
    G = 0.0
    discount = 1.0
    for _ in range(n_steps):
        action = pick(model.actions(state), rng) if rollout is None else rollout(state, rng)
        state, reward, terminated = model.step(state, action, rng)
        # G = R_1 + gamma R_2 + gamma^2 R_3 + ..., so the first reward is not discounted.
        # float(), as a reward in NumPy's float16 would make G a float16, which has 3 digits.
        # Adding a reward of 0 changes nothing. Most are 0, and to skip them saves 5 % of the time.
        if reward != 0:
            G += discount * float(reward)
        if terminated:
            break
        discount *= gamma
    return G


def mcts(model, state, n_simulations, gamma=1.0, c=2**0.5, max_depth=100, rng=None, root=None,
         rollout=None, leaf_value=None, expand=True):
    """Slide "Monte-Carlo Tree Search": runs n_simulations, returns the root of the tree, a Node.

    model       any object with two methods: actions(state) -> sequence, and
                step(state, action, rng) -> (next_state, reward, terminated), which keeps nothing
                in mind and draws from rng only. (A Gymnasium environment is not like this: it
                keeps its state, and cannot step from any other.)
    gamma, c    discount in [0, 1]; UCB1's constant >= 0: sqrt(2) suits returns between 0 and 1
    max_depth   a simulation is cut after so many steps; what would follow counts as 0, or as
                leaf_value says
    rng         random.Random, NumPy Generator or seed. Your generator itself is handed to step
                and rollout; from a seed (or None, another each time) we make a random.Random,
                the fastest. Pass a Generator if your model draws with one: rng.integers(6)
    root        a tree to go on with. After a real step with action number i that is
                root.children[i].get(next_state): a Node, or None, which starts a new tree
    rollout     rollout(state, rng) -> action, the fixed simulation policy; None is random
    leaf_value  leaf_value(state) -> number, in place of a rollout
    expand      False: no tree, only the root; see flat_search

    The root has its state, its A actions, N (A,), Q (A,), children[i] = {next state: Node}, and
    best(rng). N and Q are arrays in the root, lists in the nodes below. An untried action has
    N = 0 and Q = 0.
    ValueError: numbers out of range, a root of another state or other actions, a NaN reward, or
    a state without actions. Needs Node, rollout_return, pick, index_of_best, as_generator.
    States are hashable, and equal (==) in the same situation: only so are they found again in the
    tree. Copies of an environment object are not equal, and the tree would stay one level deep:
    use a key as the state, such as board.tobytes() or (tuple(hand), dealer).
    Two players: let step make your move and then the opponent's answer. For self-play, step makes
    one move and pays the player who made it. What the other gets next is your loss: gamma becomes
    -gamma in the two lines marked "self-play", and leaf_value(s) is for the player to move in s.

    >>> world = GridWorld(["gS..G", "##xx#"])
    >>> root = mcts(world, world.start, 300, gamma=0.95, rng=0)
    >>> root.actions, int(root.N.sum()), root.best()
    ([1, 3], 300, 1)
    """
    if n_simulations < 1 or max_depth < 1 or not (0 <= gamma <= 1 and 0 <= c < math.inf):
        raise ValueError("need n_simulations and max_depth >= 1, gamma in [0, 1], finite c >= 0")
    rng = as_generator(rng)
    actions = list(model.actions(state))
    if root is None:
        root = Node(state, actions)
    elif root.state != state or root.actions != actions:
        raise ValueError(f"the root is of another state than {state!r}, or offers other actions")

    for _ in range(n_simulations):
        # ---- Select until you reach a leaf node of the tree ----
        # From the root down, as long as the state reached has a node. Each step asks the model
        # anew, as the same action may lead elsewhere this time.
        node = root
        path = []
        while True:
            i = node.select(c, rng)
            s, reward, terminated = model.step(node.state, node.actions[i], rng)
            path.append((node, i, float(reward)))
            # Stop if the episode is over, if it is as long as allowed, or if s has no node yet.
            if terminated or len(path) == max_depth or s not in node.children[i]:
                break
            node = node.children[i][s]

        # ---- Expand the search tree by one node: s becomes a leaf of the tree ----
        # Only by one. The rollout below goes on through more states, but most of them are never
        # seen again. Nor does an end get a node: nothing is left to decide there.
        if expand and not terminated and len(path) < max_depth:
            node.children[i][s] = Node(s, model.actions(s))

        # ---- Rollout until episode termination with a fixed simulation policy ----
        # What will still be earned from s on? After a terminal state nothing.
        # Why `is not None`? A leaf_value can be an object with a table inside. As long as that is
        # empty, the object may count as false in Python.
        if terminated:
            G = 0.0
        elif leaf_value is not None:
            G = float(leaf_value(s))
        else:
            # Path and rollout together take at most max_depth steps. If none is left, G = 0.
            steps_left = max_depth - len(path)
            G = rollout_return(model, s, steps_left, gamma, rng, rollout)       # self-play

        # ---- Update the values of all pairs (s,a) on the path, the last one first ----
        # Each pair gets the return from its own step u on: G_u = R_{u+1} + gamma G_{u+1}. With
        # gamma = 0.5 and rewards 1, 4 the second pair gets 4, the first 1 + 0.5 * 4 = 3. If both
        # got 3, the second would be judged by what had happened before it.
        for node, i, reward in reversed(path):
            G = reward + gamma * G                                              # self-play
            node.update(i, G)

    # Arrays for the caller, who will want sums and maxima. (A search can go on with arrays too.)
    root.N = np.array(root.N)
    root.Q = np.array(root.Q)
    return root


def flat_search(model, state, n_simulations, gamma, rng=None, max_depth=100):
    """Slide "Simulation-based search": a root without a tree. Needs mcts and what mcts needs."""
    # MCTS without its two ideas. Nothing is expanded: after the first step, all steps stay random,
    # whatever was seen. And c is so large that Q does not count: each action gets as many
    # simulations as any other, even if it looks bad.
    return mcts(model, state, n_simulations, gamma, 1e9, max_depth, rng, expand=False)


# %% Algorithm: putting it all together

class CountModel:
    """A model learned by counting (slide "How to build a model? (III)"), as mcts takes it.

    actions    a function: actions(state) -> sequence of those that can be chosen there. What they
               do has to be learned. Needs pick.

    >>> model = CountModel(lambda state: ["go"])
    >>> model.learn(0, "go", 1.0, 5, False)
    >>> model.step(0, "go", random.Random(0)), model.step(5, "go", random.Random(0))
    ((5, 1.0, False), (5, 0.0, True))
    """

    def __init__(self, actions):
        self.actions = actions
        # {(state, action): [(next state, reward, terminated), ...]}
        self.seen = {}

    def learn(self, state, action, reward, next_state, terminated):
        # Every outcome is listed as often as it happens. `terminated` is a part of it: in a card
        # game the hand may look the same after a move that ends the game and one that does not.
        outcomes = self.seen.setdefault((state, action), [])
        outcomes.append((next_state, float(reward), bool(terminated)))

    def step(self, state, action, rng):
        # A pair never tried ends the episode with reward 0: of the unknown, nothing is expected.
        # Why not "stay in s, reward 0", as in Dyna-Q's model? Then the best known action would
        # still be there afterwards, and every unknown action would look nearly as good as it.
        # Still, the unknown gets tried: at first all is worth 0, and ties at random make a random
        # walk. Later it is slips that lead to it. (Where nothing slips, add some random actions.)
        if (state, action) not in self.seen:
            return state, 0.0, True
        # To pick from the list is to draw with the counted probabilities N(s,a,s') / N(s,a).
        return pick(self.seen[state, action], rng)


def together(world, n_episodes, gamma, model=None, n_simulations=20, c=0.5, max_depth=20,
             values=True, keep_tree=False, seed=0):
    """Slide "Putting it all together": search in a learned model, with learned values at leaves.

    model      None: it is learned. Or a known one, for example the world itself
    c          smaller than sqrt(2), as returns here are about 0.5
    max_depth  1 is no search: each simulation is one imagined step, and the learned value there
    values     False: random rollouts in place of learned values
    keep_tree  go on with the tree of the step before. Only if the model is known: if it is
               learned, old simulations asked an older model
    Returns the discounted return of each real episode (n_episodes,).
    """
    # Two streams of random numbers: more search must not change the luck in the real world.
    seeds = np.random.default_rng(seed).integers(2**31, size=2).tolist()
    world_rng, search_rng = [random.Random(s) for s in seeds]
    learned = CountModel(world.actions)
    if model is None:
        model = learned
    V = {}

    def learned_value(state):
        # Where the agent has never been, nothing is expected.
        return V.get(state, 0.0)

    returns = np.zeros(n_episodes)
    for episode in range(n_episodes):
        state = world.start
        root = None
        # Broken off after 100 steps: the first episodes are long walks without a treasure.
        for t in range(100):
            # Search: imagined steps only, the real world is not asked.
            root = mcts(model, state, n_simulations, gamma, c, max_depth, search_rng, root,
                        leaf_value=learned_value if values else None)
            action = root.best(search_rng)
            i = root.actions.index(action)
            # V(s) = Q of the best action, which the agent is going to take. Why not average it
            # with the old V(s)? Q is a mean over many simulations already, and the old V(s) came
            # from a model that knew less.
            V[state] = root.Q[i]
            # One real step. The model learns from it, and the next search is a little wiser.
            next_state, reward, terminated = world.step(state, action, world_rng)
            learned.learn(state, action, reward, next_state, terminated)
            returns[episode] += gamma**t * reward
            if terminated:
                break
            # The part of the tree below the state reached (None if the search was never there).
            root = root.children[i].get(next_state) if keep_tree else None
            state = next_state
    return returns


# %% Exact answers

def optimal_values(world, gamma):
    """Q* (S, 4), nan for moves not offered, and V* (S,) of a GridWorld, by value iteration."""
    Q = np.full((len(world.cells), 4), np.nan)
    # V stays 0 where an episode ends: nothing more can be earned there.
    V = np.zeros(len(world.cells))
    # 300 sweeps are plenty: episodes in our worlds take about 15 steps.
    for _ in range(300):
        for state, cell in enumerate(world.cells):
            if cell in ".S":
                # First what each move is worth if it succeeds ...
                for action, (next_state, reward, _) in world.outcomes[state].items():
                    Q[state, action] = reward + gamma * V[next_state]
                # ... then the slip, which makes it any of the moves offered: their mean. (nanmean
                # leaves out the moves that are not offered.)
                Q[state] = (1 - world.slip) * Q[state] + world.slip * np.nanmean(Q[state])
                V[state] = np.nanmax(Q[state])
    return Q, V


# %% What the experiments and panels below share

def run_seeds(n_runs, seed):
    """One seed per run. All methods get the same ones, so that they meet the same luck."""
    return np.random.default_rng(seed).integers(2**31, size=n_runs).tolist()


def bridge(length):
    """The rows of a world: small treasure, start, a bridge over a drop, big treasure."""
    return ["gS" + "." * length + "G", "##" + "x" * length + "#"]


def draw_band(ax, runs, color, style, label):
    """The mean of runs (n_runs, T), and a band in which the mean of endless runs would be."""
    x = np.arange(1, runs.shape[1] + 1)
    mean = runs.mean(axis=0)
    # The mean of n runs is off by about their spread / sqrt(n); in 95 % by less than twice that.
    error = runs.std(axis=0) / math.sqrt(len(runs))
    ax.fill_between(x, mean - 2 * error, mean + 2 * error, color=color, alpha=0.2)
    ax.plot(x, mean, style, color=color, label=label)


def draw_curves(ax, lines, optimum, x, xlabel, title, ylabel="return"):
    """A band for each of lines = {name: runs (n_runs, len(x))}, and the exact optimum."""
    colors = [BLUE, GREEN, GREY, RED]
    for name, color, style in zip(lines, colors, ["o-", "s--", "^-.", "x:"]):
        draw_band(ax, lines[name], color, style, name)
    ax.axhline(optimum, color="black", label=f"optimum: {optimum:.3g}")
    # draw_band puts the numbers x at 1, 2, 3, ...
    ax.set_xticks(range(1, len(x) + 1), x)
    # Above the curves there is room for the legend.
    ax.set(ylim=(0, 1.7 * optimum), xlabel=xlabel, title=title, ylabel=ylabel)
    ax.legend(loc="upper left", fontsize=8)


# %% Slides "Simulation-based search" and "Monte-Carlo Tree Search": crossing the bridge

def crossing(search, length, seeds):
    """1 where the search, mcts or flat_search, crosses the bridge: (runs, len(SIMULATIONS))."""
    world = GridWorld(bridge(length))
    crossed = np.zeros((len(seeds), len(SIMULATIONS)))
    for run, seed in enumerate(seeds):
        for k, n in enumerate(SIMULATIONS):
            root = search(world, world.start, n, GAMMA, rng=seed)
            # From the start, the bridge is on the right. (best needs the seed for ties.)
            crossed[run, k] = MOVES[root.best(seed)] == "right"
    return crossed


# %% Slide "Monte-Carlo Tree Search": the tree, what c trades, and what a kept tree is worth

def draw_tree(ax, node, left=0, step=1):
    """A bar for each action of the node, as wide as its visits."""
    for action, n, children in zip(node.actions, node.N, node.children):
        ax.barh(step, n, left=left, height=1, color=BLUE, alpha=0.5, edgecolor="black")
        # Only a wide bar has room for text: here one of 90 simulations or more.
        if n > 90:
            ax.text(left + n / 2, step, f"{MOVES[action]} {n}", ha="center", va="center")
        # Under this bar come those of the next step: the function calls itself. (In a world without
        # slips there is only one child.)
        for child in children.values():
            draw_tree(ax, child, left, step + 1)
        left += n


def search_and_act(world, seeds, n_simulations, c=2**0.5, keep_tree=False):
    """Return of one episode, as a column (runs, 1). The world is the model, leaves get rollouts."""
    # Rollouts of up to 50 steps, as a random walk needs long to find a treasure.
    return np.array([together(world, 1, GAMMA, model=world, n_simulations=n_simulations, c=c,
                              max_depth=50, values=False, keep_tree=keep_tree, seed=seed)
                     for seed in seeds])


# %% Slide "Putting it all together"

def learning(world, seeds, max_depth=20, values=True):
    """Return of each of 15 episodes (runs, 15), in which the agent learns a model and values."""
    return np.array([together(world, 15, GAMMA, max_depth=max_depth, values=values, seed=seed)
                     for seed in seeds])


# %% The run: what is printed, and main

def row(what, measured, compare):
    """One printed line; `compare` says what the number should be near."""
    print(f"{what:46} | {measured:8.4g} | {compare}")


def run_all(axes, n_runs, seed):
    """All experiments, panels and printed lines, in the order of the slides."""
    print(f"{'what':46} | measured | compare")
    seeds = run_seeds(n_runs, seed)
    # Crossing the bridge, with and without a tree.
    lines = {f"MCTS, bridge of {n}": crossing(mcts, n, seeds) for n in [2, 3, 4]}
    lines["flat search, bridge of 2"] = crossing(flat_search, 2, seeds)
    draw_curves(axes[0, 0], lines, 1, SIMULATIONS, "simulations",
                "more simulations: MCTS learns to cross\nthe bridge, flat search does not",
                "share of runs that cross")
    for name, runs in lines.items():
        row(f"{name}: share that crosses", runs[:, -1].mean(), "1: it is right to cross")

    # The tree itself, and the root's table. Q stays below the exact Q*, as it is the mean over all
    # simulations, also of those that fell off later.
    world = GridWorld(bridge(3))
    root = mcts(world, world.start, 1000, GAMMA, rng=seed)
    draw_tree(axes[0, 1], root)
    axes[0, 1].set(title="a tree grows where it is good:\nacross the bridge of 3",
                   xlabel="simulations, of 1000", ylabel="step")
    # Step 1 on top.
    axes[0, 1].invert_yaxis()
    Q, _ = optimal_values(world, GAMMA)
    for action, n, q in zip(root.actions, root.N, root.Q):
        row(f"bridge of 3, root: {MOVES[action]}, {n} visits, Q", q,
            f"{Q[world.start, action]:.4f}: exact Q*")

    # Single episodes are a matter of luck: four times as many runs.
    many_seeds = run_seeds(4 * n_runs, seed)
    # What c trades. Each array has one column (one episode a run): hstack puts them side by side.
    world = GridWorld(bridge(2), SLIP)
    _, V = optimal_values(world, GAMMA)
    returns = [search_and_act(world, many_seeds, 300, c) for c in CONSTANTS]
    draw_curves(axes[0, 2], {"MCTS": np.hstack(returns)}, V[world.start], CONSTANTS,
                "exploration constant c",
                "slippery bridge of 2: a small c\ngives up, a large c falls off")

    # What a kept tree is worth.
    world = GridWorld(MAZE, SLIP)
    _, V = optimal_values(world, GAMMA)
    kept = [search_and_act(world, many_seeds, n, keep_tree=True) for n in REUSE]
    new = [search_and_act(world, many_seeds, n) for n in REUSE]
    lines = {"tree kept after each step": np.hstack(kept), "new tree": np.hstack(new)}
    draw_curves(axes[1, 0], lines, V[world.start], REUSE, "simulations before each step",
                "slippery maze: a kept tree\nsaves simulations")

    # Putting it all together, in the same maze. Of the three, only the first has search and values.
    lines = {"model + values + search": learning(world, seeds),
             "without search": learning(world, seeds, max_depth=1),
             "without values": learning(world, seeds, values=False)}
    draw_curves(axes[1, 1], lines, V[world.start], range(1, 16), "real episode in the maze",
                "putting it all together\nlearns fastest")
    for name, runs in lines.items():
        row(f"{name}: last 5 returns", runs[:, -5:].mean(),
            f"{V[world.start]:.4f}: exact optimum")
    # There are five panels.
    axes[1, 2].axis("off")


def main():
    # Without SUPPRESS an error message would begin with a list of all options.
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], usage=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=15, help="independent runs (default 15)")
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
        args.save = "mcts.png"
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
