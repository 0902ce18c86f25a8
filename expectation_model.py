"""Building a model from experience, what it is good for, and where an expectation is not enough.

The slides, and where they are here
    How to build a model? (I), (II)   data set D: collect; the squared error: fit_all
    How to build a model? (III)       LookupModel, LinearModel, NeuralModel
    Models can be stochastic too      MixtureModel; samples_at_the_fork, v_of_expectation
    Examples of planning? 1.          value_iteration; plan_on_model
    Challenges of learned models      k_step_error; plan_on_model
    Why Model-Based RL? uncertainty   NeuralModel.spread; where_it_knows

model          R^, S^' = p^_xi(r, s' | S, A): what comes back when A is done in S, learned from D
expectation    minimising the squared error to the labels R, S' gives S^' = E[S' | s, a]
stochastic     R^, S^' ~ p^_xi(r, s' | S, A, epsilon): minimise -log p^ instead, and draw
use            V(s) <- max_a sum_{s', r} p^(s', r | s, a) [r + gamma V(s')]: the slide's backup for
               the best policy, max_a in place of sum_a pi(a|s)

Run it: python expectation_model.py (about 15 s; --quick 5 s; --help for more). To expect,
mean +- standard error of 8 runs:
    RMSE of E[S'|s,a] with 100 and 30,000 transitions: table 0.88 and 0.04 (falling as N^-1/2),
        linear 0.43 and 0.354 (its bias: there it stays), network 0.52 and 0.22;
    the leap over the pit lands above or below it, never beside; of a Gaussian's samples 38 % fall
        between, of a mixture's 4 +- 1 %, of the table's none;
    E[v(S')] = v(E[S']) for a linear v; for V*, the leap counts 0 instead of 0.819, so one walks
        around and loses 0.048 there;
    planning on 300 transitions promises 0.64 +- 0.02 and achieves 0.38 +- 0.05, V* being 0.592;
    20 steps ahead the table is 0.014 worse than the exact distribution (1.31), the linear model and
        the network, fed with their own predictions, are 0.6 worse;
    5 networks disagree at least 3 times as much where they saw nothing (about 10 times); the
        correlation with their error is 0.89 +- 0.03;
    the linear model's value is LSTD's, and with one-hot features it is the table (to 1e-8).
The last lines printed check each of these sentences on the run you just made.

Notation
    states, actions, next_states      s, a, s': ints 0..S-1 and 0..A-1, each (N,);  rewards (N,)
    x, x_next      features of s and s': floats (N, d); here d = 2, column and row: [[2., 2.], ...]
    P, R           P[s, a, s'] probabilities (S, A, S);  R[s, a] expected reward (S, A)
    V, Q           values (S,), (S, A);  gamma: discount;  M members, K components, H hidden units

Left out on purpose: features learned by the model (Dreamer, MuZero: here the model predicts what it
is given), recurrence (World Models' M carries a memory), validation and early stopping.

Sutton & Barto, Reinforcement Learning, 2nd ed. (2018), sections 3.4 (ended episodes as states that
absorb), 4.4, 6.3, 8.1. Bishop, Mixture density networks (1994). Ha & Schmidhuber, World models
(2018). Parr et al., An analysis of linear models ... (ICML 2008). Wan et al., Planning with
expectation models (IJCAI 2019). Lakshminarayanan et al., Deep ensembles (NeurIPS 2017).
"""
# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy>=1.26", "matplotlib>=3.8"]
# ///
# SPDX-License-Identifier: MIT-0

import argparse
import math
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

# %% Settings

GRID = [".......",                  # 'S' start, 'F' in front of the fork, 'P' pit: -1, 'G' goal: 1;
        ".......",                  # both end the episode: once in, nothing moves or pays any more
        "S.F.P.G",
        ".......",
        "......."]
WIND = (0.1, 0.1, 0.1, 0.4, 0.4, 0.4, 0.4)      # P(a gust blows one cell back left), by column
MOVES = [[(0, -1)], [(1, 0)], [(0, 1)], [(-1, 0)],      # up, right, down, left, and leap:
         [(2, -1), (2, 1)]]                             # two cells on, one up or one down: a fork
LEAP, GAMMA = 4, 0.9

SIZES = (100, 300, 1000, 3000, 10000, 30000)            # transitions in D
N_SOME, N_STEPS_AHEAD = 3000, 20                        # D of the lower right panels; k ahead
SMALL = dict(hidden=32)                                 # networks for so small a world: half the
SHORT = dict(n_steps=1000, batch_size=64)               # default width, number of steps and batch

BLUE, GREEN, RED, GREY = "#0072B2", "#009E73", "#D55E00", "#666666"     # colour-blind safe


# %% Environment: a windy gridworld with a fork

def make_world():
    """P (S,A,S), R (S,A), reward of arriving in each state (S,), coordinates x (S,2), letters.

    States are numbered row by row from the top left. The step is taken, the gust blows, the border
    holds: S' = clip(x(s) + move + gust).
    """
    text, width, height = "".join(GRID), len(GRID[0]), len(GRID)
    S, A = len(text), len(MOVES)
    x = np.array([(s % width, s // width) for s in range(S)], dtype=float)
    cells = {c: text.index(c) for c in "SFPG"}
    P = np.zeros((S, A, S))
    for s, (column, row) in enumerate(x.astype(int)):
        for a, outcomes in enumerate(MOVES):
            for dx, dy in outcomes:
                for gust, p in ((0, 1 - WIND[column]), (-1, WIND[column])):
                    i = min(max(column + dx + gust, 0), width - 1)
                    j = min(max(row + dy, 0), height - 1)
                    P[s, a, j * width + i] += p / len(outcomes)
    arrival = np.zeros(S)
    arrival[cells["P"]], arrival[cells["G"]] = -1, 1
    R = P @ arrival
    for s in (cells["P"], cells["G"]):              # an ended episode stays where it ended
        P[s], R[s] = np.eye(S)[s], 0
    return SimpleNamespace(P=P, R=R, arrival=arrival, x=x, cells=cells, shape=(height, width))


def collect(world, n, rng, cells=None):
    """D: states, actions, rewards, next_states, each (n,); S uniform (in `cells`), A uniform."""
    S, A, _ = world.P.shape
    states = rng.choice(S if cells is None else cells, n)
    actions = rng.integers(A, size=n)
    next_states = (world.P[states, actions].cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    rewards = np.where(next_states != states, world.arrival[next_states], 0)
    return states, actions, rewards, next_states


# %% Algorithm: three families of expectation models, a stochastic one, and planning with them

class LookupModel:
    """A table of counts N(s,a,s'): slide "How to build a model? (III)".

    fit      adds N transitions to the counts: states, actions, next_states (N,) ints, rewards (N,)
    predict  expected rewards (N,) and next-state probabilities (N, S): the whole distribution
    sample   rewards (N,), next_states (N,); the reward is the mean of those that came with that S'
    A pair never seen stays put with reward 0, as in Dyna-Q. So a terminal state, in which nobody
    ever acts, is worth 0, as it should be. ValueError for data that do not fit, or no data at all.
    """

    def __init__(self, n_states, n_actions):
        self.counts = np.zeros((n_states, n_actions, n_states), dtype=int)          # N(s,a,s')
        self.reward_sums = np.zeros((n_states, n_actions, n_states))

    def fit(self, states, actions, rewards, next_states):
        states, actions, next_states = self.check(states, actions, next_states)
        rewards = np.asarray(rewards, dtype=float)
        if rewards.shape != states.shape or not np.isfinite(rewards).all():
            raise ValueError(f"rewards must be {len(states)} finite numbers, one per state")
        np.add.at(self.counts, (states, actions, next_states), 1)
        np.add.at(self.reward_sums, (states, actions, next_states), rewards)
        return self

    def predict(self, states, actions):
        # p^(s' | s,a) = N(s,a,s') / N(s,a)        E^[R | s,a] = (sum of its rewards) / N(s,a)
        counts, reward_sums = self.look_up(states, actions)
        n = counts.sum(axis=1)
        return reward_sums.sum(axis=1) / n, counts / n[:, None]

    def sample(self, states, actions, rng):
        counts, reward_sums = self.look_up(states, actions)
        nth = rng.integers(counts.sum(axis=1))      # one of the N(s,a) transitions, equally likely
        next_states = (counts.cumsum(axis=1) <= nth[:, None]).sum(axis=1)
        i = np.arange(len(counts))
        return reward_sums[i, next_states] / counts[i, next_states], next_states

    def look_up(self, states, actions):
        states, actions = self.check(states, actions)
        if not self.counts.any():
            raise ValueError("this LookupModel has seen no data: call fit first")
        counts = self.counts[states, actions]                                       # a copy, (N, S)
        unseen = counts.sum(axis=1) == 0
        counts[unseen, states[unseen]] = 1
        return counts, self.reward_sums[states, actions]

    def check(self, states, actions, *next_states):
        S, A, _ = self.counts.shape
        arrays = [np.asarray(array) for array in (states, actions, *next_states)]
        for name, array, n in zip(("states", "actions", "next_states"), arrays, (S, A, S)):
            if array.shape != (arrays[0].size,) or not np.isin(array, np.arange(n)).all():
                raise ValueError(f"{name} must be (N,) whole numbers from 0 to {n - 1}, N the same")
        return [array.astype(int) for array in arrays]


class LinearModel:
    """Reward and next features as linear functions of the features phi(s), one for each action.

    Slide "How to build a model? (III)". Shapes: x, x_next (N, d), actions (N,) ints, rewards (N,).
    fit      least squares, from scratch at every call
    predict  expected rewards (N,), expected next features (N, d)
    After fit, w_reward (A, 1+d) and W_change (A, 1+d, d); row 0 is the intercept. What is fitted is
    the change x_next - x (the same model, as x is among the features), so that an action never
    tried stays put with reward 0. ValueError for data that do not fit, or predicting before fit.
    """

    def __init__(self, n_features, n_actions):
        self.n_features, self.n_actions = n_features, n_actions
        self.w_reward = self.W_change = None

    def fit(self, x, actions, rewards, x_next):
        x, actions, rewards, x_next = self.check(x, actions, rewards, x_next)
        phi = np.column_stack([np.ones(len(x)), x])             # the intercept: a feature that is 1
        A, d = self.n_actions, self.n_features
        self.w_reward, self.W_change = np.zeros((A, 1 + d)), np.zeros((A, 1 + d, d))
        for a in range(A):
            mine = actions == a
            # w = argmin sum_i (phi_i . w - R_i)^2     W = argmin sum_i |phi_i W - (x'_i - x_i)|^2
            self.w_reward[a] = np.linalg.lstsq(phi[mine], rewards[mine], rcond=None)[0]
            self.W_change[a] = np.linalg.lstsq(phi[mine], (x_next - x)[mine], rcond=None)[0]
        return self

    def predict(self, x, actions):
        x, actions = self.check(x, actions)
        phi = np.column_stack([np.ones(len(x)), x])
        rewards, x_next = np.zeros(len(x)), x.copy()
        for a in range(self.n_actions):
            mine = actions == a
            rewards[mine] = phi[mine] @ self.w_reward[a]
            x_next[mine] += phi[mine] @ self.W_change[a]
        return rewards, x_next

    def check(self, *arrays):                           # x, actions and, in fit, rewards, x_next
        if len(arrays) == 2 and self.w_reward is None:
            raise ValueError("this LinearModel has seen no data: call fit first")
        arrays = [np.asarray(array, dtype=float) for array in arrays]
        N, d, A = len(arrays[0]), self.n_features, self.n_actions
        for name, array, shape in zip(("x", "actions", "rewards", "x_next"), arrays,
                                      ((N, d), (N,), (N,), (N, d))):
            if array.shape != shape or not np.isfinite(array).all():
                raise ValueError(f"{name} must be finite, of shape {shape}; got {array.shape}")
        if not np.isin(arrays[1], np.arange(A)).all():
            raise ValueError(f"actions must be whole numbers from 0 to {A - 1}")
        return arrays[0], arrays[1].astype(int), *arrays[2:]


class NeuralModel:
    """Two small networks, for the reward and for the change of the features; or an ensemble.

    Slides "How to build a model? (II)": mean squared error, and "(III)": deep neural networks.
    Shapes: x, x_next (N, d), actions (N,) ints, rewards (N,).
    fit      minibatches, Adam, step size falling to 0; from scratch at every call
    predict  expected rewards (N,), expected next features (N, d): the mean over the members
    spread   disagreement of the members (N,): standard deviation of their predicted changes, in
             units of the standard deviation of the changes seen; 1 means "no idea"
    With n_members > 1, each member learns from its own bootstrap sample: N of the N transitions,
    drawn with replacement. All members are trained at once, as the leading axis of every array.
    The change is learned, not x_next, which is nearly x: to say just that would look like a good
    fit. ValueError for data that do not fit, predicting before fit, spread of one member.
    """

    def __init__(self, n_features, n_actions, hidden=64, n_members=1, seed=0):
        self.n_features, self.n_actions, self.hidden = n_features, n_actions, hidden
        self.n_members, self.seed, self.networks = n_members, seed, None

    def fit(self, x, actions, rewards, x_next, n_steps=2000, batch_size=128, learning_rate=3e-3):
        x, actions, rewards, x_next = self.check(x, actions, rewards, x_next)
        rng = np.random.default_rng(self.seed)
        self.center, self.scale = x.mean(axis=0), self.unit(x)
        inputs, N, M = self.inputs(x, actions), len(x), self.n_members
        own = rng.integers(N, size=(M, N)) if M > 1 else np.arange(N)[None]         # bootstrap
        self.networks = []
        for targets in (rewards[:, None], x_next - x):      # separate functions, as on the slide
            center, scale = targets.mean(axis=0), self.unit(targets)
            weights = self.train(inputs, (targets - center) / scale, own, n_steps, batch_size,
                                 learning_rate, rng)
            self.networks.append((weights, center, scale))
        return self

    def train(self, inputs, targets, own, n_steps, batch_size, learning_rate, rng):
        M, N = own.shape
        sizes, weights = [inputs.shape[1], self.hidden, self.hidden, targets.shape[1]], []
        for n_in, n_out in zip(sizes, sizes[1:]):           # He initialisation: keeps the variance
            W = rng.normal(0, math.sqrt(2 / n_in), (M, n_in, n_out))
            weights += [W, np.zeros((M, 1, n_out))]
        flat = np.concatenate([w.ravel() for w in weights])     # one vector, `weights` its parts
        ends = np.cumsum([w.size for w in weights])[:-1]
        weights = [part.reshape(w.shape) for part, w in zip(np.split(flat, ends), weights)]
        m, v, member = 0 * flat, 0 * flat, np.arange(M)[:, None]
        for t, draws in enumerate(rng.integers(N, size=(n_steps, M, batch_size)), start=1):
            batch = own[member, draws]                                                    # (M, B)
            _, gradient = self.loss_gradient(weights, inputs[batch], targets[batch])
            g = np.concatenate([part.ravel() for part in gradient])
            # Adam: m, v running means of g, g^2;  w <- w - rate m^ / sqrt(v^), both bias-corrected
            rate = learning_rate * (1 - (t - 1) / n_steps) * math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            flat -= rate * m / (np.sqrt(v) + 1e-8)
        return weights

    @staticmethod
    def forward(weights, inputs):
        W1, b1, W2, b2, W3, b3 = weights                    # W (M, in, out), b (M, 1, out)
        h1 = np.maximum(inputs @ W1 + b1, 0)                # (M, B, H)
        h2 = np.maximum(h1 @ W2 + b2, 0)
        return h1, h2, h2 @ W3 + b3

    @staticmethod
    def loss_gradient(weights, inputs, targets):
        """Mean squared error of each member (M,); its gradient, arrays shaped like the weights."""
        W1, b1, W2, b2, W3, b3 = weights
        h1, h2, outputs = NeuralModel.forward(weights, inputs)
        error = outputs - targets                           # (M, B, D)
        d3 = 2 * error / error[0].size                  # dL/d(outputs), and back, layer by layer:
        d2 = d3 @ W3.swapaxes(1, 2) * (h2 > 0)              # max(z, 0) lets through where z > 0
        d1 = d2 @ W2.swapaxes(1, 2) * (h1 > 0)
        gradient = []
        for below, d in ((inputs, d1), (h1, d2), (h2, d3)):
            gradient += [below.swapaxes(1, 2) @ d, d.sum(axis=1, keepdims=True)]
        return (error**2).mean(axis=(1, 2)), gradient

    def predict(self, x, actions):
        x, actions = self.check(x, actions)
        reward, change = [
            center + scale * self.forward(weights, self.inputs(x, actions))[2].mean(axis=0)
            for weights, center, scale in self.networks]
        return reward[:, 0], x + change

    def spread(self, x, actions):
        x, actions = self.check(x, actions)
        if self.n_members < 2:                              # else 0: perfectly sure
            raise ValueError("spread needs an ensemble: n_members of at least 2")
        members = self.forward(self.networks[1][0], self.inputs(x, actions))[2]     # (M, N, d)
        return np.sqrt(members.var(axis=0).mean(axis=1))

    def inputs(self, x, actions):                       # standardised x, and one input per action
        return np.hstack([(x - self.center) / self.scale, np.eye(self.n_actions)[actions]])

    @staticmethod
    def unit(array):                                    # standard deviation; 1 where nothing varies
        deviation = array.std(axis=0)
        return np.where(deviation > 1e-12 * np.abs(array).max(axis=0), deviation, 1)

    def check(self, *arrays):                           # x, actions and, in fit, rewards, x_next
        if len(arrays) == 2 and self.networks is None:
            raise ValueError("this NeuralModel has seen no data: call fit first")
        arrays = [np.asarray(array, dtype=float) for array in arrays]
        N, d, A = len(arrays[0]), self.n_features, self.n_actions
        for name, array, shape in zip(("x", "actions", "rewards", "x_next"), arrays,
                                      ((N, d), (N,), (N,), (N, d))):
            if array.shape != shape or not np.isfinite(array).all():
                raise ValueError(f"{name} must be finite, of shape {shape}; got {array.shape}")
        if not np.isin(arrays[1], np.arange(A)).all():
            raise ValueError(f"actions must be whole numbers from 0 to {A - 1}")
        return arrays[0], arrays[1].astype(int), *arrays[2:]


class MixtureModel:
    """Mixture density network: p^(r, s' | s, a) = sum_k weight_k Normal(mean_k, sd_k), of (s, a).

    Slide "Models can be stochastic too", the recipe of World Models. Shapes: x, x_next (N, d),
    actions (N,) ints, rewards (N,). Reward and change of features are one vector y, and so drawn
    together; within a component they are independent. n_components=1 is the Gaussian model.
    fit       minimises -log p^ by Adam, step size falling to 0; from scratch at every call
    predict   expected rewards (N,), expected next features (N, d)
    sample    rewards (N,), next features (N, d), made from the noise that `rng` gives
    log_prob  log p^(x_next | x, actions) (N,), in nats; marginal over the reward
    The network models what a linear fit leaves over, in units of its standard deviation. There sd_k
    stays above 0.01, or on data that repeat it could fall to 0 and the likelihood grow without
    bound; for the reward above 0.3, lest a rare or constant one pull the components away from S'.
    ValueError for data that do not fit, or predicting before fit.
    """

    def __init__(self, n_features, n_actions, n_components=5, hidden=64, seed=0):
        self.n_features, self.n_actions, self.hidden = n_features, n_actions, hidden
        self.n_components, self.seed, self.weights = n_components, seed, None
        self.floor = np.array([0.3] + [0.01] * n_features)[:, None, None]       # of sds (D, K, N)

    def fit(self, x, actions, rewards, x_next, n_steps=2000, batch_size=128, learning_rate=3e-3):
        x, actions, rewards, x_next = self.check(x, actions, rewards, x_next)
        rng, N, K = np.random.default_rng(self.seed), len(x), self.n_components
        self.center, self.x_scale = x.mean(axis=0), self.unit(x)
        inputs, y = self.inputs(x, actions), np.column_stack([rewards, x_next - x])     # (N, D)
        self.linear = np.linalg.lstsq(inputs, y, rcond=None)[0]
        rest = y - inputs @ self.linear
        self.y_scale = np.maximum(self.unit(y) * 1e-3, rest.std(axis=0))
        y = rest / self.y_scale
        sizes, weights = [inputs.shape[1], self.hidden, self.hidden, K * (1 + 2 * y.shape[1])], []
        for n_in, n_out in zip(sizes, sizes[1:]):
            weights += [rng.normal(0, math.sqrt(2 / n_in), (n_in, n_out)), np.zeros(n_out)]
        weights[4] *= 0.1                               # at first nearly the same for all inputs
        weights[5].reshape(-1, K)[1:1 + y.shape[1]] = self.first_means(y, rng).T
        flat = np.concatenate([w.ravel() for w in weights])     # one vector, `weights` its parts
        ends = np.cumsum([w.size for w in weights])[:-1]
        weights = [part.reshape(w.shape) for part, w in zip(np.split(flat, ends), weights)]
        m, v = 0 * flat, 0 * flat
        for t, batch in enumerate(rng.integers(N, size=(n_steps, batch_size)), start=1):
            _, gradient = self.loss_gradient(weights, inputs[batch], y[batch])
            g = np.concatenate([part.ravel() for part in gradient])
            # Adam: m, v running means of g, g^2;  w <- w - rate m^ / sqrt(v^), both bias-corrected
            rate = learning_rate * (1 - (t - 1) / n_steps) * math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            flat -= rate * m / (np.sqrt(v) + 1e-8)
        self.weights = weights
        return self

    def first_means(self, y, rng):
        """K-means (K, D), on the features only: a rare reward is no cluster."""
        def distances():                                # squared, (N, K)
            return sum((column[:, None] - mean) ** 2 for column, mean in zip(y.T[1:], means.T[1:]))
        means = y[rng.integers(len(y), size=1)]
        for _ in range(1, self.n_components):           # far from each other, as in k-means++,
            p = distances().min(axis=1) + 1e-9
            means = np.vstack([means, y[rng.choice(len(y), p=p / p.sum())]])
        for _ in range(10):                             # then each in the middle of those nearest
            mine = distances().argmin(axis=1) == np.arange(self.n_components)[:, None]      # (K, N)
            n = mine.sum(axis=1, keepdims=True)
            means = np.where(n > 0, mine @ y / np.maximum(n, 1), means)
        return means

    def forward(self, weights, inputs):
        """Hidden layers; log weights (K, N), means (D, K, N) and standard deviations (D, K, N)."""
        W1, b1, W2, b2, W3, b3 = weights
        h1 = np.maximum(inputs @ W1 + b1, 0)
        h2 = np.maximum(h1 @ W2 + b2, 0)
        outputs = (W3.T @ h2.T + b3[:, None]).reshape(-1, self.n_components, len(inputs))
        D, logits = 1 + self.n_features, outputs[0]
        means, widths = outputs[1:1 + D], outputs[1 + D:]
        log_weights = logits - self.log_sum_exp(logits)             # softmax, in logs
        # softplus: log(1 + e^w) = log(1 + e^-|w|) + max(w, 0), where nothing can overflow
        return h1, h2, log_weights, means, (self.floor + np.log1p(np.exp(-np.abs(widths)))
                                            + np.maximum(widths, 0))

    def loss_gradient(self, weights, inputs, y):
        """Mean of -log p^(y), and its gradient: arrays shaped like the weights."""
        h1, h2, log_weights, means, sds = self.forward(weights, inputs)
        terms, z = self.log_terms(log_weights, means, sds, y)
        log_p = self.log_sum_exp(terms)                 # log p^ = log sum_k exp(term_k)
        share = np.exp(terms - log_p)                   # p^(component k | y): its "responsibility"
        pull = share / sds
        d_out = np.concatenate([(np.exp(log_weights) - share)[None], -pull * z,
                                pull * (1 - z * z) * (1 - np.exp(self.floor - sds))])
        d3 = d_out.reshape(-1, len(y)).T / len(y)       # dL/d(outputs), and back, layer by layer
        d2 = d3 @ weights[4].T * (h2 > 0)
        d1 = d2 @ weights[2].T * (h1 > 0)
        gradient = []
        for below, d in ((inputs, d1), (h1, d2), (h2, d3)):
            gradient += [below.T @ d, d.sum(axis=0)]
        return -log_p.mean(), gradient

    @staticmethod
    def log_terms(log_weights, means, sds, y):
        # term_k = log weight_k + sum_j log Normal(y_j; mean_kj, sd_kj)
        z = (y.T[:, None] - means) / sds
        return log_weights - (z * z / 2 + np.log(sds) + math.log(2 * math.pi) / 2).sum(axis=0), z

    @staticmethod
    def log_sum_exp(terms):
        # subtle: without taking out the maximum, exp of -800 is 0 and its logarithm -infinity
        top = terms.max(axis=0)
        return top + np.log(np.exp(terms - top).sum(axis=0))

    def components(self, x, actions):
        x, actions = self.check(x, actions)
        inputs, scale = self.inputs(x, actions), self.y_scale[:, None, None]
        _, _, log_weights, means, sds = self.forward(self.weights, inputs)
        means = (inputs @ self.linear).T[:, None] + scale * means
        means[1:] += x.T[:, None]
        return log_weights, means, scale * sds          # of (R, S'), in the units of the data

    def predict(self, x, actions):
        log_weights, means, _ = self.components(x, actions)
        y = (np.exp(log_weights) * means).sum(axis=1)
        return y[0], y[1:].T

    def sample(self, x, actions, rng):
        # R^, S^' = p^(s, a, epsilon): the noise epsilon is one uniform and 1 + d normal numbers
        log_weights, means, sds = self.components(x, actions)
        N = means.shape[2]
        pick, noise = rng.random(N), rng.standard_normal((len(means), N))
        k, i = (np.exp(log_weights).cumsum(axis=0)[:-1] < pick).sum(axis=0), np.arange(N)
        y = means[:, k, i] + sds[:, k, i] * noise
        return y[0], y[1:].T

    def log_prob(self, x, actions, x_next):
        x, actions, _, x_next = self.check(x, actions, np.zeros(len(x)), x_next)
        log_weights, means, sds = self.components(x, actions)
        return self.log_sum_exp(self.log_terms(log_weights, means[1:], sds[1:], x_next)[0])

    def inputs(self, x, actions):                       # standardised x, and one input per action
        return np.hstack([(x - self.center) / self.x_scale, np.eye(self.n_actions)[actions]])

    @staticmethod
    def unit(array):                                    # standard deviation; 1 where nothing varies
        deviation = array.std(axis=0)
        return np.where(deviation > 1e-12 * np.abs(array).max(axis=0), deviation, 1)

    def check(self, *arrays):                           # x, actions and, in fit, rewards, x_next
        if len(arrays) == 2 and self.weights is None:
            raise ValueError("this MixtureModel has seen no data: call fit first")
        arrays = [np.asarray(array, dtype=float) for array in arrays]
        N, d, A = len(arrays[0]), self.n_features, self.n_actions
        for name, array, shape in zip(("x", "actions", "rewards", "x_next"), arrays,
                                      ((N, d), (N,), (N,), (N, d))):
            if array.shape != shape or not np.isfinite(array).all():
                raise ValueError(f"{name} must be finite, of shape {shape}; got {array.shape}")
        if not np.isin(arrays[1], np.arange(A)).all():
            raise ValueError(f"actions must be whole numbers from 0 to {A - 1}")
        return arrays[0], arrays[1].astype(int), *arrays[2:]


def value_iteration(P, R, gamma, tolerance=1e-8):
    """Dynamic programming with a model, learned or true: slide "Examples of planning?", 1.

    P (S, A, S) probabilities; where a row sums to less than 1, the missing mass ends the episode.
    R (S, A) expected rewards, 0 <= gamma < 1. Returns V (S,), Q (S, A), within `tolerance` of the
    optimal values of this model (not of the world). ValueError if P, R or gamma is none of this.
    """
    P, R = np.asarray(P, dtype=float), np.asarray(R, dtype=float)
    if not 0 <= gamma < 1:
        raise ValueError(f"gamma must be in [0, 1), or values may be infinite; got {gamma}")
    if P.shape != R.shape + R.shape[:1] or not np.isfinite(R).all():
        raise ValueError(f"need P (S, A, S) and finite R (S, A); got {P.shape} and {R.shape}")
    if not (P.min() >= 0 and P.sum(axis=2).max() <= 1 + 1e-6):
        raise ValueError("each P[s, a] must be probabilities, at least 0 and together at most 1")
    V = np.zeros(len(R))
    while True:
        # Q(s,a) <- R(s,a) + gamma sum_s' p(s'|s,a) V(s')        V(s) <- max_a Q(s,a)
        Q = R + gamma * P @ V
        V, old = Q.max(axis=1), V
        change = np.abs(V - old).max()      # still to come: at most gamma/(1-gamma) as much
        if gamma * change <= max(tolerance * (1 - gamma), 1e-14 * np.abs(V).max()):
            return V, Q


# %% Exact answers

def policy_value(P, R, policy, gamma):
    """V^pi (S,) of a deterministic policy (S,), by solving V = R_pi + gamma P_pi V."""
    s = np.arange(len(R))
    return np.linalg.solve(np.eye(len(R)) - gamma * P[s, policy], R[s, policy])


def solved_world():
    """The world, with all its pairs s, a (S*A,), E[S'|s,a] (S*A, 2), Var(S'|s,a), V* and Q*."""
    world = make_world()
    S, A = world.R.shape
    world.s, world.a = np.repeat(np.arange(S), A), np.tile(np.arange(A), S)
    P = world.P[world.s, world.a]
    world.mean = P @ world.x
    world.variance = P @ (world.x**2).sum(axis=1) - (world.mean**2).sum(axis=1)
    world.V, world.Q = value_iteration(world.P, world.R, GAMMA)
    return world


def v_of_expectation(world, linear):
    """E[v(S')] and v(E[S']), both (S, A): v linear, the column from 0 to 1, or V* of the cell."""
    def v(x):
        column, row = np.rint(x).astype(int).T
        width = world.shape[1]
        return x[:, 0] / (width - 1) if linear else world.V[row * width + column]
    return world.P @ v(world.x), v(world.mean).reshape(world.R.shape)


# %% Experiments: arrays with a leading axis of runs; nothing is drawn or printed

def fit_all(world, data, seed):
    """Three expectation models fitted to one D, and their RMSE from E[S'|s,a], over all pairs."""
    states, actions, rewards, next_states = data
    S, A, _ = world.P.shape
    x, x_next = world.x[states], world.x[next_states]
    models = (LookupModel(S, A).fit(*data), LinearModel(2, A).fit(x, actions, rewards, x_next),
              NeuralModel(2, A, seed=seed, **SMALL).fit(x, actions, rewards, x_next, **SHORT))
    guesses = [models[0].predict(world.s, world.a)[1] @ world.x]
    guesses += [model.predict(world.x[world.s], world.a)[1] for model in models[1:]]
    error = np.array(guesses) - world.mean
    return models, np.sqrt((error**2).sum(axis=2).mean(axis=1))


def plan_on_model(world, table):
    """Value iteration on the table: V^ of the start, RMS of V^ - V*, true V^pi of the start."""
    rewards, P = table.predict(world.s, world.a)
    V, Q = value_iteration(P.reshape(world.P.shape), rewards.reshape(world.R.shape), GAMMA)
    achieved = policy_value(world.P, world.R, Q.argmax(axis=1), GAMMA)
    start = world.cells["S"]
    return V[start], math.sqrt(((V - world.V) ** 2).mean()), achieved[start]


def k_step_error(world, models, rng, n=300):
    """Models fed with their own predictions: RMSE of S_k (4, k), of truth, table, linear, network.

    From n random cells under random actions; the expectation over the world's noise is exact:
    E|S_k - guess|^2 = Var(S_k) + |E[S_k] - guess|^2.
    """
    table, linear, network = models
    S, A, _ = world.P.shape
    states = rng.integers(S, size=n)
    learned, errors = table.predict(world.s, world.a)[1].reshape(S, A, S), []
    truth = guess = np.eye(S)[states]               # distributions over cells, (n, S)
    x_linear = x_network = world.x[states]          # expectations, (n, 2)
    for _ in range(N_STEPS_AHEAD):
        actions = rng.integers(A, size=n)
        truth = np.einsum("ns,snt->nt", truth, world.P[:, actions])
        guess = np.einsum("ns,snt->nt", guess, learned[:, actions])
        x_linear = linear.predict(x_linear, actions)[1]
        x_network = network.predict(x_network, actions)[1]
        mean = truth @ world.x
        variance = truth @ (world.x**2).sum(axis=1) - (mean**2).sum(axis=1)
        guesses = np.array([mean, guess @ world.x, x_linear, x_network])
        errors.append(np.sqrt((variance + ((mean - guesses) ** 2).sum(axis=2)).mean(axis=1)))
    return np.transpose(errors)


def samples_at_the_fork(world, data, table, seed, n=400):
    """S' after a leap from F, (4, n, 2): the world's, the table's, a Gaussian's, a mixture's.

    A density needs room: S' is taken as a point near the middle of its cell (standard deviation
    0.15). Both densities learn from the leaps in D, which are all that is asked about.
    """
    states, actions, rewards, next_states = (array[data[1] == LEAP] for array in data)
    fork, rng = world.cells["F"], np.random.default_rng(seed)
    s, leap = np.full(n, fork), np.zeros(len(states), dtype=int)
    draws = [world.x[rng.choice(len(world.x), n, p=world.P[fork, LEAP])],
             world.x[table.sample(s, np.full(n, LEAP), rng)[1]]]
    draws = [x + rng.normal(0, 0.15, x.shape) for x in draws]
    x_next = world.x[next_states] + rng.normal(0, 0.15, (len(states), 2))
    for n_components in (1, 5):
        model = MixtureModel(2, 1, n_components, seed=seed, **SMALL)
        model.fit(world.x[states], leap, rewards, x_next, **SHORT)
        draws.append(model.sample(world.x[s], np.zeros(n, dtype=int), rng)[1])
    return np.array(draws)


def where_it_knows(world, rng, seed):
    """Ensemble that saw columns 0 to 2: spread and true error of E[S'], mean over a, (2, S)."""
    seen = np.flatnonzero(world.x[:, 0] <= 2)
    states, actions, rewards, next_states = collect(world, N_SOME, rng, seen)
    S, A, _ = world.P.shape
    model = NeuralModel(2, A, n_members=5, seed=seed, **SMALL)
    model.fit(world.x[states], actions, rewards, world.x[next_states], **SHORT)
    x, a = world.x[world.s], world.a
    error = np.linalg.norm(model.predict(x, a)[1] - world.mean, axis=1)
    return np.array([model.spread(x, a), error]).reshape(2, S, A).mean(axis=2)


def identities(world, rng):
    """Two differences, 0 in theory: linear model's value - LSTD's; one-hot linear - table."""
    states, actions, rewards, next_states = collect(world, 2000, rng)
    nothing = np.zeros_like(actions)                        # one policy: no actions to tell apart
    model = LinearModel(2, 1).fit(world.x[states], nothing, rewards, world.x[next_states])
    # its value: w = w_R + gamma F w, where E[phi(S')] = phi F, E[R] = phi . w_R
    F = np.eye(3)                                           # phi = (1, column, row); 1 stays 1
    F[:, 1:] += model.W_change[0]
    w = np.linalg.solve(np.eye(3) - GAMMA * F, model.w_reward[0])
    # LSTD: w = A^-1 b, A = sum phi (phi - gamma phi')^T, b = sum phi R: no model is ever built
    phi, phi_next = (np.column_stack([np.ones(len(s)), world.x[s]]) for s in (states, next_states))
    lstd = np.linalg.solve(phi.T @ (phi - GAMMA * phi_next), phi.T @ rewards)
    S, A, _ = world.P.shape
    one_hot, table = np.eye(S), LookupModel(S, A).fit(states, actions, rewards, next_states)
    linear = LinearModel(S, A).fit(one_hot[states], actions, rewards, one_hot[next_states])
    pairs = zip(linear.predict(one_hot[states], actions), table.predict(states, actions))
    return np.abs(w - lstd).max(), max(np.abs(a - b).max() for a, b in pairs)


def run_experiments(n_runs, seed, progress):
    world, results = solved_world(), []
    for run, run_seed in enumerate(np.random.SeedSequence(seed).generate_state(n_runs).tolist()):
        progress(f"run {run + 1} of {n_runs}")
        rng = np.random.default_rng(run_seed)
        data = collect(world, SIZES[-1], rng)               # smaller D: its first transitions
        rmse, plans = [], []
        for n in SIZES:
            D = [array[:n] for array in data]
            models, error = fit_all(world, D, run_seed)
            rmse.append(error)
            plans.append(plan_on_model(world, models[0]))
            if n == N_SOME:
                ahead = k_step_error(world, models, rng)
        draws = samples_at_the_fork(world, data, models[0], run_seed)
        results.append((np.transpose(rmse), np.transpose(plans), ahead, draws,
                        where_it_knows(world, rng, run_seed), identities(world, rng)))
    names = "rmse", "plans", "ahead", "draws", "knows", "identities"
    return {name: np.array(arrays) for name, arrays in zip(names, zip(*results))}


# %% Claims: what the docstring says, checked on this very run

def near(claim, expected, tolerance, measured):
    return (claim, f"{expected:g} ± {tolerance:.3g}", f"{measured:.4g}",
            abs(measured - expected) <= tolerance)


def check_claims(rmse, plans, ahead, draws, knows, identities):
    """Rows (claim, expected, measured, ok).

    A tolerance is 4 standard errors for this number of runs (1 seed in 10,000 misses it), from the
    standard deviations of 88 other runs; the mixture's is doubled, as a rare fit is much worse.
    """
    error, (promised, value_error, achieved) = rmse.mean(axis=0), plans.mean(axis=0)
    slope = np.polyfit(np.log(SIZES[3:]), np.log(error[0, 3:]), 1)[0]
    world, far, i300 = solved_world(), ahead[..., -1].mean(axis=0), SIZES.index(300)
    in_row = (np.abs(draws[..., 1] - world.x[world.cells["P"], 1]) < 0.5).mean(axis=(0, 2))
    above = (draws[:, 3, :, 1] < 2).mean()
    correlation = np.mean([np.corrcoef(run)[0, 1] for run in knows])
    rows = [near(claim, expected, 4 * sd / math.sqrt(len(rmse)), measured)
            for claim, expected, sd, measured in (
        ("table: slope of log error from 3,000 transitions on", -0.52, 0.05, slope),
        ("table: RMSE of E[S'|s,a], 100 transitions", 0.877, 0.019, error[0, 0]),
        ("table: the same, 30,000 transitions", 0.0387, 0.003, error[0, -1]),
        ("linear: RMSE of E[S'|s,a], 100 transitions", 0.435, 0.029, error[1, 0]),
        ("linear: the same, 30,000 transitions", 0.354, 0.0003, error[1, -1]),
        ("network: RMSE of E[S'|s,a], 100 transitions", 0.522, 0.046, error[2, 0]),
        ("network: the same, 30,000 transitions", 0.22, 0.009, error[2, -1]),
        ("leap from F, table: share in the pit's row", 0, 0.0015, in_row[1]),
        ("leap from F, Gaussian: the same", 0.377, 0.033, in_row[2]),
        ("leap from F, mixture: the same", 0.036, 0.055, in_row[3]),
        ("leap from F, mixture: share above that row", 0.5, 0.052, above),
        ("planning on the table, 300 transitions: promised", 0.638, 0.066, promised[i300]),
        ("the same: achieved", 0.38, 0.15, achieved[i300]),
        ("planning on the table, 30,000 transitions: achieved", 0.592, 0.0005, achieved[-1]),
        ("the same: root mean square of V^ - V*", 0.0068, 0.0021, value_error[-1]),
        ("exact distribution: RMSE 20 steps ahead", 1.313, 0.027, far[0]),
        ("table: the same", 1.327, 0.027, far[1]),
        ("linear: the same", 1.905, 0.07, far[2]),
        ("network: the same", 1.937, 0.077, far[3]),
        ("ensemble: correlation of spread and true error", 0.89, 0.072, correlation))]
    return rows + exact_claims(world, plans, knows, identities)


def exact_claims(world, plans, knows, identities):
    fork, Q = world.cells["F"], world.Q
    gap = np.abs(np.subtract(*v_of_expectation(world, linear=True))).max()
    truth, guess = v_of_expectation(world, linear=False)
    chosen = (world.R + GAMMA * guess)[fork].argmax()
    limited = plans[:, 2].max() <= world.V[world.cells["S"]] + 1e-9
    seen = world.x[:, 0] <= 2
    ratio = knows[:, 0, ~seen].mean() / knows[:, 0, seen].mean()
    lstd, one_hot = identities.max(axis=0)
    return [
        ("linear v: largest gap from E[v(S')] to v(E[S'])", "0", f"{gap:.0e}", gap < 1e-12),
        near("v = V*: E[v(S')] of the leap from F", 0.819, 0.0005, truth[fork, LEAP]),
        near("v = V*: v(E[S']) of the leap from F", 0, 1e-9, guess[fork, LEAP]),
        ("so at F, instead of the leap (4), one chooses", "1", f"{chosen}",
         Q[fork].argmax() == 4 and chosen == 1),
        near("and loses, of V*(F)", 0.0479, 0.0005, Q[fork].max() - Q[fork, chosen]),
        ("achieved is never above V*", "yes", "yes" if limited else "no", limited),
        ("ensemble: spread without data / with data", "at least 3", f"{ratio:.3g}", ratio >= 3),
        ("value of the linear model - LSTD's value", "0", f"{lstd:.0e}", lstd < 1e-8),
        ("linear model with one-hot features - table", "0", f"{one_hot:.0e}", one_hot < 1e-8)]


# %% Figure: one panel per slide

def draw_band(ax, x, runs, color, label, at, shift, ha="left"):
    """Mean over runs (axis 0) and its 95 % band (2 standard errors), labelled near point `at`."""
    mean, error = runs.mean(axis=0), runs.std(axis=0) / math.sqrt(max(len(runs) - 1, 1))
    ax.fill_between(x, mean - 2 * error, mean + 2 * error, color=color, alpha=0.2, linewidth=0)
    ax.plot(x, mean, color=color, linewidth=1.8)
    ax.annotate(label, (x[at], mean[at]), shift, textcoords="offset points", color=color, ha=ha)


def draw_cells(ax, world, values=None, **options):
    """The grid with its letters; `values` (S,) as shades and numbers."""
    height, width = world.shape
    shades = np.zeros(world.shape) if values is None else values.reshape(world.shape)
    ax.imshow(shades, cmap="Blues", vmin=0, **options)
    for letter, s in world.cells.items():
        ax.text(*world.x[s] + (-0.42, -0.12), letter, fontsize="small", fontweight="bold",
                color=RED if letter == "P" else GREY)
    ax.set_xticks(np.arange(width + 1) - 0.5, [])
    ax.set_yticks(np.arange(height + 1) - 0.5, [])
    ax.grid(color="#cccccc", linewidth=0.6)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if values is not None:                              # where the ensemble has seen data
        for (i, j), value in zip(world.x, values):
            ax.text(i + 0.12, j + 0.32, f"{value:.1f}", ha="center", fontsize="x-small")
        ax.axvline(2.5, color=GREEN, linewidth=2)
        ax.text(2.4, -0.6, "data", color=GREEN, ha="right")
        ax.text(2.6, -0.6, "no data", color=GREEN)


def draw_world(ax, world):
    draw_cells(ax, world, vmax=1)
    x, y = world.x[world.cells["F"]]
    for dx, dy in MOVES[LEAP]:
        ax.annotate("", (x + dx, y + dy), (x + 0.1, y),
                    arrowprops=dict(arrowstyle="->", color=BLUE, linewidth=1.5))
    for column, wind in enumerate(WIND):
        ax.text(column, world.shape[0] - 0.1, f"{wind:.0%}", ha="center", fontsize="small",
                color=GREY)
    ax.set_xlabel("← P(gust), by column; leap from F", labelpad=14)


def draw_curves(axes, world, rmse, plans, ahead):
    x, a = world.x[world.s], world.a
    best = LinearModel(2, len(MOVES)).fit(x, a, world.R.ravel(), world.mean).predict(x, a)[1]
    bias = math.sqrt(((best - world.mean) ** 2).sum(axis=1).mean())
    noise, optimal = math.sqrt(world.variance.mean()), world.V[world.cells["S"]]
    N, k = np.array(SIZES), np.arange(1, N_STEPS_AHEAD + 1)
    share = noise / np.sqrt(N / len(x))         # table's error, if each pair has its share of N
    for ax, x, exact, at, text in (
            (axes[0], N, [noise] * len(N), noise * 1.04, "noise of one S'"),
            (axes[0], N, [bias] * len(N), bias * 1.04, "best linear fit"),
            (axes[0], N, share, 0.031, ""),
            (axes[1], N, [optimal] * len(N), optimal + 0.03, f"V*(S) = {optimal:.3f}"),
            (axes[2], k, ahead[:, 0].mean(axis=0), 1.1, "exact distribution")):
        ax.plot(x, exact, color=GREY, linewidth=1, linestyle="--")
        ax.text(x[-1], at, text, color=GREY, ha="right", fontsize="small")
    for ax, x, runs, color, label, at, shift in (
            (axes[0], N, rmse[:, 0], BLUE, "table", 3, (-34, -16)),
            (axes[0], N, rmse[:, 1], RED, "linear", 0, (0, -26)),
            (axes[0], N, rmse[:, 2], GREEN, "network", 4, (-4, 6)),
            (axes[1], N, plans[:, 0], RED, "promised by the model", 1, (-6, 30)),
            (axes[1], N, plans[:, 1], BLUE, "RMS of V^ - V*", 3, (-30, 8)),
            (axes[1], N, plans[:, 2], GREEN, "achieved\nin the world", 2, (8, -32)),
            (axes[2], k, ahead[:, 1], BLUE, "table", 9, (-10, 10)),
            (axes[2], k, ahead[:, 2], RED, "linear", 9, (-30, 14)),
            (axes[2], k, ahead[:, 3], GREEN, "network", 15, (0, -18))):
        draw_band(ax, x, runs, color, label, at, shift)
    axes[0].set(xscale="log", yscale="log", xlabel="transitions N", ylabel="RMSE of E[S'|s,a]",
                ylim=(0.03, 1.1), yticks=(ticks := [0.03, 0.1, 0.3, 1]), yticklabels=ticks)
    axes[1].set(xscale="log", xlabel="transitions N", ylabel="value", ylim=(-0.1, 1.1))
    axes[2].set(xlabel="steps ahead k", ylabel=f"RMSE of S_k (N = {N_SOME})", ylim=(0.4, 2.1))
    for ax in axes:
        ax.minorticks_off()


def draw_fork(ax, draws):
    """Rows in which S' falls, model by model, in the first run; the pit's row is shaded."""
    rng = np.random.default_rng(0)
    ax.axhspan(1.5, 2.5, color=RED, alpha=0.12, linewidth=0)
    for i, (x, color) in enumerate(zip(draws[0], (GREY, BLUE, RED, GREEN))):
        ax.plot(i + rng.uniform(-0.3, 0.3, len(x)), x[:, 1], ".", color=color, markersize=2.5,
                alpha=0.6)
    ax.axhline(2, color=RED, linewidth=1.2)
    ax.text(-0.45, 4.45, "red line: E[S'|s,a], in the row of the pit", color=RED, fontsize="small")
    ax.set(ylabel="row of S'", ylim=(4.5, -0.5), yticks=range(5), xlim=(-0.5, 3.5))
    ax.set_xticks(range(4), ["truth", "table", "Gaussian", "mixture"], fontsize="small")


def draw_values(ax, world):
    ax.plot([-0.05, 1.05], [-0.05, 1.05], color=GREY, linewidth=1, linestyle="--")
    for linear, color, marker in ((True, GREEN, "+"), (False, RED, "o")):
        truth, guess = v_of_expectation(world, linear)
        ax.plot(truth.ravel(), guess.ravel(), marker, color=color, markersize=4, alpha=0.6)
    leap = world.cells["F"], LEAP
    ax.annotate("leap from F", (truth[leap], guess[leap]), (-4, 8), textcoords="offset points",
                color=RED, ha="center")
    ax.text(0, 1.17, "v linear (the column): equal", color=GREEN)
    ax.text(0, 1.08, "v = V*: wrong", color=RED)
    ax.set(xlabel="E[v(S')]", ylabel="v(E[S'])", ylim=(-0.05, 1.25))


def draw_figure(fig, rmse, plans, ahead, draws, knows, identities):
    world, axes = solved_world(), fig.subplots(2, 4).ravel()
    draw_world(axes[0], world)
    draw_curves(axes[[1, 4, 5]], world, rmse, plans, ahead)
    draw_fork(axes[2], draws)
    draw_values(axes[3], world)
    for ax, values in zip(axes[6:], knows.mean(axis=0)):
        draw_cells(ax, world, values, vmax=1.8 * values.max())
    titles = ("a windy world with a fork", "(II), (III): to E[S'|s,a]?",
              "stochastic models: a leap from F", "is an expectation enough?",
              "planning on the table", "errors compound", "disagreement of 5 networks",
              "their true error")
    for i, (ax, title) in enumerate(zip(axes, titles)):
        ax.set_title(title, loc="left", fontsize="medium", pad=16 if i > 5 else None)


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
    parser.add_argument("--runs", type=int, metavar="N", help="independent runs (default 8)")
    parser.add_argument("--seed", type=int, metavar="S", default=0, help="base seed (default 0)")
    parser.add_argument("--quick", action="store_true", help="a few seconds: 2 runs")
    parser.add_argument("--save", type=Path, metavar="PATH", help="write the figure: png, pdf, svg")
    args = parser.parse_args()
    n_runs = args.runs if args.runs is not None else 2 if args.quick else 8
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
