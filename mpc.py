"""Model predictive control: plan with a learned model, watch it fail, collect its mistakes, replan.

The slides, and where they are here
    How to build a model? (I)-(III)             NeuralDynamics: a network on D = {(s, a, s')}
    Planning v0.5                               planning_v05
    Planning v0.5 - Fail; "works well in        draw_plan's two panels; one_step_error, error_map;
        system identification"                  PhysicalModel
    Planning v1.0                               planning_v10
    Planning v1.0 - can we do better            panel "v1.5: replanned at every step"
    Planning v1.5 or Model Predictive Control   planning_v15, with cem (or random_shooting, which
                                                shooting adapts: it has no use for the last plan)
    "the more you replan", "shorter horizons",  compare_replanning
        "even random sampling"

model        minimize over xi  sum_i |p_xi(s_i, a_i) - s'_i|^2,  p_xi(s, a) = s + network(s, a)
plan         maximize over a_1 .. a_H  sum_t r(s_t, a_t, s_t+1),  s_t+1 = p_xi(s_t, a_t)
open loop    execute a_1 .. a_T as planned;  closed loop: execute a_1, observe s', plan again

Run it: python mpc.py (about 15 s; --quick 5 s; --help for more). To expect, mean +- standard error
of 5 runs (an episode's return is minus the distance to the goal, summed over 30 steps):
    base policy -138; v0.5 -86 +- 6, with 300 or 630 transitions: more of the same data is no help;
    v1.0 -40.7 +- 1.2 and v1.5 -27.5 +- 0.2 (median of the last 5 rounds); MPC with the true
    dynamics -27.1 +- 0.2: v1.5 is within 5 % of it (1.3 +- 0.7 %);
    open loop with the true dynamics -36.3 +- 0.5, and the same for v0.5 with system identification,
    which finds the 3 parameters from the same data to 1e-6;
    v0.5's model errs by 0.094 +- 0.005 per step where the base policy goes, by 0.64 +- 0.08 where
    its plan goes, v1.5's by 0.015 +- 0.001 where v1.5 goes: the mismatch, and its cure;
    horizon 8, replanned every step -27.4 +- 0.2, every 5 steps -33.4 +- 0.8; horizon 30, every step
    -41.4 +- 1.3, never -68 +- 3: the more replanning the better, and shorter horizons do;
    random shooting replanned every step -50 +- 4, against -76 +- 3 of CEM that never replans, with
    as many sequences imagined per plan (mean over 30, 100, 300 and 1000 of them).
The last lines printed check each of these sentences on the run you just made.

Notation
    s, a, s2       state (x, y, vx, vy), force (fx, fy), next state; states (N, ds), actions (N, da)
    pi_0           the base policy: forces drawn uniformly
    p_xi, xi       the model and its weights;  predict: function (states, actions) -> next states
    D              list of transitions (s, a, s'), the slide's data set
    T, H           steps of an episode (30), horizon of a plan; sequences (N, H, da), a plan (H, da)

Left out on purpose: a learned reward (r is known, as on the recipes' slides), stochastic models
(expectation_model.py), a value at the horizon's end, policies learned from the plans. The world is
deterministic: what replanning repairs here is the model's error and the planner's, not noise.

Rubinstein & Kroese, The Cross-Entropy Method (2004). Nagabandi et al., Neural Network Dynamics for
Model-Based Deep RL (2018): recipe v1.5 with random shooting. Chua et al., PETS (2018): with CEM.
Kingma & Ba, Adam (2015). Ross & Bagnell, Agnostic System Identification (2012): why to refit.
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

N_BASE = (10, 15, 21)           # episodes of the base policy; v0.5 is also given more of them
N_ROUNDS = 12                   # v1.0 and v1.5: episodes after the first 10, a refit before each
HIDDEN, N_EPOCHS = 32, 150      # units per layer of the network, passes over D in every fit
OPEN_LOOP = dict(horizon=30, n_candidates=500, n_elites=50, n_iterations=10)    # 150,000 steps
REPLAN = dict(horizon=8, n_candidates=100, n_elites=10, n_iterations=3)         # 30 x 2,400
HORIZONS, INTERVALS = (3, 5, 8, 15, 30), (1, 2, 5, 10, 30)      # 30 is the whole episode: never
N_SEQUENCES = (30, 100, 300, 1000)                              # random shooting against CEM
MAP = np.linspace(-3, 3.25, 51), np.linspace(-2, 1.75, 31)      # x and y of the drawn maps

BLUE, GREEN, RED, GREY = "#0072B2", "#009E73", "#D55E00", "#666666"     # colour-blind safe


# %% Environment: a point mass, and a hill between start and goal

class PointMass:
    """A mass in the plane, in Gymnasium's interface: get to the goal, around a hill that repels.

    state   (x, y, vx, vy) in m and m/s;  action: the force (fx, fy), each within [-1, 1]
    theta   (gain, drag, hill), the physical parameters that system identification has to find

        p = (x, y), v = (vx, vy), f = (fx, fy)
        v' = v + dt (gain f - drag v + hill d exp(-|d|^2 / 2)),  d = (p - hill's centre) / 0.7 m
        p' = p + dt v',  reward -|p' - goal|,  dt = 0.25 s

    The hill pushes with up to 4.9, the force with 3 per axis: the way is around. An episode is
    truncated after n_steps; nothing is random. `dynamics` and `reward` are pure and vectorised.
    """

    def __init__(self, theta=(3.0, 1.5, 8.0), n_steps=30):
        self.theta, self.n_steps, self.dt = np.array(theta, float), n_steps, 0.25
        self.start, self.goal = np.array([-2.0, 0, 0, 0]), np.array([2.0, 0])
        self.hill = np.array([0, 0.4])
        self.observation_space = SimpleNamespace(shape=(4,))
        self.action_space = SimpleNamespace(low=np.full(2, -1.0), high=np.full(2, 1.0), shape=(2,))
        self.reset()

    def terms(self, states, actions):
        """What theta weighs in v': force, minus velocity, push of the hill (3, N, 2)."""
        d = (states[:, :2] - self.hill) / 0.7
        push = d * np.exp(-0.5 * (d * d).sum(axis=1, keepdims=True))
        return np.stack([np.clip(actions, -1, 1), -states[:, 2:], push])

    def dynamics(self, states, actions, theta=None):
        """Next states (N, 4) of states (N, 4) and actions (N, 2)."""
        gain, drag, hill = self.theta if theta is None else theta
        force, brake, push = self.terms(states, actions)
        velocities = states[:, 2:] + self.dt * (gain * force + drag * brake + hill * push)
        return np.concatenate([states[:, :2] + self.dt * velocities, velocities], axis=1)

    def reward(self, states, actions, next_states):
        """Minus the distance to the goal (N,)."""
        d = next_states[:, :2] - self.goal
        return -np.hypot(d[:, 0], d[:, 1])

    def reset(self, seed=None):
        self.t, self.state = 0, self.start.copy()
        return self.state, {}

    def step(self, action):
        state, action = self.state[None], np.asarray(action, float)[None]
        next_state = self.dynamics(state, action)
        self.t, self.state = self.t + 1, next_state[0]
        reward = float(self.reward(state, action, next_state)[0])
        return self.state, reward, False, self.t >= self.n_steps, {}


# %% Algorithm: two models

class NeuralDynamics:
    """A network with two hidden layers for s' = p_xi(s, a): slides "How to build a model?".

        h1 = tanh(x W1 + b1)    h2 = tanh(h1 W2 + b2)    y = h2 W3 + b3    xi = (W1, b1, ..., b3)

    x is (s, a) and y the change s' - s, not s' itself, because s' is almost s: the network would
    spend itself on copying. Both are standardised over D, so that all units count alike.
    dtype: float32 halves the matrix products' time and more than halves tanh's; its rounding (1e-7)
    is far below the model's error (1e-2).

    fit(states (N, ds), actions (N, da), next_states (N, ds)) can be called again, with the old data
    and the new: the weights go on from where they are. predict(states (N, ds), actions (N, da))
    gives next states (N, ds). ValueError: other shapes, data not finite, predict before fit.
    """

    def __init__(self, state_dim, action_dim, hidden=64, seed=0, dtype=np.float32):
        self.rng = np.random.default_rng(seed)
        self.state_dim, self.action_dim, self.scaled = state_dim, action_dim, None
        shapes = [(state_dim + action_dim, hidden), (hidden,), (hidden, hidden), (hidden,),
                  (hidden, state_dim), (state_dim,)]
        ends = np.cumsum([math.prod(shape) for shape in shapes])
        self.xi = np.zeros(ends[-1], dtype)         # one flat vector; W1, b1, ... are views of it
        self.weights = [part.reshape(shape) for part, shape in zip(np.split(self.xi, ends), shapes)]
        for W in self.weights[::2]:                 # so that units start with a variance of about 1
            W[:] = self.rng.normal(0, 1 / math.sqrt(len(W)), W.shape)

    def forward(self, x, W1, b1, W2, b2, W3, b3):
        h1 = x @ W1                         # then in place: a new array costs more than its sum
        h1 += b1
        np.tanh(h1, out=h1)
        h2 = h1 @ W2
        h2 += b2
        np.tanh(h2, out=h2)
        y = h2 @ W3
        y += b3
        return h1, h2, y

    def gradient(self, x, target):
        """Loss 1/N sum_i |y_i - target_i|^2 and its gradient by xi: the chain rule, from y back."""
        _, _, W2, _, W3, _ = self.weights
        h1, h2, y = self.forward(x, *self.weights)
        error = y - target
        # dL/dy = 2 (y - target) / N;  dL/dh = dL/dy W^T;  before the tanh: dL/dh (1 - h^2)
        d3 = error * (2 / len(x))
        d2 = d3 @ W3.T
        d2 *= 1 - h2 * h2
        d1 = d2 @ W2.T
        d1 *= 1 - h1 * h1
        # dL/dW = input^T d,  dL/db = sum_i d_i, in the order of xi
        parts = x.T @ d1, d1.sum(axis=0), h1.T @ d2, d2.sum(axis=0), h2.T @ d3, d3.sum(axis=0)
        return np.vdot(error, error) / len(x), np.concatenate([part.ravel() for part in parts])

    def fit(self, states, actions, next_states, n_epochs=100, batch_size=128, learning_rate=5e-3):
        states, actions, next_states = (np.asarray(a, float)
                                        for a in (states, actions, next_states))
        N, shapes = len(states), [a.shape for a in (states, actions, next_states)]
        if N < 1 or shapes != [(N, self.state_dim), (N, self.action_dim), (N, self.state_dim)]:
            raise ValueError(f"states, actions, next_states must be (N, {self.state_dim}), (N, "
                             f"{self.action_dim}), (N, {self.state_dim}), not {shapes}")
        x, y = np.concatenate([states, actions], axis=1), next_states - states
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise ValueError("the data to fit must be finite, but holds NaN or inf")
        x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
        x_std, y_std = (np.where((std := a.std(axis=0)) > 1e-9 * abs(a).max(axis=0), std, 1)
                        for a in (x, y))            # 1 for a column that never changes
        x, y = (a.astype(self.xi.dtype) for a in ((x - x_mean) / x_std, (y - y_mean) / y_std))
        m, v = np.zeros_like(self.xi), np.zeros_like(self.xi)
        k, n_updates = 0, n_epochs * math.ceil(N / batch_size)
        for _ in range(n_epochs):
            order = self.rng.permutation(N)
            x, y = x[order], y[order]
            for i in range(0, N, batch_size):
                _, g = self.gradient(x[i:i + batch_size], y[i:i + batch_size])
                # Adam: m, v are running means of g, g^2, corrected for their start at 0;
                # xi <- xi - alpha m / sqrt(v), where alpha falls to 0, which ends the jitter
                m += 0.1 * (g - m)
                v += 0.001 * (g * g - v)
                alpha = learning_rate * (1 - k / n_updates)
                k += 1
                alpha *= math.sqrt(1 - 0.999 ** k) / (1 - 0.9 ** k)
                self.xi -= alpha * m / (np.sqrt(v) + 1e-8)
        # the scales go into copies of the outer layers: that saves predict four passes over arrays
        W1, b1, W2, b2, W3, b3 = self.weights
        scaled = (W1 / x_std[:, None], b1 - x_mean / x_std @ W1, W2, b2,
                  W3 * y_std, b3 * y_std + y_mean)
        self.scaled = [a.astype(self.xi.dtype) for a in scaled]
        return self

    def predict(self, states, actions):
        if self.scaled is None:
            raise ValueError("call fit before predict")
        N, shapes = len(states), [np.shape(states), np.shape(actions)]
        if shapes != [(N, self.state_dim), (N, self.action_dim)]:
            raise ValueError(f"states and actions must be (N, {self.state_dim}) and (N, "
                             f"{self.action_dim}), not {shapes}")
        x = np.concatenate([states, actions], axis=1, dtype=self.xi.dtype, casting="same_kind")
        return states + self.forward(x, *self.scaled)[2]


class PhysicalModel:
    """System identification: the point mass's known form, its parameters theta by least squares.

    min_theta sum_i |theta . terms(s_i, a_i) - (v'_i - v_i) / dt|^2
    """

    def __init__(self, env):
        self.env = env

    def fit(self, states, actions, next_states, n_epochs=None):
        terms = self.env.terms(states, actions)                         # (3, N, 2)
        accelerations = (next_states - states)[:, 2:] / self.env.dt     # (N, 2)
        self.theta = np.linalg.lstsq(terms.reshape(3, -1).T, accelerations.ravel(), rcond=None)[0]
        return self

    def predict(self, states, actions):
        return self.env.dynamics(states, actions, self.theta)


# %% Algorithm: two planners

def random_shooting(predict, reward, state, horizon, low, high, n_candidates=1000, rng=None):
    """Draw action sequences uniformly, imagine each with the model, return the best one.

    max over a_1..a_H of  sum_t r(s_t, a_t, s_t+1),  s_t+1 = predict(s_t, a_t)

    predict    function of states (N, ds), actions (N, da): next states (N, ds)
    reward     function of states, actions, next states: (N,)
    state      where to plan from (ds,);  low, high: bounds, (da,) or numbers (da = 1)
    rng        Generator or seed

    Returns actions (horizon, da). A NaN or -inf return loses. ValueError for shapes that would
    broadcast, bounds out of order, a count below 1, or if all returns are NaN or -inf.
    """
    state, rng = np.asarray(state, float), np.random.default_rng(rng)
    low, high = np.broadcast_arrays(np.atleast_1d(low), high)
    in_order = np.isfinite([low, high]).all() and (low <= high).all()
    if state.ndim != 1 or low.ndim != 1 or not in_order:
        raise ValueError(f"need one state (ds,) and finite low <= high, each a number or (da,); "
                         f"got a state of shape {state.shape}, {low=}, {high=}")
    if horizon < 1 or n_candidates < 1:
        raise ValueError(f"need horizon, n_candidates >= 1; got {horizon=}, {n_candidates=}")
    sequences = rng.uniform(low, high, (n_candidates, horizon, len(low)))       # (N, H, da)
    states, returns = np.tile(state, (n_candidates, 1)), np.zeros(n_candidates)
    for actions in sequences.swapaxes(0, 1):            # (N, da) of each step
        next_states = predict(states, actions)
        if (np.shape(next_states) != states.shape
                or np.shape(rewards := reward(states, actions, next_states)) != returns.shape):
            raise ValueError(f"predict must return {states.shape}, reward {returns.shape}")
        returns += rewards
        states = next_states
    returns[np.isnan(returns)] = -np.inf        # not 0, which would win among negative returns
    if returns.max() == -np.inf:
        raise ValueError("every candidate's return is NaN or -inf: check predict and reward")
    return sequences[returns.argmax()].copy()


def cem(predict, reward, state, horizon, low, high, n_candidates=500, n_elites=50, n_iterations=5,
        mean=None, rng=None):
    """Cross-entropy method: random shooting, repeated around the best sequences of the last time.

    repeat   a ~ N(mean, spread^2) within the bounds;  mean, spread <- those of the n_elites best

    Arguments, result and errors as in random_shooting; further:
    mean       where to start the search (horizon, da), e.g. the rest of the last plan; or mid-range

    Returns the last elites' mean (horizon, da).
    """
    state, rng = np.asarray(state, float), np.random.default_rng(rng)
    shape = np.broadcast_shapes((1,), np.shape(low), np.shape(high), np.shape(mean)[1:])
    low, high = np.broadcast_to(low, shape), np.broadcast_to(high, shape)
    in_order = np.isfinite([low, high]).all() and (low <= high).all()
    if state.ndim != 1 or len(shape) > 1 or not in_order:
        raise ValueError(f"need one state (ds,) and finite low <= high, each a number or (da,); "
                         f"got a state of shape {state.shape}, {low=}, {high=}")
    if horizon < 1 or n_iterations < 1 or not 1 <= n_elites <= n_candidates:
        raise ValueError(f"need horizon, n_iterations >= 1 and 1 <= n_elites <= n_candidates; got "
                         f"{horizon=}, {n_iterations=}, {n_elites=}, {n_candidates=}")
    low, high = np.tile(low, (horizon, 1)), np.tile(high, (horizon, 1))         # (H, da)
    mean, spread = (low + high) / 2 if mean is None else np.asarray(mean, float), (high - low) / 2
    if mean.shape != low.shape:
        raise ValueError(f"mean must be (horizon, da) = {low.shape}, not {mean.shape}")
    for _ in range(n_iterations):
        noise = rng.standard_normal((n_candidates, *low.shape))                 # (N, H, da)
        sequences = np.clip(mean + spread * noise, low, high)
        # subtle: every iteration starts from the real state again, in an array of its own
        states, returns = np.tile(state, (n_candidates, 1)), np.zeros(n_candidates)
        for actions in sequences.swapaxes(0, 1):        # (N, da) of each step
            next_states = predict(states, actions)
            if (np.shape(next_states) != states.shape
                    or np.shape(rewards := reward(states, actions, next_states)) != returns.shape):
                raise ValueError(f"predict must return {states.shape}, reward {returns.shape}")
            returns += rewards
            states = next_states
        returns[np.isnan(returns)] = -np.inf    # not 0, which would win among negative returns
        best = np.argsort(-returns)[:n_elites]
        best = best[returns[best] > -np.inf]            # fewer elites rather than worthless ones
        if len(best) == 0:
            raise ValueError("every candidate's return is NaN or -inf: check predict and reward")
        mean, spread = sequences[best].mean(axis=0), sequences[best].std(axis=0)
    return np.clip(mean, low, high)                 # a mean of equal numbers may round past them


# %% Algorithm: the three recipes. What a recipe adds to the one before is marked "new"

def run_base_policy(env, n_episodes, rng):
    """The base policy pi_0: forces drawn uniformly. Returns D, a list of (s, a, s')."""
    D = []
    for _ in range(n_episodes):
        state, _ = env.reset()
        over = False
        while not over:
            action = rng.uniform(env.action_space.low, env.action_space.high)
            next_state, _, terminated, truncated, _ = env.step(action)
            D.append((state, action, next_state))
            state, over = next_state, terminated or truncated
    return D


def planning_v05(env, model, n_base, seed=0, n_epochs=N_EPOCHS, plan=cem, **settings):
    """Slide "Planning v0.5": fit once, plan once, execute blindly. Returns return, plan (T, da)."""
    acting, planning = np.random.default_rng(seed).spawn(2)
    low, high = env.action_space.low, env.action_space.high
    # (1) run base policy pi_0(a|s) and collect D = {(s, a, s')_i}
    D = run_base_policy(env, n_base, acting)
    # (2) learn the dynamics model p_xi(s'|s, a) to minimize sum_i |p_xi(s'|s, a) - s'_i|^2
    model.fit(*map(np.array, zip(*D)), n_epochs=n_epochs)
    # (3) plan through p_xi(s'|s, a) to choose actions (the slide writes pi_0)
    state, _ = env.reset()
    actions = plan(model.predict, env.reward, state, low=low, high=high, rng=planning, **settings)
    total = 0.0
    for action in actions:                              # the horizon should cover the episode
        _, reward, terminated, truncated, _ = env.step(action)
        total += reward
        if terminated or truncated:
            break
    return total, actions


def planning_v10(env, model, n_base, n_rounds, seed=0, n_epochs=N_EPOCHS, plan=cem, **settings):
    """Slide "Planning v1.0": v0.5, and refit with what was executed. Returns all returns, and D."""
    acting, planning = np.random.default_rng(seed).spawn(2)
    low, high = env.action_space.low, env.action_space.high
    returns = np.zeros(n_rounds)
    # (1) run base policy pi_0(a|s) and collect D = {(s, a, s')_i}
    D = run_base_policy(env, n_base, acting)
    for i in range(n_rounds):
        # (2) learn the dynamics model p_xi(s'|s, a) to minimize sum_i |p_xi(s'|s, a) - s'_i|^2
        model.fit(*map(np.array, zip(*D)), n_epochs=n_epochs)
        # (3) plan through p_xi(s'|s, a) to choose actions
        state, _ = env.reset()
        actions = plan(model.predict, env.reward, state, low=low, high=high, rng=planning,
                       **settings)
        # (4) new: execute the actions and add the resulting data {(s, a, s')_i} to D
        for action in actions:
            next_state, reward, terminated, truncated, _ = env.step(action)
            D.append((state, action, next_state))
            returns[i] += reward
            state = next_state
            if terminated or truncated:
                break
        # (5) new: go to (2)
    return returns, D


def planning_v15(env, model, n_base, n_rounds, replan_every=1, seed=0, n_epochs=N_EPOCHS, plan=cem,
                 **settings):
    """Slide "Planning v1.5 or Model Predictive Control": v1.0, and plan again on the way.

    Returns the rounds' returns, D, and the last episode's plans, a list of (state, actions).
    ValueError if replan_every or n_rounds is below 1.
    """
    if replan_every < 1 or n_rounds < 1:
        raise ValueError(f"need replan_every, n_rounds >= 1; got {replan_every=}, {n_rounds=}")
    acting, planning = np.random.default_rng(seed).spawn(2)
    low, high = env.action_space.low, env.action_space.high
    returns = np.zeros(n_rounds)
    # (1) run base policy pi_0(a|s) and collect D = {(s, a, s')_i}
    D = run_base_policy(env, n_base, acting)
    for i in range(n_rounds):
        # (2) learn the dynamics model p_xi(s'|s, a) to minimize sum_i |p_xi(s'|s, a) - s'_i|^2
        model.fit(*map(np.array, zip(*D)), n_epochs=n_epochs)
        state, _ = env.reset()
        plans, mean, over = [], None, False
        while not over:
            # (3) plan through p_xi(s'|s, a) to choose actions; new: from the state reached
            actions = plan(model.predict, env.reward, state, low=low, high=high, rng=planning,
                           mean=mean, **settings)
            plans.append((state, actions))
            # (4) new: execute the first planned actions, observe s'
            for action in actions[:replan_every]:
                next_state, reward, terminated, truncated, _ = env.step(action)
                # (5) append {(s, a, s')_i} to D
                D.append((state, action, next_state))
                returns[i] += reward
                state, over = next_state, terminated or truncated
                if over:
                    break
            # (6) new: go to (3), starting that search from the rest of this plan; or, at the end
            #     of the episode (every N = T steps), to (2)
            mean = np.zeros_like(actions)
            mean[:-replan_every] = actions[replan_every:]
    return returns, D, plans


# %% Exact answers: the same planners with the true dynamics

def frozen(predict):
    """A model that needs no fitting: the true dynamics, or a network fitted before."""
    return SimpleNamespace(fit=lambda *D, **_: None, predict=predict)


def true_returns(env, seed):
    """Returns, with the true dynamics, of open-loop planning and MPC; of the base policy (3,)."""
    truth = frozen(env.dynamics)
    open_loop, _ = planning_v05(env, truth, 1, seed, **OPEN_LOOP)
    closed_loop, _, _ = planning_v15(env, truth, 1, 3, seed=seed, **REPLAN)
    D = run_base_policy(env, 20, np.random.default_rng(seed))
    return open_loop, closed_loop.mean(), env.reward(*map(np.array, zip(*D))).sum() / 20


# %% Experiments: arrays with a leading axis of runs; nothing is drawn or printed

def imagine(predict, state, actions):
    """The states (T + 1, 4) a model goes through, from one state, under one plan."""
    states = [state[None]]
    for action in actions:
        states.append(predict(states[-1], action[None]))
    return np.concatenate(states)


def one_step_error(env, predict, states, actions):
    """|p_xi(s, a) - s'| in each of N states (N,)."""
    return np.linalg.norm(predict(states, actions) - env.dynamics(states, actions), axis=1)


def error_map(env, predict, n_draws=20):
    """One-step error at each position of the map, mean over velocities and forces (ny, nx)."""
    x, y = np.meshgrid(*MAP)
    rng = np.random.default_rng(0)                      # the same draws for every map
    states = np.repeat(np.stack([x, y, 0 * x, 0 * x], axis=-1).reshape(-1, 4), n_draws, axis=0)
    states[:, 2:] = rng.uniform(-1.5, 1.5, (len(states), 2))
    errors = one_step_error(env, predict, states, rng.uniform(-1, 1, (len(states), 2)))
    return errors.reshape(*x.shape, n_draws).mean(axis=-1)


def compare_recipes(env, seed):
    """Slides v0.5, v1.0 and v1.5, one run: a dict of arrays, and v1.5's model."""
    nets = [NeuralDynamics(4, 2, HIDDEN, seed) for _ in range(len(N_BASE) + 2)]
    physical = PhysicalModel(env)
    v05, plans = zip(*(planning_v05(env, net, n, seed, **OPEN_LOOP)
                       for net, n in zip(nets, N_BASE)))
    sysid, sysid_plan = planning_v05(env, physical, N_BASE[0], seed, **OPEN_LOOP)
    v10, _ = planning_v10(env, nets[-2], N_BASE[0], N_ROUNDS, seed, **OPEN_LOOP)
    v15, D, tails = planning_v15(env, nets[-1], N_BASE[0], N_ROUNDS, seed=seed, **REPLAN)
    before, after = nets[0].predict, nets[-1].predict
    paths = [[imagine(predict, env.start, plan) for predict in (model.predict, env.dynamics)]
             for model, plan in ((nets[0], plans[0]), (physical, sysid_plan))]
    states, actions, _ = map(np.array, zip(*D))
    base_policy = run_base_policy(env, 10, np.random.default_rng(seed))
    fresh_states, fresh_actions, _ = map(np.array, zip(*base_policy))
    # on the base policy's states, those of v0.5's plan, v1.5's last episode (not yet learned from)
    errors = [one_step_error(env, before, fresh_states, fresh_actions).mean(),
              one_step_error(env, before, paths[0][0][:-1], plans[0]).mean(),
              one_step_error(env, after, states[-env.n_steps:], actions[-env.n_steps:]).mean()]
    return dict(v05=v05, v10=v10, v15=v15, sysid=sysid, theta=physical.theta, paths=paths,
                errors=errors, true=true_returns(env, seed), visited=states,
                maps=[error_map(env, predict) for predict in (before, after)],
                tails=[imagine(after, *tail) for tail in tails]), nets[-1]


def shooting(*args, mean, n_candidates, n_elites, n_iterations, **kwargs):
    """random_shooting with as many model calls as cem, and no memory of the last plan."""
    return random_shooting(*args, n_candidates=n_candidates * n_iterations, **kwargs)


def compare_replanning(env, model, seed):
    """Slide "The more you replan...": returns with v1.5's model, which learns no more.

    grid      by horizon and interval, NaN where the interval exceeds the horizon
    planners  (every step or never, CEM or random shooting, sequences imagined per plan)
    """
    def play(interval, **settings):
        return planning_v15(env, frozen(model.predict), 1, 1, interval, seed, **settings)[0][0]

    grid = [[play(k, **{**REPLAN, "horizon": h}) if k <= h else math.nan for k in INTERVALS]
            for h in HORIZONS]
    planners = [[[play(k, plan=plan, horizon=h, n_iterations=3, n_candidates=n // 3,
                       n_elites=max(n // 30, 2)) for n in N_SEQUENCES]
                 for plan in (cem, shooting)] for k, h in ((1, 8), (30, 30))]
    return dict(grid=grid, planners=planners)


def run_experiments(n_runs, seed, progress):
    runs = []
    for i, run_seed in enumerate(np.random.SeedSequence(seed).generate_state(n_runs).tolist()):
        progress(f"run {i + 1} of {n_runs}: v0.5, v1.0, v1.5")
        env = PointMass()
        recipes, model = compare_recipes(env, run_seed)
        progress(f"run {i + 1} of {n_runs}: horizons and planners")
        runs.append({**recipes, **compare_replanning(env, model, run_seed)})
    return {key: np.array([run[key] for run in runs]) for key in runs[0]}


# %% Claims: what the docstring says, checked on this very run

def near(claim, expected, tolerance, measured):
    return (claim, f"{expected:g} ± {tolerance:.3g}", f"{measured:.4g}",
            abs(measured - expected) <= tolerance)


def check_claims(v05, v10, v15, sysid, theta, errors, true, grid, planners, **_):
    """Rows (claim, expected, measured, ok).

    A tolerance is 4 standard errors for this number of runs (1 seed in 10,000 misses it), from the
    standard deviations of 60 other runs; twice these for v1.0, for horizon 30 and for plans kept
    5 steps or more, where rare runs are far off.
    """
    n_runs = len(v05)
    finals = v05.mean(axis=1), np.median(v10[:, -5:], axis=1), np.median(v15[:, -5:], axis=1)
    bands = [(x.mean(), 2 * x.std() / math.sqrt(max(n_runs - 1, 1))) for x in finals]
    apart = all(bool(low + e < high - e2) for (low, e), (high, e2) in zip(bands, bands[1:]))
    wrong = np.abs(theta / PointMass().theta - 1).max()
    by_sampling = planners.mean(axis=-1)                # (runs, every step or never, CEM or random)
    at = {(h, k): grid[:, i, j] for i, h in enumerate(HORIZONS) for j, k in enumerate(INTERVALS)}
    quantities = [
        ("base policy: return", -138.4, 3.7, true[:, 2]),
        ("v0.5: return", -86.4, 14, finals[0]),
        ("v0.5: return with 630 transitions, minus that with 300", -3, 16,
         v05[:, -1] - v05[:, 0]),
        ("v1.0: return, median of the last 5 rounds", -40.7, 5, finals[1]),
        ("v1.5: return, median of the last 5 rounds", -27.5, 0.31, finals[2]),
        ("v1.5 below MPC with the true dynamics, %", 1.3, 1.5, 100 * (finals[2] / true[:, 1] - 1)),
        ("open loop with the true dynamics: return", -36.3, 0.96, true[:, 0]),
        ("MPC with the true dynamics: return", -27.1, 0.28, true[:, 1]),
        ("system identification: return, minus that with the truth", 0, 0.1, sysid - true[:, 0]),
        ("error of v0.5's model where the base policy goes", 0.094, 0.011, errors[:, 0]),
        ("error of v0.5's model along the path its plan imagines", 0.64, 0.17, errors[:, 1]),
        ("error of v1.5's model where v1.5 goes", 0.015, 0.0029, errors[:, 2]),
        ("horizon 8, replanned every step: return", -27.4, 0.41, at[8, 1]),
        ("horizon 8, every 5 steps", -33.4, 3.5, at[8, 5]),
        ("horizon 30, every step", -41.4, 5.8, at[30, 1]),
        ("horizon 30, never", -68.3, 12, at[30, 30]),
        ("CEM, never: return, mean of the four budgets", -76, 11.8, by_sampling[:, 1, 0]),
        ("random shooting, every step", -50, 7.6, by_sampling[:, 0, 1]),
        ("random shooting, never", -98.6, 6.8, by_sampling[:, 1, 1])]
    rows = [near(claim, expected, 4 * sd / math.sqrt(n_runs), values.mean())
            for claim, expected, sd, values in quantities]
    ranked = sum((finals[0] < finals[1]) & (finals[1] < finals[2]))
    if n_runs >= 5:                                          # the band of a few runs says nothing
        rows.append(("v0.5 < v1.0 < v1.5, 95 % bands apart", "yes", "yes" if apart else "no",
                     apart))
    return rows + [
        ("v0.5 < v1.0 < v1.5, in runs", f"{n_runs}", f"{ranked}", bool(ranked == n_runs)),
        ("system identification: largest relative error of a parameter", "< 1e-06", f"{wrong:.0e}",
         bool(wrong < 1e-6))]


# %% Figure: one panel per slide

def draw_band(ax, x, runs, color, label, at, shift, ha="left", **style):
    """Mean over runs (axis 0) and its 95 % band (2 standard errors), labelled near point `at`."""
    mean, error = runs.mean(axis=0), runs.std(axis=0) / math.sqrt(max(len(runs) - 1, 1))
    ax.fill_between(x, mean - 2 * error, mean + 2 * error, color=color, alpha=0.2, linewidth=0)
    ax.plot(x, mean, color=color, linewidth=1.8, **style)
    ax.annotate(label, (x[at], mean[at]), shift, textcoords="offset points", color=color, ha=ha)


def draw_map(ax, errors=None):
    """The plane from above: S, G and the hill; and, if given, the model's error as a shade."""
    env, (x, y) = PointMass(), MAP
    mesh = None
    if errors is None:
        X, Y = np.meshgrid(x, y)
        d = np.hypot(X - env.hill[0], Y - env.hill[1]) / 0.7
        ax.contourf(X, Y, d * np.exp(-0.5 * d * d), levels=8, cmap="Greys", vmin=0, vmax=1.5)
    else:
        mesh = ax.pcolormesh(x, y, errors, cmap="YlOrBr", norm="log", vmin=0.01, vmax=2,
                             rasterized=True)
    for (px, py), text in ((env.start[:2], "S"), (env.goal, "G")):
        ax.text(px, py, text, ha="center", va="center", fontweight="bold", color="black", zorder=4)
    ax.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), aspect="equal", xlabel="x (m)", ylabel="y (m)")
    return mesh


def draw_plan(ax, imagined, executed):
    """One plan: where the model saw it lead, and where it led; (T + 1, 4) each."""
    draw_map(ax)
    ax.plot(*executed[:, :2].T, color=RED, linewidth=1.8, label="executed")
    ax.plot(*imagined[:, :2].T, "--", color=BLUE, linewidth=1.8, label="imagined")
    ax.legend(frameon=False, fontsize="small", loc="upper right")


def draw_curves(ax, v05, v10, v15, true):
    step = PointMass().n_steps
    x = step * (N_BASE[0] + np.arange(N_ROUNDS))
    draw_band(ax, step * np.array(N_BASE), v05, RED, "v0.5: fit once, plan once", 1, (0, -22),
              "center")
    draw_band(ax, x, v10, GREEN, "v1.0: add data, refit", -1, (0, -44), "right")
    draw_band(ax, x, v15, BLUE, "v1.5: replan at every step", -1, (0, 19), "right")
    names = "open loop, true dynamics", "MPC, true dynamics", "base policy"
    for line, name in zip(true.mean(axis=0), names):
        ax.axhline(line, color=GREY, linewidth=1, linestyle="--")
        ax.text(x[-1], line + 0.7, f"{name} {line:.1f}", color=GREY, ha="right")
    ax.set(xlabel="real transitions", ylabel="return of the episode", xlim=(x[0], x[-1]),
           ylim=(-148, -8))


def draw_grid(ax, grid):
    """Return over horizon and replanning interval, mean over runs."""
    mean = grid.mean(axis=0)
    ax.imshow(mean, cmap="Blues_r", vmin=-100, vmax=-25, aspect="auto")
    for (i, j), value in np.ndenumerate(mean):
        if not math.isnan(value):
            ax.text(j, i, f"{value:.0f}", ha="center", va="center",
                    color="black" if value > -55 else "white")
    ax.set_xticks(range(len(INTERVALS)), [*INTERVALS[:-1], "never"])
    ax.set_yticks(range(len(HORIZONS)), HORIZONS)
    ax.set(xlabel="steps between plans", ylabel="horizon")
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)


def draw_planners(ax, planners):
    labels = [[("CEM, every step", 1, (0, 7), "center"),
               ("random, every step", 3, (0, 4), "right")],
              [("CEM, never", 3, (0, 7), "right"), ("random, never", 3, (0, -30), "right")]]
    for i, style in enumerate("-:"):
        for j, color in enumerate((BLUE, RED)):
            draw_band(ax, N_SEQUENCES, planners[:, i, j], color, *labels[i][j], linestyle=style)
    ax.set(xscale="log", xticks=N_SEQUENCES, xticklabels=N_SEQUENCES, ylabel="return",
           xlabel="sequences imagined per plan", ylim=(-125, -15))
    ax.minorticks_off()


def draw_figure(fig, v05, v10, v15, true, paths, visited, maps, tails, grid, planners, **_):
    axes = fig.subplot_mosaic([["curve", "network", "before"], ["curve", "physics", "after"],
                               ["grid", "planners", "tails"]], width_ratios=[6, 5, 6])
    run = np.argsort(v05[:, 0], kind="stable")[len(v05) // 2]       # the run whose paths are drawn
    step, first = PointMass().n_steps, N_BASE[0] * PointMass().n_steps
    draw_curves(axes["curve"], v05, v10, v15, true)
    draw_plan(axes["network"], *paths[run, 0])
    draw_plan(axes["physics"], *paths[run, 1])
    for name, errors, data in (("before", maps[run, 0], visited[run, :first]),
                               ("after", maps[run, 1], visited[run, first:])):
        mesh = draw_map(axes[name], errors)
        axes[name].plot(*data[:, :2].T, ".", color="black", markersize=2)
    fig.colorbar(mesh, ax=[axes["before"], axes["after"]], label="error of one step")
    axes["before"].plot(*paths[run, 0, 0, :, :2].T, "--", color=BLUE, linewidth=1.8)
    draw_map(axes["tails"])
    axes["tails"].plot(*tails[run, :, :, :2].T, "--", color=BLUE, linewidth=0.8)
    axes["tails"].plot(*visited[run, -step:, :2].T, color=RED, linewidth=1.8)
    draw_grid(axes["grid"], grid)
    draw_planners(axes["planners"], planners)
    for name, title in {
            "curve": f"the recipes learn ({len(v05)} runs, 95 % band)",
            "network": "v0.5 with a network: fails",
            "physics": "v0.5, system identification: works",
            "before": "v0.5: error where no data (dots) is",
            "after": "v1.5: data where the plans lead",
            "grid": "v1.5: return by horizon",
            "planners": "v1.5: even random sampling works",
            "tails": "v1.5: replanned at every step"}.items():
        axes[name].set_title(title, loc="left", fontsize="medium")


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
    parser.add_argument("--runs", type=int, metavar="N", help="independent runs (default 5)")
    parser.add_argument("--seed", type=int, metavar="S", default=0, help="base seed (default 0)")
    parser.add_argument("--quick", action="store_true", help="a few seconds: 1 run")
    parser.add_argument("--save", type=Path, metavar="PATH", help="write the figure: png, pdf, svg")
    args = parser.parse_args()
    n_runs = args.runs if args.runs is not None else 1 if args.quick else 5
    if n_runs < 1 or args.seed < 0:
        parser.error("--runs must be at least 1 and --seed at least 0")

    import matplotlib.pyplot as plt                 # here: using the functions needs only NumPy
    plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False,
                         "svg.hashsalt": "same seed, same file"})
    fig = plt.figure(figsize=(12.8, 8), layout="constrained")
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
