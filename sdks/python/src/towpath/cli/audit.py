"""`towpath audit`."""

import click

from towpath.cli import listing, output
from towpath.cli.group import Noun
from towpath.cli.output import Column
from towpath.cli.session import Session, json_option, limit_option, session
from towpath.types import AuditEvent


@click.group(cls=Noun, short_help="Show who changed what.")
def command() -> None:
    """Show who changed what, refused attempts included."""


@command.command("list")
@click.option("--noun", help="Kind of thing, such as `key`.")
@click.option("--id", "id_", help="One thing alone.")
@click.option("--principal", help="Id of who acted.")
@click.option("--since", metavar="TIME", help="RFC 3339.")
@limit_option
@json_option
@session
def list_(
    current: Session, limit: int, as_json: bool, id_: str | None, **filters: str | None
) -> None:
    """List events, newest first."""
    listing.page(
        current.client().audit.list(limit=limit, id=id_, **filters),
        [
            Column("when"),
            Column("who", flexible=True),
            Column("did"),
            Column("to", flexible=True),
            Column("outcome"),
        ],
        row,
        as_json=as_json,
        empty="No event.",
        then="What changed in each: `towpath audit --json`",
    )


def row(event: AuditEvent) -> list[str]:
    """Write one event."""
    outcome = event.outcome if not event.code else f"{event.outcome}: {event.code}"
    return [
        output.ago(event.time),
        event.principal.name,
        event.action,
        event.resource_id or "–",
        outcome,
    ]
