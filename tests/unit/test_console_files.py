"""Files of labels and of addresses: one wrong line and nothing is taken, and an editor finds the lines that are named."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from base.settings import get_settings
from console import cli, compacted, label_file
from console.local.errors import LocalError

ONE, OTHER = "0x" + "1a" * 20, "0x" + "2b" * 20


@pytest.fixture(autouse=True)
def no_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    def reached(*_: Any) -> Any:
        raise AssertionError("a file with wrong lines goes nowhere")

    monkeypatch.setattr(compacted, "book", reached)
    monkeypatch.setattr(compacted, "put", reached)
    get_settings.cache_clear()


def refused(capsys: pytest.CaptureFixture[str], *argv: str | Path) -> list[str]:
    """What the command says on standard error, line by line; it must fail and say nothing else."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(one) for one in argv])
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (1, "")
    return [line.strip() for line in err.splitlines()]


def test_labels_of_a_file_with_wrong_rows_are_not_taken(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(f'address,label,note\n{ONE},1,"over\ntwo lines"\n0x12,0,\n\n{OTHER},maybe,"\n\n"\n{OTHER},0,\n')
    first, *lines = refused(capsys, "labels", "import", file)
    assert first == "soba: nothing was changed: 2 of 4 are no labels"
    assert [line.split(": ")[:2] for line in lines] == [[f"{file}, line 4", "address"], [f"{file}, line 6", "label"]]

    file = tmp_path / "labels.jsonl"
    file.write_text(f'\n{{"address": "{ONE}", "label": "fraud"}}\n\n[]\n{{\n')
    first, *lines = refused(capsys, "labels", "import", file)
    assert first == "soba: nothing was changed: 2 of 3 are no labels"
    assert [line.split(": ")[0] for line in lines] == [f"{file}, line 4", f"{file}, line 5"]


def test_addresses_of_a_file_with_wrong_lines_are_not_taken(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "addresses.txt"
    file.write_text(f"# ours\r\n{ONE} # no line\u2028ends\x0chere\r\n\r\nhello\r\n{OTHER}\r\n")
    for command in ("add", "remove"):
        first, *lines = refused(capsys, "lists", command, "mine", "--file", file)
        assert first == "soba: nothing was changed: 1 of 3 is no address"
        assert lines == [f"{file}, line 4: 'hello' is no address; give 0x and 40 hex digits"]


@pytest.mark.parametrize("argv", [("labels", "import"), ("lists", "add", "mine", "--file")])
def test_of_many_wrong_lines_the_first_are_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, argv: tuple[str, ...]
) -> None:
    file = tmp_path / "many.csv"
    file.write_text("address,label\n" + "hello,1\n" * 30)
    lines = refused(capsys, *argv, file)
    assert len(lines) == 22 and lines[-1].startswith("and 1") and lines[-1].endswith(" more")


def test_a_byte_order_mark_is_no_part_of_a_name_and_a_wrong_checksum_is_a_fault(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    good, wrong = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1Beaed"
    file.write_text(f"\ufeffaddress,label\n{good},1\n{wrong},1\n")
    found, bad = label_file.read(file, "desk", datetime.now(UTC))
    assert [one.address for one in found] == [good.lower()]
    assert bad == [(3, f"{wrong} fails its EIP-55 checksum; give it as a wallet shows it, or in lower case")]


def test_of_two_rows_that_contradict_each_other_neither_is_taken_for_the_truth(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(
        f"address,label,labelled_at\n{ONE},1,\n{ONE},ordinary,\n{ONE},ordinary,2024-05-01T00:00:00Z\n{OTHER},1,\n{OTHER},1,\n"
    )
    found, bad = label_file.read(file, "desk", datetime.now(UTC))
    assert [(one.address, one.label) for one in found] == [
        (ONE, "fraud"), (ONE, "ordinary"), (OTHER, "fraud"), (OTHER, "fraud"),
    ]  # fmt: skip
    assert bad == [(3, f"{ONE} is ordinary here and fraud in line 2; keep one")]


@pytest.mark.parametrize(("sign", "called"), [(";", "semicolons"), ("\t", "tabs")])
def test_a_table_without_commas_is_told_what_it_has_in_their_place(tmp_path: Path, sign: str, called: str) -> None:
    file = tmp_path / "labels.csv"
    for header in ("label,n_tx,address", '\ufeff"address","label"'):
        file.write_text(f"{header},note\n{ONE},1,a\n".replace(",", sign))
        with pytest.raises(
            LocalError, match=f"labels.csv has {called} between its columns; give commas: save it anew as CSV"
        ):
            label_file.read(file, "desk", datetime.now(UTC))
    file.write_text(f"address,label,a{sign}b\n{ONE},1,{sign}\n")
    assert label_file.read(file, "desk", datetime.now(UTC))[1] == []
    file.write_text(f"wallet{sign}verdict\n")
    with pytest.raises(LocalError, match="has no column address and none label"):
        label_file.read(file, "desk", datetime.now(UTC))


def test_one_wrong_line_is_told_in_the_singular(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("address,label\n0x12,1\n")
    assert refused(capsys, "labels", "import", file)[0] == "soba: nothing was changed: what was given is no label"
    assert (
        refused(capsys, "lists", "add", "mine", "0x12")[0] == "soba: nothing was changed: what was given is no address"
    )
    file.write_text(f"address,label\n{ONE},1\n0x12,1\n")
    assert refused(capsys, "labels", "import", file)[0] == "soba: nothing was changed: 1 of 2 is no label"
    file.write_text("0x12\n0x13\n")
    first = refused(capsys, "lists", "add", "mine", "--file", file)[0]
    assert first == "soba: nothing was changed: 2 of 2 are no addresses"


def test_a_file_in_another_encoding_is_told_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(f"address,label\n{ONE},1\n", encoding="utf-16")
    with pytest.raises(LocalError, match="it is no UTF-8 text; save it as UTF-8"):
        label_file.read(file, "desk", datetime.now(UTC))


def test_rows_are_read_whatever_columns_they_have(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(f"address,label,n_tx,group\n{ONE},1,7,g,more\n{OTHER.upper()},ordinary\n")
    found, bad = label_file.read(file, "desk", datetime.now(UTC))
    assert [(one.address, one.label, one.group) for one in found] == [(ONE, "fraud", "g"), (OTHER, "ordinary", None)]
    assert bad == []
