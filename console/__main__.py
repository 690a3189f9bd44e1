"""`python -m console`: the soba command."""

from console.cli import main

if __name__ == "__main__":
    main()
