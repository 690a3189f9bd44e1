"""API keys: random, kept as sha256 only (of 256 random bits: a slow hash would add nothing), in one Redis hash.

A revoked or expired key stays in the hash: it can be listed, and revoking the last one does not open the facade.
"""

from __future__ import annotations

import ipaddress
import secrets
from datetime import UTC, datetime
from hashlib import sha256
from typing import Literal, cast, get_args

from pydantic import BaseModel
from redis.asyncio import Redis

from base.settings import Settings

STORE = "api_keys"
Scope = Literal["read", "write", "admin"]
SCOPES = cast(tuple[Scope, ...], get_args(Scope))


class Key(BaseModel):
    """What is known of a key. `admin` holds every scope."""

    name: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime | None
    """None for a key of the environment, which ends when it is taken from there."""
    revoked_at: datetime | None = None

    def is_live(self, now: datetime) -> bool:
        """Whether it opens anything at `now`."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def may(self, scope: Scope) -> bool:
        """Whether it holds `scope`."""
        return scope in self.scopes or "admin" in self.scopes


class KeyTaken(Exception):
    """A live key of this name exists."""


def digest(secret: str) -> str:
    """What is stored of a key."""
    return sha256(secret.encode()).hexdigest()


def is_loopback(host: str) -> bool:
    """Whether nobody outside this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Keys:
    """The keys of the environment, and those of Redis."""

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self._redis = redis
        self._loopback = is_loopback(settings.host)
        began = datetime.now(UTC)
        self._given = {
            digest(secret.get_secret_value()): Key(
                name=f"environment-{number}", scopes=("admin",), created_at=began, expires_at=None
            )
            for number, secret in enumerate(settings.api_keys, 1)
        }

    async def exist(self) -> bool:
        """Whether any key was ever configured."""
        return bool(self._given) or bool(await self._redis.exists(STORE))

    async def is_open(self) -> bool:
        """Whether the facade needs no keys: none was configured and only this machine can reach it."""
        return self._loopback and not await self.exist()

    async def find(self, secret: str) -> Key | None:
        """The live key with this text, or None."""
        hashed = digest(secret)
        key = self._given.get(hashed)
        if key is None and (stored := await self._redis.hget(STORE, hashed)):
            key = Key.model_validate_json(stored)
        return key if key and key.is_live(datetime.now(UTC)) else None

    async def create(self, name: str, scopes: tuple[Scope, ...], expires_at: datetime) -> str:
        """Make a key and return its text, which is not stored.

        Raises:
            KeyTaken: a live key of this name exists.
        """
        now = datetime.now(UTC)
        if any(key.name == name and key.is_live(now) for key in await self.stored()):
            raise KeyTaken(name)
        secret = "soba_" + secrets.token_urlsafe(32)
        key = Key(name=name, scopes=scopes, created_at=now, expires_at=expires_at)
        await self._redis.hset(STORE, digest(secret), key.model_dump_json())
        return secret

    async def stored(self) -> list[Key]:
        """Every key in Redis, the oldest first."""
        found = [Key.model_validate_json(value) for value in (await self._redis.hgetall(STORE)).values()]
        return sorted(found, key=lambda key: key.created_at)

    async def revoke(self, name: str) -> bool:
        """End the live keys of this name at once; False when there is none."""
        now, done = datetime.now(UTC), False
        for hashed, value in (await self._redis.hgetall(STORE)).items():
            key = Key.model_validate_json(value)
            if key.name == name and key.is_live(now):
                ended = key.model_copy(update={"revoked_at": now})
                await self._redis.hset(STORE, hashed, ended.model_dump_json())
                done = True
        return done
