"""`soba evaluate mev`: figures, raw output, and what it says of misses and extras."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from base.settings import ROOT
from console.evaluate import Score, app
from ingest.files import read_blocks
from models.mev import detect

BLOCK = ROOT / "samples" / "blocks" / "ethereum-12775690"


def copy_of_block(to: Path, **expected: object) -> Path:
    folder = to / "12775690"
    shutil.copytree(BLOCK, folder)
    if expected:
        (folder / "expected.json").write_text(json.dumps(expected))
    return to


def test_figures_as_json_and_findings_as_lines(tmp_path: Path) -> None:
    out = tmp_path / "findings.jsonl"
    done = CliRunner().invoke(app, ["mev", "--data", str(copy_of_block(tmp_path)), "--out", str(out), "--json"])
    rows = {row["name"]: row for row in json.loads(done.output.splitlines()[-1])["rows"]}
    # How fast it is belongs to the machine and what else it does; all other figures must pass.
    failing = [name for name, row in rows.items() if not row["ok"]]
    assert done.exit_code == bool(failing) and not {*failing} - {name for name in rows if name.startswith("decode")}
    assert rows["sandwich pairs found"]["value"] == 1 and rows["sandwich pairs found"]["pass"] == "= 1"
    assert rows["victims, mean Jaccard"]["value"] == 1 and rows["sandwiches without a label"]["value"] == 0
    (line,) = map(json.loads, out.read_text().splitlines())
    assert (line["block"], line["kind"], line["protocols"]) == (12775690, "sandwich", ["shibaswap"])
    assert line["front"] == ["0x91a3abe5f3b806426542252820ba0ab6d56c098fdef6864ecaf4d352f64217a0"]
    assert len(line["victims"]) == 4 and len(line["back"]) == len(line["pools"]) == 1
    assert line["profit"] == [{"token": "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2", "amount": "49991481915322274"}]


def test_misses_and_extras_are_named_and_fail(tmp_path: Path) -> None:
    wrong = {"frontrun_tx": "0x" + "AA" * 32, "backrun_tx": "0x" + "bb" * 32, "victim_txs": []}
    done = CliRunner().invoke(app, ["mev", "--data", str(copy_of_block(tmp_path, sandwiches=[wrong]))])
    assert done.exit_code == 1
    assert f"missed  block 12775690: 0x{'aa' * 32} 0x{'bb' * 32}" in done.output
    assert "extra   block 12775690: front 0x91a3abe5" in done.output


def test_a_folder_without_blocks_says_what_is_wanted(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["mev", "--data", str(tmp_path)])
    assert done.exit_code == 2 and "no block here" in done.output


def test_victims_count_by_overlap_and_unlabelled_blocks_only_by_time() -> None:
    (decoded,) = read_blocks(BLOCK)
    findings, score = detect(decoded.block), Score()
    victims = [*findings[0].victims[:3], "0xnone"]
    pair = {"frontrun_tx": findings[0].back[0], "backrun_tx": findings[0].front[0], "victim_txs": victims}
    score.add(1, findings, {"sandwiches": [pair]})
    score.add(2, findings, None)
    assert (score.found, score.labelled, score.blocks, score.extras) == (1, 1, 2, [])
    assert score.jaccards == [pytest.approx(3 / 5)]
