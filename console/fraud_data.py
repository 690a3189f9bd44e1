"""Labelled Ethereum history from files: `eth_transactions.parquet`, `erc20_transfers.parquet`, `eth_labels.csv` in a folder.

Amounts are base units as text, prices wei, times unix seconds (UTC); a transaction between two labelled accounts stands there
once for each. They come out as moves of wallet.activity, so that training and evaluation go through what serves.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, TypeAdapter, ValidationError

from base.wording import wording
from console.local.errors import LocalError
from models.fraud.campaigns import Label
from models.fraud.replay import Told
from topics.schemas.chain import WalletMove
from topics.schemas.fields import Address, Raw, Selector, Uint64

TRANSACTIONS, TRANSFERS, LABELS = "eth_transactions.parquet", "erc20_transfers.parquet", "eth_labels.csv"
BATCH = 20_000

Mark = Annotated[str, Field(pattern=r"^0x[0-9a-f]{16}$")]
"""The first 8 bytes of a hash."""
Lower = Annotated[Address, BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)]
MaybeLower = Annotated[Lower | None, BeforeValidator(lambda value: value or None)]
Sent = Annotated[Selector, BeforeValidator(lambda value: value or "0x")]


class _Row(BaseModel):
    account: Lower
    direction: Literal["in", "out"]
    ts: Annotated[int, Field(gt=0)]
    block: Uint64
    tx_hash8: Mark
    from_: Annotated[MaybeLower, Field(alias="from")]
    to: MaybeLower

    @property
    def peer(self) -> str | None:
        """The other end."""
        return self.from_ if self.direction == "in" else self.to

    @property
    def way(self) -> Literal["in", "out", "self"]:
        """As wallet.activity says it: what a wallet sent to itself neither came nor went."""
        return "self" if self.from_ == self.to else self.direction

    @property
    def hash(self) -> str:
        """As much as there is of it."""
        return self.tx_hash8 + "0" * 48


class _Transaction(_Row):
    tx_index: Uint64
    value_wei: Raw
    gas: Uint64
    gas_used: Uint64
    gas_price_wei: Uint64
    is_error: Literal[0, 1]
    method_id: Sent

    def told(self) -> Told:
        """As a move."""
        return Told(
            self.account,
            self.ts,
            WalletMove(
                kind="transaction", direction=self.way, transaction_hash=self.hash, transaction_index=self.tx_index,
                peer=self.peer, value_wei=self.value_wei, gas_limit=self.gas, gas_used=self.gas_used,
                gas_price_wei=self.gas_price_wei, selector=self.method_id, status=1 - self.is_error,
            ),
        )  # fmt: skip


class _Transfer(_Row):
    token: Lower
    value_raw: Raw

    def told(self) -> Told:
        """As a move."""
        return Told(
            self.account,
            self.ts,
            WalletMove(
                kind="transfer", direction=self.way, transaction_hash=self.hash, peer=self.peer, token=self.token,
                amount_raw=self.value_raw,
            ),
        )  # fmt: skip


class _Label(BaseModel):
    address: Annotated[str, Field(min_length=1)]
    """Published lists hold some that are none: no history names those."""
    label: Literal["0", "1"]
    group: Annotated[str, Field(min_length=1)]


def there(folder: Path, names: Sequence[str] = (LABELS, TRANSACTIONS, TRANSFERS)) -> None:
    """Look for files of the history, before anything long begins.

    Raises:
        LocalError: one is missing.
    """
    for name in names:
        if not (folder / name).is_file():
            raise LocalError(
                f"{folder / name} is not there; --data takes a folder laid out as docs/models/fraud.md says (Training)"
            )


def read(folder: Path, say: Callable[[str], None]) -> tuple[list[Told], dict[str, Label]]:
    """The history in order of time, and the labels of its accounts.

    Raises:
        LocalError: a file is missing, or a row of it is not what it should be.
    """
    labels = labels_of(folder)
    history = history_of(folder, say)
    if unknown := next((told.account for told in history if told.account not in labels), None):
        raise LocalError(f"{folder / LABELS} does not know the account {unknown}; label every account or leave it out")
    return history, labels


def history_of(folder: Path, say: Callable[[str], None]) -> list[Told]:
    """The history in order of time.

    Raises:
        LocalError: a file is missing, or a row of it is not what it should be.
    """
    say("reading transactions")
    history = [one.told() for one in _rows(folder / TRANSACTIONS, _Transaction)]
    say("reading ERC-20 transfers")
    history += [one.told() for one in _rows(folder / TRANSFERS, _Transfer)]
    history.sort(key=lambda told: told.time)  # stable: transactions stand before the transfers of their second
    return history


def _rows(file: Path, kind: type[_Transaction] | type[_Transfer]) -> Iterator[Any]:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise LocalError(f"{file} cannot be read without pyarrow; bin/soba installs it: use that") from error
    try:
        table = parquet.ParquetFile(file)
    except (OSError, ValueError) as error:
        raise LocalError(
            f"{file} cannot be read: {error}; --data takes a folder laid out as docs/models/fraud.md says"
        ) from error
    names = [field.alias or name for name, field in kind.model_fields.items()]
    if missing := [name for name in names if name not in table.schema_arrow.names]:
        raise LocalError(f"{file} has no column {missing[0]}; it needs {', '.join(names)}")
    many: TypeAdapter[list[Any]] = TypeAdapter(list[kind])  # type: ignore[valid-type]
    place = 0
    for batch in table.iter_batches(BATCH, columns=names):
        rows = batch.to_pylist()
        try:
            yield from many.validate_python(rows)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise LocalError(
                f"{file}, row {place + int(first['loc'][0])}, {first['loc'][1]}: {wording(first).said}"
            ) from error
        place += len(rows)


def labels_of(folder: Path) -> dict[str, Label]:
    """The labels, by account.

    Raises:
        LocalError: the file is missing, or a row of it is not what it should be.
    """
    file = folder / LABELS
    try:
        with file.open(newline="") as text:
            rows = [_Label.model_validate(row) for row in csv.DictReader(text)]
    except OSError as error:
        raise LocalError(f"{file} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise LocalError(f"{file} cannot be read: {error}; give a CSV in UTF-8") from error
    except ValidationError as error:
        raise LocalError(f"{file}: {wording(error.errors(include_url=False)[0])}") from error
    return {row.address.lower(): Label(row.label == "1", row.group) for row in rows}
