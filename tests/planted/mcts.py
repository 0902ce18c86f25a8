"""Classic mistakes in mcts.py: (name, source text, what replaces it, where). See ../planted_bugs.py."""
MCTS, NODE, GRID, COUNTS = "def mcts(", "class Node:", "class GridWorld:", "class CountModel:"

BUGS = [
    ("backup without discount", "G = reward + gamma * G", "G = reward + G", MCTS),
    ("rollout discounted from the root on", "G = rollout_return(model, next_state,", "G = gamma**len(path) * rollout_return(model, next_state,", MCTS),
    ("terminal reward in the tree lost", "path.append((node, i, float(reward)))",
     "path.append((node, i, 0.0 if terminated else float(reward)))", MCTS),
    ("an empty table of values counts as none", "elif leaf_value is not None:", "elif leaf_value:", MCTS),
    ("max_depth ignored in the tree", "for _ in range(max_depth):", "for _ in range(10**9):", MCTS),
    ("max_depth counts the rollout only", "next_state, max_depth - len(path), gamma", "next_state, max_depth, gamma", MCTS),
    ("rollout starts from the node above", "rollout_return(model, next_state,", "rollout_return(model, node.state,", MCTS),
    ("a root with other actions is accepted", " or root.actions != list(model.actions(state))", "", MCTS),
    ("root= is thrown away", "    if root is None:\n", "    if True:\n", MCTS),
    ("logarithm of the child's visits", "log_visits / n)", "math.log(n) / n)", NODE),
    ("untried actions are the best", "q if n > 0 else -math.inf", "q", NODE),
    ("slip never gives the chosen action", "pick(self.actions(state), rng)",
     "pick([a for a in self.actions(state) if a != action], rng)", GRID),
]
