"""Sources of events: they make block envelopes of raw blocks and logs, which no other room sees."""
