"""How often Python looks for cycles among objects."""

from __future__ import annotations

import gc

SELDOM = (500_000, 20, 100)
"""Thresholds of the collector: a batch of blocks makes and drops some 200,000 objects."""


def collect_rarely() -> None:
    """For processes that make and drop objects by the thousand, none of them in a cycle, once they have started.

    Looking through them every 700 objects, as Python does by default, took a quarter of validate's time and half of that of
    decoding blocks. What stands now stays for good and is not looked through at all.
    """
    gc.freeze()
    gc.set_threshold(*SELDOM)
