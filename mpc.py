"""Model predictive control: plan with a learned model, execute a little, look, and plan again.

The slides, and where they are in this file
    How to build a model? (II)              NeuralDynamics, fitted to D = {(s, a, s')}
    Planning v0.5, and its fail             planning_v05, cem, draw_paths
    "works well in system identification"   planning_v05 with PhysicalModel
    Planning v1.0 - can we do better        planning_v10
    Planning v1.5 or MPC                    planning_v15, draw_curves
    "the more you replan", "shorter horizons", "even random sampling"    compare_replanning

The equations
    model    minimize sum_i |p(s_i, a_i) - s'_i|^2 over the weights of the model p
    plan     maximize R_1 + ... + R_H over the actions a_0 .. a_H-1, where s_t+1 = p(s_t, a_t)
    open loop: execute the plan blindly; closed loop: execute its start, look, plan again

Run it: python mpc.py (9 seconds). What you will see, and why
    v0.5 fails: its plan leads to where the base policy has never been, and there its model guesses.
    System identification works: physics has three unknown numbers, and they hold everywhere.
    v1.0 learns from its failures: they are data from the very places to which it plans to go.
    v1.5 also corrects itself on the way, and soon does as well as with the true dynamics.
    If you replan at every step, a short horizon is better, and even random plans are not bad.

Try: three changes of one line, and the question that each answers
    N_BASE = 40                     Is v0.5 saved by four times as much data of the base policy?
    horizon=3 in REPLAN             Can a horizon be too short?
    n_candidates=5000 in OPEN_LOOP  Why does v0.5 lose to v1.5 even with the true dynamics?

Notation
    s, a, s'        state (x, y, vx, vy), action (fx, fy), next state
    N, H, ds, da    how many at once, horizon; numbers in a state (4) and in an action (2)
    states, actions, next_states    arrays (N, ds), (N, da), (N, ds)
    plan            a sequence of actions (H, da); sequences are N of them (N, H, da)
    D               the slides' data, a list of (s, a, s')
    pi_0, p         base policy, model; predict is p as a function: states, actions -> next_states

Left out on purpose
    Learning the reward: it is known here, as in the recipes. Only the dynamics are learned.
    Noise: what replanning repairs here are the errors of the model and of the planner.

References
    Rubinstein & Kroese (2004), The Cross-Entropy Method: cem. Nagabandi et al. (2018), Neural
    Network Dynamics: v1.5 with random shooting. Chua et al. (2018), PETS: v1.5 with cem.
    Kingma & Ba (2015), Adam. Ross & Bagnell (2012), Agnostic System Identification: why v1.0.
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

# Episodes of the base policy: enough to know the surroundings of the start well.
N_BASE = 10
# Further episodes of v1.0 and v1.5, with a fit before each: v1.5 does not improve any more then.
N_ROUNDS = 8
# Units in a layer of the network: enough for one hill.
HIDDEN = 32
# v0.5 and v1.0 plan once for the whole episode of 30 steps. They may think long: 10 iterations.
OPEN_LOOP = dict(horizon=30, n_candidates=500, n_elites=50, n_iterations=10)
# v1.5 plans at each of the 30 steps, so a plan must be cheap. 8 steps lead from the start
# to below the hill, far enough to see that this way is good.
REPLAN = dict(horizon=8, n_candidates=100, n_elites=10, n_iterations=3)
# Steps between two plans of v1.5. After 30 the episode is over: then it has planned only once.
INTERVALS = (1, 2, 4, 8, 15, 30)

# Colours that colour-blind readers can tell apart.
BLUE, GREEN, RED, GREY = "#0072B2", "#009E73", "#D55E00", "#666666"


# %% Environment: a point mass, and a hill between start and goal

class PointMass:
    """A mass in the plane, to be pushed to a goal, around a hill that repels it. No chance.

    State (x, y, vx, vy) in m and m/s; action: the force (fx, fy), each within [-1, 1].
    theta = (gain, drag, hill): the three numbers that system identification has to find.
        v' = v + dt (gain force - drag v + hill push),  push = d exp(-|d|^2 / 2)
        position' = position + dt v',  d = (position - hill's centre) / hill's width
    Reward: minus the distance from position' to the goal. Truncated after n_steps.
    The interface is Gymnasium's; dynamics and reward are pure functions of N states at once.

    >>> PointMass().dynamics(np.zeros((1, 4)), np.array([[1.0, 0.0]])).round(2)
    array([[ 0.19, -0.24,  0.75, -0.97]])
    """

    def __init__(self, theta=(3.0, 1.5, 8.0), n_steps=30):
        self.theta = theta
        self.n_steps = n_steps
        self.dt = 0.25
        self.start = np.array([-2.0, 0.0, 0.0, 0.0])
        self.goal = np.array([2.0, 0.0])
        # The hill pushes with up to 4.9 (8 times 0.61, where |d| = 1), our force with 3 along each
        # axis. So the straight way is blocked, and below the hill is the shorter way around.
        self.hill = np.array([0.0, 0.4])
        self.width = 0.7
        self.observation_space = SimpleNamespace(shape=(4,))
        self.action_space = SimpleNamespace(shape=(2,), low=-np.ones(2), high=np.ones(2))

    def influences(self, states, actions):
        """What theta multiplies in v': force, brake and push, each (N, 2)."""
        # d points from the hill's centre to the mass, and so does the push.
        d = (states[:, :2] - self.hill) / self.width
        push = d * np.exp(-(d**2).sum(axis=1, keepdims=True) / 2)
        return np.clip(actions, -1, 1), -states[:, 2:], push

    def dynamics(self, states, actions):
        """Next states (N, 4) of states (N, 4) and actions (N, 2)."""
        gain, drag, hill = self.theta
        force, brake, push = self.influences(states, actions)
        velocities = states[:, 2:] + self.dt * (gain * force + drag * brake + hill * push)
        positions = states[:, :2] + self.dt * velocities
        return np.concatenate([positions, velocities], axis=1)

    def reward(self, states, actions, next_states):
        """Minus the distance to the goal (N,)."""
        return -np.linalg.norm(next_states[:, :2] - self.goal, axis=1)

    def reset(self, seed=None):
        self.t = 0
        self.state = self.start
        return self.state.copy(), {}

    def step(self, action):
        # The pure functions take N states and actions; here N = 1.
        state = self.state[None]
        action = np.array([action], float)
        next_state = self.dynamics(state, action)
        reward = self.reward(state, action, next_state)
        self.t += 1
        self.state = next_state[0]
        return self.state.copy(), float(reward[0]), False, self.t >= self.n_steps, {}


# %% Algorithm, step (2) of the recipes: learn the dynamics model

class NeuralDynamics:
    """A network with two hidden layers for s' = p(s, a). Slide "How to build a model? (II)".

        h1 = tanh(x W1 + b1),  h2 = tanh(h1 W2 + b2),  y = h2 W3 + b3,  x = (s, a),  y = s' - s

    y is the CHANGE of state, because s' is almost s. A network that has to output s' spends
    itself on copying its input; this one says "nothing changes" by an output of 0.

    fit(states (N, ds), actions (N, da), next_states (N, ds)) may be called again, with the old
    data and the new. predict(states, actions) gives next states (N, ds).
    ValueError if the data are empty, not finite or of other shapes. Copy along: scale.

    >>> s, a = np.random.default_rng(0).normal(size=(2, 500, 1))
    >>> model = NeuralDynamics(state_dim=1, action_dim=1).fit(s, a, s + 3 * a)
    >>> model.predict(np.array([[1.0]]), np.array([[0.5]])).round(1)    # 1 + 3 * 0.5
    array([[2.5]])
    """

    def __init__(self, state_dim, action_dim, hidden=64, seed=0):
        self.rng = np.random.default_rng(seed)
        self.weights = []
        sizes = [state_dim + action_dim, hidden, hidden, state_dim]
        for n_in, n_out in zip(sizes, sizes[1:]):
            # A sum of n inputs of size 1 with weights of size 1 / sqrt(n) has size 1 again. Larger
            # weights would push tanh to -1 or 1, where its slope is 0: nothing could be learned.
            W = self.rng.normal(0, n_in**-0.5, (n_in, n_out))
            # float32 takes half the time of float64. It rounds at the 7th digit; the model's own
            # error is in the 2nd.
            self.weights.append(W.astype(np.float32))
            self.weights.append(np.zeros(n_out, np.float32))
        self.x_mean = None      # known after the first fit

    def forward(self, x):
        """Both hidden layers (N, hidden) and the output (N, ds) for inputs x (N, ds + da)."""
        W1, b1, W2, b2, W3, b3 = self.weights
        # The same as h1 = np.tanh(x @ W1 + b1), but in one array in place of three: with
        # 1,000 sequences a plan takes a fifth longer if the two others have to be made.
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
        # A delta says how the loss changes with the sums in a layer, before any tanh. We know it
        # for the last layer, and go back from there. The derivative of (y - target)^2 is twice
        # the difference.
        delta3 = 2 * (y - target) / len(x)                  # (N, ds)
        # Unit j of layer 2 acts on all outputs, through row j of W3, so it collects their deltas
        # with these weights: that is the product with W3.T. Then back through tanh, whose slope
        # at an output of h is 1 - h^2.
        delta2 = delta3 @ W3.T * (1 - h2**2)                # (N, hidden)
        # The same once more, from layer 2 to layer 1.
        delta1 = delta2 @ W2.T * (1 - h1**2)                # (N, hidden)
        # A weight's derivative is (what came in) times (delta), summed over the N examples; a
        # bias always has a 1 coming in.
        return [x.T @ delta1, delta1.sum(axis=0),
                h1.T @ delta2, delta2.sum(axis=0),
                h2.T @ delta3, delta3.sum(axis=0)]

    def fit(self, states, actions, next_states, n_epochs=100, batch_size=128, learning_rate=5e-3):
        x = np.concatenate([states, actions], axis=1)
        y = np.subtract(next_states, states)
        finite = np.isfinite(x).all() and np.isfinite(y).all()
        if len(x) == 0 or np.shape(states) != np.shape(next_states) or not finite:
            raise ValueError("fit needs finite states (N, ds), actions (N, da), "
                             "next_states (N, ds), and N at least 1")
        # Standardize: subtract the mean of each column, divide by its standard deviation. Else a
        # speed of 100 would drown a position of 0.1 in the sums of layer 1, and in the loss a
        # change of 100 would drown one of 0.1.
        # A second fit computes the means anew, as new data may lie far outside the old range. The
        # old weights then stand for a somewhat different function. That does no harm: they are
        # only where the new fit starts, closer to the answer than random ones, and it mends them.
        self.x_mean, self.x_std = scale(x)
        self.y_mean, self.y_std = scale(y)
        x = ((x - self.x_mean) / self.x_std).astype(np.float32)
        y = ((y - self.y_mean) / self.y_std).astype(np.float32)
        # Adam keeps two running means for each weight: m of its gradients g, v of their squares.
        m = [np.zeros_like(weight) for weight in self.weights]
        v = [np.zeros_like(weight) for weight in self.weights]
        n_updates = n_epochs * math.ceil(len(x) / batch_size)
        k = 0
        for _ in range(n_epochs):
            # One epoch: all the data once, in a new order, in small batches.
            order = self.rng.permutation(len(x))
            for first in range(0, len(x), batch_size):
                batch = order[first:first + batch_size]
                # The steps shrink to 0 during the fit, or the weights would tremble to the end.
                step_size = learning_rate * (1 - k / n_updates)
                k += 1
                for i, g in enumerate(self.gradients(x[batch], y[batch])):
                    # m and v move a small part of the way to what is new: 10 %, 0.1 %.
                    m[i] += 0.1 * (g - m[i])
                    v[i] += 0.001 * (g**2 - v[i])
                    # Both start at 0, so at first they are too small: after one update m is 0.1 g
                    # and v is 0.001 g^2. Dividing by 1 - 0.9^k and 1 - 0.999^k (0.1 and 0.001 for
                    # k = 1) makes up for it; later these are nearly 1.
                    m_hat = m[i] / (1 - 0.9**k)
                    v_hat = v[i] / (1 - 0.999**k)
                    # A step against the gradient. Dividing by its usual size gives each weight
                    # steps of about step_size, whether its gradients are large or small.
                    self.weights[i] -= step_size * m_hat / (np.sqrt(v_hat) + 1e-8)
        return self

    def predict(self, states, actions):
        if self.x_mean is None or np.ndim(states) != 2:
            raise ValueError("call fit first; then predict takes states (N, ds) and actions "
                             "(N, da): a single state is (1, ds)")
        # Into the network's units, through it, and back into ours.
        x = np.concatenate([states, actions], axis=1)
        x = ((x - self.x_mean) / self.x_std).astype(np.float32)
        h1, h2, y = self.forward(x)
        return states + self.y_mean + self.y_std * y


def scale(x):
    """Mean and standard deviation of each column."""
    mean = x.mean(axis=0)
    std = x.std(axis=0)
    # A column that never changes has nothing to scale, and 0 to divide by.
    std[std <= 1e-9 * np.abs(mean)] = 1.0
    return mean, std


class PhysicalModel:
    """System identification: the form of PointMass is known, its three numbers theta are fitted.

    Slide "Planning v0.5". Least squares: minimize sum_i |theta . influences_i - acceleration_i|^2.

    >>> env = PointMass(theta=(2.0, 1.0, 5.0))
    >>> states, actions = np.random.default_rng(0).normal(size=(2, 20, 4))
    >>> next_states = env.dynamics(states, actions[:, :2])
    >>> PhysicalModel(env).fit(states, actions[:, :2], next_states).theta.round(3)
    array([2., 1., 5.])
    """

    def __init__(self, env):
        self.env = env

    def fit(self, states, actions, next_states, n_epochs=None):
        """Solved at once: n_epochs is only there because a network needs it."""
        # Each transition gives two equations, one for x and one for y, of the same form:
        #     gain force + drag brake + hill push = (v' - v) / dt
        # These are 2N equations for 3 unknowns, each of which has a column of the matrix (2N, 3).
        force, brake, push = self.env.influences(states, actions)
        columns = np.stack([force.ravel(), brake.ravel(), push.ravel()], axis=1)
        acceleration = (next_states - states)[:, 2:] / self.env.dt
        self.theta = np.linalg.lstsq(columns, acceleration.ravel(), rcond=None)[0]
        return self

    def predict(self, states, actions):
        return PointMass(self.theta).dynamics(states, actions)


# %% Algorithm, step (3) of the recipes: plan through the model

def imagined_returns(predict, reward, state, sequences):
    """Returns (N,) of N action sequences (N, H, da), imagined with the model, all from `state`."""
    n_sequences, horizon, _ = sequences.shape
    # All N walk side by side: H calls of the model in place of N times H. Each starts at the real
    # state, in a row of its own (a copy, so that no model can change the state itself).
    states = np.tile(state, (n_sequences, 1))
    returns = np.zeros(n_sequences)
    for t in range(horizon):
        actions = sequences[:, t]
        # s_t+1 = p(s_t, a_t) is learned, R_t+1 = r(s_t, a_t, s_t+1) is known.
        next_states = predict(states, actions)
        rewards = reward(states, actions, next_states)
        if np.shape(rewards) != (n_sequences,):
            raise ValueError(f"reward must return one number per state, shape ({n_sequences},)")
        returns += rewards
        states = next_states
    # A model may diverge, to infinity or NaN. Such a sequence must lose. Careful: NaN set to 0
    # would win wherever rewards are negative, and argmax takes NaN for the largest number.
    returns[~np.isfinite(returns)] = -np.inf
    if returns.max() == -np.inf:
        raise ValueError("no sequence has a finite return: check predict, reward and the bounds")
    return returns


def float_bounds(low, high):
    """The bounds of an action as arrays of floats (da,)."""
    # Floats, because the bounds may be int8. The middle of 100 and 120 is -18 there: the sum is
    # too large for a small integer and starts again from below.
    low, high = np.broadcast_arrays(np.atleast_1d(low), high)
    low = low.astype(float)
    high = high.astype(float)
    if not np.all((low <= high) & np.isfinite(high - low)):
        raise ValueError("the bounds of an action must be finite, low <= high")
    return low, high


def random_shooting(predict, reward, state, horizon, low, high, n_candidates=1000, mean=None,
                    rng=None):
    """Draw N random sequences of actions, imagine each with the model, return the best (H, da).

    Slide "Planning v1.5": "even random sampling can often work well".
    predict(states, actions) and reward(states, actions, next_states) take N states at once. The
    state (ds,) is where the plan starts. low, high: (da,) or numbers. rng: Generator or seed.
    mean is what cem uses; here it has no use, but so a recipe can have either as its planner.
    ValueError if the horizon is below 1, the bounds are wrong or all returns NaN or infinite.
    Copy along: imagined_returns, float_bounds.

    >>> def move(states, actions): return states + actions
    >>> def near_one(states, actions, next_states): return -abs(next_states[:, 0] - 1)
    >>> random_shooting(move, near_one, [0.0], horizon=1, low=-2, high=2, rng=0).round(1)
    array([[1.]])
    """
    rng = np.random.default_rng(rng)
    low, high = float_bounds(low, high)
    if horizon < 1:
        raise ValueError("the horizon must be at least 1")
    sequences = rng.uniform(low, high, (n_candidates, horizon, len(low)))
    returns = imagined_returns(predict, reward, state, sequences)
    return sequences[returns.argmax()]


def cem(predict, reward, state, horizon, low, high, n_candidates=500, n_elites=50, n_iterations=5,
        mean=None, rng=None):
    """Cross-entropy method: random shooting, repeated around the best sequences of the last time.

        sequences ~ Normal(mean, spread) within the bounds;  mean, spread <- those of the elites

    Arguments as random_shooting's, and mean (H, da): where the search starts, or mid-range.
    Returns the mean (H, da) of the last elites. ValueError as there, and for n_elites of 1 (its
    spread is 0) or more than n_candidates. Copy along: imagined_returns, float_bounds.

    >>> def move(states, actions): return states + actions
    >>> def near_one(states, actions, next_states): return -abs(next_states[:, 0] - 1)
    >>> cem(move, near_one, [0.0], horizon=1, low=-2, high=2, rng=0).round(2)
    array([[1.]])
    """
    rng = np.random.default_rng(rng)
    low, high = float_bounds(low, high)
    if horizon < 1 or n_iterations < 1 or not 2 <= n_elites <= n_candidates:
        raise ValueError("need horizon, n_iterations >= 1 and 2 <= n_elites <= n_candidates")
    if mean is None:
        mean = np.tile((low + high) / 2, (horizon, 1))
    # A start outside the bounds would be hopeless: nearly all candidates would be cut to one and
    # the same bound, be equally good, and the search would have nothing to choose from.
    mean = np.clip(mean, low, high)
    spread = np.tile((high - low) / 2, (horizon, 1))
    for _ in range(n_iterations):
        noise = rng.standard_normal((n_candidates, *spread.shape))
        sequences = np.clip(mean + spread * noise, low, high)       # (N, H, da)
        returns = imagined_returns(predict, reward, state, sequences)
        # The elites: the n_elites best, or fewer if the others' returns are not even finite.
        best = np.argsort(-returns)[:n_elites]
        best = best[returns[best] > -np.inf]
        # Not only the mean moves to the elites, the spread too is theirs. Where they agree (say, on
        # the first action) the next search is fine, where they differ it stays wide. With the
        # spread of the start, the last search would be as coarse as the first.
        mean = sequences[best].mean(axis=0)
        spread = sequences[best].std(axis=0)
    return np.clip(mean, low, high)     # rounding can put a mean of equal numbers beyond them


# %% Algorithm: the three recipes. (1) to (6) are the slides' numbers; "new" is what a recipe adds

def reset(env, seed=None):
    """The first state of an episode, copied (see execute)."""
    observation, info = env.reset(seed=seed)
    return np.array(observation, float)


def execute(env, state, actions, D):
    """Take the actions, from `state` on, until the episode ends; append each (s, a, s') to D.

    Returns the sum of rewards, the state reached and whether the episode is over.
    """
    total = 0.0
    over = False
    for action in actions:
        observation, reward, terminated, truncated, info = env.step(action.copy())
        # A copy, because some environments hand out one array and overwrite it at each step. D
        # would then hold the last state, many times over.
        next_state = np.array(observation, float)
        reward = float(reward)
        if not (np.isfinite(reward) and np.isfinite(next_state).all()):
            raise ValueError("the environment returned a reward or state that is NaN or infinite")
        D.append((state, action.copy(), next_state))
        total += reward
        state = next_state
        # For a sum of rewards the two ends are the same: nothing more can be executed.
        over = terminated or truncated
        if over:
            break
    return total, state, over


def run_base_policy(env, n_episodes, seed):
    """(1) Run the base policy pi_0, here: actions drawn uniformly. Returns D, and what any planner
    has to be given besides: low, high, and a Generator of its own.
    """
    # Three separate streams of random numbers: for the environment, the base policy, the planner.
    # With one for all, a planner that draws more numbers would also change the luck of the rest,
    # and two planners could not be compared.
    env_seed, base_seed, plan_seed = np.random.default_rng(seed).integers(2**31, size=3).tolist()
    base_rng = np.random.default_rng(base_seed)
    low, high = float_bounds(env.action_space.low, env.action_space.high)
    D = []
    # Seeded once: with the same seed in each reset, all episodes would have the same luck.
    reset(env, env_seed)
    for _ in range(n_episodes):
        state = reset(env)
        over = False
        while not over:
            total, state, over = execute(env, state, [base_rng.uniform(low, high)], D)
    return D, dict(low=low, high=high, rng=np.random.default_rng(plan_seed))


def columns(D):
    """The list of transitions as three arrays: states, actions, next states."""
    states = np.array([transition[0] for transition in D])
    actions = np.array([transition[1] for transition in D])
    next_states = np.array([transition[2] for transition in D])
    return states, actions, next_states


def planning_v05(env, model, reward, n_base, seed=0, plan=cem, n_epochs=150, **settings):
    """Slide "Planning v0.5": learn once, plan once, execute blindly. Returns return, plan (H, da).

    env       a Gymnasium environment whose actions are a Box
    model     has fit and predict as NeuralDynamics has
    reward    function of (states (N, ds), actions (N, da), next_states (N, ds)), gives (N,)
    n_base    episodes of the base policy
    plan      cem or random_shooting; settings go there: horizon (as long as the episode), ...
    ValueError as the planner's; also for NaN from the environment. Copy along, for all three
    recipes: cem, imagined_returns, float_bounds, reset, execute, run_base_policy, columns.

    >>> env = PointMass()
    >>> total, actions = planning_v05(env, PhysicalModel(env), env.reward, n_base=1, horizon=30)
    >>> actions.shape, total > -60                              # doing nothing: -130
    ((30, 2), True)
    """
    # (1) run base policy pi_0(a|s) and collect D = {(s, a, s')_i}
    D, given = run_base_policy(env, n_base, seed)
    # (2) learn the dynamics model p(s'|s, a) to minimize sum_i |p(s'|s, a) - s'_i|^2
    model.fit(*columns(D), n_epochs=n_epochs)
    # (3) plan through the model to choose actions (the slide says: through pi_0).
    # The planner takes what has the best return in the model. So it leaves the data: rewards beyond
    # are high, and it prefers the very places where the model is wrong in its favour.
    state = reset(env)
    actions = plan(model.predict, reward, state, **given, **settings)
    # Then execute them. v0.5 learns nothing from it: the transitions go into a list of no use.
    total, state, over = execute(env, state, actions, [])
    return total, actions


def planning_v10(env, model, reward, n_base, n_rounds, seed=0, plan=cem, n_epochs=150, **settings):
    """Slide "Planning v1.0": v0.5, again and again, with what was executed as further data.

    Arguments as planning_v05's. Returns the returns (n_rounds,) and D.

    >>> env = PointMass(n_steps=5)
    >>> returns, D = planning_v10(env, PhysicalModel(env), env.reward, 2, n_rounds=3, horizon=5)
    >>> returns.shape, len(D)                                   # (2 + 3) episodes of 5 steps
    ((3,), 25)
    """
    returns = np.zeros(n_rounds)
    # (1) run base policy pi_0(a|s) and collect D = {(s, a, s')_i}
    D, given = run_base_policy(env, n_base, seed)
    for i in range(n_rounds):
        # (2) learn the dynamics model p(s'|s, a) to minimize sum_i |p(s'|s, a) - s'_i|^2
        model.fit(*columns(D), n_epochs=n_epochs)
        # (3) plan through the model to choose actions
        state = reset(env)
        actions = plan(model.predict, reward, state, **given, **settings)
        # (4) new: execute the actions and add the resulting data {(s, a, s')_i} to D. Where the
        # model was wrong in the plan's favour, it now sees what really happens there.
        returns[i], state, over = execute(env, state, actions, D)
        # (5) new: go to (2)
    return returns, D


def planning_v15(env, model, reward, n_base, n_rounds, replan_every=1, seed=0, plan=cem,
                 n_epochs=150, **settings):
    """Slide "Planning v1.5 or Model Predictive Control": v1.0, and plan again on the way.

    Arguments as planning_v05's; replan_every: how many steps of each plan are executed (of a
    shorter plan all). Returns the returns (n_rounds,), D, and the plans of the last episode: a
    list of (state, actions). ValueError if replan_every or n_rounds
    is below 1.

    >>> env = PointMass(n_steps=5)
    >>> returns, D, plans = planning_v15(env, PhysicalModel(env), env.reward, 2, 3, horizon=4)
    >>> len(D), len(plans)                                      # a plan at each of the 5 steps
    (25, 5)
    """
    if replan_every < 1 or n_rounds < 1:
        raise ValueError("need replan_every >= 1 (or nothing is ever executed) and n_rounds >= 1")
    returns = np.zeros(n_rounds)
    # (1) run base policy pi_0(a|s) and collect D = {(s, a, s')_i}
    D, given = run_base_policy(env, n_base, seed)
    for i in range(n_rounds):
        # (2) learn the dynamics model p(s'|s, a) to minimize sum_i |p(s'|s, a) - s'_i|^2
        model.fit(*columns(D), n_epochs=n_epochs)
        state = reset(env)
        plans = []
        mean = None
        over = False
        while not over:
            # (3) plan through the model to choose actions; new: from the state really reached
            actions = plan(model.predict, reward, state, mean=mean, **given, **settings)
            plans.append((state, actions))
            # (4) new: execute the first planned actions, observe s'
            # (5) append {(s, a, s')_i} to D
            total, state, over = execute(env, state, actions[:replan_every], D)
            returns[i] += total
            # (6) new: go to (3), or at the end of the episode to (2).
            # The next search starts from the rest of this plan, because most of it is still right:
            # so a few candidates are enough. The plan is shifted, as its first actions are done.
            # Unshifted, each action would come a step too late. What is missing at the end becomes
            # mid-range, from where the search reaches all actions equally well. (Not 0: that need
            # not even be allowed.)
            rest = actions[replan_every:]
            missing = np.tile((given["low"] + given["high"]) / 2, (len(actions) - len(rest), 1))
            mean = np.concatenate([rest, missing])
    return returns, D, plans


# %% Exact answers

# There is no function for them. PhysicalModel finds theta exactly (a printed line says so), so a
# recipe that uses it plans with the true dynamics. What it still loses is the planner's fault.


# %% What all experiments and panels below use

def run_seeds(n_runs, seed):
    """One seed per run. All methods get the same ones, so that they meet the same luck."""
    return np.random.default_rng(seed).integers(2**31, size=n_runs).tolist()


def networks(seeds):
    """A new network for each run."""
    return [NeuralDynamics(4, 2, HIDDEN, seed) for seed in seeds]


def play(recipe, env, models, seeds, **settings):
    """A recipe once per run. Its returns, first axis runs; and all it gave in the first run."""
    results = []
    for model, seed in zip(models, seeds):
        results.append(recipe(env, model, env.reward, seed=seed, **settings))
    return np.array([result[0] for result in results]), results[0]


def imagine(predict, state, actions):
    """The states (H + 1, ds) that a model, or the truth, goes through under one plan."""
    states = [state]
    for action in actions:
        states.append(predict(states[-1][None], action[None])[0])
    return np.array(states)


def mean_error(env, model, states, actions):
    """How wrong one predicted step is: the mean of |p(s, a) - s'| over N pairs (s, a)."""
    errors = model.predict(states, actions) - env.dynamics(states, actions)
    return np.linalg.norm(errors, axis=1).mean()


def draw_band(ax, x, runs, color, style, label):
    """The mean of the runs (first axis), with a band of two standard errors: about 95 %."""
    mean = runs.mean(axis=0)
    error = runs.std(axis=0) / math.sqrt(max(len(runs) - 1, 1))
    ax.fill_between(x, mean - 2 * error, mean + 2 * error, color=color, alpha=0.2, linewidth=0)
    ax.plot(x, mean, style, color=color, label=label)


def draw_paths(ax, env, title, data, executed, imagined):
    """The plane from above: states learned from, a path, and what the model imagined (a list)."""
    ax.plot(data[:, 0], data[:, 1], ".", color=GREY, markersize=3, label="data")
    ax.plot(executed[:, 0], executed[:, 1], color=RED, linewidth=3, label="executed")
    for path in imagined:
        ax.plot(path[:, 0], path[:, 1], "--", color=BLUE)
    ax.plot([], [], "--", color=BLUE, label="imagined")     # for the legend: one entry, not thirty
    # The hill. At the edge of the inner circle it pushes most.
    for radius in (env.width, 2 * env.width):
        ax.add_patch(plt.Circle(env.hill, radius, color=GREY, alpha=0.2, linewidth=0))
    for name, place in [("hill", env.hill), ("start", env.start[:2]), ("goal", env.goal)]:
        ax.annotate(name, place, (0, 8), textcoords="offset points", ha="center",
                    backgroundcolor="#ffffffb0")
    # All panels show the same part of the plane, although some data and paths leave it.
    size = 0.9 * (env.goal[0] - env.start[0])
    ax.set(title=title, xlabel="x (m)", ylabel="y (m)", aspect="equal",
           xlim=(-size, size), ylim=(-0.8 * size, 0.6 * size))
    ax.legend(loc="lower center", ncols=3, fontsize=9)


# %% Slides "Planning v0.5", "Planning v0.5 - Fail" and "works well in system identification"

def run_v05(env, models, seeds):
    """Returns (runs,); of the first run the plan, its path as imagined and as executed."""
    returns, result = play(planning_v05, env, models, seeds, n_base=N_BASE, **OPEN_LOOP)
    plan = result[1]
    imagined = imagine(models[0].predict, env.start, plan)
    return returns, plan, imagined, imagine(env.dynamics, env.start, plan)


# %% Slides "Planning v1.0 - can we do better" and "Planning v1.5": the recipes learn

def draw_curves(ax, v05, v10, v15, open_loop, closed_loop):
    """Returns of v1.0 and v1.5 (runs, rounds), the others (runs,)."""
    rounds = np.arange(1, v10.shape[1] + 1)
    draw_band(ax, rounds, v10, GREEN, "--", "v1.0: add data, fit again")
    draw_band(ax, rounds, v15, BLUE, "-", "v1.5: and replan at every step")
    for name, runs in [("v0.5", v05), ("v0.5, true dynamics", open_loop),
                       ("v1.5, true dynamics", closed_loop)]:
        ax.axhline(runs.mean(), color=GREY, linewidth=0.8)
        ax.text(rounds[-1], runs.mean(), f"{name}: {runs.mean():.1f}", color=GREY, ha="right",
                va="bottom")
    ax.set(title="v1.0 learns; v1.5 learns faster", ylabel="return of the episode",
           xlabel="episodes after those of the base policy", ylim=(1.5 * v05.mean(), 0))
    ax.legend(loc="lower right")


# %% Slide "The more you replan", "can use shorter horizons", "even random sampling"

def compare_replanning(env, models, seeds):
    """Returns (4 planners, intervals, runs) of v1.5; NaN where the interval exceeds the horizon."""
    # With the true dynamics: all that replanning can repair here are the planner's own errors.
    # Why does even an exact model lose if it plans only once? A plan of the whole episode has 60
    # numbers: too many for a few hundred sequences, and nothing mends the plan afterwards. With
    # replanning only its first actions count, and the next search goes on improving the rest.
    # Why is a shorter horizon better? A plan of 8 steps has 16 numbers, which as many sequences
    # search more finely. (For CEM at every step, ten times as many sequences make up for nearly
    # half of what the long horizon loses.) A learned model's errors would also add up for longer.
    returns = np.full((4, len(INTERVALS), len(seeds)), np.nan)
    # Random shooting draws as many sequences as CEM does in all its iterations.
    random = dict(plan=random_shooting, horizon=REPLAN["horizon"],
                  n_candidates=REPLAN["n_candidates"] * REPLAN["n_iterations"])
    whole = env.n_steps
    planners = [REPLAN, random, dict(REPLAN, horizon=whole), dict(random, horizon=whole)]
    for i, settings in enumerate(planners):
        for j, interval in enumerate(INTERVALS):
            if interval <= settings["horizon"]:
                totals, _ = play(planning_v15, env, models, seeds, n_base=1, n_rounds=1,
                                 replan_every=interval, **settings)
                returns[i, j] = totals[:, 0]
    return returns


def draw_replanning(ax, returns):
    draw_band(ax, INTERVALS, returns[0].T, BLUE, "o-", "CEM, short horizon")
    draw_band(ax, INTERVALS, returns[2].T, BLUE, "o:", "CEM, whole episode")
    draw_band(ax, INTERVALS, returns[1].T, RED, "s-", "random, short horizon")
    draw_band(ax, INTERVALS, returns[3].T, RED, "s:", "random, whole episode")
    # Long random plans gain nothing from replanning more often than every 4 steps (in 30
    # runs). The lower limit makes room for the legend.
    ax.set(title="v1.5: replanning, short plans help", xscale="log", ylabel="return",
           xlabel="steps between plans (last: never again)", ylim=(1.6 * np.nanmin(returns), None))
    ax.set_xticks(INTERVALS, INTERVALS)
    ax.minorticks_off()
    ax.legend(loc="lower left", fontsize=9)


# %% The run: what is printed, and main

def row(what, measured, compare):
    """One printed line; `compare` says what the number should be near, and why."""
    print(f"{what:50} | {measured:8.4g} | {compare}")


def run_all(axes, n_runs, seed):
    """All experiments, panels and printed lines. The pictures of paths show the first run."""
    print(f"{'what':50} | measured | compare")
    env = PointMass()
    seeds = run_seeds(n_runs, seed)
    physics = [PhysicalModel(env)] * n_runs
    # Three networks per run, one for each recipe, with the same random weights at first.
    nets05, nets10, nets15 = networks(seeds), networks(seeds), networks(seeds)
    rounds = dict(n_base=N_BASE, n_rounds=N_ROUNDS)
    v15, result15 = play(planning_v15, env, nets15, seeds, **rounds, **REPLAN)
    states, actions, _ = columns(result15[1])
    # D begins with the base policy's episodes, the same for all recipes, and ends with the last.
    T = env.n_steps
    base, base_actions = states[:N_BASE * T], actions[:N_BASE * T]

    v05, plan, imagined, executed = run_v05(env, nets05, seeds)
    draw_paths(axes[0, 0], env, "v0.5: the plan leaves the data, and fails",
               base, executed, [imagined])
    row("v0.5: return", v05.mean(), "-86 in many runs")
    row("v0.5's model: error of a step in its data",
        mean_error(env, nets05[0], base, base_actions), "small: it was fitted to them")
    row("v0.5's model: error along the path it imagined",
        mean_error(env, nets05[0], imagined[:-1], plan), "large: the mismatch")
    row("v1.5's model: error where v1.5 went last",
        mean_error(env, nets15[0], states[-T:], actions[-T:]), "small: there are data now")

    open_loop, plan, imagined, executed = run_v05(env, physics, seeds)
    draw_paths(axes[0, 1], env, "v0.5, system identification: works",
               base, executed, [imagined])
    row("system identification: largest error of theta",
        np.abs(physics[0].theta - env.theta).max(), "0: exact, up to rounding")
    row("v0.5, system identification: return", open_loop.mean(), "-36 with the true dynamics")

    v10, result = play(planning_v10, env, nets10, seeds, **rounds, **OPEN_LOOP)
    states10, actions10, _ = columns(result[1])
    imagined = imagine(nets10[0].predict, env.start, actions10[-T:])
    draw_paths(axes[0, 2], env, "v1.0: its failures have become data", states10,
               states10[-T:], [imagined])
    tails = [imagine(nets15[0].predict, state, tail) for state, tail in result15[2]]
    draw_paths(axes[1, 0], env, "v1.5: a new plan at every step", states, states[-T:], tails)
    closed_loop, _ = play(planning_v15, env, physics, seeds, n_base=1, n_rounds=1, **REPLAN)
    draw_curves(axes[1, 1], v05, v10, v15, open_loop, closed_loop)
    row("v1.0: return of the last episode", v10[:, -1].mean(),
        f"{open_loop.mean():.1f}, v0.5 with the true dynamics")
    row("v1.5: return of the last episode", v15[:, -1].mean(),
        f"{closed_loop.mean():.1f}, v1.5 with the true dynamics")

    returns = compare_replanning(env, physics, seeds)
    draw_replanning(axes[1, 2], returns)
    for i, name in enumerate(["CEM", "random shooting"]):
        row(f"{name}: a short plan at every step", returns[i, 0].mean(), "much more than ...")
        row(f"{name}: one plan of the whole episode", returns[i + 2, -1].mean(), "... this")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], usage=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=5, help="independent runs (default 5)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random numbers (default 0)")
    parser.add_argument("--save", metavar="FILE", help="write the figure here: png, pdf or svg")
    # In a notebook's cell the command line belongs to the kernel, not to this script.
    args = parser.parse_args([] if "ipykernel" in sys.argv[0] else None)
    if args.runs < 1 or args.seed < 0:
        parser.error("--runs must be at least 1 and --seed at least 0")
    plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})
    fig, axes = plt.subplots(2, 3, figsize=(12.8, 7.6), layout="constrained")
    if args.save is None and plt.get_backend().lower() == "agg":        # there is no display
        args.save = "mpc.png"
    if args.save:
        try:
            fig.savefig(args.save)      # refuse a bad file name now, not after the work
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
