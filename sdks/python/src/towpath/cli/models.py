"""`towpath models`: what may be called, and what is registered."""

import click

from towpath.cli import listing, output
from towpath.cli.group import Noun
from towpath.cli.output import Column
from towpath.cli.session import Session, json_option, limit_option, session, watch_option
from towpath.types import CallableModel, ModelPrice


@click.group(cls=Noun, short_help="Show what you may call, and the registry.")
def command() -> None:
    """Show what you may call with this key, and what is registered to be deployed."""


@command.command("list")
@json_option
@watch_option
@session
def list_(current: Session, as_json: bool) -> None:
    """List what you may call, with price per million tokens."""
    found = current.client().models.list()
    if as_json:
        output.document(found.to_dict())
        return
    if not found.data:
        output.note("Nothing yet that this key may call: `towpath deploy FILE`")
        return
    columns = [
        Column("model"),
        Column("kind", flexible=True),
        Column("context", right=True),
        Column("in", right=True),
        Column("out", right=True),
        Column("owner", flexible=True),
    ]
    output.table(columns, [row(model) for model in sorted(found.data, key=lambda one: one.id)])
    output.note()
    chats = [one.id for one in found.data if one.context_length]
    first = f'`towpath chat {chats[0]} "…"`, or in a program: ' if chats else ""
    output.note(f"Next: {first}`towpath connect`")


def row(model: CallableModel) -> list[str]:
    """Write one model."""
    context = model.context_length
    price = model.price
    return [
        model.id,
        ", ".join(model.modalities or []) or "–",
        output.number(context),
        per_million(price, "input_nano_per_million"),
        per_million(price, "output_nano_per_million"),
        model.owned_by or "–",
    ]


def per_million(price: ModelPrice | None, side: str) -> str:
    """Write a price."""
    return "–" if price is None else output.money(price[side], price.currency)


@command.command()
@limit_option
@json_option
@session
def registered(current: Session, limit: int, as_json: bool) -> None:
    """List the registry: models that you may deploy."""
    listing.page(
        current.client().registry.list(limit=limit),
        [Column("model"), Column("visible to"), Column("changed"), Column("id")],
        lambda one: [one.name, one.visibility, output.ago(one.updated_at), one.id],
        as_json=as_json,
        empty="Nothing is registered yet: `towpath deploy FILE` registers what it uploads",
        then="Versions of one: `towpath models versions NAME`",
    )


@command.command()
@click.argument("model")
@limit_option
@json_option
@session
def versions(current: Session, model: str, limit: int, as_json: bool) -> None:
    """List the versions of a registered model, oldest first."""
    listing.page(
        current.client().registry.versions(model, limit=limit),
        [
            Column("uri"),
            Column("format"),
            Column("size", right=True),
            Column("made"),
            Column("digest", flexible=True),
        ],
        lambda one: [
            one.uri,
            one.format,
            output.bytes_size(one.size),
            output.ago(one.created_at),
            one.digest,
        ],
        as_json=as_json,
        empty=f"`{model}` has no version yet.",
        then="Deploy one: name its uri in `spec.model.uri` of a manifest",
    )
