"""Queries of aliases."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import Select, select

from towpath_server.core import ids, queries
from towpath_server.core.db import Tx
from towpath_server.core.paging import Window
from towpath_server.domains.aliases.models import Alias, Move
from towpath_server.domains.aliases.tables import model_alias_moves, model_aliases
from towpath_server.domains.models.models import Model


async def insert(tx: Tx, alias: Alias) -> None:
    """Add an alias."""
    row = asdict(alias)
    row.pop("model_name")
    await tx.execute(model_aliases.insert().values(**row))


async def find(tx: Tx, model: Model, ref: str) -> Alias | None:
    """Find an alias of a model by id or name."""
    column = model_aliases.c.id if ids.is_id(ref, "mal") else model_aliases.c.name
    found = await _read(tx, _of(model).where(column == ref), model)
    return found[0] if found else None


async def place(tx: Tx, id: str) -> tuple[str, str] | None:  # noqa: A002
    """Return the model's id and the name of an alias, whoever asks."""
    query = select(model_aliases.c.model_id, model_aliases.c.name).where(model_aliases.c.id == id)
    row = (await tx.execute(query)).first()
    return (row.model_id, row.name) if row else None


async def page(tx: Tx, model: Model, window: Window) -> list[Alias]:
    """List one alias more than the window has."""
    return await _read(tx, queries.windowed(_of(model), window, model_aliases.c.id), model)


async def names(tx: Tx, model: Model, *, limit: int) -> list[str]:
    """Return names of a model's aliases."""
    query = select(model_aliases.c.name).where(model_aliases.c.model_id == model.id)
    query = query.order_by(model_aliases.c.name).limit(limit)
    return list((await tx.execute(query)).scalars())


async def move(tx: Tx, alias: Alias, number: int, reason: str) -> None:
    """Point an alias at another version."""
    values = {"number": number, "reason": reason}
    await queries.change(tx, model_aliases, alias.id, alias.revision, values)


async def remove(tx: Tx, alias: Alias) -> None:
    """Remove an alias; its log stays."""
    await queries.remove(tx, model_aliases, alias.id, alias.revision)


async def note(tx: Tx, entry: Move) -> None:
    """Add an entry to the log."""
    await tx.execute(model_alias_moves.insert().values(**asdict(entry)))


async def moves(tx: Tx, model: Model, alias: str, window: Window) -> list[Move]:
    """List one entry of the log more than the window has, newest first."""
    columns = model_alias_moves.c
    query = select(model_alias_moves).where(columns.model_id == model.id, columns.alias == alias)
    if window.after is not None:
        query = query.where(columns.id < window.after)
    rows = await tx.execute(query.order_by(columns.id.desc()).limit(window.limit + 1))
    return [Move(**row._asdict()) for row in rows]


def _of(model: Model) -> Select[Any]:
    return select(model_aliases).where(model_aliases.c.model_id == model.id)


async def _read(tx: Tx, query: Select[Any], model: Model) -> list[Alias]:
    return [Alias(**row._asdict(), model_name=model.name) for row in await tx.execute(query)]
