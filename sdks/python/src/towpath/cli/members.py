"""`towpath members`."""

import click

from towpath.cli import listing
from towpath.cli.group import Noun
from towpath.cli.output import Column
from towpath.cli.session import Session, json_option, limit_option, session

ROLES = click.Choice(["viewer", "developer", "admin"])


@click.group(cls=Noun, short_help="Show and change roles in teams.")
def command() -> None:
    """Show and change who has which role in which team."""


@command.command("list")
@click.option("--team", help="Of this team alone.")
@click.option("--user", help="Of this user alone, by id or e-mail address.")
@limit_option
@json_option
@session
def list_(current: Session, team: str | None, user: str | None, limit: int, as_json: bool) -> None:
    """List members."""
    listing.page(
        current.client().members.list(team=team, user=user, limit=limit),
        [Column("role"), Column("user"), Column("id")],
        lambda one: [one.role, one.user, one.id],
        as_json=as_json,
        empty="No member yet: `towpath members add TEAM USER ROLE`",
        then="Take a role away: `towpath members remove ID`",
    )


@command.command()
@click.argument("team")
@click.argument("user")
@click.argument("role", type=ROLES)
@json_option
@session
def add(current: Session, team: str, user: str, role: str, as_json: bool) -> None:
    """Give a user (id or e-mail address) a role in a team."""
    made = current.client().members.create(team=team, user=user, role=role)
    listing.resource(made, as_json=as_json)


@command.command()
@click.argument("member")
@click.argument("role", type=ROLES)
@json_option
@session
def change(current: Session, member: str, role: str, as_json: bool) -> None:
    """Change a role."""
    listing.resource(current.client().members.update(member, role=role), as_json=as_json)


@command.command()
@click.argument("member")
@json_option
@session
def remove(current: Session, member: str, as_json: bool) -> None:
    """Take a role away."""
    current.client().members.delete(member)
    listing.removed(member, f"Removed `{member}`.", as_json=as_json)
