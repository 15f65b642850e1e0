"""`towpath block`."""

import click

from towpath.cli import listing, output
from towpath.cli.session import Session, environment_option, json_option, session

WHAT = click.Choice(["endpoint", "provider", "key", "model"])


@click.command(short_help="Stop an endpoint, provider, key or model at once.")
@click.argument("what", type=WHAT)
@click.argument("name")
@environment_option(None)
@click.option("--reason", help="For those who are refused.")
@json_option
@session
def command(
    current: Session,
    *,
    what: str,
    name: str,
    environment: str | None,
    reason: str | None,
    as_json: bool,
) -> None:
    """Stop something at once, on every gateway; a key is named by its id."""
    given = listing.changes(**{what: name}, environment=environment, reason=reason)
    made = current.client().blocks.create(**given)
    if as_json:
        output.document(made.to_dict())
        return
    output.note(f"Blocked {what} `{made.name}`.")
    listing.applied(made)
    output.note(f"To let it go: `towpath unblock {what} {name}`")
