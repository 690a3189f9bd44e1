"""Fraud: what is remembered of wallets, and how it is judged."""
