"""`towpath teams`."""

import click

from towpath.cli import listing, output
from towpath.cli.group import Noun
from towpath.cli.output import Column
from towpath.cli.session import Session, json_option, limit_option, session


@click.group(cls=Noun, short_help="Show and change teams.")
def command() -> None:
    """Show and change teams; a team owns projects."""


@command.command("list")
@limit_option
@json_option
@session
def list_(current: Session, limit: int, as_json: bool) -> None:
    """List the teams that you may see."""
    listing.page(
        current.client().teams.list(limit=limit),
        [Column("team"), Column("created"), Column("id")],
        lambda team: [team.name, output.ago(team.created_at), team.id],
        as_json=as_json,
        empty="No team yet: `towpath teams create NAME`",
        then="Projects of a team: `towpath projects --team NAME`",
    )


@command.command()
@click.argument("name")
@json_option
@session
def create(current: Session, name: str, as_json: bool) -> None:
    """Create a team."""
    listing.resource(
        current.client().teams.create(name=name),
        as_json=as_json,
        then=f"Next: `towpath projects create {name}/PROJECT`",
    )


@command.command()
@click.argument("team")
@json_option
@session
def show(current: Session, team: str, as_json: bool) -> None:
    """Show one team."""
    listing.resource(current.client().teams.get(team), as_json=as_json)


@command.command()
@click.argument("team")
@click.argument("name")
@json_option
@session
def rename(current: Session, team: str, name: str, as_json: bool) -> None:
    """Give a team another name."""
    listing.resource(current.client().teams.update(team, name=name), as_json=as_json)


@command.command()
@click.argument("team")
@click.argument("weight", type=click.IntRange(1, 1000))
@json_option
@session
def weigh(current: Session, team: str, weight: int, as_json: bool) -> None:
    """Set a team's share where teams wait for the same target; 1 is where all begin."""
    listing.resource(current.client().teams.update(team, weight=weight), as_json=as_json)


@command.command()
@click.argument("team")
@json_option
@session
def delete(current: Session, team: str, as_json: bool) -> None:
    """Delete a team that has no projects."""
    current.client().teams.delete(team)
    listing.removed(team, f"Deleted `{team}`.", as_json=as_json)
