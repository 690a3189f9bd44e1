"""Chain data: the rules an event must keep, the assembly of blocks, and the views cut from them."""
