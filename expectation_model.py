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
    From the start S a leap lands above or below a pit. Its expectation is the pit itself, where
    nobody ever lands. A mixture of Gaussians draws samples from where the leaps do land.
    A plan made with few data promises more than it achieves: it picks what looks good by luck.
    Models fed with their own predictions go astray: the errors compound. Least so the table,
    which predicts probabilities of all cells, and not one position.
    Networks that learn from the same data agree where these were, and disagree elsewhere.

Try: change one line, run again, and answer
    In MixtureModel.fit: size=1 in place of size=K. What if all components start alike?
    In plan_on_the_table: .fit(*collect(n, seed)[:4]). What does a table promise that was not told
        where episodes end?
    WIND = 0.0. Is it the wind that no plane can follow?

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

# S is the start, P a pit, G the goal. To arrive in P pays -1, in G 1, and ends the episode.
GRID = [".......",
        ".......",
        "..S.P.G",
        ".......",
        "......."]
# Cells are numbered row by row from the top left: cell 3 is letter 3 of this text.
LETTERS = "".join(GRID)
START = LETTERS.index("S")
# What an action adds to (column, row): up, right, down, left, leap. Each is a list of landings,
# because the leap has two: by a coin, it ends one row higher or one row lower.
MOVES = [[(0, -1)], [(1, 0)], [(0, 1)], [(-1, 0)], [(2, -1), (2, 1)]]
LEAP = 4
# After each step a gust blows with this probability, one cell back to the left.
WIND = 0.3
# Discount: a goal that is reached in four steps counts 0.9^3 = 0.73.
GAMMA = 0.9

# Transitions in D: each time four times as many, so that 1/sqrt(N) halves each time.
SIZES = [100, 400, 1600, 6400, 25600]
# Where one size is enough: about ten transitions for each state and action, a fair model.
N_SOME = 1600
# Look ahead for longer than it takes to cross the grid.
N_AHEAD = 20
# Colours that colour-blind readers can tell apart, and line styles for black and white.
LOOKS = [("#0072B2", "-"), ("#D55E00", "--"), ("#009E73", ":")]


# %% Environment: a windy grid with a leap

def make_world():
    """P (S, A, S), the reward of arriving in a cell (S,), and the features of the cells (S, 2)."""
    S, width = len(LETTERS), len(GRID[0])
    # The features of a cell are its column and its row.
    x = np.array([(s % width, s // width) for s in range(S)])
    arrival = np.zeros(S)
    arrival[LETTERS.index("G")] = 1
    arrival[LETTERS.index("P")] = -1
    P = np.zeros((S, len(MOVES), S))
    for s in range(S):
        for a, landings in enumerate(MOVES):
            for move in landings:
                # The move, then a gust: no cell back, or one.
                for back, probability in [(0, 1 - WIND), (1, WIND)]:
                    # At the border one stays inside: no number below 0 or above the last cell's.
                    column, row = np.clip(x[s] + move - (back, 0), 0, x[-1])
                    # +=, because at the border two outcomes may be the same cell.
                    P[s, a, row * width + column] += probability / len(landings)
    return P, arrival, x


TRUE_P, ARRIVAL, X = make_world()
# R(s,a) = sum_s' p(s'|s,a) (reward of arriving in s')
TRUE_R = TRUE_P @ ARRIVAL
# Where an episode ends. (To keep things simple, one may start anywhere, also there.)
TERMINAL = ARRIVAL != 0


def draw_from_rows(probabilities, rng):
    """A column number for each row of probabilities (N, n): whole numbers (N,)."""
    # With probabilities .2 .5 .3 the cumulative sums are .2 .7 1. A uniform number of .6 is below
    # the second of them but not below the first, so it draws column 1. So do all numbers from .2
    # to .7: they come with probability .5, as they should.
    cumulative = probabilities.cumsum(axis=1)
    # Rounding may leave .9999999 as the last sum: so the numbers are drawn from 0 up to that.
    uniform = rng.random((len(probabilities), 1)) * cumulative[:, -1:]
    return (uniform < cumulative).argmax(axis=1)            # the first True of each row


def collect(n, rng, cells=range(len(X)), actions=range(len(MOVES))):
    """The slide's data set D: states, actions, rewards, next_states, terminated, each (n,)."""
    rng = np.random.default_rng(rng)
    # All cells and all actions are tried equally often.
    states = rng.choice(cells, n)
    actions = rng.choice(actions, n)
    next_states = draw_from_rows(TRUE_P[states, actions], rng)
    return states, actions, ARRIVAL[next_states], next_states, TERMINAL[next_states]


# %% Algorithm: a lookup table

def checked(name, values, shape, below=None):
    """`values` as an array of this shape; with `below`, of whole numbers from 0 to below - 1."""
    # Without this NumPy would not complain: it repeats a single number for all rows, and takes
    # state -1 for the last one. The results would be wrong, and nothing would tell.
    array = np.asarray(values, dtype=float)
    allowed = np.isfinite(array) if below is None else np.isin(array, range(below))
    if array.shape != shape or array.size == 0 or not allowed.all():
        raise ValueError(f"{name} must have the shape {shape} with at least one row (a single row "
                         f"of d features is (1, d)), and no number that is NaN or out of range")
    return array if below is None else array.astype(int)


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
    checked, draw_from_rows.

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
        self.reward_sums = np.zeros_like(self.counts)
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

        # E^[R|s,a] = (sum of the rewards seen) / N(s,a)      p^(s'|s,a) = N(s,a,s') / N(s,a)
        n = self.counts.sum(axis=2)
        # For a pair never seen this would be 0 / 0. We divide by 1: its reward is 0 ...
        divisor = np.maximum(n, 1)
        self.R = self.reward_sums.sum(axis=2) / divisor
        self.probabilities = self.counts / divisor[:, :, None]  # of all outcomes (S, A, 2S)
        # ... and we let it stay put.
        for s, a in np.argwhere(n == 0):
            self.probabilities[s, a, s] = 1
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
        # The mean of the rewards seen with this outcome; again 0 / 1 for a pair never seen.
        n = np.maximum(self.counts[states, actions, outcomes], 1)
        rewards = self.reward_sums[states, actions, outcomes] / n
        # Outcomes from S on are ends: S + 3 is an end in state 3.
        return rewards, outcomes % self.n_states, outcomes >= self.n_states


# %% Algorithm: a linear model

def check_inputs(model, x, actions):
    """x (N, d) and actions (N,) as arrays, and both side by side as inputs (N, d+A)."""
    # The number of actions says what N is.
    N = np.size(actions)
    x = checked("x", x, (N, model.n_features))
    actions = checked("actions", actions, (N,), model.n_actions)
    # Among the inputs each action has a column: 1 where it is taken, else 0. One column with the
    # action's number would not do: action 2 is not twice action 1.
    return x, actions, np.hstack([x, np.eye(model.n_actions)[actions]])


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

    Continuous actions are further features, with n_actions=1: write the action into x, and the
    same numbers into x_next. An action never tried stays put with reward 0. ValueError for no
    data, other shapes, numbers out of range, and before fit. Needs labels, check_inputs, checked.

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
        x, actions, inputs = check_inputs(self, x, actions)
        y = labels(x, rewards, x_next)
        self.W = np.zeros((self.n_actions, inputs.shape[1], y.shape[1]))
        for a in range(self.n_actions):
            mine = actions == a
            # Least squares: w = argmin sum_i (inputs_i . w - y_i)^2, for each column of y by
            # itself: reward and transition are separate functions, as on the slide. (The action's
            # own column of the inputs is always 1 here, so its weight is the intercept.)
            # Why is the result an expectation? Say a pair (s, a) was followed by the rewards 0,
            # 0, 1. The guess g that makes (g-0)^2 + (g-0)^2 + (g-1)^2 smallest is their mean,
            # 1/3, and with more data this mean comes near E[R|s,a]. But a plane cannot go through
            # the means of all pairs. It passes as near as it can, and what is still missing with
            # endless data is called its bias.
            self.W[a] = np.linalg.lstsq(inputs[mine], y[mine], rcond=None)[0]
        return self

    def predict(self, x, actions):
        if self.W is None:
            raise ValueError("this LinearModel has seen no data: call fit first")
        x, actions, inputs = check_inputs(self, x, actions)
        # Each row's inputs (d+A, 1) times the weights of its action (d+A, 1+d), then summed up.
        y = (inputs[:, :, None] * self.W[actions]).sum(axis=1)
        return y[:, 0], x + y[:, 1:]


# %% Algorithm: a small neural network

def mean_and_scale(data):
    """Mean and standard deviation of each column of data (N, d): two arrays (d,)."""
    mean = data.mean(axis=0)
    scale = data.std(axis=0)
    # A column that never changes has scale 0, or 1e-17 by rounding. To divide by that gives NaN,
    # or noise as large as a signal. So such a column is divided by 1.
    constant = scale <= 1e-12 * np.abs(mean)
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
    member. Needs Network, mean_and_scale, squared_error, labels, check_inputs, checked.

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
        self.members = []

    def fit(self, x, actions, rewards, x_next, **settings):
        x, _, inputs = check_inputs(self, x, actions)
        y = labels(x, rewards, x_next)
        rng = np.random.default_rng(self.seed)
        self.members = []
        for _ in range(self.n_members):
            # Separate functions, as on the slide: a network for the reward, one for the change.
            reward = Network(inputs, y[:, :1], self.hidden, 1, rng)
            change = Network(inputs, y[:, 1:], self.hidden, self.n_features, rng)
            reward.fit(squared_error, **settings)
            change.fit(squared_error, **settings)
            # The members learn from the same data. They differ in their initial weights and in
            # the batches that they draw, and so agree only on what the data tell.
            self.members.append((reward, change))
        return self

    def guesses(self, x, actions):
        """x, and what the M members say: rewards (M, N, 1), changes of the features (M, N, d)."""
        if not self.members:
            raise ValueError("this NeuralModel has seen no data: call fit first")
        x, _, inputs = check_inputs(self, x, actions)
        rewards = [reward.predict(inputs) for reward, _ in self.members]
        return x, rewards, [change.predict(inputs) for _, change in self.members]

    def predict(self, x, actions):
        x, rewards, changes = self.guesses(x, actions)
        return np.mean(rewards, axis=0)[:, 0], x + np.mean(changes, axis=0)

    def spread(self, x, actions):
        if self.n_members < 2:
            raise ValueError("one network cannot disagree: spread needs n_members of at least 2")
        _, _, changes = self.guesses(x, actions)
        # How much the members deviate from their mean, measured in standard deviations of the
        # data's changes: so it does not matter whether lengths are in m or in mm.
        # (The data are the same for all members, so we take the first one's scale.)
        _, first = self.members[0]
        return (np.std(changes, axis=0) / first.y_scale).mean(axis=1)


# %% Algorithm: the same network with another loss becomes a stochastic model

def log_sum_exp(terms):
    """log(sum of e^term) over the last axis, which stays with length 1.

    >>> log_sum_exp(np.array([[-1000.0, -1000.0]])).round(2).tolist()
    [[-999.31]]
    """
    # e^-1000 is 0 for a computer, and log 0 is -infinity. np.logaddexp takes the larger one out
    # first, log(e^a + e^b) = a + log(1 + e^(b-a)); with .reduce it does so for the whole axis.
    return np.logaddexp.reduce(terms, axis=-1, keepdims=True)


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
    mean_and_scale, log_terms, log_sum_exp, draw_from_rows, labels, check_inputs, checked.

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
        x, _, inputs = check_inputs(self, x, actions)
        # One network for all D = 1 + d numbers, because reward and S' are drawn together.
        y = labels(x, rewards, x_next)
        K, D = self.n_components, y.shape[1]
        rng = np.random.default_rng(self.seed)
        self.network = Network(inputs, y, self.hidden, K * (2 * D + 1), rng)
        # Components that start alike would get the same gradient, and stay alike. So their means
        # start at K outcomes out of the data, and their sds at e^-2 = 0.14: a wide one could settle
        # down between two landings. (At first the outputs are the biases of the last layer.)
        start = np.zeros((K, 2 * D + 1))
        start[:, :D] = self.network.targets[rng.integers(len(y), size=K)]
        start[:, D:-1] = -2
        self.network.weights[-1] = start.ravel()
        self.network.fit(self.loss, **settings)
        return self

    def split(self, outputs):
        """The network's outputs as log weights (N, K), means and sds (N, K, D)."""
        # Each component has 2D + 1 outputs: D means, D widths and a score.
        D = 1 + self.n_features
        outputs = outputs.reshape(len(outputs), self.n_components, 2 * D + 1)
        scores = outputs[:, :, -1]
        # weight_k = e^score_k / (sum of all e^score): they are positive and sum to 1.
        log_weights = scores - log_sum_exp(scores)
        means = outputs[:, :, :D]
        # e^width is positive, whatever the width is.
        sds = self.floor + np.exp(outputs[:, :, D:-1])
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
        gradient = np.concatenate([by_mean, by_width, by_score[:, :, None]], axis=2)
        return -log_p.mean(), gradient.reshape(outputs.shape) / len(outputs)

    def components(self, x, actions):
        """Log weights (N, K), means and sds (N, K, D) of (R, S'), in the units of the data."""
        if self.network is None:
            raise ValueError("this MixtureModel has seen no data: call fit first")
        x, _, inputs = check_inputs(self, x, actions)
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
    P, R = np.asarray(P), np.asarray(R)
    # Written as "not (all is right)": a NaN makes every comparison false, so it is refused too.
    if not (0 <= gamma < 1 and P.shape == R.shape + R.shape[:1] and np.isfinite(R).all()
            and P.min() >= 0 and P.sum(axis=2).max() <= 1 + 1e-6):
        raise ValueError("need gamma in [0, 1), finite R (S, A), and P (S, A, S), whose rows are "
                         "probabilities, at least 0 and together at most 1")
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

# All models are asked where the leap ends, from each cell: the action with the most to learn.
LEAPS = np.full(len(X), LEAP)
# What an expectation model should answer: E[S'|s,a] = sum_s' p(s'|s,a) x(s').
MEANS = TRUE_P[:, LEAP] @ X
# For planning, arrivals that end the episode are left out of P, as in LookupModel.P.
ONGOING_P = TRUE_P * ~TERMINAL
# V*, the values of the best plan. After an end nothing more is earned.
OPTIMAL = value_iteration(ONGOING_P, TRUE_R, GAMMA)[0] * ~TERMINAL


def distance(guess, truth):
    """The typical distance (root mean square) of guessed positions (n, 2) from the right ones."""
    return math.sqrt(((guess - truth) ** 2).sum(axis=1).mean())


def exact_errors():
    """In theory: the table's error of E[S'|s,a] for each of SIZES; the best plane's error."""
    # Var(S') = E|S'|^2 - |E S'|^2, of column and row together; its mean over the cells.
    squares = TRUE_P[:, LEAP] @ (X**2).sum(axis=1)
    variance = (squares - (MEANS**2).sum(axis=1)).mean()
    # The mean of n draws is off by sqrt(variance / n). Of N transitions, n = N / (S A) are leaps
    # from one cell.
    table = np.sqrt(variance * TRUE_R.size / np.array(SIZES))
    # With endless data least squares would see the exact means. So the best plane fits these. (It
    # is a model of one action, number 0, and we do not look at its rewards.)
    zeros = np.zeros(len(X))
    best = LinearModel(2, 1).fit(X, zeros, zeros, MEANS)
    return table, distance(best.predict(X, zeros)[1], MEANS)


# %% What the experiments and panels below share

def repeat(experiment, n_runs, seed):
    """The arrays that experiment(run_seed) returns, with a leading axis of runs."""
    # NumPy takes several numbers as one seed: here the run's number makes the difference.
    return np.array([experiment([seed, run]) for run in range(n_runs)])


def fit_all(n, seed, cells=range(len(X)), n_members=1):
    """Table, linear model and network, all fitted to the same n transitions."""
    # Here we ask where the walker is, also after the end: so the models are not told of ends.
    states, actions, rewards, next_states, _ = collect(n, seed, cells)
    table = LookupModel(*TRUE_R.shape).fit(states, actions, rewards, next_states)
    data = X[states], actions, rewards, X[next_states]
    linear = LinearModel(2, len(MOVES)).fit(*data)
    # For so small a world, a small network and a short fit are enough. The defaults, which suit
    # Gymnasium's Pendulum, take 8 times as long.
    network = NeuralModel(2, len(MOVES), hidden=32, n_members=n_members, seed=seed)
    return table, linear, network.fit(*data, n_steps=500, batch_size=64)


def errors_ahead(n, seed, n_leaps):
    """Errors of E[S_k] after k leaps (3, n_leaps): table, linear model, network, from all cells.

    Each model is fitted to n transitions. From the second leap on, it is fed with what it
    predicted itself.
    """
    table, linear, network = fit_all(n, seed)
    # The probability of each cell, one row for each cell of departure: at first one is there.
    truth = guess = np.eye(len(X))
    x_linear = x_network = X
    errors = []
    for _ in range(n_leaps):
        truth = truth @ TRUE_P[:, LEAP]
        guess = guess @ table.P[:, LEAP]
        # These two know expected positions only. Such a position is soon in no cell's middle, and
        # perhaps out of the grid: nothing like it was in the data.
        _, x_linear = linear.predict(x_linear, LEAPS)
        _, x_network = network.predict(x_network, LEAPS)
        errors.append([distance(x, truth @ X) for x in [guess @ X, x_linear, x_network]])
    return np.transpose(errors)


def draw_bands(ax, x, runs, names):
    """Curves of runs (n_runs, curves, len(x)): their mean, and a band in which the mean of endless
    runs would be."""
    for i, name in enumerate(names):
        color, style = LOOKS[i]
        mean = runs[:, i].mean(axis=0)
        # The mean of n runs is off by about their spread / sqrt(n), in 95 % by less than twice
        # that.
        error = runs[:, i].std(axis=0) / math.sqrt(len(runs))
        ax.fill_between(x, mean - 2 * error, mean + 2 * error, color=color, alpha=0.2)
        ax.plot(x, mean, style, color=color, label=name)
    ax.legend()


# %% Slides "How to build a model?" (I), (II): the world that the models shall learn

def draw_world(ax):
    ax.imshow(ARRIVAL.reshape(len(GRID), -1), cmap="coolwarm_r", alpha=0.5)
    for (x, y), letter in zip(X, LETTERS):
        ax.text(x, y, letter, ha="center", va="center")
    for dx, dy in MOVES[LEAP]:
        ax.arrow(*X[START], dx, dy, width=0.05, length_includes_head=True)
    ax.set(title="from S a leap (arrows) lands above\nor below the pit P, never in it",
           xlabel="column (the wind blows to the left)", ylabel="row")


# %% Slide "How to build a model? (III)": what do the models converge to?

def convergence(seed):
    """Errors of E[S'|s,a] (3, sizes) of table, linear model and network."""
    return np.transpose([errors_ahead(n, seed, 1)[:, 0] for n in SIZES])


def draw_convergence(ax, errors):
    table, best_plane = exact_errors()
    ax.plot(SIZES, table, color="grey")
    ax.axhline(best_plane, color="grey")
    draw_bands(ax, SIZES, errors, ["table", "linear", "network"])
    ax.set(xscale="log", yscale="log", xlabel="transitions N in D (grey: exact answers)",
           ylabel="error of E[S' | s, a] (cells)",
           title="with data the table finds E[S' | s, a],\nthe linear model keeps its bias")


# %% Slide "Models can be stochastic too": a leap over the pit

def leap_samples(seed):
    """The row of S' after a leap from S (3, 400): in the world, of a Gaussian, of a mixture."""
    rng = np.random.default_rng(seed)
    states, _, rewards, next_states, _ = collect(5000, rng, actions=[LEAP])
    # The walker stands near the middle of a cell, not in it: a density of whole numbers would be
    # nothing but needles. (The table, which knows cells by their numbers, has no such trouble.)
    x_next = rng.normal(X[next_states], 0.15)
    # 400 draws out of those transitions that began in S: what the world does there.
    from_start = rng.choice(np.flatnonzero(states == START), 400)
    rows = [x_next[from_start, 1]]
    for n_components in [1, 5]:
        model = MixtureModel(2, 1, n_components, seed=seed)
        model.fit(X[states], np.zeros(5000), rewards, x_next, n_steps=1000)
        _, samples = model.sample(X[states[from_start]], np.zeros(400), rng)
        rows.append(samples[:, 1])
    return np.array(rows)


def values_of_the_leap():
    """E[V*(S')] and V*(E[S']) after a leap from S."""
    # For a linear v(x) = w . x the two are equal, E[w . S'] = w . E[S']: then to know E[S'] is
    # enough. But V* is no plane: it is high beside the pit, and 0 in it, where all is over. And
    # E[S'] = (3.7, 2) is the pit. (V* knows whole cells only, so we look up the nearest one.)
    nearest = np.abs(X - MEANS[START]).sum(axis=1).argmin()
    return TRUE_P[START, LEAP] @ OPTIMAL, OPTIMAL[nearest]


def draw_leap(ax, rows):
    # One column of points for each; spread out sideways, so that they do not hide each other.
    sideways = np.linspace(-0.3, 0.3, rows.shape[2])[:, None]
    ax.plot(range(3) + sideways, rows[0].T, ".", markersize=3)
    ax.axhline(MEANS[START, 1], color="grey")
    ax.set_xticks(range(3), ["the world", "Gaussian", "mixture"])
    # Row 0 is at the top, as in the grid.
    ax.invert_yaxis()
    value, value_of_mean = values_of_the_leap()
    ax.set(ylabel="row of S'", xlabel=f"line: row of E[S'], which is the pit\n"
           f"E[V*(S')] = {value:.2f}, but V*(E[S']) = {value_of_mean:.2f}",
           title="after the leap: a mixture knows\nboth landings, a Gaussian does not")


# %% Slides "Examples of planning?" 1. and "Challenges of learned models"

def plan_on_the_table(seed):
    """Value of the start (2, sizes): as the model promises, and as the plan achieves."""
    values = []
    s = np.arange(len(X))
    for n in SIZES:
        model = LookupModel(*TRUE_R.shape).fit(*collect(n, seed))
        # V is what the model promises for its best plan.
        V, Q = value_iteration(model.P, model.R, GAMMA)
        plan = Q.argmax(axis=1)
        # Now the plan is carried out in the world: (S, 1, S), only one action in each state. With
        # nothing to choose, value iteration finds what the plan is worth.
        P, R = ONGOING_P[s, plan], TRUE_R[s, plan]
        achieved, _ = value_iteration(P[:, None], R[:, None], GAMMA)
        values.append([V[START], achieved[START]])
    return np.transpose(values)


def draw_plan(ax, values):
    ax.axhline(OPTIMAL[START], color="grey", label=f"exact: V*(S) = {OPTIMAL[START]:.3f}")
    draw_bands(ax, SIZES, values, ["promised by the model", "achieved in the world"])
    ax.set(xscale="log", xlabel="transitions N in D", ylabel="value of the start S",
           title="planning on a table of few data\npromises more than it achieves")


def errors_compound(seed):
    """Errors of E[S_k] (3, k): a fair model, asked further and further ahead."""
    return errors_ahead(N_SOME, seed, N_AHEAD)


def draw_compound(ax, errors):
    draw_bands(ax, range(1, N_AHEAD + 1), errors, ["table", "linear", "network"])
    ax.set(xlabel="leaps ahead k", ylabel="error of E[S_k] (cells)",
           title="errors compound in positions,\nless in a table's probabilities")


# %% Slide "Why Model-Based RL?": the uncertainty of a model

def what_it_knows(seed):
    """Disagreement of five networks, and their true error (2, columns)."""
    # Data only from the columns up to S.
    seen = np.flatnonzero(X[:, 0] <= X[START, 0])
    _, _, network = fit_all(N_SOME, seed, seen, n_members=5)
    spread = network.spread(X, LEAPS)
    error = np.linalg.norm(network.predict(X, LEAPS)[1] - MEANS, axis=1)
    # From a number for each cell to the mean of each column of the grid.
    return np.array([spread, error]).reshape(2, len(GRID), -1).mean(axis=1)


def draw_known(ax, known):
    draw_bands(ax, range(len(GRID[0])), known,
               ["disagreement (sds of S' - S)", "true error (cells)"])
    ax.set(xlabel=f"column (data: 0 to {X[START, 0]})", ylabel="mean over the rows",
           title="where five networks saw no data,\nthey disagree, and err")


# %% The run: what is printed, and main

def row(what, measured, compare):
    """One printed line; `compare` says what the number should be near."""
    print(f"{what:46} | {measured:8.4g} | {compare}")


def run_all(axes, n_runs, seed):
    """All experiments, panels and printed lines, in the order of the slides."""
    print(f"{'what':46} | measured | compare")
    draw_world(axes[0, 0])

    errors = repeat(convergence, n_runs, seed)
    draw_convergence(axes[0, 1], errors)
    exact, best_plane = exact_errors()
    table, linear, _ = errors.mean(axis=0)[:, -1]
    row(f"error of E[S'|s,a], N = {SIZES[-1]}: table", table, f"{exact[-1]:.4f}, exact")
    row(f"error of E[S'|s,a], N = {SIZES[-1]}: linear", linear,
        f"{best_plane:.4f}, exact: best plane")

    rows = repeat(leap_samples, n_runs, seed)
    draw_leap(axes[0, 2], rows)
    # How many of the samples are nearer to the pit's row than to any other?
    _, gaussian, mixture = (np.abs(rows - X[START, 1]) < 0.5).mean(axis=(0, 2))
    row("leap: share in the pit's row, Gaussian", gaussian, "0: nobody lands there")
    row("leap: share in the pit's row, mixture", mixture, "0, the same")

    # This takes little time, so it is run more often.
    values = repeat(plan_on_the_table, 10 * n_runs, seed)
    draw_plan(axes[1, 0], values)
    promised, achieved = values.mean(axis=0)[:, 1]
    row(f"value of S, N = {SIZES[1]}: promised", promised, "above what is achieved")
    row(f"value of S, N = {SIZES[1]}: achieved", achieved,
        f"at most {OPTIMAL[START]:.4f}, exact: V*")

    ahead = repeat(errors_compound, n_runs, seed)
    draw_compound(axes[1, 1], ahead)
    network = ahead.mean(axis=0)[2]
    row(f"network: error {N_AHEAD} leaps ahead", network[-1],
        f"far above {network[0]:.4f}, one leap ahead")

    known = repeat(what_it_knows, n_runs, seed)
    draw_known(axes[1, 2], known)
    disagreement = known.mean(axis=0)[0]
    row("disagreement in the last column", disagreement[-1],
        f"far above {disagreement[0]:.4f}, in the first")


def main():
    # Without SUPPRESS an error message would begin with a list of all options.
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], usage=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=4, help="independent runs (default 4)")
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
