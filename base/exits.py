"""Exit codes of workers: what the end of one says to whoever started it."""

EXIT_FAILING = 70
"""A broker or Redis failed for longer than retrying makes sense, or something unforeseen: start me again."""
EXIT_DEAD_LETTERS = 71
"""Our own code refuses too much: starting again would not help."""
EXIT_MISFIT = 72
"""What lies in Kafka does not fit together, and only an operator can mend it: starting again would not help."""
