"""What limits and budgets are of: the options that name it, the same for both."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from towpath.cli.session import environment_option

F = TypeVar("F", bound=Callable[..., Any])


def subject_options(function: F) -> F:
    """Add `--key`, `--project`, `--team`, `--endpoint` and `--environment`."""
    for add in (
        environment_option(None),
        click.option("--endpoint", metavar="NAME", help="Calls to this endpoint."),
        click.option("--team", metavar="NAME", help="Calls by this team."),
        click.option("--project", metavar="TEAM/NAME", help="Calls by this project."),
        click.option("--key", metavar="ID", help="Calls with this key."),
    ):
        function = add(function)
    return function
