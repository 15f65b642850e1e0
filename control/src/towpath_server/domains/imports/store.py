"""Queries of imports and their files."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select, update

from towpath_server.core import queries
from towpath_server.core.access import Reach
from towpath_server.core.db import Tx
from towpath_server.core.paging import Window
from towpath_server.domains.imports.models import (
    Import,
    ImportFile,
    Phase,
    Progress,
    Trouble,
)
from towpath_server.domains.imports.tables import import_files, imports

_active = and_(imports.c.ended_at_ms.is_(None), imports.c.cancelled.is_(False))


async def insert(tx: Tx, made: Import) -> bool:
    """Add an import, unless the same is under way; tell whether it was added."""
    values = asdict(made)
    values.pop("project")
    values |= values.pop("progress")
    row = tx.insert(imports).values(**values, active=_key(made.project_id, made.model, made.uri))
    row = row.on_conflict_do_nothing(index_elements=["active"]).returning(imports.c.id)
    return (await tx.execute(row)).first() is not None


async def find(tx: Tx, id: str) -> Import | None:  # noqa: A002
    """Find an import, a cancelled one too."""
    row = (await tx.execute(select(imports).where(imports.c.id == id))).first()
    return _import(row) if row else None


async def under_way(tx: Tx, project_id: str, model: str, uri: str) -> Import | None:
    """Find the import of a URI that is under way."""
    query = select(imports).where(imports.c.active == _key(project_id, model, uri))
    row = (await tx.execute(query)).first()
    return _import(row) if row else None


async def newest(tx: Tx, project_id: str, model: str, uri: str, phase: Phase) -> Import | None:
    """Find the newest import of a URI that ended so."""
    query = select(imports).where(
        imports.c.project_id == project_id,
        imports.c.model == model,
        imports.c.uri == uri,
        imports.c.phase == phase,
        imports.c.cancelled.is_(False),
    )
    row = (await tx.execute(query.order_by(imports.c.ended_at_ms.desc()).limit(1))).first()
    return _import(row) if row else None


async def page(tx: Tx, reach: Reach, window: Window, *, model: str | None) -> list[Import]:
    """List one import more than the window has, newest first."""
    within = queries.within(reach, team=imports.c.team_id, project=imports.c.project_id)
    query = select(imports).where(within, imports.c.cancelled.is_(False))
    if model is not None:
        query = query.where(imports.c.model == model)
    if window.after is not None:
        query = query.where(imports.c.id < window.after)
    return await _imports(tx, query.order_by(imports.c.id.desc()).limit(window.limit + 1))


async def due(tx: Tx, *, limit: int) -> list[Import]:
    """List imports that have something to do now: cancelled ones first, then the oldest."""
    query = select(imports).where(
        imports.c.ended_at_ms.is_(None),
        or_(
            imports.c.cancelled.is_(True),
            imports.c.retry_at_ms.is_(None),
            imports.c.retry_at_ms <= tx.now_ms,
        ),
    )
    order = (imports.c.cancelled.desc(), imports.c.id)
    return await _imports(tx, query.order_by(*order).limit(limit))


async def count_active(tx: Tx, project_id: str) -> int:
    """Count the imports of a project that are under way."""
    query = select(func.count()).where(imports.c.project_id == project_id, _active)
    return int((await tx.execute(query)).scalar_one())


async def active_of_project(tx: Tx, project_id: str, limit: int) -> list[str]:
    """List a few imports of a project that are under way."""
    return await _ids(tx, imports.c.project_id == project_id, limit)


async def active_of_model(tx: Tx, model: str, limit: int) -> list[str]:
    """List a few imports of a model that are under way."""
    return await _ids(tx, imports.c.model == model, limit)


async def change(tx: Tx, found: Import, values: Mapping[str, Any]) -> None:
    """Change an import that was read at its revision; one that ends makes room for the same."""
    columns = dict(values)
    if columns.get("ended_at_ms") is not None or columns.get("cancelled"):
        columns["active"] = None
    await queries.change(tx, imports, found.id, found.revision, columns)


async def advance(tx: Tx, id: str, *, bytes_done: int, files_done: int) -> bool:  # noqa: A002
    """
    Note how much has come; it counts nothing up, since it promises nothing.

    Tells whether anybody still wants it.
    """
    done = await tx.execute(
        update(imports)
        .where(imports.c.id == id, _active)
        .values(bytes_done=bytes_done, files_done=files_done, updated_at_ms=tx.now_ms)
    )
    return done.rowcount == 1


async def calm(tx: Tx, id: str) -> None:  # noqa: A002
    """Forget the attempts that failed: something has come for good since."""
    await tx.execute(update(imports).where(imports.c.id == id).values(attempts=0, trouble=None))


async def wanted(tx: Tx, id: str) -> bool:  # noqa: A002
    """Tell whether an import is under way still."""
    query = select(imports.c.id).where(imports.c.id == id, _active)
    return (await tx.execute(query)).first() is not None


async def remove(tx: Tx, id: str, revision: int) -> None:  # noqa: A002
    """Remove an import; its files go with it."""
    await queries.remove(tx, imports, id, revision)


async def forget(tx: Tx, before_ms: int) -> int:
    """Remove imports that ended before a time; return how many."""
    return (await tx.execute(delete(imports).where(imports.c.ended_at_ms < before_ms))).rowcount


async def files(tx: Tx, id: str) -> dict[str, ImportFile]:  # noqa: A002
    """Return the files of an import that have begun to come, by path."""
    columns = import_files.c
    query = select(columns.path, columns.digest, columns.size, columns.upload, columns.stored)
    rows = await tx.execute(query.where(columns.import_id == id).order_by(columns.path))
    return {row.path: ImportFile(**row._asdict()) for row in rows}


async def write_file(tx: Tx, id: str, file: ImportFile) -> None:  # noqa: A002
    """Note that a file has begun to come, or is stored."""
    values = asdict(file)
    statement = tx.insert(import_files).values(import_id=id, **values)
    values.pop("path")
    await tx.execute(
        statement.on_conflict_do_update(index_elements=["import_id", "path"], set_=values)
    )


async def clear_files(tx: Tx, id: str) -> None:  # noqa: A002
    """Forget the files of an import."""
    await tx.execute(delete(import_files).where(import_files.c.import_id == id))


async def digests_of_files(tx: Tx, digests: Collection[str]) -> set[str]:
    """Return those of some digests that imports under way have."""
    query = select(import_files.c.digest).where(import_files.c.digest.in_(sorted(digests)))
    return set((await tx.execute(query)).scalars())


def _key(project_id: str, model: str, uri: str) -> str:
    return hashlib.sha256(f"{project_id}\0{model}\0{uri}".encode()).hexdigest()


async def _ids(tx: Tx, where: ColumnElement[bool], limit: int) -> list[str]:
    query = select(imports.c.id).where(where, _active).order_by(imports.c.id).limit(limit)
    return list((await tx.execute(query)).scalars())


async def _imports(tx: Tx, query: Select[Any]) -> list[Import]:
    return [_import(row) for row in await tx.execute(query)]


def _import(row: Any) -> Import:
    fields: dict[str, Any] = row._asdict()
    fields.pop("active")
    fields["phase"] = Phase(row.phase)
    fields["trouble"] = Trouble(**row.trouble) if row.trouble else None
    fields["progress"] = Progress(
        **{name: fields.pop(name) for name in ("bytes_done", "bytes_total", "files_done",
                                               "files_total")}
    )  # fmt: skip
    return Import(**fields)
