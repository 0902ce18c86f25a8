"""Build a model of the world from experience; see what an expectation is good for, and what not.

The slides, and where they are in this file
    How to build a model? (I), (II)    collect (the data D), squared_error
    How to build a model? (III)        LookupModel, LinearModel, NeuralModel; convergence
    Models can be stochastic too       MixtureModel; leap_samples
    Examples of planning? 1.           value_iteration; plan_on_the_table
    Challenges of learned models       plan_on_the_table, errors_of_leaps
    Why Model-Based RL? uncertainty    NeuralModel.spread; what_it_knows
The equations (R^, S'^, p^ are what a model says; on most slides they have hats)
    model          R^, S'^ ~ p^(r, s' | s, a): what follows when a is done in s
    expectation    only the means, E[R | s, a] and E[S' | s, a]. To learn them, minimize the mean
                   squared error
    stochastic     samples: R^, S'^ ~ p^(r, s' | s, a, epsilon); epsilon are random numbers. To
                   learn, make the data as probable as possible (maximum likelihood): minimize the
                   mean of -log p^(r, s' | s, a)
    planning       V(s) <- max_a sum_{s', r} p^(s', r | s, a) [r + gamma V(s')]
                   (the slide averages over the actions of a policy; we take the best action)
Run it: python expectation_model.py (10 seconds). What you will see, and why
    The world is a small grid with a pit before the goal. One action is a leap, two columns to the
    right. A coin decides whether it ends one row higher or lower (the border stops it).
    With more data a table comes as close to E[S' | s, a] as you like. A linear model does not:
    near the border leaps are cut short, and no linear function is right there and elsewhere.
    With few data the network is better than the table, as it also learns from neighbouring cells.
    A leap from the start lands above or below the pit. Its expectation is the pit itself, where it
    never lands. A mixture of Gaussians (chance chooses one of them, and then it draws) has its
    samples where leaps do land.
    A plan made with few data promises more, on average, than it achieves: it picks what looks good
    by luck.
    A model that is fed with its own predictions goes astray: errors compound. (The table errs
    least: it passes on a probability for each cell, not just one position.)
    Networks that learned from the same data agree where there were data, and disagree elsewhere.
Try, after reading: change one line, run again, and answer
    In MixtureModel.learn: size=1 in place of size=K.  What if all components start alike?
    In plan_on_the_table: .fit(*collect(n, seed)[:4]).  What if the table is not told about ends?
    N_GOOD = 25600, in place of 1600.  Whose errors stay small, with all these data?
Notation ("Needs f, g" in a docstring: whoever copies the function must copy f and g, too)
    states, actions, next_states    s, a, s' of N transitions: whole numbers (N,)
    rewards, terminated             numbers (N,); did the episode end? True or False (N,)
    x, x_next    features of s and s': (N, d). Here d = 2, column and row of a cell
    P, R, V, Q   P[s, a, s'] a probability, R[s, a] the expected reward, V[s] and Q[s, a] values.
    S, A         in shapes: the numbers of states and actions
Left out on purpose: other ways of planning (dyna_q.py, mpc.py, rollout_search.py, mcts.py have
them); learned features and a memory of earlier states (the paper World Models has both).
References: Sutton & Barto, 2nd ed. (2018), 4.4 and 8.1. Bishop, Mixture density networks (1994).
Ha & Schmidhuber, World models (2018). Wan et al., Planning with expectation models (2019).
Lakshminarayanan et al., Deep ensembles (2017). Kingma & Ba, Adam (2015).
"""

import argparse
import sys

import matplotlib.pyplot as plt
import numpy as np

# %% Settings
# The states are the cells of a grid, numbered row by row from the top left.
N_COLUMNS, N_ROWS = 7, 5
N_STATES = N_COLUMNS * N_ROWS
START, PIT, GOAL = 16, 18, 20           # in row 2, columns 2, 4 and 6: 2 * 7 + 2 and so on
# What each action does: columns to the right, rows down (-1 is up). All outcomes of an action are
# equally likely.
MOVES = [[(0, -1)],                     # action 0: up
         [(1, 0)],                      # action 1: right
         [(0, 1)],                      # action 2: down
         [(-1, 0)],                     # action 3: left
         [(2, -1), (2, 1)]]             # action 4: the leap; a coin decides, up or down
N_ACTIONS = 5
LEAP = 4
GAMMA = 0.9                                 # the discount in planning


# %% Environment: a grid in which one can leap
# The features of a cell are its column and its row.
X = np.array([(s % N_COLUMNS, s // N_COLUMNS) for s in range(N_STATES)])
# The reward for arriving in a cell. To arrive in the pit or the goal also ends the episode.
ARRIVAL = np.zeros(N_STATES)
ARRIVAL[PIT] = -1
ARRIVAL[GOAL] = 1
# TRUE_P[s, a, s'] is the probability that action a leads from s to s'.
TRUE_P = np.zeros((N_STATES, N_ACTIONS, N_STATES))
for s in range(N_STATES):
    for a, outcomes in enumerate(MOVES):
        for right, down in outcomes:
            # No move leaves the grid: clip keeps column and row between 0 and the last one.
            column = np.clip(s % N_COLUMNS + right, 0, N_COLUMNS - 1)
            row = np.clip(s // N_COLUMNS + down, 0, N_ROWS - 1)
            TRUE_P[s, a, row * N_COLUMNS + column] += 1 / len(outcomes)
# R(s,a) = sum_s' p(s'|s,a) (reward for arriving in s'). @ sums over s': (S, A, S) @ (S,) = (S, A).
TRUE_R = TRUE_P @ ARRIVAL
# Planning adds up p(s'|s,a) V(s') over s'. After a step into pit or goal nothing more is earned,
# so these s' (the last axis) must add 0: they get probability 0. (The reward of the step itself is
# still in TRUE_R.) So the rows of actions that can lead there sum to less than 1: the missing rest
# is the probability that the episode ends.
PLANNING_P = TRUE_P.copy()
PLANNING_P[:, :, [PIT, GOAL]] = 0


# %% Algorithm: draw, and collect data
def draw_from_rows(probabilities, rng):
    """For each row of probabilities (N, n), which sum to 1, draw a column number: (N,). rng is a
    Generator."""
    # The plain way, rng.choice(n, p=row) for each row, would be slow. Example: the running sums of
    # .2 .5 .3 are .2 .7 1. Draw u, uniform in [0, 1). Below .2 it gives column 0, from .2 to .7
    # column 1 (with probability .5), from .7 on column 2: the first column with a sum above u. For
    # u = .4, u < sums is False True True.
    sums = probabilities.cumsum(axis=1)
    # Rounding may leave the last sum below 1. For a u above it, argmax would find no True, and
    # give column 0.
    sums[:, -1] = 1
    u = rng.random((len(sums), 1))                      # one number for each row
    return (u < sums).argmax(axis=1)                    # argmax finds the first True


def collect(n, rng, cells=range(N_STATES), actions=range(N_ACTIONS)):
    """The slide's data set D: states, actions, rewards, next_states, terminated, each (n,). rng: a
    Generator or a seed."""
    rng = np.random.default_rng(rng)        # turns a seed into a Generator, keeps a Generator
    # On the slide, D comes from episodes. Here each transition begins in a random cell, so that
    # the models see all `cells` about equally often. (Even pit and goal: errors_of_leaps, below,
    # asks about leaps from all cells.)
    states = rng.choice(cells, n)
    actions = rng.choice(actions, n)
    next_states = draw_from_rows(TRUE_P[states, actions], rng)      # from rows (n, S)
    rewards = ARRIVAL[next_states]
    # The last array is terminated: in this world, an arrival with a reward ends the episode.
    return states, actions, rewards, next_states, rewards != 0


def features(data):
    """The data of collect as x, actions, rewards, x_next."""
    # To keep it simple, models that use features do not learn where episodes end.
    states, actions, rewards, next_states, _ = data
    return X[states], actions, rewards, X[next_states]


# %% Algorithm: checks, and a lookup table
def checked(name, values, shape, below=None):
    """Gives `values` as an array. ValueError if it has another shape, no rows, infinity or NaN. If
    `below` is given, they must be whole numbers from 0 to below - 1."""
    # Without this, NumPy would silently use one reward (1,) for all transitions, and take state -1
    # for the last state.
    array = np.asarray(values, float)
    if array.shape != shape or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, have the shape {shape}, and at least one row")
    if below is None:
        return array
    if not np.isin(array, range(below)).all():
        raise ValueError(f"{name} must be whole numbers from 0 to {below - 1}")
    return array.astype(int)


class LookupModel:
    """A table of counts N(s, a, s'): slide "How to build a model? (III)".

    fit      adds N transitions to the counts; all arguments are (N,). terminated: did the episode
             end? (By default, never)
    .P, .R   after fit: probabilities (S, A, S), expected rewards (S, A), for value_iteration. P
             leaves out the outcomes that end the episode: if it ends with probability 0.1, the row
             of P sums to 0.9
    predict  expected rewards (N,), and the rows of P (N, S). If fit was not told about ends (so
             that nothing is left out), these rows @ the features of all states are E[S']
    sample   rewards (N,), next_states (N,) whole numbers, terminated (N,) True or False. A reward
             is the mean of those seen with the same s, a, s' and terminated. rng: a Generator or a
             seed

    For a pair (s, a) never seen, the model says: s' = s, reward 0. ValueError for no data, other
    shapes, numbers out of range. Needs checked, draw_from_rows.
    >>> model = LookupModel(n_states=2, n_actions=1)
    >>> model = model.fit(states=[0, 0], actions=[0, 0], rewards=[4, 0], next_states=[1, 0])
    >>> print(model.R[0, 0], model.P[0, 0])
    2.0 [0.5 0.5]
    """

    def __init__(self, n_states, n_actions):
        self.n_states = n_states
        self.n_actions = n_actions
        # counts[s, a, o] is N(s, a, s'), split into 2S outcomes o: for o = 0 to S - 1 the episode
        # goes on in s' = o, for o = S to 2S - 1 it ends in s' = o - S. (If S = 4, o = 2 means: it
        # goes on in s' = 2; o = 6: it ends in s' = 2.)
        self.counts = np.zeros((n_states, n_actions, 2 * n_states))
        self.reward_sums = 0 * self.counts         # zeros

    def fit(self, states, actions, rewards, next_states, terminated=None):
        states, actions = self.check_pairs(states, actions)
        rewards = checked("rewards", rewards, states.shape)
        next_states = checked("next_states", next_states, states.shape, self.n_states)
        if terminated is None:
            terminated = 0 * states
        terminated = checked("terminated", terminated, states.shape, 2)
        # For each transition, its place in counts: three arrays (N,), one for each axis.
        places = states, actions, next_states + self.n_states * terminated
        # counts[places] += 1 would count a transition that is in the data three times only once.
        # np.add.at counts all three.
        np.add.at(self.counts, places, 1)
        np.add.at(self.reward_sums, places, rewards)
        # E^[R|s,a] = (sum of the rewards seen) / N(s,a)      p^(s'|s,a) = N(s,a,s') / N(s,a)
        seen = self.counts.sum(axis=2)                          # N(s,a)
        n = np.maximum(seen, 1)                                 # prevents 0/0
        self.R = self.reward_sums.sum(axis=2) / n
        self.outcome_P = self.counts / n[:, :, None]            # (S, A, 2S) / (S, A, 1)
        # A pair never seen needs an answer, too: s' = s and no reward, as if one waited.
        # (argwhere lists these pairs.)
        for s, a in np.argwhere(seen == 0):
            self.outcome_P[s, a, s] = 1
        # P leaves out the outcomes that end the episode: nothing is earned after them, so in
        # planning they must add nothing to sum_s' p(s'|s,a) V(s').
        self.P = self.outcome_P[:, :, :self.n_states]
        return self

    def check_pairs(self, states, actions):
        # np.size, not len: for a single number, len is a TypeError. Its size is 1, but its shape
        # is not (1,): so checked refuses it, with a ValueError.
        N = np.size(states)
        states = checked("states", states, (N,), self.n_states)
        return states, checked("actions", actions, (N,), self.n_actions)

    def predict(self, states, actions):
        states, actions = self.check_pairs(states, actions)
        return self.R[states, actions], self.P[states, actions]

    def sample(self, states, actions, rng):
        states, actions = self.check_pairs(states, actions)
        outcomes = draw_from_rows(self.outcome_P[states, actions], np.random.default_rng(rng))
        # The mean of the rewards seen with this outcome. (A pair never seen gets 0 / 1 = 0.)
        places = states, actions, outcomes
        rewards = self.reward_sums[places] / np.maximum(self.counts[places], 1)
        # % gives s' for both kinds of outcome: if S = 4, 2 % 4 and 6 % 4 are both 2.
        return rewards, outcomes % self.n_states, outcomes >= self.n_states


# %% Algorithm: a linear model, and what all models of features have in common
class FeatureModel:
    """What the next three models share. They do not learn where episodes end. Needs checked.

    inputs  x and actions as one array of N rows, made by the method encode
    y       (N, 1+d): the reward, and the change of each feature
    Each model below adds two methods, see LinearModel: fit calls learn(inputs, y, ...), which
    learns y from inputs and returns its weights or networks, kept as self.learned; predict calls
    expected(inputs), which returns the expected y.
    """

    def __init__(self, n_features, n_actions):
        self.n_features = n_features
        self.n_actions = n_actions

    def fit(self, x, actions, rewards, x_next, **settings):
        x, inputs = self.prepare(x, actions)
        rewards = checked("rewards", rewards, (len(x),))
        x_next = checked("x_next", x_next, x.shape)
        # y has the change S' - S, not S': so a network need not learn to repeat its input.
        y = np.column_stack([rewards, x_next - x])
        self.learned = self.learn(inputs, y, **settings)
        return self

    def predict(self, x, actions):
        x, inputs = self.prepare(x, actions)
        y = self.expected(inputs)
        return y[:, 0], x + y[:, 1:]            # S' = S + change

    def prepare(self, x, actions):
        """x (N, d) as an array, and inputs."""
        N = np.size(actions)
        actions = checked("actions", actions, (N,), self.n_actions)
        x = checked("x", x, (N, self.n_features))
        return x, self.encode(x, actions)

    def encode(self, x, actions):
        """(N, d+A): x, and a column for each action: 1 if it was taken, else 0."""
        # Row a of np.eye is 1 in column a, else 0. (A single column with the action's number would
        # be harder to learn from, because action 2 is not twice action 1.)
        return np.hstack([x, np.eye(self.n_actions)[actions]])


class LinearModel(FeatureModel):
    """Reward and next features as linear functions of the features, with weights for each action.

    Slide "How to build a model? (III)". Shapes: x, x_next (N, d), actions (N,), rewards (N,).
    fit      least squares, from scratch each time
    predict  expected rewards (N,), expected next features (N, d)
    Continuous actions go in as further features, with n_actions=1. Example: x has the columns
    angle, speed, force; all `actions` are 0. x_next must have the shape of x: next angle, next
    speed, and a third column, for example the same force. (Ignore what is predicted for it. To
    predict a second step, put the force of that step in its place.)
    An action never tried: x_next = x, reward 0. ValueError for no data, other shapes, numbers out
    of range. Needs FeatureModel, checked.
    One feature, one action, x_next = 2 x + 1:
    >>> model = LinearModel(n_features=1, n_actions=1)
    >>> model = model.fit(x=[[0], [1], [2]], actions=[0, 0, 0], rewards=[5, 5, 5],
    ...                   x_next=[[1], [3], [5]])
    >>> rewards, x_next = model.predict([[10]], [0])
    >>> print(rewards.round(6), x_next.round(6))
    [5.] [[21.]]
    """

    def encode(self, x, actions):
        """In place of FeatureModel's: (N, A (d+1)), a block of columns for each action, so that
        each has its own weights. The block of the action taken has x and a 1, the others have
        zeros. Example: there are two actions, action 1 was taken, and x = 7. The row is
        0 0 7 1."""
        N = len(x)
        blocks = np.zeros((N, self.n_actions, self.n_features + 1))
        # In row i, block actions[i] gets x[i] and a 1: both sides are (N, d+1). (The weight of the
        # 1 is the intercept.)
        blocks[np.arange(N), actions] = np.column_stack([x, np.ones(N)])
        return blocks.reshape(N, -1)

    def learn(self, inputs, y):
        # Least squares: w = argmin sum_i (inputs_i . w - y_i)^2. Each column of y has its own w:
        # reward and transition are separate functions, as on the slide. lstsq returns w first.
        # (An action never tried has only zeros in its columns, so there any w fits. Of all w that
        # fit equally well, lstsq takes the one with the smallest sum of squares: so these weights
        # are 0. Older NumPy warns without rcond.)
        # Why is the result an expectation? Take the rewards 0, 0, 1. The guess g that makes
        # (g-0)^2 + (g-0)^2 + (g-1)^2 smallest is their mean, 1/3. With more data such a mean comes
        # near E[R|s,a]. But a linear function of two features is a plane, and the means of all
        # cells need not lie on a plane. Their distance from the nearest plane is the bias of the
        # linear model.
        return np.linalg.lstsq(inputs, y, rcond=None)[0]

    def expected(self, inputs):
        return inputs @ self.learned


# %% Algorithm: a small neural network
def mean_and_scale(data):
    """Mean and standard deviation of each column of data (N, d): two arrays (d,)."""
    mean = data.mean(axis=0)
    scale = data.std(axis=0)
    # A column that never changes has scale 0 or, by rounding, a tiny part of its mean, less than
    # 1e-10 of it. (The std of a thousand 0.1 is 1e-15, not 0.) Dividing by that would give NaN or
    # nonsense: such a scale becomes 1.
    scale[scale <= 1e-10 * abs(mean)] = 1
    return mean, scale


def squared_error(outputs, targets):
    """Slide "How to build a model? (II)": the mean squared error, and its derivative."""
    error = outputs - targets
    return (error**2).mean(), 2 * error / error.size        # a mean over error.size numbers


class Network:
    """A network with two hidden layers of max(z, 0) (ReLU), trained by Adam on any loss.

    n_in, hidden, n_out    numbers of inputs, of units in each hidden layer, and of outputs
    fit                    learns from x (N, n_in) and y (N, D), in small batches of B rows.
                           loss(outputs (B, n_out), standardised targets (B, D)) is a function,
                           such as squared_error above. It returns the mean loss, and its
                           derivatives with respect to the outputs (B, n_out). (squared_error
                           needs an output for each of the D targets; a mixture needs more.)
    rng is a Generator. Needs mean_and_scale.
    >>> x = np.linspace(-1, 1, 200)[:, None]
    >>> network = Network(1, 32, 1, np.random.default_rng(0))
    >>> network = network.fit(x, x**2, squared_error, n_steps=500)
    >>> print(np.round(network.predict(np.array([[0.7], [0.9]])), 1).tolist())
    [[0.5], [0.8]]
    """

    def __init__(self, n_in, hidden, n_out, rng):
        # The weights are random, because units that start alike get the same gradients, and stay
        # alike. Their size is sqrt(2/n) in a layer of n inputs. Why? Of these, max(z, 0) has made
        # about half 0. A sum of n/2 random numbers (of mean 0) is about sqrt(n/2) times as large
        # as one of them, because variances add up. So with this size, sums neither grow nor shrink
        # from layer to layer. (Only in layer 1, where the inputs are not half 0, they are a bit
        # larger.)
        self.rng = rng
        self.weights = []                                   # W1, b1, W2, b2, W3, b3
        for n_from, n_to in [(n_in, hidden), (hidden, hidden), (hidden, n_out)]:
            W = rng.normal(0, (2 / n_from)**0.5, (n_from, n_to))
            self.weights += [W, np.zeros(n_to)]

    def forward(self, inputs):
        """Both hidden layers (B, hidden), and the outputs (B, n_out)."""
        W1, b1, W2, b2, W3, b3 = self.weights
        h1 = np.maximum(inputs @ W1 + b1, 0)
        h2 = np.maximum(h1 @ W2 + b2, 0)
        return h1, h2, h2 @ W3 + b3

    def gradient(self, inputs, targets, loss):
        """The derivatives d loss / dw of the mean loss: a list like self.weights."""
        W1, b1, W2, b2, W3, b3 = self.weights
        h1, h2, outputs = self.forward(inputs)
        # Backpropagation. A unit's delta is the derivative of the loss by the sum z that goes into
        # this unit. The function loss returns the loss (not needed here) and the outputs' deltas.
        _, delta3 = loss(outputs, targets)                  # (B, n_out)
        # Chain rule: unit j of layer 2 acts on output k through the weight W3[j, k]. So, in row n,
        # its delta is the sum over k of delta3[n, k] W3[j, k]: that is delta3 @ W3.T. max(z, 0)
        # passes it on if z > 0, and blocks it otherwise.
        delta2 = (delta3 @ W3.T) * (h2 > 0)                 # (B, hidden)
        delta1 = (delta2 @ W2.T) * (h1 > 0)                 # (B, hidden)
        # The derivative by a weight is the weight's input times the delta of the unit it leads to,
        # summed over the batch: entry [i, j] of h1.T @ delta2 is the sum over n of h1[n, i] times
        # delta2[n, j]. The input of a bias is always 1.
        return [inputs.T @ delta1, delta1.sum(axis=0),
                h1.T @ delta2, delta2.sum(axis=0),
                h2.T @ delta3, delta3.sum(axis=0)]

    def fit(self, x, y, loss, n_steps=2000, batch_size=128, learning_rate=5e-3):
        # Standardise. Else a feature of size 100 would drown one of size 0.1. (n_steps, batch_size
        # and learning_rate were found by trying.)
        self.x_mean, self.x_scale = mean_and_scale(x)
        self.y_mean, self.y_scale = mean_and_scale(y)
        inputs = (x - self.x_mean) / self.x_scale
        targets = (y - self.y_mean) / self.y_scale
        # Adam is gradient descent with two running means for each weight: of the gradient g,
        # because a single g is partly luck, and of g^2, to know the usual size of g.
        g_mean = [0 * w for w in self.weights]              # zeros
        g2_mean = [0 * w for w in g_mean]
        for t in range(1, n_steps + 1):
            # The steps shrink to 0, and with them the noise that comes from drawing batches.
            rate = learning_rate * (n_steps + 1 - t) / n_steps
            # The gradient of a few rows, drawn at random, is right on average, and cheap.
            batch = self.rng.integers(len(inputs), size=batch_size)
            gradient = self.gradient(inputs[batch], targets[batch], loss)
            for i, g in enumerate(gradient):
                # g_mean moves a tenth of the way to each new g, and so is a mean of about the last
                # 10; g2_mean moves a thousandth, and is a mean of about the last 1000. (These are
                # the numbers that most people take.)
                g_mean[i] += 0.1 * (g - g_mean[i])
                g2_mean[i] += 0.001 * (g**2 - g2_mean[i])
                # Both begin at 0, so at first they are too small. If g is always 1, the gap from
                # g_mean to 1 shrinks by a tenth each time: 0.9, 0.81, ..., 0.9^t. So g_mean is
                # 1 - 0.9^t, and g2_mean is 1 - 0.999^t: we divide by these.
                mean = g_mean[i] / (1 - 0.9**t)
                size = np.sqrt(g2_mean[i] / (1 - 0.999**t))                 # the usual size of g
                # Divided by the size, only the agreement of the gradients counts: if g is 5 each
                # time, each step is `rate`; if it is 5, -5, 5, -5, ..., the mean soon is near 0,
                # and the steps are small. (1e-8 prevents 0/0.)
                self.weights[i] -= rate * mean / (size + 1e-8)
        return self

    def raw_outputs(self, x):
        """The outputs (N, n_out), still standardised, as the loss gets them."""
        return self.forward((x - self.x_mean) / self.x_scale)[2]

    def predict(self, x):
        """The outputs in the units of the targets (for networks with one output per target)."""
        return self.y_mean + self.y_scale * self.raw_outputs(x)


class NeuralModel(FeatureModel):
    """A network for the reward and the next features; or an ensemble of such networks.

    Slides "How to build a model? (II)", mean squared error, and "(III)", deep neural networks.
    n_members > 1 is an ensemble. seed is what NumPy's default_rng takes, for example a number.
    fit      learns the change S' - S by Adam, from scratch each time; settings: n_steps,
             batch_size, learning_rate
    predict  expected rewards (N,), expected next features (N, d): the mean of the members
    spread   how much the members disagree about S' (N,): for each feature, the standard deviation
             of their answers, divided by the one of S' - S in the data; then the mean over
             the features. (They may agree, and all be wrong: it is no bound on the error)
    Shapes, continuous actions and ValueErrors are as in LinearModel; also ValueError for the
    spread of one member. Needs FeatureModel, Network, mean_and_scale, squared_error, checked.
    One feature, one action, the reward is x, x_next = x + x^2:
    >>> x = np.linspace(-1, 1, 200)[:, None]
    >>> model = NeuralModel(n_features=1, n_actions=1)
    >>> model = model.fit(x, actions=np.zeros(200), rewards=x[:, 0], x_next=x + x**2, n_steps=500)
    >>> rewards, x_next = model.predict([[0.4]], [0])
    >>> print(rewards.round(1), x_next.round(1))
    [0.4] [[0.6]]
    """

    def __init__(self, n_features, n_actions, hidden=64, n_members=1, seed=0):
        super().__init__(n_features, n_actions)
        self.hidden = hidden
        self.n_members = n_members
        self.seed = seed

    def learn(self, inputs, y, **settings):
        # The members learn from the same data, but get different random numbers for their first
        # weights and batches. Where there are data, the data make them agree. Far from the data
        # nothing does. (One network gives reward and transition: on the slide, two functions.)
        rng = np.random.default_rng(self.seed)
        members = []
        for _ in range(self.n_members):
            network = Network(inputs.shape[1], self.hidden, y.shape[1], rng)
            members.append(network.fit(inputs, y, squared_error, **settings))
        return members

    def expected(self, inputs):
        return np.mean([member.predict(inputs) for member in self.learned], axis=0)

    def spread(self, x, actions):
        _, inputs = self.prepare(x, actions)
        if self.n_members < 2:
            raise ValueError("one network cannot disagree: spread needs n_members of at least 2")
        # raw_outputs are standardised (see Network.fit), so they are divided by the standard
        # deviation of S' - S already. [:, 1:] leaves out column 0, the reward.
        changes = [member.raw_outputs(inputs)[:, 1:] for member in self.learned]
        # Of (members, N, d), std over the members is (N, d), and its mean over the features (N,).
        return np.std(changes, axis=0).mean(axis=1)


# %% Algorithm: the same network with another loss becomes a stochastic model
def log_sum_exp(terms):
    """log(sum of e^term) over the K terms of each row: (N, K) becomes (N, 1)."""
    # np.log(np.exp(terms).sum()) goes wrong: e^-1000 is 0 for a computer, and log 0 is -infinity.
    # logaddexp(a, b) is log(e^a + e^b), computed as a + log(1 + e^(b - a)) if a is the larger one:
    # e^(b - a) is at most 1. reduce does this for all terms of a row, one after the other.
    return np.logaddexp.reduce(terms, axis=1, keepdims=True)


def log_terms(log_weights, means, sds, y):
    """For MixtureModel: log(weight_k Normal(y; mean_k, sd_k)) (N, K), for N rows of y (N, D) and
    K components, with log_weights (N, K), means and sds (N, K, D). Also z (N, K, D), needed for
    derivatives."""
    # Normal(y) = exp(-z^2 / 2) / (sd sqrt(2 pi)); z is the distance of y from the mean, in sds. So
    # log Normal(y) = -z^2 / 2 - log(sd sqrt(2 pi)).
    z = (y[:, None] - means) / sds                      # (N, 1, D) - (N, K, D) is (N, K, D)
    # In a component the D numbers are independent: densities multiply, so logarithms add up.
    log_normals = -z**2 / 2 - np.log(sds * np.sqrt(2 * np.pi))
    return log_weights + log_normals.sum(axis=2), z


class MixtureModel(FeatureModel):
    """A mixture density network: slide "Models can be stochastic too". World Models has one, too.

        p^(r, s' | s, a) = sum_k weight_k Normal(r, s'; mean_k, sd_k)

    A network computes all weight_k, means and sds (standard deviations) from s and a. (These
    weights are not the network's weights.) n_components=1 is one Gaussian.
    fit       makes -log p^ of the data small, by Adam, from scratch; settings as in NeuralModel
    predict   expected rewards (N,), expected next features (N, d)
    sample    rewards (N,), next features (N, d), drawn together. rng is a Generator or a seed
    log_prob  natural log p^(x_next | x, actions) (N,), of x_next alone, without the reward. The
              larger it is for new data, the better the model. (Not used below)
    The smallest sd of a feature is a tenth of the standard deviation of its S' - S in the data,
    that of the reward is half of its standard deviation there. (Of a column that never changes,
    0.1 and 0.5.) So samples are noisy, above all rewards. n_components: rather too many than too
    few, see leap_samples.
    Shapes, continuous actions and ValueErrors are as in LinearModel, seed as in NeuralModel. Needs
    FeatureModel, Network, mean_and_scale, log_terms, log_sum_exp, draw_from_rows, checked.
    Here x is always 0, and x_next is 1 or 2; so is the reward:
    >>> x, actions = np.zeros((400, 1)), np.zeros(400)
    >>> coin = 1 + np.arange(400) % 2                   # 1 2 1 2 1 2 ...
    >>> model = MixtureModel(n_features=1, n_actions=1)
    >>> model = model.fit(x, actions, rewards=coin, x_next=coin[:, None], n_steps=500)
    >>> _, x_next = model.sample(x, actions, rng=0)
    >>> print(np.unique(x_next.round()))                # all samples are near 1 or near 2
    [1. 2.]
    """

    def __init__(self, n_features, n_actions, n_components=5, hidden=64, seed=0):
        super().__init__(n_features, n_actions)
        self.n_components = n_components
        self.hidden = hidden
        self.seed = seed
        # The smallest sds of reward and features, standardised. Without them, a component could
        # put its mean on a value that repeats, and shrink its sd to 0: its density, and log p^,
        # would grow without end. (0.5 and 0.1 were found by trying: with 0.1 for the reward, too,
        # more samples fell between the landings.)
        self.floor = np.array([0.5] + [0.1] * n_features)

    def learn(self, inputs, y, **settings):
        # Reward and S' are drawn together, so one network learns all D = 1 + d numbers. For each
        # of K components it has 2D + 1 outputs, in this order: D means, D widths (from which come
        # the sds: sd = floor + e^width) and a score (from which comes the weight, see split).
        K = self.n_components
        D = y.shape[1]
        rng = np.random.default_rng(self.seed)
        # The mean of each component starts at a random row of the data, so that they differ. The
        # sds start small, at floor + e^-2 = floor + 0.14: a wide component would cover two
        # outcomes, learn from both, and stay between them.
        mean, scale = mean_and_scale(y)
        start = np.zeros((K, 2 * D + 1))
        start[:, :D] = (y[rng.integers(len(y), size=K)] - mean) / scale     # means
        start[:, D:-1] = -2                                                 # widths
        network = Network(inputs.shape[1], self.hidden, start.size, rng)
        # At first, the outputs h2 @ W3 + b3 should be `start` for all inputs. So W3, which is
        # weights[4], becomes 0, and b3, weights[5], becomes start. (W3 does not stay 0: its
        # gradient h2.T @ delta3 is not 0, as h2 is random. So in step 1 only W3 and b3 move, and
        # from step 2 on all.)
        network.weights[4] *= 0
        network.weights[5] = start.ravel()
        return network.fit(inputs, y, self.loss, **settings)

    def split(self, outputs):
        """The network's outputs as log weights (N, K), means and sds (N, K, D)."""
        D = 1 + self.n_features
        outputs = outputs.reshape(-1, self.n_components, 2 * D + 1)
        means = outputs[:, :, :D]
        widths = outputs[:, :, D:-1]
        scores = outputs[:, :, -1]
        # weight_k = e^score_k / (sum of all e^score): they are positive and sum to 1. (This is a
        # softmax, the scores are logits.) The log of it is score_k - log(sum of all e^score).
        log_weights = scores - log_sum_exp(scores)
        return log_weights, means, self.floor + np.exp(widths)      # e^width is always positive

    def loss(self, outputs, targets):
        """The mean of -log p^(y), y being a row of targets, and its derivative by each output."""
        # Why -log p^? If a coin shows heads in 1 of 3 cases, and a model says p, the mean of
        # -log p^ is -1/3 log p - 2/3 log(1 - p). It is smallest if p is right: its derivative
        # -1/(3p) + 2/(3(1-p)) is 0 at p = 1/3.
        log_weights, means, sds = self.split(outputs)
        terms, z = log_terms(log_weights, means, sds, targets)
        log_p = log_sum_exp(terms)                                              # (N, 1)
        # p^(y) is the sum of all e^term_k. A component's share of it ("responsibility") is the
        # probability that y comes from this component (Bayes' rule). If the parts are .3 and .1,
        # the shares are .75 and .25. In logarithms, .3 / .4 is e^(log .3 - log .4).
        share = np.exp(terms - log_p)[:, :, None]                               # (N, K, 1)
        # The derivative of log(sum of e^term) by term_k is e^term_k / (sum), the share. By the
        # chain rule, with ' for the derivative by a mean or sd of component k,
        #         (-log p^)' = -share_k * term_k'.
        # So a component learns from y in proportion to its share. (Adam steps against this.)
        # (1) By a score. p^ is the sum of (weight * Normal), and weight_k is e^score_k / (sum of
        # e^score). So we have
        #         -log p^ = log(sum of e^score) - log(sum of (e^score * Normal)).
        # The derivative of the first log by score_k is e^score_k / (sum of e^score): weight_k.
        # That of the second is e^score_k Normal_k / (sum of (e^score * Normal)): share_k. The
        # result is weight_k - share_k: so a score rises while share_k is larger than weight_k.
        by_score = np.exp(log_weights)[:, :, None] - share                      # (N, K, 1)
        # (2) By a mean. term_k contains -z^2 / 2, with z = (y - mean) / sd: its derivative by the
        # mean is z / sd. So the mean is pulled towards y.
        by_mean = -share * z / sds
        # (3) By an sd. In term_k, -z^2 / 2 has the derivative z^2 / sd, and -log sd has -1 / sd:
        # together (z^2 - 1) / sd. So the sd grows if y is more than one sd away from the mean,
        # else it shrinks.
        by_sd = -share * (z**2 - 1) / sds
        # (4) By a width: sd = floor + e^width has the derivative e^width, which is sd - floor.
        by_width = by_sd * (sds - self.floor)
        # The order of the outputs is means, widths, scores. The loss is a mean over the rows, so
        # we divide by their number.
        gradient = np.concatenate([by_mean, by_width, by_score], axis=2)
        return -log_p.mean(), gradient.reshape(outputs.shape) / len(outputs)

    def components(self, inputs):
        """Log weights (N, K), means and sds (N, K, D) of y = (R, S' - S), in the data's units."""
        network = self.learned
        log_weights, means, sds = self.split(network.raw_outputs(inputs))
        return log_weights, network.y_mean + network.y_scale * means, network.y_scale * sds

    def expected(self, inputs):
        log_weights, means, _ = self.components(inputs)
        return (np.exp(log_weights)[:, :, None] * means).sum(axis=1)    # a weighted sum of means

    def sample(self, x, actions, rng):
        x, inputs = self.prepare(x, actions)
        log_weights, means, sds = self.components(inputs)
        # The slide's epsilon: it picks a component k for each row, then a point of this component.
        rng = np.random.default_rng(rng)
        k = draw_from_rows(np.exp(log_weights), rng)
        rows = np.arange(len(x))
        # means[rows, k] (N, D) takes from each row its component. (means[:, k] would take all of
        # these N components from every row.)
        y = rng.normal(means[rows, k], sds[rows, k])
        return y[:, 0], x + y[:, 1:]

    def log_prob(self, x, actions, x_next):
        x, inputs = self.prepare(x, actions)
        x_next = checked("x_next", x_next, x.shape)
        log_weights, means, sds = self.components(inputs)
        # [:, :, 1:] leaves out the reward. In a component the numbers of y are independent, so its
        # density is a product: without the reward's factor, it is the density of S' alone.
        terms, _ = log_terms(log_weights, means[:, :, 1:], sds[:, :, 1:], x_next - x)
        return log_sum_exp(terms)[:, 0]


# %% Algorithm: dynamic programming with a model
def value_iteration(P, R, gamma, tolerance=1e-8):
    """The optimal values of a model, true or learned: slide "Examples of planning?", 1.

    P (S, A, S) probabilities. If a row sums to less than 1, the missing rest is the probability
    that the episode ends. R (S, A) expected rewards, 0 <= gamma < 1 (very near 1, it takes long).
    Returns V (S,), Q (S, A), within `tolerance` (and rounding) of the optimum of this model, which
    need not be that of the world. ValueError if P, R or gamma is not like this, or tolerance is
    not above 0. Sutton & Barto, section 4.4. Action 0 pays 1 and ends the episode, action 1 pays 0
    and stays:
    >>> P = [[[0], [1]]]                # one state; action 0 leads nowhere, action 1 to it
    >>> R = [[1, 0]]
    >>> V, Q = value_iteration(P, R, gamma=0.9)
    >>> print(V.round(3), Q.round(3))
    [1.] [[1.  0.9]]
    """
    P = np.array(P)
    R = np.array(R, float)
    # V is at most max |R| / (1 - gamma), so this must be finite. (NaN is refused, too: with NaN,
    # <= and >= are False.)
    if not (0 <= gamma < 1 and tolerance > 0 and np.isfinite(R / (1 - gamma)).all()
            and R.ndim == 2 and P.shape == R.shape + R.shape[:1] and P.min() >= 0   # (S,A) + (S,)
            and P.sum(axis=2).max() <= 1.000001):           # (a bit more than 1, by rounding)
        raise ValueError(
            "need gamma in [0, 1), tolerance > 0, finite R (S, A), P (S, A, S) >= 0, row sum <= 1")
    # We start with Q = R. What may follow is worth at most max |R| (gamma + gamma^2 + ...), which
    # is less than max |R| / (1 - gamma). So Q is wrong by at most this: a bound on its error. We
    # stop when this bound is small enough.
    Q = R
    bound = abs(R).max() / (1 - gamma)
    while bound > tolerance:
        # V(s) <- max_a Q(s,a)        Q(s,a) <- R(s,a) + gamma sum_s' p(s'|s,a) V(s')
        V = Q.max(axis=1)
        Q = R + gamma * (P @ V)
        # In the new Q, the errors of V(s') are multiplied by gamma. max_a does not make them
        # larger: if all Q are off by at most 1, so is the largest. (With gamma = 0.9 and rewards
        # of at most 1, the bound is 10, 9, 8.1, ...)
        bound *= gamma
    return Q.max(axis=1), Q


# %% Exact answers
# We ask models where a leap from each cell ends, because only the leap depends on chance.
LEAPS = [LEAP] * N_STATES
LEAP_P = TRUE_P[:, LEAP]
# What an expectation model should answer: E[S'|s,a] = sum_s' p(s'|s,a) x(s').
MEANS = LEAP_P @ X
# V*, the values of the best plan.
OPTIMAL, _ = value_iteration(PLANNING_P, TRUE_R, GAMMA)
# In PLANNING_P there still are steps out of pit and goal, so value_iteration gave them values. But
# there the episode is over: V* is 0. (The reward for arriving belongs to the step before.)
OPTIMAL[ARRIVAL != 0] = 0
# The numbers N of transitions in D. Each is four times the one before, so errors that fall with
# 1/sqrt(N) halve each time.
SIZES = 100 * 4**np.arange(5)           # 100, 400, 1600, 6400, 25600


def distance(guess, truth):
    """The typical distance (root mean square) of guessed positions (n, 2) from the right ones."""
    return np.sqrt(((guess - truth)**2).sum() / len(guess))


# The table's error of E[S'|s,a] in theory: the mean of n draws is off by sqrt(variance / n). The
# variance of a random number x is E[x^2] - E[x]^2. We add those of column and row, and take the
# mean over the cells. N transitions are shared by S A = 175 pairs, so n is about N / (S A). (This
# is only a guide at N = 100 and 400, where some leaps were never seen.)
VARIANCE = (LEAP_P @ X**2 - MEANS**2).sum() / N_STATES
TABLE_ERROR = np.sqrt(VARIANCE * N_STATES * N_ACTIONS / SIZES)
# With endless data, a linear model would be the plane nearest to the exact means of all cells,
# which are drawn equally often. We get it by fitting it to these means. (Rewards do not matter.)
PLANE = LinearModel(2, N_ACTIONS).fit(X, LEAPS, TRUE_R[:, LEAP], MEANS)
PLANE_ERROR = distance(PLANE.predict(X, LEAPS)[1], MEANS)


# %% What the experiments and panels below share
COLORS = ["#0072B2", "#D55E00", "#009E73"]
STYLES = ["-", "--", ":"]
MODELS = ["table", "linear", "network"]
N_GOOD = 1600           # data for a good model: 1600 / (35 * 5), about 9 for each state and action
# A short training in small batches: enough for N_GOOD. (To save time, the function convergence
# uses it for 25,600 data, too. There the default training would halve the network's error.)
FAST = {"n_steps": 500, "batch_size": 64}


def repeat(experiment, n_runs, seed):
    """The arrays that experiment(run_seed) returns, with a leading axis of runs."""
    # Each run has another seed. (--seed 1 takes the seeds 1000, 1001, ...)
    return np.array([experiment(1000 * seed + run) for run in range(n_runs)])


def draw_curves(ax, x, runs, names, title, xlabel, ylabel):
    """Means of runs (n_runs, curves, len(x)), with bands of about two standard errors to each side
    (with 4 runs, only a rough guide)."""
    for i, name in enumerate(names):
        curve = runs[:, i]
        mean = curve.mean(axis=0)
        error = 2 * curve.std(axis=0) / len(runs)**0.5
        ax.fill_between(x, mean - error, mean + error, color=COLORS[i], alpha=0.2)
        ax.plot(x, mean, STYLES[i], color=COLORS[i], label=name)
    ax.legend()
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel)


# For two panels: convergence (one leap, different n) and compounding errors (many leaps).
def errors_of_leaps(seed, n=N_GOOD, n_leaps=20):
    """Errors of the expected position after 1 ... n_leaps leaps (3, n_leaps) of a table, a linear
    model and a network. Each learns from the same n transitions. From the second leap on, it is
    fed with its own predictions."""
    data = collect(n, seed)
    # We only ask where leaps lead, and let them go on after pit and goal. So the table is not told
    # which data ended an episode: data[:4] is without terminated.
    table = LookupModel(N_STATES, N_ACTIONS).fit(*data[:4])
    linear = LinearModel(2, N_ACTIONS).fit(*features(data))
    network = NeuralModel(2, N_ACTIONS, seed=seed).fit(*features(data), **FAST)
    # All 35 starts at once: row s of truth (35, 35) has the probabilities of where a walker from s
    # is now (np.eye: at first in s, with probability 1). guess is what the table believes. (After
    # one leap, a row of truth has 0.5 in two columns: the two landings.)
    truth = np.eye(N_STATES)
    guess = truth
    x_linear = x_network = X
    errors = []
    for _ in range(n_leaps):
        # A row of probabilities, times P, is the row of probabilities one leap later.
        truth = truth @ LEAP_P
        guess = guess @ table.P[:, LEAP]
        # The linear model and the network only give an expected position, and next time we ask
        # them as if the walker were there. For a linear f this does no harm, because f(mean of x)
        # is the mean of f(x). But the bias of the linear model is added anew in each leap. The
        # network is not linear: for it, this is one more error. And soon, positions are between
        # cells, or out of the grid, where no data were.
        _, x_linear = linear.predict(x_linear, LEAPS)
        _, x_network = network.predict(x_network, LEAPS)
        # Probabilities @ X are expected positions (35, 2), those of the world and of the table.
        errors.append([distance(x, truth @ X) for x in [guess @ X, x_linear, x_network]])
    return np.transpose(errors)


# %% Slides "How to build a model?" (I), (II): the world that the models should learn
def draw_world(ax):
    ax.imshow(ARRIVAL.reshape(N_ROWS, N_COLUMNS), cmap="coolwarm_r", alpha=0.5)
    for s, name in [(START, "start"), (PIT, "pit"), (GOAL, "goal")]:
        ax.annotate(name, X[s], ha="right")
    # flatnonzero lists the cells with p > 0. annotate(text, end of the arrow, its start).
    for landing in np.flatnonzero(LEAP_P[START]):
        ax.annotate("", X[landing], X[START], arrowprops={"arrowstyle": "->"})
    ax.set(title="from the start a leap lands above\nor below the pit, never in it",
           xlabel="column", ylabel="row")


# %% Slide "How to build a model? (III)": what do the models converge to?
def convergence(seed):
    """Errors of E[S'|s,a] (3, sizes) of table, linear model, network."""
    # Here one leap from each cell is enough. [:, 0]: (3, 1) becomes (3,), the errors after it.
    return np.transpose([errors_of_leaps(seed, n, 1)[:, 0] for n in SIZES])


def draw_convergence(ax, errors):
    ax.loglog(SIZES, TABLE_ERROR, color="grey")
    ax.axhline(PLANE_ERROR, color="grey")
    draw_curves(ax, SIZES, errors, MODELS,
                "with data the table finds E[S' | s, a],\nthe linear model keeps its bias",
                "transitions N in D (grey: in theory)", "error of E[S' | s, a] (cells)")
    table, linear, _ = errors.mean(axis=0)[:, -1]         # means of the runs, most data
    print(f"error of E[S'|s,a], most data: table           | {table:8.4g} | "
          f"{TABLE_ERROR[-1]:.4f}, in theory")
    print(f"error of E[S'|s,a], most data: linear          | {linear:8.4g} | "
          f"{PLANE_ERROR:.4f}, exact: the best plane")


# %% Slide "Models can be stochastic too": a leap over the pit
# Is E[S'] enough to plan with? Yes if values are linear in S': then E[V*(S')] = V*(E[S']). But
# here V* is high in the cells above and below the pit, and 0 in the pit, where all is over. (The
# -1 belongs to the step into the pit.) So who plans with E[S'] takes the leap for worthless.
def leap_samples(seed):
    """The grid rows where leaps from the start land (3, 400): world, Gaussian, mixture."""
    rng = np.random.default_rng(seed)
    data = features(collect(N_GOOD, rng, actions=[LEAP]))       # only leaps
    # What the world does: 400 leaps from the start.
    x, actions, _, x_next = features(collect(400, rng, [START], [LEAP]))
    rows = [x_next[:, 1]]
    # There are two landings, but with two components both may start near the same landing. Then
    # usually none learns the other, and samples fall between. With 8 this is unlikely.
    for n_components in [1, 8]:
        model = MixtureModel(2, N_ACTIONS, n_components, seed=seed).fit(*data, **FAST)
        _, samples = model.sample(x, actions, rng)
        rows.append(samples[:, 1])
    return np.array(rows)


def draw_leap(ax, rows):
    rows = np.hstack(rows)      # side by side, (n_runs, 3, 400) becomes (3, 400 n_runs)
    # Bins from -4.5 to -3.5, -3.5 to -2.5, ..., so that a row is in the middle of its bin. (The
    # Gaussian draws rows outside of the grid, too.)
    ax.hist(rows.T, np.arange(-4.5, N_ROWS + 2), color=COLORS,
            label=["the world", "Gaussian", "mixture"])
    ax.legend()
    ax.set(title="after the leap: a mixture knows\nboth landings, a Gaussian does not",
           xlabel=f"row of S'. E[S'] is the pit, row {X[PIT, 1]}:\n"
           f"E[V*(S')] = {LEAP_P[START] @ OPTIMAL:.2f}, but V*(E[S']) = {OPTIMAL[PIT]:.2f}",
           ylabel="number of samples\n(bars in the legend's order)")
    # How many of the samples are nearer to the pit's row than to any other? (_: the world's)
    _, gaussian, mixture = (rows.round() == X[PIT, 1]).mean(axis=1)
    print(f"leap: share in the pit's row, Gaussian         | {gaussian:8.4g} | 0: never happens")
    print(f"leap: share in the pit's row, mixture          | {mixture:8.4g} | 0: never happens")


# %% Slides "Examples of planning?" 1. and "Challenges of learned models"
def plan_on_the_table(seed):
    """Value of the start (2, sizes): as the model promises, and as the plan achieves."""
    values = []
    for n in SIZES:
        model = LookupModel(N_STATES, N_ACTIONS).fit(*collect(n, seed))
        # V is what the model promises for its best plan. By luck some actions look better than
        # they are, and max_a takes those: so, on average, V is more than the plan achieves. (With
        # 100 data both are far below V*: most pairs were never seen, and seem to lead nowhere.)
        V, Q = value_iteration(model.P, model.R, GAMMA)
        plan = Q.argmax(axis=1)
        # What the plan achieves in the world: its values solve V = R + gamma P V (no max: the plan
        # has chosen). Here P (S, S) and R (S,) are those of the plan: P[s, plan] has for each s
        # the row of its action plan[s]. That is (1 - gamma P) V = R, where 1 is np.eye.
        s = np.arange(N_STATES)
        achieved = np.linalg.solve(
            np.eye(N_STATES) - GAMMA * PLANNING_P[s, plan], TRUE_R[s, plan])
        values.append([V[START], achieved[START]])
    return np.transpose(values)


def draw_plan(ax, values):
    ax.axhline(OPTIMAL[START], color="grey", label=f"exact: V*(start) = {OPTIMAL[START]:.3f}")
    ax.set_xscale("log")
    draw_curves(ax, SIZES, values, ["promised by the model", "achieved in the world"],
                "planning on a table of few data\npromises more than it achieves",
                "transitions N in D", "value of the start")
    # [:, 0, 1]: all runs, promised, the second of SIZES (400 data).
    print(f"value of the start, 400 data: promised         | {values[:, 0, 1].mean():8.4g} | "
          f"V* = {OPTIMAL[START]:.4f}, exact")
    print(f"value of the start, 400 data: achieved         | {values[:, 1, 1].mean():8.4g} | "
          f"at most V* = {OPTIMAL[START]:.4f}")


# The experiment is errors_of_leaps, above.
def draw_compound(ax, errors):
    draw_curves(ax, range(1, 21), errors, MODELS,               # 20 leaps
                "fed with their own predictions,\nmodels go astray: errors compound",
                "leaps ahead", "error of the position (cells)")
    ax.legend(loc=(0.62, 0.54))         # between the curves (shares of the panel)


# %% Slide "Why Model-Based RL?": the uncertainty of a model
def what_it_knows(seed):
    """The disagreement of five networks and their true error, means over the rows (2, columns). An
    agent could explore the cells where they disagree, or avoid them for safety."""
    # There are data only from columns 0 to 2.
    data = collect(N_GOOD, seed, cells=np.flatnonzero(X[:, 0] <= 2))
    network = NeuralModel(2, N_ACTIONS, n_members=5, seed=seed).fit(*features(data), **FAST)
    error = np.linalg.norm(network.predict(X, LEAPS)[1] - MEANS, axis=1)
    both = np.array([network.spread(X, LEAPS), error])                  # (2, 35)
    return both.reshape(2, N_ROWS, N_COLUMNS).mean(axis=1)              # mean over the rows


def draw_known(ax, known):
    # The units differ (see spread): compare where the curves rise, not how high they are.
    draw_curves(ax, range(N_COLUMNS), known, ["disagreement (spread)", "true error (cells)"],
                "far from their data, five networks\ndisagree, and err",
                "column (data: 0 to 2)", "mean over the rows")


# %% The run: all experiments, and main
def run_all(axes, n_runs, seed):
    print("what                                           | measured | compare")
    ax1, ax2, ax3, ax4, ax5, ax6 = axes.flat        # two rows of three panels
    draw_world(ax1)
    draw_convergence(ax2, repeat(convergence, n_runs, seed))
    draw_leap(ax3, repeat(leap_samples, n_runs, seed))
    draw_plan(ax4, repeat(plan_on_the_table, 10 * n_runs, seed))      # cheap, so 10 times
    draw_compound(ax5, repeat(errors_of_leaps, n_runs, seed))
    draw_known(ax6, repeat(what_it_knows, n_runs, seed))


def main():
    """Not about the lecture: reads the options, then shows the figure, or saves it."""
    # Without a screen, matplotlib chooses the backend "agg", which has no windows: we save a file.
    file = "expectation_model.png" if plt.get_backend().lower() == "agg" else None
    # usage=SUPPRESS: an error prints one line, without the list of all options before it.
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=4, help="independent runs (default 4)")
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
