"""The one settings class: environment (`SOBA_*` or a known alias), then `.env`, then the default.

Callers use `get_settings()`; children of the launcher get theirs through the environment.
"""

import json
import logging
import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import psutil
from dotenv import dotenv_values
from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_core import PydanticCustomError, PydanticKnownError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

ROOT = Path(__file__).resolve().parent.parent
ENV_FILE = ROOT / ".env"
PREFIX = "SOBA_"

_SECRET = ("password", "secret", "key.pem", "token")

LogLevel = Literal["DEBUG", "INFO", "WARN", "ERROR"]

# Addresses of single services, as other systems set them: Soba's services talk through Kafka.
MEANINGLESS = (
    "ML_MODELS_URL",
    "NLP_TRANSLATION_URL",
    "FRAUD_DETECTION_URL",
    "DATA_PROCESSING_URL",
    "BLOCKCHAIN_INTELLIGENCE_URL",
    "PYTHON_EVENT_API_URL",
)
ELSEWHERE = ("SOBA_API_KEY", "SOBA_CACHE", "SOBA_MAVEN_URL", "SOBA_PYTHON", "SOBA_TESTCONTAINERS", "SOBA_VENV")
"""Variables that are no settings: read from the environment alone, before there are settings, by tests or by examples."""
OF_TESTS = f"{PREFIX}TEST_"
OF_KUBERNETES = re.compile(r"_SERVICE_(HOST|PORT\w*)=|_PORT_\d+_(TCP|UDP|SCTP)\w*=|_PORT=(tcp|udp|sctp)://")
"""What it tells every container of each service by its name, and so of one whose name begins with soba."""


def _names(field: str, *aliases: str) -> AliasChoices:
    return AliasChoices(f"{PREFIX}{field.upper()}", *aliases)


class Settings(BaseSettings):
    """Everything that can be set, each value with its default; invalid values name their variable."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, env_ignore_empty=True, extra="ignore", populate_by_name=True, frozen=True
    )

    brokers: str = Field("", validation_alias=_names("brokers"))
    """Kafka bootstrap servers, comma separated; empty: the local Kafka of `soba up`."""
    kafka: Annotated[dict[str, str], NoDecode] = Field(default_factory=dict, validation_alias=_names("kafka"))
    """Security of Kafka clients by librdkafka's names, as JSON (security.protocol, sasl.*, ssl.*)."""
    redis_url: str = Field("", validation_alias=_names("redis_url", "REDIS_URL"))
    """Redis; empty: `redis_host`, else the local Redis of `soba up`."""
    redis_host: str = Field("", validation_alias=_names("redis_host", "REDIS_HOST"))
    redis_port: int = Field(6379, ge=1, le=65535, validation_alias=_names("redis_port", "REDIS_PORT"))
    host: str = Field("127.0.0.1", validation_alias=_names("host", "API_HOST"))
    """Address of the HTTP facade."""
    port: int = Field(3000, ge=0, le=65535, validation_alias=_names("port", "API_PORT", "PORT"))
    """Port of the HTTP facade; 0 picks a free one."""
    data_dir: Path = Field(ROOT / ".soba", validation_alias=_names("data_dir"))
    """Where the local servers keep their data, logs and run.json."""
    log_level: LogLevel = Field("INFO", validation_alias=_names("log_level", "LOG_LEVEL"))
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), validation_alias=_names("cors_origins", "CORS_ORIGINS")
    )
    """Origins that browsers may call from, comma separated."""
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field((), validation_alias=_names("api_keys"))
    """The first API keys, comma separated; none and a loopback host: open mode."""
    api_keys_file: Path | None = Field(None, validation_alias=_names("api_keys_file"))
    """A secret file with one API key a line, added to `api_keys`."""
    partitions: int = Field(2, ge=1, validation_alias=_names("partitions"))
    """Partitions of topics that are created (15 suits a cluster)."""
    replication: int = Field(1, ge=1, validation_alias=_names("replication"))
    worker_host: str = Field("127.0.0.1", validation_alias=_names("worker_host"))
    """Address of the workers' health and metrics, which need no key: not `host`, which may be for others."""
    worker_port: int | None = Field(None, ge=0, le=65535, validation_alias=_names("worker_port"))
    """Port of a worker's health and metrics; unset: that of its service; 0 picks a free one."""
    reply_timeout_s: float = Field(30.0, gt=0, validation_alias=_names("reply_timeout_s"))
    """The whole budget of a question, tries included."""
    rate_limit_per_minute: int = Field(100, ge=1, validation_alias=_names("rate_limit_per_minute"))
    """HTTP requests a minute that each key (or address, without keys) may send to a route."""
    rate_limits: Annotated[dict[str, Annotated[int, Field(ge=1)]], NoDecode] = Field(
        default_factory=dict, validation_alias=_names("rate_limits")
    )
    """Other limits for single routes, as JSON: the route as docs/http.md writes it, to requests a minute."""
    otel_endpoint: str = Field("", validation_alias=_names("otel_endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT"))
    """A collector of OpenTelemetry spans by OTLP/HTTP, as `http://host:4318`; empty: none are made."""

    @field_validator("cors_origins", "api_keys", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return [part.strip() for part in value.split(",") if part.strip()]

    @field_validator("kafka", "rate_limits", mode="before")
    @classmethod
    def _object(cls, value: object) -> object:
        # pydantic-settings' own reading of JSON fails without naming the variable.
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError as error:
            raise PydanticKnownError("json_invalid", {"error": str(error)}) from None

    @field_validator("log_level", mode="before")
    @classmethod
    def _level(cls, value: object) -> object:
        return {"WARNING": "WARN", "CRITICAL": "ERROR"}.get(name := str(value).upper(), name)

    @field_validator("redis_url", mode="after")
    @classmethod
    def _is_redis(cls, value: str) -> str:
        if value and not value.startswith(("redis://", "rediss://", "unix://")):
            raise PydanticCustomError("redis_url", "no address of a Redis", {"expected": "redis://host:port/0"})
        return value

    @field_validator("otel_endpoint", mode="after")
    @classmethod
    def _is_http(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise PydanticCustomError("otel_endpoint", "no address of a collector", {"expected": "http://host:4318"})
        return value

    @field_validator("data_dir", mode="after")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @model_validator(mode="before")
    @classmethod
    def _redis_from_host(cls, values: dict[str, Any]) -> dict[str, Any]:
        if not _given(values, "redis_url") and (host := _given(values, "redis_host")):
            values = {**values, "redis_url": f"redis://{host}:{_given(values, 'redis_port') or 6379}/0"}
        return values

    @model_validator(mode="before")
    @classmethod
    def _keys_from_file(cls, values: dict[str, Any]) -> dict[str, Any]:
        if path := _given(values, "api_keys_file"):
            try:
                lines = Path(path).expanduser().read_text().split()
            except OSError as error:
                raise ValueError(
                    f"SOBA_API_KEYS_FILE cannot be read: {path}: {error.strerror}; name a file with one key a line, or unset it"
                ) from error
            given = _given(values, "api_keys") or ()
            keys = given.split(",") if isinstance(given, str) else list(given)
            values = {name: value for name, value in values.items() if name != "SOBA_API_KEYS"}
            values["api_keys"] = [key for key in [*keys, *lines] if key]
        return values

    def environment(self, **changes: str | int | Path) -> dict[str, str]:
        """The environment for a child: this one's, with `changes` by field name."""
        return {**os.environ, **{f"{PREFIX}{name.upper()}": str(value) for name, value in changes.items()}}


def _variables(field: str) -> list[str]:
    """The variables that set a field, the strongest first."""
    alias = Settings.model_fields[field].validation_alias
    return [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else []


def variables() -> list[str]:
    """Every variable that means something to Soba."""
    return [name for field in Settings.model_fields for name in _variables(field)]


def _given(values: Mapping[str, Any], field: str) -> Any:
    return next((values[name] for name in (*_variables(field), field) if values.get(name)), None)


def load(env_file: Path | None = ENV_FILE) -> Settings:
    """Read the settings; a running local system (run.json of the data folder) fills empty addresses.

    Raises pydantic's ValidationError, which names the variable and what it must be.
    """
    settings = Settings(_env_file=env_file)
    running = running_addresses(settings.data_dir)
    return settings.model_copy(update={name: value for name, value in running.items() if not getattr(settings, name)})


def running_addresses(data_dir: Path) -> dict[str, str]:
    """Addresses of the system that runs on this data folder, {} if none does.

    So that `soba topics list` in a second terminal finds what `soba up` started in the first.
    """
    try:
        run = json.loads((data_dir / "run.json").read_text())
        launcher = run["launcher"]
        alive = abs(psutil.Process(launcher["pid"]).create_time() - launcher["created"]) <= 0.02
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return {}
    if not alive:
        return {}
    return {name: str(run[name]) for name in ("brokers", "redis_url") if run.get(name)}


def origins(settings: Settings, env_file: Path | None = ENV_FILE) -> dict[str, str]:
    """Where each value comes from: a variable's name, that name in .env, run.json, or default."""
    in_file = dotenv_values(env_file) if env_file and env_file.exists() else {}
    running = running_addresses(settings.data_dir)
    return {field: _origin(settings, field, in_file, running) for field in Settings.model_fields}


def _origin(settings: Settings, field: str, in_file: Mapping[str, str | None], running: Mapping[str, str]) -> str:
    for name in _variables(field):
        if _lookup(os.environ, name):
            return name
    for name in _variables(field):
        if _lookup(in_file, name):
            return f".env: {name}"
    if field == "redis_url" and settings.redis_host:
        return _origin(settings, "redis_host", in_file, running)
    if field == "api_keys" and settings.api_keys_file:
        return _origin(settings, "api_keys_file", in_file, running)
    return "run.json" if running.get(field) and running[field] == getattr(settings, field) else "default"


def shown(settings: Settings, name: str) -> Any:
    """A value fit for a terminal or a log: no key, no password."""
    value = getattr(settings, name)
    if name == "api_keys":
        return ["***"] * len(value)
    if name == "kafka":
        return {key: "***" if any(word in key for word in _SECRET) else text for key, text in value.items()}
    if name in ("redis_url", "otel_endpoint") and (password := urlsplit(value).password):
        return value.replace(f":{password}@", ":***@")
    return value if isinstance(value, int | float | str | tuple | dict | None) else str(value)


def chosen(settings: Settings) -> dict[str, Any]:
    """What is not as it is by default, for the first line of a log."""
    return {name: shown(settings, name) for name, origin in origins(settings).items() if origin != "default"}


def set_by(variable: str) -> str:
    """The variable that gave a field its value, where pydantic names the field's first one: `SOBA_PORT` may be `PORT`."""
    for field in Settings.model_fields:
        names = _variables(field)
        if variable in names:
            in_file = dotenv_values(ENV_FILE) if ENV_FILE.exists() else {}
            given = (name for values in (os.environ, in_file) for name in names if _lookup(values, name))
            return next(given, variable)
    return variable


def _lookup(values: Mapping[str, str | None], name: str) -> str | None:
    """Variables are matched in any case, as pydantic-settings matches them."""
    return next((value for key, value in values.items() if key.upper() == name and value), None)


def meaningless(env_file: Path | None = ENV_FILE) -> dict[str, str]:
    """Variables that are set but have no meaning here, misspelt ones too: each with what to tell of it."""
    in_file = dotenv_values(env_file) if env_file and env_file.exists() else {}
    given = ((name, value) for values in (os.environ, in_file) for name, value in values.items() if value)
    names = [name for name, value in given if not OF_KUBERNETES.search(f"{name}={value}")]
    return {
        name: f"{name} is set{'' if os.environ.get(name) else ' in .env'} but {why}"
        for name in dict.fromkeys(names)
        if (why := _no_meaning(name))
    }


def _no_meaning(name: str) -> str:
    """Why a variable does nothing; empty where it does something, or is none of ours."""
    if name in MEANINGLESS:
        return "has no meaning here: services are reached through Kafka; remove it"
    upper, known = name.upper(), variables()  # these are matched in any case
    if not upper.startswith(PREFIX) or upper.startswith(OF_TESTS) or upper in known:
        return ""
    if name in ELSEWHERE:
        return "" if os.environ.get(name) else "it is read from the environment alone: set it there"
    # The prefix, which all have, would make any two names alike.
    ours = [one.removeprefix(PREFIX) for one in (*known, *ELSEWHERE) if one.startswith(PREFIX)]
    if near := get_close_matches(upper.removeprefix(PREFIX), ours, n=1):
        return f"has no meaning here: is it {PREFIX}{near[0]}?"
    return "has no meaning here: no setting has this name (bin/soba config shows all); remove it"


_told: set[str] = set()


def untold() -> list[str]:
    """What there is to tell of variables without a meaning that this process has not told yet."""
    found = [told for told in meaningless().values() if told not in _told]
    _told.update(found)
    return found


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read once; warns about variables that do nothing."""
    for told in untold():
        logging.getLogger("soba.settings").warning("%s", told)
    return load()
