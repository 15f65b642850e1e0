"""`towpath users`."""

import click

from towpath.cli import listing, output
from towpath.cli.group import Noun
from towpath.cli.output import Column
from towpath.cli.session import Session, json_option, limit_option, session


@click.group(cls=Noun, short_help="Show and change users.")
def command() -> None:
    """Show and change users, and their tokens."""


@command.command("list")
@limit_option
@json_option
@session
def list_(current: Session, limit: int, as_json: bool) -> None:
    """List users."""
    listing.page(
        current.client().users.list(limit=limit),
        [Column("name", flexible=True), Column("e-mail", flexible=True), Column("id")],
        lambda one: [one.name, one.email or "–", one.id],
        as_json=as_json,
        empty="No user yet: `towpath users create NAME --email E-MAIL`",
        then="A role in a team: `towpath members add TEAM E-MAIL ROLE`",
    )


@command.command()
@click.argument("name")
@click.option("--email", help="E-mail address; names the user in other commands.")
@click.option("--platform-role", type=click.Choice(["platform", "auditor"]))
@json_option
@session
def create(current: Session, name: str, as_json: bool, **more: str | None) -> None:
    """Create a user, who may do nothing until made a member of a team."""
    made = current.client().users.create(name=name, **listing.changes(**more))
    listing.resource(
        made, as_json=as_json, then=f"Next: `towpath members add TEAM {made.email or made.id} ROLE`"
    )


@command.command()
@click.argument("user")
@json_option
@session
def show(current: Session, user: str, as_json: bool) -> None:
    """Show one user, by id or e-mail address."""
    listing.resource(current.client().users.get(user), as_json=as_json)


@command.command()
@click.argument("user")
@json_option
@session
def delete(current: Session, user: str, as_json: bool) -> None:
    """Delete a user, with all tokens and roles."""
    current.client().users.delete(user)
    listing.removed(user, f"Deleted `{user}`.", as_json=as_json)


@command.command()
@click.argument("user")
@click.option("--name", required=True, help="What it is for.")
@json_option
@session
def token(current: Session, user: str, name: str, as_json: bool) -> None:
    """Make a token for a user; its text is printed this once."""
    made = current.client().users.create_token(user, name=name)
    if as_json:
        output.document(made.to_dict())
        return
    output.data(str(made.token))
    output.note("Shown only now. Its owner saves it with `towpath login`.")


@command.command()
@click.argument("user")
@json_option
@session
def tokens(current: Session, user: str, as_json: bool) -> None:
    """List a user's tokens."""
    listing.page(
        current.client().users.tokens(user),
        [Column("token"), Column("begins"), Column("expires"), Column("id")],
        lambda one: [one.name, f"tp_user_{one.hint}…", output.ago(one.expires_at), one.id],
        as_json=as_json,
        empty=f"No token: `towpath users token {user} --name NAME`",
        then=f"Away with one: `towpath users revoke {user} ID`",
    )


@command.command()
@click.argument("user")
@click.argument("token_id", metavar="TOKEN")
@json_option
@session
def revoke(current: Session, user: str, token_id: str, as_json: bool) -> None:
    """Revoke a user's token at once."""
    current.client().users.revoke_token(user, token_id)
    listing.removed(token_id, f"Revoked `{token_id}`.", as_json=as_json)
