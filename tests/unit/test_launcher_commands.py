"""The commands around the launcher: --help, config, status, doctor, and what users are told."""

import importlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import typer
from aiokafka.errors import KafkaTimeoutError
from pydantic import SecretStr

from agents import app
from agents.app import WORKERS
from base.exits import EXIT_FAILING
from base.settings import ROOT, Settings, get_settings
from console import cli, doctor, reach, status, up
from console.local import ports, runfile
from console.local.errors import LocalError
from facade.kafka import Producer

GONE = {"pid": 2**22 + 1, "created": 1.0, "restarts": 0, "log": "y.log"}


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("PORT", "SOBA_PORT", "API_PORT", "REDIS_URL", "SOBA_BROKERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SOBA_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("base.settings._told", set())
    get_settings.cache_clear()
    return tmp_path


def run(*argv: str) -> int:
    """The exit code of `soba ARGV` in this process."""
    with pytest.raises(SystemExit) as ended:
        cli.main(list(argv))
    return int(ended.value.code or 0)


def running(data: Path, **more: object) -> None:
    """A run.json as this process would have left it as a launcher."""
    me = {"pid": os.getpid(), "created": psutil.Process().create_time()}
    row = {**me, "restarts": 2, "log": "x.log"}
    state = {"launcher": me, "started": me["created"], "processes": {"one": row, "two": GONE}, **more}
    (data / "run.json").write_text(json.dumps(state))


def test_help_names_every_command_and_imports_none_of_them() -> None:
    code = "import sys; from console.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "print([name for name in sys.modules if name.split('.')[0] in ('faust', 'confluent_kafka', 'aiokafka')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert all(name in done.stdout for name, _, _ in cli.COMMANDS)
    assert done.stdout.rstrip().endswith("[]"), done.stdout[-300:]


@pytest.mark.parametrize("name", [name for name, _, _ in cli.COMMANDS])
def test_every_command_can_be_imported_and_has_help(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(name, "--help") == 0
    assert "Usage: soba" in capfd.readouterr().out


def paths(command: Any) -> Iterator[tuple[str, ...]]:
    """The command itself and all below it, by the words that lead there."""
    yield ()
    for name, below in getattr(command, "commands", {}).items():
        yield from ((name, *rest) for rest in paths(below))


@pytest.mark.parametrize("name", ["", *(name for name, _, _ in cli.COMMANDS)])
def test_flags_show_no_type_in_help(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    below: Iterable[tuple[str, ...]] = [()]
    if name:
        module, attribute = cli._BY_NAME[name].split(":")
        below = paths(typer.main.get_command(getattr(importlib.import_module(module), attribute)))
    for path in below:
        assert run(*filter(None, (name, *path)), "--help") == 0
        told = capfd.readouterr().out
        assert "--help" in told and "bool" not in told, path


def test_the_version_is_that_of_the_package_and_names_the_commit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert run("--version") == 0
    assert re.fullmatch(rf"soba {re.escape(declared)}( \(commit [0-9a-f]{{4,}}\+?\))?\n", capsys.readouterr().out)
    # Installed, without its source tree, the version is the package's and there is no commit.
    monkeypatch.setattr("base.settings.ROOT", tmp_path)
    monkeypatch.setattr("base.version.ROOT", tmp_path)
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"9.9 of {name}")
    assert run("--version") == 0
    assert capsys.readouterr().out == "soba 9.9 of soba\n"


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("nonsense") == 2
    assert "No such command" in capsys.readouterr().err
    assert run("dmo") == 2
    assert "Did you mean 'demo'?" in capsys.readouterr().err


def test_config_prints_origins(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_MODELS_URL", "http://x")
    assert run("config") == 0
    text = capsys.readouterr().out
    assert "SOBA_DATA_DIR" in text and "ML_MODELS_URL is set but has no meaning here" in text
    assert run("config", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["settings"]["port"] == {"value": 3000, "origin": "default"}
    assert told["meaningless"] == ["ML_MODELS_URL"]


@pytest.mark.parametrize("command", ["config", "doctor", "up"])
def test_a_misspelt_setting_is_told_once(
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    monkeypatch.setattr(doctor, "examine", lambda settings: iter(()))
    monkeypatch.setattr(up, "_named_servers_answer", lambda _: stop(get_settings()))
    monkeypatch.setenv("SOBA_PARTITION", "secret")
    assert run(command) == (1 if command == "up" else 0)
    told = capsys.readouterr().out
    assert told.count("SOBA_PARTITION is set but has no meaning here: is it SOBA_PARTITIONS?") == 1
    assert "secret" not in told and not caplog.records
    if command == "doctor":
        assert run(command, "--json") == 0
        assert json.loads(capsys.readouterr().out) == {"ok": True, "checks": [], "meaningless": ["SOBA_PARTITION"]}


@pytest.mark.parametrize("command", ["config", "doctor", "up"])
def test_a_limit_for_no_route_is_told_before_http_refuses_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(up, "_named_servers_answer", stop)
    monkeypatch.setenv("SOBA_PORT", "0")
    monkeypatch.setenv("SOBA_RATE_LIMITS", '{"/api/mev": 7}')
    run(command)
    assert "no route" not in "".join(capsys.readouterr())
    monkeypatch.setenv("SOBA_RATE_LIMITS", '{"/api/mevv": 7, "/health": 7}')
    assert run(command) == (0 if command == "config" else 1)
    told = "".join(capsys.readouterr())
    assert "SOBA_RATE_LIMITS names what is no route with a limit: /api/mevv, /health" in told
    assert "/api/blocks/{number}" in told and "stopped here" not in told


def stop(settings: Settings) -> None:
    raise LocalError("stopped here")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("SOBA_PORT", "many", 'SOBA_PORT: "many" is not an integer; give a whole number such as 10'),
        ("PORT", "70000", 'PORT: "70000" is too large; give a number of at most 65535'),
        ("LOG_LEVEL", "loud", 'LOG_LEVEL: "LOUD" is none of the allowed values; give one of: DEBUG, INFO, WARN, ERROR'),
        ("SOBA_KAFKA", "{", "SOBA_KAFKA: it is not JSON ("),
        ("SOBA_KAFKA", '{"sasl.password": 5}', "SOBA_KAFKA.sasl.password: it is not text; give text"),
        ("SOBA_RATE_LIMITS", "100", "SOBA_RATE_LIMITS: 100 is not an object; give an object"),
        (
            "SOBA_RATE_LIMITS",
            '{"/api/mev": 0}',
            "SOBA_RATE_LIMITS./api/mev: 0 is too small; give a number of at least 1",
        ),
        ("REDIS_URL", "there:6379", "REDIS_URL: it is no address of a Redis; give redis://host:port/0"),
        ("SOBA_API_KEYS_FILE", "/none", "SOBA_API_KEYS_FILE cannot be read: /none: No such file or directory; name a"),
    ],
)
def test_a_wrong_setting_is_explained(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert run("config") == 1
    first, second, last = capsys.readouterr().err.splitlines()
    assert first == "soba: a setting is not valid:" and second.startswith(f"      {said}"), second
    assert "unset it" in last


def test_an_error_of_ours_keeps_its_stack_trace() -> None:
    assert cli.explain(RuntimeError("ours")) == ""
    assert cli.explain(LocalError("a", "b")) == "a\n      b"


def test_status_of_nothing_and_of_something(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status") == 1
    assert "not running" in capsys.readouterr().out
    running(data, http="http://127.0.0.1:1", brokers="127.0.0.1:2")
    assert run("status") == 0
    text = capsys.readouterr().out
    assert "running (pid" in text and "http://127.0.0.1:1" in text
    state = status.snapshot()
    assert [(row["name"], row["state"]) for row in state["processes"]] == [("one", "running"), ("two", "ended")]
    assert state["processes"][0]["memory_mb"] > 1 and state["processes"][0]["restarts"] == 2


def test_status_says_of_each_process_that_is_down_what_comes_next(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    soon = now + 6.3
    processes = {
        "validate": {**GONE, "ended": "SIGKILL", "again_at": soon},
        "chain": {**GONE, "ended": "code 1", "again_at": now - 1},
        "language": {**GONE, "ended": "too many records made its code fail; see bin/soba dlq list", "again_at": None},
        "facade": GONE,
    }
    running(data, http="http://127.0.0.1:1", processes=processes)
    rows = {row["name"]: row for row in status.snapshot()["processes"]}
    assert [row["state"] for row in rows.values()] == ["restarting", "restarting", "failed", "ended"]
    assert rows["validate"]["again_in_seconds"] == 7 and rows["validate"]["reason"] == "SIGKILL"
    assert run("status") == 0
    text = capsys.readouterr().out
    assert "validate ended (SIGKILL) and is started again by itself in 7 s" in text and "y.log" in text
    assert "chain ended (code 1) and is started again by itself as soon as what it needs answers" in text
    assert "language ended for good: too many records" in text and "stop bin/soba up and start it again" in text
    assert "facade has just ended: look again in a moment" in text
    assert "http://127.0.0.1:1/api/python/health" in text


def test_status_while_it_starts(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    running(data)
    assert run("status") == 0
    text = capsys.readouterr().out
    assert "starting (pid" in text and "http       not there yet" in text and "None" not in text


def test_status_of_nothing_says_how_to_start_and_what_is_left(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status") == 1
    text = capsys.readouterr().out
    assert f"not running (data folder {data})" in text and "bin/soba up" in text and "bin/soba demo" in text
    assert "left behind" not in text
    running(data, launcher={"pid": os.getpid(), "created": 1.0})
    assert run("status") == 1
    assert f"left behind by a run that was killed: one (pid {os.getpid()}); the next start" in capsys.readouterr().out


def test_a_stale_run_file_is_not_a_running_system(data: Path) -> None:
    running(data, launcher={"pid": os.getpid(), "created": 1.0})
    assert not status.snapshot()["running"]
    (data / "run.json").write_text("{")
    assert runfile.read(data) == {}


def test_doctor_tells_of_servers_that_do_not_answer(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_brokers", lambda _: (_ for _ in ()).throw(LocalError("no broker answers")))
    monkeypatch.setenv("SOBA_PORT", "0")  # 3000 may be in use on this machine
    monkeypatch.setenv("SOBA_BROKERS", "127.0.0.1:9")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:9/0")
    assert run("doctor") == 1
    text = capsys.readouterr().out
    assert "BAD  kafka" in text and "BAD  redis" in text and "REDIS_URL" in text
    assert run("doctor", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert {check["name"] for check in told["checks"] if not check["ok"]} == {"kafka", "redis"}


def test_the_port_is_free_or_the_user_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_default = get_settings()
    monkeypatch.setattr(ports, "is_free", lambda port, host="": port != 3000)
    assert up.http_port(with_default, 4321) == 4321
    assert "port 3000 is taken; HTTP is at 4321" in capsys.readouterr().out
    monkeypatch.setenv("PORT", "3000")
    get_settings.cache_clear()
    with pytest.raises(LocalError, match=r"port 3000 is in use[\s\S]*SOBA_PORT=3001"):
        up.http_port(get_settings(), None)
    get_settings.cache_clear()


def test_ports_are_different_and_those_of_the_last_run_where_free() -> None:
    first = ports.pick(3)
    assert len(set(first)) == 3 and ports.pick(3, [*first]) == first


@pytest.mark.parametrize(("told", "end"), [("20000 20999", 20_000), ("1024 65535", 32_768), (None, 32_768)])
def test_ports_are_not_of_those_that_anybody_may_be_given_meanwhile(
    told: str | None, end: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ports, "RANGE", tmp_path / "range")
    if told is not None:
        ports.RANGE.write_text(told)
    assert all(ports.LOWEST <= port < end for port in ports.pick(20))


def test_addresses_are_shown_without_passwords() -> None:
    assert reach.masked("redis://me:secret@there:1/0") == "redis://***@there:1/0"
    assert reach.masked("redis://there:1/0") == "redis://there:1/0"


def test_progress_on_a_terminal_and_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    from console.local.progress import progress

    with progress("fetching", 1000) as bar:
        for _ in range(10):
            bar.advance(100)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "fetching: 0.0 MB" and lines[-1] == "fetching: 100 %"


def test_long_work_is_told_on_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from console.local import progress

    monkeypatch.setattr(progress, "TELL_EVERY_S", 3_600.0)
    with progress.counting("reading", 2_000) as bar:
        bar.advance(1_000)
    assert capsys.readouterr() == ("", "")  # short work says nothing
    monkeypatch.setattr(progress, "TELL_EVERY_S", 0.0)
    with progress.counting("reading", 2_000) as bar:
        bar.advance(1_000)
    assert capsys.readouterr() == ("", "reading: 1,000 of 2,000\n")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress.counting("reading", 2_000) as bar:
        bar.advance(2_000)
    told = capsys.readouterr()
    assert told.out == "" and "reading" in told.err and "2000/2000" in told.err


@pytest.mark.parametrize(
    "argv",
    [
        ("worker", "validate"), ("serve",), ("topics", "check"), ("produce", "alerts"), ("consume", "alerts"),
        ("dlq", "show"), ("dlq", "replay", "chain.events"), ("tables", "rebuild"), ("keys", "list"),
    ],
)  # fmt: skip
def test_without_a_known_server_each_command_says_what_to_do(
    argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*argv) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("soba: no ") and "is known" in first and "bin/soba up" in second


@pytest.mark.parametrize(
    "argv",
    [
        ("up",), ("demo", "--once"), ("bench", "reply"), ("worker", "validate"), ("topics", "create"),
        ("consume", "alerts"), ("dlq", "list"), ("dlq", "drop", "chain.events", "--all"), ("tables", "rebuild"), ("keys", "list"),
    ],
)  # fmt: skip
def test_a_server_that_does_not_answer_is_named(
    argv: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "TIMEOUT_S", 0.2)
    monkeypatch.setenv("SOBA_BROKERS", "127.0.0.1:1")
    monkeypatch.setenv("REDIS_URL", "redis://me:secret@127.0.0.1:1/0")
    get_settings.cache_clear()
    assert run(*argv) == (EXIT_FAILING if argv[0] == "worker" else 1)
    told = capsys.readouterr()
    first, second = told.err.splitlines()
    name = "Redis at redis://***@127.0.0.1:1/0" if argv[0] == "keys" else "Kafka at 127.0.0.1:1"
    assert first.startswith(f"soba: {name} does not answer: ") and "bin/soba status" in second and told.out == ""


def test_redis_is_asked_where_it_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    assert run("up") == 1
    assert "Redis at redis://127.0.0.1:1/0 does not answer" in capsys.readouterr().err


def test_brokers_listen_where_one_does() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for brokers in (f"127.0.0.1:{port}", f"127.0.0.1:1, PLAINTEXT://localhost:{port}"):
            reach.broker_listens(get_settings().model_copy(update={"brokers": brokers}))
    for brokers in ("127.0.0.1:1", "localhost:x"):
        with pytest.raises(LocalError, match=f"Kafka at {brokers} does not answer"):
            reach.broker_listens(get_settings().model_copy(update={"brokers": brokers}))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("bench", "reply", "--rate", "0"), '"0" is too small; give a number of at least 1'),
        (("topics", "tail", "alerts", "-n", "x"), '"x" is not an integer; give a whole number'),
    ],
)
def test_a_wrong_option_is_told_in_our_words(
    argv: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*argv) == 2
    text = capsys.readouterr().err
    assert said in text and "Input should" not in text


def test_a_data_folder_that_cannot_be_is_named(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (data / "file").write_text("")
    monkeypatch.setenv("SOBA_DATA_DIR", str(data / "file"))
    assert run("up") == 1
    assert f"the data folder {data / 'file'} cannot be used: File exists" in capsys.readouterr().err


def test_findings_that_cannot_be_written_are_told(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = ROOT / "samples" / "blocks" / "ethereum-20000010-real" / "block.json.gz"
    assert run("evaluate", "mev", "--data", str(samples), "--out", str(data / "no" / "file")) == 1
    assert "cannot be written: No such file or directory" in capsys.readouterr().err


def test_serve_says_that_it_waits_for_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("serve", "--help") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "serves also while Kafka or Redis does not answer, at start as later" in told and "503" in told


def test_help_of_a_command_shows_its_own_options_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("worker", "--help") == 0
    text = capsys.readouterr().out
    assert "--install-completion" not in text
    assert all(name in text for name in WORKERS)


def test_a_worker_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("worker", "nonsense") == 2
    assert "no worker 'nonsense'" in capsys.readouterr().err


def test_up_begins_anew_as_the_demo_does(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "kafka").mkdir(parents=True)
    for command in ("up", "demo"):
        assert run(command, "--fresh") == 1
        assert "is not a data folder of Soba: nothing deleted" in capsys.readouterr().err


def test_a_host_that_others_reach_needs_a_key_before_anything_starts(data: Path) -> None:
    dead = "redis://127.0.0.1:1/0"
    settings = Settings(_env_file=None, host="127.0.0.1", redis_url=dead, api_keys=())
    up._not_exposed(settings)
    with pytest.raises(LocalError, match=r"no API key(.|\n)*keys create(.|\n)*SOBA_API_KEYS"):
        up._not_exposed(settings.model_copy(update={"host": "0.0.0.0"}))
    up._not_exposed(settings.model_copy(update={"host": "0.0.0.0", "api_keys": (SecretStr("x" * 32),)}))


def test_up_for_others_without_a_key_leaves_nothing_behind(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOBA_HOST", "0.0.0.0")
    monkeypatch.setenv("SOBA_DATA_DIR", str(data / "new"))
    assert run("up") == 1
    assert "there is no API key: nothing is started" in capsys.readouterr().err
    assert not (data / "new").exists()


def test_a_worker_that_cannot_start_for_want_of_a_server_ends_as_failing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOBA_BROKERS", "127.0.0.1:1")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    assert run("worker", "chain") == EXIT_FAILING
    assert "Kafka at 127.0.0.1:1 does not answer" in capsys.readouterr().err


@pytest.mark.parametrize(("code", "told"), [(0, 0), (1, EXIT_FAILING)])
def test_a_worker_that_faust_cannot_start_ends_as_failing(
    code: int, told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    faust = SimpleNamespace(execute_from_commandline=lambda: sys.exit(code))
    for name, stand_in in (
        ("build", lambda *_: None),
        ("_Process", lambda _: faust),
        ("setup_logging", lambda *_: None),
        ("end_now", sys.exit),  # the real one takes the test run with it
    ):
        monkeypatch.setattr(app, name, stand_in)
    for name in ("collect_rarely", "mode.loop.use", "faulthandler.enable"):
        monkeypatch.setattr(f"agents.app.{name}", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        app.run("chain")
    assert ended.value.code == told


def test_topics_of_a_cluster_that_does_not_answer_fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reach, "TIMEOUT_S", 0.5)
    assert run("topics", "list") == 1
    monkeypatch.setenv("SOBA_BROKERS", "127.0.0.1:1")
    get_settings.cache_clear()
    assert run("topics", "list") == 1
    told = capsys.readouterr()
    assert "Only what the registry says is shown" in told.err and "chain.events" in told.out


def test_help_mentions_the_tests(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    assert "bin/soba test" in capsys.readouterr().out


def test_faults_of_the_producer_are_told_once_a_second_with_their_count(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    producer = Producer(get_settings())
    for _ in range(100):
        producer._tell("requests.data", KafkaTimeoutError())
    now += 1
    producer._tell("requests.data", KafkaTimeoutError())
    said = [row.getMessage() for row in caplog.records if "cannot produce" in row.getMessage()]
    assert [line.rpartition(" ")[2] for line in said] == ["1)", "100)"]
