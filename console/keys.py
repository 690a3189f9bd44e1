"""`soba keys`: the API keys of the HTTP facade."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar

import typer
from redis.exceptions import RedisError

from base.settings import load
from console import reach
from facade.context import connect
from facade.keys import SCOPES, Key, Keys, KeyTaken, Scope

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="API keys of the HTTP facade.")

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


@app.command()
def create(
    name: Annotated[str, typer.Option(help="What it is called in logs and by `revoke`.")],
    scopes: Annotated[str, typer.Option(help="Comma separated: read, write, admin.")] = "read",
    expires: Annotated[str, typer.Option(help="After 12h, 90d, 4w; or a date (RFC 3339).")] = "90d",
) -> None:
    """Make a key and print it, alone on standard output. It is not stored and cannot be shown again."""
    wanted, until = _scopes(scopes), _until(expires)
    try:
        secret = _run(lambda keys: keys.create(name, wanted, until))
    except KeyTaken:
        raise typer.BadParameter(f"a live key {name!r} exists; revoke it first", param_hint="--name") from None
    typer.echo(f"key {name!r} with {', '.join(wanted)} until {until:%Y-%m-%d %H:%M} UTC:", err=True)
    typer.echo(secret)


@app.command("list")
def list_keys(as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """Every key that was made, without its text; those of SOBA_API_KEYS are not among them."""
    keys = _run(lambda keys: keys.stored())
    given = len(load().api_keys)
    if as_json:
        print(json.dumps({"keys": [{**key.model_dump(mode="json"), "state": _state(key)} for key in keys]}))
        return
    if not keys and not given:
        print("no keys; `bin/soba keys create --name NAME` makes one")
    if given:
        print(f"{given} with the scope admin from SOBA_API_KEYS or SOBA_API_KEYS_FILE, until taken from there")
    for key in keys:
        until = f"{key.expires_at:%Y-%m-%d %H:%M}" if key.expires_at else "-"
        print(f"{key.name:24}  {','.join(key.scopes):18}  until {until}  {_state(key)}")


@app.command()
def revoke(name: Annotated[str, typer.Argument(help="The key's name.")]) -> None:
    """End a key at once."""
    if not _run(lambda keys: keys.revoke(name)):
        raise typer.BadParameter(f"no live key {name!r}", param_hint="NAME")
    print(f"revoked {name}")


def _run(work: Callable[[Keys], Awaitable[T]]) -> T:
    async def inside() -> T:
        settings = load()
        reach.redis_known(settings)
        redis = connect(settings)
        try:
            return await work(Keys(settings, redis))
        except (RedisError, OSError) as error:
            raise reach.no_redis(settings, error) from error
        finally:
            await redis.aclose()

    return asyncio.run(inside())


def _state(key: Key) -> str:
    if key.revoked_at:
        return "revoked"
    return "live" if key.is_live(datetime.now(UTC)) else "expired"


def _scopes(text: str) -> tuple[Scope, ...]:
    asked = {part.strip() for part in text.split(",") if part.strip()}
    if not asked or (unknown := asked - set(SCOPES)):
        problem = f"no scope {', '.join(sorted(unknown))}" if asked else "at least one"
        raise typer.BadParameter(f"{problem}; there are: {', '.join(SCOPES)}", param_hint="--scopes")
    return tuple(scope for scope in SCOPES if scope in asked)


def _until(text: str) -> datetime:
    now = datetime.now(UTC)
    try:
        if match := re.fullmatch(r"([0-9]{1,5})([hdw])", text):
            until = now + timedelta(**{_UNITS[match[2]]: int(match[1])})
        else:
            until = datetime.fromisoformat(text)
            until = until if until.tzinfo else until.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text!r} is neither 12h, 90d, 4w nor a date", param_hint="--expires") from None
    if until <= now:
        raise typer.BadParameter(f"{text!r} is in the past", param_hint="--expires")
    return until
