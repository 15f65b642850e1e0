"""Aliases: names of versions that move, and the log of their moves."""

import click

from towpath.cli import listing, output
from towpath.cli.group import Misuse
from towpath.cli.output import Column
from towpath.cli.session import Session, json_option, limit_option, session
from towpath.types import AliasMove


@click.command(short_help="Show, set, move or delete aliases.")
@click.argument("model")
@click.argument("alias", required=False)
@click.argument("version", required=False, type=click.IntRange(1))
@click.option("--reason", "-m", metavar="TEXT", help="Why; it stands in the log.")
@click.option("--delete", "remove", is_flag=True, help="Delete it; its log stays.")
@limit_option
@json_option
@session
def alias(
    current: Session,
    model: str,
    alias: str | None,
    *,
    version: int | None,
    reason: str | None,
    remove: bool,
    limit: int,
    as_json: bool,
) -> None:
    """
    Show the aliases of a model, or point one at a version.

    towpath models alias triage champion 3 --reason "0.86 on the suite"
    """
    registry = current.client().registry
    if alias is None:
        listing.page(
            registry.aliases(model, limit=limit),
            [Column("uri"), Column("version", right=True), Column("moved"),
             Column("why", flexible=True)],
            lambda one: [one.uri, str(one.version), output.ago(one.updated_at), one.reason],
            as_json=as_json,
            empty=f"`{model}` has no alias yet: `towpath models alias {model} champion VERSION`",
            then=f"Its log: `towpath models history {model} ALIAS`",
        )  # fmt: skip
        return
    if remove:
        registry.delete_alias(model, alias, reason=reason)
        listing.removed(f"{model}@{alias}", f"Deleted `{model}@{alias}`.", as_json=as_json)
        return
    if version is None:
        found = registry.alias(model, alias)
        listing.resource(found, as_json=as_json, fields=["uri", "version", "reason", "updated_at"])
        return
    if reason is None:
        raise Misuse(
            "a move needs its reason",
            fix=f'`towpath models alias {model} {alias} {version} --reason "…"`',
        )
    made = registry.set_alias(model, alias, version=version, reason=reason)
    if as_json:
        output.document(made.to_dict())
        return
    output.data(f"{made.uri} is version {made.version}")
    output.note(f"Deploy it: `uri: {made.uri}` in a manifest; what is deployed stays as it is")


@click.command(short_help="Show the moves of an alias.")
@click.argument("model")
@click.argument("alias")
@limit_option
@json_option
@session
def history(current: Session, model: str, alias: str, limit: int, as_json: bool) -> None:
    """Show the moves of an alias, newest first: who, when, from, to and why."""
    listing.page(
        current.client().registry.alias_history(model, alias, limit=limit),
        [
            Column("when"),
            Column("from", right=True),
            Column("to", right=True),
            Column("who", flexible=True),
            Column("why", flexible=True),
        ],
        row,
        as_json=as_json,
        empty=f"`{model}@{alias}` was never moved.",
        then=f"Where it points: `towpath models alias {model} {alias}`",
    )


def row(one: AliasMove) -> list[str]:
    """Write one move."""
    return [
        output.ago(one.at),
        output.number(one.from_version),
        output.number(one.to_version),
        one.by["name"],
        one.reason or "–",
    ]
