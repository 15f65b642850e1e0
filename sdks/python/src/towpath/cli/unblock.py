"""`towpath unblock`."""

import click

from towpath.cli import listing, output
from towpath.cli.block import WHAT
from towpath.cli.session import Session, environment_option, json_option, session


@click.command(short_help="Let go what was blocked.")
@click.argument("what", type=WHAT)
@click.argument("name")
@environment_option(None)
@json_option
@session
def command(
    current: Session, *, what: str, name: str, environment: str | None, as_json: bool
) -> int:
    """Let go an endpoint, provider, key or model that was blocked."""
    client = current.client()
    given = listing.changes(**{what: name}, environment=environment)
    found = client.blocks.list(**given).first()
    if not found.items:
        output.error(f"the {what} `{name}` is not blocked", fix="what is: `towpath blocks`")
        return 1
    for block in found.items:
        client.blocks.delete(block.id)
    listing.removed(found.items[0].id, f"Let go {what} `{name}`.", as_json=as_json)
    return 0
