"""Classic mistakes in rollout_search.py: (name, source text, what replaces it, where). See ../planted_bugs.py."""
TABLE, FORWARD, ROLLOUTS = "class TabularModel:", "def forward_search(", "def rollout_search("

BUGS = [
    ("gamma dropped in forward search", "model.R[s, a] + gamma * future", "model.R[s, a] + future", FORWARD),
    ("forward search goes on behind the end", "        if model.terminal[s]:\n            return 0.0", "        if False:\n            return 0.0", FORWARD),
    ("leaf values are ignored", "return leaf_values[s]", "return 0.0", FORWARD),
    ("one level too deep", "V(s2, d - 1)", "V(s2, d - 1) if d > 0 else 0.0", FORWARD),
    ("the mean over actions in place of the maximum", "return max([Q(s, a, d) for a in range(A)])",
     "return sum([Q(s, a, d) for a in range(A)]) / A", FORWARD),
    ("rows of terminal states are not cleared", "R[terminal] = 0.0", "pass", TABLE),
    ("missing probability does not end the episode", "self.ends[:, -1] = True", "self.ends[:, -1] = False", TABLE),
    ("terminal states do not end the episode", "self.ends = terminal[self.successors]", "self.ends = (0 * self.successors).astype(bool)", TABLE),
    ("seed or Generator ignored by step", "draw(self.sums, rows, np.random.default_rng(rng))", "draw(self.sums, rows, np.random.default_rng())", TABLE),
    ("first reward discounted", "gamma**t * rewards", "gamma**(t + 1) * rewards", ROLLOUTS),
    ("gamma dropped in rollouts", "gamma**t * rewards", "rewards", ROLLOUTS),
    ("finished episodes go on", "running = running[~terminated]", "terminated = terminated & False\n        running = running[~terminated]", ROLLOUTS),
    ("every episode begins with the policy's action", "actions = np.repeat(np.arange(A), n_rollouts)",
     "actions = np.random.default_rng(0).integers(A, size=A * n_rollouts)", ROLLOUTS),
    ("the spread of one return as the error of the mean", "G.std(axis=1, ddof=1) / math.sqrt(n_rollouts)", "G.std(axis=1, ddof=1)", ROLLOUTS),
    ("standard error without ddof", "G.std(axis=1, ddof=1)", "G.std(axis=1)", ROLLOUTS),
]
