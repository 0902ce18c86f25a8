"""Classic mistakes in expectation_model.py: (name, source text, what replaces it, where). See ../planted_bugs.py."""
TABLE, FEATURES, LINEAR, NETWORK = "class LookupModel:", "class FeatureModel:", "class LinearModel(", "class Network:"
NEURAL, MIXTURE, VALUES = "class NeuralModel(", "class MixtureModel(", "def value_iteration("

BUGS = [
    ("+= counts a repeated transition once", "np.add.at(self.counts, places, 1)", "self.counts[places] += 1", TABLE),
    ("the table does not know that an episode ended", "next_states + self.n_states * terminated", "next_states + 0 * terminated", TABLE),
    ("gamma dropped", "R + gamma * (P @ V)", "R + P @ V * (gamma > 0) * 0.999", VALUES),
    ("stops after the first sweep", "bound *= gamma", "bound *= 0", VALUES),
    ("reward and change of another action", "blocks[np.arange(N), actions]", "blocks[np.arange(N), 0]", LINEAR),
    ("networks do not see the action", "np.eye(self.n_actions)[actions]", "np.eye(self.n_actions)[0 * actions]", FEATURES),
    ("Adam climbs", "self.weights[i] -= rate", "self.weights[i] += rate", NETWORK),
    ("targets are not put back into their units", "self.y_mean + self.y_scale * self.raw_outputs(x)", "self.raw_outputs(x)", NETWORK),
    ("the change is predicted, but x is not added", "return y[:, 0], x + y[:, 1:]", "return y[:, 0], y[:, 1:]", FEATURES),
    ("components that start alike", "size=K)]", "size=1)]", MIXTURE),
    ("the gradient of the weights has the wrong sign", "by_width, by_score]", "by_width, -by_score]", MIXTURE),
    ("samples are the means", "rng.normal(means[rows, k], sds[rows, k])", "means[rows, k]", MIXTURE),
]
