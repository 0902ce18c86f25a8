"""Dyna-Q: learn from real experience, and also from experience imagined with a learned model.

The slides, and where they are in this file
    Sample-based planning: Dyna-Q (I), (II)    dyna_q, steps (a) to (f)
    Dyna-Q: set-up, comparison of 0/5/50       Maze, compare_planning, halfway
    Dyna-Q: harder, the path is blocked        changing_maze with BLOCKING
    Dyna-Q: easier, a shortcut opens           changing_maze with SHORTCUT
    What about Experience Replay?              replay_q

The equations
    Q-learning   Q(S,A) <- Q(S,A) + alpha [R + gamma max_a Q(S',a) - Q(S,A)], after a real step
    Dyna-Q       also Model(S,A) <- R, S'. Then n times: draw a known pair S, A, ask the model
                 for R, S', and do the same update with them
    Dyna-Q+      Dyna-Q with R + kappa sqrt(tau) in the imagined updates
    replay       Dyna-Q with R, S' from a stored transition in place of the model

Run it: python dyna_q.py (10 seconds). What you will see, and why
    Planning saves real steps. Without it (n = 0) it takes 28 episodes until one is as short as
    20 steps; with n = 5 imagined updates after each real step it takes 6, with n = 50 only 3.
    Episode 1 is the same random walk for all: as long as no reward was seen, no plan can help.
    When the path is blocked, Dyna-Q's model knows no other way, and only its few random actions
    can find one: half of the runs do not in the 2000 steps that are left. When a shortcut opens,
    hardly any run notices, as nothing tells the agent to look.
    Dyna-Q+ (not on the slides, but in the book) goes back to what it has not tried for long, and
    finds both. Replay is the same as Dyna-Q until the walls move. From then on its buffer still
    holds the old transitions, which Dyna's model has forgotten.

Try: change one line, run again, and answer
    in epsilon_greedy the last line becomes "return values.index(best)", the first of the best.
        Why must ties be broken at random? (Stop it with Ctrl-C: even 100,000 steps do not end
        episode 1. Nine actions of ten are now "up".)
    KAPPA = 1e-4, then KAPPA = 5e-3.  How much curiosity is too little, how much too much?
    ALPHA = 0.1.  Why does Dyna-Q+ need large learning steps?

Notation
    s, a, r, s2     S, A, R, S' of a real step: state 18, action 1, reward 0.0, next state 19
    state, action, reward, next_state               the same of an imagined step
    S, A            the number of states and of actions: 54, 4
    Q[s][a]         estimated value of action a in state s: 0.51
    memory[s][a]    what followed a in s, oldest first: [(R, S', terminated), ...]
    n_planning      the slide's n: imagined updates after each real step
    t, tau          real steps so far; real steps since a pair was last tried (if never: t)
    alpha, gamma    step size and discount: 0.1, 0.95
    epsilon, kappa  probability of a random action; size of Dyna-Q+'s bonus: 0.1, 0.001

Left out on purpose
    Worlds with chance (see expectation_model.py), and networks in place of the table Q. DQN draws
    from its whole buffer; replay_q draws pairs as Dyna does, so that only one thing differs.

Reference
    Sutton & Barto, Reinforcement Learning, 2nd ed. (2018), sections 8.2 and 8.3: the algorithms,
    the mazes, and alpha, gamma, epsilon of the comparison.
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
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np

# %% Settings

# '#' is a wall, 'S' the start, 'G' the goal. Draw mazes of your own if you like.
DYNA_MAZE = [".......#G",
             "..#....#.",
             "S.#....#.",
             "..#......",
             ".....#...",
             "........."]
GAP_RIGHT = ["........G",
             ".........",
             ".........",
             "########.",
             ".........",
             "...S....."]
GAP_LEFT = GAP_RIGHT[:3] + [".########"] + GAP_RIGHT[4:]
GAP_BOTH = GAP_RIGHT[:3] + [".#######."] + GAP_RIGHT[4:]

# The slide "harder": after 1000 real steps the gap moves from the right to the left,
# and the shortest way to G grows from 10 steps to 16.
BLOCKING = dict(rows=GAP_RIGHT, later_rows=GAP_LEFT, change_at=1000)
# The slide "easier": after 3000 real steps a second gap opens, and 16 steps shrink to 10.
SHORTCUT = dict(rows=GAP_LEFT, later_rows=GAP_BOTH, change_at=3000)

# The slide's three agents: no planning (this is Q-learning), a little, a lot.
N_PLANNING = [0, 5, 50]

# The book prints no settings for the mazes that change; these were found by trying. A tenth of
# this kappa never finds the shortcut, five times as much makes the agent forget about the goal.
# alpha = 1 replaces an old value by the new one, which is right where nothing is random. With
# alpha = 0.1 values follow the bonus, which grows at every step, too slowly: it does more harm
# than good.
N_CHANGING = 10
ALPHA = 1.0
KAPPA = 1e-3

# Four colours that colour-blind readers can tell apart.
BLUE, GREEN, RED, GREY = "#0072B2", "#009E73", "#D55E00", "#666666"


# %% Environment: the textbook's mazes

class Maze:
    """A grid with Gymnasium's interface: a step into the goal pays 1 and ends the episode.

    rows        equally long texts of '.' (free), '#' (wall), 'S' (the one start), 'G' (goal)
    later_rows  the layout that holds after the first `change_at` real steps. They are counted
                through all episodes, so walls can also move in the middle of one.

    States are numbered row by row from the top left. Actions: 0 up, 1 right, 2 down, 3 left.
    A move into a wall or over the border leaves the agent where it is. All other steps pay 0.
    ValueError if the rows are not equally long, if there is not one S with a way to a goal, or
    if later on a cell has no way to a goal that had one before (even if no agent gets there).
    Slide "Dyna-Q: set-up"; Sutton & Barto, examples 8.1 to 8.3.

    >>> maze = Maze(["S.G"])
    >>> maze.reset()
    (0, {})
    >>> maze.step(1)            # next state, reward, terminated, truncated, info
    (1, 0.0, False, False, {})
    """

    def __init__(self, rows, later_rows=None, change_at=None):
        # A maze that never changes: its later layout is the same, and holds from step 0 on.
        if later_rows is None:
            later_rows, change_at = rows, 0
        self.change_at = change_at
        self.height = len(rows)
        self.width = len(rows[0])
        # A layout is kept as one long text: the cell of state s is its letter number s.
        self.layouts = ["".join(rows), "".join(later_rows)]
        widths = [len(row) for row in [*rows, *later_rows]]
        if len(rows) != len(later_rows) or min(widths) != max(widths):
            raise ValueError("the rows of a maze must be equally long, and as many later on")
        self.check_ways()
        # What an agent asks of Gymnasium's spaces: the number n of states and of actions.
        self.observation_space = SimpleNamespace(n=self.height * self.width)
        self.action_space = SimpleNamespace(n=4)
        self.reset(seed=0)

    def check_ways(self):
        """Without a way from S to a goal, an episode would never end."""
        cells = []
        for layout in self.layouts:
            if layout.count("S") != 1:
                raise ValueError("each layout of a maze needs exactly one start S")
            distance = self.distances(layout)
            # Where may an agent be in this layout? At S; and if it is the later one, in the `cells`
            # from which there was a way before (to keep it simple, all of them), even if there is
            # a wall now. It can walk out of that wall, so we look at the cells next to it.
            for s in [layout.index("S"), *cells]:
                if not any(s2 in distance for s2 in self.moves(layout, s)):
                    raise ValueError(f"there is no way from cell {s} of the maze to a goal G")
            cells = list(distance)

    def moves(self, layout, s):
        """The four states to which up, right, down, left lead from state s."""
        row, column = divmod(s, self.width)
        up = s - self.width if row > 0 else s
        right = s + 1 if column < self.width - 1 else s
        down = s + self.width if row < self.height - 1 else s
        left = s - 1 if column > 0 else s
        return [s if layout[s2] == "#" else s2 for s2 in [up, right, down, left]]

    def distances(self, layout):
        """{state: steps to the nearest goal}; cells without a way to a goal are left out."""
        # From the goals outwards: first all cells 1 step away, then those 2 steps away, and so on.
        # (From goal to cell it is as far as from cell to goal, as one can go back the same way.)
        found = [s for s, letter in enumerate(layout) if letter == "G"]
        distance = {s: 0 for s in found}
        for s in found:                 # this list grows while the loop goes along it
            for s2 in self.moves(layout, s):
                if s2 not in distance:
                    distance[s2] = distance[s] + 1
                    found.append(s2)
        return distance

    def layout_now(self):
        """The walls move at one exact step, not at the end of an episode."""
        return self.layouts[0] if self.t < self.change_at else self.layouts[1]

    def reset(self, seed=None):
        """Back to the start. A seed begins a new run: real steps are counted from 0 again."""
        if seed is not None:
            self.t = 0
        self.state = self.layout_now().index("S")
        return self.state, {}

    def step(self, action):
        layout = self.layout_now()
        self.t += 1
        self.state = self.moves(layout, self.state)[action]
        terminated = layout[self.state] == "G"
        reward = 1.0 if terminated else 0.0
        return self.state, reward, terminated, False, {}


# %% Algorithm: Q-learning, Dyna-Q, Dyna-Q+ and replay are one loop

def epsilon_greedy(values, epsilon, rng):
    """With probability epsilon any action, else one with the highest of `values` (a list)."""
    if rng.random() < epsilon:
        return rng.randrange(len(values))
    # Ties are broken at random. In the beginning all values are equal, and the first of them
    # would be "up" in every state: the agent would run into the same wall again and again.
    best = max(values)
    return rng.choice([a for a, value in enumerate(values) if value == best])


def update(Q, s, a, r, s2, terminated, alpha, gamma):
    """Q(S,A) <- Q(S,A) + alpha [R + gamma max_a Q(S',a) - Q(S,A)]"""
    # Behind a terminal state nothing more can be earned, so its value is 0. An episode that was
    # only cut off (truncated) would have gone on: there the value of S' does count.
    future = 0.0 if terminated else max(Q[s2])
    Q[s][a] += alpha * (r + gamma * future - Q[s][a])


def check_arguments(env, n_planning, alpha, gamma, epsilon, kappa):
    # "if not (all is right)" also refuses NaN, for which no comparison is true.
    if not (0 < alpha <= 1 and 0 <= gamma <= 1 and 0 <= epsilon <= 1
            and 0 <= kappa < math.inf and n_planning >= 0):
        raise ValueError("need alpha in (0, 1], gamma, epsilon in [0, 1], kappa, n_planning >= 0")
    # A space of Gymnasium can number its states from another `start` than 0. Our lists can't.
    for space in [env.observation_space, env.action_space]:
        if getattr(space, "start", 0) != 0:
            raise ValueError(f"states and actions must be numbered from 0, not as in {space}")


def dyna_q(env, n_planning=5, n_episodes=50, n_steps=None, alpha=0.1, gamma=0.95, epsilon=0.1,
           kappa=0.0, seed=0, replay=False):
    """Tabular Dyna-Q: slide "Sample-based planning: Dyna-Q (II)"; Sutton & Barto, section 8.2.

    env         Gymnasium's interface, states and actions numbered from 0: Maze, "Taxi-v4", ...
    n_planning  imagined updates after each real step; 0 is Q-learning
    n_episodes  stop after so many episodes
    n_steps     if given, stop after exactly so many real steps instead
    kappa       above 0 it is Dyna-Q+: imagined rewards get the bonus kappa sqrt(tau)
    seed        an int or a NumPy Generator
    replay      imagine from stored transitions instead of the model; see replay_q

    Returns three arrays: Q (S, A), the number of steps of each finished episode, and the reward of
    each real step. With kappa, Q contains the bonus. An agent that never explores (epsilon = 0) or
    is only curious (large kappa) may never reach the end of an episode: then give n_steps.
    ValueError for an argument out of range, for states or actions that are not numbered from 0,
    and for a reward of NaN. Needs epsilon_greedy, update, check_arguments.

    >>> Q, steps, rewards = dyna_q(Maze(["S..G"]), n_planning=5, n_episodes=20, seed=0)
    >>> Q.shape, steps.shape
    ((4, 4), (20,))
    >>> returns = [part.sum() for part in np.split(rewards, steps.cumsum())]    # by episode
    >>> float(returns[0])
    1.0
    """
    check_arguments(env, n_planning, alpha, gamma, epsilon, kappa)
    S = int(env.observation_space.n)
    A = int(env.action_space.n)

    # Separate streams of random numbers for the environment, acting, planning and replay.
    # With a single stream, more planning would also change how the agent walks in episode 1,
    # where there is nothing to learn yet, and n = 0, 5, 50 could not be compared.
    seeds = np.random.default_rng(seed).integers(2**31, size=4).tolist()
    acting_rng, planning_rng, replay_rng = [random.Random(one) for one in seeds[1:]]

    # Lists, not arrays: to read one number, a NumPy array takes several times as long.
    Q = [[0.0] * A for _ in range(S)]
    memory = {}                                 # memory[s][a] = [(r, s2, terminated), ...]
    known = {}                                  # known[s]: the actions in memory[s], as a list
    tried_at = [[0] * A for _ in range(S)]      # the real step at which a was last tried in s
    rewards = []
    steps_per_episode = []

    s, _ = env.reset(seed=seeds[0])
    # Of the two limits only one holds: n_steps if it is given.
    if n_steps is not None:
        n_episodes = math.inf
    while len(steps_per_episode) < n_episodes and (n_steps is None or len(rewards) < n_steps):
        # (a) S <- current (nonterminal) state. int(), because some environments return an array of
        # one number, and write the next state into the same array: s would change unnoticed.
        s = int(s)

        # (b) A <- epsilon-greedy(S, Q)
        a = epsilon_greedy(Q[s], epsilon, acting_rng)

        # (c) Take action A; observe resultant reward R, and state S'
        s2, r, terminated, truncated, _ = env.step(a)
        s2 = int(s2)
        r = float(r)
        if math.isnan(r):
            raise ValueError("the environment paid a reward of NaN (not a number)")
        rewards.append(r)
        t = len(rewards)

        # (d) Q-learning from the real step
        update(Q, s, a, r, s2, terminated, alpha, gamma)

        # (e) Model(S,A) <- R, S'. Where nothing is random, the model is simply the last outcome.
        # We keep all outcomes: Dyna's model is the last one, replay draws from all of them.
        if s not in memory:
            memory[s] = {}
            # A model can also be asked about actions that were never tried, and Dyna-Q+ does so:
            # until they are tried, it assumes "stay in s, reward 0". A replay buffer cannot.
            if kappa > 0 and not replay:
                memory[s] = {b: [(0.0, s, False)] for b in range(A)}
        if a not in memory[s]:
            memory[s][a] = []
        memory[s][a].append((r, s2, terminated))
        known[s] = list(memory[s])
        tried_at[s][a] = t

        # (f) Repeat n times: S <- a visited state, A <- an action known there, both at random.
        # The names are new, because s, a, r, s2 still belong to the real step.
        for state in planning_rng.choices(list(memory), k=n_planning):
            # The plain line is planning_rng.choice(known[state]). This one takes half the time.
            action = known[state][int(planning_rng.random() * len(known[state]))]
            if replay:
                # R, S' <- any of its stored transitions. Old ones may no longer be true.
                reward, next_state, ended = replay_rng.choice(memory[state][action])
            else:
                # R, S' <- Model(S,A)
                reward, next_state, ended = memory[state][action][-1]
            # Dyna-Q+: what was not tried for long may have changed, and the bonus makes the agent
            # curious to go there. (The root lets it grow ever more slowly, so that it does not
            # outgrow the goal.) It is only imagined: no real step is paid for it.
            if kappa > 0:
                reward += kappa * math.sqrt(t - tried_at[state][action])
            update(Q, state, action, reward, next_state, ended, alpha, gamma)

        s = s2
        if terminated or truncated:
            # All steps so far, less those of the episodes before.
            steps_per_episode.append(t - sum(steps_per_episode))
            s, _ = env.reset()
    return np.array(Q), np.array(steps_per_episode, dtype=int), np.array(rewards)


def replay_q(env, n_replay=5, *arguments, **settings):
    """Q-learning with experience replay: slide "What about Experience Replay?".

    A pair is drawn as in dyna_q, but R, S' come from any of its stored transitions, not from the
    model. Where nothing is random and nothing changes, all transitions of a pair are the same, and
    so Q is the same as Dyna-Q's (they draw the same pairs, as replay has a stream of its own). The
    other arguments, results and errors are those of dyna_q. kappa works here too: the pairs in the
    buffer get the bonus. Needs dyna_q, epsilon_greedy, update,
    check_arguments.

    >>> Q, steps, rewards = replay_q(Maze(["S..G"]), n_replay=5, n_episodes=20, seed=0)
    >>> bool((Q == dyna_q(Maze(["S..G"]), 5, n_episodes=20, seed=0)[0]).all())
    True
    """
    return dyna_q(env, n_replay, *arguments, replay=True, **settings)


# %% Exact answers: how many steps should an episode take?

def expected_steps(rows, epsilon):
    """Mean number of steps from S to G of an agent that knows the shortest paths (ties at random)
    and takes a random action with probability epsilon. With epsilon = 1 it is the random walk."""
    maze = Maze(rows)
    layout = maze.layouts[0]
    distance = maze.distances(layout)
    # P[s, s2] is the probability of a step from s to s2. At a goal (distance 0) there is none.
    P = np.zeros((len(layout), len(layout)))
    one_step = np.zeros(len(layout))
    for s in distance:
        if distance[s] > 0:
            one_step[s] = 1
            moves = maze.moves(layout, s)
            shortest = [s2 for s2 in moves if distance[s2] < distance[s]]
            for s2 in shortest:
                P[s, s2] += (1 - epsilon) / len(shortest)
            for s2 in moves:
                P[s, s2] += epsilon / len(moves)
    # The steps to go from s are h(s) = 1 + sum_s2 P[s, s2] h(s2). At a goal, and in walls, they are
    # 0. For all states at once: h - P h = one_step, a system of linear equations.
    h = np.linalg.solve(np.eye(len(layout)) - P, one_step)
    return h[layout.index("S")]


# %% What the experiments and panels below share

def run_seeds(n_runs, seed):
    """One seed per run. All methods get the same ones, so that they meet the same luck."""
    return np.random.default_rng(seed).integers(2**31, size=n_runs).tolist()


def draw_band(ax, runs, color, style, label):
    """The mean of runs (n_runs, T), and a band in which the mean of endless runs would be."""
    x = np.arange(1, runs.shape[1] + 1)
    mean = runs.mean(axis=0)
    # The mean of n runs is off by about their spread / sqrt(n); in 95 % by less than twice that.
    error = runs.std(axis=0) / math.sqrt(len(runs))
    ax.fill_between(x, mean - 2 * error, mean + 2 * error, color=color, alpha=0.2)
    ax.plot(x, mean, style, color=color, label=label)


def draw_maze(ax, rows):
    # One square per cell: 0 is white, 1 (a wall) grey, vmax would be black. Row 0 is at the top.
    walls = [[letter == "#" for letter in row] for row in rows]
    ax.pcolormesh(walls, cmap="Greys", vmax=1.6, edgecolors="lightgrey")
    ax.set(aspect="equal", xticks=[], yticks=[])
    ax.invert_yaxis()
    for y, row in enumerate(rows):
        for x, letter in enumerate(row):
            if letter in "SG":
                ax.text(x + 0.5, y + 0.5, letter, ha="center", va="center", weight="bold")


# %% Slides "Dyna-Q: set-up" and "Dyna-Q: comparison"

def compare_planning(n_runs, seed, n_episodes=50):
    """Steps per episode (runs, 3, n_episodes) of the three agents in the Dyna maze."""
    steps = np.zeros((n_runs, 3, n_episodes))
    for run, run_seed in enumerate(run_seeds(n_runs, seed)):
        for i, n in enumerate(N_PLANNING):
            _, steps[run, i], _ = dyna_q(Maze(DYNA_MAZE), n, n_episodes, seed=run_seed)
    return steps


def draw_comparison(ax, steps):
    for i, color, style in [(0, RED, ":"), (1, GREEN, "--"), (2, BLUE, "-")]:
        draw_band(ax, steps[:, i], color, style, f"n = {N_PLANNING[i]}")
    walk, some_random, shortest = [expected_steps(DYNA_MAZE, epsilon) for epsilon in [1, 0.1, 0]]
    for exact in [walk, some_random, shortest]:
        ax.axhline(exact, color=GREY, linewidth=0.8)
    ax.text(50, 1.1 * walk, f"random walk: {walk:.1f}", ha="right", color=GREY)
    ax.text(1, 0.9 * shortest, va="top", color=GREY,
            s=f"shortest path: {shortest:.0f}\nwith 10 % random actions: {some_random:.1f}")
    # Logarithmic axes: on plain ones, n = 5 and n = 50 look like one line.
    ax.set(xscale="log", yscale="log", ylim=(6, 2000), xlabel="episode", ylabel="real steps",
           title="n imagined updates after each step:\nthe more, the fewer real steps it takes")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.legend(loc=(0.66, 0.5))


def halfway(i, steps, seed):
    """Run 0 with n = N_PLANNING[i], halfway through episode 2: Q (S, A), and the agent's state."""
    # With the seed of run 0 it walks as it did in compare_planning, but stops earlier.
    episode_1, episode_2 = steps[0, i, :2].astype(int).tolist()
    n_steps = episode_1 + episode_2 // 2
    maze = Maze(DYNA_MAZE)
    Q, _, _ = dyna_q(maze, N_PLANNING[i], n_steps=n_steps, seed=run_seeds(1, seed)[0])
    return Q, maze.state


def draw_policy(ax, Q, position, n):
    draw_maze(ax, DYNA_MAZE)
    width = len(DYNA_MAZE[0])
    # A cell knows a way if one action is better than another. Elsewhere all values are still 0.
    known = np.flatnonzero(Q.max(axis=1) > Q.min(axis=1))
    for s in known:
        arrow = ["^", ">", "v", "<"][Q[s].argmax()]
        ax.plot(s % width + 0.5, s // width + 0.5, arrow, color=BLUE)
    y, x = divmod(position, width)
    ax.plot(x + 0.5, y + 0.5, "o", color=RED, markersize=14, fillstyle="none")
    ax.set(title=f"halfway through episode 2, n = {n}:\ncells that know a way: {len(known)}",
           xlabel="triangles: the best actions so far\ncircle: the agent")


# %% Slides "Dyna-Q: harder", "Dyna-Q: easier" and "What about Experience Replay?"

def changing_maze(settings, learner, n_steps, n_runs, seed, kappa=0.0):
    """Rewards so far (runs, n_steps) of `learner`, dyna_q or replay_q, while the walls move."""
    rewards = np.zeros((n_runs, n_steps))
    for run, run_seed in enumerate(run_seeds(n_runs, seed)):
        _, _, rewards[run] = learner(Maze(**settings), N_CHANGING, n_steps=n_steps, alpha=ALPHA,
                                     kappa=kappa, seed=run_seed)
    return rewards.cumsum(axis=1)


def draw_change(ax, settings, dyna, other, name, title):
    draw_band(ax, dyna, BLUE, "-", "Dyna-Q")
    draw_band(ax, other, RED, "--", name)
    ax.axvline(settings["change_at"], ymax=0.6, color=GREY, linestyle=":")
    ax.set(title=title, ylabel="rewards so far",
           xlabel="real steps (dotted: left maze to right one)")
    # Above the curves there is room for the maze before and after the walls move.
    ax.set_ylim(0, 1.6 * ax.get_ylim()[1])
    draw_maze(ax.inset_axes([0.02, 0.66, 0.45, 0.32]), settings["rows"])
    draw_maze(ax.inset_axes([0.53, 0.66, 0.45, 0.32]), settings["later_rows"])
    ax.legend(loc="lower right")


# %% The run: what is printed, and main

def row(what, measured, compare):
    """One printed line; `compare` says what the number should be near."""
    print(f"{what:46} | {measured:8.4g} | {compare}")


def run_all(axes, n_runs, seed):
    """All experiments, panels and printed lines, in the order of the slides."""
    print(f"{'what':46} | measured | compare")
    steps = compare_planning(n_runs, seed)
    draw_comparison(axes[0, 0], steps)
    row("steps in episode 1", steps[:, 0, 0].mean(),
        f"{expected_steps(DYNA_MAZE, 1):.1f}, exact for the random walk")
    for i, book in enumerate([25, 5, 3]):
        # argmax gives the place of the first True.
        first = 1 + np.argmax(steps[:, i].mean(axis=0) <= 20)
        row(f"n = {N_PLANNING[i]}: first episode of at most 20 steps", first,
            f"about {book} in the book")
    draw_policy(axes[0, 1], *halfway(0, steps, seed), N_PLANNING[0])
    draw_policy(axes[0, 2], *halfway(2, steps, seed), N_PLANNING[2])

    # Compare with the means of 2000 runs of another program (see tests/expected/README.md).
    dyna = changing_maze(BLOCKING, dyna_q, 3000, n_runs, seed)
    plus = changing_maze(BLOCKING, dyna_q, 3000, n_runs, seed, KAPPA)
    replay = changing_maze(BLOCKING, replay_q, 3000, n_runs, seed)
    draw_change(axes[1, 0], BLOCKING, dyna, plus, "Dyna-Q+", "harder: the path is blocked")
    draw_change(axes[1, 2], BLOCKING, dyna, replay, "replay", "replay: old transitions mislead it")
    row("blocked path: rewards of Dyna-Q", dyna[:, -1].mean(), "74, mean of 2000 other runs")
    row("blocked path: rewards of Dyna-Q+", plus[:, -1].mean(), "142, mean of 2000 other runs")
    row("blocked path: rewards of replay", replay[:, -1].mean(), "less than Dyna-Q")

    dyna = changing_maze(SHORTCUT, dyna_q, 6000, n_runs, seed)
    plus = changing_maze(SHORTCUT, dyna_q, 6000, n_runs, seed, KAPPA)
    draw_change(axes[1, 1], SHORTCUT, dyna, plus, "Dyna-Q+", "easier: a shortcut opens")
    row("shortcut: rewards of Dyna-Q", dyna[:, -1].mean(), "284, mean of 2000 other runs")
    row("shortcut: rewards of Dyna-Q+", plus[:, -1].mean(), "346, mean of 2000 other runs")


def main():
    # Without SUPPRESS an error message would begin with a list of all options.
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], usage=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=30, help="independent runs (default 30)")
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
        args.save = "dyna_q.png"
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
