"""Dyna-Q: learn from real experience, and also from experience imagined with a learned model.

The slides, and where they are in this file
    Sample-based planning: Dyna-Q (I), (II)    dyna_q, steps (a) to (f)
    Dyna-Q: set-up, comparison                 Maze, compare_planning, draw_policy
    Dyna-Q: harder, easier                     BLOCKING, SHORTCUT, changing_maze
    What about Experience Replay?              dyna_q (replay=True), replay_q, changing_maze
The equations
    Q-learning   Q(S,A) <- Q(S,A) + alpha [R + gamma max_a Q(S',a) - Q(S,A)], after a real step
    Dyna-Q       also Model(S,A) <- R, S'. Then n times: draw a pair S, A met before, ask the
                 model for R, S', and do the same update
    Dyna-Q+      (in the book) imagined rewards get the bonus kappa sqrt(tau). tau is the number of
                 real steps since A was last tried in S. (kappa 0.001, tau 1000: a bonus of 0.03)
    replay       as Dyna-Q, but R, S' are drawn from all that were stored for S, A, even old ones
Run it: python dyna_q.py (10 seconds). What you will see, and why
    Planning saves real steps. The shortest way takes 14. Without planning (n = 0), episodes 1 to
    about 30 take more than 20 steps (mean of the runs); with n = 5 imagined updates after each
    real step, only episodes 1 to 5 do, with n = 50 only 1 and 2. (Episode 1 is the same for all:
    there is no reward yet to plan with.) When a wall blocks the way, about 6 in 10 runs of Dyna-Q
    do not find the new way before step 3000 (a comment at BLOCKING says why). Replay is worse: it
    still imagines old steps through this wall. When a shortcut opens, Dyna-Q hardly uses it: the
    old way still works. Dyna-Q+ tries what it has not tried for long: so it finds both new ways.
Try, after reading: change one line, run again, and answer
    epsilon_greedy, last line: return values.index(best). Why does it hardly ever end? (Ctrl-C)
    KAPPA = 1e-4, then 5e-3 (now 1e-3).   Can an agent be too curious, or not curious enough?
    ALPHA = 0.1 (now 1).   Why does Dyna-Q+ need a large alpha?
Notation: S, A, R, S' are s, a, r, s2 in a real step, and state, action, reward, next_state in an
imagined ("simulated") one. An array of shape (S, A) has a row for each state, a column for each
action. "Needs f, g" in a docstring: if you copy this function, copy f and g, too.
Left out: models of random outcomes, networks. Book: Sutton & Barto, 2nd ed. (2018), 8.2 and 8.3.
"""

import argparse
import math
import random
import sys
from types import SimpleNamespace       # an object that has just the attributes we name

import matplotlib.pyplot as plt
import numpy as np

# %% Environment: the textbook's mazes
class Maze:
    """The mazes of the Dyna-Q slides (Sutton & Barto, chapter 8), with Gymnasium's reset and step.
    rows        equally long texts of '.' (free), '#' (wall), 'S' (the one start), 'G' (goal)
    later_rows  the layout after the first `change_at` real steps, counted over all episodes
    States are numbered row by row from the top left. Actions: 0 up, 1 right, 2 down, 3 left. A
    step into a goal pays 1 and ends the episode. A move into a wall or over the border leaves the
    agent where it is. ValueError if rows or layouts differ in size, if there is not exactly one S,
    or if the agent might come to a cell without a way to a goal. Needs check_maze, steps_to_goal.
    >>> Maze(["S.G"]).step(1)           # next state, reward, terminated, truncated (never), info
    (1, 0.0, False, False, {})
    """

    def __init__(self, rows, later_rows=None, change_at=None):
        if later_rows is None:          # then the walls never move
            later_rows, change_at = rows, math.inf
        self.change_at = change_at
        self.width = len(rows[0])
        # A layout is one long text: layout[s] is the cell of state s.
        self.layouts = ["".join(rows), "".join(later_rows)]
        self.observation_space = SimpleNamespace(n=len(self.layouts[0]))     # as in Gymnasium
        self.action_space = SimpleNamespace(n=4)
        check_maze(self, [*rows, *later_rows])      # below: ValueError for a wrong maze
        self.t = 0                      # real steps so far
        self.reset()

    def moves(self, layout, s):
        """The four states to which up, right, down, left lead from state s."""
        next_states = []
        # How many rows down and columns to the right each action moves. (-1 row down is up.)
        for down, right in [(-1, 0), (0, 1), (1, 0), (0, -1)]:
            s2 = s + down * self.width + right      # one row down is `width` states further
            # At the right border, s + 1 is the first cell of the next row: so we check the column.
            column = s % self.width + right
            inside = 0 <= s2 < len(layout) and 0 <= column < self.width
            next_states.append(s2 if inside and layout[s2] != "#" else s)
        return next_states

    def layout_now(self):
        return self.layouts[0] if self.t < self.change_at else self.layouts[1]

    def reset(self, seed=None):
        # With a seed (any: nothing is random) a new run begins. Without one, only a new episode.
        if seed is not None:
            self.t = 0
        self.state = self.layout_now().index("S")
        return self.state, {}

    def step(self, action):
        layout = self.layout_now()      # before t grows: steps 1 to change_at use layouts[0]
        self.t += 1
        self.state = self.moves(layout, self.state)[action]
        terminated = layout[self.state] == "G"
        return self.state, float(terminated), terminated, False, {}     # reward: 1.0 in a goal


# %% Algorithm: Q-learning, Dyna-Q, Dyna-Q+ and replay are one loop
def epsilon_greedy(values, epsilon, rng):
    """A random action with probability epsilon, else one with the highest of `values`, a list."""
    if rng.random() < epsilon:
        return rng.randrange(len(values))
    # Ties are broken at random. At first all values are equal: an agent that takes the first of
    # equal actions goes up in every state, and runs into the same wall again and again.
    best = max(values)
    return rng.choice([a for a, value in enumerate(values) if value == best])


def update(Q, s, a, r, s2, terminated, alpha, gamma):
    """Q(S,A) <- Q(S,A) + alpha [R + gamma max_a Q(S',a) - Q(S,A)]"""
    # After the end nothing more can be earned, so a terminal state is worth 0. An episode that is
    # only cut off ("truncated") would have gone on: then terminated is False, and S' has a value.
    future = 0.0 if terminated else max(Q[s2])
    Q[s][a] += alpha * (r + gamma * future - Q[s][a])


def size(space):
    """Number of states or actions. ValueError if they are not numbered from 0, as lists are."""
    # Gymnasium's Discrete has a number `start`. A Maze's spaces have none: getattr gives 0.
    if getattr(space, "start", 0) != 0:
        raise ValueError(f"states and actions must be numbered from 0, not as in {space}")
    return int(space.n)


def dyna_q(env, n_planning=5, n_episodes=50, n_steps=None, alpha=0.1, gamma=0.95, epsilon=0.1,
           kappa=0.0, seed=0, replay=False):
    """Tabular Dyna-Q: slide "Sample-based planning: Dyna-Q (II)"; Sutton & Barto, section 8.2.

    env         has Gymnasium's interface. States and actions are numbered from 0. Example: a Maze.
                (The model keeps the newest outcome of an action. If outcomes are random: replay_q)
    n_planning  imagined updates after each real step, each for a random state where the agent has
                acted before, and a random action known there. 0 is Q-learning
    n_episodes  stop after this many episodes
    n_steps     if given: stop after exactly this many real steps, and ignore n_episodes
    kappa       above 0 it is Dyna-Q+: imagined rewards get the bonus kappa sqrt(tau), and actions
                never tried are imagined, too: S' = S, reward 0. (Replay imagines only those tried)
    seed        int, list of ints or NumPy Generator. All random numbers come from it
    replay      imagine from stored transitions instead of the model; see replay_q
    Returns arrays: Q (S, A), which starts at 0; the steps of each finished (or cut) episode; the
    reward of each real step. With kappa, Q contains the bonus. Give n_steps if the agent may never
    reach a goal: with epsilon = 0 it may run into a new wall for ever, and with a large kappa
    bonuses may be worth more than the goal. ValueError for arguments out of range, rewards of NaN
    or infinity, spaces not numbered from 0. Needs epsilon_greedy, size, update.
    >>> Q, steps, rewards = dyna_q(Maze(["S..G"]), n_planning=5, n_episodes=20, seed=0)
    >>> Q.shape, steps.shape
    ((4, 4), (20,))
    """
    if n_steps is None:
        n_steps = math.inf              # the limit that is not used becomes infinite
    else:
        n_episodes = math.inf
    if not (0 < alpha <= 1 and 0 <= gamma <= 1 and 0 <= epsilon <= 1
            and 0 <= kappa < math.inf and n_planning >= 0 and n_steps >= 0 and n_episodes >= 0):
        raise ValueError("need 0 < alpha <= 1; gamma, epsilon in [0, 1]; kappa finite; all >= 0")
    S = size(env.observation_space)         # the number of states
    A = size(env.action_space)              # the number of actions
    # Environment, acting, planning and replay have a random generator each, with its own seed.
    # If they shared one, more planning would take more numbers from it, and n = 0, 5, 50 would not
    # even have the same episode 1. (Python's random: far faster than NumPy for single numbers.)
    seeds = np.random.default_rng(seed).integers(1_000_000_000, size=4).tolist()
    acting_rng, planning_rng, replay_rng = [random.Random(number) for number in seeds[1:]]
    Q = [[0.0] * A for _ in range(S)]       # Q[s][a]. For single numbers lists are faster, too
    # memory[s][a]: all outcomes (R, S', terminated) of a in s, for example [(0.0, 4, False)]. The
    # newest, at the end, is Dyna's model: enough if nothing is random. Replay draws from all.
    memory = [[[] for _ in range(A)] for _ in range(S)]
    # A model "can be much more" than a buffer: Dyna-Q+ also asks it about actions never tried. So
    # we invent an outcome for each (the book's): S' = S, reward 0. When it is tried, the real
    # outcome is newer, and counts. (Replay would go on drawing the invented one: so it has none.)
    if kappa > 0 and not replay:
        memory = [[[(0.0, s, False)] for _ in range(A)] for s in range(S)]
    tried_at = [[0] * A for _ in range(S)]      # step of the last try (0: never; then tau is t)
    known = {}          # for each state met, the actions planning may draw, such as {3: [0, 2]}
    rewards = []
    ends = []           # the real steps at which episodes ended
    s, _ = env.reset(seed=seeds[0])
    while len(rewards) < n_steps and len(ends) < n_episodes:
        # (a) S <- current (nonterminal) state (int: some environments give NumPy numbers, slower)
        s = int(s)
        # (b) A <- epsilon-greedy(S, Q)
        a = epsilon_greedy(Q[s], epsilon, acting_rng)
        # (c) Take action A; observe resultant reward R, and state S'
        s2, r, terminated, truncated, _ = env.step(a)
        s2 = int(s2)
        r = float(r)
        if not math.isfinite(r):        # it could spread through Q
            raise ValueError("the environment paid a reward that is NaN or infinite")
        rewards.append(r)
        t = len(rewards)
        # (d) Q-learning from the real step
        update(Q, s, a, r, s2, terminated, alpha, gamma)
        # (e) Model(S,A) <- R, S'
        memory[s][a].append((r, s2, terminated))
        tried_at[s][a] = t
        # Planning may draw actions with outcomes in memory: now a, too. (In Dyna-Q+ all have one.)
        known[s] = [action for action in range(A) if memory[s][action]]
        # (f) Repeat n times: S <- random previously observed state, a key of known. (choices draws
        # all n at once. Imagined steps use other names: s, a, r, s2 belong to the real step.)
        for state in planning_rng.choices(list(known), k=n_planning):
            # A <- random action known in S. This is planning_rng.choice(known[state]), but faster:
            # random() is in [0, 1), and int() rounds down. With 4 actions we get 0, 1, 2 or 3.
            action = known[state][int(planning_rng.random() * len(known[state]))]
            # R, S' <- Model(S,A): the newest outcome. Replay draws from all, even outdated ones.
            outcome = memory[state][action][-1]
            if replay:
                outcome = replay_rng.choice(memory[state][action])
            reward, next_state, ended = outcome
            # Dyna-Q+: an action not tried for tau = t - tried_at steps may lead elsewhere now. The
            # bonus makes it attractive. (The book takes the root, which grows ever more slowly.)
            if kappa > 0:
                reward += kappa * math.sqrt(t - tried_at[state][action])
            update(Q, state, action, reward, next_state, ended, alpha, gamma)
        s = s2
        if terminated or truncated:
            ends.append(t)
            s, _ = env.reset()
    # Differences: if episodes ended at the real steps [5, 12], they took 5 and 12 - 5 = 7 steps.
    return np.array(Q), np.diff([0] + ends), np.array(rewards)


def replay_q(env, n_replay=5, *arguments, **settings):
    """Q-learning with experience replay: slide "What about Experience Replay?".

    S and A are drawn as in dyna_q, with the same random numbers. R, S' do not come from the model,
    but from any stored transition with this S and A. If nothing is random and no wall moves, these
    are all equal: then replay and Dyna-Q (without kappa) learn the same Q. Both trade computation
    for real steps. (DQN draws S, A, R, S' together: so pairs visited often are drawn often.)
    Other arguments, results and errors as in dyna_q. Needs dyna_q, epsilon_greedy, size, update.
    >>> Q, steps, rewards = replay_q(Maze(["S..G"]), n_replay=5, n_episodes=20, seed=0)
    >>> same_Q, _, _ = dyna_q(Maze(["S..G"]), n_planning=5, n_episodes=20, seed=0)
    >>> bool((Q == same_Q).all())
    True
    """
    return dyna_q(env, n_replay, *arguments, replay=True, **settings)


# %% Exact answers: how many steps lead to a goal, and is there a way at all?
def steps_to_goal(maze, layout, epsilon, n_rounds):
    """Mean number of steps to a goal from each cell: (S,). With probability epsilon an action is
    random, else the best: epsilon = 0 is the shortest way, epsilon = 1 a random walk. Walks are
    cut after n_rounds steps: so a cell without a way gets n_rounds."""
    moves = np.array([maze.moves(layout, s) for s in range(len(layout))])       # (S, 4)
    goals = np.array(list(layout)) == "G"
    # Dynamic programming: value iteration that counts steps, not rewards, so min replaces max. The
    # steps from a cell are 1 plus those from the next: with epsilon a random one, else the best.
    steps = np.zeros(len(layout))
    for _ in range(n_rounds):
        # (S, 4): steps[moves] looks up each number in moves. If moves[0] is [0, 1, 9, 0], after[0]
        # is [steps[0], steps[1], steps[9], steps[0]].
        after = steps[moves]
        steps = 1 + (1 - epsilon) * after.min(axis=1) + epsilon * after.mean(axis=1)
        steps[goals] = 0
    return steps


def check_maze(maze, texts):
    """ValueError if texts differ in size, there is not exactly one S, or no way to a goal."""
    first, later = maze.layouts
    n = len(first)
    if any(len(row) != maze.width for row in texts) or len(later) != n or maze.change_at is None:
        raise ValueError("need equally long rows; later_rows needs as many, and a change_at")
    if first.count("S") != 1 or later.count("S") != 1:
        raise ValueError("a maze needs exactly one start S")
    # A shortest way has fewer than n steps. Where there is none, steps_to_goal gives n.
    steps = steps_to_goal(maze, first, epsilon=0, n_rounds=n)
    later_steps = steps_to_goal(maze, later, epsilon=0, n_rounds=n)
    # When the walls move, the agent may be in any cell that had a way (0 < steps < n; goals: 0),
    # even one that becomes a wall. If a move from it leads to a cell without a way, it is a trap.
    traps = [s for s in range(n) if first[s] != "#" and 0 < steps[s] < n
             and max(later_steps[maze.moves(later, s)]) == n]
    if traps or max(steps[first.index("S")], later_steps[later.index("S")]) == n:
        raise ValueError("a way must lead to a goal G, also after the walls have moved")


# %% What the experiments and panels below share
BLUE, GREEN, RED = "#0072B2", "#009E73", "#D55E00"


def draw_band(ax, runs, color, style, label):
    """The mean of runs (n_runs, T), with a band of about two standard errors to each side."""
    mean = runs.mean(axis=0)
    x = 1 + np.arange(len(mean))
    error = 2 * runs.std(axis=0) / len(runs)**0.5
    ax.fill_between(x, mean - error, mean + error, color=color, alpha=0.2)
    ax.plot(x, mean, style, color=color, label=label)


def draw_maze(ax, rows):
    cells = np.array([list(text) for text in rows])
    ax.imshow(cells == "#", cmap="Greys")
    ax.set(xticks=[], yticks=[])
    for letter in "SG":
        for y, x in np.argwhere(cells == letter):
            ax.text(x, y, letter, ha="center", va="center")


# %% Slides "Dyna-Q: set-up" and "Dyna-Q: comparison"
DYNA_MAZE = [".......#G",
             "..#....#.",
             "S.#....#.",
             "..#......",
             ".....#...",
             "........."]
N_PLANNING = [0, 5, 50]         # the slide's three agents; 0 is Q-learning


def compare_planning(n_runs, seed, n_episodes=50):
    """Steps per episode (runs, 3, n_episodes) of the three agents in the Dyna maze."""
    steps = np.zeros((n_runs, 3, n_episodes), int)
    for run in range(n_runs):
        for i, n in enumerate(N_PLANNING):
            # In a run all agents have the same seed. (--seed 1 takes the seeds 1000, 1001, ...)
            result = dyna_q(Maze(DYNA_MAZE), n, n_episodes, seed=1000 * seed + run)
            steps[run, i] = result[1]           # result: Q, steps, rewards
    return steps


def draw_comparison(ax, steps):
    # `book`: after so many episodes the book's agent is nearly optimal. We count means above 20.
    for i, color, style, book in [(0, RED, ":", 25), (1, GREEN, "--", 5), (2, BLUE, "-", 3)]:
        draw_band(ax, steps[:, i], color, style, f"n = {N_PLANNING[i]}")
        n_slow = (steps[:, i].mean(axis=0) > 20).sum()
        print(f"n = {N_PLANNING[i]:2}: episodes with a mean above 20 steps    | {n_slow:8} | "
              f"the book: nearly optimal after about {book}")
    maze = Maze(DYNA_MAZE)
    # Three exact lines. An agent with 10 % random actions cannot do better than their line.
    for epsilon, agent, style in [(1, "random walk", "-"), (0.1, "10 % random actions", "-."),
                                  (0, "always the best action", ":")]:
        # 15,000 rounds are enough: hardly any random walk is so long. maze.state is the start.
        exact = steps_to_goal(maze, maze.layouts[0], epsilon, n_rounds=15_000)[maze.state]
        ax.axhline(exact, color="grey", linestyle=style, label=f"{agent}: {exact:.1f}")
    ax.set(xscale="log", yscale="log", ylim=(3, None), xlabel="episode", ylabel="real steps",
           title="n imagined updates after each step:\nthe more, the fewer real steps it takes")
    ax.legend(ncols=2, fontsize=7, loc="lower left")


def draw_policy(ax, steps, i, seed):
    """What agent i of run 0 knew halfway through episode 2. (We run it again, with its seed.)"""
    halfway = steps[0, i, 0] + steps[0, i, 1] // 2          # steps[run, agent, episode]
    Q, _, _ = dyna_q(Maze(DYNA_MAZE), N_PLANNING[i], n_steps=halfway, seed=1000 * seed)
    draw_maze(ax, DYNA_MAZE)
    for s in range(len(Q)):
        if Q[s].any():          # values above 0 have come from the goal
            y, x = divmod(s, len(DYNA_MAZE[0]))                     # row and column
            ax.plot(x, y, "^>v<"[Q[s].argmax()], color=BLUE)        # the arrow of the best action
    ax.set_title(f"n = {N_PLANNING[i]}, halfway through episode 2:\n"
                 "the cells that know a way to the goal")


# %% Slides "Dyna-Q: harder", "Dyna-Q: easier" and "What about Experience Replay?"
GAP_RIGHT = ["........G",
             ".........",
             ".........",
             "########.",
             ".........",
             "...S....."]
GAP_LEFT = GAP_RIGHT[:3] + [".########"] + GAP_RIGHT[4:]
GAP_BOTH = GAP_RIGHT[:3] + [".#######."] + GAP_RIGHT[4:]
# Layout, later layout, and the real step at which the walls move.
BLOCKING = GAP_RIGHT, GAP_LEFT, 1000        # "harder": the way to G grows from 10 to 16 steps
SHORTCUT = GAP_LEFT, GAP_BOTH, 3000         # "easier": the way shrinks from 16 to 10 steps
# Why do many Dyna-Q agents fail at BLOCKING? The old way now leads nowhere, but its cells keep old
# values: each is gamma times a neighbour's, so they shrink, but never to 0. Most agents, walking
# about, enter the new gap. There all actions are worth 0, as none was tried, and by chance many
# turn back. Now "back" is worth more, all else 0: half of those that enter miss G until the end.
# The book prints no settings for these mazes. We found alpha, kappa and n = 10 by trying. With
# alpha = 1 a new value replaces the old one, which is right if nothing is random. Why not 0.1? The
# bonuses of imagined steps add up: an action not tried for long may have a Q of 0.5. When it is
# tried in vain, 0.45 of this remain if alpha is 0.1: so the agent tries it again, for nothing.
ALPHA = 1.0
KAPPA = 1e-3


def changing_maze(method, layouts, n_steps, n_runs, seed):
    """Rewards so far (runs, n_steps) of "Dyna-Q", "Dyna-Q+", "replay". layouts: like BLOCKING."""
    rewards = np.zeros((n_runs, n_steps))
    for run in range(n_runs):
        _, _, rewards[run] = dyna_q(            # row `run`: the rewards of this run
            Maze(*layouts), n_planning=10, n_steps=n_steps, alpha=ALPHA, seed=1000 * seed + run,
            kappa=KAPPA if method == "Dyna-Q+" else 0.0, replay=(method == "replay"))
    return rewards.cumsum(axis=1)


def draw_change(ax, title, other, layouts, n_steps, n_runs, seed, compare_with):
    """Panel of Dyna-Q and the `other` method. compare_with: a text, printed at the line's end."""
    for method, color, style in [("Dyna-Q", BLUE, "-"), (other, RED, "--")]:
        rewards = changing_maze(method, layouts, n_steps, n_runs, seed)
        draw_band(ax, rewards, color, style, method)
        print(f"{method:7} {title:38} | {rewards[:, -1].mean():8.4g} | {compare_with}")
    ax.axvline(layouts[2], color="grey")
    ax.set(title=title, ylabel="rewards so far", xlabel="real steps (grey line: the walls move)")
    # The maze before and after. (x, y, width, height of an inset are shares of the panel.)
    for rows, x in zip(layouts[:2], [0.02, 0.34]):
        draw_maze(ax.inset_axes([x, 0.7, 0.3, 0.28]), rows)
    ax.legend(loc="lower right")


# %% The run
def run_all(axes, n_runs, seed):
    print("what                                           | measured | compare")
    (ax1, ax2, ax3), (ax4, ax5, ax6) = axes         # two rows of panels
    steps = compare_planning(n_runs, seed)
    draw_comparison(ax1, steps)
    draw_policy(ax2, steps, 0, seed)
    draw_policy(ax3, steps, 2, seed)
    # No formula gives these numbers. To compare: means of thousands of runs with other seeds.
    draw_change(ax4, "harder: the path is blocked", "Dyna-Q+", BLOCKING, 3000, n_runs, seed,
                "in many runs: Dyna-Q 74, Dyna-Q+ 141")
    draw_change(ax5, "easier: a shortcut opens", "Dyna-Q+", SHORTCUT, 6000, n_runs, seed,
                "in many runs: Dyna-Q 283, Dyna-Q+ 347")
    draw_change(ax6, "old transitions mislead replay", "replay", BLOCKING, 3000, n_runs,
                seed, "in many runs: Dyna-Q 74, replay 49")


def main():
    """Not about the lecture: reads the options, then shows the figure, or saves it."""
    # Without a screen, matplotlib chooses the backend "agg", which has no windows: we save a file.
    file = "dyna_q.png" if plt.get_backend().lower() == "agg" else None
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
