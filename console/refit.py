"""What a fraud model is trained on, and how it is compared with the one that serves: files, topics, or both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from console import champion, fraud_data, fraud_topics
from console.local.errors import LocalError
from models.fraud.campaigns import Label
from models.fraud.replay import Told
from models.releases import Model
from topics.schemas.models import Release

Source = Literal["data", "topic", "both"]
Say = Callable[[str], None]


def sources(data: Path | None, labels: Source | None, history: Source | None) -> tuple[Source, Source]:
    """Where labels and moves are from, said or by default.

    Raises:
        LocalError: files are asked for without a folder, or are not in it.
    """
    told: tuple[Source, Source] = labels or ("data" if data else "topic"), history or ("data" if data else "topic")
    files = [fraud_data.LABELS] if told[0] != "topic" else []
    files += [fraud_data.TRANSACTIONS, fraud_data.TRANSFERS] if told[1] != "topic" else []
    if files:
        fraud_data.there(_folder(data), files)
    return told


def gather(data: Path | None, labels: Source, history: Source, say: Say) -> tuple[list[Told], dict[str, Label]]:
    """History in order of time, and the labels of its accounts; what nobody labels is left out.

    Raises:
        LocalError: files are asked for without a folder, or cannot be used; or no Kafka answers.
    """
    known = _labels(data, labels)
    told = (
        [one for one in fraud_data.history_of(_folder(data), say) if one.account in known] if history != "topic" else []
    )
    if history != "data":
        say("reading wallet.activity")
        ended = told[-1].time if told else -1
        told += [one for one in fraud_topics.history_of(known) if one.time > ended]
    say(f"{len(told):,} moves of {len({one.account for one in told}):,} labelled accounts")
    return told, known


def _labels(data: Path | None, source: Source) -> dict[str, Label]:
    found: dict[str, Label | None] = {}
    if source != "topic":
        found |= fraud_data.labels_of(_folder(data))
    if source != "data":
        for account, label in fraud_topics.labels_of().items():
            before = found.get(account)
            if label is not None and before is not None and label.group == account:
                # It names no campaign: out of its own one it would be on the other side of a split.
                label = label._replace(group=before.group)
            found[account] = label
    return {account: label for account, label in found.items() if label is not None}


def _folder(data: Path | None) -> Path:
    if data is None:
        raise LocalError(
            "files are asked for, but no folder is named; give --data DIR, or take labels and history from topics"
        )
    return data


def beside(
    release: Release, serves: Model, folders: Sequence[Path], history: Sequence[Told], labels: Mapping[str, Label]
) -> Release:
    """The release, telling how good the model that serves is on its data, unless that was measured on the same."""
    if release.manifest.data_hash == serves.manifest.data_hash:
        return release
    told = {serves.manifest.version: champion.figures(serves, folders, history, labels)}
    return Release(release.manifest.model_copy(update={"beside": told}), release.artefact)
