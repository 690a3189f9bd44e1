"""Asking before what cannot be undone: one way for every command that does such a thing."""

from __future__ import annotations

import sys

import typer

from console.local.errors import LocalError


def sure(what: str, yes: bool) -> None:
    """Go on where `yes` says so, or whoever sits there; `what` says in half a sentence what will be done.

    Raises LocalError when nobody is there to ask, typer.Abort when the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise LocalError(f"{what}: nothing was done, since nobody is there to ask.", "Add --yes to do that unasked.")
    typer.confirm(f"{what}. Go on?", abort=True, err=True)
