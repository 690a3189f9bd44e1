"""The `soba` command: one row a command, imported when it is called."""

import importlib
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

# (name, "module:attribute" of its Typer app, one line for --help)
COMMANDS: list[tuple[str, str, str]] = [
    ("demo", "console.demo:app", "Start everything and watch real blocks go through it."),
    ("up", "console.up:app", "Start everything: Kafka, Redis, workers, HTTP. Ctrl-C stops it."),
    ("worker", "console.services:worker", "Run one worker in this process."),
    ("serve", "console.services:serve", "Run the HTTP facade in this process."),
    ("topics", "console.topics:app", "List, create and check the topics; follow one."),
    ("ingest", "console.ingest:app", "Take blocks in, from nodes or files."),
    ("produce", "console.produce:app", "Send JSON lines to a topic."),
    ("consume", "console.consume:app", "Read a topic's records."),
    ("dlq", "console.dlq:app", "What the pipeline refused and why; send it again, or drop it."),
    ("tables", "console.tables:app", "Make the Redis tables anew from the topics."),
    ("models", "console.models:app", "Trained models: which serve, release one, roll one back."),
    ("lists", "console.lists:app", "Lists of addresses: add some, take them off, show them."),
    ("labels", "console.labels:app", "What is known of wallets: add, import, show, remove."),
    ("status", "console.status:app", "What runs, where, and how it is."),
    ("doctor", "console.doctor:app", "Check this machine and the servers; says what to do."),
    ("config", "console.config:app", "Each setting with its value and where it comes from."),
    ("fetch", "console.fetch:app", "Fetch what the local servers need, for a start without a network."),
    ("fuzz", "console.fuzz:app", "Hostile input against validate: all of it must be accounted for."),
    ("bench", "console.bench:app", "Measure, and say whether the figures pass."),
    ("chaos", "console.chaos:app", "Kill and pause everything under load; say whether anything was lost."),
    ("evaluate", "console.evaluate:app", "Score the models on labelled data."),
    ("mev", "console.mev:app", "What MEV there is in a block file."),
    ("train", "console.train:app", "Make a model from labelled data."),
    ("keys", "console.keys:app", "API keys of the HTTP facade: create, list, revoke."),
    ("docs", "console.reference:app", "Write the pages of docs/ that are made from the registries."),
]
_BY_NAME = {name: target for name, target, _ in COMMANDS}


def untype_flags(command: Any, ctx: Any) -> None:
    """Have --help show no type for flags, here and below: `<bool>` looks as if they took a value."""
    for one in command.get_params(ctx):
        if getattr(one, "is_flag", False):
            one.metavar = ""
    for below in getattr(command, "commands", {}).values():
        untype_flags(below, ctx)


class LazyGroup(TyperGroup):
    """A group whose commands are modules: --help reads the list above and imports none of them."""

    def __init__(self, **attrs: Any) -> None:
        attrs["commands"] = {name: TyperCommand(name, help=text, short_help=text) for name, _, text in COMMANDS}
        super().__init__(**attrs)

    # Typer's contexts come from a private copy of click, which has no public names: hence Any.
    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        if args and (target := _BY_NAME.get(args[0])):
            module, attribute = target.split(":")
            command = typer.main.get_command(getattr(importlib.import_module(module), attribute))
            command.help = command.help or self.commands[args[0]].help
            # Those are the root's; below it they only hide the options that matter.
            command.params = [
                one for one in command.params if one.name not in ("install_completion", "show_completion")
            ]
            untype_flags(command, ctx)
            return args[0], command, args[1:]
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        untype_flags(self, ctx)
        super().format_help(ctx, formatter)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            # Typer tells of a wrong option in pydantic's words.
            told: Any = error
            if hasattr(told, "message") and hasattr(told.__cause__, "errors"):
                from base.wording import wording

                told.message = wording(told.__cause__.errors()[0]).said
            raise


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    name="soba",
    epilog="In a checkout, `bin/soba test` runs lint, types and all tests; `bin/soba test PATH` those tests alone.",
)


def _version(asked: bool) -> None:
    """`soba 0.1.0 (commit 1a2b3c4)`; a `+` behind the commit when files differ from it."""
    if not asked:
        return
    from base.settings import ROOT
    from base.version import version
    from console.figures import commit

    # An installed package may lie inside the checkout of something else.
    print(f"soba {version()}" + (f" (commit {commit()})" if (ROOT / ".git").exists() else ""))
    raise typer.Exit


@app.callback()
def _soba(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Soba: blocks in, findings and answers out."""


def main(argv: list[str] | None = None) -> None:
    """Run the command; what a user can act on is printed without a stack trace."""
    try:
        app(args=argv, prog_name="soba")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        if not (text := explain(error)):
            raise
        print(f"soba: {text}", file=sys.stderr)
        sys.exit(1)


def explain(error: Exception) -> str:
    """The message for an error that is the user's to solve; empty for one that is ours."""
    kind: Any = type(error)
    if kind.__module__.startswith("console.local"):
        return str(error).replace("\n", "\n      ")
    if kind.__name__ == "KafkaException":
        return f"Kafka failed: {error.args[0].str()}\n      bin/soba doctor says whether it answers"
    if kind.__module__.startswith("redis."):
        return f"Redis failed: {error}\n      bin/soba doctor says whether it answers"
    if kind.__name__ == "ValidationError" and getattr(error, "title", "") == "Settings":
        last = "set it anew in the environment or in .env, or unset it: then its default holds"
        return "\n      ".join(["a setting is not valid:", *_wrong_settings(error), last])
    return ""


_SECRET = ("KAFKA", "API_KEYS", "REDIS_URL")
"""Ends of variables whose values a message must not show."""


def _wrong_settings(error: Any) -> Iterator[str]:
    """A line for each variable: what is wrong with it and what to give."""
    from base.settings import set_by
    from base.wording import wording

    for row in error.errors():
        first, *path = row["loc"] or ("",)
        if first.endswith(_SECRET):
            del row["input"]
        yield str(wording({**row, "loc": (set_by(first), *path) if first else ()}))
