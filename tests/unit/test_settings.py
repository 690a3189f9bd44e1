"""Settings: where values come from, the names operators already use, and what is refused."""

import json
import os
from pathlib import Path

import psutil
import pytest
from pydantic import ValidationError

from base import settings as module
from base.settings import ELSEWHERE, ROOT, Settings, load, meaningless, origins, variables
from console import config


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in variables():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SOBA_DATA_DIR", str(tmp_path / "data"))


def env_file(tmp_path: Path, text: str) -> Path:
    file = tmp_path / ".env"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("variable", "field", "text", "value"),
    [
        ("SOBA_PORT", "port", "3100", 3100),
        ("PORT", "port", "3100", 3100),
        ("API_PORT", "port", "3100", 3100),
        ("API_HOST", "host", "127.0.0.2", "127.0.0.2"),
        ("LOG_LEVEL", "log_level", "warning", "WARN"),
        ("REDIS_URL", "redis_url", "redis://there:1/0", "redis://there:1/0"),
        ("CORS_ORIGINS", "cors_origins", "http://a, http://b", ("http://a", "http://b")),
        ("SOBA_KAFKA", "kafka", '{"security.protocol": "SSL"}', {"security.protocol": "SSL"}),
        ("SOBA_WORKER_PORT", "worker_port", "0", 0),
        ("SOBA_OTEL_ENDPOINT", "otel_endpoint", "http://there:4318", "http://there:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "otel_endpoint", "http://there:4318", "http://there:4318"),
        ("SOBA_RATE_LIMITS", "rate_limits", '{"/api/mev": 7}', {"/api/mev": 7}),
    ],
)
def test_a_variable_sets_its_field_and_is_named_as_origin(
    monkeypatch: pytest.MonkeyPatch, variable: str, field: str, text: str, value: object
) -> None:
    monkeypatch.setenv(variable, text)
    settings = load(None)
    assert getattr(settings, field) == value
    assert origins(settings, None)[field] == variable


def test_our_name_beats_an_alias_and_the_environment_beats_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = env_file(tmp_path, "PORT=1\nLOG_LEVEL=DEBUG\nSOBA_PARTITIONS=7\n")
    monkeypatch.setenv("PORT", "2")
    monkeypatch.setenv("SOBA_PORT", "3")
    settings = load(file)
    assert (settings.port, settings.log_level, settings.partitions) == (3, "DEBUG", 7)
    found = origins(settings, file)
    assert found["port"] == "SOBA_PORT"
    assert found["log_level"] == ".env: LOG_LEVEL"
    assert found["replication"] == "default"


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "")
    settings = load(None)
    assert settings.port == 3000
    assert origins(settings, None)["port"] == "default"


def test_host_and_port_make_the_address_of_redis_unless_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_HOST", "there")
    assert load(None).redis_url == "redis://there:6379/0"
    monkeypatch.setenv("REDIS_PORT", "7")
    settings = load(None)
    assert settings.redis_url == "redis://there:7/0"
    assert origins(settings, None)["redis_url"] == "REDIS_HOST"
    monkeypatch.setenv("REDIS_URL", "redis://other:1/0")
    assert load(None).redis_url == "redis://other:1/0"


def test_keys_come_from_the_environment_and_from_a_secret_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = tmp_path / "keys"
    secret.write_text("second\nthird\n")
    monkeypatch.setenv("SOBA_API_KEYS", "first")
    monkeypatch.setenv("SOBA_API_KEYS_FILE", str(secret))
    settings = load(None)
    assert [key.get_secret_value() for key in settings.api_keys] == ["first", "second", "third"]
    assert "first" not in repr(settings)
    monkeypatch.setenv("SOBA_API_KEYS_FILE", str(tmp_path / "absent"))
    with pytest.raises(ValidationError, match="SOBA_API_KEYS_FILE cannot be read"):
        load(None)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("PORT", "70000"),
        ("LOG_LEVEL", "loud"),
        ("SOBA_KAFKA", "{"),
        ("SOBA_RATE_LIMITS", "100"),
        ("SOBA_RATE_LIMITS", '{"/api/mev": 0}'),
        ("SOBA_OTEL_ENDPOINT", "there:4317"),
    ],
)
def test_a_wrong_value_is_refused(monkeypatch: pytest.MonkeyPatch, variable: str, text: str) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(Exception, match=f"(?i){'kafka' if variable == 'SOBA_KAFKA' else variable}"):
        load(None)


def test_addresses_of_single_services_are_named_as_meaningless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_MODELS_URL", "http://x")
    assert list(meaningless(None)) == ["ML_MODELS_URL"]


def test_a_misspelt_variable_is_named_with_the_name_that_may_be_meant(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = env_file(tmp_path, "SOBA_BROKER=there:9092\nSOBA_EMPTYY=\nSOBA_CACHE=/there\nsoba_replication=1\n")
    for name in ("SOBA_PARTITION", "soba_rate_limit", "SOBA_FOO"):
        monkeypatch.setenv(name, "3")
    told = meaningless(file)
    assert sorted(told) == ["SOBA_BROKER", "SOBA_CACHE", "SOBA_FOO", "SOBA_PARTITION", "soba_rate_limit"]
    assert told["SOBA_PARTITION"].endswith("is it SOBA_PARTITIONS?")
    assert told["soba_rate_limit"].endswith("is it SOBA_RATE_LIMITS?")
    assert "in .env" in told["SOBA_BROKER"] and told["SOBA_BROKER"].endswith("is it SOBA_BROKERS?")
    assert "no setting has this name" in told["SOBA_FOO"] and "is it" not in told["SOBA_FOO"]
    assert "environment alone" in told["SOBA_CACHE"]


def test_what_kubernetes_tells_of_services_is_not_taken_for_misspelt_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"SERVICE_HOST": "10.0.0.7", "SERVICE_PORT": "80", "SERVICE_PORT_HTTP": "80", "PORT": "tcp://10.0.0.7:80"}
    for name, value in {**told, "PORT_80_TCP": "tcp://10.0.0.7:80", "PORT_80_TCP_ADDR": "10.0.0.7"}.items():
        monkeypatch.setenv(f"SOBA_API_{name}", value)
    assert meaningless(None) == {}
    monkeypatch.setenv("SOBA_BROKER", "tcp://there:9092")
    assert list(meaningless(None)) == ["SOBA_BROKER"]


def test_what_is_read_elsewhere_is_not_taken_for_a_misspelt_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*variables(), *ELSEWHERE, "SOBA_TEST_FAULT", "SOBA_TEST_KAFKA", "soba_port", "SOBANET", "HOME_SOBA_X"):
        monkeypatch.setenv(name, "1")
    assert meaningless(None) == {}


def test_a_running_system_gives_its_addresses_and_a_dead_one_does_not(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    me = {"pid": os.getpid(), "created": psutil.Process().create_time()}
    run = {"launcher": me, "brokers": "127.0.0.1:1", "redis_url": "redis://127.0.0.1:2/0"}
    (data / "run.json").write_text(json.dumps(run))
    settings = load(None)
    assert (settings.brokers, settings.redis_url) == ("127.0.0.1:1", "redis://127.0.0.1:2/0")
    assert origins(settings, None)["brokers"] == "run.json"
    (data / "run.json").write_text(json.dumps(run | {"launcher": {**me, "created": 1.0}}))
    assert load(None).brokers == ""


def test_the_example_file_is_read_whole_and_changes_nothing() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert all(line.startswith("#") or not line for line in lines)
    named = {line.removeprefix("# ").split("=")[0] for line in lines if "=" in line}
    other_way = {"redis_host", "redis_port"}
    assert named == {f"SOBA_{field.upper()}" for field in Settings.model_fields if field not in other_way}


def test_every_value_of_the_example_file_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOBA_DATA_DIR")
    lines = (ROOT / ".env.example").read_text().splitlines()
    given = [line.removeprefix("# ") for line in lines if "=" in line]
    given = [line for line in given if not line.startswith("SOBA_API_KEYS_FILE")]
    settings = load(env_file(tmp_path, "\n".join(given)))
    found = origins(settings, tmp_path / ".env")
    assert [name for name in found if found[name] == "default"] == ["redis_host", "redis_port", "api_keys_file"]


def test_config_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOBA_API_KEYS", "hidden1")
    monkeypatch.setenv("REDIS_URL", "redis://me:hidden2@there:1/0")
    monkeypatch.setenv("SOBA_KAFKA", '{"sasl.username": "me", "sasl.password": "hidden3"}')
    settings = load(None)
    text = json.dumps({name: module.shown(settings, name) for name in Settings.model_fields})
    assert "hidden" not in text
    assert "redis://me:***@there:1/0" in text and '"sasl.username": "me"' in text


def test_config_prints_values_as_their_variables_are_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {
        "SOBA_RATE_LIMITS": '{"/api/mev": 7, "/api/blocks/{number}": 8}',
        "SOBA_KAFKA": '{"security.protocol": "SSL"}',
        "SOBA_CORS_ORIGINS": "http://a,http://b",
        "SOBA_REPLY_TIMEOUT_S": "2.5",
    }
    for name, text in given.items():
        monkeypatch.setenv(name, text)
    config.config(as_json=False)
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    for name, text in given.items():
        assert f"  {text} " in lines[name.removeprefix("SOBA_").lower()]
    assert lines["api_keys"].split() == ["api_keys", "-", "default"]
    assert lines["worker_port"].split() == ["worker_port", "-", "default"]
    config.config(as_json=True)
    told = json.loads(capsys.readouterr().out)["settings"]
    assert told["rate_limits"]["value"] == json.loads(given["SOBA_RATE_LIMITS"])


def test_a_child_gets_changes_through_its_environment() -> None:
    environment = Settings(_env_file=None).environment(brokers="a:1", port=0)
    assert (environment["SOBA_BROKERS"], environment["SOBA_PORT"]) == ("a:1", "0")


def test_the_cached_settings_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    module.get_settings.cache_clear()
    monkeypatch.setenv("SOBA_PORT", "3001")
    first = module.get_settings()
    monkeypatch.setenv("SOBA_PORT", "3002")
    assert module.get_settings() is first
    module.get_settings.cache_clear()
