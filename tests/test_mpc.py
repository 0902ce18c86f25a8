"""Tests of mpc.py: by hand, by a log of what planners and recipes ask for, Riccati, curves, bad input, our figure.

False alarms: about 100 comparisons at 5 standard errors or more (6e-7 each), others as stated beside them: a right
program fails this file in fewer than 1 of 5,000 runs."""
import random
from types import SimpleNamespace

import numpy as np
import pytest

from conftest import attempt, require, require_names, require_refused

both = pytest.mark.parametrize("planner", ["random_shooting", "cem"])
GIVES = {"planning_v05": "return, plan", "planning_v10": "returns, D", "planning_v15": "returns, D, plans"}
all_recipes = pytest.mark.parametrize("recipe", GIVES)


def require_near(what, found, expected, tolerance=1e-6, hint="", wrong=()):
    """One sentence with the first row that differs, and which of the wrong answers {name: answer} it is."""
    require(isinstance(expected, list) or not isinstance(found, list), f"{what} must be an array, not a list")
    found = attempt(f"{what}, to be made an array of numbers,", lambda: np.atleast_1d(np.array(found, float)))
    expected = np.atleast_1d(np.array(expected, float))
    require(found.shape == expected.shape, f"{what} has the shape {found.shape}, not {expected.shape}. {hint}")
    for name in wrong:
        hint += f" It is {name}!" if np.allclose(found, wrong[name], rtol=0.04, atol=1e-5) else ""
    for i in np.argwhere(~(abs(found - expected) <= tolerance))[:1, 0]:
        digits = 9 if (abs(found[i] - expected[i]) <= 0.002).all() else 3
        require(False, f"{what} has {found[i].round(digits).tolist()} in row {i}, not "
                f"{expected[i].round(digits).tolist()}. {hint}")


def parts(what, names, result):
    right = isinstance(result, (tuple, list)) and len(result) == names.count(",") + 1
    require(right, f"{what} must return {names}; it returned {str(result)[:80]}")
    return result


def fixed(*arrays):
    """The arrays, read-only: whoever writes into them is found out."""
    for array in arrays:
        array.flags.writeable = False
    return arrays


def rows(what, shape, function, *columns):
    """What the function gives for N read-only rows: an array (N, *shape), each row as if it were asked for alone."""
    found = attempt(f"{what} of read-only arrays", function, *fixed(*columns))
    shape, kind = (len(columns[0]), *shape), getattr(found, "shape", type(found))
    require(kind == shape, f"{what} of {shape[0]} rows must be an array of the shape {shape}, not {kind}")
    alone = attempt(f"{what} of one row", function, *[column[:1] for column in columns])
    require_near(f"{what} of the first row alone", alone, found[:1], 1e-4 * (1 + abs(found[0]).max()),
                 f"(That is what it has among {len(found)} rows.) Rows must not mix")
    return found


def require_luck_of_its_own(what, make):
    """make(seed) gives arrays by name: the same for the same seed, whatever the global generators, or else others."""
    results = []
    for k, seed in enumerate((0, 0, 1)):
        random.seed(k)
        np.random.seed(k)
        before = random.getstate(), repr(np.random.get_state())
        results.append(make(seed))
        require(before == (random.getstate(), repr(np.random.get_state())), f"{what} draws from the global generators")
    for part, first in results[0].items():
        require_near(f"{what}, the same seed once more: {part}", results[1][part], first, 0, "(That was the first)")
        require((results[2][part] != first).any(), f"{what}: {part} is the same with seeds 0 and 1: {first[0]} ...")


def require_uniform(what, shares):
    """1,000 rows of independent numbers from 0 to 1: 0.09 from the uniform distribution once in 5 million times."""
    off, different = abs(np.sort(shares, axis=0) - np.linspace(0.001, 1, 1000)[:, None]).max(), len(np.unique(shares))
    relation = abs(np.corrcoef(shares.T) - np.eye(shares.shape[1])).max()
    require(off < 0.09 and relation < 6 / 1000 ** 0.5 and different > 0.9 * shares.size, f"{what} are not uniform from "
            f"low to high, each drawn by itself: means {shares.mean(axis=0).round(2)} and deviations "
            f"{shares.std(axis=0).round(2)}, not 0.5 and 0.29; {different} of {shares.size} differ; correlations to "
            f"{relation:.2f}, not 0")


def move(states, actions):
    return states + actions


def test_the_names_of_the_contract_are_there(mpc):
    require_names(mpc)


# ---------------------------------------------------------------- by hand: point mass, network
def test_point_mass_by_hand(mpc):
    """The lines of push meet in the hill, wherever it is, log(|push| / r) falls with r^2, 3 rewards give the goal."""
    env = mpc.PointMass(theta=(2.0, 1.0, 5.0))
    for action, state, expected in [([0.5, -1], [100, 50, 0, 0], [100.0625, 49.875, 0.25, -0.5]),
                                    ([0, 0], [100, 50, 4, -2], [100.75, 49.625, 3, -1.5])]:
        found = attempt("dynamics", env.dynamics, np.array([state], float), np.array([action], float))
        require_near(f"theta = (2, 1, 5), far from the hill, force {action}, {state}: s'", found, [expected], hint="v' "
                     "= v + dt (gain force - drag v), position' = position + dt v', theta is gain, drag, strength")
    rng = np.random.default_rng(0)
    states, actions, next_states = rng.normal(size=(100, 4)), rng.uniform(-1, 1, (100, 2)), rng.normal(size=(100, 4))
    rows("dynamics", (4,), env.dynamics, states, actions)
    at, rest = 0.7 * states[:20, :2], np.zeros((20, 2))
    push = mpc.PointMass(theta=(0.0, 0.0, 4.0)).dynamics(np.hstack([at, rest]), rest)[:, 2:]
    hill = np.linalg.lstsq(push[:, ::-1] * [1, -1], push[:, 1] * at[:, 0] - push[:, 0] * at[:, 1], rcond=None)[0]
    r2 = ((at - hill) ** 2).sum(axis=1)
    d = (at - hill) * abs(np.polyfit(r2, np.log((push ** 2).sum(axis=1) / r2), 1)[0]) ** 0.5
    require_near(f"theta = (0, 0, 4): v' (here the push) at {at[0]}, ..., where d = {d[0]}, ...", push,
                 d * np.exp(-(d ** 2).sum(axis=1, keepdims=True) / 2), hint="push = d exp(-|d|^2 / 2), away from it")
    start = np.array([[0, -0.4, 0, 0], [0.7, 0, 0, 0]]) + [*hill, 0, 0]
    found = mpc.PointMass().dynamics(start, np.array([[1.0, 0.0], [0, 0]])) - [*hill, 0, 0]
    require_near("PointMass(), seen from the hill's middle: from (0, -0.4), force (1, 0); from (0.7, 0), no force: s'",
                 found, [[0.19, -0.64, 0.75, -0.97], [1.0033, 0, 1.2131, 0.0]], 0.006)
    next_states[:5, :2] = [[0, 0], [1, 0], [0, 1], [1e5, 0], [1e5 + 1, 0]]
    found = rows("reward", (), env.reward, states, actions, next_states)
    goal, hint = (found[0] ** 2 - found[1:3] ** 2 + 1) / 2, "It is minus the distance of the NEXT position to the goal"
    require_near("far off, one metre further: the change of the reward", found[4] - found[3], -1, 0.01, hint)
    require_near("the reward", found, -np.hypot(*(next_states[:, :2] - goal).T), hint=hint + ", whatever was before")


def test_point_mass_step_by_step(mpc):
    """Twice the same 7 steps, against the pure functions, which are asked about other states the second time."""
    env, rng, steps = mpc.PointMass(n_steps=7), np.random.default_rng(1), []
    require_near("(low, high) of action_space", [env.action_space.low, env.action_space.high], [[-1, -1], [1, 1]])
    forces, others = fixed(rng.uniform(-1, 1, (7, 2)), rng.normal(size=(7, 4)))
    for episode in range(2):
        state, _ = parts("reset()", "s, info", env.reset(seed=0) if episode else env.reset())
        require_near("the state after another reset()", state, steps[0][0] if episode else state)
        for t, force in enumerate(forces):
            before = state.copy()
            if episode:
                env.reward(others, forces, env.dynamics(others, forces))
            next_state, r, terminated, truncated, _ = parts("step()", "s, reward, terminated, truncated, info",
                                                            attempt("step of a read-only action", env.step, force))
            require_near("an observation after the next step()", state, before, 0, "Hand out copies")
            require((bool(terminated), bool(truncated)) == (False, t == 6), f"n_steps = 7: step {t + 1} after reset() "
                    f"gave terminated {terminated}, truncated {truncated}; only the 7th is cut off (truncated)")
            require_near(f"s' of step {t + 1}, after dynamics() and reward() were called,", next_state, steps[t][3] if
                         episode else next_state, hint="(That is s' without.) Do they change the environment's state?")
            steps.append((before, force, r, next_state.copy()))
            state = next_state
    states, actions, rewards, next_states = (np.array(column) for column in zip(*steps))
    require_near("dynamics() of 14 states at once, against step(),", env.dynamics(states, actions), next_states)
    require_near("reward() of 14 steps at once, against step(),", env.reward(states, actions, next_states), rewards)


def fitted(mpc, what, data, model=None, n_epochs=100, **settings):
    """What fit returns, which must be the model."""
    model = model or mpc.NeuralDynamics(data[0].shape[1], data[1].shape[1], **settings)
    found = attempt(f"{what}: fit to read-only arrays", model.fit, *fixed(*data), n_epochs=n_epochs)
    require(hasattr(found, "predict"), f"fit must return the model; it returned {found!r}")
    return found


def require_learned(model, states, actions, next_states, what, hint, least=0.9):
    """R2 of the change of state, the worst column."""
    found = model.predict(states, actions)
    R2 = (1 - ((found - next_states) ** 2).mean(axis=0) / (next_states - states).var(axis=0)).min()
    require(R2 >= least, f"{what}: R2 of the change of state is {R2:.3g}, not {least} or more; {states[0]} becomes "
            f"{found[0]}, truly {next_states[0]}. {hint}")


def test_network_by_hand(mpc):
    """A line: error 0.1 or less in 20 seeds. Columns that never change come back, without NaN. One row and six, fewer
    than a batch: passed through (to 0.0005 in 60 seeds)."""
    z, ones = np.random.default_rng(0).normal(size=(2, 500, 1)), np.ones((500, 1))
    s, a = fixed(10 + 2 * z[0], 0.5 * z[1] - 1)
    change, what = 4 + 6 * a, "500 rows of s' = s + change, change = 4 + 6 a"
    model = fitted(mpc, what, (s, a, s + change))
    found = rows("predict", (1,), model.predict, s, a)
    few = fitted(mpc, what, (s, a, s + change), n_epochs=1).predict(s, a)
    require((found != few).any(), f"{what}: n_epochs = 1 and n_epochs = 100 give the same s'")
    errors = [abs(x - s - change).mean() for x in (few, found)]
    down = (f"{what}: the mean error of s' is {errors[0]:.3g} after n_epochs = 1, {errors[1]:.3g} after 100, not "
            "below 0.4. Do steps go down the gradient, over the ROOT of its mean square? Is the gradient right, with a "
            "tanh in both layers and its slope 1 - h^2?")
    require(not errors[1] > 1.5 * errors[0], down)
    line = np.linalg.lstsq(np.hstack([s - 10, change + 2, ones]), found - 8, rcond=None)[0][:, 0]
    hint = ("For a and a + 1 predict gives the same s': is a an input? (Weights that all start at 0 cannot learn)" if
            (model.predict(s, a + 1) == found).all() else "Do inputs and targets of a batch belong to the same rows?" if
            abs(line[1]) < 0.1 else "Is s not added to the change, or twice?" if abs(line[0] - 1) > 0.9 else
            "Is it change = mean + deviation * network((input - mean) / deviation), with fit's, in predict, too?")
    require_near(f"{what}: s' is 8 + p (s - 10) + q (change + 2) + c, where (p, q, c)", line, [1, 1, 0], 0.3, hint)
    require(errors[1] < 0.4, down)
    few, a, flat = np.linspace(-2, 2, 6)[:, None], z[1], np.hstack([z[0], 2 * ones])
    bent, constant = np.sin(few) + 0.5 * a[:6], "(NaN: the deviation of a constant column is 0, do not divide by it)"
    for what, states, actions, change, hint in [
            ("s' = s + (5, -7), second state and action never change", flat, ones, [[5, -7]] * ones, constant),
            ("one row", few[:1], a[:1], bent[:1], constant),
            ("six rows, less than a batch", few, a[:6], bent, "Is a last batch that is not full left out?")]:
        model = fitted(mpc, what, (states, actions, states + change), n_epochs=600 if len(states) < 7 else 100)
        require_near(f"{what}: s' predicted from {states[0]} and {actions[0]} ..., after the fit to these,",
                     model.predict(states[:6], actions[:6]), (states + change)[:6], 0.2, hint)


def test_gradients(ours, mpc):
    """Of the loss 1/N sum_i |y_i - target_i|^2, against central differences in nine directions."""
    model, rng = mpc.NeuralDynamics(3, 2, hidden=5, seed=1), np.random.default_rng(5)
    x, target = rng.normal(size=(7, 5)), rng.normal(size=(7, 3))
    start = [w + rng.normal(0, 0.3, w.shape) for w in model.weights]
    for _ in range(9):
        steps, model.weights, losses = [1e-5 * rng.normal(size=w.shape) for w in start], start, []
        slope = sum((g * step).sum() for g, step in zip(model.gradients(x, target), steps))
        for sign in (1, -1):
            model.weights = [w + sign * step for w, step in zip(start, steps)]
            losses.append(((model.forward(x)[-1] - target) ** 2).sum(axis=1).mean())
        require_near("change of the loss over what gradients() says", (losses[0] - losses[1]) / (2 * slope), 1, 1e-4)


def test_network_learns(mpc, base_seed):
    """A bowl with 2 units: 1 network in 15 ends above 0.05 (4 programs), so 5 of 6 do in 1 run of 100,000; without the
    slope of tanh nearly all. A smooth map in all units, also with tiny changes, on fresh data: 0.97 to 0.98. A second
    fit elsewhere: 0.99 (20 seeds). Control: one hidden unit."""
    rng = np.random.default_rng([base_seed, 1])
    a, s, errors = rng.uniform(-1, 1, (300, 1)), np.linspace(-2, 2, 60)[:, None], []
    for seed in range(6 * base_seed, 6 * base_seed + 6):
        model = fitted(mpc, "a bowl", (s, 0 * s, s + s ** 2), n_epochs=3000, hidden=2, seed=seed)
        errors.append(((model.predict(s, 0 * s) - s - s ** 2) ** 2).mean() / (s ** 2).var())
    require(sorted(errors)[1] < 0.05, f"s' = s + s^2, hidden = 2, 3,000 epochs: 6 networks have the errors (1 is the "
            f"variance) {np.round(errors, 3)}, but two at least should be below 0.05. Lines were learned, this is not: "
            "look at backpropagation. Has each hidden layer's delta the slope of its own tanh, 1 - h^2?")
    step = np.linspace(-2, 2, 60)[:, None]
    model = fitted(mpc, "a step", (step, 0 * step, step + np.sign(step)), n_epochs=6000, hidden=1, seed=base_seed)
    error = ((model.predict(step, 0 * step) - step - np.sign(step)) ** 2).mean()
    require(error < 0.05, f"60 rows of s' = s + sign(s), hidden = 1, 6000 epochs: the mean squared error is "
            f"{error:.3g}, not below 0.05 (right gradients: 0 to 0.02): the slope of tanh is 1 - h^2, h is the tanh")
    states, actions = rng.normal(size=(900, 3)), rng.uniform(-1, 1, (900, 2))
    x, y, z = states.T
    change = 0.1 * np.stack([y + actions[:, 0], np.sin(x) - z, actions[:, 1] - 0.5 * z + 2], axis=1)
    for unit, size in [(1e-3, 1), (1e3, 1), (1.0, 1e-4)]:
        data = states * [1, unit, 1], actions, (states + size * change) * [1, unit, 1]
        what = f"600 rows, states about 1, changes about {0.1 * size:g}, their second number in units of {unit:g}"
        model = fitted(mpc, what, [part[:600] for part in data], n_epochs=60, seed=base_seed)
        require_learned(model, *[part[600:] for part in data], what, "Has each column of inputs and targets, which "
                        "are CHANGES, a mean and a deviation of its own?")
    found = fitted(mpc, "hidden = 1", data, n_epochs=60, hidden=1, seed=base_seed).predict(states, actions)
    R2 = (1 - (found - data[2]).var(axis=0) / (data[2] - states).var(axis=0)).min()
    require(R2 < 0.8, f"hidden = 1 learns too well, R2 = {R2:.2f}: is the argument hidden used?")
    s, what = rng.normal(size=(300, 1)), "second fit, to 300 old rows and 300 around s = 40, changes 100 times larger"
    old, new = (s, a, s + 0.1 * a + 0.05 * s), (s + 40, a, s + 40 + 10 * a + 5 * s)
    model = fitted(mpc, what, old, hidden=32, seed=base_seed)
    model = fitted(mpc, what, [np.concatenate(pair) for pair in zip(old, new)], model, n_epochs=600)
    require_learned(model, *new, what, "Does a second fit learn, with means and deviations of all its data?")


# ---------------------------------------------------------------- the planners, by a log of what they ask; Riccati
class Imagination:
    """A model and a reward that write down what they are asked. A state holds the number of steps and the last actions.
    Of the first action 1e8 times the first number is paid, and charged one step later: only a discount can see it."""
    def __init__(self, low=(-1.0, -150.0), high=(-0.5, 150.0),
                 best=((-0.6, -90), (-0.9, 90), (-0.55, -30)), weights=((30, 1e-4), (20, 5e-5), (60, 2e-4))):
        self.low, self.high, self.start = fixed(np.array(low), np.array(high), np.array([0] + [7.0] * np.size(best)))
        self.best, self.weights, self.finished = np.array(best), np.array(weights), []
        self.horizon, self.da = self.best.shape
        self.pays = np.array([1e8, -1e8, 0]) * (self.horizon > 1)

    def predict(self, states, actions):
        states, actions = np.array(states, float), np.array(actions, float)
        require(((actions >= self.low - 1e-9) & (actions <= self.high + 1e-9)).all(), "the model was asked about "
                f"actions from {actions.min(axis=0)} to {actions.max(axis=0)}, outside of {self.low} to {self.high}")
        t = states[:, 0].round().astype(int)
        require((t < self.horizon).all() and (states[t == 0] == self.start).all(), f"horizon {self.horizon}: the model "
                f"was asked about {states[0]}, step {t[0] + 1}; the first step is from the given state {self.start}")
        return np.hstack([states[:, :1] + 1, states[:, 1 + self.da:], actions])

    def reward(self, states, actions, next_states):
        require_near(f"next_states given to reward(states, actions, next_states), from {states[0]}, {actions[0]} on,",
                     next_states, self.predict(states, actions), 1e-4, "(That is what predict gave for these)")
        t = np.array(states)[:, 0].round().astype(int)
        self.finished += list(np.array(next_states)[t == self.horizon - 1, 1:].reshape(-1, self.horizon, self.da))
        first = np.array(next_states)[range(len(t)), 1 + (self.horizon - 1 - t) * self.da]
        return self.pays[t] * first - (self.weights[t] * (actions - self.best[t]) ** 2).sum(axis=1)

    def ask(self, planner, n, **settings):
        what = planner.__name__
        plan = attempt(f"{what} with read-only arrays", planner, self.predict, self.reward, self.start, self.horizon,
                       self.low, self.high, **settings)
        require(np.shape(plan) == self.best.shape, f"{what}'s plan: {np.shape(plan)}, not of shape {self.best.shape}")
        require(len(self.finished) == n, f"{len(self.finished)} sequences were imagined to the end of the horizon "
                f"{self.horizon}, not {n} (n_candidates, in cem in each iteration). Are next states "
                "carried on to the next step, and no step left out?")
        sequences = np.array(self.finished)
        require(self.horizon == 1 or (sequences != sequences[:, :1]).any(), f"{what}: the model got one action at all "
                f"steps of a sequence; the plan is {plan.round(2).tolist()}. Action t at step t, and all drawn anew?")
        return plan, sequences, -(self.weights * (sequences - self.best) ** 2).sum(axis=(1, 2))


def test_random_shooting_by_its_log(mpc, base_seed):
    world, settings = Imagination(), dict(n_candidates=1100, rng=base_seed)
    plan, sequences, returns = world.ask(mpc.random_shooting, 1100, **settings)
    require_uniform("the 2 numbers of 3 steps of 1,000 sequences",
                    ((sequences - world.low) / (world.high - world.low)).reshape(1100, 6)[:1000])
    best = sequences[returns.argmax()]
    wrong = {"the best one backwards": best[::-1], "the worst one": sequences[returns.argmin()],
             "the best one with a discount": sequences[sequences[:, 0, 0].argmax()]}
    require_near("the plan of 3 steps", plan, best, 1e-5, "(The best of 1,100 by the sum of rewards)", wrong)
    again, _, _ = Imagination().ask(mpc.random_shooting, 1100, mean=plan * 0.9, **settings)
    require_near("random_shooting's plan with a mean and the same rng", again, plan, hint="(That is the plan without)")


def test_cem_by_its_log(mpc, base_seed):
    for n_iterations in (1, 3):
        settings = dict(n_candidates=200, n_elites=20, n_iterations=n_iterations, rng=base_seed)
        plan, sequences, returns = Imagination().ask(mpc.cem, 200 * n_iterations, **settings)
        order = sequences[-200:][np.argsort(-returns[-200:])]
        elites = order[:20].mean(axis=0)
        wrong = {"the best one alone": order[0], "the mean of all": order.mean(axis=0), "it backwards": elites[::-1],
                 "the mean of the worst": order[-20:].mean(axis=0), "where it started": [[-0.75, 0]] * 3}
        require_near(f"after {n_iterations} iterations cem's plan of 3 steps", plan, elites, 1e-5, "(That is the mean "
                     "of the 20 best of the last 200 sequences, by the sum of rewards)", wrong)


def test_cem_starts_at_the_given_mean(mpc, base_seed):
    """One iteration: medians and deviations of 4,000. Mid-range without a mean; with one at +-0.6 of the half width at
    least 0.1 of it there (0.6 if cut to the bounds, 0.23 if drawn anew; the standard error is 0.02)."""
    for mean in (None, *fixed(*np.array([[[-0.9, 90], [-0.6, -90], [-0.9, -90]], [[9, -999], [-9, 999], [9, 999]]]))):
        world = Imagination()
        _, sequences, _ = world.ask(mpc.cem, 4000, n_candidates=4000, n_iterations=1, mean=mean, rng=base_seed)
        middle, half = (world.low + world.high) / 2, (world.high - world.low) / 2
        medians = np.median(sequences, axis=0)
        found, wanted = (medians - middle) / half, np.clip(0 if mean is None else (mean - middle) / half, -1, 1)
        there = ((wanted == 0) | (np.sign(wanted) * found > 0.1)) & (abs(found) < abs(wanted) + 0.12)
        what = f"mean = {np.array(mean).tolist()}, bounds {world.low} to {world.high}: cem's first"
        require(there.all(), f"{what} medians are {medians.round(2).tolist()}, not around the mean, or else mid-range")
        spread = (sequences.std(axis=0) / half).min()
        require(spread > 0.1, f"{what} candidates deviate by only {spread:.2g} times (high - low) / 2. Is the first "
                "spread as wide as the bounds, and a mean outside clipped into them?")


@pytest.mark.parametrize("da, horizon", [(1, 2), (2, 1)])
def test_cem_searches_on_where_the_elites_are(mpc, base_seed, da, horizon):
    """40 elites of 4,000; then 4,000 of Normal(their mean, their deviation), far from the bounds: mean and share within
    one deviation at 6 standard errors, deviation at 8 % (7 standard errors; dividing by 39 for 40 makes 1 %)."""
    best, weights = np.reshape([4.5, 6.5], (horizon, da)), np.reshape([1.0, 25.0], (horizon, da))
    world = Imagination([-9.0] * da, [15.0] * da, best, weights)
    _, sequences, returns = world.ask(mpc.cem, 8000, n_candidates=4000, n_elites=40, n_iterations=2, rng=base_seed)
    elites, second = sequences[np.argsort(-returns[:4000])[:40]], sequences[4000:]
    numbers = np.hstack([sequences[:4000].reshape(4000, 2), second.reshape(4000, 2)])
    require_near("correlations of the 2 numbers of a sequence in the 1st, and the same 2 in the 2nd iteration,",
                 np.corrcoef(numbers.T), np.eye(4), 6 / 4000 ** 0.5, "(Is the same noise used for two of them?)")
    for t, k in np.ndindex(horizon, da):
        what, old, new = f"step {t}, number {k}, 2nd iteration:", elites[:, t, k], second[:, t, k]
        sd, sd2 = old.std(), new.std()
        require_near(f"{what} the mean", new.mean(), old.mean(), 6 * max(sd, sd2) / 4000 ** 0.5, "(The elites')")
        wrong = {"their variance": sd ** 2, "that of uniform noise, not Normal": sd / 3 ** 0.5, "one for all numbers":
                 elites.std(), "that about 0, not about their mean": (old ** 2).mean() ** 0.5}
        require_near(f"{what} the standard deviation", sd2, sd, 0.08 * sd, "(That is the elites')", wrong)
        require_near(f"{what} the share within one deviation of the mean", (abs(new - new.mean()) < sd2).mean(), 0.683,
                     0.044, "(That is the Normal distribution's)")


@both
def test_planner_by_hand(mpc, planner):
    """Bounds of all types. (The best of 1,000 numbers is 1.25 % of the width from the place once in 10^11 times.)
    NaN against returns below -1,000: counted as 0, it would win. Riccati's equation, P <- (1 + P) / (2 + P) from P = 0:
    the cost to go is s^2 / 2 from step 1, 3/5 s^2 from step 0, and a = -P s."""
    plan, good = getattr(mpc, planner), {"cem": 0.1, "random_shooting": 0.4}[planner]
    for low, high, place in [(-0.01, 0.01, 0.003), (-2, 2, 1.0), (-2, 2, -1.5),
                             (np.int8([-100]), np.int8([120]), 113.5),
                             (np.uint8([200]), np.uint8([250]), 213.5), (np.array([-2]), np.array([1]), -0.5)]:
        what = f"{planner}: s' = a, reward -|s' - {place}|, bounds {low} to {high} ({np.asarray(low).dtype})"
        found = attempt(what, plan, move, lambda s, a, s2: -abs(s2[:, 0] - place), [0.0], 1, low, high, rng=0)
        require_near(f"{what}: the plan", found, [[place]], 0.0125 * (float(np.max(high)) - float(np.min(low))),
                     "Large rewards are good. Does the spread have a lower limit? (And in int8, 100 + 100 is -56)")
    what = f"{planner}: NaN for positive actions, of all others -0.4 is best"
    found = attempt(what, plan, lambda s, a: np.where(a > 0, np.nan, a), lambda s, a, s2: -1000 - (s2[:, 0] + 0.4) ** 2,
                    [0.0], 2, -1, 1, n_candidates=400, rng=0)
    require_near(f"{what}: the plan", found, [[-0.4]] * 2, good, "NaN has to lose; argmax takes it for the largest")
    what = f"{planner}: s' = s + a from (1, -1), reward -(|s'|^2 + |a|^2), actions within [-1, 1]"
    found = attempt(what, plan, move, lambda s, a, s2: -(s2 ** 2 + a ** 2).sum(axis=1), [1.0, -1.0], 2, -np.ones(2),
                    np.ones(2), n_candidates=5000, rng=0)
    require_near(f"{what}: the plan", found, [[-0.6, 0.6], [-0.2, 0.2]], good)


@pytest.mark.parametrize("name", ["NeuralDynamics", "random_shooting", "cem"])
def test_luck_of_network_and_planners(mpc, name):
    data = np.random.default_rng(6).normal(size=(3, 200, 3))

    def make(rng):
        if name == "NeuralDynamics":
            return {"s'": np.asarray(fitted(mpc, name, data, n_epochs=3, seed=rng).predict(*data[:2]))}
        return {"the plan": attempt(name, getattr(mpc, name), move, lambda s, a, s2: -abs(s2[:, 0] - 1), np.zeros(1), 4,
                                    -1, 1, rng=rng)}
    require_luck_of_its_own(name, make)
    if name != "NeuralDynamics":
        require_luck_of_its_own(f"{name}(rng=Generator)", lambda seed: make(np.random.default_rng(seed)))
        for rng in (np.random.default_rng(0), None):
            plans = [make(rng)["the plan"] for _ in range(2)]
            require((plans[0] != plans[1]).any(), f"{name}: two calls with rng = {rng} give exactly the same plan")


# ---------------------------------------------------------------- the recipes, by a log of what they do
def box(low, high, dtype=float):
    """What a recipe may ask of Gymnasium's Box. A sample is luck of its own, if nobody seeds it."""
    luck, low, high = random.Random(), *fixed(np.array(low, dtype), np.array(high, dtype))
    return SimpleNamespace(low=low, high=high, dtype=low.dtype, shape=low.shape, seed=luck.seed,
                           sample=lambda: np.array([luck.uniform(*bounds) for bounds in zip(low, high)]))


class Field:
    """An environment with luck in reset and step, whose n-th episode lasts lengths[n] steps and is ended and cut in
    turn. The reward is the number of the real step. It overwrites the array that it gave, and the action."""

    def __init__(self, lengths, low=(9.0, -3.0), high=(11.0, -1.0), dtype=float, nan=()):
        self.action_space, self.observation_space = box(low, high, dtype), box([-np.inf] * 2, [np.inf] * 2)
        self.observation, self.rng, self.t = np.zeros(2), np.random.default_rng(), None
        self.lengths, self.nan, self.episodes, self.n_steps = lengths, nan, [], 0

    def transitions(self):
        return np.array([np.concatenate(step[:3]) for episode in self.episodes for step in episode])

    def dynamics(self, *arguments):
        require(False, "dynamics() or reward() of the environment was asked: plan with the given model and reward")

    reward = dynamics

    def reset(self, seed=None, options=None):
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.observation[:] = self.rng.normal(size=2)
        self.t = 0
        return self.observation, {}

    def step(self, action):
        space, state, taken = self.action_space, self.observation.copy(), np.array(action, float)
        require(self.t is not None, "a step was taken after an episode's end, terminated or truncated, without reset()")
        require(taken.shape == space.shape and ((taken >= space.low) & (taken <= space.high)).all(), "the environment "
                f"got the action {taken}, shape {taken.shape}; its action_space goes from {space.low} to {space.high}")
        if self.t == 0:
            self.episodes.append([])
        n = len(self.episodes)
        require(n <= len(self.lengths), f"the recipe begins episode {n}; n_base + n_rounds is {len(self.lengths)}")
        self.observation += 0.1 * taken + self.rng.normal(size=2)
        self.t, self.n_steps = self.t + 1, self.n_steps + 1
        self.episodes[-1].append((state, taken, self.observation.copy(), self.n_steps))
        if isinstance(action, np.ndarray) and action.flags.writeable:
            action[:] = 0
        if self.nan == ("state", self.n_steps):
            self.observation[1] = np.nan
        reward = np.nan if self.nan == ("reward", self.n_steps) else float(self.n_steps)
        over = self.t == self.lengths[n - 1]
        self.t = None if over else self.t
        return self.observation, reward, over and n % 2 == 0, over and n % 2 == 1, {}


class Log:
    """A model, a reward and a planner that write down what they are given. The plan is random, by the given luck."""

    def __init__(self, env):
        self.env, self.fits, self.asked, self.predict = env, [], [], move

    def fit(self, states, actions, next_states, n_epochs=None, batch_size=None):
        self.fits.append(sorted(map(tuple, np.hstack([states, actions, next_states]))))
        return self

    def reward(self, states, actions, next_states):
        return 1000.0 + next_states[:, 0] * actions[:, 0] - states[:, 1]

    def plan(self, predict, reward, state, horizon, low, high, mean=None, rng=None, **settings):
        s, a, n_steps = np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), self.env.n_steps
        require_near("predict, as given to the planner, from (1, 2) with action (3, 4),", predict(s, a), move(s, a))
        require_near("the planner's reward of (1, 2), (3, 4), (5, 6)", reward(s, a, s + 4), self.reward(s, a, s + 4))
        require([call.n_steps for call in self.asked[-9:]] != [n_steps] * 9, "the planner was asked 10 times without a "
                "real step in between. (replan_every = 0 must be a ValueError, or it goes on for ever)")
        actions = np.random.default_rng(rng).uniform(low, high, (horizon, len(np.atleast_1d(low))))
        self.asked.append(SimpleNamespace(
            state=np.array(state, float), mean=None if mean is None else np.array(mean), actions=actions.copy(),
            bounds=np.array([low, high]).reshape(2, -1), settings=settings, n_steps=n_steps))
        return actions


def run(mpc, recipe, env, n_base, **settings):
    """The log and the result of a recipe; the number of rounds is what the environment's episodes leave."""
    log, arguments = Log(env), [n_base] if recipe == "planning_v05" else [n_base, len(env.lengths) - n_base]
    settings = {"plan": log.plan, "horizon": 8, **settings}
    return log, getattr(mpc, recipe)(env, log, log.reward, *arguments, **settings)


@pytest.mark.parametrize("bounds", [((9.0, -3.0), (11.0, -1.0)), ((100, -7), (120, -2), "int8"), ([9.0], [11.0])])
@pytest.mark.parametrize("recipe, n_base, lengths, every", [
    ("planning_v05", 3, [5, 3, 7, 4], 8), ("planning_v10", 2, [5, 3, 7, 4, 8], 8),
    ("planning_v05", 1, [5, 12], 8), ("planning_v10", 1, [5, 12, 17], 8),
    ("planning_v15", 2, [5, 3, 9, 12], 1), ("planning_v15", 1, [4, 11, 13, 7], 3),
    ("planning_v15", 1, [4, 17, 8], 8), ("planning_v15", 1, [4, 17, 3, 12], 20)])
def test_recipe_by_its_log(mpc, recipe, n_base, lengths, every, bounds):
    """What was learned from, asked from where, executed, given back. The middle of -7 and -2 is -4.5."""
    env, horizon, settings = Field(lengths, *bounds), 8, {"replan_every": every} if recipe == "planning_v15" else {}
    what, every = f"{recipe}, n_base = {n_base}, horizon 8, {settings}", min(every, horizon)
    log, result = attempt(what, run, mpc, recipe, env, n_base, n_candidates=99, **settings)
    real, rounds = [len(episode) for episode in env.episodes], lengths[n_base:]
    if recipe != "planning_v15":
        lengths = lengths[:n_base] + [min(n, horizon) for n in rounds]
    require(real == lengths, f"{what}, {len(rounds)} rounds: episodes (or their one plan) end after {lengths} steps; "
            f"taken were {real}")
    data, hint = env.transitions(), ("(That happened. Is all copied that the environment goes on to change? Are rows "
                                     "twice in D, or from an earlier call: a default D=[] is made only once?)")
    require(len(log.fits) - len(rounds) in (0, 1), f"{what}: {len(log.fits)} fits in {len(rounds)} rounds, not one each")
    limits, asked = np.array([env.action_space.low, env.action_space.high], float), iter(log.asked)
    for i, episode in enumerate(env.episodes[n_base:]):
        found, known, plans = log.fits[i], real[:n_base + i], []
        require_near(f"{what}: s, a, s' in fit {i + 1}, sorted,", found, sorted(map(tuple, data[:sum(known)])), hint=hint)
        mean, begun = np.tile(limits.mean(axis=0), (horizon, 1)), [call.n_steps - sum(known) for call in log.asked]
        begun = [t for t in begun if 0 <= t < len(episode)]
        require(begun == list(range(0, len(episode), every)), f"{what}, episode {i + 1} of {len(rounds)}: the given "
                f"`plan` was asked after {begun} steps, not at the start and after each {every}")
        for t in begun:
            where, call = f"{what}, episode {i + 1} of {len(rounds)}, step {t}:", next(asked)
            require_near(f"{where} the state from which the planner was asked to start", [call.state], [episode[t][0]],
                         hint="(That is the one observed)")
            require_near(f"{where} low, high for the planner", call.bounds, limits)
            require(call.settings == {"n_candidates": 99}, f"{where} n_candidates=99 arrived as {call.settings}")
            if call.mean is not None or 0 < t and every < horizon:
                require_near(f"{where} the mean for the planner", call.mean, mean, hint="(The rest of the last plan, "
                             "shifted by the steps done, and mid-range behind it. In a new episode none, or mid-range)")
            executed = [step[1] for step in episode[t:t + every]]
            require_near(f"{where} the executed part of the plan", executed, list(call.actions[:len(executed)]))
            mean = np.concatenate([call.actions[every:], np.tile(limits.mean(axis=0), (every, 1))])
            plans.append(np.append(call.state, call.actions))
    names, result = GIVES[recipe], parts(recipe, GIVES[recipe], result)
    returns = np.array([sum(step[3] for step in episode) for episode in env.episodes[n_base:]], float)
    require("D" not in names or {len(step) for step in result[1]} == {3}, f"D, 2nd of {names}, must hold (s, a, s')")
    require_near(f"{what}: the returns, first of ({names}),", result[0], returns, hint="(Sums of real rewards)")
    if recipe == "planning_v05":
        require_near(f"{what}: the returned plan", result[1], log.asked[0].actions)
    else:
        require_near(f"{what}: s, a, s' of D", [np.concatenate(step) for step in result[1]], list(data), hint=hint)
    if recipe == "planning_v15":
        require_near(f"{what}: the plans of the last episode, each as state and then all actions,",
                     [np.append(state, actions) for state, actions in result[2]], plans)


@all_recipes
def test_luck_of_a_recipe(mpc, recipe):
    played = []

    def make(seed):
        env = Field([25] * 40 + ([8] if recipe == "planning_v05" else [8, 8]))
        log, _ = attempt(recipe, run, mpc, recipe, env, 40, seed=seed)
        played.append((env, log))
        return {"the environment's luck (reset(seed=...))": np.array([steps[0][0] for steps in env.episodes]),
                "the base policy's luck": env.transitions()[:1000, 2:4],
                "the planner's luck (rng)": np.array([call.actions for call in log.asked])}
    require_luck_of_its_own(recipe, make)
    env, log = played[0]
    first, second = [episode[0][0] for episode in env.episodes[:2]]
    require((first != second).any(), f"{recipe}: two episodes start with the same luck, in {first}")
    plans = [call.actions for call in log.asked]
    require(all((plan != plans[0]).any() for plan in plans[1:]), f"{recipe}: two plans with the same luck (rng)")
    shares = (env.transitions()[:1000, 2:4] - env.action_space.low) / 2
    planned = (np.concatenate(plans) - env.action_space.low) / 2
    common = len(np.intersect1d(np.append(shares, 1 - shares).round(11), planned.round(11)))
    require(common < 3, f"{recipe}: {common} of the planner's {planned.size} random numbers were the base policy's, "
            "too. Has each a stream (Generator) of its own?")
    require_uniform(f"{recipe}: 1,000 actions of the base policy", shares)


# ---------------------------------------------------------------- the curves of the figure
class Mass:
    """The point mass with the hill, as in mpc.py's figure."""
    action_space, observation_space = box([-1, -1], [1, 1]), box([-np.inf] * 4, [np.inf] * 4)

    def predict(self, states, actions):
        d = (states[:, :2] - [0, 0.4]) / 0.7
        push = d * np.exp(-(d ** 2).sum(axis=1, keepdims=True) / 2)
        v = states[:, 2:] + 0.25 * (3 * np.clip(actions, -1, 1) - 1.5 * states[:, 2:] + 8 * push)
        return np.concatenate([states[:, :2] + 0.25 * v, v], axis=1)

    def reward(self, states, actions, next_states):
        return -np.hypot(next_states[:, 0] - 2, next_states[:, 1])

    def reset(self, seed=None, options=None):
        self.t, self.state = 0, np.array([[-2.0, 0, 0, 0]])
        return self.state[0].copy(), {}

    def step(self, action):
        self.t, self.state = self.t + 1, self.predict(self.state, np.array([action], float))
        return self.state[0].copy(), float(self.reward(None, None, self.state)[0]), False, self.t == 30, {}


@pytest.mark.parametrize("recipe, arguments, planner, horizon, n_runs, least, most", [
    ("planning_v05", [1], "cem", 30, 4, -39, -34),                          # -36.3 +- 0.9
    ("planning_v05", [10], "cem", 30, 10, -113, -61),                       # -87 +- 16
    ("planning_v10", [10, 8], "cem", 30, 2, -85, -33),                      # -48 +- 7, of 800 the worst -82, best -34
    ("planning_v15", [10, 8], "cem", 8, 2, -33, -25),                       # -28 +- 1, the best ever seen -25.5
    ("planning_v15", [1, 1, 1], "cem", 8, 5, -28.6, -25.8),                 # -27.2 +- 0.45
    ("planning_v15", [1, 1, 8], "cem", 8, 5, -47, -32),                     # -39.2 +- 2.8
    ("planning_v15", [1, 1, 1], "cem", 30, 5, -44, -33),                    # -38.4 +- 2.2
    ("planning_v15", [1, 1, 30], "cem", 30, 5, -80, -54),                   # -66.6 +- 5
    ("planning_v15", [1, 1, 1], "random_shooting", 8, 5, -57, -31),         # -43.4 +- 5.5
    ("planning_v15", [1, 1, 30], "random_shooting", 30, 5, -115, -74)])     # -93.6 +- 7
def test_curves(mpc, pytestconfig, base_seed, recipe, arguments, planner, horizon, n_runs, least, most):
    """With the true dynamics if n_base is 1, else with a network: v0.5 leaves its data and fails, v1.0 and v1.5 learn
    (last two of 8 rounds). Mean +- deviation of a run, bounds at 5 standard errors. Replanning helps, so does
    a short horizon, random shooting is not bad. Control: 10 runs of random plans, -139 +- 5 (their mean). Who searches
    in another way (redraws what is out of bounds, begins narrower) or fits anew each time may lose up to 60 % more."""
    if pytestconfig.getoption("scripts"):
        least, most = max(1.6 * least, -115), 0.8 * most
    def play(n_runs, exact, **settings):
        env, returns = Mass(), []
        for seed in range(n_runs * base_seed, n_runs * (base_seed + 1)):
            model = mpc.NeuralDynamics(4, 2, hidden=32, seed=seed)
            model = SimpleNamespace(predict=env.predict, fit=lambda *data, **settings: None) if exact else model
            returns.append(attempt(recipe, getattr(mpc, recipe), env, model, env.reward, *arguments, seed=seed,
                                   horizon=horizon, **settings)[0])
        return np.array(returns).reshape(n_runs, -1)[:, -2:].mean()
    settings, exact = dict(plan=getattr(mpc, planner), n_candidates=300), arguments[0] == 1
    if planner == "cem":
        search = (500, 50, 10) if horizon == 30 and recipe != "planning_v15" else (100, 10, 3)
        settings.update(zip(["n_candidates", "n_elites", "n_iterations"], search))
    found, control = play(n_runs, exact, **settings), play(10, True, plan=mpc.random_shooting, n_candidates=1)
    require(least < found < most, f"{recipe}, {planner}, horizon {horizon}, [n_base, n_rounds, replan_every] = "
            f"{arguments}: the mean return of {n_runs} runs is {found:.1f}, not {least} to {most}")
    require(not least < control < most, f"random plans, too, have the return {control:.1f}")


# ---------------------------------------------------------------- bad input, and our own experiments and figure
def require_all_refused(name, function, good, cases):
    """Each case is what is wrong, and the arguments that make it so in place of the good ones."""
    for what, bad in cases:
        require_refused(f"{name}: {what}", function, **{**good, **bad})


@both
def test_bad_arguments_of_a_planner_are_refused(mpc, planner):
    good = dict(predict=move, reward=lambda s, a, s2: s2[:, 0], state=np.zeros(2), horizon=3, low=-np.ones(2),
                high=np.ones(2), n_candidates=20, rng=0)
    cases = [("a horizon of 0", dict(horizon=0)), ("low above high in one number", dict(low=np.array([-1.0, 2]))),
             ("infinity in high", dict(high=np.array([1, np.inf]))), ("NaN in low", dict(low=np.array([-1, np.nan])))]
    cases += [(f"a return of {x} for each sequence", dict(reward=lambda s, a, s2, x=x: np.full(len(s), x)))
              for x in (np.nan, np.inf)]
    if planner == "cem":
        good["n_elites"] = 5
        cases += [(f"n_elites = {n} of n_candidates = 20", dict(n_elites=n)) for n in (1, 21)]
    require_all_refused(planner, getattr(mpc, planner), good, cases)


def test_bad_data_of_the_network_are_refused(mpc):
    s, a, s2 = np.random.default_rng(8).normal(size=(3, 20, 3))
    good = dict(states=s, actions=a[:, :2], next_states=s2)
    cases = [("no rows", {key: x[:0] for key, x in good.items()}),
             ("actions of one number for a network of two", dict(actions=good["actions"][:, :1])),
             ("next states of one number, states of three", dict(next_states=good["next_states"][:, :1])),
             ("states of 1, actions of 4", dict(states=s[:, :1], actions=np.tile(a[:, :2], 2), next_states=s2[:, :1])),
             ("one row of next_states, 20 of the others", dict(next_states=good["next_states"][:1]))]
    for key, x in good.items():
        cases.append((f"19 rows of {key}, 20 of the others", {key: x[:19]}))
        cases += [(f"{value} in {key}", {key: np.where(x == x[3, 0], value, x)}) for value in (np.nan, np.inf)]
    model = mpc.NeuralDynamics(3, 2)
    require_all_refused("predict", model.predict, dict(states=s, actions=a[:, :2]), [("a call before fit", {})])
    require_all_refused("fit", lambda **data: mpc.NeuralDynamics(3, 2).fit(**data, n_epochs=1), good, cases)
    model.fit(**good, n_epochs=1)
    require_all_refused("predict", model.predict, dict(states=s[0], actions=a[0, :2]), [("a single state (3,)", {})])


@all_recipes
def test_bad_arguments_of_a_recipe_are_refused(mpc, recipe):
    def call(nan=(), high=(11.0, -1.0), **settings):
        run(mpc, recipe, Field([5, 5, 8], high=high, nan=nan), **settings)
    cases = [(f"NaN, {what} in real step {t}", dict(nan=(what, t))) for what in ("reward", "state") for t in (3, 12)]
    cases += [("a horizon of 0", dict(horizon=0, plan=mpc.cem)), ("bounds of infinity", dict(high=(11.0, np.inf)))]
    if recipe == "planning_v15":
        cases += [("replan_every = 0", dict(replan_every=0)), ("n_rounds = 0", dict(n_base=3))]
    require_all_refused(recipe, call, dict(n_base=2), cases)


def test_our_figure_and_physical_model(ours, mpc, base_seed, capsys):
    """One run, at 5 standard deviations (v1.0: -45 +- 5, once in 1,200 -154); v0.5 promised 45 +- 14 too much; theta."""
    figure, axes = mpc.plt.subplots(2, 3)
    mpc.run_all(axes, 1, base_seed)
    [mpc.show_v05(axes[0, 0], "v0.5 again", [base_seed, run]) for run in (1, 2, 3)]
    lines = [[part.strip() for part in line.split("|")] for line in capsys.readouterr().out.splitlines()]
    require(all(len(line) == 3 for line in lines) and lines[0] == ["what", "measured", "compare"], f"printed: {lines}")
    too_much = [float(lines[i][2].split(":")[0]) - float(lines[i][1]) for i in (1, -3, -2, -1)]
    require(np.mean(too_much) > 10, f"v0.5's model promised too much: {too_much} in four runs")
    for what, least, most in [("v0.5 leaves", -170, -37), ("v0.5 works", -41, -32), ("v1.0:", -170, -33),
                              ("v1.5:", -36, -25), ("CEM, H = 8", -29.7, -25), ("random, H = 8", -75, -27)]:
        measured = [float(line[1]) for line in lines if line[0].startswith(what)]
        require(len(measured) == 1 and least < measured[0] < most, f"{what!r}: {measured}, not from {least} to {most}")
    mpc.plt.close(figure)
    (s, a), true = np.random.default_rng(3).normal(size=(2, 50, 4)), mpc.PointMass((2.0, 1.0, 5.0))
    model = mpc.PhysicalModel(mpc.PointMass()).fit(s, a[:, :2], true.dynamics(s, a[:, :2]))
    require_near("PhysicalModel, fitted to theta = (2, 1, 5): theta", model.theta, [2, 1, 5])
