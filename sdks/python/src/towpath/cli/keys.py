"""`towpath keys`."""

from typing import Any

import click

from towpath.cli import listing, output
from towpath.cli.group import Noun
from towpath.cli.output import Column
from towpath.cli.session import (
    Session,
    environment_option,
    json_option,
    limit_option,
    session,
)
from towpath.types import Environment, Key


@click.group(cls=Noun, short_help="Make, rotate and revoke API keys.")
def command() -> None:
    """Make, rotate and revoke API keys; a key belongs to a project and an environment."""


@command.command("list")
@click.option("--project", metavar="TEAM/NAME", help="Of this project alone.")
@limit_option
@json_option
@session
def list_(current: Session, project: str | None, limit: int, as_json: bool) -> None:
    """List keys; their text is never shown again."""
    listing.page(
        current.client().keys.list(project=project, limit=limit),
        [Column("key", flexible=True), Column("begins"), Column("used"), Column("id")],
        lambda one: [one.name, begins(one), output.ago(one.last_used_at), one.id],
        as_json=as_json,
        empty="No key yet: `towpath keys create --project TEAM/NAME --name NAME`",
        then="Another text: `towpath keys rotate ID`; away with one: `towpath keys revoke ID`",
    )


def begins(key: Key) -> str:
    """Write how a key's text begins, as a leak would show it."""
    return f"tp_{key.environment}_{key.hint or ''}…"


@command.command()
@click.option("--project", metavar="TEAM/NAME", required=True, help="Project it belongs to.")
@click.option("--name", required=True, help="What it is for.")
@environment_option("sandbox")
@click.option("--application", help="Program of the project that will use it.")
@click.option("--scope", "scopes", multiple=True, help="`invoke` or `read`; repeatable (both).")
@click.option("--endpoint", "endpoints", multiple=True, help="Only this endpoint; repeatable.")
@click.option("--operation", "operations", multiple=True, help="Only this one; repeatable.")
@click.option("--source", "sources", multiple=True, help="Only from this network; repeatable.")
@click.option(
    "--priority",
    type=click.Choice(["interactive", "default", "batch"]),
    help="How its calls stand where they wait (default).",
)
@click.option("--expires-at", metavar="TIME", help="RFC 3339, such as 2027-01-01T00:00:00Z.")
@json_option
@session
def create(
    current: Session, project: str, name: str, environment: Environment, as_json: bool, **more: Any
) -> None:
    """
    Make a key. Its text alone goes to stdout, this once.

    KEY=$(towpath keys create --project care/triage --name laptop)
    """
    made = current.client().keys.create(
        project=project,
        name=name,
        environment=environment,
        **listing.changes(**more),
    )
    reveal(made, as_json=as_json)


def reveal(made: Key, *, as_json: bool) -> None:
    """Print a new key's text."""
    if as_json:
        output.document(made.to_dict())
        return
    output.data(str(made.key))
    output.note(f"{made.name} ({made.environment}), {made.id}. Shown only now.")
    listing.applied(made)
    output.note("Next: `towpath login`, or put it into TOWPATH_API_KEY")


@command.command()
@click.argument("key")
@json_option
@session
def show(current: Session, key: str, as_json: bool) -> None:
    """Show one key, by id; never its text."""
    listing.resource(current.client().keys.get(key), as_json=as_json)


@command.command()
@click.argument("key")
@click.option("--grace", metavar="TIME", help="The former text works so long: 0s to 90d (24h).")
@json_option
@session
def rotate(current: Session, key: str, grace: str | None, as_json: bool) -> None:
    """Replace a key's text; the new one goes to stdout, this once."""
    reveal(current.client().keys.rotate(key, grace=grace), as_json=as_json)


@command.command()
@click.argument("key")
@json_option
@session
def revoke(current: Session, key: str, as_json: bool) -> None:
    """Revoke a key: it is refused from now on, everywhere."""
    current.client().keys.revoke(key)
    listing.removed(key, f"Revoked `{key}`.", as_json=as_json)
