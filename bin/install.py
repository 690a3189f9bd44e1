"""Make the virtual environment from a hashed lock: `install.py LOCK VENV` (standard library only).

An interrupted install leaves the marker `.incomplete` and is made anew by the next start; two starts at
once wait for each other; the stamp that ends the work is a copy of the lock.
"""

import fcntl
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NETWORK = re.compile(
    r"NewConnectionError|NameResolutionError|Failed to establish|Max retries|ConnectTimeout|ProxyError|"
    r"Temporary failure in name resolution|Connection refused|Network is unreachable"
)

BROKEN = re.compile(
    r"Connection broken|IncompleteRead|Read timed out|Connection reset|ConnectionResetError|RemoteDisconnected|"
    r"HTTP error (?:429|5\d\d)|too many (?:429|5\d\d) error"
)
"""What pip itself does not try again: a transfer that broke off, and a mirror that is overloaded."""
STARTS = 3


def fail(*lines: str) -> None:
    """Tell the user what to do and end."""
    print("soba: " + "\n      ".join(lines), file=sys.stderr)
    raise SystemExit(1)


@contextmanager
def alone(venv: Path) -> Iterator[int]:
    """Hold the lock file beside the venv, so that two first starts don't write into each other's work.

    Gives the descriptor: pip inherits it, and so holds the lock too if this process is killed.
    """
    with venv.with_name(venv.name + ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("soba: another start is installing; waiting for it", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle.fileno()


def usable(venv: Path) -> bool:
    """Whether the environment is whole and its interpreter still runs and is new enough."""
    if (venv / ".incomplete").exists() or not (venv / "bin" / "pip").exists():
        return False
    check = "import pip, sys; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([venv / "bin" / "python", "-c", check], capture_output=True).returncode == 0
    except OSError:
        return False


def create(venv: Path, root: Path) -> None:
    """Make an empty environment in which the packages of the repository can be imported."""
    try:
        import ensurepip  # noqa: F401
        import venv as venv_module
    except ImportError:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        fail(
            f"{sys.executable} (Python {version}) lacks venv or ensurepip.",
            f"Debian, Ubuntu: apt install python{version}-venv; Fedora: dnf install python3-pip;",
            "or name another interpreter: SOBA_PYTHON=/path/to/python3 bin/soba",
        )
    if venv.exists():
        print(f"soba: {venv.name} is not usable (interrupted or moved); making it anew", flush=True)
        shutil.rmtree(venv)
    print(f"soba: making {venv.name} with Python {sys.version.split()[0]}", flush=True)
    venv.mkdir(parents=True)
    (venv / ".incomplete").touch()
    venv_module.create(venv, with_pip=True, symlinks=True, clear=False)
    for packages in venv.glob("lib/python*/site-packages"):
        (packages / "soba.pth").write_text(f"{root}\n")


def show(text: str, every: bool) -> None:
    """One line that replaces itself on a terminal; elsewhere a plain line, when `every` says so."""
    if sys.stdout.isatty():
        print(f"\r\033[K{text[:78]}", end="", flush=True)
    elif every:
        print(text, flush=True)


def install(lock: Path, venv: Path, held: int) -> None:
    """Run pip on the lock, anew where a transfer broke off; explain the failures that users can do something about."""
    total = len(re.findall(r"^[A-Za-z0-9_.-]+(?:\[[^]]*\])?==", lock.read_text(), re.M))
    rest = "what is missing of " if list(venv.glob(".stamp-*")) else ""
    print(f"soba: installing {rest}{total} packages of {lock.name}", flush=True)
    command: list[str | Path] = [
        venv / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--require-hashes",
        "--only-binary",
        ":all:",
    ]
    command += ["--no-deps", "--no-input", "--progress-bar", "off", "--disable-pip-version-check", "-r", lock]
    for left in reversed(range(STARTS)):
        code, said = run_pip(command, total, held)
        if code == 0:
            return
        if not left or not BROKEN.search("\n".join(said)):
            break
        print("soba: the download broke off; going on with what is missing", flush=True)
    if NETWORK.search("\n".join(said)):
        fail(
            "no network, and not every package is in pip's cache.",
            "Connect once and start again, or point pip at a mirror (PIP_INDEX_URL) or at a folder",
            "of wheels (PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER). What was downloaded is kept.",
        )
    if any("DO NOT MATCH THE HASHES" in line for line in said):
        fail(*said[-12:], "A package does not match its hash in the lock: it was refused.")
    fail(*said[-12:], f"pip ended with code {code}; start again to try anew.")


def run_pip(command: list[str | Path], total: int, held: int) -> tuple[int, list[str]]:
    """Its exit code and all that it said; how far it is of `total` packages is shown."""
    said: list[str] = []
    seen = 0
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, pass_fds=[held], **output) as pip:
        assert pip.stdout is not None
        for line in pip.stdout:
            said.append(line.rstrip())
            if line.startswith("Ignoring "):  # meant for another system
                seen += 1
            elif line.startswith(("Collecting ", "Requirement already")):
                seen += 1
                name = line.split(" (from")[0].rsplit(": ", 1)[-1].removeprefix("Collecting ").strip()
                show(f"soba: {seen}/{total} {name}", every=seen % 20 == 0)
            elif line.startswith("Installing collected"):
                show("soba: unpacking", every=True)
    show("", every=False)
    return pip.returncode, said


def main(lock: Path, venv: Path) -> None:
    """Bring `venv` to what `lock` names."""
    stamp = venv / f".stamp-{lock.name}"
    with alone(venv) as held:
        if usable(venv):
            if stamp.exists() and stamp.read_bytes() == lock.read_bytes():
                return
        else:
            create(venv, lock.parent)
        (venv / ".incomplete").touch()
        content = lock.read_bytes()
        install(lock, venv, held)
        stamp.write_bytes(content)
        (venv / ".incomplete").unlink()
    print("soba: installed", flush=True)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).absolute())
    except KeyboardInterrupt:
        fail("interrupted; the next start goes on")
