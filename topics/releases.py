"""A release on the wire: its manifest as one line of JSON, then the artefact as it is.

Not base64 within JSON: 12 MiB of it fill a record of 16 MiB to the last byte, and a text model could no longer be read or compared
by a person. A release file, the shipped models and the values of model.releases are all these same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError

from base.wording import wording
from topics.headers import CONTENT_TYPE, RESULT, Header, Headers, cloud_event, get
from topics.schemas.models import ARTEFACT_BYTES, MANIFEST_BYTES, Manifest, Release

CONTENT = b"application/vnd.soba.release"
REPLACES, REASON, COMPARED = "release.replaces", "release.reason", "release.compared"
HEADERS = (
    *RESULT[:4],
    Header(CONTENT_TYPE, f"{CONTENT.decode()}.", always=True),
    Header(REPLACES, "The version that it took the place of."),
    Header(COMPARED, "How it compared with that one, in words."),
    Header(REASON, "Why it was released all the same, or what it was rolled back for."),
)
AT = "@"
"""Between name and version in the key of an earlier release: `fraud@2024-06-01`."""


class NotARelease(ValueError):
    """Bytes that are not a manifest and an artefact."""


def pack(release: Release) -> bytes:
    """A release as the value of a record, or the content of a file.

    Raises:
        NotARelease: it is larger than a release may be.
    """
    line = release.manifest.model_dump_json().encode()
    _check_sizes(len(line), len(release.artefact))
    return line + b"\n" + release.artefact


def unpack(value: bytes) -> Release:
    """The release that `pack` made `value` of. Whether artefact and manifest agree is `models.releases`'s to say.

    Raises:
        NotARelease: it is none.
    """
    end = value.find(b"\n", 0, MANIFEST_BYTES + 1)
    if end < 0:
        raise NotARelease("it has no manifest; give one line of JSON, and the artefact's bytes from the next line on")
    try:
        manifest = Manifest.model_validate_json(value[:end])
    except ValidationError as error:
        raise NotARelease(f"its manifest: {wording(error.errors(include_url=False)[0])}") from error
    artefact = value[end + 1 :]
    _check_sizes(end, len(artefact))
    return Release(manifest, artefact)


def _check_sizes(manifest: int, artefact: int) -> None:
    if manifest > MANIFEST_BYTES:
        raise NotARelease(f"its manifest has {manifest:,} bytes; give at most {MANIFEST_BYTES:,}")
    if not 0 < artefact <= ARTEFACT_BYTES:
        raise NotARelease(f"its artefact has {artefact:,} bytes; give 1 to {ARTEFACT_BYTES:,}")


@dataclass(frozen=True, slots=True)
class Act:
    """The circumstances of a release: they stand in its record's headers, as its bytes are those of the file."""

    replaces: str
    """The version that it took the place of: where `rollback` goes back to."""
    compared: str = ""
    """How it compared with that one, in words."""
    reason: str = ""
    """Why it was released all the same, or what it was rolled back for; an operator's words."""

    def headers(self, id: str) -> Headers:
        """The headers of the record of the model `id`."""
        event = [row for row in cloud_event(id, "soba models", "soba.model.release") if row[0] != CONTENT_TYPE]
        told = ((REPLACES, self.replaces), (COMPARED, self.compared), (REASON, self.reason))
        return [*event, (CONTENT_TYPE, CONTENT), *((name, text.encode()) for name, text in told if text)]

    @classmethod
    def of(cls, headers: Headers) -> Act:
        """What a record's headers say; all of it is empty where others wrote the record."""
        return cls(*((get(headers, name) or b"").decode(errors="replace") for name in (REPLACES, COMPARED, REASON)))


def moment(at_ms: int) -> datetime:
    """A record's time."""
    return datetime.fromtimestamp(max(at_ms, 0) / 1000, UTC)
