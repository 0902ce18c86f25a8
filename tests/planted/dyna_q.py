"""Classic mistakes in dyna_q.py: (name, source text, what replaces it, where). See ../planted_bugs.py."""
DYNA, REPLAY, MAZE = "def dyna_q(", "def replay_q(", "class Maze:"
UPDATE = "((r if terminated else r + gamma * max(Q[s2])) - Q[s][a])"
TARGET = "target = r if terminated else r + gamma * max(Q[s2])"
DRAW = "for s in planning.choices(visited, k=int(n_planning)):"
LAYOUT = "        layout = self.layouts[self.t >= self.change_at]\n"

BUGS = [
    ("gamma dropped in the real update", UPDATE, UPDATE.replace("gamma * ", ""), DYNA),
    ("gamma dropped in planning", TARGET, TARGET.replace("gamma * ", ""), DYNA),
    ("bootstraps through a terminal state", UPDATE, "(r + gamma * max(Q[s2]) - Q[s][a])", DYNA),
    ("planning bootstraps through a terminal state", TARGET, "target = r + gamma * max(Q[s2])", DYNA),
    ("no bootstrap at a truncated step", UPDATE,
     UPDATE.replace("terminated", "terminated or truncated"), DYNA),
    ("model treats a truncated step as terminal", "(r, s2, terminated)\n",
     "(r, s2, terminated or truncated)\n", DYNA),
    ("SARSA-like target: value of the action just taken", UPDATE,
     UPDATE.replace("max(Q[s2])", "Q[s2][a]"), DYNA),
    ("first-index argmax", "ties[int(acting.random() * len(ties))]", "ties[0]", DYNA),
    ("nothing learned from real steps", "Q[s][a] += alpha * " + UPDATE, "pass", DYNA),
    ("the model's reward is that of the step before", "model[s][a] = (r, s2, terminated)",
     "model[s][a] = ((rewards or [0])[max(t - 2, 0)], s2, terminated)", DYNA),
    ("bonus added to real experience", "Q[s][a] += alpha * " + UPDATE,
     "Q[s][a] += alpha * (kappa + " + UPDATE[1:], DYNA),
    ("bonus kappa * tau instead of its root", "math.sqrt(t - tried_at[s][a])",
     "(t - tried_at[s][a])", DYNA),
    ("tau reset at each episode", "math.sqrt(t - tried_at[s][a])",
     "math.sqrt(t - max(tried_at[s][a], t_start))", DYNA),
    ("Dyna-Q+ plans only pairs tried before", "known[s] = list(range(A))", "pass", DYNA),
    ("untried actions modelled as terminal", "(0.0, s, False)", "(0.0, s, True)", DYNA),
    ("plans pairs never visited", DRAW + "\n            actions = known[s]",
     "for s in planning.choices(range(S), k=int(n_planning)):\n            actions = range(A)", DYNA),
    ("one planning step too few", "k=int(n_planning))", "k=max(n_planning - 1, 0))", DYNA),
    ("plans the current state over and over", DRAW, "for s in [s] * n_planning:", DYNA),
    ("one random stream for acting and planning", "acting, planning = map(random.Random, seeds)",
     "acting = planning = random.Random(seeds[0])", DYNA),
    ("seed ignored", "np.random.default_rng(seed)", "np.random.default_rng()", DYNA),
    ("walls move at the end of the episode only", LAYOUT + "        self.t += 1\n",
     "        if self.state == self.layouts[0].start:\n    " + LAYOUT.replace("layout =", "self.now =")
     + "        layout = self.now\n        self.t += 1\n", MAZE),
    ("walls move one step late", LAYOUT, LAYOUT.replace(">=", ">"), MAZE),
    ("moves wrap around the border", "if 0 <= i < height and 0 <= j < width\n",
     "if 0 <= i * width + j < height * width\n", MAZE),
    ("unreachable goals accepted", "if distance[start] == math.inf:", "if False:", MAZE),
    ("replay returns the newest transition, like a model",
     "stored[int(drawing.random() * len(stored))]", "stored[-1]", REPLAY),
    ("replay disturbs the planning stream", "stored[int(drawing.", "stored[int(planning.", REPLAY),
    ("replay keeps one transition per pair", "buffer[s][a].append((r, s2, terminated))",
     "buffer[s][a] = [(r, s2, terminated)]", REPLAY),
]
