"""Classic mistakes in rollout_search.py: (name, source text, what replaces it). See ../planted_bugs.py."""
STEP = "        states, rewards, terminated = model.step(states, actions, rng)\n"
DROP = "        running, states = running[~terminated], states[~terminated]     # the ended cost no more\n"
ASKED = "    actions = np.broadcast_to(np.arange(A)[:, None], shape).ravel()     # the asked action is first\n"
PAYS = "        np.add.at(G, running, gamma**t * rewards)\n"
MEAN = "    return G.mean(axis=-1), G.std(axis=-1) / math.sqrt(n_rollouts - 1)\n"
VALUE = "        return max(action_values(s, d)) if d else leaf_values[s]\n"
BACKUP = "        return r + gamma * sum(p * value(s2, d - 1) for p, s2 in successors)\n"
OVER = """        if model.terminal[s]:
            return 0.0                              # the episode is over: nothing to expand
"""

BUGS = [
    ("discount off by one (first reward discounted)", PAYS, PAYS.replace("gamma**t", "gamma**(t + 1)")),
    ("undiscounted return", PAYS, PAYS.replace("gamma**t * ", "")),
    ("discounted backwards", PAYS, PAYS.replace("gamma**t", "gamma**(horizon - 1 - t)")),
    ("policy used for the first action", ASKED,
     "    actions = (rng.random(states.size) >= cumulative.take(states, axis=1)).sum(axis=0)\n"),
    ("the asked action taken all the way",
     "        actions = below.sum(axis=0, dtype=np.int16)\n",
     "        actions = np.broadcast_to(np.arange(A)[:, None], shape).ravel()[running]\n"),
    ("terminal reward lost", PAYS, PAYS.replace("* rewards", "* rewards * ~terminated")),
    ("episodes not stopped at the end", DROP, ""),
    ("ended episodes dropped from the states only", DROP,
     "        running, states = running[:(~terminated).sum()], states[~terminated]\n"),
    ("mean over survivors only", MEAN,
     "    alive = np.isin(np.arange(G.size), running).reshape(shape)\n"
     "    alive[alive.sum(axis=-1) == 0] = True\n"
     "    return (G * alive).sum(axis=-1) / alive.sum(axis=-1), G.std(axis=-1) / math.sqrt(n_rollouts)\n"),
    ("sum instead of the mean of returns", MEAN, MEAN.replace("G.mean", "G.sum")),
    ("best return instead of the mean", MEAN, MEAN.replace("G.mean", "G.max")),
    ("standard deviation given as standard error", MEAN, MEAN.replace(" / math.sqrt(n_rollouts - 1)", "")),
    ("standard error without the root", MEAN, MEAN.replace("math.sqrt(n_rollouts - 1)", "n_rollouts")),
    ("rollouts shared out among the actions", "    shape = (*state.shape, A, n_rollouts)   ",
     "    n_rollouts = -(-n_rollouts // A)\n    shape = (*state.shape, A, n_rollouts)   "),
    ("horizon off by one", "    for t in range(horizon):\n", "    for t in range(horizon - 1):\n"),
    ("greedy rollouts: the policy's likeliest action only",
     "    cumulative = policy.cumsum(axis=1)\n",
     "    policy = np.eye(A)[policy.argmax(axis=1)]\n    cumulative = policy.cumsum(axis=1)\n"),
    ("rollouts ignore the policy: uniform actions",
     "    cumulative = policy.cumsum(axis=1)\n",
     "    policy = np.full((S, A), 1 / A)\n    cumulative = policy.cumsum(axis=1)\n"),
    ("planner with a seed of its own", STEP, "        rng = np.random.default_rng(t)\n" + STEP),
    ("planner draws from NumPy's global generator", STEP, STEP.replace("rng)", "np.random)")),
    ("one uniform number for all pairs", "below = rng.random(len(pairs)) >=", "below = rng.random() >="),
    ("likeliest successor always", "below = rng.random(len(pairs)) >=",
     "below = np.full(len(pairs), 0.5) >="),
    ("terminated read before the step", "self.terminal.take(next_states)", "self.terminal.take(states)"),
    ("terminal rows of P and R trusted",
     "        P[terminal], R[terminal] = np.eye(len(P))[terminal][:, None], 0.0\n", ""),
    ("rows of P not checked", "if not (P.min() >= 0 and np.allclose(P.sum(axis=2), 1, rtol=0, atol=1e-6)):",
     "if False:"),
    ("best_score starts at 0", VALUE, VALUE.replace("max(action_values(s, d))",
                                                    "max(0.0, *action_values(s, d))")),
    ("lookahead averages over actions", VALUE, VALUE.replace("max(action_values(s, d))",
                                                             "sum(action_values(s, d)) / A")),
    ("lookahead one step too deep", VALUE, VALUE.replace("if d else", "if d >= 0 else")),
    ("leaf values forgotten", VALUE, VALUE.replace("else leaf_values[s]", "else 0.0")),
    ("leaf values count at terminal states", OVER, OVER.replace("return 0.0", "return leaf_values[s]")),
    ("lookahead undiscounted", BACKUP, BACKUP.replace("gamma * ", "")),
    ("lookahead on the likeliest successor only", BACKUP,
     "        return r + gamma * value(max(successors)[1], d - 1)\n"),
    ("reward discounted too", BACKUP,
     "        return gamma * (r + sum(p * value(s2, d - 1) for p, s2 in successors))\n"),
]
