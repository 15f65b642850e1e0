"""`towpath projects`."""

import click

from towpath.cli import listing, output
from towpath.cli.group import Misuse, Noun
from towpath.cli.output import Column
from towpath.cli.session import Session, json_option, limit_option, session


@click.group(cls=Noun, short_help="Show and change projects.")
def command() -> None:
    """Show and change projects; a project owns keys, deployments and endpoints."""


@command.command("list")
@click.option("--team", help="Of this team alone.")
@limit_option
@json_option
@session
def list_(current: Session, team: str | None, limit: int, as_json: bool) -> None:
    """List the projects that you may see."""
    listing.page(
        current.client().projects.list(team=team, limit=limit),
        [Column("project"), Column("created"), Column("id")],
        lambda one: [one.path, output.ago(one.created_at), one.id],
        as_json=as_json,
        empty="No project yet: `towpath projects create TEAM/NAME`",
        then="A key for one: `towpath keys create --project TEAM/NAME --name NAME`",
    )


@command.command()
@click.argument("project", metavar="TEAM/NAME")
@json_option
@session
def create(current: Session, project: str, as_json: bool) -> None:
    """Create a project."""
    team, slash, name = project.partition("/")
    if not slash:
        raise Misuse(
            f"`{project}` does not name a team", fix=f"`towpath projects create TEAM/{project}`"
        )
    made = current.client().projects.create(team=team, name=name)
    then = f"Next: `towpath keys create --project {project} --name NAME`"
    listing.resource(made, as_json=as_json, then=then)


@command.command()
@click.argument("project", metavar="TEAM/NAME")
@json_option
@session
def show(current: Session, project: str, as_json: bool) -> None:
    """Show one project."""
    listing.resource(current.client().projects.get(project), as_json=as_json)


@command.command()
@click.argument("project", metavar="TEAM/NAME")
@click.argument("name")
@json_option
@session
def rename(current: Session, project: str, name: str, as_json: bool) -> None:
    """Give a project another name."""
    listing.resource(current.client().projects.update(project, name=name), as_json=as_json)


@command.command("body-log")
@click.argument("project", metavar="TEAM/NAME")
@click.argument("mode", type=click.Choice(["none", "metadata", "full"]))
@click.option("--redact", metavar="NAME=PATTERN", multiple=True, help="Take out of bodies.")
@click.option("--days", type=click.IntRange(1, 365), default=7, show_default=True, help="Keep.")
@json_option
@session
def body_log(
    current: Session, *, project: str, mode: str, redact: tuple[str, ...], days: int, as_json: bool
) -> None:
    """Set what is kept of requests."""
    rules = [_rule(text) for text in redact]
    setting = {"mode": mode, "redact": rules, "retention_days": days}
    changed = current.client().projects.update(project, body_log=setting)
    then = "One request's bodies: `towpath requests show ID --bodies`" if mode == "full" else None
    listing.resource(changed, as_json=as_json, fields=("path", "body_log"), then=then)


def _rule(text: str) -> dict[str, str]:
    name, separator, pattern = text.partition("=")
    if not separator or not name or not pattern:
        raise Misuse(f"`{text}` is not `NAME=PATTERN`", fix="`--redact 'card=[0-9]{16}'`")
    return {"name": name, "pattern": pattern}


@command.command()
@click.argument("project", metavar="TEAM/NAME")
@json_option
@session
def delete(current: Session, project: str, as_json: bool) -> None:
    """Delete a project that nothing uses any more."""
    current.client().projects.delete(project)
    listing.removed(project, f"Deleted `{project}`.", as_json=as_json)
