"""Classic mistakes in mpc.py: (name, source text, what replaces it, where). See ../planted_bugs.py."""
CEM, V05, V10, V15 = "def cem(", "def planning_v05(", "def planning_v10(", "def planning_v15("
NETWORK, IMAGINED, EXECUTE = "class NeuralDynamics:", "def imagined_returns(", "def execute("

BUGS = [
    ("backpropagation without the slope of tanh", "delta1 = (delta2 @ W2.T) * (1 - h1**2)", "delta1 = delta2 @ W2.T", NETWORK),
    ("predict does not standardize its inputs", "(x - self.mean[:n]) / self.std[:n]", "x", NETWORK),
    ("Adam descends in the wrong direction", "self.weights[i] -= step_size", "self.weights[i] += step_size", NETWORK),
    ("all steps are imagined from the start state", "        states = next_states\n", "", IMAGINED),
    ("a return that is NaN counts as 0", "returns[~np.isfinite(returns)] = -np.inf", "returns[~np.isfinite(returns)] = 0", IMAGINED),
    ("elites are the worst", "np.argsort(returns)", "np.argsort(-returns)", CEM),
    ("samples leave the bounds", "sequences = np.clip(mean + spread * noise, low, high)", "sequences = mean + spread * noise", CEM),
    ("observations are not copied", "next_state = np.array(observation, float)", "next_state = observation", EXECUTE),
    ("an episode that is cut off goes on", "if terminated or truncated:", "if terminated:", EXECUTE),
    ("v1.0 forgets what it executed", "execute(env, state, actions, D)", "execute(env, state, actions, [])", V10),
    ("the rest of the plan is not shifted", "rest = actions[replan_every:]", "rest = actions", V15),
    ("what the rest lacks is filled with 0", "mean = np.tile((low + high) / 2,", "mean = np.tile(0 * low,", V15),
]
