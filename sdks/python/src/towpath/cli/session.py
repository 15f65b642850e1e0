"""What one run of the command line works with, and the options that all commands share."""

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import click

from towpath.auth import Credentials, config_path, read_profiles, resolve
from towpath.cli import output
from towpath.errors import PermissionDeniedError, TowpathError
from towpath.generated.client import Towpath

# The profile that the first start saves the admin's key under.
ADMIN = "admin"

# Often enough to see something happen, seldom enough to cost nothing.
WATCH_S = 2.0

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Session:
    """Where to call and as whom, and the clock; tests put their own in."""

    profile: str | None = None
    address: str | None = None
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.monotonic
    clients: list[Towpath] = field(default_factory=list)

    def credentials(self, *, keyless: bool = False) -> Credentials:
        """Find address and key."""
        return resolve(profile=self.profile, address=self.address, api_key="" if keyless else None)

    def client(self, *, keyless: bool = False, **options: Any) -> Towpath:
        """Return a client; all of them are closed at the end of the run."""
        made = Towpath(
            profile=self.profile,
            address=self.address,
            api_key="" if keyless else None,
            **options,
        )
        self.clients.append(made)
        return made

    def other_profile(self, error: TowpathError) -> str | None:
        """Name the admin's profile when this one may not, and there is one."""
        if not isinstance(error, PermissionDeniedError) or self.profile == ADMIN:
            return None
        if ADMIN not in read_profiles(config_path()):
            return None
        return f"with the admin's key: `towpath --profile {ADMIN} …`"

    @contextmanager
    def closing(self) -> Iterator["Session"]:
        """Close what was opened."""
        try:
            yield self
        finally:
            for client in self.clients:
                client.close()


def json_option(function: F) -> F:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print the API's own shape.")(
        function
    )


def watch_option(function: F) -> F:
    """
    Add `--watch`: the command is run again and again until it is interrupted.

    It stands above `@session`. On a terminal each turn takes the place of the one before; elsewhere
    they follow each other.
    """

    @click.option("--watch", is_flag=True, help="Show it again every 2 s; Ctrl-C ends.")
    @click.pass_obj
    @functools.wraps(function)
    def watched(current: Session, *arguments: Any, watch: bool, **named: Any) -> Any:
        while True:
            if watch:
                output.clear()
            result = function(*arguments, **named)
            if not watch:
                return result
            current.sleep(WATCH_S)

    return cast("F", watched)


def limit_option(function: F) -> F:
    """Add `--limit`."""
    return click.option(
        "--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="Most rows."
    )(function)


def environment_option(default: str | None) -> Callable[[F], F]:
    """Add `--environment`."""
    return click.option(
        "--environment",
        "--to",
        type=click.Choice(["sandbox", "staging", "production"]),
        default=default,
        show_default=default is not None,
        help="Environment.",
    )


session = click.make_pass_decorator(Session)
