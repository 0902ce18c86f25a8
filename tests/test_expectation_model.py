"""Tests of expectation_model.py. Exact answers first, then statistics; each statistic says what it catches.

False alarms: the statistical checks below have margins of at least 5 standard errors (two-sided 6e-7 if
normal), or thresholds beside which stands what 20 other seeds gave.
"""
import math

import numpy as np
import pytest


def every_pair(S, A):
    return np.repeat(np.arange(S), A), np.tile(np.arange(A), S)


def random_mdp(rng, S, A, ends=0.0):
    """P (S, A, S) with rows that sum to 1 - ends (for a random third of the pairs), R (S, A)."""
    P = rng.dirichlet(np.ones(S), size=(S, A)) * np.where(rng.random((S, A, 1)) < 1 / 3, 1 - ends, 1)
    return P, rng.normal(size=(S, A))


def draw(P, R, n, rng):
    """Transitions of random pairs, with rewards R + noise."""
    S, A, _ = P.shape
    states, actions = rng.integers(S, size=n), rng.integers(A, size=n)
    next_states = (P[states, actions].cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=S - 1)
    return states, actions, R[states, actions] + rng.normal(size=n), next_states


def optimal_values(P, R, gamma):
    """V*, Q* by policy iteration with linear solves: no successive approximation in it."""
    s, policy = np.arange(len(R)), R.argmax(axis=1)
    for _ in range(100):
        V = np.linalg.solve(np.eye(len(R)) - gamma * P[s, policy], R[s, policy])
        Q = R + gamma * P @ V
        better = Q.argmax(axis=1)
        if (Q[s, better] <= Q[s, policy] + 1e-12).all():
            return V, Q
        policy = better
    raise AssertionError("policy iteration did not end")


def r_squared(truth, guess):
    return 1 - ((truth - guess) ** 2).mean(axis=0) / truth.var(axis=0)


# ---------------------------------------------------------------- LookupModel, exact

def test_lookup_equals_counts_exactly(expectation_model):
    model = expectation_model.LookupModel(3, 2)
    model.fit([0, 0, 0, 0, 1], [1, 1, 1, 0, 0], [1.0, 2.0, 6.0, 5.0, -1.0], [2, 2, 1, 0, 2])
    rewards, P = model.predict([0, 0, 1], [1, 0, 0])
    assert rewards == pytest.approx([3, 5, -1], abs=1e-12)
    assert P == pytest.approx(np.array([[0, 1 / 3, 2 / 3], [1, 0, 0], [0, 0, 1]]), abs=1e-15)


def test_lookup_against_a_loop(expectation_model, base_seed):
    rng = np.random.default_rng([base_seed, 1])
    S, A = 5, 3
    D = draw(*random_mdp(rng, S, A), 400, rng)
    n, total = {}, {}
    for s, a, r, s2 in zip(*D):
        n.setdefault((s, a), np.zeros(S))[s2] += 1
        total[s, a] = total.get((s, a), 0) + r
    rewards, P = expectation_model.LookupModel(S, A).fit(*D).predict(*every_pair(S, A))
    for s, a, r, p in zip(*every_pair(S, A), rewards, P):
        assert r == pytest.approx(total[s, a] / n[s, a].sum(), abs=1e-12)
        assert p == pytest.approx(n[s, a] / n[s, a].sum(), abs=1e-12)
    assert P.sum(axis=1) == pytest.approx(np.ones(S * A), abs=1e-12)


def test_lookup_fit_adds_to_the_counts(expectation_model, base_seed):
    rng = np.random.default_rng([base_seed, 2])
    D = draw(*random_mdp(rng, 4, 2), 300, rng)
    at_once, in_parts = expectation_model.LookupModel(4, 2), expectation_model.LookupModel(4, 2)
    at_once.fit(*D)
    for i in range(0, 300, 7):
        in_parts.fit(*(array[i:i + 7] for array in D))
    for one, other in zip(at_once.predict(*every_pair(4, 2)), in_parts.predict(*every_pair(4, 2))):
        assert one == pytest.approx(other, abs=1e-12)


def test_a_pair_never_seen_gets_a_distribution_and_no_nan(expectation_model):
    model = expectation_model.LookupModel(3, 2)
    model.fit([0], [0], [1.0], [1])
    with np.errstate(all="raise"):
        rewards, P = model.predict([2, 1], [1, 0])
        sampled, next_states = model.sample([2, 1], [1, 0], np.random.default_rng(0))
    assert np.isfinite(rewards).all() and np.isfinite(sampled).all()
    assert P.sum(axis=1) == pytest.approx([1, 1])
    assert set(np.asarray(next_states).tolist()) <= {0, 1, 2}


def test_a_pair_never_seen_stays_put(expectation_model, ours):
    model = expectation_model.LookupModel(3, 2).fit([0], [0], [1.0], [1])
    rewards, P = model.predict([2, 0], [1, 1])
    assert (rewards == 0).all() and (P == np.eye(3)[[2, 0]]).all()


def test_lookup_samples_follow_the_counts(expectation_model, base_seed):
    """Shares of 20,000 draws: standard error 0.0034, margin 6 of them. Catches off-by-one draws."""
    model = expectation_model.LookupModel(3, 1)
    model.fit([0] * 10, [0] * 10, [4.0] * 3 + [-1.0] * 7, [1] * 3 + [2] * 7)
    n = 20_000
    rewards, next_states = model.sample(np.zeros(n, int), np.zeros(n, int),
                                        np.random.default_rng([base_seed, 3]))
    shares = np.bincount(next_states, minlength=3) / n
    assert shares == pytest.approx([0, 0.3, 0.7], abs=0.02)
    assert shares[0] == 0
    assert np.mean(rewards) == pytest.approx(0.5, abs=6 * 2.3 / math.sqrt(n))


# ---------------------------------------------------------------- value_iteration, exact

@pytest.mark.parametrize("gamma, ends", [(0.0, 0.0), (0.5, 1.0), (0.9, 0.3), (0.99, 0.0)])
def test_value_iteration_against_policy_iteration(expectation_model, base_seed, gamma, ends):
    """Rows that sum to less than 1 end the episode; the tolerance is kept, not only the last step's."""
    for i in range(5):
        P, R = random_mdp(np.random.default_rng([base_seed, 4, i]), 6, 3, ends)
        V, Q = expectation_model.value_iteration(P, R, gamma)
        exact = optimal_values(P, R, gamma)
        assert np.shape(V) == (6,) and np.shape(Q) == (6, 3)
        assert np.abs(V - exact[0]).max() < 1.1e-8 and np.abs(Q - exact[1]).max() < 1.1e-8


def test_an_ended_episode_is_worth_nothing_more(expectation_model):
    """s0 -a0-> s1 (reward 2), -a1-> end (reward 3); s1 -> end or s0, half each (reward 1)."""
    P = np.zeros((2, 2, 2))
    P[0, 0, 1] = 1
    P[1, :, 0] = 0.5
    R = np.array([[2.0, 3.0], [1.0, 1.0]])
    V, Q = expectation_model.value_iteration(P, R, 0.8)
    # V0 = max(2 + 0.8 V1, 3), V1 = 1 + 0.4 V0:  V0 = 2.8 / 0.68
    assert V == pytest.approx([2.8 / 0.68, 1 + 0.4 * 2.8 / 0.68], abs=1e-7)
    assert Q[0, 1] == pytest.approx(3, abs=1e-7)


def test_a_gamma_close_to_one_ends_too(expectation_model):
    V, _ = expectation_model.value_iteration(np.array([[[0.5, 0.5]], [[0.5, 0.5]]]), np.ones((2, 1)), 0.999)
    assert V == pytest.approx([1000, 1000], abs=1e-6)


# ---------------------------------------------------------------- known examples

def frozen_lake():
    """The 4 x 4 lake, slippery: lists of (next state, reward, ends), each with probability 1/3."""
    text, moves = "SFFFFHFHFFFHHFFG", [(0, -1), (1, 0), (0, 1), (-1, 0)]
    table = {}
    for s in range(16):
        for a in range(4):
            if text[s] not in "HG":
                table[s, a] = []
                for b in (a - 1, a, a + 1):
                    dy, dx = moves[b % 4]
                    s2 = min(max(s // 4 + dy, 0), 3) * 4 + min(max(s % 4 + dx, 0), 3)
                    table[s, a].append((s2, float(text[s2] == "G"), text[s2] in "HG"))
    return table


def test_frozen_lake_is_worth_0_5420(expectation_model):
    rows = [(s, a, r, s2) for (s, a), outcomes in frozen_lake().items() for s2, r, _ in outcomes]
    model = expectation_model.LookupModel(16, 4)
    model.fit(*map(np.array, zip(*rows)))
    rewards, P = model.predict(*every_pair(16, 4))
    V, _ = expectation_model.value_iteration(np.reshape(P, (16, 4, 16)), np.reshape(rewards, (16, 4)), 0.99)
    assert V[0] == pytest.approx(0.5420, abs=5e-5)


def test_frozen_lake_of_gymnasium(expectation_model):
    """Straight from its table, ended episodes as missing mass."""
    gymnasium = pytest.importorskip("gymnasium")
    table = gymnasium.make("FrozenLake-v1", map_name="4x4", is_slippery=True).unwrapped.P
    P, R = np.zeros((16, 4, 16)), np.zeros((16, 4))
    for s in range(16):
        for a in range(4):
            for p, s2, r, ends in table[s][a]:
                R[s, a] += p * r
                P[s, a, s2] += p * (not ends)
    assert expectation_model.value_iteration(P, R, 0.99)[0][0] == pytest.approx(0.5420, abs=5e-5)


def test_certainty_equivalence_on_example_6_4(expectation_model):
    """Sutton & Barto: A,0,B,0 once; B,1 six times; B,0 once. V(A) = 3/4 (Monte Carlo says 0)."""
    A, B, END = 0, 1, 2
    states, rewards, next_states = [A] + [B] * 8, [0, 0] + [1] * 6 + [0], [B] + [END] * 8
    model = expectation_model.LookupModel(3, 1)
    model.fit(states, [0] * 9, rewards, next_states)
    R, P = model.predict(*every_pair(3, 1))
    P, R = np.reshape(P, (3, 1, 3)).copy(), np.reshape(R, (3, 1)).copy()
    P[END], R[END] = 0, 0
    V, _ = expectation_model.value_iteration(P, R, 1 - 1e-9)
    assert V[:2] == pytest.approx([0.75, 0.75], abs=1e-7)


# ---------------------------------------------------------------- LinearModel, exact

def test_a_linear_world_is_recovered(expectation_model, base_seed):
    rng = np.random.default_rng([base_seed, 5])
    A, d = 3, 4
    W, w, b, c = rng.normal(size=(A, d, d)), rng.normal(size=(A, d)), rng.normal(size=(A, d)), rng.normal(size=A)

    def world(n):
        x, a = rng.normal(size=(n, d)), rng.integers(A, size=n)
        return x, a, (x * w[a]).sum(axis=1) + c[a], np.einsum("nd,nde->ne", x, W[a]) + b[a]
    model = expectation_model.LinearModel(d, A)
    model.fit(*world(200))
    x, a, r, x_next = world(50)
    rewards, predicted = model.predict(x, a)
    assert np.abs(rewards - r).max() < 1e-6 and np.abs(predicted - x_next).max() < 1e-6
    wrong = model.predict(x, (a + 1) % A)[1]            # control: another action is another law
    assert np.abs(wrong - x_next).max() > 0.1


def test_refitting_starts_from_scratch(expectation_model, base_seed):
    rng = np.random.default_rng([base_seed, 6])
    x, a = rng.normal(size=(100, 2)), rng.integers(2, size=100)
    model = expectation_model.LinearModel(2, 2)
    model.fit(x, a, np.ones(100), 3 * x)
    model.fit(x, a, np.zeros(100), x + 1)
    rewards, x_next = model.predict(x, a)
    assert np.abs(rewards).max() < 1e-9 and np.abs(x_next - x - 1).max() < 1e-9


def test_one_hot_features_give_the_lookup_table(expectation_model, base_seed):
    rng = np.random.default_rng([base_seed, 7])
    D = states, actions, rewards, next_states = draw(*random_mdp(rng, 6, 3), 500, rng)
    one_hot = np.eye(6)
    linear, table = expectation_model.LinearModel(6, 3), expectation_model.LookupModel(6, 3)
    linear.fit(one_hot[states], actions, rewards, one_hot[next_states])
    table.fit(*D)
    for one, other in zip(linear.predict(one_hot[states], actions), table.predict(states, actions)):
        assert np.abs(one - other).max() < 1e-8


def test_value_of_the_linear_model_is_lstds(expectation_model, base_seed):
    """Parr et al. 2008. The model is asked at 0 and the unit vectors, which tell all of a linear map."""
    rng = np.random.default_rng([base_seed, 8])
    d, gamma, n = 3, 0.9, 300
    x = rng.normal(size=(n, d))
    x_next, r = 0.5 * x @ rng.normal(size=(d, d)) + rng.normal(size=(n, d)), rng.normal(size=n)
    model = expectation_model.LinearModel(d, 1)
    model.fit(x, np.zeros(n, int), r, x_next)
    rewards, images = model.predict(np.vstack([np.zeros(d), np.eye(d)]), np.zeros(d + 1, int))
    w_r = np.r_[rewards[0], rewards[1:] - rewards[0]]
    F = np.eye(d + 1)
    F[:, 1:] = np.vstack([images[0], images[1:] - images[0]])
    value = np.linalg.solve(np.eye(d + 1) - gamma * F, w_r)
    phi, phi_next = np.column_stack([np.ones(n), x]), np.column_stack([np.ones(n), x_next])
    lstd = np.linalg.solve(phi.T @ (phi - gamma * phi_next), phi.T @ r)
    assert np.abs(value - lstd).max() < 1e-8 * max(1, np.abs(lstd).max())


# ---------------------------------------------------------------- gradients, exact

def finite_differences(loss, weights, rng, h=1e-6):
    """(numerical, index) at three entries of each array."""
    for k, w in enumerate(weights):
        for _ in range(3):
            i = tuple(int(rng.integers(n)) for n in w.shape)
            old = w[i]
            w[i] = old + h
            up = loss()
            w[i] = old - h
            down = loss()
            w[i] = old
            yield (up - down) / (2 * h), (k, i)


def test_gradient_of_the_squared_error(expectation_model, base_seed):
    """Central differences are good to 1e-6 here, except within 1e-6 of a kink of max(z, 0)."""
    if not hasattr(expectation_model.NeuralModel, "loss_gradient"):
        pytest.skip("this NeuralModel has no loss_gradient")
    rng = np.random.default_rng([base_seed, 9])
    model = expectation_model.NeuralModel(2, 2, hidden=7, n_members=3)
    weights = [rng.normal(size=s) for s in ((3, 4, 7), (3, 1, 7), (3, 7, 7), (3, 1, 7), (3, 7, 2), (3, 1, 2))]
    inputs, targets = rng.normal(size=(3, 5, 4)), rng.normal(size=(3, 5, 2))
    _, gradient = model.loss_gradient(weights, inputs, targets)
    loss = lambda: model.loss_gradient(weights, inputs, targets)[0].sum()
    errors = [abs(g - gradient[k][i]) / max(1, abs(g)) for g, (k, i) in finite_differences(loss, weights, rng)]
    assert sorted(errors)[-2] < 1e-5                    # one of 18 may sit on a kink


@pytest.mark.parametrize("K", [1, 3])
def test_gradient_of_the_log_likelihood(expectation_model, base_seed, K):
    if not hasattr(expectation_model.MixtureModel, "loss_gradient"):
        pytest.skip("this MixtureModel has no loss_gradient")
    rng = np.random.default_rng([base_seed, 10, K])
    model = expectation_model.MixtureModel(2, 2, n_components=K, hidden=6)
    n_out = K * 7
    weights = [0.5 * rng.normal(size=s) for s in ((4, 6), 6, (6, 6), 6, (6, n_out), n_out)]
    inputs, y = rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
    _, gradient = model.loss_gradient(weights, inputs, y)
    loss = lambda: model.loss_gradient(weights, inputs, y)[0]
    errors = [abs(g - gradient[k][i]) / max(1, abs(g)) for g, (k, i) in finite_differences(loss, weights, rng)]
    assert sorted(errors)[-2] < 1e-4


# ---------------------------------------------------------------- NeuralModel, learning

def pendulum(n, rng):
    """Gymnasium's Pendulum-v1 with torques -2, 0, 2 as actions, in episodes of 200 random steps."""
    rows = []
    for t in range(n):
        if t % 200 == 0:
            angle, speed = rng.uniform(-math.pi, math.pi), rng.uniform(-1, 1)
        a = int(rng.integers(3))
        u = 2.0 * (a - 1)
        x = (math.cos(angle), math.sin(angle), speed)
        wrapped = (angle + math.pi) % (2 * math.pi) - math.pi
        reward = -(wrapped**2 + 0.1 * speed**2 + 0.001 * u**2)
        speed = min(max(speed + (15 * math.sin(angle) + 3 * u) * 0.05, -8), 8)
        angle += speed * 0.05
        rows.append((x, a, reward, (math.cos(angle), math.sin(angle), speed)))
    return tuple(map(np.array, zip(*rows)))


def pendulum_scores(model, test):
    x, actions, rewards, x_next = test
    r, predicted = model.predict(x, actions)
    return np.r_[r_squared(rewards, r), r_squared(x_next - x, predicted - x)]


def test_pendulum_with_default_arguments(expectation_model, base_seed):
    """R^2 above 0.98 on held-out data; 8 other seeds: worst component 0.9955 or more. Negative control: actions shuffled."""
    rng = np.random.default_rng([base_seed, 11])
    train, test = pendulum(5000, rng), pendulum(2000, rng)
    model = expectation_model.NeuralModel(3, 3)
    model.fit(*train)
    assert pendulum_scores(model, test).min() > 0.98
    x, actions, rewards, x_next = train
    model.fit(x, rng.permutation(actions), rewards, x_next, n_steps=300)
    assert pendulum_scores(model, test).min() < 0.98
    assert np.shape(model.predict(*test[:2])[0]) == (2000,) and np.shape(model.predict(*test[:2])[1]) == (2000, 3)


def bumps(n, rng, low=-1, high=1):
    """Features of very different units; actions push one way or the other."""
    x, a = rng.uniform(low, high, size=(n, 2)), rng.integers(2, size=n)
    change = 0.3 * np.column_stack([np.sin(3 * x[:, 1]) + (2 * a - 1), np.cos(2 * x[:, 0])])
    unit, noise = np.array([1000, 0.01]), 0.03 * rng.normal(size=(n, 2))
    return x * unit, a, 50 * x[:, 0] + a, (x + change + noise) * unit


def test_ensemble_knows_where_the_data_are(expectation_model, base_seed):
    """Spread at least 3 times larger off the data (20 seeds: 16, standard deviation 3.5), mean right.

    R^2 can be 0.95 at most, for the noise in x_next. Catches a bootstrap over members instead of samples.
    """
    rng = np.random.default_rng([base_seed, 12])
    model = expectation_model.NeuralModel(2, 2, n_members=5, seed=base_seed)
    model.fit(*bumps(1500, rng), n_steps=1000)
    x, a, r, x_next = bumps(500, rng)
    rewards, predicted = model.predict(x, a)
    assert r_squared(r, rewards) > 0.9 and r_squared(x_next - x, predicted - x).min() > 0.85
    near, far = model.spread(x, a), model.spread(*bumps(500, rng, 2, 3)[:2])
    assert np.shape(near) == (500,) and (near > 0).all()
    assert far.mean() > 3 * near.mean()


def test_same_seed_same_network(expectation_model, base_seed):
    rng = np.random.default_rng([base_seed, 13])
    D = bumps(200, rng)
    for kind in ("NeuralModel", "MixtureModel"):
        guesses = []
        for seed in (base_seed, base_seed, base_seed + 1):
            model = getattr(expectation_model, kind)(2, 2, seed=seed)
            model.fit(*D, n_steps=20)
            guesses.append(model.predict(D[0], D[1])[1])
        assert (guesses[0] == guesses[1]).all() and (guesses[0] != guesses[2]).any()
        model.fit(*D, n_steps=20)                       # a second fit begins anew
        assert (model.predict(D[0], D[1])[1] == guesses[2]).all()


# ---------------------------------------------------------------- MixtureModel, learning

def fork_law(n, rng, p=0.3, sd=0.1):
    """S' = x + 1 with probability p (reward 1), else x - 1 (reward -1), + noise; its entropy in nats."""
    x, a = rng.uniform(-1, 1, size=(n, 1)), rng.integers(2, size=n)
    up = rng.random(n) < p
    mode = np.where(up, 1.0, -1.0)
    x_next = x + mode[:, None] + 0.2 * a[:, None] + sd * rng.normal(size=(n, 1))
    entropy = 0.5 * math.log(2 * math.pi * math.e * sd**2) - p * math.log(p) - (1 - p) * math.log(1 - p)
    return (x, a, mode, x_next), entropy


def one_mode_law(n, rng, sd=0.1):
    x, a = rng.uniform(-1, 1, size=(n, 2)), rng.integers(2, size=n)
    x_next = x + 0.3 * np.sin(3 * x[:, ::-1]) + 0.2 * a[:, None] + sd * rng.normal(size=(n, 2))
    return (x, a, x[:, 0], x_next), math.log(2 * math.pi * math.e * sd**2)


def test_one_mode_within_half_a_nat(expectation_model, base_seed):
    """Excess over the law's entropy in 20 seeds: 0.08, standard deviation 0.02."""
    rng = np.random.default_rng([base_seed, 14])
    (train, _), (test, entropy) = one_mode_law(3500, rng), one_mode_law(3000, rng)
    model = expectation_model.MixtureModel(2, 2, seed=base_seed)
    model.fit(*train)
    x, a, r, x_next = test
    assert abs(-np.mean(model.log_prob(x, a, x_next)) - entropy) < 0.5
    rewards, predicted = model.predict(x, a)
    assert r_squared(r, rewards) > 0.9 and r_squared(x_next, predicted).min() > 0.9


@pytest.fixture(scope="module")
def forked(expectation_model, base_seed):
    rng = np.random.default_rng([base_seed, 15])
    model = expectation_model.MixtureModel(1, 2, seed=base_seed)
    model.fit(*fork_law(3500, rng)[0])
    return model


def between(model, base_seed, n=4000):
    """Which samples fall in the middle third between the modes, and which above; their rewards."""
    rng = np.random.default_rng([base_seed, 16])
    x, a, _, _ = fork_law(n, rng)[0]
    rewards, x_next = model.sample(x, a, rng)
    z = (x_next - x)[:, 0] - 0.2 * a
    return np.abs(z) < 1 / 3, z > 0, rewards


def test_two_modes_within_half_a_nat(forked, expectation_model, base_seed):
    """Negative control: a single Gaussian, which is 0.9 nats off at best, and halfway in its samples."""
    rng = np.random.default_rng([base_seed, 17])
    (x, a, _, x_next), entropy = fork_law(3000, rng)
    assert abs(-np.mean(forked.log_prob(x, a, x_next)) - entropy) < 0.5
    gaussian = expectation_model.MixtureModel(1, 2, n_components=1, seed=base_seed)
    gaussian.fit(*fork_law(3500, rng)[0], n_steps=300)
    assert abs(-np.mean(gaussian.log_prob(x, a, x_next)) - entropy) > 0.5
    assert between(gaussian, base_seed)[0].mean() > 0.05


def test_both_modes_at_their_weights_and_nothing_between(forked, base_seed):
    """Share of the upper mode in 20 seeds: 0.298, standard deviation 0.012, of which 0.08 is more than
    6; between 0; reward and S' agree in 0.9999, as they are drawn together."""
    middle, above, rewards = between(forked, base_seed)
    assert middle.mean() < 0.01
    assert above.mean() == pytest.approx(0.3, abs=0.08)
    assert ((rewards > 0) == above).mean() > 0.9        # drawn separately: 0.58


def test_samples_have_the_noise_of_the_law(forked, base_seed):
    """Standard deviation within a mode 0.1; in 20 seeds 0.102, standard deviation 0.006."""
    rng = np.random.default_rng([base_seed, 18])
    x, a = np.zeros((4000, 1)), np.zeros(4000, int)
    _, x_next = forked.sample(x, a, rng)
    low = x_next[x_next < 0]
    assert low.mean() == pytest.approx(-1, abs=0.05) and 0.07 < low.std() < 0.15
    again = forked.sample(x, a, np.random.default_rng(1))[1]
    assert (again == forked.sample(x, a, np.random.default_rng(1))[1]).all()


def test_density_integrates_to_one(forked):
    """Catches weights that are not normalised."""
    grid = np.linspace(-6, 6, 4001)
    p = np.exp(forked.log_prob(np.full((4001, 1), 0.3), np.ones(4001, int), grid[:, None]))
    assert p.sum() * (grid[1] - grid[0]) == pytest.approx(1, abs=1e-3)


def test_density_far_away_is_finite(forked):
    """Catches log-sum-exp without the maximum: exp(-1e6) is 0."""
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        log_p = forked.log_prob(np.zeros((2, 1)), np.zeros(2, int), np.array([[100.0], [-100.0]]))
    assert np.isfinite(log_p).all() and (log_p < -1000).all()


def test_mean_of_the_mixture_is_the_expectation(forked):
    """E[S' - x] = 0.3 - 0.7 = -0.4 (a = 0): where nothing ever lands. Error in 20 seeds at most 0.11."""
    x = np.array([[-0.5], [0.5]])
    rewards, x_next = forked.predict(x, np.zeros(2, int))
    assert x_next[:, 0] == pytest.approx([-0.9, 0.1], abs=0.25)
    assert rewards == pytest.approx([-0.4, -0.4], abs=0.25)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["constant", "grid", "outliers"])
def test_no_nan_from_any_seed(expectation_model, base_seed, seed, kind):
    rng = np.random.default_rng([base_seed, 19, seed])
    x, a = rng.integers(3, size=(200, 2)).astype(float), rng.integers(2, size=200)
    x_next = {"constant": np.ones((200, 2)), "grid": x + rng.integers(2, size=(200, 1)),
              "outliers": x + rng.standard_cauchy(size=(200, 2))}[kind]
    model = expectation_model.MixtureModel(2, 2, seed=seed)
    with np.errstate(divide="raise", invalid="raise"):
        model.fit(x, a, np.zeros(200), x_next, n_steps=150)
        numbers = [*model.predict(x, a), *model.sample(x, a, rng), model.log_prob(x, a, x_next)]
    assert all(np.isfinite(array).all() for array in numbers)


# ---------------------------------------------------------------- convergence

def table_error(expectation_model, P, R, n, rng):
    """RMS error of E[x(S')] and of E[R], for random coordinates x = state number."""
    S, A, _ = P.shape
    rewards, learned = expectation_model.LookupModel(S, A).fit(*draw(P, R, n, rng)).predict(*every_pair(S, A))
    error = (learned - P.reshape(-1, S)) @ np.arange(S)
    return math.sqrt((error**2).mean()), math.sqrt(((rewards - R.ravel()) ** 2).mean())


def test_the_table_converges_at_rate_one_half(expectation_model, base_seed):
    """20 tables each with 1,000 and 16,000 transitions: the mean error falls to 1/4, in logs -1.386.

    The standard error of the log ratio is 0.04 (15 pairs, 20 tables): 0.25 is 6 of them. Catches
    counts that are not kept per action, and rewards of the next pair: then errors hardly fall.
    """
    rng = np.random.default_rng([base_seed, 20])
    errors = []
    for _ in range(20):
        P, R = random_mdp(rng, 5, 3)
        errors.append([table_error(expectation_model, P, R, n, rng) for n in (1000, 16000)])
    few, many = np.mean(errors, axis=0)
    assert np.log(many / few) == pytest.approx([-math.log(4)] * 2, abs=0.25)


# ---------------------------------------------------------------- bad input

X, A0, R0 = np.zeros((5, 2)), np.zeros(5, int), np.zeros(5)
BAD = {"x of shape (N,)": (R0, A0, R0, R0), "x_next of shape (N,)": (X, A0, R0, R0),
       "another number of features": (np.zeros((5, 3)), A0, R0, np.zeros((5, 3))),
       "lengths that differ": (X, A0[:4], R0, X), "rewards that are too few": (X, A0, R0[:4], X),
       "rewards of shape (N, 1)": (X, A0, R0[:, None], X),
       "an action out of range": (X, A0 + 2, R0, X), "a negative action": (X, A0 - 1, R0, X),
       "NaN in x": (X * np.nan, A0, R0, X), "NaN in x_next": (X, A0, R0, X * np.nan),
       "NaN among the rewards": (X, A0, R0 * np.nan, X)}
VECTOR_MODELS = ["LinearModel", "NeuralModel", "MixtureModel"]


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("kind", VECTOR_MODELS)
def test_bad_data_are_refused(expectation_model, kind, what):
    with pytest.raises(ValueError, match=r"\w+ \w+ \w+"):
        getattr(expectation_model, kind)(2, 2).fit(*BAD[what])


@pytest.mark.parametrize("states, actions, rewards, next_states", [
    ([[0]], [0], [1.0], [0]), ([0, 1], [0], [1.0], [0]), ([0], [0], [1.0, 2.0], [0]), ([3], [0], [1.0], [0]),
    ([-1], [0], [1.0], [0]), ([0], [2], [1.0], [0]), ([0], [-1], [1.0], [0]), ([0], [0], [1.0], [3]),
    ([0], [0], [math.nan], [0]), ([0.5], [0], [1.0], [0])])
def test_bad_transitions_are_refused(expectation_model, states, actions, rewards, next_states):
    model = expectation_model.LookupModel(3, 2)
    with pytest.raises(ValueError, match=r"\w+ \w+ \w+"):
        model.fit(states, actions, rewards, next_states)


def test_predicting_before_fitting_is_refused(expectation_model):
    rng = np.random.default_rng(0)
    for kind in VECTOR_MODELS:
        with pytest.raises(ValueError, match="fit"):
            getattr(expectation_model, kind)(2, 2).predict(X, A0)
    with pytest.raises(ValueError, match="fit"):
        expectation_model.LookupModel(3, 2).predict([0], [0])
    with pytest.raises(ValueError, match="fit"):
        expectation_model.LookupModel(3, 2).sample([0], [0], rng)
    mixture = expectation_model.MixtureModel(2, 2)
    with pytest.raises(ValueError, match="fit"):
        mixture.sample(X, A0, rng)
    with pytest.raises(ValueError, match="fit"):
        mixture.log_prob(X, A0, X)
    with pytest.raises(ValueError, match="fit"):
        expectation_model.NeuralModel(2, 2, n_members=3).spread(X, A0)


def test_predicting_with_bad_input_is_refused(expectation_model, base_seed):
    rng = np.random.default_rng([base_seed, 21])
    x, a = rng.normal(size=(30, 2)), rng.integers(2, size=30)
    for kind in VECTOR_MODELS:
        model = getattr(expectation_model, kind)(2, 2)
        model.fit(x, a, x[:, 0], x, **({} if kind == "LinearModel" else dict(n_steps=5)))
        for bad in ((x[:, 0], a), (x, a[:5]), (x, a + 2), (x * np.nan, a)):
            with pytest.raises(ValueError):
                model.predict(*bad)


def test_the_spread_of_one_network_is_refused(expectation_model, ours):
    model = expectation_model.NeuralModel(2, 2).fit(np.eye(2), [0, 1], [0, 1], np.eye(2), n_steps=2)
    with pytest.raises(ValueError, match="n_members"):
        model.spread(np.eye(2), [0, 1])


@pytest.mark.parametrize("gamma", [1.0, -0.1, 1.5, math.nan])
def test_gamma_outside_0_1_is_refused(expectation_model, gamma):
    with pytest.raises(ValueError, match="gamma"):
        expectation_model.value_iteration(np.full((2, 1, 2), 0.5), np.zeros((2, 1)), gamma)


@pytest.mark.parametrize("P, R", [(np.full((2, 1, 2), 0.6), np.zeros((2, 1))),
                                  (np.array([[[1.5, -0.5]], [[0.5, 0.5]]]), np.zeros((2, 1))),
                                  (np.full((2, 1, 2), np.nan), np.zeros((2, 1))),
                                  (np.full((2, 1, 2), 0.5), np.full((2, 1), np.nan)),
                                  (np.full((2, 1, 2), 0.5), np.zeros(2))])
def test_rows_that_are_no_probabilities_are_refused(expectation_model, P, R):
    with pytest.raises(ValueError):
        expectation_model.value_iteration(P, R, 0.9)


# ---------------------------------------------------------------- this repository's world and table

def test_the_fork_goes_around_the_pit_and_its_mean_into_it(expectation_model, ours):
    world = expectation_model.make_world()
    fork, pit = world.cells["F"], world.cells["P"]
    assert world.P.sum(axis=2) == pytest.approx(np.ones(world.R.shape))
    outcomes = world.P[fork, expectation_model.LEAP]
    assert outcomes[pit] == 0
    assert (np.rint(outcomes @ world.x) == world.x[pit]).all()


def test_one_run_is_the_first_of_many_and_its_claims_hold(expectation_model, ours, base_seed):
    """Tolerances are 4 standard errors; what is spoiled shows as NO."""
    quiet = lambda text: None
    results = expectation_model.run_experiments(1, base_seed, quiet)
    rows = expectation_model.check_claims(**results)
    assert sum(not ok for *_, ok in rows) <= 1          # 30 rows at 6e-5: two failing is 2e-6
    spoiled = dict(results, rmse=results["rmse"][:, ::-1], knows=results["knows"][:, ::-1, ::-1])
    assert sum(not ok for *_, ok in expectation_model.check_claims(**spoiled)) > 4
