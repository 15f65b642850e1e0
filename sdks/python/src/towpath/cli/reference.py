"""`python -m towpath.cli.reference`: every command of this distribution as one Markdown page."""

import sys
from collections.abc import Iterator

import click

from towpath.cli.main import COMMANDS, towpath


def pages(command: click.Command, path: str) -> Iterator[str]:
    """Write one command, then those below it."""
    ctx = click.Context(command, info_name=path, max_content_width=80)
    yield f"## `{path}`\n\n```text\n{command.get_help(ctx)}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            below = command.get_command(ctx, name)
            if below is not None and not below.hidden:
                yield from pages(below, f"{path} {name}")


def page() -> str:
    """Return the whole page."""
    root = click.Context(towpath, info_name="towpath")
    parts = [
        "# Commands\n\n`--json` prints the API's own shape, on every command that prints data.\n"
    ]
    for name in COMMANDS:
        command = towpath.get_command(root, name)
        if command is not None:
            parts += pages(command, f"towpath {name}")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(page())
