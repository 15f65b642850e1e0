"""`towpath connections`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from towpath.cli import listing
from towpath.cli.group import Misuse, Noun
from towpath.cli.output import Column
from towpath.cli.providers import read_credential
from towpath.cli.session import Session, json_option, limit_option, session


def _reached(credential: str) -> Callable[[Any], Any]:
    """Add the options that say how a place is reached."""
    options = (
        click.option(
            "--endpoint", metavar="URL", help="Of the S3 server, or of a mirror of the Hub."
        ),
        click.option("--region", help="Of S3."),
        click.option("--username", help="Access key id of S3, user of a registry."),
        click.option("--credential-stdin", is_flag=True, help=credential),
        click.option(
            "--ca",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help="Certificates (PEM) that are trusted there.",
        ),
    )

    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def _fields(*, credential_stdin: bool, ca: Path | None, **more: str | None) -> dict[str, Any]:
    """Read what was given, as the API has it."""
    return listing.changes(
        credential=read_credential() if credential_stdin else None,
        ca_pem=ca.read_text("utf-8") if ca else None,
        **more,
    )


@click.group(cls=Noun, short_help="Show and change how models outside are reached.")
def command() -> None:
    """Show and change connections: where models outside are, and as whom they are read."""


@command.command("list")
@limit_option
@json_option
@session
def list_(current: Session, limit: int, as_json: bool) -> None:
    """List the organisation's connections and those of your teams."""
    listing.page(
        current.client().connections.list(limit=limit),
        [
            Column("connection"),
            Column("team"),
            Column("for", flexible=True),
            Column("endpoint", flexible=True),
            Column("credential"),
        ],
        lambda one: [
            one.name,
            one.team or "everybody",
            one.location,
            one.endpoint or "–",
            "sealed" if one.has_credential else "none",
        ],
        as_json=as_json,
        empty="No connection yet: `towpath connections create --help`",
        then="Bring a model: `towpath models import URI --project TEAM/PROJECT`",
    )


@command.command()
@click.argument("connection")
@json_option
@session
def show(current: Session, connection: str, as_json: bool) -> None:
    """Show one connection."""
    listing.resource(current.client().connections.get(connection), as_json=as_json)


@command.command()
@click.argument("name")
@click.option(
    "--location",
    required=True,
    metavar="URI",
    help="What it is for: hf://acme/, s3://bucket/team-a/, oci://ghcr.io/acme/.",
)
@click.option("--team", help="Whose it is; the organisation's otherwise.")
@_reached("Read key, token or password from stdin.")
@json_option
@session
def create(
    current: Session,
    *,
    name: str,
    location: str,
    credential_stdin: bool,
    ca: Path | None,
    as_json: bool,
    **more: str | None,
) -> None:
    """Add a connection. Its credential is sealed, and never shown or logged."""
    fields = _fields(credential_stdin=credential_stdin, ca=ca, **more)
    made = current.client().connections.create(name=name, location=location, **fields)
    then = f"Next: `towpath models import {made.location}… --project TEAM/PROJECT`"
    listing.resource(made, as_json=as_json, then=then)


@command.command()
@click.argument("connection")
@click.option("--location", metavar="URI", help="What it is for.")
@_reached("Replace its credential; from stdin.")
@json_option
@session
def update(
    current: Session,
    *,
    connection: str,
    credential_stdin: bool,
    ca: Path | None,
    as_json: bool,
    **more: str | None,
) -> None:
    """Change a connection, or rotate its credential."""
    fields = _fields(credential_stdin=credential_stdin, ca=ca, **more)
    if not fields:
        raise Misuse(
            "nothing to change", fix=f"`towpath connections update {connection} --credential-stdin`"
        )
    changed = current.client().connections.update(connection, **fields)
    listing.resource(changed, as_json=as_json)


@command.command()
@click.argument("connection")
@json_option
@session
def delete(current: Session, connection: str, as_json: bool) -> None:
    """Delete a connection; what was fetched by it stays."""
    current.client().connections.delete(connection)
    listing.removed(connection, f"Deleted `{connection}`.", as_json=as_json)
