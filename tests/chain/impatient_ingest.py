"""`soba ingest node` that says after two seconds that the nodes' chain is too short, and not after half a minute."""

from __future__ import annotations

import sys

from console.cli import main
from ingest.node import follow

if __name__ == "__main__":
    follow.TELL_SHORTER_S = 2.0
    main(sys.argv[1:])
