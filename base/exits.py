"""Exit codes of workers: what the end of one says to whoever started it."""

EXIT_FAILING = 70
"""A broker or Redis failed for longer than retrying makes sense, or something unforeseen: start me again."""
EXIT_DEAD_LETTERS = 71
"""Our own code refuses too much: starting again would not help."""
