"""The wire: every topic, the schemas of what it carries, and how bytes become values and back."""
