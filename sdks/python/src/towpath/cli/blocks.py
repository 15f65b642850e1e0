"""`towpath blocks`."""

import click

from towpath.cli import listing, output
from towpath.cli.group import Noun
from towpath.cli.output import Column
from towpath.cli.session import Session, json_option, limit_option, session, watch_option


@click.group(cls=Noun, short_help="Show what is stopped.")
def command() -> None:
    """Show what is stopped; `towpath block` and `towpath unblock` change it."""


@command.command("list")
@limit_option
@json_option
@watch_option
@session
def list_(current: Session, limit: int, as_json: bool) -> None:
    """List blocks."""
    listing.page(
        current.client().blocks.list(limit=limit),
        [
            Column("what"),
            Column("name", flexible=True),
            Column("reason", flexible=True),
            Column("since"),
            Column("id"),
        ],
        lambda one: [one.what, one.name, one.reason or "–", output.ago(one.created_at), one.id],
        as_json=as_json,
        empty="Nothing is blocked. To stop something: `towpath block endpoint NAME`",
        then="To let one go: `towpath unblock WHAT NAME`",
    )
