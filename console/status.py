"""`soba status`: what runs on the data folder."""

import json
import time
from typing import Annotated, Any

import psutil
import typer

from base.settings import load
from console.local import runfile

app = typer.Typer()


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """Processes with their state, memory and restarts, and the addresses. Exit code 1: not running."""
    state = snapshot()
    if as_json:
        print(json.dumps(state))
    elif not state["running"]:
        print(f"not running (data folder {state['data_dir']}); start it with bin/soba up")
    else:
        _table(state)
    if not state["running"]:
        raise typer.Exit(1)


def snapshot() -> dict[str, Any]:
    """The state of the system as one object."""
    data_dir = load().data_dir
    run = runfile.read(data_dir)
    alive = runfile.running(run.get("launcher", {}))
    processes = [_process(name, row) for name, row in run.get("processes", {}).items()]
    return {
        "running": alive,
        "data_dir": str(data_dir),
        "launcher": run.get("launcher", {}).get("pid") if alive else None,
        "uptime_seconds": round(time.time() - run["started"]) if alive else None,
        "http": run.get("http") if alive else None,
        "brokers": run.get("brokers") if alive else None,
        "redis_url": run.get("redis_url") if alive else None,
        "ports": run.get("ports", {}),
        "processes": processes,
    }


def _process(name: str, row: dict[str, Any]) -> dict[str, Any]:
    entry = {"name": name, "state": "ended", **{key: row[key] for key in ("pid", "restarts", "log")}}
    entry |= {"memory_mb": None, "uptime_seconds": None}
    if runfile.running(row):
        try:
            process = psutil.Process(row["pid"])
            paused = process.status() == psutil.STATUS_STOPPED
            entry["memory_mb"] = round(process.memory_info().rss / 1e6, 1)
        except psutil.Error:
            return entry
        entry["state"] = "paused" if paused else "running"
        entry["uptime_seconds"] = round(time.time() - row["created"])
    return entry


def _table(state: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "pid", "state", "memory MB", "up s", "restarts", box=None)
    for row in state["processes"]:
        cells = ("name", "pid", "state", "memory_mb", "uptime_seconds", "restarts")
        table.add_row(*("-" if row[cell] is None else str(row[cell]) for cell in cells))
    console = Console(soft_wrap=True)
    console.print(f"running (pid {state['launcher']}) for {state['uptime_seconds']} s", highlight=False)
    for name in ("http", "brokers", "redis_url", "data_dir"):
        console.print(f"  {name:10} {state[name]}", highlight=False)
    console.print(f"  {'logs':10} {state['data_dir']}/logs/NAME.log", highlight=False)
    console.print(table)
