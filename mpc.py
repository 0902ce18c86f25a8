"""Model predictive control: plan with a learned model, execute a little, look, and plan again.

The slides, and where they are in this file
    How to build a model? (II)                  NeuralDynamics, fitted to D = {(s, a, s')}
    Planning v0.5, Fail, system identification  planning_v05, PhysicalModel, show_v05
    Planning v1.0, v1.5 or MPC                  planning_v10, planning_v15, cem, show_learning
    "The more you replan ...", "shorter horizons", "even random sampling"  show_replanning
The equations
    model  find weights of the model p that make the sum of |p(s, a) - s'|^2 over D small
    plan   find actions that make the sum of rewards large along s1 = p(s0, a0), s2 = p(s1, a1)...
Run it: python mpc.py (10 seconds). What you will see, and why
    v0.5 fails: its plan leads to places where the base policy never was. There the model is wrong.
    System identification works: it only has to find the strengths of three forces.
    v1.0 learns from its failures: they give data from the places where the plans have led. v1.5
    also plans anew at each step, from the state really reached. So it corrects its errors on the
    way, and soon does as well as with the true dynamics. If you replan at every step, each search
    can be short: it tries only a few hundred plans. Among so few, a good plan of 8 steps is found
    more easily than one of 30: so here the shorter horizon is better, and with it even random
    shooting is not bad.
Try, after reading: change one number in the second half of the file
    N_BASE = 40                     Can more data from the base policy save v0.5?
    n_iterations=100 in OPEN_LOOP   Does a longer search for its plan save v0.5?
    horizon=2 for v1.5 in run_all   Can the horizon of v1.5 be too short?
Notation
    s, a, s'    a state of ds numbers, an action of da numbers, the next state: (ds,), (da,), (ds,)
    D           the data: a list of (s, a, s'). Models and rewards take N of them at once, as
                arrays: states (N, ds), actions (N, da), next_states (N, ds)
    plans       a plan has H actions (H is the horizon): (H, da). N plans are (N, H, da)
"Needs f, g" in a docstring: whoever copies the function must copy f and g, too.
Left out on purpose: learning the reward (it is known here), next states that depend on chance,
ends of episodes (models and planners do not know that an episode may end).
References: Rubinstein & Kroese (2004): cem. Nagabandi et al. (2018), Chua et al. (2018): v1.5.
"""

import argparse
import sys
from types import SimpleNamespace       # an object that has just the attributes we name

import matplotlib.pyplot as plt
import numpy as np

# %% Environment: a point mass, and a hill between start and goal
class PointMass:
    """For slides "Planning v0.5" to "v1.5": we push a mass from (-2, 0) to (2, 0), around a hill.
    State (x, y, vx, vy) in m and m/s. Action: our force (fx, fy), each within [-1, 1]. A step is
        d = (position - hill) / 0.7,  push = d exp(-|d|^2 / 2),  v = (vx, vy),  dt = 0.25
        v' = v + dt (gain * force - drag * v + strength * push),  position' = position + dt v'
    push points away from the middle of the hill. It is largest, exp(-1/2) = 0.61, at |d| = 1.
    theta = (gain, drag, strength) = (3, 1.5, 8). Reward: minus the distance from position' to the
    goal. The interface is Gymnasium's; nothing is random. Episodes are cut off after n_steps.
    Example: at rest, far from the hill, we push to the right. So vx' = dt * gain = 0.75, and x
    moves by dt * vx' = 0.19:
    >>> PointMass().dynamics(np.array([[-5.0, 2.0, 0.0, 0.0]]), np.array([[1.0, 0.0]])).round(2)
    array([[-4.81,  2.  ,  0.75,  0.  ]])
    """

    dt = 0.25
    start = np.array([-2.0, 0.0, 0.0, 0.0])
    goal = np.array([2.0, 0.0])
    # We cannot go straight over the hill: it pushes back with up to 4.9 (strength * 0.61), and we
    # push with at most 3 (gain) along one axis. (A run-up does not help: drag keeps our speed from
    # growing beyond 3 / 1.5 = 2.) Its middle is at y = 0.4: so the way around is shorter below.
    hill = np.array([0.0, 0.4])
    width = 0.7
    # Gymnasium's environments have these, too. (We read only low and high.)
    observation_space = SimpleNamespace(shape=start.shape)
    action_space = SimpleNamespace(shape=(2,), low=-np.ones(2), high=np.ones(2))

    def __init__(self, theta=(3.0, 1.5, 8.0), n_steps=30):
        self.theta = theta
        self.n_steps = n_steps

    def dynamics(self, states, actions):
        gain, drag, strength = self.theta
        positions = states[:, :2]
        velocities = states[:, 2:]
        d = (positions - self.hill) / self.width                    # (N, 2), from hill to mass
        push = d * np.exp(-(d**2).sum(axis=1, keepdims=True) / 2)   # keepdims: (N, 1), not (N,)
        acceleration = gain * np.clip(actions, -1, 1) - drag * velocities + strength * push
        velocities = velocities + self.dt * acceleration
        # The position uses the new velocity: so a force moves the mass in the same step.
        return np.hstack([positions + self.dt * velocities, velocities])

    def reward(self, states, actions, next_states):
        """Rewards (N,). Here only next_states matter. Elsewhere, a force might cost something."""
        return -np.linalg.norm(next_states[:, :2] - self.goal, axis=1)

    def reset(self, seed=None):
        self.t = 0
        self.states = np.array([self.start])        # (1, 4), because dynamics takes N states
        return self.start.copy(), {}                # observation, info

    def step(self, action):
        actions = np.array([action])
        next_states = self.dynamics(self.states, actions)
        reward = self.reward(self.states, actions, next_states)[0]
        self.states = next_states
        self.t += 1
        # Gymnasium's five: observation, reward, terminated (never), truncated (cut off), info.
        return next_states[0].copy(), reward, False, self.t >= self.n_steps, {}


# %% Algorithm, step (2) of the recipes: learn the dynamics model
class NeuralDynamics:
    """A network with two hidden layers for s' = p(s, a). Slide "How to build a model? (II)".
        h1 = tanh(x W1 + b1),  h2 = tanh(h1 W2 + b2),  y = h2 W3 + b3
    x is (s, a). y is the CHANGE s' - s, because s' is near s: so the network need not learn to
    copy s. (x and y are standardized, see fit.)
    fit(states (N, ds), actions (N, da), next_states (N, ds)) returns the model. A second call goes
    on from the weights of the first: give it old and new data together.
    predict(states, actions) returns next states (N, ds).
    ValueError if data are empty, not finite or of wrong shapes, if predict comes before fit, or
    for a single state (ds,). Example, with s' = s + a:
    >>> s, a = np.array([[1.0], [2.0]]), np.array([[3.0], [5.0]])
    >>> model = NeuralDynamics(state_dim=1, action_dim=1).fit(s, a, s + a, n_epochs=1000)
    >>> model.predict(np.array([[2.0]]), np.array([[5.0]])).round(1)
    array([[7.]])
    """

    def __init__(self, state_dim, action_dim, hidden=64, seed=0):
        self.rng = np.random.default_rng(seed)
        self.n_inputs = state_dim + action_dim
        self.dims = state_dim, action_dim
        self.mean = None                # known after the first fit
        self.weights = []               # W1, b1, W2, b2, W3, b3
        for n_in, n_out in [(self.n_inputs, hidden), (hidden, hidden), (hidden, state_dim)]:
            # A sum of n random numbers (of mean 0) is about sqrt(n) times as large as one of them,
            # because variances add up. We divide by sqrt(n), so that the sums x @ W stay near size
            # 1. For large sums tanh is flat: its gradients are small, and learning is slow.
            W = self.rng.standard_normal((n_in, n_out), dtype=np.float32) / n_in**0.5
            self.weights += [W, np.zeros(n_out, np.float32)]            # float32 is faster

    def forward(self, x):
        """Both hidden layers (N, hidden) and the output (N, ds) for inputs x (N, ds + da)."""
        W1, b1, W2, b2, W3, b3 = self.weights
        h1 = np.tanh(x @ W1 + b1)
        h2 = np.tanh(h1 @ W2 + b2)
        return h1, h2, h2 @ W3 + b3

    def gradients(self, x, target):
        """Backpropagation: the derivatives of the loss 1/N sum_i |y_i - target_i|^2 with respect
        to W1, b1, W2, b2, W3, b3, a list like self.weights."""
        W1, b1, W2, b2, W3, b3 = self.weights
        h1, h2, y = self.forward(x)
        # A delta is the derivative of the loss with respect to the sum that enters a unit's tanh.
        # The outputs have no tanh, and the derivative of (y - target)^2 is 2 (y - target).
        delta3 = 2 * (y - target) / len(x)                  # (N, ds)
        # Chain rule, first back through the weights: unit j of layer 2 acts on output k through
        # W3[j, k]. In example n, we take the sum over k of delta3[n, k] W3[j, k]: delta3 @ W3.T.
        # Then back through tanh: where it gives h, its slope is 1 - h^2.
        delta2 = (delta3 @ W3.T) * (1 - h2**2)              # (N, hidden)
        delta1 = (delta2 @ W2.T) * (1 - h1**2)              # (N, hidden)
        # The derivative by W1[i, j] is input i times the delta of unit j, summed over the examples
        # n: the sum of x[n, i] delta1[n, j]. This is entry [i, j] of x.T @ delta1. The input of a
        # bias is 1.
        return [x.T @ delta1, delta1.sum(axis=0),
                h1.T @ delta2, delta2.sum(axis=0),
                h2.T @ delta3, delta3.sum(axis=0)]

    def fit(self, states, actions, next_states, n_epochs=100, batch_size=128):
        # A row of data is the input x = (s, a), n numbers, and then the change s' - s. (As floats:
        # if states were NumPy's small integers, uint8, then 3 - 5 would be 254.)
        n = self.n_inputs
        changes = next_states - states.astype(float)
        data = np.concatenate([states, actions, changes], axis=1)
        if (len(data) == 0 or states.shape != next_states.shape or not np.isfinite(data).all()
                or (states.shape[1], actions.shape[1]) != self.dims):
            raise ValueError("fit needs finite arrays (N, ds), (N, da) and (N, ds), with N >= 1")
        # Standardize each column to mean 0 and standard deviation 1: else a position of 0.1 would
        # hardly count beside a speed of 100. (A second fit has another mean and std, so the old
        # weights no longer fit exactly. But they are a much better start than random ones.)
        self.mean = data.mean(axis=0)
        self.std = data.std(axis=0)
        # A column that never changes should have std 0, but by rounding it may be a tiny part of
        # the mean: a thousand 0.1 have std 1e-15. Dividing by that would give NaN or nonsense: so
        # if std is below 1e-10 of the mean, we divide by 1.
        self.std[self.std <= 1e-10 * abs(self.mean)] = 1
        data = ((data - self.mean) / self.std).astype(np.float32)
        # Adam (Kingma & Ba, 2015) is gradient descent with two running means for each weight: of
        # the gradient g, as a single g is partly luck, and of g^2, to know the usual size of g.
        g_mean = [0 * w for w in self.weights]      # zeros: Adam begins anew in each fit
        g2_mean = [0 * w for w in self.weights]
        t = 0
        for epoch in range(n_epochs):
            # The steps shrink to 0: else, in a long fit, the weights would jump about the minimum.
            step_size = 0.005 * (1 - epoch / n_epochs)      # 0.005 was found by trying
            # One epoch: all the data once, in a new order, in batches.
            data = self.rng.permutation(data)
            for first in range(0, len(data), batch_size):
                batch = data[first:first + batch_size]
                t += 1
                gradients = self.gradients(batch[:, :n], batch[:, n:])
                for i, g in enumerate(gradients):
                    # g_mean moves a tenth of the way to each new g, and so is a mean of about the
                    # last 10; g2_mean moves a thousandth, and is a mean of about the last 1000.
                    # (These are the numbers that most people take.)
                    g_mean[i] += 0.1 * (g - g_mean[i])
                    g2_mean[i] += 0.001 * (g**2 - g2_mean[i])
                    # Both begin at 0, so at first they are too small. If g is always 1, the gap
                    # from g_mean to 1 shrinks by a tenth each time: 0.9, 0.81, ..., 0.9^t. So
                    # g_mean is 1 - 0.9^t, and g2_mean is 1 - 0.999^t: we divide by these.
                    mean = g_mean[i] / (1 - 0.9**t)
                    size = np.sqrt(g2_mean[i] / (1 - 0.999**t))             # the usual size of g
                    # We divide by size, so the size of the gradients does not matter, only how
                    # much they agree: if g is 5 each time, the weight moves by step_size; if it is
                    # 5, -5, 5, -5, ..., it soon hardly moves. (1e-8: do not divide by 0.)
                    self.weights[i] -= step_size * mean / (size + 1e-8)
        return self

    def predict(self, states, actions):
        if self.mean is None or np.ndim(states) != 2:
            raise ValueError("call fit first; predict takes states (N, ds), a single one (1, ds)")
        # Standardize as in fit, apply the network, and go back to the units of the data. (In mean
        # and std, the first n numbers belong to s and a, the others to the change.)
        n = self.n_inputs
        x = np.hstack([states, actions])
        x = ((x - self.mean[:n]) / self.std[:n]).astype(np.float32)
        y = self.forward(x)[2]
        return states + self.mean[n:] + self.std[n:] * y            # s' = s + change


class PhysicalModel:
    """System identification: the form of PointMass's dynamics is known, theta is fitted.
    Slide "Planning v0.5". env: a PointMass. fit and predict as in NeuralDynamics, but unchecked.
    >>> env = PointMass(theta=(2.0, 1.0, 5.0))
    >>> s, a = np.array([[1.0, 2.0, 3.0, 4.0], [-1.0, 1.0, -1.0, 1.0]]), np.array([[1.0, 0.0]] * 2)
    >>> PhysicalModel(env).fit(s, a, env.dynamics(s, a)).theta.round(3)
    array([2., 1., 5.])
    """

    def __init__(self, env):
        # type(env) is the class PointMass: env_class(theta), below, is a world with another theta.
        self.env_class = type(env)

    def fit(self, states, actions, next_states):
        # v' - v = gain (dt force) + drag (-dt v) + strength (dt push) is linear in theta, and what
        # stands in brackets can be computed from the data: so this is linear regression, with a
        # column for each bracket. How do we get the columns? In a world with theta = (1, 0, 0),
        # v' - v is just the first bracket, with (0, 1, 0) the second, with (0, 0, 1) the third.
        # (Velocities are enough: the new positions follow from them.)
        columns = []
        for theta in np.eye(3):                         # 1 0 0, then 0 1 0, then 0 0 1
            change = self.env_class(theta).dynamics(states, actions) - states
            columns.append(change[:, 2:].ravel())       # (2N,): vx and vy of example 1, of 2, ...
        A = np.column_stack(columns)                    # (2N, 3)
        b = (next_states - states)[:, 2:].ravel()       # (2N,): v' - v in the data
        # lstsq ("least squares") returns first the theta that makes |A theta - b|^2 smallest.
        # (Older NumPy warns without rcond.)
        self.theta = np.linalg.lstsq(A, b, rcond=None)[0]
        return self

    def predict(self, states, actions):
        return self.env_class(self.theta).dynamics(states, actions)


# %% Algorithm, step (3) of the recipes: plan through the model
def imagined_returns(predict, reward, state, sequences):
    """The returns (N,) of N action sequences (N, H, da), that is N plans, imagined with the model
    from `state` on."""
    n_sequences, horizon, _ = sequences.shape
    # All N plans are imagined side by side, so predict is called only H times.
    states = np.tile(state, (n_sequences, 1))               # N equal rows
    returns = np.zeros(n_sequences)
    for t in range(horizon):
        actions = sequences[:, t]
        next_states = predict(states, actions)
        returns += reward(states, actions, next_states)     # no discount: episodes are short
        states = next_states
    # If the model's numbers explode, a return is infinite or NaN, and argmax and argsort treat NaN
    # as the largest. Such a sequence must lose: we write -infinity. (A return of 0 would be the
    # best of all where rewards are negative.)
    returns[~np.isfinite(returns)] = -np.inf
    if horizon < 1 or returns.max() == -np.inf:
        raise ValueError("the horizon is below 1, or no sequence of actions has a finite return")
    return returns


def float_bounds(low, high):
    """The bounds of an action as two arrays (da,) of floats, also if low or high is a number."""
    low = np.atleast_1d(low).astype(float)
    high = np.atleast_1d(high).astype(float)
    if not np.all((low <= high) & np.isfinite(low) & np.isfinite(high)):
        raise ValueError("the bounds of an action must be finite, low <= high")
    return np.broadcast_arrays(low, high)       # a single number is repeated: both are (da,)


def random_shooting(predict, reward, state, horizon, low, high, n_candidates=1000, mean=None,
                    rng=None):
    """Draw N sequences of actions uniformly, imagine each with the model, return the best (H, da).
    Slide "Planning v1.5": "even random sampling can often work well". predict(states, actions) and
    reward(states, actions, next_states) take N states at once, and must not change these arrays.
    The plan starts at `state` (ds,). low, high: (da,), or a number for all components (da is 1 if
    both are numbers). rng: Generator or seed. mean is not used: it is here so that planning_v15
    can call this as it calls cem. ValueError if the horizon is below 1, the bounds are wrong or no
    return is finite. Needs imagined_returns, float_bounds.
    Example: the model np.add is s' = s + a.
    >>> def near_one(states, actions, next_states): return -abs(next_states[:, 0] - 1)
    >>> random_shooting(np.add, near_one, [0.0], horizon=1, low=-2, high=2, rng=0).round(1)
    array([[1.]])
    """
    rng = np.random.default_rng(rng)            # a Generator stays as it is
    low, high = float_bounds(low, high)
    sequences = rng.uniform(low, high, (n_candidates, horizon, len(low)))
    returns = imagined_returns(predict, reward, state, sequences)
    return sequences[returns.argmax()]


def cem(predict, reward, state, horizon, low, high, n_candidates=500, n_elites=50, n_iterations=5,
        mean=None, rng=None):
    """Cross-entropy method (CEM): random shooting, again and again, around the best of last time.
    For the slide "Planning v1.5". Each iteration draws sequences ~ Normal(mean, spread), cut to
    the bounds. Then mean and spread become those of the elites: the n_elites sequences with the
    largest returns. (The name comes from information theory. It does not matter here.)
    Arguments are those of random_shooting. (More candidates and iterations make it better, and
    slower. A tenth as elites is usual.) mean (H, da) is where the search starts (None is
    mid-range); it starts with a wide spread. Returns the mean (H, da) of the last elites. Also a
    ValueError if n_elites is below 2 (a single one has no spread) or above n_candidates. Needs
    imagined_returns, float_bounds. Example: as there.
    >>> def near_one(states, actions, next_states): return -abs(next_states[:, 0] - 1)
    >>> cem(np.add, near_one, [0.0], horizon=1, low=-2, high=2, rng=0).round(2)
    array([[1.]])
    """
    rng = np.random.default_rng(rng)
    low, high = float_bounds(low, high)
    if not 2 <= n_elites <= n_candidates:
        raise ValueError("need 2 <= n_elites <= n_candidates")
    if mean is None:
        mean = (low + high) / 2                                     # (da,): the same at all steps
    # (Around a mean far outside the bounds, all candidates would be cut to the same actions. Some
    # caller may give such a mean.)
    mean = np.clip(mean, low, high)
    # Begin wide: mean may be the rest of an older plan, and wrong by now. From the middle, a
    # bound is one standard deviation away, and about a third of Normal numbers lie further out:
    # they are cut to the bound. This is no harm: full force is often the best.
    spread = (high - low) / 2                                       # (da,)
    for _ in range(n_iterations):
        noise = rng.standard_normal((n_candidates, horizon, len(low)))
        # mean and spread, (da,) or (H, da), are the same for all N sequences.
        sequences = np.clip(mean + spread * noise, low, high)       # (N, H, da)
        returns = imagined_returns(predict, reward, state, sequences)
        elites = sequences[np.argsort(returns)[-n_elites:]]         # the largest come last
        # Where the elites agree, the next iteration is narrow; elsewhere it stays wide.
        mean = elites.mean(axis=0)                                  # (H, da)
        spread = elites.std(axis=0)                                 # (H, da)
    # In the mean of the elites, their noise averages out. Danger: elites on both sides of the hill
    # would have a mean that leads into it. But the shorter side has the larger returns: so soon
    # nearly all elites go there.
    # (clip, because by rounding the mean of many 0.1 may be 0.10000000000000002, and if 0.1 is the
    # bound, some environments refuse that.)
    return np.clip(mean, low, high)


# %% Algorithm: the three recipes. (1) to (6) are the slides' numbers; "new" is what a recipe adds
def first_state(env):
    """Begin an episode, and return a copy of its first state (ds,)."""
    return np.array(env.reset()[0], float)


def execute(env, state, actions, D):
    """Take the actions until the episode ends, and append each (s, a, s') to the caller's list D.
    `state` is where env is now. Returns the sum of rewards, the state reached and whether the
    episode is over."""
    total = 0.0
    for action in actions:
        # A copy, because an environment may change the array that it gets, for example clip it.
        observation, reward, terminated, truncated, info = env.step(action.copy())
        # np.array makes a copy, too: an environment may write each state into the same array, and
        # then D would hold the last state many times.
        next_state = np.array(observation, float)
        if not np.isfinite(np.append(next_state, reward)).all():
            raise ValueError("the environment returned a reward or state that is NaN or infinite")
        D.append((state, action, next_state))
        total += float(reward)
        state = next_state
        if terminated or truncated:         # either way, nothing more can be executed
            return total, state, True
    return total, state, False


def run_base_policy(env, n_episodes, seed):
    """(1) Run the base policy pi_0, here: actions drawn uniformly between the bounds.
    Returns D, the bounds low, high (da,), and the Generator that the planner is to use."""
    # Base policy and planner have a Generator each: spawn makes two new ones. (rng itself only
    # seeds the environment.) So with more or less base data, the planner still gets the same
    # random numbers, and we can compare.
    rng = np.random.default_rng(seed)
    base_rng, planner_rng = rng.spawn(2)
    low, high = float_bounds(env.action_space.low, env.action_space.high)
    D = []
    # This reset only gives the environment a seed (some number), so that its luck can be repeated.
    # With the same seed, all episodes would have the same luck: so their own resets get none.
    env.reset(seed=int(rng.integers(1_000_000_000)))
    for _ in range(n_episodes):
        state = first_state(env)
        over = False
        while not over:
            # A list of one action: pi_0 does not plan ahead. (execute adds to D.)
            _, state, over = execute(env, state, [base_rng.uniform(low, high)], D)
    return D, low, high, planner_rng


def fit_to(D, model):
    """(2) Learn the dynamics model p to minimize sum_i |p(s, a) - s'_i|^2. (p(s, a) is the
    predicted next state; NeuralDynamics uses standardized units. On the slide, p(s'|s, s) is a
    misprint of p(s'|s, a).)"""
    def column(i):      # the i-th parts of all (s, a, s') as an array: i = 0 gives the states
        return np.array([transition[i] for transition in D])
    model.fit(column(0), column(1), column(2))          # states, actions, next states


def planning_v05(env, model, reward, n_base, seed=0, plan=cem, **settings):
    """Slide "Planning v0.5": learn once, plan once, execute blindly. Gives the return of the
    episode, and the plan (H, da). After the H steps we stop, even if the episode is not over.

    env       has Gymnasium's interface, with continuous actions (we pass float64 numbers) and
              episodes that end
    model     has fit and predict as NeuralDynamics has
    reward    function of (states (N, ds), actions (N, da), next_states (N, ds)), gives (N,)
    n_base    episodes of the base policy: actions drawn uniformly between the bounds
    plan      cem, random_shooting or a planner with the same arguments
    settings  further arguments for the planner: a horizon, for example horizon=30, is needed
    seed      of environment, base policy and planner
    ValueError as in the planner, and if the environment gives NaN or infinity. Needs cem,
    imagined_returns, float_bounds, first_state, execute, run_base_policy, fit_to.
    >>> env = PointMass()
    >>> total, actions = planning_v05(env, PhysicalModel(env), env.reward, n_base=1, horizon=30)
    >>> actions.shape, total > -60          # about -50; staying at the start pays 30 * -4 = -120
    ((30, 2), True)
    """
    # (1) run base policy pi_0(a|s) and collect D = {(s, a, s')_i}
    D, low, high, rng = run_base_policy(env, n_base, seed)
    # (2) learn the dynamics model
    fit_to(D, model)
    # (3) plan to choose actions. The slide says "plan through pi_0": we plan through the model,
    # which has only seen data of pi_0. Away from these data it is wrong, and by luck some places
    # there look better than they are. The planner takes the plan that looks best: so it goes
    # there. The slide calls this distribution mismatch.
    state = first_state(env)
    actions = plan(model.predict, reward, state, low=low, high=high, rng=rng, **settings)
    # Execute them. v0.5 does not keep the new data: they go into a list of their own, [].
    total, _, _ = execute(env, state, actions, [])
    return total, actions


def planning_v10(env, model, reward, n_base, n_rounds, seed=0, plan=cem, **settings):
    """Slide "Planning v1.0": repeat v0.5, and add the data of each executed plan to D.
    Arguments and errors are those of planning_v05; n_rounds: how often. Gives the returns
    (n_rounds,) and D, the list of all (s, a, s'). Needs cem, imagined_returns, float_bounds,
    first_state, execute, run_base_policy, fit_to.
    >>> env = PointMass(n_steps=5)
    >>> returns, D = planning_v10(env, PhysicalModel(env), env.reward, n_base=2, n_rounds=3,
    ...                           horizon=5)
    >>> returns.shape, len(D)                                   # (2 + 3) episodes of 5 steps
    ((3,), 25)
    """
    returns = np.zeros(n_rounds)
    # (1) run base policy pi_0(a|s) and collect D = {(s, a, s')_i}
    D, low, high, rng = run_base_policy(env, n_base, seed)
    for i in range(n_rounds):
        # (2) learn the dynamics model
        fit_to(D, model)
        # (3) plan to choose actions
        state = first_state(env)
        actions = plan(model.predict, reward, state, low=low, high=high, rng=rng, **settings)
        # (4) new: execute the actions and add the resulting data {(s, a, s')_i} to D. They come
        # from where the plan led, and there the model was wrong. So the states of plans and of
        # data become more alike: this is the slide's goal.
        returns[i], _, _ = execute(env, state, actions, D)
        # (5) new: go to (2)
    return returns, D


def planning_v15(env, model, reward, n_base, n_rounds, replan_every=1, seed=0, plan=cem,
                 **settings):
    """Slide "Planning v1.5 or Model Predictive Control": v1.0, and plan again on the way.
    Arguments and errors are those of planning_v05; n_rounds: how many episodes; replan_every: how
    many steps of each plan are executed (all, if the plan is shorter). Both must be at least 1, or
    there is a ValueError. Gives the returns (n_rounds,), D, and the plans of the last episode: a
    list of (state, actions). Needs cem, imagined_returns, float_bounds, first_state, execute,
    run_base_policy, fit_to.
    >>> env = PointMass(n_steps=5)
    >>> returns, D, plans = planning_v15(env, PhysicalModel(env), env.reward, n_base=2, n_rounds=3,
    ...                                  horizon=4)
    >>> len(D), len(plans)                                      # a plan at each of the 5 steps
    (25, 5)
    """
    # With replan_every = 0 nothing would ever be executed. Without a round there are no plans.
    if replan_every < 1 or n_rounds < 1:
        raise ValueError("need replan_every >= 1 and n_rounds >= 1")
    returns = np.zeros(n_rounds)
    # (1) run base policy pi_0(a|s) and collect D = {(s, a, s')_i}
    D, low, high, rng = run_base_policy(env, n_base, seed)
    for i in range(n_rounds):
        # (2) learn the dynamics model
        fit_to(D, model)
        state = first_state(env)
        plans = []
        mean = None                     # there is no earlier plan to start from
        over = False
        while not over:
            # (3) plan to choose actions; new: from the state really reached
            actions = plan(model.predict, reward, state, low=low, high=high, rng=rng, mean=mean,
                           **settings)
            plans.append((state, actions))
            # (4) new: execute the first planned actions, observe s'
            # (5) append {(s, a, s')_i} to D
            total, state, over = execute(env, state, actions[:replan_every], D)
            returns[i] += total
            # cem's next search starts from the rest of this plan: most of it is still right. After
            # it come mid-range actions. If the first of the actions a, b, c, d was executed, the
            # search starts from b, c, d, middle.
            rest = actions[replan_every:]
            mean = np.tile((low + high) / 2, (len(actions), 1))         # mid-range everywhere
            mean[:len(rest)] = rest
            # (6) new: go to (3), in this inner loop. "Every N steps", the slide goes to (2). We
            # do this once for each episode, in the outer loop: this saves time.
    return returns, D, plans


# %% What the experiments and panels below share
BLUE, GREEN, RED = "#0072B2", "#009E73", "#D55E00"
WORLD = PointMass()
N_BASE = 10     # episodes of the base policy: enough to know the surroundings of the start well
# v0.5 and v1.0 are "open loop": one plan for all 30 steps of an episode, and a long search for it,
# 10 times 500 sequences (500 is cem's default). v1.5 is "closed loop": it plans again on the way,
# so each search is short, 3 times 100 sequences, or 300 with random shooting. (v1.5 does not win
# by computing more. In an episode it imagines 30 searches * 300 sequences * 8 steps = 72,000
# steps; v1.0 imagines 1 search * 5000 sequences * 30 steps = 150,000.)
OPEN_LOOP = dict(horizon=30, n_iterations=10)
REPLAN = dict(n_candidates=100, n_elites=10, n_iterations=3)            # horizon: see run_all
RANDOM = dict(plan=random_shooting, n_candidates=300)


def play(recipe, seeds, exact=False, **settings):
    """Run a recipe once per seed, each time with a new network. exact=True: with a PhysicalModel.
    Its fit finds the true theta, as nothing is random: so the recipe plans with the true dynamics.
    This is what we compare with, as no formula gives the best return. Gives (1) the returns,
    (runs,) for v0.5, (runs, n_rounds) for the others; (2) the last model; (3) what the recipe gave
    in the last run."""
    returns = []
    for seed in seeds:
        # 32 units in each hidden layer are enough for one hill.
        model = PhysicalModel(WORLD) if exact else NeuralDynamics(4, 2, hidden=32, seed=seed)
        result = recipe(WORLD, model, WORLD.reward, N_BASE, seed=seed, **settings)
        returns.append(result[0])       # all recipes give their return, or returns, first
    return np.array(returns), model, result


def draw_paths(ax, title, model, D, plans):
    """The plane from above. D has the model's data, and then the episode to show. plans: a list of
    (state, actions)."""
    states = np.array([transition[0] for transition in D])
    # The last n_steps transitions in D are the episode executed (without its very last state). The
    # model was fitted before it, to all the others.
    executed = states[-WORLD.n_steps:]
    data = states[:-WORLD.n_steps]
    ax.plot(data[:, 0], data[:, 1], ".", color="grey", markersize=3)
    ax.plot(executed[:, 0], executed[:, 1], color=RED, linewidth=3)
    for state, actions in plans:
        # What the model imagined of this plan. predict takes N states: state[None] is (1, ds).
        imagined = [state[None]]
        for action in actions:
            imagined.append(model.predict(imagined[-1], action[None]))
        imagined = np.concatenate(imagined)
        ax.plot(imagined[:, 0], imagined[:, 1], "--", color=BLUE)
    # We draw the hill out to |d| = 2. There its push, strength * |d| exp(-|d|^2 / 2), has fallen
    # to 8 * 2 exp(-2) = 2.2, less than our 3.
    ax.add_patch(plt.Circle(WORLD.hill, 2 * WORLD.width, color="grey", alpha=0.2))
    ax.annotate("start", WORLD.start[:2] + [-1, 1.5])
    ax.annotate("goal", WORLD.goal + 0.3)
    ax.axis("equal")
    ax.set(title=title, ylabel="y (m)",
           xlabel="x (m), grey: the hill\ndots: data, line: executed, dashed: imagined")


def draw_band(ax, x, runs, color, style, label):
    """The mean of runs (n_runs, len(x)), and a band of about two standard errors to each side
    (with 4 runs, only a rough guide)."""
    mean = runs.mean(axis=0)
    error = 2 * runs.std(axis=0) / len(runs)**0.5
    ax.fill_between(x, mean - error, mean + error, color=color, alpha=0.2)
    ax.plot(x, mean, style, color=color, label=label)


# %% Slides "Planning v0.5", "Planning v0.5 - Fail", "works well in system identification"
def show_v05(ax, title, seed, exact=False):
    """Play one run of v0.5, print its return, and draw it."""
    _, model, result = play(planning_v05, [seed], exact, **OPEN_LOOP)
    total, actions = result             # what planning_v05 gives: its return and its plan
    # The return that the model promised: the difference shows how wrong the model is.
    # (imagined_returns takes N plans (N, H, da), here one.)
    promised = imagined_returns(model.predict, WORLD.reward, WORLD.start, actions[None])[0]
    print(f"{title:46} | {total:8.4g} | {promised:.1f}: what the model promised")
    # v0.5 does not give its data. To draw them, we collect them again: with the same seed, the
    # base policy does the same. Then execute adds the episode of the plan to D.
    D = run_base_policy(WORLD, N_BASE, seed)[0]
    execute(WORLD, first_state(WORLD), actions, D)
    draw_paths(ax, title, model, D, [(WORLD.start, actions)])


# %% Slides "Planning v1.0 - can we do better" and "Planning v1.5": the recipes learn
def show_learning(ax, name, color, style, recipe, seeds, **settings):
    """The returns of v1.0 or v1.5 by episode: one curve. Gives play's model and result."""
    # 8 further episodes, with a fit before each: v1.5 needs about 5 to become as good as it gets.
    # (In most runs its episode 2 is bad. In episode 1 the hill pushed the mass around its lower
    # edge. The model has still seen nothing of the hill's middle, expects no push there, and so
    # plans lead into it.)
    runs, model, result = play(recipe, seeds, n_rounds=8, **settings)
    # With the true dynamics there is nothing to learn: one episode is enough. (Even then v1.5 is
    # better than v1.0, with these searches: a plan of v1.0 has 60 numbers, two for each of 30
    # steps, too many for 10 iterations. A plan of v1.5 has 16 for 8 steps, and is improved at each
    # step.)
    reference = play(recipe, seeds, exact=True, n_rounds=1, **settings)[0]
    draw_band(ax, range(1, 9), runs, color, style, name)
    ax.axhline(reference.mean(), color=color, linestyle=style, linewidth=0.8,
               label=f"{name}, true dynamics")
    print(f"{name + ': the last episode':46} | {runs[:, -1].mean():8.4g} | "
          f"{reference.mean():.1f}: with the true dynamics")
    ax.set(title="v1.0 learns; v1.5 learns faster", ylabel="return of the episode",
           xlabel="episodes after those of the base policy")
    ax.legend()
    return model, result


# %% Slide "The more you replan", "can use shorter horizons", "even random sampling"
# Why replan often, even with the exact model? After a short search no plan is perfect. If we
# replan, only the plan's first actions are executed, and the next search can find a better rest.
# Why plan short? Each search has the same number of sequences, and 16 numbers (8 steps) are easier
# to find than 60 (30 steps). (Random plans of 30 steps are bad, however often one replans: among
# 300 sequences of 60 random numbers there is hardly a good one.)
def show_replanning(ax, label, color, style, seeds, **settings):
    """Return of v1.5 with the true dynamics, against the steps between two plans: one curve."""
    intervals = [1, 4, 8]
    # play gives the returns first: [0]. They are columns (runs, 1), as n_rounds is 1. hstack puts
    # them side by side: (runs, intervals).
    runs = np.hstack([
        play(planning_v15, seeds, exact=True, n_rounds=1, replan_every=n, **settings)[0]
        for n in intervals])
    draw_band(ax, intervals, runs, color, style, label)
    print(f"{label + ', replan at every step':46} | {runs[:, 0].mean():8.4g} | "
          f"{runs[:, -1].mean():.1f}: at every 8th step")
    ax.set(title="v1.5: replan often, and plan short", ylabel="return of the episode",
           xlabel="steps between plans")


# %% The run: what is printed, and main
def run_all(axes, n_runs, seed):
    print("what                                           | measured | compare")
    ax1, ax2, ax3, ax4, ax5, ax6 = axes.flat        # two rows of three panels
    # In a run, all recipes get the same seed: so the same data of the base policy, and the same
    # first network. (--seed 1 takes the seeds 1000, 1001, ...) The paths are of the last run.
    seeds = range(1000 * seed, 1000 * seed + n_runs)
    show_v05(ax1, "v0.5 leaves the data, and fails", seeds[-1])
    show_v05(ax2, "v0.5 works in system identification", seeds[-1], exact=True)
    # Panel 3 shows the last run of v1.5 from panel 4.
    show_learning(ax4, "v1.0", GREEN, "--", planning_v10, seeds, **OPEN_LOOP)
    model, result = show_learning(ax4, "v1.5", BLUE, "-", planning_v15, seeds, horizon=8, **REPLAN)
    returns, D, plans = result          # what planning_v15 gives
    draw_paths(ax3, "v1.5 plans again at every step", model, D, plans)
    for H, style in [(8, "-"), (30, ":")]:
        show_replanning(ax5, f"CEM, H = {H}", BLUE, "o" + style, seeds, horizon=H, **REPLAN)
        show_replanning(ax5, f"random, H = {H}", RED, "x" + style, seeds, horizon=H, **RANDOM)
    # The legend of the fifth panel (its four curves) is where a sixth panel would be.
    ax6.legend(handles=ax5.lines, loc="upper left")
    ax6.axis("off")


def main():
    """Not about the lecture: reads the options, then shows the figure, or saves it."""
    # Without a screen, matplotlib chooses the backend "agg", which has no windows: we save a file.
    file = "mpc.png" if plt.get_backend().lower() == "agg" else None
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
