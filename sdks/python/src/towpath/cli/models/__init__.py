"""`towpath models`: what may be called, and what is registered."""

import click

from towpath.cli import output
from towpath.cli.group import Noun
from towpath.cli.models.aliases import alias, history
from towpath.cli.models.importing import import_
from towpath.cli.models.pull import pull
from towpath.cli.models.push import card, push
from towpath.cli.models.registry import delete, registered, show, tag, versions
from towpath.cli.models.served import served
from towpath.cli.output import Column
from towpath.cli.session import Session, json_option, session, watch_option
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
    output.note(f"Next: {first}`towpath connect`; to deploy: `towpath models registered`")


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


for one in (
    registered,
    show,
    versions,
    push,
    pull,
    alias,
    history,
    tag,
    card,
    import_,
    delete,
    served,
):
    command.add_command(one)
