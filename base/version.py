"""Which Soba this is."""

from __future__ import annotations

import tomllib
from importlib import metadata

from base.settings import ROOT


def version() -> str:
    """The version of the source tree that runs, else that of the installed package."""
    try:
        return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])
    except OSError:
        return metadata.version("soba")
