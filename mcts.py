"""Monte-Carlo Tree Search: simulate episodes, and remember in a tree which actions went well.

The slides, and where they are in this file
    Simulation-based search      flat_search: rollouts without a tree
    Monte-Carlo Tree Search      mcts: four blocks, Select, Expand, Rollout, Update; Node.best
    Putting it all together      together: a learned CountModel, learned values, and mcts

The equations
    Select   untried actions first, then the largest UCB1 = Q(s,a) + c sqrt(ln N(s) / N(s,a))
    Update   Q(s,a) = mean of all returns G_u = R_{u+1} + gamma R_{u+2} + ... that followed a in s
    Output   argmax_a Q(root,a)

Run it: python mcts.py (10 seconds). What you will see, and why
    A small treasure lies beside the start, a big one behind a narrow bridge. Flat search never
    crosses it: its random walks fall off, so the bridge looks bad, however many there are.
    MCTS crosses: what went well is repeated, so later simulations fall less and see further.
    If c is too small it gives up the bridge after a few falls; if too large it goes on falling.
    A tree kept after a real step need not be built again, so it is worth extra simulations.
    Model, values and search together learn fastest; without one of them rewards spread slowly.

Try: three changes of one line, and the question that each answers
    rewards = {"g": 0.1, "G": 1.0} in GridWorld     When is flat search good enough?
    self.Q[i] = max(self.Q[i], G) in Node.update    Why the mean return, and not the best one?
    return state, 1.0, True in CountModel.step      What if the unknown looks good, not bad?

Notation
    s, a, r       a state (9, or anything hashable), an action (1), a reward (0.4)
    node          a state in the tree: actions [1, 3], visits N [90, 10], mean returns Q [.6, .4]
    N(s), V(s)    visits of s, the sum of its N; value of s, for example .5
    path          the pairs (s,a) of one simulation that are in the tree; G is a return

Left out on purpose: learned priors over actions (PUCT), continuous actions, nodes shared by
several paths, parallel simulations.

References
    Kocsis & Szepesvari, Bandit based Monte-Carlo planning (2006): UCB1 in trees, with proofs.
    Browne et al., A survey of Monte Carlo tree search methods (2012): all the variants.
    Silver et al., Mastering the game of Go (2016): learned values at the leaves.
"""
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

# Across 2, 3 or 4 cells of bridge, the big treasure is worth 0.95^2 = 0.90, 0.86 or 0.81 at the
# start: always more than the small one's 0.4.
GAMMA = 0.95
# Bad luck happens in most episodes, but most steps succeed.
SLIP = 0.1
# From too few for any of the bridges to enough for nearly all.
SIMULATIONS = [10, 30, 100, 300, 1000, 3000]
# c from hardly any exploration to hardly anything else.
CONSTANTS = [0.03, 0.1, 0.3, 1.0, 3.0, 10.0]
# So few simulations before a step that those of the step before make a difference.
REUSE = [5, 10, 20, 40]
# Enough for the agent with model, values and search to level off.
EPISODES = 20
# The learning agent's share of random actions, as in dyna_q.py.
EPSILON = 0.1
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
    """A small world of text that is its own model: `step` remembers nothing.

    rows    '.' free, '#' wall, 'S' start; and what ends the episode: 'x' a drop (reward 0),
            'g' the small treasure (0.4), 'G' the big one (1)
    slip    probability that chance replaces the action by a random one of those offered
    States are numbered row by row from the top left. Actions: 0 up, 1 right, 2 down, 3 left;
    moves into walls or over the border are not offered. ValueError for malformed rows or slip.

    >>> world = GridWorld(["gS.G"])
    >>> world.actions(1), world.step(1, 3, random.Random(0))
    ([1, 3], (0, 0.4, True))
    """

    def __init__(self, rows, slip=0.0):
        # All rows as one text: the cell of state s is its letter number s.
        self.cells = "".join(rows)
        self.slip = slip
        if (len(set(map(len, rows))) != 1 or self.cells.count("S") != 1
                or not set(self.cells) <= set(".#SxgG") or not 0 <= slip <= 1):
            raise ValueError("need equally long rows of . # S x g G, one S, and slip in [0, 1]")
        self.start = self.cells.index("S")
        height, width = len(rows), len(rows[0])
        rewards = {"g": 0.4, "G": 1.0}
        # outcomes[state][action] = (next state, reward, terminated), unless the agent slips.
        self.outcomes = [{} for _ in self.cells]
        for state in range(height * width):
            y, x = divmod(state, width)
            neighbours = [(y - 1, x), (y, x + 1), (y + 1, x), (y, x - 1)]
            for action, (y2, x2) in enumerate(neighbours):
                # Beyond the border everything is wall.
                cell = rows[y2][x2] if y2 in range(height) and x2 in range(width) else "#"
                if cell != "#":
                    outcome = (y2 * width + x2, rewards.get(cell, 0.0), cell in "xgG")
                    self.outcomes[state][action] = outcome

    def actions(self, state):
        return list(self.outcomes[state])

    def step(self, state, action, rng):
        # The slip is drawn anew at every step, from the generator that the search hands in.
        if rng.random() < self.slip:
            action = pick(self.actions(state), rng)
        return self.outcomes[state][action]


# %% Algorithm: choosing at random

def pick(items, rng):
    """One of the items, each with the same probability."""
    if len(items) == 0:
        raise ValueError("a state has no actions: a step into it must return terminated = True")
    # rng.random() is uniform in [0, 1). With 4 items, 4 * rng.random() is in [0, 4), and int()
    # cuts it down to 0, 1, 2 or 3, each as likely as the others. Why not rng.choice(items)?
    # random() means the same in random.Random and in NumPy's Generator; choice does not.
    return items[int(rng.random() * len(items))]


def index_of_best(scores, rng):
    """Index of the largest score. Ties at random: always the first would be a blind habit."""
    best = max(scores)
    return pick([i for i, score in enumerate(scores) if score == best], rng)


def as_generator(rng):
    """A seed, or None for a new one, becomes a generator; a generator is handed on as it is."""
    if hasattr(rng, "random"):
        return rng
    # Python's own, which draws single numbers several times faster than NumPy's.
    return random.Random(rng if rng is None else int(rng))


# %% Algorithm: the tree

class Node:
    """A state in the tree; for its action number i: visits N[i], mean return Q[i], children[i].

    ValueError for no actions or a NaN return. Copy with it: pick, index_of_best, as_generator.

    >>> node = Node("start", ["left", "right"])
    >>> node.update(0, -1.0)
    >>> node.best(), node.actions[node.select(1.0, random.Random(0))]
    ('left', 'right')
    """

    def __init__(self, state, actions):
        if len(actions) == 0:
            raise ValueError(f"{state!r} has no actions: a step into it must return terminated")
        self.state = state
        self.actions = list(actions)
        # Lists, not arrays: one number at a time, Python is several times faster with a list.
        self.N = [0] * len(actions)
        self.Q = [0.0] * len(actions)
        # children[i] is a dictionary {state reached: its node}. The same action may lead to
        # several states, and each of them needs decisions of its own. One node for all would
        # mix their values; a node for the first one only would be a plan that counts on luck.
        self.children = [{} for _ in actions]

    def select(self, c, rng):
        """Index of the action to simulate; slide: "pick actions according to Q(s,a)"."""
        # UCB1 below divides by n: the fewer visits, the higher the score. Without a visit it counts
        # as infinite, so everything is tried once before anything is tried twice.
        untried = [i for i, n in enumerate(self.N) if n == 0]
        if untried:
            return pick(untried, rng)
        # UCB1 = Q(s,a) + c sqrt(ln N(s) / N(s,a)). A mean of n returns is off by about 1/sqrt(n),
        # so the sum says how good the action may yet turn out to be. And as ln N(s) grows slowly,
        # but for ever, an action that had bad luck at first gets another try some day.
        # c trades what is known against what is uncertain: a small c trusts the means, a large c
        # tries all actions alike. Its unit is that of returns: if those are around 100, so is c.
        log_visits = math.log(sum(self.N))
        scores = [q + c * math.sqrt(log_visits / n) for q, n in zip(self.Q, self.N)]
        return index_of_best(scores, rng)

    def update(self, i, G):
        """One more return of action i."""
        if math.isnan(G):
            raise ValueError("a reward or a leaf's value is NaN (not a number)")
        # The mean, without a list of all returns. With returns 1, 2, 6 it goes
        # 1,  1 + (2 - 1)/2 = 1.5,  1.5 + (6 - 1.5)/3 = 3.
        self.N[i] += 1
        self.Q[i] += (G - self.Q[i]) / self.N[i]

    def best(self, rng=None):
        """The slide's output: the action with the highest Q, ties at random."""
        # An action never tried still has Q = 0. Where all returns are negative that would look
        # best, so it is left out here. (In select it came first: there the aim is to know more.)
        scores = [q if n > 0 else -math.inf for q, n in zip(self.Q, self.N)]
        return self.actions[index_of_best(scores, as_generator(rng))]


# %% Algorithm: rollouts, and search without a tree

def rollout_return(model, state, n_steps, gamma, rng, policy=None):
    """Return of a simulated episode from `state` on, cut after n_steps. Copy pick with it.

    policy    policy(state, rng) -> action, the slide's "fixed simulation policy"; None: random
    """
    G = 0.0
    discount = 1.0
    for _ in range(n_steps):
        if policy is None:
            action = pick(model.actions(state), rng)
        else:
            action = policy(state, rng)
        state, reward, terminated = model.step(state, action, rng)
        # G = R_1 + gamma R_2 + gamma^2 R_3 + ..., so the first reward is not discounted.
        # float(), because one reward in NumPy's float16 would make the whole sum a float16.
        G += discount * float(reward)
        if terminated:
            break
        discount *= gamma
    return G


def flat_search(model, state, n_simulations, gamma, rng=None, max_depth=100):
    """Slide "Simulation-based search": the root alone, and rollouts of each action in turn."""
    rng = as_generator(rng)
    root = Node(state, model.actions(state))
    for k in range(n_simulations):
        # Two things that MCTS will change: each action gets as many simulations as any other,
        # however bad it looks; and after the first step, all simulations stay random for ever.
        i = k % len(root.actions)
        next_state, reward, terminated = model.step(state, root.actions[i], rng)
        G = float(reward)
        if not terminated:
            G += gamma * rollout_return(model, next_state, max_depth - 1, gamma, rng)
        root.update(i, G)
    return root


# %% Algorithm: Monte-Carlo Tree Search

def mcts(model, state, n_simulations, gamma=1.0, c=2**0.5, max_depth=100, rng=None, root=None,
         rollout=None, leaf_value=None):
    """Slide "Monte-Carlo Tree Search": returns the root, a Node, after n_simulations more.

    model       any object with actions(state) -> sequence and
                step(state, action, rng) -> (next_state, reward, terminated), without memory and
                with all its luck from rng. A Gymnasium environment is none: its step changes it
    gamma, c    discount in [0, 1]; UCB1's constant: sqrt(2) suits returns between 0 and 1
    max_depth   a simulation is cut after so many steps; what would follow counts as 0
    rng         random.Random (the fastest), NumPy Generator, or a seed. The very object is handed
                to step and rollout; a seed (or None, new each time) becomes a random.Random
    root        an earlier tree to continue. After a real step: root.children[i].get(next_state),
                where i is the action's index; None if the search never got there: a new tree
    rollout     rollout(state, rng) -> action, the fixed simulation policy; None is random
    leaf_value  leaf_value(state) -> number, in place of a rollout, and where max_depth cuts

    The root has state, actions, N (A,), Q (A,), children[i] = {next state: Node} and best(rng);
    N.sum() simulations went through it. Q of an action never tried is 0; best leaves it out.
    ValueError: numbers out of range, a root of another state or other actions, a NaN reward, or
    a state without actions. Copy with it: Node, rollout_return, pick, index_of_best, as_generator.

    States are hashable. If equal ones do not compare equal (say, two copies of an environment),
    no node is found again and the tree stays one level deep. Use a key as the state, such as
    board.tobytes() or (tuple(hand), dealer), or give your class __eq__ and __hash__ by that key.

    Two players: let step make your move and then the opponent's answer. For self-play, step makes
    one move, and pays whoever made it; what the other earns next is your loss, so that gamma
    becomes -gamma in the two lines marked "self-play".

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
    # A root that an earlier search returned has arrays; back to lists.
    root.N = np.array(root.N).tolist()
    root.Q = np.array(root.Q).tolist()

    for _ in range(n_simulations):
        # ---- Select until you reach a leaf node of the tree ----
        # Walk down from the root as long as the state reached has a node. Each step asks the model
        # anew, even where the tree has been before: the same action may lead elsewhere this time.
        # The leaf is the last node of this walk, the one from which a step leads out of the tree.
        node = root
        path = []
        while True:
            i = node.select(c, rng)
            s, reward, terminated = model.step(node.state, node.actions[i], rng)
            path.append((node, i, float(reward)))
            over = terminated or len(path) == max_depth
            if over or s not in node.children[i]:
                break
            node = node.children[i][s]

        # ---- Expand the search tree by one node ----
        # Only by one. The rollout below goes on through more states, but most of them are never
        # seen again, so they get no nodes. Nor does an end: nothing is left to decide there.
        if not over:
            node.children[i][s] = Node(s, model.actions(s))

        # ---- Rollout until episode termination with a fixed simulation policy ----
        # What will still be earned from s on? After a terminal state nothing.
        # Why `is not None`? A table of values that is still empty counts as false in Python.
        if terminated:
            G = 0.0
        elif leaf_value is not None:
            G = float(leaf_value(s))
        else:
            steps_left = max_depth - len(path)
            G = rollout_return(model, s, steps_left, gamma, rng, rollout)       # self-play

        # ---- Update the values of all pairs (s,a) on the path, the last one first ----
        # Each pair gets the return from its own step u on, G_u = R_{u+1} + gamma G_{u+1}. With
        # gamma = 0.5 and rewards 1, 4 the second pair gets 4, the first 1 + 0.5 * 4 = 3. If both
        # got 3, the second would be judged by what had happened before it.
        for node, i, reward in reversed(path):
            G = reward + gamma * G                                              # self-play
            node.update(i, G)

    # Arrays for the caller, who will want sums and maxima.
    root.N = np.array(root.N)
    root.Q = np.array(root.Q)
    return root


# %% Algorithm: putting it all together

class CountModel:
    """A model learned by counting (slide "How to build a model? (III)"), as mcts takes it.

    actions    actions(state) -> sequence; known, but not what the actions do. Copy pick with it.

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
        # Every outcome is listed as often as it happens. `terminated` is a part of it: to end in
        # s' and to go on from s' are different outcomes, even if the agent sees the same state.
        outcomes = self.seen.setdefault((state, action), [])
        outcomes.append((next_state, float(reward), bool(terminated)))

    def step(self, state, action, rng):
        # A pair never tried ends the episode with reward 0: of the unknown, nothing is expected.
        # Why not stay put, as in Dyna-Q's model? Then it would be worth gamma V(s), nearly as much
        # as the best known action, and searches would spend their steps on the spot.
        if (state, action) not in self.seen:
            return state, 0.0, True
        # To pick from the list is to draw with the counted probabilities N(s,a,s') / N(s,a).
        return pick(self.seen[state, action], rng)


def together(world, n_episodes, gamma, model=None, n_simulations=20, c=0.5, max_depth=20,
             values=True, keep_tree=False, epsilon=0.1, seed=0):
    """Slide "Putting it all together": search in a learned model, with learned values at leaves.

    model        None: one that is learned; or a model that is known, for example the world
    max_depth    1 is no search: one imagined step and the learned value behind it
    values       False is random rollouts in place of learned values
    keep_tree    go on with the tree of the step before (right only if the model stays the same)
    Returns the discounted return of each real episode (n_episodes,).
    """
    # Separate streams of random numbers: more search must not change the luck in the real world.
    seeds = np.random.default_rng(seed).integers(2**31, size=3).tolist()
    world_rng, search_rng, acting_rng = [random.Random(s) for s in seeds]
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
        # Broken off after 100 steps, as the first episodes are long walks without a treasure.
        for t in range(100):
            # Search: imagined steps only, the real world is not asked.
            root = mcts(model, state, n_simulations, gamma, c, max_depth, search_rng, root,
                        leaf_value=learned_value if values else None)
            # The new V[s] replaces the old one. They are not averaged: Q is an average over luck
            # already, and the old V[s] comes from a model that knew less. The maximum, because
            # the best action is the one that the agent means to take.
            V[state] = max(root.Q)
            action = root.best(acting_rng)
            if acting_rng.random() < epsilon:
                action = pick(root.actions, acting_rng)
            # One real step. The model learns from it, and the next search is a little wiser.
            next_state, reward, terminated = world.step(state, action, world_rng)
            learned.learn(state, action, reward, next_state, terminated)
            returns[episode] += gamma**t * reward
            if terminated:
                break
            # Below the state reached, the next search has already begun (None: not yet).
            children = root.children[root.actions.index(action)]
            root = children.get(next_state) if keep_tree else None
            state = next_state
    return returns


# %% Exact answers

def optimal_values(world, gamma, epsilon=0.0):
    """Q* (S, 4), nan for moves not offered, and V* (S,) of a GridWorld, by value iteration.
    With epsilon: of the best agent that takes a random action with that probability."""
    Q = np.full((len(world.cells), 4), np.nan)
    # V stays 0 where an episode ends: nothing more can be earned there.
    V = np.zeros(len(world.cells))
    change = 1.0
    while change > 1e-10:
        old = V.copy()
        for state, cell in enumerate(world.cells):
            if cell in ".S":
                # First what each move is worth if it succeeds ...
                for action, (next_state, reward, _) in world.outcomes[state].items():
                    Q[state, action] = reward + gamma * V[next_state]
                # ... then the slip, which makes it any of the moves offered: their mean.
                mean = np.nanmean(Q[state])
                Q[state] = (1 - world.slip) * Q[state] + world.slip * mean
                V[state] = (1 - epsilon) * np.nanmax(Q[state]) + epsilon * mean
        change = abs(V - old).max()
    return Q, V


# %% What the experiments and panels below share

def bridge(length, slip=0.0):
    """Small treasure, start, a bridge over a drop, big treasure."""
    return GridWorld(["gS" + "." * length + "G", "##" + "x" * length + "#"], slip)


def draw_lines(ax, x, lines, exact, **labels):
    """Lines (runs (n_runs, len(x)), color, style, name): each the mean of its runs, with a band of
    two standard errors, which is 95 % for many runs. exact: {name: value}, straight lines."""
    for runs, color, style, name in lines:
        mean = runs.mean(axis=0)
        error = runs.std(axis=0) / math.sqrt(max(len(runs) - 1, 1))
        ax.fill_between(x, mean - 2 * error, mean + 2 * error, color=color, alpha=0.2)
        ax.plot(x, mean, style, color=color, label=name, markersize=4)
    for (name, value), side in zip(exact.items(), ["bottom", "top"]):
        ax.axhline(value, color=GREY, linewidth=0.8)
        ax.text(x[0], value, f"{name}: {value:.3f}", color=GREY, fontsize=9, va=side)
    ax.set(**labels)
    ax.legend(fontsize=9, frameon=False, loc="upper left")


# %% Slides "Simulation-based search" and "Monte-Carlo Tree Search": crossing the bridge

def crossing(search, length, seeds):
    """1 where a search answers "right", onto the bridge: (runs, len(SIMULATIONS))."""
    world = bridge(length)
    crossed = np.zeros((len(seeds), len(SIMULATIONS)))
    for run, seed in enumerate(seeds):
        for k, n in enumerate(SIMULATIONS):
            root = search(world, world.start, n, GAMMA, rng=seed)
            # Action 1 is a step to the right.
            crossed[run, k] = root.best(seed) == 1
    return crossed


def draw_crossing(ax, two, three, four, flat):
    draw_lines(ax, SIMULATIONS, [(two, GREEN, "o-", "MCTS, bridge of 2"),
                                 (three, BLUE, "s-", "MCTS, bridge of 3"),
                                 (four, GREY, "^-", "MCTS, bridge of 4"),
                                 (flat, RED, "x--", "flat search, bridge of 2")], {},
               title="MCTS crosses the bridge,\nflat search never does", xscale="log",
               ylim=(-0.05, 1.7), yticks=[0, 0.5, 1], xlabel="simulations",
               ylabel="share of runs that cross")


# %% Slide "Monte-Carlo Tree Search": the tree itself

def draw_tree(ax, world, node, n_root, left=0, step=1):
    """A bar for each pair (s,a), as wide as its visits, below the bar that led to s; for worlds
    without slips, where each pair leads to one state. Calls itself for the nodes below."""
    colors = {"g": GREEN, "G": GREEN, "x": RED}
    for action, n, children in zip(node.actions, node.N, node.children):
        next_state = world.outcomes[node.state][action][0]
        color = colors.get(world.cells[next_state], BLUE)
        bar = ax.barh(step, n, left=left, height=1, color=color, alpha=0.6, edgecolor="white")
        # No text that is wider than its bar.
        if n > n_root / 12:
            ax.bar_label(bar, [f"{MOVES[action]}\n{n}"], label_type="center", fontsize=9)
        for child in children.values():
            draw_tree(ax, world, child, n_root, left, step + 1)
        left += n
    ax.set(ylim=(6.5, 0.5), ylabel="step",
           xlabel="simulations that came through\n(green: to a treasure, red: a drop)")


# %% Slide "Monte-Carlo Tree Search": what c trades, and what a kept tree is worth

def search_and_act(world, seeds, n_simulations, c=2**0.5, keep_tree=False):
    """Return of one episode (runs, 1) with the world as the model, and rollouts at the leaves."""
    return np.array([together(world, 1, GAMMA, world, n_simulations, c, max_depth=50, values=False,
                              keep_tree=keep_tree, epsilon=0, seed=seed) for seed in seeds])


def draw_constants(ax, returns, exact):
    draw_lines(ax, CONSTANTS, [(returns, BLUE, "o-", "MCTS, slippery bridge of 2")], exact,
               title="c too small gives up the bridge,\nc too large does not use what it saw",
               xscale="log", ylim=(0, 1.15), xlabel="exploration constant c", ylabel="return")


def draw_reuse(ax, kept, new, exact):
    draw_lines(ax, REUSE, [(kept, GREEN, "o-", "tree kept after each step"),
                           (new, BLUE, "s--", "new tree at each step")], exact,
               title="in the slippery maze,\na kept tree saves simulations", ylim=(0, 0.9),
               xlabel="simulations before each step", ylabel="return")


# %% Slide "Putting it all together"

def learning(world, seeds, **without):
    """Return of each episode (runs, EPISODES); `without` takes a part of the agent away."""
    return np.array([together(world, EPISODES, GAMMA, epsilon=EPSILON, seed=seed, **without)
                     for seed in seeds])


def draw_learning(ax, full, no_search, no_values, exact):
    draw_lines(ax, range(1, EPISODES + 1), [(full, BLUE, "-", "model + values + search"),
                                            (no_search, GREEN, "--", "without search"),
                                            (no_values, RED, ":", "without values")], exact,
               title="putting it all together\nlearns fastest", ylim=(0, 0.9),
               xlabel="real episode in the slippery maze", ylabel="return")


# %% The run: what is printed, and main

def row(what, measured, compare):
    """One printed line; `compare` says what the number should be near."""
    print(f"{what:50} | {measured:8.4g} | {compare}")


def run_all(axes, n_runs, seed):
    """Every experiment and its panel, and the printed lines."""
    # One seed per run. All methods get the same ones, so that they meet the same luck. Episodes on
    # the slippery bridge are short: four times as many of them, as falls are luck.
    many_seeds = np.random.default_rng(seed).integers(2**31, size=4 * n_runs).tolist()
    seeds = many_seeds[:n_runs]
    print(f"{'what':50} | {'measured':8} | compare")
    crossed = [crossing(mcts, length, seeds) for length in [2, 3, 4]]
    flat = crossing(flat_search, 2, seeds)
    draw_crossing(axes[0, 0], *crossed, flat)
    for length, runs in zip([2, 3, 4], crossed):
        row(f"bridge of {length}: runs of MCTS that cross at the end", runs[:, -1].mean(), "1")
    row("bridge of 2: runs of flat search", flat[:, -1].mean(), "0: random walks fall off")

    world = bridge(3)
    for ax, n in zip(axes[0, 1:], [100, 1000]):
        root = mcts(world, world.start, n, GAMMA, rng=seed)
        draw_tree(ax, world, root, n)
        favourite = MOVES[root.actions[root.N.argmax()]]
        ax.set_title(f"tree of {n} simulations, bridge of 3:\nmost of them begin with {favourite}")
    Q, _ = optimal_values(world, GAMMA)
    for action, n, q in zip(root.actions, root.N, root.Q):
        row(f"bridge of 3, root: {MOVES[action]}, {n} visits, Q", q,
            f"{Q[world.start, action]:.4f} is Q*")

    world = bridge(2, SLIP)
    optimum = optimal_values(world, GAMMA)[1][world.start]
    returns = np.hstack([search_and_act(world, many_seeds, 300, c) for c in CONSTANTS])
    draw_constants(axes[1, 0], returns, {"optimum": optimum})
    for k in [0, 3, 5]:
        row(f"slippery bridge of 2, c = {CONSTANTS[k]}: return", returns[:, k].mean(),
            f"{optimum:.4f} optimum")

    maze = GridWorld(MAZE, SLIP)
    optimum = optimal_values(maze, GAMMA)[1][maze.start]
    kept = np.hstack([search_and_act(maze, seeds, n, keep_tree=True) for n in REUSE])
    new = np.hstack([search_and_act(maze, seeds, n) for n in REUSE])
    draw_reuse(axes[1, 1], kept, new, {"optimum": optimum})
    row("maze: return gained by keeping the tree", (kept - new).mean(), "0.07 in many runs")

    with_random = optimal_values(maze, GAMMA, EPSILON)[1][maze.start]
    full = learning(maze, seeds)
    no_search = learning(maze, seeds, max_depth=1)
    no_values = learning(maze, seeds, values=False)
    draw_learning(axes[1, 2], full, no_search, no_values,
                  {"optimum": optimum, "10 % random": with_random})
    for name, runs in [("all", full), ("no search", no_search), ("no values", no_values)]:
        row(f"together, {name}: return of episodes 11 to {EPISODES}", runs[:, 10:].mean(),
            f"{with_random:.4f} best possible with random actions")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], usage=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=15, help="independent runs (default 15)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random numbers (0)")
    parser.add_argument("--save", metavar="FILE", help="write the figure here: png, pdf or svg")
    # In a notebook's cell the command line belongs to the kernel, not to this script.
    args = parser.parse_args([] if "ipykernel" in sys.argv[0] else None)
    if args.runs < 1 or args.seed < 0:
        parser.error("--runs must be at least 1 and --seed at least 0")
    plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})
    fig, axes = plt.subplots(2, 3, figsize=(12.8, 7.6), layout="constrained")
    if args.save is None and plt.get_backend().lower() == "agg":        # there is no display
        args.save = "mcts.png"
    try:
        if args.save:               # a file that cannot be written is refused before any work
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
