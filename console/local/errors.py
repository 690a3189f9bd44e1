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
