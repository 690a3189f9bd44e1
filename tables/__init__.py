"""The Redis tables: what each holds, the one way to write a row, and readers."""
