"""`soba ingest node` that does not look by itself while a websocket is open: what it sends then, it was told of."""

from __future__ import annotations

import sys

from console.cli import main
from ingest.node import heads

if __name__ == "__main__":
    heads.CHECK_S = 3_600.0
    main(sys.argv[1:])
