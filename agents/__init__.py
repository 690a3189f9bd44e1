"""Agents: one verb a file, over one runtime."""
