"""Queries of keys and service accounts. `live` leaves out what was revoked."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import bindparam, delete, or_, select, update

from towpath_server.core import queries
from towpath_server.core.access import Reach
from towpath_server.core.db import Tx
from towpath_server.core.paging import Window
from towpath_server.domains.keys.models import Environment, Key, Kind, Priority, StandIn
from towpath_server.domains.keys.tables import keys, stand_ins

_live = keys.c.revoked_at_ms.is_(None)
# A key that is rotated every day for a month; what was used before that is of another period.
_MAX_PREDECESSORS = 32
_LISTS = ("scopes", "endpoints", "operations", "sources")


async def insert(tx: Tx, key: Key) -> None:
    """Add a key."""
    await tx.execute(keys.insert().values(**_values(asdict(key))))


async def find(tx: Tx, kind: Kind, id: str) -> Key | None:  # noqa: A002
    """Find a live key by id."""
    query = select(keys).where(keys.c.id == id, keys.c.kind == kind.value, _live)
    row = (await tx.execute(query)).first()
    return _key(row) if row else None


async def find_by_hash(tx: Tx, hash: str) -> Key | None:  # noqa: A002
    """Find a live key by the hash of what was sent."""
    row = (await tx.execute(select(keys).where(keys.c.hash == hash, _live))).first()
    return _key(row) if row else None


async def exists(tx: Tx, kind: Kind, project: str, name: str) -> bool:
    """Tell whether a project has a live one of this name."""
    query = select(keys.c.id).where(
        keys.c.kind == kind.value, keys.c.project_id == project, keys.c.name == name, _live
    )
    return (await tx.execute(query.limit(1))).first() is not None


async def page(
    tx: Tx, reach: Reach, window: Window, *, kind: Kind, project: str | None
) -> list[Key]:
    """List one live key more than the window has."""
    within = queries.within(reach, team=keys.c.team_id, project=keys.c.project_id)
    query = select(keys).where(within, keys.c.kind == kind.value, _live)
    if project is not None:
        query = query.where(keys.c.project_id == project)
    rows = await tx.execute(queries.windowed(query, window, keys.c.id))
    return [_key(row) for row in rows]


async def live(
    tx: Tx, *, wanted: Collection[str] | None, after: str = "", limit: int = 5_000
) -> list[Key]:
    """List live keys by id, or all after one, in order of id and whoever asks."""
    query = select(keys).where(_live)
    if wanted is None:
        query = query.where(keys.c.id > after).order_by(keys.c.id).limit(limit)
    else:
        query = query.where(keys.c.id.in_(sorted(wanted)))
    return [_key(row) for row in await tx.execute(query)]


async def predecessors(tx: Tx, key_id: str) -> list[str]:
    """Return the ids of the keys that a key replaced, revoked ones too, its own first."""
    found: list[str] = []
    while len(found) < _MAX_PREDECESSORS:
        query = select(keys.c.rotated_from).where(keys.c.id == (found[-1] if found else key_id))
        former = (await tx.execute(query)).scalar_one_or_none()
        if former is None:
            break
        found.append(former)
    return found


async def names(tx: Tx, wanted: Collection[str]) -> dict[str, str]:
    """Return the names of keys by id, revoked ones too."""
    query = select(keys.c.id, keys.c.name).where(keys.c.id.in_(sorted(wanted)))
    return {row.id: row.name for row in await tx.execute(query)}


async def names_using(
    tx: Tx, *, project: str | None = None, application: str | None = None, limit: int
) -> list[str]:
    """List the names of a few live keys of a project, or of an application."""
    query = select(keys.c.name).where(_live).limit(limit)
    if project is not None:
        query = query.where(keys.c.project_id == project)
    if application is not None:
        query = query.where(keys.c.application_id == application)
    return list((await tx.execute(query)).scalars())


async def change(tx: Tx, key: Key, values: dict[str, Any]) -> None:
    """Change a key."""
    await queries.change(tx, keys, key.id, key.revision, _values(values))


async def touch(tx: Tx, used_at_ms: Mapping[str, int]) -> None:
    """Note when keys were last used, never backwards."""
    if not used_at_ms:
        return
    statement = (
        update(keys)
        .where(
            keys.c.id == bindparam("key"),
            or_(keys.c.last_used_at_ms.is_(None), keys.c.last_used_at_ms < bindparam("at")),
        )
        .values(last_used_at_ms=bindparam("at"))
    )
    await tx.execute(statement, [{"key": key, "at": at} for key, at in sorted(used_at_ms.items())])


async def insert_stand_in(tx: Tx, made: StandIn) -> None:
    """Add a stand-in."""
    await tx.execute(stand_ins.insert().values(**_values(asdict(made))))


async def live_stand_ins(
    tx: Tx, *, wanted: Collection[str] | None, after: str = "", limit: int = 5_000
) -> list[StandIn]:
    """List stand-ins by id, or all after one, in order of id."""
    query = select(stand_ins)
    if wanted is None:
        query = query.where(stand_ins.c.id > after).order_by(stand_ins.c.id).limit(limit)
    else:
        query = query.where(stand_ins.c.id.in_(sorted(wanted)))
    return [_stand_in(row) for row in await tx.execute(query)]


async def remove_stand_ins(tx: Tx, *, ids: Collection[str] = (), before_ms: int) -> list[str]:
    """Remove these, and all that ended before a time; return the ids of those that were there."""
    gone = delete(stand_ins).where(
        or_(stand_ins.c.id.in_(sorted(ids)), stand_ins.c.expires_at_ms < before_ms)
    )
    return sorted((await tx.execute(gone.returning(stand_ins.c.id))).scalars())


def _stand_in(row: Any) -> StandIn:
    values = row._asdict()
    values["sources"] = None if values["sources"] is None else tuple(values["sources"])
    values["environment"] = Environment(values["environment"])
    return StandIn(**values)


def _values(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in values.items()
    }


def _key(row: Any) -> Key:
    values = row._asdict()
    for name in _LISTS:
        values[name] = None if values[name] is None else tuple(values[name])
    values["kind"] = Kind(values["kind"])
    values["environment"] = Environment(values["environment"])
    values["priority"] = Priority(values["priority"]) if values["priority"] else None
    return Key(**values)
