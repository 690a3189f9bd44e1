"""`python -m console`: the soba command."""

import atexit
import gc

from console.cli import main

if __name__ == "__main__":
    # At its end Python looks through all objects for cycles, a third of a second for what a worker or the facade imports.
    atexit.register(gc.freeze)
    main()
