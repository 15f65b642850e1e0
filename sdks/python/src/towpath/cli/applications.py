"""`towpath applications`."""

import click

from towpath.cli import listing
from towpath.cli.group import Noun
from towpath.cli.output import Column
from towpath.cli.session import Session, json_option, limit_option, session


@click.group(cls=Noun, short_help="Show and change programs of projects.")
def command() -> None:
    """Show and change applications: programs of a project, told apart in the log."""


@command.command("list")
@click.option("--project", metavar="TEAM/NAME", help="Of this project alone.")
@limit_option
@json_option
@session
def list_(current: Session, project: str | None, limit: int, as_json: bool) -> None:
    """List the applications that you may see."""
    listing.page(
        current.client().applications.list(project=project, limit=limit),
        [Column("application"), Column("owner", flexible=True), Column("id")],
        lambda one: [one.name, one.owner or "–", one.id],
        as_json=as_json,
        empty="No application yet: `towpath applications create NAME --project TEAM/NAME`",
        then="A key for one: `towpath keys create --application NAME …`",
    )


@command.command()
@click.argument("name")
@click.option("--project", metavar="TEAM/NAME", required=True, help="Project it belongs to.")
@click.option("--owner", help="Who answers for it.")
@click.option("--contact", help="Where to reach them.")
@click.option("--use-case", help="What it is for.")
@json_option
@session
def create(current: Session, name: str, project: str, as_json: bool, **about: str | None) -> None:
    """Register an application."""
    made = current.client().applications.create(
        name=name, project=project, **listing.changes(**about)
    )
    listing.resource(made, as_json=as_json)


@command.command()
@click.argument("application")
@json_option
@session
def show(current: Session, application: str, as_json: bool) -> None:
    """Show one application."""
    listing.resource(current.client().applications.get(application), as_json=as_json)


@command.command()
@click.argument("application")
@json_option
@session
def delete(current: Session, application: str, as_json: bool) -> None:
    """Delete an application that no key names."""
    current.client().applications.delete(application)
    listing.removed(application, f"Deleted `{application}`.", as_json=as_json)
