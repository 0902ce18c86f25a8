"""Classic mistakes in dyna_q.py: (name, source text, what replaces it, where). See ../planted_bugs.py."""
DYNA, MAZE, UPDATE = "def dyna_q(", "class Maze:", "def update("
FUTURE = "future = 0.0 if terminated else max(Q[s2])"
REAL, IMAGINED = "update(Q, s, a, r, s2, terminated, alpha", "update(Q, state, action, reward, next_state, ended"
STORED = "append((r, s2, terminated))"

BUGS = [
    ("gamma dropped", "r + gamma * future", "r + future", UPDATE),
    ("bootstraps through a terminal state", FUTURE, "future = max(Q[s2])", UPDATE),
    ("no bootstrap where an episode is cut off", REAL, "update(Q, s, a, r, s2, terminated or truncated, alpha", DYNA),
    ("acts on after an episode was cut off", "if terminated or truncated:", "if terminated:", DYNA),
    ("imagined updates with the reward of the real step", IMAGINED, IMAGINED.replace("reward", "r"), DYNA),
    ("ties go to the first action", "rng.choice([a for a, value in enumerate(values) if value == best])",
     "values.index(best)", "def epsilon_greedy("),
    ("the environment begins a new run in each episode", "s, _ = env.reset()\n", "s, _ = env.reset(seed=seeds[0])\n", DYNA),
    ("tau instead of its square root", "math.sqrt(t - ", "float(t - ", DYNA),
    ("Dyna-Q+ plans only what was tried", "if kappa > 0 and not replay:", "if False:", DYNA),
    ("untried actions end the episode", "(0.0, s, False)", "(0.0, s, True)", DYNA),
    ("replay draws the newest transition", "replay_rng.choice(memory[state][action])", "memory[state][action][-1]", DYNA),
    ("the right border leads to the next row", " and 0 <= column < self.width", "", MAZE),
]
