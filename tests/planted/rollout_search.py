"""Classic mistakes in rollout_search.py: (name, source text, what replaces it, where). See ../planted_bugs.py."""
MODEL, FORWARD, ROLLOUTS = "class TabularModel:", "def forward_search(", "def rollout_search("
LEAVE = "        running = running[goes_on]\n        states = states[goes_on]\n"
CHOOSE = "        actions = draw_columns(sums[states], rng)       # A ~ pi(.|S), for all that still run\n"

BUGS = [
    ("one random number for all pairs", "u = rng.random((len(sums), 1), ", "u = rng.random((1, 1), ", "def draw_columns("),
    ("missing mass goes on", "self.terminal[next_states] | missing", "self.terminal[next_states]", MODEL),
    ("the caller's tables are overwritten", "P = np.array(P, float)", "P = np.asarray(P, float)", MODEL),
    ("lookahead averages over the actions", "Q(s, d).max()", "Q(s, d).mean()", FORWARD),
    ("lookahead without discount", "gamma * model.P[s, a, s2]", "model.P[s, a, s2]", FORWARD),
    ("leaf values count in terminal states", "return 0.0 ", "return leaf_values[s] ", FORWARD),
    ("the asked action all the way", CHOOSE, "        actions = np.repeat(np.arange(A), n_rollouts)[running]\n", ROLLOUTS),
    ("the first reward is discounted", "gamma**t * rewards", "gamma**(t + 1) * rewards", ROLLOUTS),
    ("ended episodes go on", LEAVE, "", ROLLOUTS),
    ("horizon off by one", "for t in range(horizon):", "for t in range(horizon + 1):", ROLLOUTS),
    ("spread of a return given as standard error", "ddof=1) / np.sqrt(n_rollouts)", "ddof=1)", ROLLOUTS),
    ("the model has a seed of its own", "model.step(states, actions, rng)", "model.step(states, actions, t)", ROLLOUTS),
]
