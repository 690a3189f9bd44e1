"""The docs are true: made pages equal their registries, and what prose names exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from agents.agent import Agent
from agents.app import WORKERS
from agents.runtime import CONSECUTIVE_ERRORS, ERRORS_IN_WINDOW, WINDOW
from base import metrics
from base.exits import EXIT_DEAD_LETTERS, EXIT_FAILING
from base.settings import ELSEWHERE, ROOT, variables
from console.cli import COMMANDS
from console.local.redis_server import KEEPING
from console.reference import pages
from tables.registry import TABLES
from topics.clients import LARGEST
from topics.registry import TOPICS

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "samples" / "README.md"])


OTHERS = ("consumers", "workers")
"""Readers that are no agents."""


def text(name: str) -> str:
    return (ROOT / name).read_text()


@pytest.mark.parametrize("path", sorted(pages()), ids=lambda path: path.name)
def test_made_pages_are_those_of_the_registries(path: Path) -> None:
    assert path.read_text() == pages()[path], "run bin/soba docs"


def test_the_readme_table_is_the_list_of_agents() -> None:
    rows = {}
    for line in text("README.md").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[0].startswith("`"):
            rows[cells[0].strip("`")] = [re.findall(r"`([^`]+)`", cell) for cell in cells[1:]]
    agents = {agent.name: agent for worker in WORKERS.values() for agent in worker.agents()}
    assert rows.keys() == agents.keys()
    for name, (taken, given, tables, shown) in rows.items():
        agent = agents[name]
        assert taken == [agent.topic.name]
        assert sorted(given) == sorted(topic.name for topic in TOPICS.values() if name in topic.writers)
        assert tables == [table.name for table in TABLES if name in table.writers]
        if isinstance(agent, Agent):
            assert tables == [table.name for table in agent.own]
        known = {metric._name for metric in vars(metrics).values() if hasattr(metric, "_name")}
        assert {metric.removesuffix("_total") for metric in shown} <= known


def test_topics_name_the_agents_that_read_them() -> None:
    read = {(agent.topic.name, agent.name) for worker in WORKERS.values() for agent in worker.agents()}
    assert read == {(topic.name, name) for topic in TOPICS.values() for name in topic.readers if name not in OTHERS}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_paths_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_and_settings_exist(path: Path) -> None:
    apps = {name: target for name, target, _ in COMMANDS}
    for name, sub in re.findall(r"bin/soba ([a-z]+)(?: ([a-z]+))?", path.read_text()):
        assert name in apps or name == "test", f"bin/soba {name}"
        if name in ("topics", "dlq", "keys", "labels", "models", "tables"):
            module, attribute = apps[name].split(":")
            group = typer.main.get_command(getattr(__import__(module, fromlist=[attribute]), attribute))
            assert sub in group.commands, f"bin/soba {name} {sub}"  # type: ignore[attr-defined]
    named = set(re.findall(r"\bSOBA_[A-Z_]+\b", path.read_text()))
    assert named <= {*variables(), *ELSEWHERE}


def test_every_promise_names_a_test_that_exists() -> None:
    rows = [line for line in text("docs/delivery.md").splitlines() if line.startswith("| ") and "`tests/" in line]
    assert len(rows) >= 8
    for row in rows:
        file, function = re.findall(r"`(tests/[^:`]+)::(\w+)`", row)[0]
        assert f"def {function}(" in text(file)


def test_exit_codes_and_ports_are_those_of_the_workers() -> None:
    page = text("docs/operations.md")
    assert f"| {EXIT_FAILING} |" in page
    assert f"| {EXIT_DEAD_LETTERS} |" in page
    assert f"{CONSECUTIVE_ERRORS} records in a row" in page
    assert f"{ERRORS_IN_WINDOW * 100 // WINDOW} % of the last {WINDOW:,}" in page
    for worker in WORKERS.values():
        assert re.search(rf"`{worker.name}`\s+{worker.port}", page), worker.name


def test_the_redis_of_compose_keeps_what_the_local_one_keeps() -> None:
    (command,) = re.findall(r"command: redis-server (.*)", text("docker-compose.kafka.yml"))
    words = shlex.split(command)
    assert dict(zip(words[::2], words[1::2], strict=True)) == {f"--{name}": value for name, value in KEEPING.items()}


def test_the_broker_of_compose_takes_what_clients_send() -> None:
    told = dict(re.findall(r"(\w+_BYTES): (\d+)", text("docker-compose.kafka.yml")))
    assert told == {"KAFKA_MESSAGE_MAX_BYTES": str(LARGEST), "KAFKA_REPLICA_FETCH_MAX_BYTES": str(LARGEST)}
