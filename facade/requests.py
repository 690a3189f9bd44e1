"""Read a request: its id and trace, its JSON body, its query; and answer a read with an ETag."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Any, TypeVar, cast

from fastapi import Depends, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError, from_json, to_json
from redis.asyncio import Redis
from starlette.responses import Response

from base.wording import Wording
from facade.errors import ApiError, invalid, invalid_fields, refused, success
from tables.readers import CursorError, Page, page
from tables.registry import Index
from topics.headers import REQUEST_ID, TRACEPARENT, TRACESTATE, Headers

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")
R = TypeVar("R")

LARGEST = 1024 * 1024
"""The largest body, in bytes."""
LONGEST_WAIT_MS = 30_000
POLL_S = 0.1

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/=+-]{1,128}")
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_TRACESTATE = re.compile(r"[\x20-\x7e]{1,512}")


@dataclass(slots=True)
class Trace:
    """What names a request everywhere: in answers, logs and Kafka headers.

    The gate fills in `caller` (the key's name) and `allowance` (the RateLimit headers).
    """

    request_id: str
    traceparent: str
    given: bool
    """Whether the caller chose the id, so that it may name more than one request."""
    contexts: tuple[dict[str, str], ...] = ()
    """The caller's trace context, if it sent one."""
    span: dict[str, str] | None = None
    """The context of our own span, while requests are traced."""
    caller: str | None = None
    allowance: dict[str, str] | None = None

    @classmethod
    def of(cls, headers: dict[bytes, bytes]) -> Trace:
        """The caller's id and trace where they have the right form, else new ones."""
        request_id = headers.get(b"x-request-id", b"").decode("latin-1")
        traceparent = headers.get(b"traceparent", b"").decode("latin-1")
        given = _REQUEST_ID.fullmatch(request_id) is not None
        context = {}
        if _TRACEPARENT.fullmatch(traceparent):
            context[TRACEPARENT] = traceparent
            state = headers.get(b"tracestate", b"").decode("latin-1")
            if _TRACESTATE.fullmatch(state):
                context[TRACESTATE] = state
        return cls(
            request_id if given else uuid.uuid4().hex,
            context.get(TRACEPARENT) or f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01",
            given,
            (context,) if context else (),
        )

    @property
    def context(self) -> Headers:
        """The trace context as headers of what is produced for this request."""
        context = self.span or (self.contexts[0] if self.contexts else {TRACEPARENT: self.traceparent})
        return [(name, value.encode()) for name, value in context.items()]

    @property
    def carried(self) -> Headers:
        """What names this request in Kafka."""
        return [(REQUEST_ID, self.request_id.encode()), *self.context]

    def question_id(self, question: bytes) -> str:
        """The id of a question: never the same for two questions, and the same when a caller repeats one."""
        if not self.given:
            return self.request_id
        return f"{self.request_id}:{sha256(question).hexdigest()[:16]}"


def trace(request: Request) -> Trace:
    """The trace that the middleware made."""
    return cast(Trace, request.scope["soba.trace"])


Traced = Annotated[Trace, Depends(trace)]


class Body(BaseModel):
    """A request: camelCase as documented, snake_case accepted."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True)


def body(schema: type[M]) -> Callable[[Request], Awaitable[M]]:
    """A dependency that reads the body as `schema`, whatever the Content-Type says."""

    async def read(request: Request) -> M:
        raw = bytearray()
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > LARGEST:
                raise ApiError("too_large", f"a body holds at most {LARGEST} bytes", headers={"Connection": "close"})
        try:
            # pydantic's parser keeps integers of any size, which base units need.
            value = from_json(bytes(raw), allow_inf_nan=False)
        except ValueError as error:
            raise ApiError("malformed_json", f"the body is not JSON ({error}); send one JSON object") from None
        try:
            return schema.model_validate(value)
        except ValidationError as error:
            raise invalid_fields(error, "body") from None

    return read


def query(schema: type[M]) -> Callable[[Request], M]:
    """A dependency that reads the query as `schema`; a parameter without a value is one that was not given.

    One that does not exist is refused: a filter that is spelt wrongly would find more than was asked for.
    """
    names = [field.alias or name for name, field in schema.model_fields.items()]
    there = {*names, *schema.model_fields}

    def read(request: Request) -> M:
        if unknown := [name for name in request.query_params if name not in there]:
            one_of = f"one of: {', '.join(names)}"
            raise refused(
                [
                    Wording(name, "there is no such parameter", one_of, "unknown_parameter")
                    for name in dict.fromkeys(unknown)
                ]
            )
        try:
            return schema.model_validate({name: value for name, value in request.query_params.items() if value})
        except ValidationError as error:
            raise invalid_fields(error, "query") from None

    return read


def documented(schema: type[BaseModel], example: Any, **fields: dict[str, Any]) -> dict[str, Any]:
    """`openapi_extra` of a route whose body is `schema`; `fields` tells more of single fields than the schema asks for.

    Models within it are among the document's components (`facade.openapi`).
    """
    told = schema.model_json_schema(ref_template="#/components/schemas/{model}")
    told.pop("$defs", None)
    for name, more in fields.items():
        told["properties"][name] |= more
    content = {"schema": told, "example": example}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def parameters(schema: type[BaseModel]) -> dict[str, Any]:
    """`openapi_extra` of a route whose query is `schema`."""
    told = schema.model_json_schema()
    return {
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": name in told.get("required", ()),
                "description": field.pop("description", ""),
                "schema": _given(field),
            }
            for name, field in told["properties"].items()
        ]
    }


def _given(field: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter that is there: one that is null is simply left out."""
    options = [option for option in field.pop("anyOf", ()) if option != {"type": "null"}]
    if len(options) == 1:
        field |= options[0]
        field.pop("default", None)
    elif options:
        field["anyOf"] = options
    if "const" in field:
        field["enum"] = [field.pop("const")]
    return field


def _moment(value: object) -> datetime:
    """A time with a zone (UTC where none is told) from unix seconds or milliseconds, or RFC 3339."""
    text = str(value)
    try:
        if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
            seconds = float(text)
            return datetime.fromtimestamp(seconds / 1000 if seconds > 1e11 else seconds, UTC)
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        raise PydanticCustomError("moment", "not a time", {"expected": "RFC 3339 or unix seconds"}) from None


Moment = Annotated[datetime, BeforeValidator(_moment), Field(description="RFC 3339 or unix seconds")]


def is_since(timestamp: float | None, since: datetime | None) -> bool:
    """Whether a block's time is not before `since`; one that is unknown is not known to be recent."""
    return since is None or (timestamp is not None and timestamp >= since.timestamp())


Wait = Annotated[
    int, Field(ge=0, le=LONGEST_WAIT_MS, description=f"Milliseconds to wait for it, at most {LONGEST_WAIT_MS}")
]


class Lookup(Body):
    """The query of a lookup by identifier."""

    chain_id: Annotated[int, Field(ge=0, lt=2**63, description="1 is Ethereum")] = 1
    wait: Wait = 0


class Listing(Body):
    """The query of a list, without its filters."""

    chain_id: Annotated[int, Field(ge=0, lt=2**63, description="1 is Ethereum")] = 1
    limit: Annotated[int, Field(ge=1, le=500, description="The most items of a page")] = 50
    cursor: Annotated[str | None, Field(description="`cursor` of the page before, with the same filters")] = None


async def listed(
    redis: Redis, index: Index, key: str, schema: type[M], items: Callable[[M], list[R]], told: Listing
) -> Page[R]:
    """The page that `told` asks for, of the rows under `key`.

    Raises:
        ApiError: the cursor is not one of ours.
    """
    try:
        return await page(redis, index, key, schema, items, told.limit, told.cursor)
    except CursorError as error:
        raise invalid("cursor", str(error), "`cursor` of an earlier page, as it came") from None


async def awaited(read: Callable[[], Awaitable[T | None]], told: Lookup, missing: str) -> T:
    """What `read` finds, asked again until it is there or the wait is over.

    Raises:
        ApiError: `not_found`, with the words `missing`.
    """
    deadline = time.monotonic() + told.wait / 1000
    while (found := await read()) is None:
        if (left := deadline - time.monotonic()) <= 0:
            raise ApiError("not_found", missing)
        await asyncio.sleep(min(POLL_S, left))
    return found


def tagged(request: Request, data: Any) -> Response:
    """A read's answer with its ETag; 304 when the caller has it already."""
    etag = f'"{sha256(to_json(data)).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if etag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return success(data, headers)
