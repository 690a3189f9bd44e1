"""`soba status`: what runs on the data folder."""

import json
import math
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
    elif state["running"]:
        _table(state)
    else:
        _nothing(state)
    if not state["running"]:
        raise typer.Exit(1)


def snapshot() -> dict[str, Any]:
    """The state of the system as one object."""
    data_dir = load().data_dir
    run = runfile.read(data_dir)
    alive = runfile.running(run.get("launcher", {}))
    processes = [_process(name, row, alive) for name, row in run.get("processes", {}).items()]
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


def _process(name: str, row: dict[str, Any], watched: bool) -> dict[str, Any]:
    """`restarting` and `failed` are what the launcher makes of an end; `ended` is one that it has not seen yet, or never will."""
    entry = {"name": name, "state": "ended", **{key: row[key] for key in ("pid", "restarts", "log")}}
    entry |= {"memory_mb": None, "uptime_seconds": None, "reason": None, "again_in_seconds": None}
    if runfile.running(row):
        try:
            process = psutil.Process(row["pid"])
            status = process.status()
            if status == psutil.STATUS_ZOMBIE:
                return entry
            entry["memory_mb"] = round(process.memory_info().rss / 1e6, 1)
        except psutil.Error:
            return entry
        entry["state"] = "paused" if status == psutil.STATUS_STOPPED else "running"
        entry["uptime_seconds"] = round(time.time() - row["created"])
    elif watched and "ended" in row:
        entry |= {"state": "failed" if row["again_at"] is None else "restarting", "reason": row["ended"]}
        if row["again_at"] is not None:
            entry["again_in_seconds"] = max(0, math.ceil(row["again_at"] - time.time()))
    return entry


def _nothing(state: dict[str, Any]) -> None:
    print(f"not running (data folder {state['data_dir']})")
    print("  bin/soba up      starts everything")
    print("  bin/soba demo    starts everything and sends real blocks through it")
    left = [f"{row['name']} (pid {row['pid']})" for row in state["processes"] if row["state"] != "ended"]
    if left:
        print(f"  left behind by a run that was killed: {', '.join(left)}; the next start ends them")


def _advice(row: dict[str, Any]) -> str:
    """What there is to know or to do about a process that does not run; empty for one that does."""
    name = row["name"]
    if row["state"] == "failed":
        return f"{name} ended for good: {row['reason']}. When that is mended, stop bin/soba up and start it again."
    if row["state"] == "paused":
        return f"{name} is paused and does nothing: kill -CONT {row['pid']} lets it go on."
    if row["state"] == "ended":
        return f"{name} has just ended: look again in a moment; its log: {row['log']}"
    if row["state"] == "restarting":
        when = f"in {row['again_in_seconds']} s" if row["again_in_seconds"] else "as soon as what it needs answers"
        return f"{name} ended ({row['reason']}) and is started again by itself {when}; its log: {row['log']}"
    return ""


def _table(state: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "pid", "state", "memory MB", "up s", "restarts", box=None)
    for row in state["processes"]:
        cells = ("name", "pid", "state", "memory_mb", "uptime_seconds", "restarts")
        table.add_row(*("-" if row[cell] is None else str(row[cell]) for cell in cells))
    console = Console(soft_wrap=True)
    doing = "running" if state["http"] else "starting"
    lines = [f"{doing} (pid {state['launcher']}) for {state['uptime_seconds']} s"]
    for name in ("http", "brokers", "redis_url", "data_dir"):
        lines.append(f"  {name:10} {state[name] or 'not there yet'}")
    lines.append(f"  {'logs':10} {state['data_dir']}/logs/NAME.log")
    if state["http"]:
        lines.append(f"  {'health':10} {state['http']}/api/python/health")
    for line in lines:
        console.print(line, highlight=False, markup=False)
    console.print(table)
    for row in state["processes"]:
        if advice := _advice(row):
            console.print(advice, highlight=False, markup=False)
