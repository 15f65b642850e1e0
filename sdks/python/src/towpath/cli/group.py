"""How commands are found: lazily, with the nearest name when one is wrong, `list` by default."""

import difflib
import importlib
from collections.abc import Mapping
from typing import Any

import click


class Commands(click.Group):
    """A group that knows the nearest name."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say what it may have been."""
        name = args[0]
        if self.get_command(ctx, name) is None:
            near = difflib.get_close_matches(name, self.list_commands(ctx), 1, 0.6)
            hint = f"did you mean `{near[0]}`?  all: " if near else ""
            raise Misuse(
                f"no command `{ctx.command_path} {name}`", fix=f"{hint}`{ctx.command_path} --help`"
            )
        return super().resolve_command(ctx, args)


class Misuse(click.UsageError):
    """A command that was typed wrong, with what to type instead."""

    def __init__(self, message: str, *, fix: str) -> None:
        super().__init__(message)
        self.fix = fix


class Noun(Commands):
    """A noun; without a verb, or with options alone, it lists."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `list` where no verb is."""
        if "list" in self.commands and (
            not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        ):
            args = ["list", *args]
        return super().parse_args(ctx, args)


class Lazy(Commands):
    """The root: a table of names and one-line helps, whose modules load when they are called."""

    def __init__(self, *, table: Mapping[str, tuple[str, str]], **attributes: Any) -> None:
        super().__init__(**attributes)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's
        """Return all names: ours in their order, then those that are installed beside."""
        return [*self.table, *plugins().installed()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Load one command."""
        if cmd_name in self.table:
            module = importlib.import_module(f"towpath.cli.{self.table[cmd_name][0]}")
            command: click.Command = module.command
            return command
        found: click.Command | None = plugins().find(cmd_name)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which distribution has it."""
        if args[0] in _SERVER_HELP and args[0] not in plugins().installed():
            raise Misuse(
                f"`towpath {args[0]}` is a command of the server, which is not installed here",
                fix="`pip install towpath-server`, or `make up` in a clone of the repository",
            )
        return super().resolve_command(ctx, args)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002  click's
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the one-line helps from the table, without loading anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.table.items()])
        others = plugins().installed()
        if others:
            with formatter.section("On this machine"):
                formatter.write_dl([(name, _SERVER_HELP.get(name, "")) for name in others])


_SERVER_HELP = {
    "up": "Run the platform in the foreground.",
    "upgrade": "Replace what `towpath up` runs by this build.",
}


def plugins() -> Any:
    """Load what looks for the commands of other distributions."""
    return importlib.import_module("towpath.cli.plugins")
