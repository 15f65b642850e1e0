"""Commands that other distributions add; a module of its own, since looking for them takes time."""

from importlib.metadata import entry_points
from typing import Any

import click

# A callable that takes the arguments and returns an exit code; it reads its own options.
ENTRY_POINTS = "towpath.commands"


def installed() -> list[str]:
    """Return the names of commands that other distributions add."""
    return sorted(point.name for point in entry_points(group=ENTRY_POINTS))


def find(name: str) -> click.Command | None:
    """Wrap a command that another distribution adds."""
    for point in entry_points(group=ENTRY_POINTS, name=name):

        def run(arguments: tuple[str, ...], point: Any = point) -> int:
            return int(point.load()(list(arguments)) or 0)

        return click.Command(
            name,
            callback=run,
            params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
            context_settings={"ignore_unknown_options": True, "help_option_names": []},
        )
    return None
