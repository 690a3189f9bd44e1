"""How much each account-quarter counts: campaigns against each other, and frauds against ordinary wallets.

How many quarters of whom a labelled history holds is chance of who was looked at, not of how wallets behave.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.fraud.walk import Floats

EVIDENCE = (3, 11, 51)
"""Transactions from which on a wallet is among the better known ones; those of few are first."""


def once(groups: Sequence[str]) -> Floats:
    """(units,): each campaign counts once, however many account-quarters it has."""
    sizes = Counter(groups)
    return np.array([1.0 / sizes[group] for group in groups])


def taught(groups: Sequence[str], fraud: NDArray[np.bool_]) -> Floats:
    """(units,): what each counts for trees: a campaign of fraud once, an ordinary account by the root of its quarters."""
    weights = once(groups)
    return np.where(fraud, weights, np.sqrt(weights))


def evened(weights: Floats, fraud: NDArray[np.bool_], transactions: NDArray[np.int64]) -> Floats:
    """The same `weights`, but fraud's share is one among wallets of few transactions and of many: how many alone tells nothing."""
    share = weights[fraud].sum() / weights.sum()
    found = weights.copy()
    known = np.digitize(transactions, EVIDENCE)
    for alike in (known == place for place in np.unique(known)):
        here = weights[alike & fraud].sum() / weights[alike].sum()
        if 0.0 < here < 1.0:
            found[alike & fraud] *= share / here
            found[alike & ~fraud] *= (1.0 - share) / (1.0 - here)
    return found
