"""Queries of models."""

from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from sqlalchemy import and_, func, or_, select

from towpath_server.adapters.objectstore.store import StoredFile
from towpath_server.core import ids, queries
from towpath_server.core.access import Reach
from towpath_server.core.db import Tx
from towpath_server.core.paging import Window
from towpath_server.domains.models.models import Found, Model, ModelVersion, Scanned, Visibility
from towpath_server.domains.models.tables import model_versions, models


async def insert(tx: Tx, model: Model) -> None:
    """Add a model."""
    await tx.execute(models.insert().values(**asdict(model)))


async def find(tx: Tx, ref: str) -> Model | None:
    """Find a model by id or name, whoever asks."""
    column = models.c.id if ids.is_id(ref, "mdl") else models.c.name
    row = (await tx.execute(select(models).where(column == ref))).first()
    return _model(row) if row else None


async def page(tx: Tx, reach: Reach, teams: Collection[str], window: Window) -> list[Model]:
    """List one model more than the window has: own ones, and those shared with `teams`."""
    shared = or_(
        models.c.visibility == Visibility.ORGANIZATION,
        and_(models.c.visibility == Visibility.TEAM, models.c.team_id.in_(sorted(teams))),
    )
    own = queries.within(reach, team=models.c.team_id, project=models.c.project_id)
    query = queries.windowed(select(models).where(or_(own, shared)), window, models.c.id)
    return [_model(row) for row in await tx.execute(query)]


async def change(tx: Tx, model: Model, values: dict[str, Any]) -> None:
    """Change some columns."""
    await queries.change(tx, models, model.id, model.revision, values)


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
    row["files"] = [asdict(file) for file in version.files]
    await tx.execute(model_versions.insert().values(**row))


async def last_number(tx: Tx, model: Model) -> int:
    """Return the highest version number; 0 before the first."""
    query = select(func.max(model_versions.c.number)).where(model_versions.c.model_id == model.id)
    return (await tx.execute(query)).scalar_one_or_none() or 0


async def find_version(tx: Tx, model: Model, number: int) -> ModelVersion | None:
    """Find a version by its number."""
    query = select(model_versions).where(
        model_versions.c.model_id == model.id, model_versions.c.number == number
    )
    row = (await tx.execute(query)).first()
    return _version(row, model) if row else None


async def latest_version(tx: Tx, model: Model) -> ModelVersion | None:
    """Return the newest version."""
    query = select(model_versions).where(model_versions.c.model_id == model.id)
    query = query.order_by(model_versions.c.number.desc()).limit(1)
    row = (await tx.execute(query)).first()
    return _version(row, model) if row else None


async def versions(tx: Tx, model: Model, window: Window) -> list[ModelVersion]:
    """List one version more than the window has, oldest first."""
    query = select(model_versions).where(model_versions.c.model_id == model.id)
    query = queries.windowed(query, window, model_versions.c.id)
    return [_version(row, model) for row in await tx.execute(query)]


async def digests_of_versions(tx: Tx, digests: Collection[str]) -> set[str]:
    """Return those of some digests that any version has."""
    return await queries.digests_among(tx, model_versions.c.id, model_versions.c.files, digests)


def _model(row: Any) -> Model:
    fields: dict[str, Any] = row._asdict()
    fields["visibility"] = Visibility(row.visibility)
    return Model(**fields)


def _version(row: Any, model: Model) -> ModelVersion:
    fields: dict[str, Any] = row._asdict()
    fields["files"] = tuple(StoredFile(**file) for file in row.files)
    fields["model_name"] = model.name
    fields["scanned"] = _scanned(row.scanned)
    return ModelVersion(**fields)


def _scanned(document: Any) -> Scanned:
    if document is None:  # registered before there were scans
        return Scanned()
    findings = tuple(Found(**one) for one in document["findings"])
    return Scanned(document["metadata"], document["carries_code"], findings)
