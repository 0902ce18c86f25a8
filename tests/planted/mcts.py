"""Classic mistakes in mcts.py: (name, source text, what replaces it, where). See ../planted_bugs.py."""
MCTS, NODE, GRID, COUNTS = "def mcts(", "class Node:", "class GridWorld:", "class CountModel:"
STOP = "if terminated or len(path) == max_depth or s not in node.children[i]:"

BUGS = [
    ("backup without discount", "G = reward + gamma * G", "G = reward + G", MCTS),
    ("every pair gets the root's return", "            G = reward + gamma * G  # self-play\n            node.update(i, G)",
     "            G = reward + gamma * G\n        for node, i, reward in path:\n            node.update(i, G)", MCTS),
    ("rollout discounted from the root on", "G = rollout_return(model, s,", "G = gamma**len(path) * rollout_return(model, s,", MCTS),
    ("terminal reward in the tree lost", "path.append((node, i, float(reward)))",
     "path.append((node, i, 0.0 if terminated else float(reward)))", MCTS),
    ("leaf value asked at terminal states", "        if terminated:\n            G = 0.0\n        elif leaf_value",
     "        if terminated and leaf_value is None:\n            G = 0.0\n        elif leaf_value", MCTS),
    ("an empty table of values counts as none", "elif leaf_value is not None:", "elif leaf_value:", MCTS),
    ("first sampled outcome frozen", STOP, "if node.children[i] and not terminated:\n"
     "                s = next(iter(node.children[i]))\n            " + STOP, MCTS),
    ("max_depth ignored in the tree", "len(path) == max_depth or ", "", MCTS),
    ("max_depth counts the rollout only", "n_steps = max_depth - len(path)", "n_steps = max_depth", MCTS),
    ("rollout starts from the node above", "rollout_return(model, s,", "rollout_return(model, node.state,", MCTS),
    ("a root with other actions is accepted", " or root.actions != list(model.actions(state))", "", MCTS),
    ("root= is thrown away", "    if root is None:\n", "    if True:\n", MCTS),
    ("logarithm of the child's visits", "log_visits / self.N[i]", "math.log(self.N[i]) / self.N[i]", NODE),
    ("untried actions are the best", "self.Q[i] if self.N[i] > 0 else -math.inf", "self.Q[i]", NODE),
    ("slip never gives the chosen action", "pick(self.actions(state), rng)",
     "pick([a for a in self.actions(state) if a != action], rng)", GRID),
    ("CountModel draws each outcome alike", "pick(self.seen[state, action], rng)",
     "pick(sorted(set(self.seen[state, action])), rng)", COUNTS),
]
