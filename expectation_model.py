"""Build a model of the world from experience; see what an expectation is good for, and what not.

The slides, and where they are in this file
    How to build a model? (I), (II)        collect (the data set D), squared_error
    How to build a model? (III)            LookupModel, LinearModel, NeuralModel; convergence
    Models can be stochastic too           MixtureModel; leap_samples, values_of_the_leap
    Examples of planning? 1.               value_iteration; plan_on_the_table
    Challenges of learned models           plan_on_the_table, errors_compound
    Why Model-Based RL? uncertainty        NeuralModel.spread; what_it_knows

The equations (^ marks what a model says, in place of what is true)
    model          R^, S'^ = p^(r, s' | S, A): what we expect to follow when A is done in S
    expectation    make the sum of (S'^ - S')^2 over D small. Then S'^ comes near E[S' | s, a]
    stochastic     R^, S'^ ~ p^(r, s' | S, A, epsilon): make -log p^ of D small, then draw
    planning       V(s) <- max_a sum_{s', r} p^(s', r | s, a) [r + gamma V(s')]
                   (the slide's backup, for the best action in place of the policy's average)

Run it: python expectation_model.py (10 seconds). What you will see, and why
    With more data, a table comes as close to E[S' | s, a] as you like. A linear model does not,
    because the truth is no plane: at the border one stops. With few data the network is better
    than the table: it also learns from what happened in the cells nearby.
    From the cell F a leap lands above or below a pit. Its expectation is the pit itself, where
    nobody ever lands. A mixture of Gaussians draws samples from where the leaps do land.
    A plan made with few data promises more than it achieves: it picks what looks good by luck.
    Models fed with their own predictions go astray: the errors compound. Least so the table,
    which predicts probabilities of all cells, and not one position.
    Networks that learn from the same data agree where these were, and disagree elsewhere.

Try: three changes of one line, and the question that each answers
    size=1 in place of size=K                  What if the components of a mixture start alike?
    np.array([0.03] + [0.03] * n_features)     Why do rewards need a larger floor than features?
    WIND = [0] * 7                             Is it the wind that no plane can follow?

Notation
    states, actions, next_states    s, a, s' of N transitions: whole numbers (N,), for example [16]
    rewards, terminated             numbers (N,); did the episode end? True or False (N,)
    x, x_next       features phi(s), phi(s'): (N, d). Here d = 2, column and row: [[2.0, 2.0]]
    P, R            P[s, a, s'] probabilities (S, A, S), R[s, a] expected reward (S, A)
    V, Q            V[s] (S,) and Q[s, a] (S, A): values
    S, A            how many states and actions there are: 35, 5
    K, D            components of a mixture: 5; numbers that it predicts, reward and features: 3

Left out on purpose
    features that the model learns itself (MuZero, Dreamer), memory of earlier states (the
    recurrent part of World Models), validation data and early stopping.

References
    Sutton & Barto, Reinforcement Learning, 2nd ed. (2018), sections 4.4 and 8.1: planning.
    Bishop, Mixture density networks (1994), and Ha & Schmidhuber, World models (2018): mixtures.
    Wan et al., Planning with expectation models (IJCAI 2019): when an expectation is enough.
    Lakshminarayanan et al., Deep ensembles (NeurIPS 2017): disagreement as uncertainty.
    Kingma & Ba, Adam (ICLR 2015): the optimiser.
"""
# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy>=1.26", "matplotlib>=3.8"]
# ///
# SPDX-License-Identifier: MIT-0

import argparse
import math
import sys
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np

# %% Settings

# S start, F the cell in front of the pit, P pit, G goal. Pit and goal end the episode.
GRID = [".......",
        ".......",
        "S.F.P.G",
        ".......",
        "......."]
# The probability that a gust blows the walker one cell back to the left, for each column.
# Later on, networks will see the left columns only: then nothing tells them of the strong wind.
WIND = [0.1, 0.1, 0.1, 0.4, 0.4, 0.4, 0.4]
# What an action adds to (column, row): up, right, down, left. Each is a list of landings ...
MOVES = [[(0, -1)], [(1, 0)], [(0, 1)], [(-1, 0)]]
# ... because action 4, the leap, has two: by a coin, it ends one row higher or one row lower.
LEAP = 4
MOVES.append([(2, -1), (2, 1)])

# Discount: a goal that is reached in four steps counts 0.9^3 = 0.73.
GAMMA = 0.9
# Transitions in D: each time four times as many, so that 1/sqrt(N) halves each time.
SIZES = [100, 400, 1600, 6400, 25600]
# Where one size is enough: about ten transitions for each state and action, a fair model.
N_SOME = 1600
# Look ahead for longer than it takes to cross the grid.
N_AHEAD = 20
# For so small a world, a small network and a short fit are enough. The defaults, which suit
# Gymnasium's Pendulum, take 8 times as long.
SMALL = dict(hidden=32)
SHORT = dict(n_steps=500, batch_size=64)

# Colours that colour-blind readers can tell apart.
BLUE, GREEN, RED, GREY = "#0072B2", "#009E73", "#D55E00", "#666666"
# The three expectation models look the same in all panels.
LOOKS = [("table", BLUE, "o-"), ("linear", RED, "s--"), ("network", GREEN, "^:")]


# %% Environment: a windy grid with a fork

def make_world():
    """P (S,A,S), R (S,A), reward of arriving (S,), terminal (S,), coordinates x (S,2), cells.

    States are numbered row by row from the top left. A step is the move, then perhaps a gust;
    at the border one stays inside. Arriving at the goal pays 1, arriving in the pit -1.
    """
    letters = "".join(GRID)
    S, width = len(letters), len(GRID[0])
    x = np.array([(s % width, s // width) for s in range(S)])
    P = np.zeros((S, len(MOVES), S))
    for s in range(S):
        gust = WIND[s % width]
        for a, landings in enumerate(MOVES):
            for move in landings:
                for blown, probability in [(0, 1 - gust), (-1, gust)]:
                    # The border: no number below 0, none above those of the last cell.
                    column, row = np.clip(x[s] + move + (blown, 0), 0, x[-1])
                    # +=, because at the border two outcomes may be the same cell.
                    P[s, a, row * width + column] += probability / len(landings)
    # R(s,a) = sum_s' p(s'|s,a) (reward of arriving in s')
    arrival = np.zeros(S)
    arrival[letters.index("G")] = 1
    arrival[letters.index("P")] = -1
    R = P @ arrival
    # After the end of an episode nothing moves and nothing is paid any more.
    terminal = arrival != 0
    for s in np.flatnonzero(terminal):
        P[s] = np.eye(S)[s]
        R[s] = 0
    return SimpleNamespace(P=P, R=R, arrival=arrival, terminal=terminal, x=x.astype(float),
                           start=letters.index("S"), fork=letters.index("F"),
                           pit=letters.index("P"))


def draw_from_rows(probabilities, rng):
    """A column number for each row of probabilities (N, n): whole numbers (N,)."""
    # With probabilities .2 .5 .3 the cumulative sums are .2 .7 1. A uniform number of .6 is below
    # the second of them but not below the first, so it draws column 1. So do all numbers from .2
    # to .7: they come with probability .5, as they should.
    cumulative = probabilities.cumsum(axis=1)
    # Rounding may leave .9999999 at the end; a number above that would draw nothing.
    cumulative /= cumulative[:, -1:]
    uniform = rng.random((len(probabilities), 1))
    return (uniform < cumulative).argmax(axis=1)            # the first True of each row


def collect(world, n, rng, cells=None, actions=range(len(MOVES))):
    """The slide's data set D: states, actions, rewards, next_states, terminated, each (n,)."""
    # Nobody ever acts in a terminal state. All else is tried equally often.
    if cells is None:
        cells = np.flatnonzero(~world.terminal)
    states = rng.choice(cells, n)
    actions = rng.choice(actions, n)
    next_states = draw_from_rows(world.P[states, actions], rng)
    rewards = world.arrival[next_states]
    return states, actions, rewards, next_states, world.terminal[next_states]


# %% Algorithm: a lookup table

def checked(name, values, shape, below=None):
    """`values` as an array of this shape; with `below`, of whole numbers from 0 to below - 1."""
    # Without this NumPy would not complain: it repeats a single number for all rows, and takes
    # state -1 for the last one. The results would be wrong, and nothing would tell.
    array = np.asarray(values, dtype=float)
    if array.shape != shape or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite numbers of shape {shape}, at least one row "
                         f"(a single row of d features is (1, d)); its shape is {array.shape}")
    if below is None:
        return array
    if not np.isin(array, np.arange(below)).all():
        raise ValueError(f"{name} must be whole numbers from 0 to {below - 1}")
    return array.astype(int)


class LookupModel:
    """A table of counts N(s, a, s'): slide "How to build a model? (III)".

    fit      adds N transitions to the counts. terminated: did the episode end? By default, no.
    .P, .R   after fit: probabilities (S, A, S), expected rewards (S, A), for value_iteration.
             The rows of P leave out the probability that the episode ended: they may sum to
             less than 1.
    predict  expected rewards (N,), rows of P (N, S): a probability for each s', not only a mean
    sample   rewards (N,), next_states (N,), terminated (N,). rng is a Generator or a seed. The
             reward is the mean of those seen with this outcome.

    states, actions, rewards, next_states, terminated are (N,). A pair never seen stays put with
    reward 0. ValueError for no data, other shapes, numbers out of range, and before fit. Needs
    checked and draw_from_rows.

    >>> model = LookupModel(n_states=2, n_actions=1)
    >>> model = model.fit([0, 0, 0, 0], [0, 0, 0, 0], [5, 0, 0, 3], [1, 0, 0, 1])
    >>> print(model.R[0, 0], model.P[0, 0])
    2.0 [0.5 0.5]
    """

    def __init__(self, n_states, n_actions):
        self.n_states = n_states
        self.n_actions = n_actions
        # An outcome has a number: s' if the episode went on in s', S + s' if it ended there.
        self.counts = np.zeros((n_states, n_actions, 2 * n_states))     # N(s, a, outcome)
        self.reward_sums = np.zeros((n_states, n_actions, 2 * n_states))
        self.P = None

    def fit(self, states, actions, rewards, next_states, terminated=None):
        states, actions = self.check_pairs(states, actions)
        N = len(states)
        rewards = checked("rewards", rewards, (N,))
        next_states = checked("next_states", next_states, (N,), self.n_states)
        if terminated is None:
            terminated = np.zeros(N)
        terminated = checked("terminated", terminated, (N,), 2)
        outcomes = next_states + self.n_states * terminated

        # counts[states, actions, outcomes] += 1 would be wrong: of a transition that is three
        # times in the data, += counts only one. np.add.at counts all three.
        np.add.at(self.counts, (states, actions, outcomes), 1)
        np.add.at(self.reward_sums, (states, actions, outcomes), rewards)

        # A pair never seen would give 0/0. It gets a made-up transition: stay put, reward 0.
        counts = self.counts.copy()
        for s, a in np.argwhere(counts.sum(axis=2) == 0):
            counts[s, a, s] = 1

        # p^(s'|s,a) = N(s,a,s') / N(s,a)      E^[R|s,a] = (sum of the rewards seen) / N(s,a)
        n = counts.sum(axis=2)
        self.R = self.reward_sums.sum(axis=2) / n
        # The same of each outcome, (S, A, 2S): what sample draws from, and what it pays.
        self.probabilities = counts / n[:, :, None]
        self.outcome_rewards = self.reward_sums / np.maximum(counts, 1)
        # P has no place for outcomes that end the episode, so its rows may sum to less than 1.
        # This is right for planning. After an end nothing more is earned, and what P leaves out
        # adds nothing to sum_s' p(s'|s,a) V(s'), whatever V(s') may be.
        self.P = self.probabilities[:, :, :self.n_states]
        return self

    def check_pairs(self, states, actions):
        N = np.size(states)
        states = checked("states", states, (N,), self.n_states)
        return states, checked("actions", actions, (N,), self.n_actions)

    def predict(self, states, actions):
        if self.P is None:
            raise ValueError("this LookupModel has seen no data: call fit first")
        states, actions = self.check_pairs(states, actions)
        return self.R[states, actions], self.P[states, actions]

    def sample(self, states, actions, rng):
        if self.P is None:
            raise ValueError("this LookupModel has seen no data: call fit first")
        states, actions = self.check_pairs(states, actions)
        # A seed makes a new Generator; a Generator stays the very object that it is.
        rng = np.random.default_rng(rng)
        outcomes = draw_from_rows(self.probabilities[states, actions], rng)
        rewards = self.outcome_rewards[states, actions, outcomes]
        # Outcomes from S on are ends: S + 3 is an end in state 3.
        return rewards, outcomes % self.n_states, outcomes >= self.n_states


# %% Algorithm: a linear model

def check_pairs(model, x, actions):
    """x (N, d) and actions (N,) as arrays. The number of actions says what N is."""
    N = np.size(actions)
    x = checked("x", x, (N, model.n_features))
    return x, checked("actions", actions, (N,), model.n_actions)


def labels(x, rewards, x_next):
    """What the models below learn: y = (R, S' - S), (N, 1+d)."""
    rewards = checked("rewards", rewards, (len(x),))
    x_next = checked("x_next", x_next, x.shape)
    # The change S' - S, not S' itself: S' is mostly S, and a model that only repeats its input
    # would already look good.
    return np.column_stack([rewards, x_next - x])


class LinearModel:
    """Reward and next features as linear functions of the features, one for each action.

    Slide "How to build a model? (III)". Shapes: x, x_next (N, d), actions (N,), rewards (N,).

    fit      least squares, from scratch each time
    predict  expected rewards (N,), expected next features (N, d)
    .W       after fit (A, 1+d, 1+d): of each action, row 0 the intercept, column 0 the reward

    Continuous actions are further features, with n_actions=1: write the action into x, and the
    same numbers into x_next. An action never tried stays put with reward 0. ValueError for no
    data, other shapes, numbers out of range, and before fit. Needs labels, check_pairs, checked.

    >>> model = LinearModel(1, 1).fit([[0], [1], [2]], [0, 0, 0], [5, 5, 5], [[1], [3], [5]])
    >>> rewards, x_next = model.predict([[10]], [0])
    >>> print(rewards.round(6), x_next.round(6))
    [5.] [[21.]]
    """

    def __init__(self, n_features, n_actions):
        self.n_features = n_features
        self.n_actions = n_actions
        self.W = None

    def fit(self, x, actions, rewards, x_next):
        x, actions = check_pairs(self, x, actions)
        y = labels(x, rewards, x_next)
        # The intercept is the weight of a feature that is always 1.
        phi = np.column_stack([np.ones(len(x)), x])
        self.W = np.zeros((self.n_actions, phi.shape[1], y.shape[1]))
        for a in range(self.n_actions):
            mine = actions == a
            # Least squares: w = argmin sum_i (phi_i . w - y_i)^2, for each column of y by itself:
            # reward and transition are separate functions, as on the slide.
            # Why is the result an expectation? Say a pair (s, a) was followed by the rewards 0,
            # 0, 1. The guess g that makes (g-0)^2 + (g-0)^2 + (g-1)^2 smallest is their mean,
            # 1/3, and with more data this mean comes near E[R|s,a]. But a plane cannot go through
            # the means of all pairs. It passes as near as it can, and what is still missing with
            # endless data is called its bias.
            self.W[a] = np.linalg.lstsq(phi[mine], y[mine], rcond=None)[0]
        return self

    def predict(self, x, actions):
        if self.W is None:
            raise ValueError("this LinearModel has seen no data: call fit first")
        x, actions = check_pairs(self, x, actions)
        phi = np.column_stack([np.ones(len(x)), x])
        y = np.zeros(phi.shape)
        for a in range(self.n_actions):
            y[actions == a] = phi[actions == a] @ self.W[a]
        return y[:, 0], x + y[:, 1:]


# %% Algorithm: a small neural network

def mean_and_scale(data):
    """Mean and standard deviation of each column of data (N, d): two arrays (d,)."""
    mean = data.mean(axis=0)
    scale = data.std(axis=0)
    # A column that never changes has scale 0, or 1e-17 by rounding. To divide by that gives NaN,
    # or noise as large as a signal. So such a column is divided by 1.
    constant = scale <= 1e-12 * np.abs(data).max(axis=0)
    return mean, np.where(constant, 1, scale)


class Network:
    """A network with two hidden layers of max(z, 0), trained by Adam on any loss.

    x, y    the data to learn from: inputs (N, n_in), targets (N, D)
    hidden  units in each hidden layer;  n_out: outputs;  rng: a Generator
    fit     loss is a function of outputs (B, n_out) and standardised targets (B, D), for the B
            rows of a batch. It returns the mean loss, and its derivative by each output.
    Needs mean_and_scale.

    >>> x = np.linspace(-1, 1, 200)[:, None]
    >>> network = Network(x, x**2, 32, 1, np.random.default_rng(0)).fit(squared_error, n_steps=500)
    >>> print(np.round(network.predict(np.array([[0.0], [1.0]])), 1).tolist())
    [[0.0], [1.0]]
    """

    def __init__(self, x, y, hidden, n_out, rng):
        # Standardise: subtract the mean, divide by the standard deviation. Adam moves all weights
        # by steps of about the same size, which is right only if all numbers are of similar size.
        self.x_mean, self.x_scale = mean_and_scale(x)
        self.y_mean, self.y_scale = mean_and_scale(y)
        self.inputs = (x - self.x_mean) / self.x_scale
        self.targets = (y - self.y_mean) / self.y_scale
        # Initial weights are random: hidden units that start alike would stay alike. Why this
        # size? A sum of n_in numbers grows with n_in, and max(z, 0) throws half of it away: the
        # variance 2 / n_in makes up for both, layer after layer (He et al., 2015). The last layer
        # starts at 0, and its outputs too: as targets are standardised, this is their mean.
        n_in = x.shape[1]
        self.rng = rng
        self.weights = [rng.normal(0, math.sqrt(2 / n_in), (n_in, hidden)), np.zeros(hidden),
                        rng.normal(0, math.sqrt(2 / hidden), (hidden, hidden)), np.zeros(hidden),
                        np.zeros((hidden, n_out)), np.zeros(n_out)]

    def forward(self, inputs):
        """Both hidden layers (B, hidden), and the outputs (B, n_out)."""
        W1, b1, W2, b2, W3, b3 = self.weights
        h1 = np.maximum(inputs @ W1 + b1, 0)
        h2 = np.maximum(h1 @ W2 + b2, 0)
        return h1, h2, h2 @ W3 + b3

    def gradient(self, inputs, targets, loss):
        """The derivative of the mean loss by all weights: a list like self.weights."""
        W1, b1, W2, b2, W3, b3 = self.weights
        h1, h2, outputs = self.forward(inputs)
        # Backpropagation. A unit's delta is the derivative of the loss by the sum that goes into
        # the unit. For the outputs, the loss itself tells it.
        _, delta3 = loss(outputs, targets)
        # One layer down: a unit feeds all units above, so it collects their deltas, times the
        # weights on the way. max(z, 0) passes this on where z > 0, and blocks it elsewhere.
        delta2 = (delta3 @ W3.T) * (h2 > 0)
        delta1 = (delta2 @ W2.T) * (h1 > 0)
        # A weight's derivative is (value below it) * (delta above it), summed over the batch.
        # For all weights of a layer at once this is a product of matrices.
        return [inputs.T @ delta1, delta1.sum(axis=0),
                h1.T @ delta2, delta2.sum(axis=0),
                h2.T @ delta3, delta3.sum(axis=0)]

    def fit(self, loss, n_steps=2000, batch_size=128, learning_rate=1e-2):
        m = [np.zeros_like(w) for w in self.weights]
        v = [np.zeros_like(w) for w in self.weights]
        for t in range(1, n_steps + 1):
            # A few rows, drawn at random: their gradient is right on average, and cheap.
            batch = self.rng.integers(len(self.inputs), size=batch_size)
            gradient = self.gradient(self.inputs[batch], self.targets[batch], loss)
            # The steps shrink to 0, and with them the noise that comes from drawing batches.
            rate = learning_rate * (1 - (t - 1) / n_steps)
            for i, g in enumerate(gradient):
                # Adam, line 1: m is a running mean of the gradient, over about 10 steps.
                m[i] = 0.9 * m[i] + 0.1 * g
                # Line 2: v is a running mean of its square, over about 1000 steps. Both begin at
                # 0, so they are too small by the factors 1 - 0.9^t and 1 - 0.999^t.
                v[i] = 0.999 * v[i] + 0.001 * g**2
                m_hat = m[i] / (1 - 0.9**t)
                v_hat = v[i] / (1 - 0.999**t)
                # Line 3: a step against m, in units of sqrt(v). So a weight moves by about `rate`
                # whether its gradients are large or small. 1e-8 is there against 0/0.
                self.weights[i] -= rate * m_hat / (np.sqrt(v_hat) + 1e-8)
        return self

    def outputs(self, x):
        """The outputs (N, n_out), in the units of the standardised targets."""
        return self.forward((x - self.x_mean) / self.x_scale)[2]

    def predict(self, x):
        """The outputs in the units of the targets."""
        return self.y_mean + self.y_scale * self.outputs(x)


def squared_error(outputs, targets):
    """Slide "How to build a model? (II)": the mean squared error, and its derivative."""
    error = outputs - targets
    return (error**2).mean(), 2 * error / error.size


def network_inputs(model, x, actions):
    """x (N, d) as an array, and the inputs (N, d+A): x, and a column for each action."""
    x, actions = check_pairs(model, x, actions)
    # An action's column is 1 where it is taken, else 0. One column with the action's number would
    # not do: action 2 is not twice action 1.
    return x, np.hstack([x, np.eye(model.n_actions)[actions]])


class NeuralModel:
    """A network for the reward and one for the next features; or an ensemble of such pairs.

    Slides "How to build a model? (II)", mean squared error, and "(III)", deep neural networks and
    separate functions. Shapes: x, x_next (N, d), actions (N,), rewards (N,). n_members > 1 is an
    ensemble. seed is a number or a Generator.

    fit      Adam on small batches, from scratch each time; settings as in Network.fit
    predict  expected rewards (N,), expected next features (N, d): the mean of the members
    spread   how much the members disagree about the change of the features (N,), in units of the
             standard deviation of the changes in the data: near 0 they agree, 1 is "no idea"

    Continuous actions and errors are as in LinearModel; also ValueError for the spread of one
    member. Needs Network, squared_error, network_inputs, mean_and_scale, labels, check_pairs,
    checked.

    >>> x = np.linspace(-1, 1, 200)[:, None]
    >>> model = NeuralModel(1, 1).fit(x, np.zeros(200), x[:, 0], x + x**2, n_steps=500)
    >>> rewards, x_next = model.predict([[0.4]], [0])
    >>> print(rewards.round(1), x_next.round(1))
    [0.4] [[0.6]]
    """

    def __init__(self, n_features, n_actions, hidden=64, n_members=1, seed=0):
        self.n_features = n_features
        self.n_actions = n_actions
        self.hidden = hidden
        self.n_members = n_members
        self.seed = seed
        self.members = None

    def fit(self, x, actions, rewards, x_next, **settings):
        x, inputs = network_inputs(self, x, actions)
        y = labels(x, rewards, x_next)
        self.change_scale = mean_and_scale(y[:, 1:])[1]
        rng = np.random.default_rng(self.seed)
        self.members = []
        for _ in range(self.n_members):
            rows = np.arange(len(x))
            if self.n_members > 1:
                # Bootstrap: each member has a sample of its own, N of the N rows, drawn with
                # replacement. With the same rows for all they would agree too much.
                rows = rng.integers(len(x), size=len(x))
            # Separate functions, as on the slide: a network for the reward, one for the change.
            networks = []
            for targets in [y[rows, :1], y[rows, 1:]]:
                network = Network(inputs[rows], targets, self.hidden, targets.shape[1], rng)
                networks.append(network.fit(squared_error, **settings))
            self.members.append(networks)
        return self

    def guesses(self, x, actions):
        """x, and what each of the M members says about y = (R, S' - S): (M, N, 1+d)."""
        if self.members is None:
            raise ValueError("this NeuralModel has seen no data: call fit first")
        x, inputs = network_inputs(self, x, actions)
        guesses = []
        for networks in self.members:
            guesses.append(np.hstack([network.predict(inputs) for network in networks]))
        return x, np.array(guesses)

    def predict(self, x, actions):
        x, y = self.guesses(x, actions)
        y = y.mean(axis=0)
        return y[:, 0], x + y[:, 1:]

    def spread(self, x, actions):
        if self.n_members < 2:
            raise ValueError("one network cannot disagree: spread needs n_members of at least 2")
        x, y = self.guesses(x, actions)
        # How much the members' changes deviate from their mean, measured in standard deviations
        # of the data's changes: so it does not matter whether lengths are in m or in mm.
        deviation = y[:, :, 1:].std(axis=0) / self.change_scale
        return np.sqrt((deviation**2).mean(axis=1))


# %% Algorithm: the same network with another loss becomes a stochastic model

def log_sum_exp(terms):
    """log(sum of e^term) over the last axis, which stays with length 1.

    >>> log_sum_exp(np.array([[-1000.0, -1000.0]])).round(2).tolist()
    [[-999.31]]
    """
    # e^-1000 is 0 for a computer, and log 0 is -infinity. So the largest term is taken out first:
    # log(e^a + e^b) = a + log(1 + e^(b-a)).
    largest = terms.max(axis=-1, keepdims=True)
    return largest + np.log(np.exp(terms - largest).sum(axis=-1, keepdims=True))


def log_terms(log_weights, means, sds, y):
    """log(weight_k Normal(y; mean_k, sd_k)) of each component k: (N, K). And z: (N, K, D)."""
    # z: how many standard deviations is y away from the component's mean?
    z = (y[:, None] - means) / sds
    # The D numbers of a component are independent: densities multiply, so logarithms add up.
    log_normals = -(z**2) / 2 - np.log(sds) - math.log(2 * math.pi) / 2
    return log_weights + log_normals.sum(axis=2), z


class MixtureModel:
    """A mixture density network: slide "Models can be stochastic too", as in World Models.

        p^(r, s' | s, a) = sum_k weight_k Normal(r, s'; mean_k, sd_k), all functions of s and a

    Shapes: x, x_next (N, d), actions (N,), rewards (N,). seed: number or Generator.

    fit       makes -log p^ of the data small, by Adam, from scratch; settings as in Network.fit
    predict   expected rewards (N,), expected next features (N, d)
    sample    rewards (N,), next features (N, d), drawn together. rng is a Generator or a seed.
    log_prob  log p^(x_next | x, actions) (N,), in nats, whatever the reward

    n_components=1 is a Gaussian. Sampled rewards are noisy: their standard deviation is at least
    half of that of all rewards. Continuous actions and errors are as in LinearModel. Needs Network,
    log_terms, log_sum_exp, network_inputs, mean_and_scale, draw_from_rows, labels, check_pairs,
    checked.

    >>> x, actions, coin = np.zeros((400, 1)), np.zeros(400), np.arange(400) % 2
    >>> model = MixtureModel(1, 1).fit(x, actions, coin, coin[:, None], n_steps=500)
    >>> _, x_next = model.sample(x, actions, rng=0)
    >>> print(np.unique(x_next.round()))                # all samples are near 0 or near 1
    [0. 1.]
    """

    def __init__(self, n_features, n_actions, n_components=5, hidden=64, seed=0):
        self.n_features = n_features
        self.n_actions = n_actions
        self.n_components = n_components
        self.hidden = hidden
        self.seed = seed
        self.network = None
        # The least sd of reward and features, when the data's own sd counts as 1. Without it, a
        # component could sit on a value that repeats, shrink its sd to 0, and raise log p^ without
        # end. For the reward it is larger: most rewards are exactly 0, and to be sharp there
        # would pay more than to tell where S' is.
        self.floor = np.array([0.5] + [0.03] * n_features)

    def fit(self, x, actions, rewards, x_next, **settings):
        x, inputs = network_inputs(self, x, actions)
        # One network for all D = 1 + d numbers, because reward and S' are drawn together.
        y = labels(x, rewards, x_next)
        K, D = self.n_components, y.shape[1]
        rng = np.random.default_rng(self.seed)
        self.network = Network(inputs, y, self.hidden, K * (1 + 2 * D), rng)
        # Components that start alike would get the same gradient, and stay alike. So their means
        # start at K outcomes out of the data. (At first, the biases of the last layer are all
        # that the outputs consist of.)
        start = np.zeros((K, 1 + 2 * D))
        start[:, 1:1 + D] = self.network.targets[rng.integers(len(y), size=K)]
        self.network.weights[-1] = start.ravel()
        self.network.fit(self.loss, **settings)
        return self

    def split(self, outputs):
        """The network's outputs as log weights (N, K), means and sds (N, K, D)."""
        # Each component has 1 + 2D outputs: a score, D means and D widths.
        D = 1 + self.n_features
        outputs = outputs.reshape(len(outputs), self.n_components, 1 + 2 * D)
        scores = outputs[:, :, 0]
        # weight_k = e^score_k / (sum of all e^score): they are positive and sum to 1.
        log_weights = scores - log_sum_exp(scores)
        means = outputs[:, :, 1:1 + D]
        # e^width is positive, whatever the width is.
        sds = self.floor + np.exp(outputs[:, :, 1 + D:])
        return log_weights, means, sds

    def loss(self, outputs, y):
        """The mean of -log p^(y), and its derivative by each output."""
        log_weights, means, sds = self.split(outputs)
        terms, z = log_terms(log_weights, means, sds, y)
        log_p = log_sum_exp(terms)                                              # (N, 1)
        # Who is to blame for y? A component's share of the blame is its part of the sum p^(y). If
        # component 2 alone is near y, its share is about 1, and that of all others about 0.
        share = np.exp(terms - log_p)                                           # (N, K)
        # Now the derivatives. A step of Adam goes against them, so in words, in such a step
        # (1) a component gets more weight if its share of the blame is larger than its weight;
        by_score = np.exp(log_weights) - share
        # (2) its mean is pulled towards y by its share of the blame, harder if its sd is small;
        by_mean = -share[:, :, None] * z / sds
        # (3) its sd grows if y is more than one sd away (z^2 > 1), else it shrinks: by its share.
        by_sd = share[:, :, None] * (1 - z**2) / sds
        # sd = floor + e^width, so the derivative of the sd by the width is e^width = sd - floor.
        by_width = by_sd * (sds - self.floor)
        gradient = np.concatenate([by_score[:, :, None], by_mean, by_width], axis=2)
        return -log_p.mean(), gradient.reshape(outputs.shape) / len(outputs)

    def components(self, x, actions):
        """Log weights (N, K), means and sds (N, K, D) of (R, S'), in the units of the data."""
        if self.network is None:
            raise ValueError("this MixtureModel has seen no data: call fit first")
        x, inputs = network_inputs(self, x, actions)
        log_weights, means, sds = self.split(self.network.outputs(inputs))
        means = self.network.y_mean + self.network.y_scale * means
        # Number 0 is the reward; the others are changes, and S' = S + change.
        means[:, :, 1:] += x[:, None]
        return log_weights, means, self.network.y_scale * sds

    def predict(self, x, actions):
        log_weights, means, _ = self.components(x, actions)
        # The mean of a mixture is the weighted sum of its components' means.
        y = (np.exp(log_weights)[:, :, None] * means).sum(axis=1)
        return y[:, 0], y[:, 1:]

    def sample(self, x, actions, rng):
        log_weights, means, sds = self.components(x, actions)
        # The slide's epsilon: it picks a component k for each row, then a point of this component.
        rng = np.random.default_rng(rng)
        k = draw_from_rows(np.exp(log_weights), rng)
        rows = np.arange(len(k))
        y = rng.normal(means[rows, k], sds[rows, k])
        return y[:, 0], y[:, 1:]

    def log_prob(self, x, actions, x_next):
        log_weights, means, sds = self.components(x, actions)
        x_next = checked("x_next", x_next, (len(means), self.n_features))
        # Column 0 is the reward. Without its factor we have the density of S' alone.
        terms, _ = log_terms(log_weights, means[:, :, 1:], sds[:, :, 1:], x_next)
        return log_sum_exp(terms)[:, 0]


# %% Algorithm: dynamic programming with a model

def value_iteration(P, R, gamma, tolerance=1e-8):
    """The optimal values of a model, true or learned: slide "Examples of planning?", 1.

    P (S, A, S) probabilities. Where a row sums to less than 1, the missing rest is the probability
    that the episode ends. R (S, A) expected rewards, 0 <= gamma < 1. Returns V (S,), Q (S, A),
    within `tolerance` of the optimum of this model, which is not that of the world. The number of
    sweeps grows as 1 / (1 - gamma). ValueError if P, R or gamma is not like this. Sutton & Barto,
    section 4.4.

    Action 0 pays 1 and ends the episode, action 1 pays 0 and stays:
    >>> model = LookupModel(1, 2).fit([0, 0], [0, 1], [1, 0], [0, 0], terminated=[True, False])
    >>> V, Q = value_iteration(model.P, model.R, gamma=0.9)
    >>> print(V.round(3), Q.round(3))
    [1.] [[1.  0.9]]
    """
    P, R = np.asarray(P, dtype=float), np.asarray(R, dtype=float)
    if not 0 <= gamma < 1:
        raise ValueError(f"gamma must be in [0, 1), or values may be infinite; got {gamma}")
    if P.shape != R.shape + R.shape[:1] or not np.isfinite(R).all():
        raise ValueError(f"need P (S, A, S) and finite R (S, A); got {P.shape} and {R.shape}")
    # Written with "not", because NaN fails every comparison: so it is refused as well.
    if not (P.min() >= 0 and P.sum(axis=2).max() <= 1 + 1e-6):
        raise ValueError("each P[s, a] must be probabilities, at least 0 and together at most 1")
    V = np.zeros(len(R))
    while True:
        # Q(s,a) <- R(s,a) + gamma sum_s' p(s'|s,a) V(s')        V(s) <- max_a Q(s,a)
        # Mind the brackets: gamma * P @ V means (gamma * P) @ V, and would multiply the whole
        # table by gamma in each sweep. That takes about three times as long.
        Q = R + gamma * (P @ V)
        change = np.abs(Q.max(axis=1) - V).max()
        V = Q.max(axis=1)
        # A sweep changes V by at most gamma times what the sweep before did. So what is still to
        # come is at most change * (gamma + gamma^2 + ...) = change * gamma / (1 - gamma). We stop
        # when this is below the tolerance, or else when the change is lost in the rounding of V.
        if gamma * change <= max(tolerance * (1 - gamma), 1e-14 * np.abs(V).max()):
            return V, Q


# %% Exact answers

def policy_value(P, R, policy, gamma):
    """V (S,) of the policy (S,) that takes action policy[s] in s."""
    # V = R_pi + gamma P_pi V, so (I - gamma P_pi) V = R_pi: a system of linear equations.
    s = np.arange(len(R))
    return np.linalg.solve(np.eye(len(R)) - gamma * P[s, policy], R[s, policy])


def distance(guess, mean):
    """The typical distance (root mean square) of guessed positions (n, 2) from the right ones."""
    return math.sqrt(((guess - mean) ** 2).sum(axis=1).mean())


def all_pairs(world):
    """Every pair (s, a) in which one can act: states (n,), actions (n,), E[S'|s,a] (n, 2)."""
    cells = np.flatnonzero(~world.terminal)
    # States 0 0 0 0 0 1 1 1 ..., actions 0 1 2 3 4 0 1 2 ...
    states = np.repeat(cells, len(MOVES))
    actions = np.tile(np.arange(len(MOVES)), len(cells))
    return states, actions, world.P[states, actions] @ world.x


def exact_errors(world):
    """In theory: the table's error of E[S'|s,a] for each of SIZES; the best plane's error."""
    states, actions, mean = all_pairs(world)
    # Var(S') = E|S'|^2 - |E S'|^2, of column and row together; its mean over the pairs.
    squares = world.P[states, actions] @ (world.x**2).sum(axis=1)
    variance = (squares - (mean**2).sum(axis=1)).mean()
    # The mean of n draws is off by sqrt(variance / n), and each pair has its share of the N.
    table = np.sqrt(variance / (np.array(SIZES) / len(states)))
    # With endless data least squares would see the exact means. So the best plane fits these.
    best = LinearModel(2, len(MOVES)).fit(world.x[states], actions, np.zeros(len(states)), mean)
    return table, distance(best.predict(world.x[states], actions)[1], mean)


# %% What the experiments and panels below share

def repeat(experiment, world, n_runs, seed):
    """The arrays that experiment(world, run_seed) returns, with a leading axis of runs."""
    seeds = np.random.default_rng(seed).integers(2**31, size=n_runs).tolist()
    return np.array([experiment(world, run_seed) for run_seed in seeds])


def fit_all(world, n, seed):
    """Table, linear model and network, all fitted to the same n transitions."""
    states, actions, rewards, next_states, _ = collect(world, n, np.random.default_rng(seed))
    data = world.x[states], actions, rewards, world.x[next_states]
    # Here we ask where the walker is, also after the end: so `terminated` is not told.
    return (LookupModel(*world.R.shape).fit(states, actions, rewards, next_states),
            LinearModel(2, len(MOVES)).fit(*data),
            NeuralModel(2, len(MOVES), seed=seed, **SMALL).fit(*data, **SHORT))


def draw_bands(ax, x, runs, looks):
    """Curves of runs (n_runs, curves, len(x)): the mean of the runs, and where the mean of many
    more runs would be (95 %)."""
    for i, (name, color, style) in enumerate(looks):
        mean = runs[:, i].mean(axis=0)
        # The mean of n runs is off by about their spread / sqrt(n), and seldom by twice as much.
        error = runs[:, i].std(axis=0) / math.sqrt(len(runs))
        ax.fill_between(x, mean - 2 * error, mean + 2 * error, color=color, alpha=0.2)
        ax.plot(x, mean, style, color=color, label=name, markersize=4)
    ax.legend()


def draw_world(ax, world):
    # One square for each cell, the darker the windier.
    ax.pcolormesh([WIND] * len(GRID), cmap="Greys", vmin=0, vmax=1.5, edgecolors="white")
    for (x, y), letter in zip(world.x + 0.5, "".join(GRID)):
        if letter != ".":
            ax.text(x, y, letter, ha="center", va="center", weight="bold", fontsize="large")
    x, y = world.x[world.fork] + 0.5
    for dx, dy in MOVES[LEAP]:
        ax.annotate("", (x + dx, y + dy), (x + 0.2, y),
                    arrowprops=dict(color=BLUE, width=1, headwidth=7))
    ax.set_xticks(np.arange(len(WIND)) + 0.5, [f"{gust:.0%}" for gust in WIND])
    ax.set(yticks=[], aspect="equal", xlabel="chance of a gust, one cell back to the left",
           title="from F a leap (arrows) lands above\nor below the pit P, never in it")
    ax.invert_yaxis()


# %% Slides "How to build a model?" (I), (II), (III): what do the models converge to?

def convergence(world, seed):
    """Errors of E[S'|s,a] (3, sizes) of table, linear model and network."""
    states, actions, mean = all_pairs(world)
    x = world.x[states]
    errors = []
    for n in SIZES:
        table, linear, network = fit_all(world, n, seed)
        # The table predicts probabilities of cells. The mean position is sum_s' p(s') x(s').
        errors.append([distance(table.predict(states, actions)[1] @ world.x, mean),
                       distance(linear.predict(x, actions)[1], mean),
                       distance(network.predict(x, actions)[1], mean)])
    return np.transpose(errors)


def draw_convergence(ax, world, errors):
    draw_bands(ax, SIZES, errors, LOOKS)
    table, bias = exact_errors(world)
    ax.plot(SIZES, table, color=GREY, linewidth=1)
    ax.text(SIZES[3], table[4], "exact: 1 / sqrt(N)", color=GREY, ha="right")
    ax.axhline(bias, color=GREY, linewidth=1)
    ax.text(SIZES[-1], 0.8 * bias, "exact: best plane", color=GREY, ha="right")
    ax.set(xscale="log", yscale="log", xlabel="transitions N in D",
           ylabel="error of E[S' | s, a] (cells)",
           title="with data the table finds E[S' | s, a],\nthe linear model keeps its bias")


# %% Slide "Models can be stochastic too": a leap over the pit

def leap_samples(world, seed, n=400):
    """The row of S' after a leap from F (3, n): in the world, of a Gaussian, of a mixture."""
    rng = np.random.default_rng(seed)
    states, _, rewards, next_states, _ = collect(world, 5000, rng, actions=[LEAP])
    _, _, _, landings, _ = collect(world, n, rng, [world.fork], [LEAP])
    # The walker stands near the middle of a cell, not in it: a density of whole numbers would be
    # nothing but needles. (The table, which knows cells by their numbers, has no such trouble.)
    x_next = world.x[next_states] + rng.normal(0, 0.15, (len(states), 2))
    rows = [world.x[landings, 1] + rng.normal(0, 0.15, n)]
    for n_components in [1, 5]:
        model = MixtureModel(2, 1, n_components, seed=seed)
        model.fit(world.x[states], np.zeros(len(states)), rewards, x_next, n_steps=1000)
        _, x = model.sample(np.tile(world.x[world.fork], (n, 1)), np.zeros(n), rng)
        rows.append(x[:, 1])
    return np.array(rows)


def values_of_the_leap(world):
    """E[v(S')] and v(E[S']) after a leap from F, for v = V*."""
    V, _ = value_iteration(world.P, world.R, GAMMA)
    p = world.P[world.fork, LEAP]
    # For a linear v(x) = w . x the two are equal, E[w . S'] = w . E[S']: then to know E[S'] is
    # enough. But V* is no plane: it is high beside the pit, and 0 in it, where all is over. And
    # E[S'] = (3.9, 2) is the pit. (V* knows whole cells only, so we look up the nearest one.)
    nearest = ((world.x - p @ world.x) ** 2).sum(axis=1).argmin()
    return p @ V, V[nearest]


def draw_leap(ax, world, rows):
    pit_row = world.x[world.pit, 1]
    ax.axhline(pit_row, color=RED)
    # Spread out sideways, so that the points do not hide each other.
    sideways = np.linspace(-0.3, 0.3, rows.shape[2])
    for i, color in enumerate([GREY, RED, GREEN]):
        ax.plot(i + sideways, rows[0, i], ".", color=color, markersize=3)
    ax.set_xticks(range(3), ["the world", "Gaussian", "mixture"])
    value, value_of_mean = values_of_the_leap(world)
    ax.text(1, -1.7, f"red line: E[S'], in the row of the pit.\nE[V*(S')] = {value:.2f}, but "
            f"V*(E[S']) = {value_of_mean:.2f}", ha="center", va="center")
    ax.set(ylim=(len(GRID) - 0.5, -2.4), yticks=range(len(GRID)), ylabel="row of S'",
           title="after the leap: a mixture knows\nboth landings, a Gaussian does not")


# %% Slides "Examples of planning?" 1. and "Challenges of learned models"

def plan_on_the_table(world, seed):
    """Value of the start (2, sizes): as the model promises, and as the plan achieves."""
    values = []
    for n in SIZES:
        model = LookupModel(*world.R.shape)
        model.fit(*collect(world, n, np.random.default_rng(seed)))
        V, Q = value_iteration(model.P, model.R, GAMMA)
        # V is what the model promises for its best plan. Now the plan is carried out in the world.
        # (argmax, without random ties: a fixed plan can be solved for exactly, and cannot learn.)
        achieved = policy_value(world.P, world.R, Q.argmax(axis=1), GAMMA)
        values.append([V[world.start], achieved[world.start]])
    return np.transpose(values)


def optimal_value(world):
    return value_iteration(world.P, world.R, GAMMA)[0][world.start]


def draw_plan(ax, world, values):
    optimal = optimal_value(world)
    ax.axhline(optimal, color=GREY, linewidth=1)
    ax.text(SIZES[-1], 0.83 * optimal, f"exact: V*(S) = {optimal:.3f}", color=GREY, ha="right")
    draw_bands(ax, SIZES, values, [("promised by the model", RED, "s--"),
                                   ("achieved in the world", BLUE, "o-")])
    ax.set(xscale="log", xlabel="transitions N in D", ylabel="value of the start S",
           title="planning on a table of few data\npromises more than it achieves")


def errors_compound(world, seed):
    """Errors of E[S_k] (3, k), from all cells; each model is fed with its own predictions."""
    table, linear, network = fit_all(world, N_SOME, seed)
    rng = np.random.default_rng(seed)
    cells = np.flatnonzero(~world.terminal)
    # The probability of each cell, one row for each cell of departure: at first one is there.
    truth = guess = np.eye(len(world.x))[cells]
    x_linear = x_network = world.x[cells]
    errors = []
    for a in rng.integers(len(MOVES), size=N_AHEAD):
        truth = truth @ world.P[:, a]
        guess = guess @ table.P[:, a]
        # These two know expected positions only. Such a position is soon in no cell's middle, and
        # perhaps out of the grid: nothing like it was in the data.
        actions = np.full(len(cells), a)
        _, x_linear = linear.predict(x_linear, actions)
        _, x_network = network.predict(x_network, actions)
        positions = [guess @ world.x, x_linear, x_network]
        errors.append([distance(x, truth @ world.x) for x in positions])
    return np.transpose(errors)


def draw_compound(ax, errors):
    draw_bands(ax, np.arange(1, N_AHEAD + 1), errors, LOOKS)
    ax.set(xlabel="steps ahead k", ylabel="error of E[S_k] (cells)", ylim=(0, None),
           title="errors compound in positions,\nless in a table's probabilities")


# %% Slide "Why Model-Based RL?": the uncertainty of a model

def what_it_knows(world, seed):
    """Disagreement of five networks, and their true error (2, columns)."""
    # Data only from the columns up to F.
    seen = np.flatnonzero(world.x[:, 0] <= world.x[world.fork, 0])
    s, a, rewards, s2, _ = collect(world, N_SOME, np.random.default_rng(seed), seen)
    model = NeuralModel(2, len(MOVES), n_members=5, seed=seed, **SMALL)
    model.fit(world.x[s], a, rewards, world.x[s2], **SHORT)
    states, actions, mean = all_pairs(world)
    x = world.x[states]
    error = np.linalg.norm(model.predict(x, actions)[1] - mean, axis=1)
    # bincount sums up the numbers of each column of the grid.
    column = x[:, 0].astype(int)
    sums = [np.bincount(column, model.spread(x, actions)), np.bincount(column, error)]
    return np.array(sums) / np.bincount(column)


def draw_known(ax, world, known):
    ax.axvspan(-0.5, world.x[world.fork, 0] + 0.5, color=GREY, alpha=0.15)
    draw_bands(ax, np.arange(len(WIND)), known, [("disagreement (sds of S' - S)", BLUE, "o-"),
                                                 ("true error (cells)", RED, "s--")])
    ax.set(xlabel="column (grey: with data)", ylabel="mean over rows and actions",
           title="where five networks saw no data,\nthey disagree, and err")


# %% The run: what is printed, and main

def row(what, measured, compare):
    """One printed line; `compare` says what the number should be near, and why."""
    print(f"{what:46} | {measured:8.4f} | {compare}")


def run_all(axes, n_runs, seed):
    """All experiments, panels and printed lines, in the order of the slides."""
    print(f"{'what':46} | measured | compare")
    world = make_world()
    draw_world(axes[0, 0], world)

    errors = repeat(convergence, world, n_runs, seed)
    draw_convergence(axes[0, 1], world, errors)
    table, bias = exact_errors(world)
    what = f"error of E[S'|s,a], N = {SIZES[-1]}: "
    row(what + "table", errors[:, 0, -1].mean(), f"{table[-1]:.4f}: exact, noise / sqrt(N)")
    row(what + "linear", errors[:, 1, -1].mean(), f"{bias:.4f}: exact, the best plane")
    row(what + "network", errors[:, 2, -1].mean(), "between the two")

    rows = repeat(leap_samples, world, n_runs, seed)
    draw_leap(axes[0, 2], world, rows)
    in_pit_row = (np.abs(rows - world.x[world.pit, 1]) < 0.5).mean(axis=(0, 2))
    row("leap: share in the pit's row, Gaussian", in_pit_row[1], "0: nobody lands there")
    row("leap: share in the pit's row, mixture", in_pit_row[2], "0, the same")

    # Two experiments that take little time are run more often.
    values = repeat(plan_on_the_table, world, 10 * n_runs, seed)
    draw_plan(axes[1, 0], world, values)
    promised, achieved = values.mean(axis=0)
    row(f"value of S, N = {SIZES[1]}: promised", promised[1], "above what is achieved")
    row(f"value of S, N = {SIZES[1]}: achieved", achieved[1],
        f"at most {optimal_value(world):.4f}: exact, V*")

    ahead = repeat(errors_compound, world, 4 * n_runs, seed)
    draw_compound(axes[1, 1], ahead)
    network = ahead[:, 2].mean(axis=0)
    row(f"network: error at step {N_AHEAD} / at step 1", network[-1] / network[0], "far above 1")

    known = repeat(what_it_knows, world, n_runs, seed)
    draw_known(axes[1, 2], world, known)
    disagreement = known[:, 0].mean(axis=0)
    row("disagreement: last column / first column", disagreement[-1] / disagreement[0],
        "far above 1: no data there")


def main():
    # SUPPRESS keeps an error message to one sentence.
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], usage=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=4, help="independent runs (default 4)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random numbers")
    parser.add_argument("--save", metavar="FILE", help="write the figure here: png, pdf or svg")
    # In a notebook the command line is the one that started the notebook: not for us.
    args = parser.parse_args([] if "ipykernel" in sys.argv[0] else None)
    if args.runs < 1 or args.seed < 0:
        parser.error("--runs must be at least 1 and --seed at least 0")
    fig, axes = plt.subplots(2, 3, figsize=(11, 6.6), layout="constrained")
    # Without a display, matplotlib falls back to "agg", which can only write files.
    if args.save is None and plt.get_backend().lower() == "agg":
        args.save = "expectation_model.png"
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
