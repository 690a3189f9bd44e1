"""Pydantic schemas of every value that crosses a topic, one file a domain."""
