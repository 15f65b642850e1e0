"""Queries of models."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, exists, func, or_, select

from towpath_server.adapters.objectstore.store import StoredFile
from towpath_server.core import ids, queries
from towpath_server.core.access import Reach
from towpath_server.core.db import Tx
from towpath_server.core.paging import Window
from towpath_server.domains.models.models import (
    Found,
    Model,
    ModelVersion,
    Scanned,
    Search,
    Visibility,
)
from towpath_server.domains.models.tables import (
    model_tags,
    model_version_tags,
    model_versions,
    models,
)


async def insert(tx: Tx, model: Model) -> None:
    """Add a model."""
    row = asdict(model)
    row.pop("latest_version")
    tags = row.pop("tags")
    await tx.execute(models.insert().values(**row))
    await _write_tags(tx, model_tags.c.model_id, model.id, tags)


async def find(tx: Tx, ref: str) -> Model | None:
    """Find a model by id or name, whoever asks."""
    column = models.c.id if ids.is_id(ref, "mdl") else models.c.name
    found = await _models(tx, select(models).where(column == ref))
    return found[0] if found else None


async def page(
    tx: Tx, reach: Reach, teams: Collection[str], window: Window, search: Search | None = None
) -> list[Model]:
    """List one model more than the window has: own ones, and those shared with `teams`."""
    shared = or_(
        models.c.visibility == Visibility.ORGANIZATION,
        and_(models.c.visibility == Visibility.TEAM, models.c.team_id.in_(sorted(teams))),
    )
    own = queries.within(reach, team=models.c.team_id, project=models.c.project_id)
    query = select(models).where(or_(own, shared), *_matching(search or Search()))
    return await _models(tx, queries.windowed(query, window, models.c.id))


async def change(
    tx: Tx, model: Model, values: dict[str, Any], tags: Mapping[str, str] | None = None
) -> None:
    """Change some columns, and put these tags in place of the former ones."""
    await queries.change(tx, models, model.id, model.revision, values)
    if tags is not None:
        await _write_tags(tx, model_tags.c.model_id, model.id, tags)


async def delete(tx: Tx, model: Model) -> None:
    """Remove a model; its versions go with it."""
    await queries.remove(tx, models, model.id, model.revision)


async def of_project(tx: Tx, project_id: str) -> list[str]:
    """Return the names of a project's models."""
    query = select(models.c.name).where(models.c.project_id == project_id).limit(10)
    return list((await tx.execute(query)).scalars())


async def insert_version(tx: Tx, version: ModelVersion) -> None:
    """Add a version."""
    row: dict[str, Any] = asdict(version)
    row.pop("model_name")
    row["scanned"] = asdict(version.scanned)
    tags = row.pop("tags")
    row["files"] = [asdict(file) for file in version.files]
    await tx.execute(model_versions.insert().values(**row))
    await _write_tags(tx, model_version_tags.c.version_id, version.id, tags)


async def tag_version(tx: Tx, version: ModelVersion, tags: Mapping[str, str]) -> None:
    """Put these tags in place of a version's former ones."""
    await queries.change(tx, model_versions, version.id, version.revision, {})
    await _write_tags(tx, model_version_tags.c.version_id, version.id, tags)


async def last_number(tx: Tx, model: Model) -> int:
    """Return the highest version number; 0 before the first."""
    query = select(func.max(model_versions.c.number)).where(model_versions.c.model_id == model.id)
    return (await tx.execute(query)).scalar_one_or_none() or 0


async def find_version(tx: Tx, model: Model, number: int) -> ModelVersion | None:
    """Find a version by its number."""
    query = select(model_versions).where(
        model_versions.c.model_id == model.id, model_versions.c.number == number
    )
    found = await _versions(tx, query, model)
    return found[0] if found else None


async def latest_version(tx: Tx, model: Model) -> ModelVersion | None:
    """Return the newest version."""
    query = select(model_versions).where(model_versions.c.model_id == model.id)
    query = query.order_by(model_versions.c.number.desc()).limit(1)
    found = await _versions(tx, query, model)
    return found[0] if found else None


async def versions(tx: Tx, model: Model, window: Window) -> list[ModelVersion]:
    """List one version more than the window has, oldest first."""
    query = select(model_versions).where(model_versions.c.model_id == model.id)
    query = queries.windowed(query, window, model_versions.c.id)
    return await _versions(tx, query, model)


async def digests_of_versions(tx: Tx, digests: Collection[str]) -> set[str]:
    """Return those of some digests that any version has."""
    return await queries.digests_among(tx, model_versions.c.id, model_versions.c.files, digests)


def _matching(search: Search) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [
        or_(
            models.c.name.icontains(word, autoescape=True),
            models.c.description.icontains(word, autoescape=True),
        )
        for word in search.words
    ]
    of_model = model_versions.c.model_id == models.c.id
    for key, value in search.tags:
        own = exists().where(model_tags.c.model_id == models.c.id, *_tagged(model_tags, key, value))
        version = exists().where(
            of_model,
            model_version_tags.c.version_id == model_versions.c.id,
            *_tagged(model_version_tags, key, value),
        )
        found.append(or_(own, version))
    if search.format is not None:
        found.append(exists().where(of_model, model_versions.c.format == search.format))
    if search.licence is not None:
        found.append(exists().where(of_model, model_versions.c.licence == search.licence))
    return found


def _tagged(table: Table, key: str, value: str | None) -> list[ColumnElement[bool]]:
    return [table.c.key == key, *([table.c.value == value] if value is not None else [])]


async def _write_tags(tx: Tx, owner: Any, owner_id: str, tags: Mapping[str, str]) -> None:
    await tx.execute(owner.table.delete().where(owner == owner_id))
    rows = [{owner.name: owner_id, "key": key, "value": tags[key]} for key in sorted(tags)]
    if rows:
        await tx.execute(owner.table.insert(), rows)


async def _read_tags(tx: Tx, owner: Any, ids_: Collection[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    if ids_:
        query = select(owner.table).where(owner.in_(sorted(ids_))).order_by(owner.table.c.key)
        for row in await tx.execute(query):
            found.setdefault(row[0], {})[row.key] = row.value
    return found


async def _models(tx: Tx, query: Select[Any]) -> list[Model]:
    rows = (await tx.execute(query)).all()
    wanted = [row.id for row in rows]
    tags = await _read_tags(tx, model_tags.c.model_id, wanted)
    newest: dict[str, int] = {}
    if wanted:
        highest = func.max(model_versions.c.number).label("highest")
        numbers = select(model_versions.c.model_id, highest)
        numbers = numbers.where(model_versions.c.model_id.in_(wanted))
        grouped = await tx.execute(numbers.group_by(model_versions.c.model_id))
        newest = {row.model_id: row.highest for row in grouped}
    found: list[Model] = []
    for row in rows:
        fields: dict[str, Any] = row._asdict()
        fields["visibility"] = Visibility(row.visibility)
        fields["tags"] = tags.get(row.id, {})
        found.append(Model(**fields, latest_version=newest.get(row.id)))
    return found


async def _versions(tx: Tx, query: Select[Any], model: Model) -> list[ModelVersion]:
    rows = (await tx.execute(query)).all()
    tags = await _read_tags(tx, model_version_tags.c.version_id, [row.id for row in rows])
    found = []
    for row in rows:
        fields: dict[str, Any] = row._asdict()
        fields["files"] = tuple(StoredFile(**file) for file in row.files)
        fields["scanned"] = _scanned(row.scanned)
        found.append(ModelVersion(**fields, model_name=model.name, tags=tags.get(row.id, {})))
    return found


def _scanned(document: Any) -> Scanned:
    if document is None:  # registered before there were scans
        return Scanned()
    findings = tuple(Found(**one) for one in document["findings"])
    return Scanned(document["metadata"], document["carries_code"], findings)
