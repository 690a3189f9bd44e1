"""The soba command; imports the other rooms lazily."""
