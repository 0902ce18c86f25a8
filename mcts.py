"""Monte-Carlo Tree Search: simulate episodes, and remember in a tree which actions went well.

The slides, and where they are in this file
    Simulation-based search      flat_search: rollouts for each action, without a tree ("flat")
    Monte-Carlo Tree Search      mcts: Select, Expand, Rollout, Update; Node.best: the best action
    Putting it all together      together: search in a learned model, with learned values
The equations
    Counts   N(s,a): how often action a was chosen in state s (in one node of the tree). N(s): the
             sum over all a
    Update   Q(s,a) = mean of the N(s,a) returns seen after action a in s: these are what the
             slide's double sum adds up. If a was taken at step u, its return is
             G_u = R_{u+1} + gamma R_{u+2} + gamma^2 R_{u+3} + ...
    Select   The slide's "pick actions according to Q(s,a)" means: take the untried actions first,
             in random order. Then take the action with the largest UCB1 (upper confidence bound) =
             Q(s,a) + c sqrt(ln N(s) / N(s,a)). Node.select explains why. c: how much to explore
Run it: python mcts.py (10 seconds). What you will see, and why
    The world:  gS...G    A small treasure g is beside the start S. A big one, G, is at the end of
                ##xxx#    a narrow bridge. A step down from the bridge ends in a drop x.
    With many simulations, flat search prefers g: most random walks onto the bridge fall, so on
    average they earn less than g. MCTS repeats what went well, so more and more of its simulations
    cross the bridge. If c is too small, MCTS gives up the bridge after one or a few simulations
    that fell. If c is too large, it goes on trying bad steps on the bridge: most simulations fall,
    and Q, their mean, stays low. After a real step, the tree below the new state can be kept: then
    fewer simulations are enough. In a slippery maze, an agent with a learned model learns fastest
    if it has both search and learned values V(s).
Try, after reading: in the place named, change a line into this one, run again, and answer
    GridWorld:        rewards = {"g": 0.1, "G": 1.0}   When is flat search good enough?
    Node.update:      self.Q[i] = max(self.Q[i], G)    Is the best return a good Q if one can slip?
    CountModel.step:  return state, 1.0, True          What if the unknown looks good, not bad?
Notation: s, a, r: a state, action, reward. G: a return. i: an action's index in a node's lists.
"Needs f, g" in a docstring: whoever copies the function must copy f and g, too.
Left out on purpose: games with a second player, learned policies that tell Select what to try.
References: Auer et al. (2002): UCB1. Kocsis & Szepesvari (2006): UCB1 in trees. Silver et al.,
Mastering the game of Go (2016): learned values at the leaves, mixed with rollouts.
"""

import argparse
import math
import random
import sys

import matplotlib.pyplot as plt
import numpy as np

# %% Settings
GAMMA = 0.95                                    # the discount
MOVES = ["up", "right", "down", "left"]         # the names of the actions 0, 1, 2, 3
SIMULATIONS = [10, 30, 100, 300, 1000, 3000]    # how many a search gets in the first panel


# %% Environment: treasures, walls and drops
class GridWorld:
    """A small world, and at the same time a model of it: step(state, ...) works from any state.

    rows    equally long texts of '.' free, '#' wall, 'S' start, and three kinds of cells that end
            the episode: 'x' drop (reward 0), 'g' small treasure (0.4), 'G' big treasure (1)
    slip    the probability of a slip: then one of the offered actions is done at random (perhaps
            the intended one)
    States are numbered row by row. `start` is the number of the cell S. Actions: 0 up, 1 right, 2
    down, 3 left; moves into walls or over the border are not offered. ValueError for rows that are
    not equally long, other letters, not exactly one S, or a bad slip. Needs pick.
    >>> world = GridWorld(["gS.G"])
    >>> world.actions(1)                            # state 1 is S: right, left
    [1, 3]
    >>> world.step(1, 3, random.Random(0))          # next state, reward, terminated
    (0, 0.4, True)
    """

    def __init__(self, rows, slip=0.0):
        self.cells = "".join(rows)          # cells[s] is the cell of state s
        self.slip = slip
        if not (all(len(row) == len(rows[0]) for row in rows) and self.cells.count("S") == 1
                and all(cell in ".#SxgG" for cell in self.cells) and 0 <= slip <= 1):
            raise ValueError("need equally long rows of . # S x g G, one S, and slip in [0, 1]")
        width = len(rows[0])
        self.start = self.cells.index("S")
        rewards = {"g": 0.4, "G": 1.0}
        # outcomes[state][action] = (next state, reward, terminated), if the agent does not slip.
        self.outcomes = []
        for state in range(len(self.cells)):
            offered = {}
            # Actions 0 to 3: how many rows down (-1 is up), how many columns right (-1 is left).
            for action, (down, right) in enumerate([(-1, 0), (0, 1), (1, 0), (0, -1)]):
                row = state // width + down
                column = state % width + right
                if 0 <= row < len(rows) and 0 <= column < width and rows[row][column] != "#":
                    cell = rows[row][column]
                    reward = rewards.get(cell, 0.0)             # 0.0 for other cells
                    offered[action] = (row * width + column, reward, cell in "xgG")
            self.outcomes.append(offered)

    def actions(self, state):
        return list(self.outcomes[state])       # the keys

    def step(self, state, action, rng):
        if rng.random() < self.slip:            # a slip: chance chooses the action
            action = pick(self.actions(state), rng)
        return self.outcomes[state][action]


# %% Algorithm: choosing at random, and the nodes of the tree
def pick(items, rng):
    """One of the items, each with the same probability."""
    n = len(items)
    # Only after the end of an episode may there be nothing to choose.
    if n == 0:
        raise ValueError("a state has no actions: a step into it must return terminated=True")
    # This is a faster rng.choice(items): if n = 4, n * rng.random() is in [0, 4), and int() rounds
    # it down to 0, 1, 2 or 3.
    return items[int(n * rng.random())]


def index_of_best(scores, rng):
    """Index of the largest score, ties at random (else the first would always win). Needs pick."""
    best = max(scores)
    return pick([i for i, score in enumerate(scores) if score == best], rng)


def as_generator(rng):
    """Returns rng if it is a generator of random numbers. If it is a seed or None, makes one."""
    if hasattr(rng, "random"):          # generators have a method random, seeds have none
        return rng
    # For single numbers, Python's generator is faster than NumPy's. With None, it chooses a seed
    # itself. Newer Pythons refuse NumPy's integers as seeds: int() makes them Python's.
    return random.Random(None if rng is None else int(rng))


class Node:
    """A state in the tree of the slide "Monte-Carlo Tree Search", with N(s,a) and Q(s,a).
    N[i] is the number of visits of the action actions[i], Q[i] is its mean return. (They are
    lists. At its end, mcts turns N and Q of the root into arrays.) children[i] is a dict
    with a node for each state that this action has led to (except terminal states). In a tree no
    node has two parents: a state that is reached in two ways gets two nodes, each with its own N
    and Q. In a new node all N are 0.
    ValueError for no actions, or a return of NaN or infinity. Needs pick, index_of_best,
    as_generator.
    >>> node = Node("start", ["left", "right"])
    >>> node.update(0, -1.0)                # index 0, "left", was followed by a return of -1
    >>> node.select(c=1.0, rng=random.Random(0))        # 1, "right": untried actions come first
    1
    >>> node.best()                             # "right" is still untried: its Q of 0 says nothing
    'left'
    """

    def __init__(self, state, actions):
        if len(actions) == 0:
            raise ValueError(f"{state} has no actions: no search starts there, and a step into it "
                             "must return terminated=True")
        self.state = state
        self.actions = list(actions)
        # Lists, because reading one number is several times slower in a NumPy array.
        self.N = [0] * len(actions)
        self.Q = [0.0] * len(actions)
        # children[i] = {state reached: its node}. If the action with i = 1 has led to state 7, and
        # by chance also to 8, children[1] is {7: ..., 8: ...}.
        # ([{}] * n would be the same dict n times: all actions would have the same children.)
        self.children = [{} for _ in actions]

    def select(self, c, rng):
        """Index of the action to simulate; slide: "pick actions according to Q(s,a)"."""
        # Untried actions come first: for them, UCB1 would divide by 0.
        if 0 in self.N:
            return pick([i for i, n in enumerate(self.N) if n == 0], rng)
        # UCB1 = Q(s,a) + c sqrt(ln N(s) / N(s,a)): an optimistic guess of what action a is worth.
        # Its second term says by how much Q may be too low. A mean of n returns has a "standard
        # error" of (their standard deviation) / sqrt(n). Here n is N(s,a), and c stands for the
        # standard deviation, which we do not know. (So if returns are 100 times as large, c must
        # be, too.) A small c trusts Q, a large c tries all actions alike.
        # Why sqrt(ln N(s))? A mean is too low by more than x standard errors in about e^(-x^2 / 2)
        # of all cases, or fewer. For x = sqrt(2 ln N(s)) this is 1 / N(s): so with more visits the
        # guess is too low ever more rarely. And ln N(s) grows while other actions are taken: so
        # every action gets another turn (if c > 0). But it grows ever more slowly (it is 7 after
        # 1000 visits, and 14 only after a million): so the turns of bad actions become ever rarer.
        # (Auer et al. proved this for a single state, returns in [0, 1] and c = sqrt(2), Kocsis
        # and Szepesvari for trees, in which returns change as the tree grows.)
        log_visits = math.log(sum(self.N))
        scores = [q + c * math.sqrt(log_visits / n) for q, n in zip(self.Q, self.N)]
        return index_of_best(scores, rng)

    def update(self, i, G):
        """Counts one more return G of action i, and puts it into the mean Q."""
        if not math.isfinite(G):            # one NaN would stay in the mean for ever
            raise ValueError("a return is infinite or NaN: check rewards and leaf_value")
        # This is the mean, without a list of all returns: after the returns 1 and 2, Q is 1.5, and
        # a third return of 6 makes it 1.5 + (6 - 1.5)/3 = 3.
        self.N[i] += 1
        self.Q[i] += (G - self.Q[i]) / self.N[i]

    def best(self, rng=None):
        """The action with the largest Q, ties at random; slide: "output best action"."""
        # An untried action has Q = 0: it would look best if all returns are negative.
        scores = [q if n > 0 else -math.inf for q, n in zip(self.Q, self.N)]
        return self.actions[index_of_best(scores, as_generator(rng))]


# %% Algorithm: Monte-Carlo Tree Search
def rollout_return(model, state, n_steps, gamma, rng, rollout=None):
    """Return of an episode of at most n_steps, simulated from `state` on. Needs pick."""
    G = 0.0
    discount = 1.0
    for _ in range(n_steps):
        # The fixed simulation policy: random, unless the caller gives `rollout`.
        action = pick(model.actions(state), rng) if rollout is None else rollout(state, rng)
        state, reward, terminated = model.step(state, action, rng)
        # G = R_1 + gamma R_2 + gamma^2 R_3 + ... (float: NumPy's numbers would be slower.)
        G += discount * float(reward)
        discount *= gamma
        if terminated:
            break
    return G


def mcts(model, state, n_simulations, gamma=1.0, c=2**0.5, max_depth=100, rng=None, root=None,
         rollout=None, leaf_value=None):
    """Slide "Monte-Carlo Tree Search": runs n_simulations, returns the root of the tree, a Node.

    model       any object with actions(state) -> sequence, and step(state, action, rng) ->
                (next_state, reward, terminated). It must be able to step from any state (most
                environments cannot). All its random numbers must come from rng: so the same seed
                gives the same tree. States must be hashable, because they are keys of a dict, and
                equal (==) if they are the same. model.actions is never asked about a terminal
                state (do not start a search in one)
    gamma       discount, in [0, 1]
    c           of UCB1, at least 0. sqrt(2) is the choice of Auer et al. for returns in [0, 1]. If
                returns are in an interval of width 100, take 100 times as much. draw_constants
                shows what c does
    max_depth   a simulation is cut after this many steps, in tree and rollout together. What would
                come later counts as 0, or as leaf_value(last state), if leaf_value is given
    rng         random.Random, NumPy Generator or seed (None: any seed). The model and rollout get
                this same generator. A seed becomes a random.Random, which is fastest
    root        None, or a node of an earlier tree, to go on with. If the action taken in the world
                was root.actions[i], give root.children[i].get(next_state): the node of next_state,
                or None if it has none
    rollout     rollout(state, rng) -> action, the fixed simulation policy; None: random actions
    leaf_value  leaf_value(state) -> number, an estimate of what follows, in place of a rollout

    The root has state, actions, N and Q (arrays; 0 for untried actions), best(rng), and
    children[i] = {next state: Node}. ValueError: numbers out of range (n_simulations and max_depth
    must be at least 1, c finite), a root of another state or with other actions, a return of NaN
    or infinity, no actions. Needs Node, rollout_return, pick, index_of_best, as_generator.
    >>> world = GridWorld(["gS..G", "##xx#"])
    >>> root = mcts(world, world.start, 300, gamma=0.95, rng=0)
    >>> root.actions, int(root.N.sum()), root.best()
    ([1, 3], 300, 1)
    """
    if not (n_simulations >= 1 and max_depth >= 1 and 0 <= gamma <= 1 and 0 <= c < math.inf):
        raise ValueError("need n_simulations and max_depth >= 1, gamma in [0, 1], finite c >= 0")
    rng = as_generator(rng)
    if root is None:
        root = Node(state, model.actions(state))
    elif root.state != state or root.actions != list(model.actions(state)):
        raise ValueError(f"the root is of another state than {state}, or offers other actions")
    # During the search N and Q are lists, which are faster. (A root searched before has arrays.)
    root.N = list(root.N)
    root.Q = list(root.Q)

    for _ in range(n_simulations):
        # ---- Select until you reach a leaf node of the tree ----
        node = root
        path = []
        # Down the tree, until a step leads out of it (next_state has no node), the episode ends or
        # max_depth is reached. The node of this last step is the slide's leaf (though it may have
        # children, from other steps).
        for _ in range(max_depth):
            i = node.select(c, rng)
            # We ask the model again, even where we have been before: the same action may now lead
            # to another state.
            next_state, reward, terminated = model.step(node.state, node.actions[i], rng)
            path.append((node, i, float(reward)))
            children = node.children[i]
            if terminated or next_state not in children:
                break
            node = children[next_state]

        # ---- Expand the search tree by one node ----
        # (children are still those of the last pair on the path.)
        # Only next_state gets a node: most states of the rollout would never be visited again. A
        # terminal one needs none, because nothing is chosen there. (And if max_depth has ended the
        # loop, next_state has a node already: the loop's last line has just taken it.)
        if not terminated and next_state not in children:
            children[next_state] = Node(next_state, model.actions(next_state))

        # ---- Rollout until episode termination with a fixed simulation policy ----
        # G is what will be earned from next_state on: 0 if the episode is over, else an estimate.
        if terminated:
            G = 0.0
        elif leaf_value is not None:
            G = float(leaf_value(next_state))
        else:
            # The rollout gets the steps that max_depth has left. If none are left, G is 0.
            G = rollout_return(model, next_state, max_depth - len(path), gamma, rng, rollout)

        # ---- Update the values of all pairs (s,a) on the path, the last one first ----
        # Each pair gets the return from its own step u on: G_u = R_{u+1} + gamma G_{u+1}. Example:
        # gamma = 0.5, rewards 1 and 4, then the end. The last pair gets 4, the first 1 + 0.5 * 4.
        # (The N of the new node stay 0: only actions on the path are counted.)
        for node, i, reward in reversed(path):
            G = reward + gamma * G
            node.update(i, G)

    # For the caller, arrays: one can compute with them, for example root.N / root.N.sum().
    root.N = np.array(root.N)
    root.Q = np.array(root.Q)
    return root


def flat_search(model, state, n_simulations, gamma, rng):
    """Slide "Simulation-based search". Returns a Node whose Q(s,a) is the mean return of the
    episodes that began with a. (Its N and Q are lists.) Needs Node, rollout_return, pick,
    index_of_best, as_generator.
    >>> world = GridWorld(["gS..G", "##xx#"])
    >>> flat_search(world, world.start, 300, gamma=0.95, rng=0).best()  # left: the small treasure
    3
    """
    rng = as_generator(rng)
    root = Node(state, model.actions(state))        # the whole tree: no node is ever added to it
    for k in range(n_simulations):
        i = k % len(root.actions)           # the actions take turns, good or bad
        next_state, reward, terminated = model.step(state, root.actions[i], rng)
        # The first step and the rollout have at most 100 steps together, the default of mcts.
        G = 0.0 if terminated else rollout_return(model, next_state, 99, gamma, rng)
        root.update(i, reward + gamma * G)
    return root


# %% Algorithm: putting it all together
class CountModel:
    """A lookup table of all outcomes (slide "How to build a model? (III)"), for mcts to search in.
    CountModel(actions) takes a function: actions(state) gives the actions offered. step draws one
    of the outcomes (next state, reward, terminated) seen so far: so it is a stochastic model. What
    was never tried pays 0 and ends the simulation. Needs pick.
    >>> model = CountModel(lambda state: ["go"])
    >>> model.learn(0, "go", reward=1.0, next_state=5, terminated=False)
    >>> model.step(0, "go", random.Random(0))
    (5, 1.0, False)
    >>> model.step(5, "go", random.Random(0))           # never tried
    (5, 0.0, True)
    """

    def __init__(self, actions):
        self.actions = actions      # a function: mcts calls it as model.actions(state)
        self.seen = {}              # {(state, action): [(next state, reward, terminated), ...]}

    def learn(self, state, action, reward, next_state, terminated):
        # Outcomes are listed as often as they happen: one seen twice is drawn twice as often.
        # (setdefault gives the list of this pair, or a new one if it has none.)
        outcomes = self.seen.setdefault((state, action), [])
        outcomes.append((next_state, float(reward), terminated))

    def step(self, state, action, rng):
        # We know nothing of what was never tried: so the simulation ends (the next state does not
        # matter) and earns 0. At first all actions are worth 0, and as ties are broken at random,
        # the agent walks about until it finds a treasure. From then on, its real steps are those
        # that look best, so it may miss better treasures: Select tries others, but only in
        # simulations. (If the unknown paid 1, real steps would go there first: the third change to
        # try.)
        if (state, action) not in self.seen:
            return state, 0.0, True
        return pick(self.seen[state, action], rng)


def together(world, n_episodes, gamma, model=None, n_simulations=20, c=1.0, max_depth=20,
             values=True, keep_tree=False, seed=0):
    """Slide "Putting it all together": search in a learned model, with learned values at leaves.

    model      None: the model is learned. Or a known model, for example the world itself
    max_depth  of mcts. 1 is only a one-step lookahead: each simulation is one imagined step, and
               then the learned value of the state reached
    values     False: random rollouts in place of learned values
    keep_tree  True: go on with the tree of the step before. Use it with a known model and without
               values: else its old returns come from an older model, or older values
    seed       a number
    Returns an array (n_episodes,): the discounted return of each real episode, cut after 100
    steps. The defaults were found by trying, in our maze. Needs CountModel, mcts, Node,
    rollout_return, pick, index_of_best, as_generator.
    >>> returns = together(GridWorld(["S..G"]), n_episodes=3, gamma=0.5)
    >>> float(returns[-1])              # by now it goes straight to G: gamma^2 * 1
    0.25
    """
    # World and search have separate streams of random numbers. With one stream, an agent that
    # searches more would draw more numbers from it, and so have other luck in the real world.
    # (Python's generator takes a text as seed, too.)
    world_rng = random.Random(f"world {seed}")
    search_rng = random.Random(f"search {seed}")
    learned = CountModel(world.actions)     # the agent knows the moves, not where they lead
    if model is None:
        model = learned                     # the same object: what `learned` learns, `model` knows
    V = {}

    def learned_value(state):
        return V.get(state, 0.0)        # 0 where the agent has never been

    returns = np.zeros(n_episodes)
    for episode in range(n_episodes):
        state = world.start
        root = None
        for t in range(100):            # at most 100 steps: the first walks often find no treasure
            # Search: only imagined steps, nothing happens in the real world.
            root = mcts(model, state, n_simulations, gamma=gamma, c=c, max_depth=max_depth,
                        rng=search_rng, root=root, leaf_value=learned_value if values else None)
            action = root.best(search_rng)
            i = root.actions.index(action)
            # V(s) becomes Q of the action taken, the best one: the search has looked further ahead
            # than the old V(s). (Why no mean of old and new? V starts at 0, which is too low, and
            # later searches know more.)
            V[state] = root.Q[i]
            # One real step. If `learned` is the model, the next search will be a little wiser. (If
            # the model is known, `learned` is not used.)
            next_state, reward, terminated = world.step(state, action, world_rng)
            learned.learn(state, action, reward, next_state, terminated)
            returns[episode] += gamma**t * reward
            if terminated:
                break
            # keep_tree: go on with the node of next_state. If it has none, get gives None, and
            # mcts makes a new tree.
            root = root.children[i].get(next_state) if keep_tree else None
            state = next_state
    return returns


# %% Exact answers
def optimal_values(world):
    """V* of all states of a GridWorld with our GAMMA, by value iteration."""
    V = np.zeros(len(world.cells))      # stays 0 where an episode ends: nothing follows
    # Each sweep looks at least one step further. 300 are plenty: a reward after 300 steps counts
    # only 0.95^300 = 0.0000002.
    for _ in range(300):
        for state, cell in enumerate(world.cells):
            if cell in ".S" and world.actions(state):       # (not if it is walled in)
                # What each move is worth without a slip.
                Q = [reward + GAMMA * V[next_state]
                     for next_state, reward, _ in world.outcomes[state].values()]
                # The agent takes the best move. After a slip, each move is equally probable (even
                # the best): that is worth their mean.
                V[state] = (1 - world.slip) * max(Q) + world.slip * np.mean(Q)
    return V


# %% What the experiments and panels below share
# A slippery maze. G is 11 steps away: of random walks of 20 steps (as rollouts are in `together`)
# fewer than 1 in 100 get there.
MAZE = GridWorld(["....#...",
                  ".##.#.#.",
                  "S#....#G",
                  "...#...."], slip=0.1)


def bridge(length, slip=0.0):
    """The bridge of 3 has the rows gS...G and ##xxx#."""
    return GridWorld(["gS" + "." * length + "G", "##" + "x" * length + "#"], slip)


def play(world, seeds, n_episodes=1, **settings):
    """Calls `together` once for each seed. Gives the returns (runs, n_episodes)."""
    return np.array([together(world, n_episodes, GAMMA, seed=seed, **settings) for seed in seeds])


def print_row(text, measured, compare):
    print(f"{text:46} | {measured:8.4g} | {compare}")


def draw_curves(ax, title, lines, x, xlabel, ylabel, optimum):
    """Draws the optimum, and a curve for each name in lines. lines[name] is an array (n_runs,
    len(x)), and the curve is the mean of the runs. Prints the last point of each curve."""
    # As texts, the numbers x get equal distances on the axis: 10, 30, 100, 300, ...
    x = [str(number) for number in x]
    colors = ["#0072B2", "#009E73", "grey", "#D55E00"]      # for colour-blind readers, too
    for name, color, style in zip(lines, colors, ["o-", "s--", "^-.", "x:"]):
        mean = lines[name].mean(axis=0)
        # A band of about two standard errors to each side.
        error = 2 * lines[name].std(axis=0) / len(lines[name])**0.5
        ax.fill_between(x, mean - error, mean + error, color=color, alpha=0.2)
        ax.plot(x, mean, style, color=color, label=name)
        print_row(f"{name}, {xlabel}: {x[-1]}", mean[-1], f"{optimum:.4g}: exact optimum")
    ax.axhline(optimum, color="black", label=f"optimum: {optimum:.3g}")
    ax.set(ylim=(0, 1.7 * optimum), xlabel=xlabel, ylabel=ylabel, title=title)
    ax.legend(loc="upper left", fontsize=8)         # ylim leaves room for it


# %% Slides "Simulation-based search" and "Monte-Carlo Tree Search": crossing the bridge
def crossing(search, length, seeds):
    """Array (runs, len(SIMULATIONS)): True where the search prefers the step onto the bridge."""
    world = bridge(length)
    crossed = []
    for seed in seeds:
        roots = [search(world, world.start, n, GAMMA, rng=seed) for n in SIMULATIONS]
        # Action 1 is "right". (best gets the seed, as it chooses at random if there are ties.)
        crossed.append([root.best(seed) == 1 for root in roots])
    return np.array(crossed)


def draw_crossing(ax, seeds):
    lines = {f"MCTS, bridge of {length}": crossing(mcts, length, seeds) for length in [2, 3, 4]}
    lines["flat search, bridge of 2"] = crossing(flat_search, 2, seeds)
    # All runs should step onto the bridge (the optimum is 1): g is worth 0.4, but G, reached with
    # the fifth step on a bridge of 4, is still worth 0.95^4 = 0.81. (The first step has no
    # discount.) Flat search fails even on a bridge of 2.
    draw_curves(ax, "more simulations: MCTS learns to cross\nthe bridge, flat search does not",
                lines, SIMULATIONS, "simulations", "share choosing the bridge", 1)


# %% Slide "Monte-Carlo Tree Search": the tree, what c does, and what a kept tree is worth
def draw_bars(ax, node, x, step):
    """A bar for each action of the node, as wide as its visits. The first begins at x."""
    for action, n, children in zip(node.actions, node.N, node.children):
        ax.barh(step, n, left=x, color="lightblue", edgecolor="black")
        if n > 90:          # narrower bars have no room for a name
            ax.text(x + n / 2, step, MOVES[action], ha="center", va="center")
        # In all but the first of these n visits, a further action was chosen in the child. The
        # bars of these actions lie above this bar, side by side, and begin at the same left end.
        # (Nobody slips, so there is at most one child.)
        for child in children.values():
            draw_bars(ax, child, x, step + 1)
        x += n


def draw_tree(ax, seed):
    world = bridge(3)
    root = mcts(world, world.start, 1000, GAMMA, rng=seed)
    draw_bars(ax, root, 0, 1)
    ax.set(title="a tree grows where it is good:\nacross the bridge of 3",
           xlabel="visits, of 1000 simulations", ylabel="step")
    # Exact: Q*(s,a) = R + gamma V*(S'), as nobody slips here. Q of "right" stays below Q*, because
    # it is the mean of all simulations that began so, including those that fell.
    V = optimal_values(world)
    for action, n, q in zip(root.actions, root.N, root.Q):
        next_state, reward, _ = world.outcomes[world.start][action]
        print_row(f"bridge of 3, root: {MOVES[action]}, {n} visits, Q", q,
                  f"{reward + GAMMA * V[next_state]:.4g}: exact Q*")


def draw_constants(ax, seeds):
    world = bridge(2, slip=0.1)     # slippery: an action can lead to several states, or children
    constants = [0.03, 0.1, 0.3, 1.0, 3.0, 10.0]
    # The model is the world itself, and no values are used: so nothing gets better from episode to
    # episode, and one is enough. Each play gives a column (runs, 1); hstack joins the columns.
    returns = [play(world, seeds, model=world, n_simulations=300, c=c, values=False)
               for c in constants]
    optimum = optimal_values(world)[world.start]
    # draw_curves prints only the last c, 10. We also want c = 1: constants[3].
    print_row("MCTS, exploration constant c: 1.0", returns[3].mean(),
              f"{optimum:.4g}: exact optimum")
    # With a large c, most simulations that step onto the bridge fall or turn back. Q is their
    # mean, so this step looks worse than the small treasure, which is worth about 0.4.
    draw_curves(ax, "slippery bridge of 2: a small c\ngives up, a large c sees many falls",
                {"MCTS": np.hstack(returns)}, constants, "exploration constant c", "return",
                optimum)


def draw_reuse(ax, seeds):
    # We give few simulations to each real step: with many, a new tree is large enough, too. (Far
    # from G, all rollouts earn 0. As ties are random, the agent then walks about, until some earn
    # more.)
    simulations = [5, 10, 20]
    lines = {}
    for name, keep in [("tree kept", True), ("new tree", False)]:
        returns = [play(MAZE, seeds, model=MAZE, n_simulations=n, values=False, keep_tree=keep)
                   for n in simulations]
        lines[name] = np.hstack(returns)
    draw_curves(ax, "slippery maze: a tree kept\nsaves simulations", lines, simulations,
                "simulations per step", "return", optimal_values(MAZE)[MAZE.start])


# %% Slide "Putting it all together"
def draw_learning(ax, seeds):
    # "Without search": with max_depth=1, a simulation is one imagined step, and then V. So the
    # agent sees only one step ahead. In a real visit of a cell, V there is improved only from the
    # next cells: so each visit carries values back by one cell only.
    # "Without values": with values=False, rollouts take their place.
    lines = {"model + values + search": play(MAZE, seeds, 15),
             "without search": play(MAZE, seeds, 15, max_depth=1),
             "without values": play(MAZE, seeds, 15, values=False)}
    draw_curves(ax, "putting it all together\nlearns fastest (slippery maze)", lines, range(1, 16),
                "real episode", "return", optimal_values(MAZE)[MAZE.start])


# %% The run: what is printed, and main
def run_all(axes, n_runs, seed):
    print("what                                           | measured | compare")
    ax1, ax2, ax3, ax4, ax5, ax6 = axes.flat        # two rows of three panels
    # All methods get the same seeds. (--seed 1 takes the seeds 1000, 1001, ...) Panels 3 and 4,
    # with one episode per run, are quick: they get four times as many runs.
    seeds = range(1000 * seed, 1000 * seed + 4 * n_runs)
    draw_crossing(ax1, seeds[:n_runs])
    draw_tree(ax2, seed)
    draw_constants(ax3, seeds)
    draw_reuse(ax4, seeds)
    draw_learning(ax5, seeds[:n_runs])
    ax6.axis("off")          # there are five panels


def main():
    """Not about the lecture: reads the options, then shows the figure, or saves it."""
    # Without a screen, matplotlib chooses the backend "agg", which has no windows: we save a file.
    file = "mcts.png" if plt.get_backend().lower() == "agg" else None
    # usage=SUPPRESS: an error prints one line, without the list of all options before it.
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=10, help="independent runs (default 10)")
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
