"""The launcher: restarts with back-off, the dead-letter limit, the order of a stop."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from base.exits import EXIT_DEAD_LETTERS
from console.local.errors import AlreadyRunning, LocalError
from console.local.launcher import FACADE, FIRST_DELAY, KAFKA, LONGEST_DELAY, REDIS, WORKER, Launcher
from console.local.process import Child, created_at
from console.local.runfile import RunFile, read, running
from console.local.signals import Signals
from tests.conftest import wait_for

SLEEPER = "import time\nwhile True: time.sleep(60)"
# Writes its name to a common file when it is told to stop.
POLITE = """
import signal, sys, time
def stop(*_):
    with open(sys.argv[1], "a") as file: file.write(sys.argv[2] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
while True: time.sleep(60)
"""
STUBBORN = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready', flush=True)\n" + SLEEPER


class Tree:
    """A launcher on a data folder of its own, and what it reported."""

    def __init__(self, data: Path) -> None:
        self.data, self.said = data, list[str]()
        self.run = RunFile(data)
        self.run.acquire()
        self.signals = Signals(self.said.append)
        self.launcher = Launcher(self.run, data / "logs", self.said.append, self.signals)

    def python(self, name: str, code: str, *args: str, order: int = 10) -> Child:
        return self.launcher.add(name, [sys.executable, "-S", "-c", code, *args], order=order)

    def ready(self, child: Child) -> None:
        wait_for(lambda: "ready" in child.tail())


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    tree = Tree(tmp_path)
    yield tree
    tree.launcher.stop(timeout=1)
    tree.run.release()


def test_a_child_that_dies_is_started_again_and_noted(tree: Tree) -> None:
    child = tree.python("one", SLEEPER)
    tree.launcher.start()
    first = child.pid
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: len(tree.said) == 2)
    assert child.pid != first
    row = read(tree.data)["processes"]["one"]
    assert (row["pid"], row["restarts"]) == (child.pid, 1) and running(row)
    assert "one ended (SIGKILL)" in tree.said[0] and "started again" in tree.said[1]


def test_the_delay_doubles_and_a_steady_child_starts_quickly_again(tree: Tree) -> None:
    child = tree.python("bad", "raise SystemExit(3)")
    now = tree.launcher._all["bad"].started
    delays = []
    for _ in range(9):
        wait_for(lambda: not child.alive)
        tree.launcher.step(now)
        due = tree.launcher._all["bad"].due
        assert due is not None
        delays.append(due - now)
        now = due
        tree.launcher.step(now)
    expected = [min(LONGEST_DELAY, FIRST_DELAY * 2**n) for n in range(1, 10)]
    assert delays == pytest.approx(expected)
    wait_for(lambda: not child.alive)
    tree.launcher.step(now + 3600)
    assert tree.launcher._all["bad"].due == pytest.approx(now + 3600 + FIRST_DELAY)


def test_a_child_that_cannot_be_started_is_tried_later(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    child = tree.python("one", "raise SystemExit(70)")
    wait_for(lambda: not child.alive)
    before = time.time()
    with monkeypatch.context() as patch:
        patch.setattr(child, "start", lambda: (_ for _ in ()).throw(OSError("no memory")))
        tree.launcher.step(0.0)
        tree.launcher.step(100.0)
    assert "one ended (code 70: it could not go on as it was)" in tree.said[0]
    row = read(tree.data)["processes"]["one"]
    assert row["ended"] == "cannot be started: no memory" and row["again_at"] >= before + LONGEST_DELAY
    assert "one cannot be started (no memory)" in tree.said[-1] and tree.launcher.restarts == {"one": 0}
    tree.launcher.step(100.0 + LONGEST_DELAY)
    assert tree.launcher.restarts == {"one": 1} and "ended" not in read(tree.data)["processes"]["one"]


def test_a_child_that_ends_by_itself_tells_why(tree: Tree) -> None:
    """What the worker logs last, by `agents.outlet.leave`, is not always the last line."""
    said = (
        'import json\n'
        'print(json.dumps({"message": "some other thing; ending with exit code 71"}))\n'
        'print(json.dumps({"message": "Redis was restarted; ending with exit code 70"}))\n'
        'print("not JSON")\n'
        'raise SystemExit(70)'
    )  # fmt: skip
    child = tree.python("one", said)
    wait_for(lambda: not child.alive)
    tree.launcher.step(0.0)
    assert "one ended (code 70: Redis was restarted); starting it again" in tree.said[0]
    assert read(tree.data)["processes"]["one"]["ended"] == "code 70: Redis was restarted"


def test_a_worker_waits_for_the_servers_it_needs(tree: Tree) -> None:
    answers = False
    tree.launcher.add("redis", [sys.executable, "-S", "-c", SLEEPER], order=REDIS, ready=lambda: answers)
    worker = tree.python("worker", "raise SystemExit(1)", order=WORKER)
    wait_for(lambda: not worker.alive)
    for now in (0.0, 100.0, 200.0):
        tree.launcher.step(now)
    assert tree.launcher.restarts["worker"] == 0
    assert tree.launcher.away == ["redis", "worker"]
    answers = True
    tree.launcher.step(201.0)
    assert tree.launcher.restarts["worker"] == 1 and "redis" not in tree.launcher.away


def test_a_child_that_keeps_ending_shows_what_it_said_last(tree: Tree) -> None:
    child = tree.python("one", "print('cannot read the key')\nraise SystemExit(3)")
    now = tree.launcher._all["one"].started
    for _ in range(6):
        wait_for(lambda: not child.alive)
        tree.launcher.step(now)
        now += 5
    assert len([line for line in tree.said if "cannot read the key" in line]) == 1


def test_the_dead_letter_limit_is_reported_and_left_ended(tree: Tree) -> None:
    child = tree.python("wrong", f"raise SystemExit({EXIT_DEAD_LETTERS})")
    wait_for(lambda: not child.alive)
    for now in (0.0, 1e6, 2e6):
        tree.launcher.step(now)
    assert tree.launcher.given_up == ["wrong"] and tree.launcher.restarts == {"wrong": 0}
    assert len(tree.said) == 1 and "dead-letter limit" in tree.said[0]
    row = read(tree.data)["processes"]["wrong"]
    assert "dead-letter limit" in row["ended"] and row["again_at"] is None


def test_a_stop_goes_from_the_facade_to_kafka(tree: Tree) -> None:
    order = tree.data / "order"
    names = {"kafka": KAFKA, "redis": 1, "worker": 10, "facade": FACADE}
    for name, position in names.items():
        tree.ready(tree.python(name, POLITE, str(order), name, order=position))
    tree.launcher.start()
    tree.launcher.stop(timeout=60)
    assert order.read_text().split() == ["facade", "worker", "redis", "kafka"]
    assert tree.launcher.restarts == dict.fromkeys(names, 0)


def test_one_that_will_not_stop_is_killed(tree: Tree) -> None:
    child = tree.python("stubborn", STUBBORN)
    tree.ready(child)
    tree.launcher.stop(timeout=0.1)
    assert child.rc == -signal.SIGKILL and "killed" in tree.said[-1]


def test_a_paused_child_stops_too(tree: Tree) -> None:
    child = tree.python("paused", POLITE, str(tree.data / "order"), "paused")
    tree.ready(child)
    child.pause()
    wait_for(lambda: psutil.Process(child.pid).status() == psutil.STATUS_STOPPED)
    tree.launcher.stop(timeout=60)
    assert child.rc == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_interrupts_whatever_is_done_and_is_told(number: signal.Signals) -> None:
    said: list[str] = []
    ignored = signal.signal(number, signal.SIG_IGN if number is signal.SIGINT else signal.SIG_DFL)
    try:
        with pytest.raises(KeyboardInterrupt), Signals(said.append):
            os.kill(os.getpid(), number)
            wait_for(lambda: False)
        assert said == ["stopping"]
    finally:
        signal.signal(number, ignored)


def test_a_signal_while_it_is_stopped_already_interrupts_nothing(tree: Tree) -> None:
    child = tree.python("stubborn", STUBBORN)
    tree.ready(child)
    with tree.signals as signals:
        signals.hold()
        for _ in range(2):
            signal.raise_signal(signal.SIGTERM)
        tree.launcher.stop(timeout=60)  # does not wait: there were two
        assert tree.said[0] == "stopping" and child.rc == -signal.SIGKILL
        with pytest.raises(KeyboardInterrupt):
            signals.wait()


def test_the_log_of_the_run_before_is_kept(tmp_path: Path) -> None:
    child = Child("one", [sys.executable, "-S", "-c", "import os; print(os.getpid())"], tmp_path / "one.log")
    pids = []
    for _ in range(2):
        child.start()
        pids.append(child.pid)
        wait_for(lambda: child.poll() is not None)
    assert (tmp_path / "one.log.1").read_text().strip() == str(pids[0])
    assert child.tail() == str(pids[1])


def test_a_child_that_does_not_get_ready_shows_the_end_of_its_log(tmp_path: Path) -> None:
    code = "print('no disk'); raise SystemExit(4)"
    child = Child("one", [sys.executable, "-S", "-c", code], tmp_path / "one.log", ready=lambda: False)
    child.start()
    with pytest.raises(LocalError, match=r"one ended with code 4[\s\S]*no disk"):
        child.wait_ready()
    slow = Child("slow", [sys.executable, "-S", "-c", SLEEPER], tmp_path / "slow.log", ready=lambda: False)
    slow.start()
    with pytest.raises(LocalError, match="slow does not answer"):
        slow.wait_ready(0.1)
    slow.kill()


def test_only_one_process_has_a_data_folder(tree: Tree) -> None:
    with pytest.raises(AlreadyRunning, match=rf"already running \(pid {os.getpid()}\), see bin/soba status"):
        RunFile(tree.data).acquire()


def test_survivors_are_ended_but_not_a_stranger_with_their_pid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left = [Child(name, [sys.executable, "-S", "-c", SLEEPER], tmp_path / name) for name in ("mine", "stranger")]
    for child in left:
        child.start()
    mine, stranger = left
    rows = {
        "mine": {"pid": mine.pid, "created": mine.created},
        "stranger": {"pid": stranger.pid, "created": stranger.created - 100},
    }
    (tmp_path / "run.json").write_text(json.dumps({"processes": rows, "ports": {"kafka": 1}}))
    run = RunFile(tmp_path)
    run.acquire()
    wait_for(lambda: not mine.alive)
    assert stranger.alive
    assert "ended mine" in capsys.readouterr().out and run.state["ports"] == {"kafka": 1}
    stranger.kill()
    run.release()
    assert created_at(mine.pid) == 0.0 and read(tmp_path)["processes"] == {}


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_children_die_with_a_launcher_that_is_killed(tmp_path: Path) -> None:
    code = f"""
import sys, time
from pathlib import Path
from console.local.process import Child
child = Child("inner", [sys.executable, "-S", "-c", {SLEEPER!r}], Path(sys.argv[1]) / "inner.log")
child.start()
print(child.pid, flush=True)
time.sleep(600)
"""
    outer = Child("outer", [sys.executable, "-c", code, str(tmp_path)], tmp_path / "outer.log", cwd=Path.cwd())
    outer.start()
    inner = int(wait_for(outer.tail))
    outer.kill()
    wait_for(lambda: ended(inner))


def ended(pid: int) -> bool:
    """Whether it is gone, or but for its parent's notice."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


class _Finalised:
    """Gets a signal in its finaliser, where Python drops what is raised."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_that_python_drops_is_heeded_yet() -> None:
    with Signals(lambda _: None) as signals:
        signals.heed()
        _Finalised()
        assert signals.count == 1
        with pytest.raises(KeyboardInterrupt):
            signals.heed()
