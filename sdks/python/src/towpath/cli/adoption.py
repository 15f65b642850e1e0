"""`towpath adoption`."""

import click

from towpath.cli import output
from towpath.cli.output import Column
from towpath.cli.session import Session, json_option, session

# Reasons by which a program tells them apart, in the words of a sentence.
REASONS = {
    "deployed_by_platform": "the platform team deployed it",
    "approved_by_platform": "the platform team approved it",
    "not_ready_yet": "not ready yet",
    "gone_before_ready": "deleted before it was ready",
}


@click.command(short_help="Show how much goes on without the platform team.")
@click.option("--since", metavar="TIME", help="RFC 3339; 30 days before its end otherwise.")
@click.option("--until", metavar="TIME", help="RFC 3339; now otherwise.")
@click.option("--team", help="Of this team alone.")
@json_option
@session
def command(
    current: Session, since: str | None, until: str | None, team: str | None, as_json: bool
) -> None:
    """Show how many deployments reached Ready without the platform team."""
    found = current.client().adoption.self_service(since=since, until=until, team=team)
    if as_json:
        output.document(found.to_dict())
        return
    if found.rate is None:
        output.note(f"Nothing was deployed since {found.since:%Y-%m-%d}.")
        return
    output.data(
        f"{found.rate:.0%} self-service: {found.self_service} of {found.deployments} deployments "
        f"since {found.since:%Y-%m-%d}"
    )
    if found.items:
        output.data("")
        output.table(
            [Column("the others", flexible=True), Column("deployments", right=True)],
            [[REASONS.get(one.reason, one.reason), str(one.deployments)] for one in found.items],
        )
