"""Classic mistakes in expectation_model.py: (name, source text, what replaces it, where). See ../planted_bugs.py."""
TABLE, LINEAR, NETWORK = "class LookupModel:", "class LinearModel:", "class Network:"
NEURAL, MIXTURE, VALUES = "class NeuralModel:", "class MixtureModel:", "def value_iteration("

BUGS = [
    ("+= counts a repeated transition once", "np.add.at(self.counts, (states, actions, outcomes), 1)",
     "self.counts[states, actions, outcomes] += 1", TABLE),
    ("the table does not know that an episode ended", "outcomes = next_states + self.n_states * terminated", "outcomes = next_states", TABLE),
    ("gamma dropped", "R + gamma * (P @ V)", "R + P @ V * (gamma > 0) * 0.999", VALUES),
    ("the mean over actions in place of the maximum", "Q = R + gamma * (P @ V)", "Q = (R + gamma * (P @ V)).mean(axis=1, keepdims=True) + 0 * R", VALUES),
    ("stops after the first sweep", "if gamma * change <= max(", "if True or gamma * change <= max(", VALUES),
    ("reward and change of another action", "self.W[actions]", "self.W[0 * actions]", LINEAR),
    ("one plane for all actions", "mine = actions == a", "mine = actions >= 0", LINEAR),
    ("networks do not see the action", "np.eye(model.n_actions)[actions]", "np.eye(model.n_actions)[0 * actions]", "def check_inputs("),
    ("Adam climbs", "m_hat = m[i] / (1 - 0.9**t)", "m_hat = -m[i]", NETWORK),
    ("targets are not put back into their units", "self.y_mean + self.y_scale * self.outputs(x)", "self.outputs(x)", NETWORK),
    ("all members start alike", "        for _ in range(self.n_members):\n",
     "        for _ in range(self.n_members):\n            rng = np.random.default_rng(self.seed)\n", NEURAL),
    ("the change is predicted, but x is not added", "return y[:, 0], x + y[:, 1:]", "return y[:, 0], y[:, 1:]", LINEAR),
    ("components that start alike", "size=K)]", "size=1)]", MIXTURE),
    ("the gradient of the weights has the wrong sign", "np.exp(log_weights) - share", "share - np.exp(log_weights)", MIXTURE),
    ("samples are the means", "rng.normal(means[rows, k], sds[rows, k])", "means[rows, k]", MIXTURE),
]
