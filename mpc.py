"""Model predictive control: plan with a learned model, execute a little, look, and plan again.

The slides, and where they are in this file
    How to build a model? (II)             NeuralDynamics, fitted to D = {(s, a, s')}
    Planning v0.5, and its fail            planning_v05, cem, draw_paths
    "works well in system identification"  planning_v05 with PhysicalModel
    Planning v1.0 - can we do better       planning_v10, draw_learning
    Planning v1.5 or MPC                   planning_v15, draw_paths, draw_learning
    "the more you replan ...", "shorter horizons", "even random sampling"  compare_replanning

The equations
    model    minimize sum_i |p(s_i, a_i) - s'_i|^2 over the weights of the model p
    plan     choose actions a0, a1, ... to maximize the sum of the rewards along the imagined
             states: s0 is where we are, s1 = p(s0, a0), s2 = p(s1, a1), ...

Run it: python mpc.py (8 seconds). What you will see, and why
    v0.5 fails: its plan leads to where the base policy has never been, and there its model guesses.
    System identification works: there only three numbers are unknown, and these are the same in
    all places (how strong our push is, how much drag slows down, how strong the hill pushes).
    v1.0 learns from its failures: they are data from the very places to which it plans to go.
    v1.5 also corrects itself on the way, and soon does as well as with the true dynamics.
    If you replan at every step, a short horizon is better, and even random plans are not bad.

Try: change one number in the settings below
    N_BASE = 40                     Is v0.5 saved by four times as much data of the base policy?
    HORIZON = 3                     Can the horizon of v1.5 be too short?
    n_candidates=5000 in OPEN_LOOP  Does a longer search save v0.5? (The first two printed lines.)

Notation
    s, a, s'      state (x, y, vx, vy), action (fx, fy), next state; D is a list of (s, a, s')
    N, H          how many states or plans at once; horizon, the number of actions in a plan
    ds, da        how many numbers a state has (4), how many an action (2)
    states, actions, next_states    arrays (N, ds), (N, da), (N, ds)
    actions       of one plan: a sequence (H, da); sequences are N of them (N, H, da)
    plan          a planner: cem or random_shooting
    pi_0, p       base policy, model; predict is p as a function: states, actions -> next_states

Left out on purpose: learning the reward (it is known here), and chance. The same action always
    has the same effect, so replanning repairs errors of the model, and of the search for a plan.

References: Rubinstein & Kroese (2004), The Cross-Entropy Method: cem. Nagabandi et al. (2018),
    Neural Network Dynamics: v1.5 with random shooting. Chua et al. (2018), PETS: v1.5 with cem.
    Kingma & Ba (2015), Adam. Ross & Bagnell (2012), Agnostic System Identification: why v1.0.
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
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np

# %% Settings

# Episodes of the base policy: enough to know the surroundings of the start well.
N_BASE = 10
# Further episodes of v1.0 and v1.5, with a fit before each. v1.5 is as good as it gets after 5.
N_ROUNDS = 8
# Units in each hidden layer of the network. For one hill so few are enough.
HIDDEN = 32
# v0.5 and v1.0 are "open loop": they commit to one plan for the whole episode of 30 steps. So
# they may search long: 10 times they draw 500 plans, and go on from the best 50, the "elites".
OPEN_LOOP = dict(horizon=30, n_candidates=500, n_elites=50, n_iterations=10)
# v1.5 is "closed loop": it plans again at every step, so each search must be short.
REPLAN = dict(n_candidates=100, n_elites=10, n_iterations=3)
# The horizon of v1.5: 8 steps lead from the start to below the hill. A shorter plan would see
# that the straight way is blocked, but not that the detour pays.
HORIZON = 8
# Steps between two plans of v1.5. An episode has 30, so with 30 there is only one plan.
INTERVALS = [1, 2, 4, 8, 15, 30]
# Colours that colour-blind readers can tell apart.
BLUE, GREEN, RED, GREY = "#0072B2", "#009E73", "#D55E00", "#666666"


# %% Environment: a point mass, and a hill between start and goal

class PointMass:
    """A mass in the plane, to be pushed to a goal. A hill in between pushes it away.

    State (x, y, vx, vy) in m and m/s. Action: our force (fx, fy), each within [-1, 1].
        d = (position - hill) / width,  push = d exp(-|d|^2 / 2)
        v' = v + dt (gain force - drag v + strength push),  position' = position + dt v'
    theta = (gain, drag, strength): the three numbers that system identification has to find.
    Reward: minus the distance from position' to the goal. An episode is cut off after n_steps.
    reset and step are Gymnasium's. dynamics and reward take N states at once.

    >>> PointMass().dynamics(np.zeros((1, 4)), np.array([[1.0, 0.0]])).round(2)
    array([[ 0.19, -0.24,  0.75, -0.97]])
    """

    dt = 0.25
    start = np.array([-2.0, 0.0, 0.0, 0.0])
    goal = np.array([2.0, 0.0])
    # The straight way is blocked: the hill pushes with up to strength 8 times exp(-1/2) = 4.9, our
    # force has at most gain 3 times 1 along x. The hill is a little above, so the way is below it.
    hill = np.array([0.0, 0.4])
    width = 0.7
    # All that a recipe asks of Gymnasium's spaces (there a Box): shape, and bounds of an action.
    observation_space = SimpleNamespace(shape=(4,))
    action_space = SimpleNamespace(shape=(2,), low=-np.ones(2), high=np.ones(2))

    def __init__(self, theta=(3.0, 1.5, 8.0), n_steps=30):
        self.theta = theta
        self.n_steps = n_steps

    def dynamics(self, states, actions, theta=None):
        """Next states (N, 4), with the world's own theta or another one (for PhysicalModel)."""
        gain, drag, strength = self.theta if theta is None else theta
        positions, velocities = states[:, :2], states[:, 2:]
        force = np.clip(actions, -1, 1)
        # d points from the hill to the mass, and so does the push.
        d = (positions - self.hill) / self.width
        push = d * np.exp(-(d**2).sum(axis=1, keepdims=True) / 2)
        velocities = velocities + self.dt * (gain * force - drag * velocities + strength * push)
        return np.concatenate([positions + self.dt * velocities, velocities], axis=1)

    def reward(self, states, actions, next_states):
        """Rewards (N,). Here only next_states matter; elsewhere a force may cost something."""
        return -np.linalg.norm(next_states[:, :2] - self.goal, axis=1)

    def reset(self, seed=None):
        self.t = 0
        # The functions above take N states and actions. Here N is 1.
        self.states = np.array([self.start])
        return self.start.copy(), {}

    def step(self, action):
        states, actions = self.states, np.array([action])
        self.states = self.dynamics(states, actions)
        reward = self.reward(states, actions, self.states)
        self.t += 1
        # Gymnasium's five: observation, reward, terminated, truncated, info.
        return self.states[0].copy(), float(reward[0]), False, self.t >= self.n_steps, {}


# %% Algorithm, step (2) of the recipes: learn the dynamics model

class NeuralDynamics:
    """A network with two hidden layers for s' = p(s, a). Slide "How to build a model? (II)".

        h1 = tanh(x W1 + b1),  h2 = tanh(h1 W2 + b2),  y = h2 W3 + b3,  x = (s, a),  y = s' - s

    y is the CHANGE of state, because s' is almost s. A network that has to output s' spends
    itself on copying its input; this one says "nothing changes" by an output of 0.

    fit(states (N, ds), actions (N, da), next_states (N, ds)) returns the model. It may be called
    again, with the old data and the new. predict(states, actions) returns next states (N, ds).
    ValueError if the data are empty, not finite or of other shapes, and if predict comes before
    fit or is given a single state (ds,).

    >>> s, a = np.array([[1.0], [2.0]]), np.array([[3.0], [5.0]])
    >>> model = NeuralDynamics(state_dim=1, action_dim=1).fit(s, a, s + a, n_epochs=1000)
    >>> model.predict(np.array([[2.0]]), np.array([[5.0]])).round(1)
    array([[7.]])
    """

    def __init__(self, state_dim, action_dim, hidden=64, seed=0):
        self.rng = np.random.default_rng(seed)
        self.n_inputs = state_dim + action_dim
        self.mean = None                # known after the first fit
        self.weights = []               # W1, b1, W2, b2, W3, b3
        for n_in, n_out in [(self.n_inputs, hidden), (hidden, hidden), (hidden, state_dim)]:
            # Inputs are of size 1 (see Standardize in fit). A sum of n of them, times weights of
            # size 1 / sqrt(n), has size 1 again. Larger weights would push tanh to -1 or 1, where
            # its slope is 0: nothing could be learned.
            W = self.rng.normal(0, n_in**-0.5, (n_in, n_out))
            # float32 takes half the time of float64, and its 7 digits are enough.
            self.weights.append(W.astype(np.float32))
            self.weights.append(np.zeros(n_out, np.float32))

    def forward(self, x):
        """Both hidden layers (N, hidden) and the output (N, ds) for inputs x (N, ds + da)."""
        W1, b1, W2, b2, W3, b3 = self.weights
        # These three lines are h1 = np.tanh(x @ W1 + b1). In one line NumPy makes a new large
        # array for the product, the sum and tanh each, and takes 1.7 times as long if N is 1,000.
        h1 = x @ W1
        h1 += b1
        np.tanh(h1, out=h1)
        h2 = h1 @ W2
        h2 += b2
        np.tanh(h2, out=h2)
        return h1, h2, h2 @ W3 + b3

    def gradients(self, x, target):
        """Backpropagation: derivatives of 1/N sum_i |y_i - target_i|^2 by each of the weights."""
        W1, b1, W2, b2, W3, b3 = self.weights
        h1, h2, y = self.forward(x)
        # A delta holds the derivatives of the loss by the sums in a layer, before any tanh. In
        # the last layer there is no tanh, and (y - target)^2 has the derivative 2 (y - target).
        delta3 = 2 * (y - target) / len(x)                  # (N, ds)
        # A unit of layer 2 changes each output as much as the weight between them says. So it
        # gathers the outputs' deltas, times these weights: (N, ds) @ (ds, hidden). Then back
        # through tanh, unit by unit: where tanh gives h, its slope is 1 - h^2.
        delta2 = (delta3 @ W3.T) * (1 - h2**2)              # (N, hidden)
        delta1 = (delta2 @ W2.T) * (1 - h1**2)              # (N, hidden), in the same way
        # A weight's derivative is (the number that came in) times (the delta it went to), summed
        # over the examples: (inputs, N) @ (N, units). What comes into a bias is always 1, so for a
        # bias this is just the sum of the deltas.
        return [x.T @ delta1, delta1.sum(axis=0),
                h1.T @ delta2, delta2.sum(axis=0),
                h2.T @ delta3, delta3.sum(axis=0)]

    def fit(self, states, actions, next_states, n_epochs=100, batch_size=128):
        data = np.concatenate([states, actions, next_states - states], axis=1)
        if len(data) == 0 or states.shape != next_states.shape or not np.isfinite(data).all():
            raise ValueError("fit needs finite states (N, ds), actions (N, da), "
                             "next_states (N, ds), and N at least 1")
        # Standardize: subtract the mean of each column, divide by its standard deviation. Else a
        # speed of 100 would drown a position of 0.1 in the sums of layer 1, and in the loss too.
        # A second fit takes new means, as new data may lie far outside the old ones. The weights
        # of the first fit belong to the old means. They are kept, as a better start than random.
        self.mean = data.mean(axis=0)
        self.std = data.std(axis=0)
        # A column that never changes has a std of 0, and we must not divide by it. (Rounding can
        # make it not quite 0: for numbers around 1000, some 1e-13.)
        self.std[self.std <= 1e-9 * np.abs(self.mean)] = 1.0
        data = ((data - self.mean) / self.std).astype(np.float32)
        x = data[:, :self.n_inputs]
        y = data[:, self.n_inputs:]
        # Adam: gradient descent with a step of its own for each weight. For that it keeps two
        # running means: m of the weight's gradients g, v of their squares. k counts the updates.
        m = [np.zeros_like(weight) for weight in self.weights]
        v = [np.zeros_like(weight) for weight in self.weights]
        k = 0
        for epoch in range(n_epochs):
            # 0.005 works well for standardized data. The steps shrink to 0 during the fit, or the
            # weights would tremble to the end.
            step_size = 0.005 * (1 - epoch / n_epochs)
            # One epoch: all the data once, in a new order, in small batches.
            order = self.rng.permutation(len(data))
            for first in range(0, len(data), batch_size):
                batch = order[first:first + batch_size]
                k += 1
                for i, g in enumerate(self.gradients(x[batch], y[batch])):
                    # m is the direction: gradients of small batches jump about, the mean of the
                    # last ten or so does not. sqrt(v) is how large the gradients usually are.
                    m[i] += 0.1 * (g - m[i])
                    v[i] += 0.001 * (g**2 - v[i])
                    # Both start at 0, so they are too small at first: after one update m is 0.1 g
                    # and v is 0.001 g^2. For k = 1 we divide by 0.1 and 0.001; later by nearly 1.
                    m_hat = m[i] / (1 - 0.9**k)
                    v_hat = v[i] / (1 - 0.999**k)
                    # If all gradients of a weight are g, m_hat is g, sqrt(v_hat) is |g|, and it
                    # moves by step_size, whether g is large or small. (1e-8, in case g is 0.)
                    self.weights[i] -= step_size * m_hat / (np.sqrt(v_hat) + 1e-8)
        return self

    def predict(self, states, actions):
        if self.mean is None or np.ndim(states) != 2:
            raise ValueError("call fit first; then predict takes states (N, ds) and actions "
                             "(N, da): a single state is (1, ds)")
        # Standardize as in fit, go through the network, and back to metres and seconds.
        n = self.n_inputs
        x = np.concatenate([states, actions], axis=1)
        x = ((x - self.mean[:n]) / self.std[:n]).astype(np.float32)
        h1, h2, y = self.forward(x)
        return states + self.mean[n:] + self.std[n:] * y


class PhysicalModel:
    """System identification: the form of the dynamics is known, its three numbers are fitted.

    Slide "Planning v0.5". The form is env.dynamics; fit and predict are as in NeuralDynamics.

    >>> env = PointMass(theta=(2.0, 1.0, 5.0))
    >>> s, a = np.array([[1.0, 2.0, 3.0, 4.0], [-1.0, 1.0, -1.0, 1.0]]), np.array([[1.0, 0.0]] * 2)
    >>> PhysicalModel(env).fit(s, a, env.dynamics(s, a)).theta.round(3)
    array([2., 1., 5.])
    """

    def __init__(self, env):
        self.env = env

    def fit(self, states, actions, next_states):
        # theta enters the equations of PointMass only as a factor. So s' is a sum: what happens
        # without any force, and what each of the three numbers adds. With theta = (1, 0, 0) we see
        # what a gain of 1 adds, with (0, 1, 0) what a drag of 1 adds, ...
        alone = self.env.dynamics(states, actions, (0, 0, 0))
        added = [self.env.dynamics(states, actions, unit) - alone for unit in np.eye(3)]
        # Written as long rows, reshape(3, -1), these are a matrix A (3, 4N). All that is added,
        # theta @ A, should be b. The sum of the squared errors, |theta @ A - b|^2, is smallest
        # where its derivative 2 A @ (theta @ A - b) is 0: three equations for three unknowns.
        A = np.array(added).reshape(3, -1)
        b = (next_states - alone).reshape(-1)
        self.theta = np.linalg.solve(A @ A.T, A @ b)
        return self

    def predict(self, states, actions):
        return self.env.dynamics(states, actions, self.theta)


# %% Algorithm, step (3) of the recipes: plan through the model

def imagined_returns(predict, reward, state, sequences):
    """Returns (N,) of N action sequences (N, H, da), imagined with the model, all from `state`."""
    n_sequences, horizon, _ = sequences.shape
    # All N walk side by side: H calls of the model in place of N times H. Each starts at the real
    # state, in a row of its own.
    states = np.tile(state, (n_sequences, 1))
    returns = np.zeros(n_sequences)
    for t in range(horizon):
        actions = sequences[:, t]
        next_states = predict(states, actions)
        rewards = reward(states, actions, next_states)
        # NumPy would also add a single number, the same to all returns: all plans would look alike.
        if np.shape(rewards) != (n_sequences,):
            raise ValueError(f"reward must return one number per state, shape ({n_sequences},)")
        returns += rewards
        states = next_states
    # A model may diverge, to infinity or NaN. Such a sequence must lose. Careful: NaN set to 0
    # would win wherever rewards are negative, and argmax takes NaN for the largest number.
    returns[~np.isfinite(returns)] = -np.inf
    if horizon < 1 or returns.max() == -np.inf:
        raise ValueError("the horizon is below 1, or no sequence of actions has a finite return")
    return returns


def float_bounds(low, high):
    """The bounds of an action, numbers or arrays (da,), as two arrays of floats (da,)."""
    # Floats: some environments have bounds in int8, whose largest number is 127. There (100 + 120)
    # / 2, the middle of the bounds, would go wrong.
    low = np.array(low, float, ndmin=1)
    high = np.array(high, float, ndmin=1)
    if not np.all((low <= high) & np.isfinite(high - low)):
        raise ValueError("the bounds of an action must be finite, low <= high")
    # If one of them is a single number, it holds for all da.
    return np.broadcast_arrays(low, high)


def random_shooting(predict, reward, state, horizon, low, high, n_candidates=1000, mean=None,
                    rng=None):
    """Draw N random sequences of actions, imagine each with the model, return the best (H, da).

    Slide "Planning v1.5": "even random sampling can often work well". predict(states, actions)
    and reward(states, actions, next_states) take N states at once. The plan starts at `state`
    (ds,). low, high: (da,) or numbers. rng: Generator or seed. mean is where cem starts its
    search; it is of no use here, but so both take the same arguments. ValueError if the horizon is
    below 1, the bounds are wrong or no return is finite. Needs imagined_returns, float_bounds.

    >>> def move(states, actions): return states + actions
    >>> def near_one(states, actions, next_states): return -abs(next_states[:, 0] - 1)
    >>> random_shooting(move, near_one, [0.0], horizon=1, low=-2, high=2, rng=0).round(1)
    array([[1.]])
    """
    # Makes a Generator of a seed, and hands a Generator back as it is.
    rng = np.random.default_rng(rng)
    low, high = float_bounds(low, high)
    sequences = rng.uniform(low, high, (n_candidates, horizon, len(low)))
    returns = imagined_returns(predict, reward, state, sequences)
    return sequences[returns.argmax()]


def cem(predict, reward, state, horizon, low, high, n_candidates=500, n_elites=50, n_iterations=5,
        mean=None, rng=None):
    """Cross-entropy method: random shooting, repeated around the best sequences of the last time.

        sequences ~ Normal(mean, spread) within the bounds;  mean, spread <- those of the elites

    Arguments as random_shooting's, and mean (H, da): where the search starts. None is mid-range.
    Returns the mean (H, da) of the last elites. ValueError as there, and for n_elites of 1 (its
    spread is 0) or more than n_candidates. Needs imagined_returns, float_bounds.

    >>> def move(states, actions): return states + actions
    >>> def near_one(states, actions, next_states): return -abs(next_states[:, 0] - 1)
    >>> cem(move, near_one, [0.0], horizon=1, low=-2, high=2, rng=0).round(2)
    array([[1.]])
    """
    rng = np.random.default_rng(rng)
    low, high = float_bounds(low, high)
    if n_iterations < 1 or not 2 <= n_elites <= n_candidates:
        raise ValueError("need n_iterations >= 1 and 2 <= n_elites <= n_candidates")
    if mean is None:
        mean = (low + high) / 2
    # A mean of the caller's may lie outside the bounds. Then nearly all candidates would be cut to
    # the same bound: all equally good, and the search would have nothing to choose from.
    mean = np.clip(mean, low, high)
    # The first search is wide: from the middle, each bound is one standard deviation away.
    spread = (high - low) / 2
    for _ in range(n_iterations):
        noise = rng.standard_normal((n_candidates, horizon, len(low)))
        sequences = np.clip(mean + spread * noise, low, high)       # (N, H, da)
        returns = imagined_returns(predict, reward, state, sequences)
        # The elites are the n_elites best, but never one of those whose model diverged.
        n_finite = np.isfinite(returns).sum()
        best = np.argsort(-returns)[:min(n_elites, n_finite)]
        # The next search is around the elites: near where they agree (say, on the first action), as
        # their spread is small there, and far around where they differ.
        mean = sequences[best].mean(axis=0)
        spread = sequences[best].std(axis=0)
    # Rounding can put the mean of numbers that all equal a bound a little beyond it.
    return np.clip(mean, low, high)


# %% Algorithm: the three recipes. (1) to (6) are the slides' numbers; "new" is what a recipe adds

def reset(env, seed=None):
    """The first state of an episode."""
    observation, info = env.reset(seed=seed)
    return np.array(observation, float)


def execute(env, state, actions, D):
    """Take the actions, from `state` on, until the episode ends; append each (s, a, s') to D.

    Returns the sum of rewards, the state reached and whether the episode is over.
    """
    total = 0.0
    for action in actions:
        # Copies of what goes in and comes out. Some environments return the same array each time
        # and overwrite it: D would then hold the last state, many times over.
        observation, reward, terminated, truncated, info = env.step(action.copy())
        next_state = np.array(observation, float)
        # If one number is NaN or infinite, so is the sum.
        if not np.isfinite(reward + next_state.sum()):
            raise ValueError("the environment returned a reward or state that is NaN or infinite")
        D.append((state, action, next_state))
        total += float(reward)
        state = next_state
        # Terminated or truncated: here it does not matter which, nothing more can be executed.
        over = terminated or truncated
        if over:
            break
    return total, state, over


def run_base_policy(env, n_episodes, seed):
    """(1) Run the base policy pi_0, here: actions drawn uniformly between the bounds.

    Returns D, the bounds low, high (da,), and the Generator that the planner is to use.
    """
    # Three separate streams of random numbers: for the environment, the base policy, the planner.
    # With one for all, a planner that draws more numbers would also change the luck of the rest,
    # and two planners could not be compared.
    seeds = np.random.default_rng(seed).integers(2**31, size=3).tolist()
    base_rng = np.random.default_rng(seeds[1])
    low, high = float_bounds(env.action_space.low, env.action_space.high)
    D = []
    # The environment is seeded once. If each reset got the seed, all episodes would have the same
    # luck.
    reset(env, seeds[0])
    for _ in range(n_episodes):
        state = reset(env)
        over = False
        while not over:
            total, state, over = execute(env, state, [base_rng.uniform(low, high)], D)
    return D, low, high, np.random.default_rng(seeds[2])


def as_arrays(D):
    """The list of transitions as three arrays: states, actions, next_states."""
    return [np.array([transition[i] for transition in D]) for i in range(3)]


def planning_v05(env, model, reward, n_base, seed=0, plan=cem, **settings):
    """Slide "Planning v0.5": learn once, plan once, execute blindly. Returns return, plan (H, da).

    env       a Gymnasium environment with continuous actions (a Box)
    model     has fit and predict as NeuralDynamics has
    reward    function of (states (N, ds), actions (N, da), next_states (N, ds)), gives (N,)
    n_base    episodes of the base policy
    plan      cem or random_shooting; all further settings go there: horizon, n_candidates, ...
    ValueError as the planner's, and for NaN from the environment. Needs cem, imagined_returns,
    float_bounds, reset, execute, run_base_policy, as_arrays.

    >>> env = PointMass()
    >>> total, actions = planning_v05(env, PhysicalModel(env), env.reward, n_base=1, horizon=30)
    >>> actions.shape, total > -60              # whoever stays at the start gets about -130
    ((30, 2), True)
    """
    # (1) run base policy pi_0(a|s) and collect D = {(s, a, s')_i}
    D, low, high, rng = run_base_policy(env, n_base, seed)
    # (2) learn the dynamics model p(s'|s, a) to minimize sum_i |p(s'|s, a) - s'_i|^2
    model.fit(*as_arrays(D))
    # (3) plan to choose actions (through the model: here pi_0 has no part any more).
    # The plan is the one with the best return in the model. So it leaves the data: the rewards are
    # high where pi_0 never came, and it prefers places where the model errs in its favour.
    state = reset(env)
    actions = plan(model.predict, reward, state, low=low, high=high, rng=rng, **settings)
    # Then execute them. v0.5 learns nothing from it: the new data go into a list of no use.
    total, state, over = execute(env, state, actions, [])
    return total, actions


def planning_v10(env, model, reward, n_base, n_rounds, seed=0, plan=cem, **settings):
    """Slide "Planning v1.0": v0.5, again and again, with what was executed as further data.

    Arguments and errors as planning_v05's. Returns the returns (n_rounds,) and D. Needs cem,
    imagined_returns, float_bounds, reset, execute, run_base_policy, as_arrays.

    >>> env = PointMass(n_steps=5)
    >>> returns, D = planning_v10(env, PhysicalModel(env), env.reward, 2, n_rounds=3, horizon=5)
    >>> returns.shape, len(D)                                   # (2 + 3) episodes of 5 steps
    ((3,), 25)
    """
    returns = np.zeros(n_rounds)
    # (1) run base policy pi_0(a|s) and collect D = {(s, a, s')_i}
    D, low, high, rng = run_base_policy(env, n_base, seed)
    for i in range(n_rounds):
        # (2) learn the dynamics model p(s'|s, a) to minimize sum_i |p(s'|s, a) - s'_i|^2
        model.fit(*as_arrays(D))
        # (3) plan to choose actions
        state = reset(env)
        actions = plan(model.predict, reward, state, low=low, high=high, rng=rng, **settings)
        # (4) new: execute the actions and add the resulting data {(s, a, s')_i} to D. Where the
        # model was wrong in the plan's favour, it now sees what really happens there.
        returns[i], state, over = execute(env, state, actions, D)
        # (5) new: go to (2)
    return returns, D


def planning_v15(env, model, reward, n_base, n_rounds, replan_every=1, seed=0, plan=cem,
                 **settings):
    """Slide "Planning v1.5 or Model Predictive Control": v1.0, and plan again on the way.

    Arguments as planning_v05's; replan_every: how many steps of each plan are executed (all, if
    the plan has fewer). Returns the returns (n_rounds,), D, and the plans of the last episode: a
    list of (state, actions). ValueError as there, and if replan_every or n_rounds is below 1.
    Needs cem, imagined_returns, float_bounds, reset, execute, run_base_policy, as_arrays.

    >>> env = PointMass(n_steps=5)
    >>> returns, D, plans = planning_v15(env, PhysicalModel(env), env.reward, 2, 3, horizon=4)
    >>> len(D), len(plans)                                      # a plan at each of the 5 steps
    (25, 5)
    """
    if replan_every < 1 or n_rounds < 1:
        raise ValueError("need replan_every >= 1 (or nothing is ever executed) and n_rounds >= 1")
    returns = np.zeros(n_rounds)
    # (1) run base policy pi_0(a|s) and collect D = {(s, a, s')_i}
    D, low, high, rng = run_base_policy(env, n_base, seed)
    for i in range(n_rounds):
        # (2) learn the dynamics model p(s'|s, a) to minimize sum_i |p(s'|s, a) - s'_i|^2
        model.fit(*as_arrays(D))
        state = reset(env)
        plans = []
        mean = None
        over = False
        while not over:
            # (3) plan to choose actions; new: from the state really reached, again and again. At
            # the end the plan reaches beyond the episode, but that part is never executed.
            actions = plan(model.predict, reward, state, low=low, high=high, rng=rng, mean=mean,
                           **settings)
            plans.append((state, actions))
            # (4) new: execute the first planned actions, observe s'
            # (5) append {(s, a, s')_i} to D
            total, state, over = execute(env, state, actions[:replan_every], D)
            returns[i] += total
            # The next search starts from the rest of this plan. Most of it is still right, so a
            # few candidates are enough. The rest moves to the front, because the actions before
            # it are done; else each action would come a step too late. Behind it, mid-range:
            # from there the search reaches all actions equally well. (Not 0: for bounds of 2 and 4
            # that is no action.) The spread starts wide again, so that mistakes can be mended.
            rest = actions[replan_every:]
            mean = np.full(actions.shape, (low + high) / 2)
            mean[:len(rest)] = rest
            # (6) new: go to (3), or every N steps to (2). Here N is one episode.
    return returns, D, plans


# %% Exact answers

# PhysicalModel gives them: it finds theta exactly, so a recipe that uses it plans with the true
# dynamics. What it still loses is the planner's fault, not the model's.


# %% What the experiments and panels below share

def run_seeds(n_runs, seed):
    """One seed per run. All methods get the same ones, so that they meet the same luck."""
    return np.random.default_rng(seed).integers(2**31, size=n_runs).tolist()


def play(recipe, seeds, exact=False, **settings):
    """A recipe, once per seed, each time with a new network, or with the exact model.

    Gives the returns, first axis runs; and of the last run the model and the recipe's result.
    """
    env = PointMass()
    returns = []
    for seed in seeds:
        model = PhysicalModel(env) if exact else NeuralDynamics(4, 2, HIDDEN, seed)
        result = recipe(env, model, env.reward, N_BASE, seed=seed, **settings)
        returns.append(result[0])
    return np.array(returns), model, result


def draw_band(ax, runs, color, style, label):
    """The mean of runs (n_runs, T), and a band in which the mean of endless runs would be."""
    x = np.arange(1, runs.shape[1] + 1)
    mean = runs.mean(axis=0)
    # The mean of n runs is off by about their spread / sqrt(n); in 95 % by less than twice that.
    error = runs.std(axis=0) / math.sqrt(len(runs))
    ax.fill_between(x, mean - 2 * error, mean + 2 * error, color=color, alpha=0.2)
    ax.plot(x, mean, style, color=color, label=label)


# %% Slides "Planning v0.5", "v0.5 - Fail", "works well in system identification", "Planning v1.5"

def draw_paths(ax, title, model, D, plans):
    """The plane from above. D ends with the episode to show; plans: a list of (state, actions)."""
    env = PointMass()
    states, _, _ = as_arrays(D)
    path = states[-env.n_steps:]
    ax.plot(states[:, 0], states[:, 1], ".", color=GREY, markersize=3)
    ax.plot(path[:, 0], path[:, 1], color=RED, linewidth=3)
    # What the model imagined of each plan: s_0 is where it was made, s_1 = p(s_0, a_0), ... The
    # model takes N states and actions. Here N = 1: [None] makes a row (1, ds) of a state (ds,).
    for state, actions in plans:
        imagined = [state[None]]
        for action in actions:
            imagined.append(model.predict(imagined[-1], action[None]))
        path = np.concatenate(imagined)
        ax.plot(path[:, 0], path[:, 1], "--", color=BLUE)
    # The hill, out to where it hardly pushes any more.
    ax.add_patch(plt.Circle(env.hill, 2 * env.width, color=GREY, alpha=0.2))
    for name, place in [("start", env.start), ("hill", env.hill), ("goal", env.goal)]:
        ax.text(place[0], place[1] + 0.3, name, weight="bold", backgroundcolor="#ffffffc0")
    ax.set(title=title, ylabel="y (m)", aspect="equal",
           xlabel="x (m)\ndots: data, line: executed, dashed: imagined")


# %% Slides "Planning v1.0 - can we do better" and "Planning v1.5": the recipes learn

def draw_learning(ax, v10, v15, open_loop, closed_loop):
    """v10, v15: returns (runs, rounds). With the true dynamics: open_loop is v0.5, closed_loop v1.5
    (runs,)."""
    draw_band(ax, v15, BLUE, "-", "v1.5: and replan at every step")
    draw_band(ax, v10, GREEN, "--", "v1.0: add data, fit again")
    ax.axhline(closed_loop.mean(), color=BLUE, linestyle=":", label="v1.5, true dynamics")
    ax.axhline(open_loop.mean(), color=GREEN, linestyle=":", label="v0.5, true dynamics")
    ax.set(title="v1.0 learns; v1.5 learns faster", ylabel="return of the episode",
           xlabel="episodes after those of the base policy", ylim=(2 * v10.mean(), None))
    ax.legend(loc="lower right")


# %% Slide "The more you replan", "can use shorter horizons", "even random sampling"

def compare_replanning(seeds):
    """Returns of v1.5 by steps between plans: for each of four planners an array (runs, intervals).

    With the true dynamics: all that replanning can repair here are the planner's own errors.
    """
    # Why does even an exact model lose if it plans only once? A plan of the whole episode has 60
    # numbers: too many for a few hundred sequences, and nothing mends the plan afterwards. With
    # replanning only its first actions count, and the next search goes on improving the rest.
    # Why is a shorter horizon better? A plan of 8 steps has only 16 numbers, so the same few
    # hundred sequences come nearer to the best one. And with a learned model, fewer errors add up.
    # Random shooting may draw as many sequences as CEM does in its 3 iterations of 100.
    random = dict(plan=random_shooting, n_candidates=300)
    curves = []
    for planner in [REPLAN, random]:
        for horizon in [HORIZON, 30]:
            curve = []
            for interval in INTERVALS:
                if interval <= horizon:
                    returns, _, _ = play(planning_v15, seeds, exact=True, n_rounds=1,
                                         horizon=horizon, replan_every=interval, **planner)
                    curve.append(returns[:, 0])
            curves.append(np.stack(curve, axis=1))
    return curves


def draw_replanning(ax, curves):
    draw_band(ax, curves[0], BLUE, "o-", "CEM, short plans")
    draw_band(ax, curves[1], BLUE, "o:", "CEM, whole episode")
    draw_band(ax, curves[2], RED, "s-", "random, short plans")
    draw_band(ax, curves[3], RED, "s:", "random, whole episode")
    ax.set_xticks(range(1, len(INTERVALS) + 1), INTERVALS)
    ax.set(title="v1.5: replan often, and plan short", ylabel="return of the episode",
           xlabel="steps between plans (30: only one plan)", ylim=(2 * curves[3].mean(), None))
    ax.legend(loc="lower left")


# %% The run: what is printed, and main

def row(what, measured, compare):
    """One printed line; `compare` says what the number should be near."""
    print(f"{what:46} | {measured:8.4g} | {compare}")


def run_all(axes, n_runs, seed):
    """All experiments, panels and printed lines. The paths are those of the last run."""
    print(f"{'what':46} | measured | compare")
    env = PointMass()
    seeds = run_seeds(n_runs, seed)
    for ax, exact, title in [(axes[0, 0], False, "v0.5 leaves the data, and fails"),
                             (axes[0, 1], True, "v0.5 works in system identification")]:
        v05, model, (_, plan) = play(planning_v05, seeds, exact, **OPEN_LOOP)
        # The return that the model promised in the last run: of N = 1 sequences, plan[None].
        promised = imagined_returns(model.predict, env.reward, env.start, plan[None])[0]
        # v0.5 returns no data, as it has no use for them. The same seed gives the same ones again.
        D, _, _, _ = run_base_policy(env, N_BASE, seeds[-1])
        execute(env, reset(env), plan, D)
        draw_paths(ax, title, model, D, [(env.start, plan)])
        row(f"{title}: return", v05.mean(), f"{promised:.1f}: what its model promised")

    v10, _, _ = play(planning_v10, seeds, n_rounds=N_ROUNDS, **OPEN_LOOP)
    v15, model, (_, D, plans) = play(planning_v15, seeds, n_rounds=N_ROUNDS, horizon=HORIZON,
                                     **REPLAN)
    draw_paths(axes[0, 2], "v1.5 makes a new plan at every step", model, D, plans)
    curves = compare_replanning(seeds)
    # After the loop above, v05 is the one with the true dynamics.
    draw_learning(axes[1, 0], v10, v15, v05, curves[0][:, 0])
    draw_replanning(axes[1, 1], curves)
    axes[1, 2].axis("off")
    row("v1.0: return of the last episode", v10[:, -1].mean(), "-46: mean of 40 other runs")
    row("v1.5: return of the last episode", v15[:, -1].mean(), "-28: mean of 40 other runs")
    row("true dynamics, CEM, replan at every step", curves[0][:, 0].mean(),
        "-27: mean of 40 other runs")
    row("true dynamics, CEM, one plan", curves[1][:, -1].mean(), "-68: mean of 40 other runs")
    row("true dynamics, random, replan at every step", curves[2][:, 0].mean(),
        "-40: mean of 40 other runs")


def main():
    # Without SUPPRESS an error message would begin with a list of all options.
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], usage=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=5, help="independent runs (default 5)")
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
        args.save = "mpc.png"
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
