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
    way, and soon does as well as with the true dynamics. If you replan at every step, short
    searches are enough. A short horizon is better then, and even random plans are not bad.
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
    State (x, y, vx, vy). Action: our force (fx, fy), each within [-1, 1]. A step is
        d = (position - hill) / 0.7,  push = d exp(-|d|^2 / 2),  v = (vx, vy),  dt = 0.25
        v' = v + dt (gain * force - drag * v + strength * push),  position' = position + dt v'
    push points away from the hill's middle. theta = (gain, drag, strength). Reward: minus the
    distance from position' to the goal. Nothing is random. Episodes are cut off after n_steps.
    >>> PointMass().dynamics(np.array([[-5.0, 2.0, 0.0, 0.0]]), np.array([[1.0, 0.0]])).round(2)
    array([[-4.81,  2.  ,  0.75,  0.  ]])
    """
    dt = 0.25
    start = np.array([-2.0, 0.0, 0.0, 0.0])
    goal = np.array([2.0, 0.0])
    # We cannot simply push through the hill: it pushes with up to 8 exp(-1/2) = 4.9, we with only
    # 3 sqrt(2) = 4.2 at most. The way around it is shorter below, as its middle is at y = 0.4.
    hill = np.array([0.0, 0.4])
    width = 0.7
    observation_space = SimpleNamespace(shape=start.shape)          # as in Gymnasium
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
    copy s. fit(states (N, ds), actions (N, da), next_states (N, ds)) returns the model. A second
    call goes on from the weights of the first: give it old and new data together.
    predict(states, actions) returns next states (N, ds). ValueError if data are empty, not finite
    or of wrong shapes, for predict before fit, or a single state (ds,). Example, with s' = s + a:
    >>> s, a = np.array([[1.0], [2.0]]), np.array([[3.0], [5.0]])
    >>> model = NeuralDynamics(state_dim=1, action_dim=1).fit(s, a, s + a, n_epochs=1000)
    >>> model.predict(np.array([[2.0]]), np.array([[5.0]])).round(1)
    array([[7.]])
    """
    def __init__(self, state_dim, action_dim, hidden=64, seed=0):
        self.rng = np.random.default_rng(seed)
        self.dims = state_dim, action_dim
        self.mean = None                # known after the first fit
        self.weights = []               # W1, b1, W2, b2, W3, b3
        for n, m in [(state_dim + action_dim, hidden), (hidden, hidden), (hidden, state_dim)]:
            # A sum of n random numbers of mean 0 is about sqrt(n) times as large as one of them:
            # so we divide by sqrt(n). For large sums x @ W, tanh is flat, and learning is slow.
            W = self.rng.standard_normal((n, m), dtype=np.float32) / n**0.5
            self.weights += [W, np.zeros(m, np.float32)]                # float32 is faster

    def forward(self, x):
        """Both hidden layers (N, hidden) and the output (N, ds) for inputs x (N, ds + da)."""
        W1, b1, W2, b2, W3, b3 = self.weights
        h1 = np.tanh(x @ W1 + b1)
        h2 = np.tanh(h1 @ W2 + b2)
        return h1, h2, h2 @ W3 + b3

    def gradients(self, x, target):
        """Backpropagation: derivatives of the loss 1/N sum_i |y_i - target_i|^2 by each weight."""
        W1, b1, W2, b2, W3, b3 = self.weights
        h1, h2, y = self.forward(x)
        # A delta is the derivative of the loss with respect to the sum that enters a unit's tanh.
        # The outputs have no tanh, and the derivative of (y - target)^2 is 2 (y - target).
        delta3 = 2 * (y - target) / len(x)                  # (N, ds)
        # Chain rule, first back through the weights: unit j of layer 2 acts on output k through
        # W3[j, k]. So we take the sum over k of W3[j, k] times output k's delta: a matrix product.
        # Then back through tanh: where it gives h, its slope is 1 - h^2.
        delta2 = (delta3 @ W3.T) * (1 - h2**2)              # (N, hidden)
        delta1 = (delta2 @ W2.T) * (1 - h1**2)              # (N, hidden)
        # A weight's derivative is the value that it multiplies, times the delta of the unit to
        # which it leads; the matrix product adds up the examples. A bias multiplies the value 1.
        return [x.T @ delta1, delta1.sum(axis=0),
                h1.T @ delta2, delta2.sum(axis=0),
                h2.T @ delta3, delta3.sum(axis=0)]

    def fit(self, states, actions, next_states, n_epochs=100, batch_size=128):
        # A row of data is the input x = (s, a), n numbers, and then the change s' - s.
        n = sum(self.dims)
        data = np.concatenate([states, actions, next_states - states.astype(float)], axis=1)
        if (len(data) == 0 or states.shape != next_states.shape or not np.isfinite(data).all()
                or (states.shape[1], actions.shape[1]) != self.dims):
            raise ValueError("fit needs finite arrays (N, ds), (N, da) and (N, ds), with N >= 1")
        # Standardize each column to mean 0, deviation 1: else a position of 0.1 would hardly count
        # beside a speed of 100. (In a second fit both change a bit: the old weights nearly fit.)
        self.mean = data.mean(axis=0)
        self.std = data.std(axis=0)
        # A column that is always the same has deviation 0 or, by rounding, nearly 0: divide by 1.
        self.std[self.std <= 1e-10 * abs(self.mean)] = 1
        data = ((data - self.mean) / self.std).astype(np.float32)
        # Adam (Kingma & Ba 2015) is gradient descent with two running means for each weight: of
        # the gradient g, as a single g is partly luck, and of g^2, to know the usual size of g.
        g_mean = [0 * w for w in self.weights]      # zeros: Adam begins anew in each fit
        g2_mean = [0 * w for w in self.weights]
        t = 0
        for epoch in range(n_epochs):
            # The steps shrink to 0: else the weights would at last jump about the minimum.
            step_size = 0.005 * (1 - epoch / n_epochs)      # 0.005 was found by trying
            data = self.rng.permutation(data)           # in each epoch all rows, in a new order
            for first in range(0, len(data), batch_size):
                batch = data[first:first + batch_size]
                t += 1
                for i, g in enumerate(self.gradients(batch[:, :n], batch[:, n:])):
                    # g_mean moves a tenth of the way to each new g, so it is a mean of about the
                    # last 10. g2_mean is one of about the last 100.
                    g_mean[i] += 0.1 * (g - g_mean[i])
                    g2_mean[i] += 0.01 * (g**2 - g2_mean[i])
                    # Both begin at 0, so at first they are too small. If g stays the same, g_mean
                    # is 0.1 g, 0.19 g, 0.27 g, ..., (1 - 0.9^t) g. We divide by these factors.
                    mean = g_mean[i] / (1 - 0.9**t)
                    size = np.sqrt(g2_mean[i] / (1 - 0.99**t))              # the usual size of g
                    # Divided by size, only the agreement of the gradients counts: if g is 5, 5, 5,
                    # ..., the weight moves by step_size, but if it is 5, -5, 5, -5, ..., hardly.
                    self.weights[i] -= step_size * mean / (size + 1e-8)
        return self

    def predict(self, states, actions):
        if self.mean is None or np.ndim(states) != 2:
            raise ValueError("call fit first; predict takes states (N, ds), a single one (1, ds)")
        # In mean and std, the first n numbers belong to s and a, the others to the change.
        n = sum(self.dims)
        x = (np.hstack([states, actions]) - self.mean[:n]) / self.std[:n]
        y = self.forward(x.astype(np.float32))[2]
        return states + self.mean[n:] + self.std[n:] * y            # s' = s + change


class PhysicalModel:
    """System identification: the form of PointMass's dynamics is known, and theta is fitted.
    Slide "Planning v0.5". fit and predict are as in NeuralDynamics, but unchecked.
    >>> env, s, a = PointMass(theta=(2.0, 1.0, 5.0)), np.eye(4), np.eye(4)[:, :2]
    >>> PhysicalModel(env).fit(s, a, env.dynamics(s, a)).theta.round(3)
    array([2., 1., 5.])
    """
    def __init__(self, env):
        self.form = type(env)           # PointMass: form(theta) is a world with another theta

    def fit(self, states, actions, next_states):
        # v' - v = gain * (what our force alone does) + drag * (what drag alone does) + strength *
        # (what the hill alone does): linear regression finds theta. For each column we ask a world
        # in which one number of theta is 1 and the others are 0.
        columns = []
        for theta in np.eye(3):
            change = self.form(theta).dynamics(states, actions) - states
            columns.append(change[:, 2:].ravel())           # (2N,): all vx and vy
        # lstsq makes |A theta - b|^2 smallest, where A (2N, 3) has the columns, and b is v' - v.
        b = (next_states - states)[:, 2:].ravel()
        self.theta = np.linalg.lstsq(np.column_stack(columns), b, rcond=None)[0]
        return self

    def predict(self, states, actions):
        return self.form(self.theta).dynamics(states, actions)


# %% Algorithm, step (3) of the recipes: plan through the model
def imagined_returns(predict, reward, state, sequences):
    """The returns (N,) of N action sequences (N, H, da), imagined with the model from `state`."""
    n_sequences, horizon, _ = sequences.shape
    # All N plans are imagined side by side, so predict is called only H times.
    states = np.tile(state, (n_sequences, 1))               # N equal rows
    returns = np.zeros(n_sequences)
    for t in range(horizon):
        actions = sequences[:, t]
        next_states = predict(states, actions)
        returns += reward(states, actions, next_states)     # no discount: episodes are short
        states = next_states
    # If the model's numbers explode, a return is infinity or NaN, and argmax would choose it. Such
    # a sequence must lose: -infinity. (0 would win, if all other returns are negative.)
    returns[~np.isfinite(returns)] = -np.inf
    if horizon < 1 or returns.max() == -np.inf:
        raise ValueError("the horizon is below 1, or no sequence of actions has a finite return")
    return returns


def float_bounds(low, high):
    """The bounds of an action as two arrays (da,) of floats, also if low or high is a number."""
    low = np.atleast_1d(low).astype(float)
    high = np.atleast_1d(high).astype(float)
    if not np.all((low <= high) & np.isfinite(high - low)):
        raise ValueError("the bounds of an action must be finite, low <= high")
    return np.broadcast_arrays(low, high)       # a single number is repeated: both are (da,)


def random_shooting(predict, reward, state, horizon, low, high, n_candidates=1000, mean=None,
                    rng=None):
    """Draw N sequences of actions uniformly, imagine each with the model, return the best (H, da).
    Slide "Planning v1.5": "even random sampling". predict(states, actions) and reward(states,
    actions, next_states) take N states at once, and must not change these arrays. The plan starts
    at `state` (ds,). low, high: (da,), or a number for all components. rng: Generator or seed.
    mean is not used; it is there so that planning_v15 can call this like cem. ValueError if the
    horizon is below 1, the bounds are wrong or no return is finite. Needs imagined_returns,
    float_bounds. Example: the model is s' = s + a.
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
    the bounds. Then mean and spread become those of the elites: the n_elites best sequences.
    Arguments are those of random_shooting. mean (H, da) is where the search starts (None is
    mid-range). Returns the mean (H, da) of the last elites. Also a ValueError if n_elites is below
    2 (a single one has no spread) or above n_candidates. Needs imagined_returns, float_bounds.
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
    mean = np.clip(mean, low, high)         # around a mean outside, all candidates would be alike
    # Begin wide: the caller's mean may be an older plan, and wrong by now. With this spread, about
    # a third of the actions are cut to a bound: full force, which is often the best.
    spread = (high - low) / 2                                       # (da,)
    for _ in range(n_iterations):
        noise = rng.standard_normal((n_candidates, horizon, len(low)))
        sequences = np.clip(mean + spread * noise, low, high)       # (N, H, da)
        returns = imagined_returns(predict, reward, state, sequences)
        elites = sequences[np.argsort(returns)[-n_elites:]]         # the largest come last
        # Where the elites agree, the next iteration is narrow; elsewhere it stays wide.
        mean = elites.mean(axis=0)                                  # (H, da)
        spread = elites.std(axis=0)                                 # (H, da)
    # In the mean of the elites, their noise averages out. Danger: if some elites pass the hill on
    # one side and some on the other, their mean leads into it. But soon all go the shorter way.
    return np.clip(mean, low, high)             # rounding may have put the mean out of bounds


# %% Algorithm: the three recipes. (1) to (6) are the slides' numbers; "new" is what a recipe adds
def execute(env, state, actions, D):
    """Take the actions until the episode ends, and append each (s, a, s') to the caller's list D.
    `state` is where env is now. Returns the sum of rewards, the state reached, and if it ended."""
    total = 0.0
    for action in actions:
        # Environments may write each state into the same array, and change the action they get.
        # Without copies, D would then hold the last state many times.
        observation, reward, terminated, truncated, info = env.step(action.copy())
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
    # A Generator each: so the planner's numbers do not depend on n_episodes.
    base_rng, planner_rng = np.random.default_rng(seed).spawn(2)
    low, high = float_bounds(env.action_space.low, env.action_space.high)
    # This reset only gives the environment its seed. Each episode begins with a reset without one:
    # with the same seed, all episodes would have the same luck.
    env.reset(seed=seed)
    D = []
    for _ in range(n_episodes):
        state = np.array(env.reset()[0], float)
        over = False
        while not over:
            _, state, over = execute(env, state, [base_rng.uniform(low, high)], D)
    return D, low, high, planner_rng


def fit_to(D, model):
    """(2) Learn the model: minimize sum_i |p(s, a) - s'_i|^2. On the slide, s, s is a misprint."""
    def column(i):
        return np.array([transition[i] for transition in D])
    model.fit(column(0), column(1), column(2))          # states, actions, next states


def planning_v05(env, model, reward, n_base, seed=0, plan=cem, **settings):
    """Slide "Planning v0.5": learn once, plan once, execute blindly. Gives the return of the
    episode, and the plan (H, da). After the H steps we stop, even if the episode is not over.
    env has Gymnasium's interface, continuous actions, and episodes that end. model has fit and
    predict as NeuralDynamics has. reward is as for the planners. n_base: episodes of the base
    policy. plan: cem, random_shooting or the like; settings go to it, and a horizon is needed.
    seed: of env, base policy and planner. ValueError as in the planner, and if env gives NaN or
    infinity. Needs cem, imagined_returns, float_bounds, execute, run_base_policy, fit_to.
    >>> env = PointMass()
    >>> total, actions = planning_v05(env, PhysicalModel(env), env.reward, n_base=1, horizon=30)
    >>> actions.shape, total > -60              # (a mass that stays at the start: about -120)
    ((30, 2), True)
    """
    # (1) run base policy pi_0(a|s) and collect D = {(s, a, s')_i}
    D, low, high, rng = run_base_policy(env, n_base, seed)
    # (2) learn the dynamics model
    fit_to(D, model)
    # (3) plan to choose actions. The slide says "plan through pi_0": we plan through the model,
    # which has only seen data of pi_0. Away from these it is wrong, and by luck some places there
    # look better than they are. The planner takes the plan that looks best, so it goes there. The
    # slide calls this distribution mismatch.
    state = np.array(env.reset()[0], float)
    actions = plan(model.predict, reward, state, low=low, high=high, rng=rng, **settings)
    total, _, _ = execute(env, state, actions, [])      # v0.5 does not keep the new data in D
    return total, actions


def planning_v10(env, model, reward, n_base, n_rounds, seed=0, plan=cem, **settings):
    """Slide "Planning v1.0": repeat v0.5, and add the data of each executed plan to D.
    Arguments and errors as in planning_v05; n_rounds: how often. Gives returns (n_rounds,) and D.
    Needs cem, imagined_returns, float_bounds, execute, run_base_policy, fit_to.
    >>> env = PointMass(n_steps=5)
    >>> returns, D = planning_v10(env, PhysicalModel(env), env.reward, 2, n_rounds=3, horizon=5)
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
        state = np.array(env.reset()[0], float)
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
    Arguments and errors as in planning_v05; n_rounds: how many episodes; replan_every: how many
    steps of each plan are executed. Both must be at least 1. Gives returns (n_rounds,), D, and the
    plans of the last episode: a list of (state, actions). Needs cem, imagined_returns,
    float_bounds, execute, run_base_policy, fit_to.
    >>> env = PointMass(n_steps=5)
    >>> returns, D, plans = planning_v15(env, PhysicalModel(env), env.reward, 2, 3, horizon=4)
    >>> len(D), len(plans)                                      # a plan at each of the 5 steps
    (25, 5)
    """
    if replan_every < 1 or n_rounds < 1:
        raise ValueError("need replan_every >= 1 and n_rounds >= 1")
    returns = np.zeros(n_rounds)
    # (1) run base policy pi_0(a|s) and collect D = {(s, a, s')_i}
    D, low, high, rng = run_base_policy(env, n_base, seed)
    for i in range(n_rounds):
        # (2) learn the dynamics model
        fit_to(D, model)
        state = np.array(env.reset()[0], float)
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
            # cem's next search starts from the rest of this plan, because most of it is still
            # right. If a of a, b, c, d was executed, it starts from b, c, d and mid-range.
            rest = actions[replan_every:]
            mean = np.tile((low + high) / 2, (len(actions), 1))
            mean[:len(rest)] = rest
            # (6) new: go to (3). "Every N steps go to (2)": here once for each episode.
    return returns, D, plans


# %% What the experiments and panels below share
BLUE, GREEN, RED = "#0072B2", "#009E73", "#D55E00"
WORLD = PointMass()
N_BASE = 10     # episodes of the base policy: enough to know the surroundings of the start well
# v0.5 and v1.0 are "open loop": one plan for all 30 steps of an episode, and a long search for it,
# 10 times cem's 500 sequences. v1.5 is "closed loop": it plans again on the way, so each search is
# short, 3 times 100 sequences, or 300 with random shooting.
OPEN_LOOP = dict(horizon=30, n_iterations=10)
REPLAN = dict(n_candidates=100, n_elites=10, n_iterations=3)            # horizon: see run_all
RANDOM = dict(plan=random_shooting, n_candidates=300)


def play(recipe, seeds, exact=False, **settings):
    """Run a recipe once per seed, each time with a new network. exact=True: with a PhysicalModel.
    As nothing is random, its fit finds the true theta: this shows what a perfect model gives.
    Gives the returns, (runs,) or (runs, n_rounds), the last run's model and its whole result."""
    returns = []
    for seed in seeds:
        # One hill is simple: 32 units in each hidden layer are enough.
        model = PhysicalModel(WORLD) if exact else NeuralDynamics(4, 2, hidden=32, seed=seed)
        result = recipe(WORLD, model, WORLD.reward, N_BASE, seed=seed, **settings)
        returns.append(result[0])
    return np.array(returns), model, result


def draw_paths(ax, title, model, D, plans):
    """The plane from above. D: the model's data, and then the episode to show. plans: a list."""
    states = np.array([transition[0] for transition in D])
    n = WORLD.n_steps
    ax.plot(states[:-n, 0], states[:-n, 1], ".", color="grey", markersize=3)
    ax.plot(states[-n:, 0], states[-n:, 1], color=RED, linewidth=3)
    for state, actions in plans:
        imagined = [state[None]]        # (1, ds), because predict takes N states
        for action in actions:
            imagined.append(model.predict(imagined[-1], action[None]))
        imagined = np.concatenate(imagined)
        ax.plot(imagined[:, 0], imagined[:, 1], "--", color=BLUE)
    # The hill, drawn out to |d| = 2: farther away we are much stronger than it.
    ax.add_patch(plt.Circle(WORLD.hill, 2 * WORLD.width, color="grey", alpha=0.2))
    ax.annotate("start", WORLD.start[:2] + [-1, 1.5])
    ax.annotate("goal", WORLD.goal + 0.3)
    ax.axis("equal")
    ax.set(title=title, ylabel="y (m)",
           xlabel="x (m), grey: the hill\ndots: data, line: executed, dashed: imagined")


def draw_band(ax, x, runs, color, style, label):
    """The mean of runs (n_runs, len(x)), and a band of about two standard errors to each side."""
    mean = runs.mean(axis=0)
    error = 2 * runs.std(axis=0) / len(runs)**0.5
    ax.fill_between(x, mean - error, mean + error, color=color, alpha=0.2)
    ax.plot(x, mean, style, color=color, label=label)


# %% Slides "Planning v0.5", "Planning v0.5 - Fail", "works well in system identification"
def show_v05(ax, title, seed, exact=False):
    _, model, (total, actions) = play(planning_v05, [seed], exact, **OPEN_LOOP)
    # What the model promised: the difference to the true return shows how wrong the model is.
    promised = imagined_returns(model.predict, WORLD.reward, WORLD.start, actions[None])[0]
    print(f"{title:46} | {total:8.4g} | {promised:.1f}: what the model promised")
    # v0.5 does not give its data. To draw them, we collect them again, with the same seed.
    D = run_base_policy(WORLD, N_BASE, seed)[0]
    execute(WORLD, WORLD.reset()[0], actions, D)
    draw_paths(ax, title, model, D, [(WORLD.start, actions)])


# %% Slides "Planning v1.0 - can we do better" and "Planning v1.5": the recipes learn
def show_learning(ax, name, color, style, recipe, seeds, **settings):
    """The returns of v1.0 or v1.5 by episode: one curve. Gives the last run's model and result."""
    # Episode 2 of v1.5 is mostly bad: in episode 1 it met only the lower edge of the hill, so the
    # model does not know the middle yet, and the next plans lead straight at it.
    runs, model, result = play(recipe, seeds, n_rounds=8, **settings)
    draw_band(ax, range(1, 9), runs, color, style, name)
    # With the true dynamics there is nothing to learn: one episode is enough.
    best = play(recipe, seeds, exact=True, n_rounds=1, **settings)[0].mean()
    ax.axhline(best, color=color, linestyle=style, linewidth=0.8, label=f"{name}, true dynamics")
    print(f"{name + ': the last episode':46} | {runs[:, -1].mean():8.4g} | "
          f"{best:.1f}: with the true dynamics")
    ax.set(title="v1.0 learns; v1.5 learns faster", xlabel="episode", ylabel="return")
    ax.legend()
    return model, result


# %% Slide "The more you replan", "can use shorter horizons", "even random sampling"
# Why replan often, even with the exact model? After a short search no plan is perfect. If we
# replan, only its first actions are executed, and the next search can find a better rest.
# Why plan short? Among the same number of sequences, 16 good numbers (8 steps) are easier to find
# than 60 (30 steps). So random plans of 30 steps are bad, however often one replans.
def show_replanning(ax, label, color, style, seeds, **settings):
    """Return of v1.5 with the true dynamics, against the steps between two plans: one curve."""
    intervals = [1, 4, 8]
    returns = [play(planning_v15, seeds, exact=True, n_rounds=1, replan_every=n, **settings)[0]
               for n in intervals]
    runs = np.hstack(returns)           # columns (runs, 1), side by side
    draw_band(ax, intervals, runs, color, style, label)
    print(f"{label + ', replan at every step':46} | {runs[:, 0].mean():8.4g} | "
          f"{runs[:, -1].mean():.1f}: at every 8th step")
    ax.set(title="v1.5: replan often, plan short", xlabel="steps between plans", ylabel="return")


# %% The run: what is printed, and main
def run_all(axes, n_runs, seed):
    print("what                                           | measured | compare")
    ax1, ax2, ax3, ax4, ax5, ax6 = axes.flat        # two rows of three panels
    # All recipes get the same seeds: so the same data of the base policy and first networks.
    seeds = range(1000 * seed, 1000 * seed + n_runs)
    show_v05(ax1, "v0.5 leaves the data, and fails", seeds[-1])
    show_v05(ax2, "v0.5 works in system identification", seeds[-1], exact=True)
    show_learning(ax4, "v1.0", GREEN, "--", planning_v10, seeds, **OPEN_LOOP)
    model, result = show_learning(ax4, "v1.5", BLUE, "-", planning_v15, seeds, horizon=8, **REPLAN)
    _, D, plans = result
    draw_paths(ax3, "v1.5 plans again at every step", model, D, plans)
    for H, line in [(8, "-"), (30, ":")]:
        show_replanning(ax5, f"CEM, H = {H}", BLUE, "o" + line, seeds, horizon=H, **REPLAN)
        show_replanning(ax5, f"random, H = {H}", RED, "x" + line, seeds, horizon=H, **RANDOM)
    ax6.legend(handles=ax5.lines, loc="upper left")     # where a sixth panel would be
    ax6.set_axis_off()


def main():
    """Not about the lecture: reads the options, then shows the figure, or saves it."""
    # Without a screen, matplotlib chooses the backend "agg": it can only save figures.
    file = "mpc.png" if plt.get_backend().lower() == "agg" else None
    # SUPPRESS: an error is one line, without the list of options (usage).
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=4, help="independent runs (default 4)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random numbers")
    parser.add_argument("--save", metavar="FILE", default=file, help="figure: png, pdf or svg")
    # In a notebook the program is Jupyter's ipykernel_launcher, and sys.argv has its options.
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
# MIT-0: do what you like. The rest is read by the tool uv, which installs these packages.
# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy>=1.26", "matplotlib>=3.8"]
# ///
