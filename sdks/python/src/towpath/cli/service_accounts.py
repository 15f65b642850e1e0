"""`towpath service-accounts`."""

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


@click.group(cls=Noun, short_help="Show and change programs that act for projects.")
def command() -> None:
    """Show and change service accounts: programs (CI, for one) that act for a project."""


@command.command("list")
@click.option("--project", metavar="TEAM/NAME", help="Of this project alone.")
@limit_option
@json_option
@session
def list_(current: Session, project: str | None, limit: int, as_json: bool) -> None:
    """List service accounts."""
    listing.page(
        current.client().service_accounts.list(project=project, limit=limit),
        [Column("account"), Column("scopes", flexible=True), Column("used"), Column("id")],
        lambda one: [one.name, ", ".join(one.scopes), output.ago(one.last_used_at), one.id],
        as_json=as_json,
        empty="No service account: "
        "`towpath service-accounts create NAME --project TEAM/NAME --scope deploy`",
        then="Away with one: `towpath service-accounts delete ID`",
    )


@command.command()
@click.argument("name")
@click.option("--project", metavar="TEAM/NAME", required=True, help="Project it acts for.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(["invoke", "read", "deploy"]),
    help="What it may do; repeatable.",
)
@environment_option("sandbox")
@click.option("--expires-at", metavar="TIME", help="RFC 3339, such as 2027-01-01T00:00:00Z.")
@json_option
@session
def create(current: Session, name: str, as_json: bool, **more: object) -> None:
    """Create a service account. Its token alone goes to stdout, this once."""
    made = current.client().service_accounts.create(name=name, **listing.changes(**more))
    if as_json:
        output.document(made.to_dict())
        return
    output.data(str(made.token))
    output.note(f"{made.name} ({', '.join(made.scopes)}), {made.id}. Shown only now.")


@command.command()
@click.argument("account")
@json_option
@session
def show(current: Session, account: str, as_json: bool) -> None:
    """Show one service account."""
    listing.resource(current.client().service_accounts.get(account), as_json=as_json)


@command.command()
@click.argument("account")
@json_option
@session
def delete(current: Session, account: str, as_json: bool) -> None:
    """Delete a service account; its token stops working at once."""
    current.client().service_accounts.delete(account)
    listing.removed(account, f"Deleted `{account}`.", as_json=as_json)
