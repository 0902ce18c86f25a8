"""Classic mistakes in mcts.py: (name, source text, what replaces it, where). See ../planted_bugs.py."""
MCTS, NODE, GRID, AGENT = "def mcts(", "class Node:", "class GridWorld:", "def together("
EDGE = "if terminated or len(path) == max_depth or s not in node.children[i]:"
EXPAND = "        if not terminated and len(path) < max_depth:\n            node.children[i][s] ="

BUGS = [
    ("backup without discount", "G = r + gamma * G", "G = r + G", MCTS),
    ("backup of the wrong step's return: reward left out", "            G = r + gamma * G\n"
     "            node.N[i] += 1\n            node.Q[i] += (G - node.Q[i]) / node.N[i]",
     "            node.N[i] += 1\n            node.Q[i] += (G - node.Q[i]) / node.N[i]\n"
     "            G = r + gamma * G", MCTS),
    ("every pair is given the root's return", "            G = r + gamma * G\n",
     "", MCTS),
    ("rollout discounted from the root on", "gamma**t * r", "gamma**(t + len(path)) * r", MCTS),
    ("rollout discounted one step late", "gamma**t * r", "gamma**(t + 1) * r", MCTS),
    ("rollout discounted backwards", "G += gamma**t * r", "G = r + gamma * G", MCTS),
    ("terminal reward of the rollout lost", "                if r:\n",
     "                if r and not terminated:\n", MCTS),
    ("terminal reward in the tree lost", "path.append((node, i, r))",
     "path.append((node, i, 0.0 if terminated else r))", MCTS),
    ("log of the child's count", "math.sqrt(log_n / n)", "math.sqrt(math.log(n) / n)", NODE),
    ("exploration with the wrong sign", "q + c * math.sqrt", "q - c * math.sqrt", NODE),
    ("square root forgotten", "math.sqrt(log_n / n)", "(log_n / n)", NODE),
    ("untried actions don't come first", "if 0 in self.N:", "if not any(self.N):", NODE),
    ("first-index ties", "ties[int(rng.random() * len(ties))]", "ties[0]", NODE),
    ("maximum starts at 0", "best = max(score)\n        ties", "best = max([0] + score)\n        ties",
     NODE),
    ("epsilon-greedy never explores", "elif epsilon and rng.random() < epsilon:", "elif False:", NODE),
    ("expands every visited state", "        G = 0.0\n        if leaf_value",
     "        while not terminated and len(path) < max_depth:\n"
     "            node = node.children[i].setdefault(s, Node(s, actions(s)))\n"
     "            i = node.select(c, epsilon, rng)\n"
     "            s, r, terminated = step(node.state, node.actions[i], rng)\n"
     "            path.append((node, i, r))\n"
     "        G = 0.0\n        if leaf_value", MCTS),
    ("never expands", "            node.children[i][s] = Node(s, actions(s))", "            pass", MCTS),
    ("terminal nodes expanded", EXPAND, EXPAND.replace("not terminated and ", ""), MCTS),
    ("first sampled outcome frozen", EDGE,
     "if node.children[i] and not terminated:\n                s = next(iter(node.children[i]))\n"
     "            " + EDGE, MCTS),
    ("value of the leaf lost", "G = leaf_value(s)", "leaf_value(s)", MCTS),
    ("leaf value asked at terminal states", "if leaf_value and not terminated:", "if leaf_value:", MCTS),
    ("max_depth ignored in the rollout", "range(max_depth - len(path))", "range(max_depth)", MCTS),
    ("max_depth ignored in the tree", "len(path) == max_depth or ", "", MCTS),
    ("rollout policy ignored", "                if rollout:", "                if False:", MCTS),
    ("mean with a constant step size", "/ node.N[i]\n", "* 0.1\n", MCTS),
    ("root= is thrown away", "root = root or Node(", "root = Node(", MCTS),
    ("another state's tree is accepted", "root is not None and root.state != state", "False", MCTS),
    ("the caller's seed is ignored", "np.random.default_rng(rng)", "np.random.default_rng(0)", MCTS),
    ("draws from the global generator", "rng = random.Random(int(np.random.default_rng(rng)"
     ".integers(2**63)))", "rng = random", MCTS),
    ("slip ignored", "if rng.random() < self.slip:", "if False:", GRID),
    ("slips in one direction only", "moves[int(rng.random() * len(moves))]", "moves[0]", GRID),
    ("walls can be entered", " and rows[i][j] != \"#\"", "", GRID),
    ("drops don't end the episode", 'text[s2] in "xgG"', 'text[s2] in "gG"', GRID),
    ("the agent's model never learns", "            learned.learn(s, a, s2, r, terminated)\n", "", AGENT),
    ("the agent's values never learn", "V[s] = best = max(scores) ", "best = max(scores) ", AGENT),
    ("the agent searches for the worst", "V[s] = best = max(scores) ", "V[s] = best = min(scores) ", AGENT),
    ("count model keeps the first outcome only", "outcomes[int(rng.random() * len(outcomes))]",
     "outcomes[0]", "class CountModel:"),
    ("optimum of the slip forgotten", "Q = (1 - world.slip) * T", "Q = T", "def optimal_values("),
    ("flat search without discount", "G += gamma**t * r", "G += r", "def flat_search("),
]
