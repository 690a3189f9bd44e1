"""Follow a chain by its nodes: blocks and receipts by JSON-RPC, in order, complete, and taken back when the chain does."""
