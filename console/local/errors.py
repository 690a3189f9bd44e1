"""What the console tells a user instead of a stack trace."""


class LocalError(Exception):
    """Something of the local system failed; the lines say what happened and what to do."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))


class AlreadyRunning(LocalError):
    """Another process holds the data folder."""

    def __init__(self, pid: int | None) -> None:
        super().__init__(f"already running (pid {pid or 'unknown'}), see bin/soba status")
        self.pid = pid


NAMED = 20
"""Wrong lines of a file that are named one by one."""


class NothingChanged(LocalError):
    """Some of what was given, as a file or as arguments, is wrong, and so none of it was taken."""

    def __init__(self, faults: list[str], given: int, wanted: str, plural: str) -> None:
        more = [f"and {len(faults) - NAMED:,} more"] if len(faults) > NAMED else []
        many = "what was given" if given == 1 else f"{len(faults):,} of {given:,}"
        wrong = f"is no {wanted}" if len(faults) == 1 else f"are no {plural}"
        super().__init__(f"nothing was changed: {many} {wrong}", *faults[:NAMED], *more)
