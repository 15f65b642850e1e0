"""`towpath imports`."""

import click

from towpath.cli import listing, output
from towpath.cli.group import Noun
from towpath.cli.output import Column
from towpath.cli.session import Session, json_option, limit_option, session
from towpath.types import Import


@click.group(cls=Noun, short_help="Show and cancel what is brought from outside.")
def command() -> None:
    """Show and cancel imports: models on their way into the registry."""


@command.command("list")
@click.option("--model", help="Into this model.")
@limit_option
@json_option
@session
def list_(current: Session, model: str | None, limit: int, as_json: bool) -> None:
    """List imports of the last 30 days, newest first."""
    listing.page(
        current.client().imports.list(limit=limit, **listing.changes(model=model)),
        [
            Column("import"),
            Column("model"),
            Column("phase"),
            Column("here", right=True),
            Column("begun"),
            Column("from", flexible=True),
        ],
        lambda one: [
            one.id,
            one.model if one.version is None else f"{one.model}/{one.version}",
            one.phase,
            amount(one),
            output.ago(one.created_at),
            one.uri,
        ],
        as_json=as_json,
        empty="No import yet: `towpath models import URI --project TEAM/PROJECT`",
        then="One of them: `towpath imports show ID`",
    )


def amount(one: Import) -> str:
    """Write how much of it is here."""
    done, total = one.bytes.done, one.bytes.total
    if one.phase == "done" or total is None:
        return output.bytes_size(done)
    return f"{output.bytes_size(done)} of {output.bytes_size(total)}"


@command.command()
@click.argument("import_", metavar="ID")
@json_option
@session
def show(current: Session, import_: str, as_json: bool) -> None:
    """Show one import: how far it is, or what became of it."""
    listing.resource(current.client().imports.get(import_), as_json=as_json)


@command.command()
@click.argument("import_", metavar="ID")
@json_option
@session
def cancel(current: Session, import_: str, as_json: bool) -> None:
    """Cancel an import; one that has ended is forgotten, its version stays."""
    current.client().imports.delete(import_)
    listing.removed(import_, f"Cancelled `{import_}`.", as_json=as_json)
