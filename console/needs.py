"""Packages that only some commands need: fetched by the first one that does, once what it was asked is known to be in order."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib import invalidate_caches
from pathlib import Path

from base.settings import ROOT
from console.local.errors import LocalError

INSTALLER = ROOT / "bin" / "install.py"


def training() -> None:
    """What training and evaluating take.

    Raises:
        LocalError: it is not here and cannot be installed from here.
    """
    _have("requirements-training.lock", ("hdbscan", "lightgbm", "pyarrow", "sklearn"))


def hypothesis() -> None:
    """What makes hostile input.

    Raises:
        LocalError: it is not here and cannot be installed from here.
    """
    _have("requirements-dev.lock", ("hypothesis",))


def _have(name: str, modules: tuple[str, ...]) -> None:
    lock, venv = ROOT / name, Path(sys.prefix)
    if not missing(lock, venv, modules):
        return
    if not INSTALLER.exists() or not (venv / ".stamp-requirements.lock").exists():
        raise LocalError(
            f"this Python lacks {', '.join(modules)}",
            f"{name} of the checkout names them; bin/soba installs it by itself",
        )
    done = subprocess.run([sys.executable, str(INSTALLER), str(lock), str(venv)], stdout=sys.__stderr__)
    if done.returncode:
        raise LocalError("nothing was done: what the command needs could not be installed, as told above")
    invalidate_caches()


def missing(lock: Path, venv: Path, modules: tuple[str, ...]) -> bool:
    """Whether `venv` has another `lock` than this one, or never had it and lacks one of its modules."""
    stamp = venv / f".stamp-{lock.name}"
    if stamp.exists() and lock.exists():
        return stamp.read_bytes() != lock.read_bytes()
    return any(importlib.util.find_spec(one) is None for one in modules)
