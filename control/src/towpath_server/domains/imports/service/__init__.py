"""
Rules of imports: what a caller may ask of them (here), and how they move (`service.moves`).

An import acts with the rights that its creator had when it began. One URI comes once at a time into
one model.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace

from towpath_server.adapters.facilities import Facilities
from towpath_server.core import holds, ids, revision, sources, uses
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Database, Tx
from towpath_server.core.errors import Finding, InvalidRequest, NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.core.sources import Address
from towpath_server.domains.audit import service as audit
from towpath_server.domains.connections import service as connections
from towpath_server.domains.imports import store
from towpath_server.domains.imports.errors import SourceUnusable, TooManyImports
from towpath_server.domains.imports.models import ENDED, Import, Order, Phase
from towpath_server.domains.models import service as models
from towpath_server.domains.projects import service as projects

MAX_ACTIVE = 100  # of a project: a person still sees through them, and they run two at a time
# What names no content may have changed since; within this time it is taken for the same.
FRESH_MS = 600_000
# A manifest that is sent again within this time is told why the last attempt failed.
REMEMBERED_MS = 60_000
_POLL_S = 0.1
_SHOWN = 5


async def begin(tx: Tx, caller: Principal, order: Order, *, facilities: Facilities) -> Import:
    """
    Begin an import, or return the one of the same URI into the same model that is under way.

    Raises:
        NotFound: There is no such model, and no project was named.
        Forbidden: The caller may not add versions to it.
        SourceUnusable: The URI names no source, or one that the team has no connection for.
        InvalidRequest: There is no such format.
        TooManyImports: The project has as many under way as it may have.
    """
    address = _address(order.uri)
    if order.format and (wrong := models.check_format(order.format, facilities)):
        raise InvalidRequest(wrong[0].message, fix=wrong[0].fix, findings=wrong)
    model, owner = await models.owner_of(tx, caller, order.model, project=order.project)
    caller.require(Verb.CREATE, "import", team=owner.team_id, project=owner.id)
    if (lacking := await unreachable(tx, owner.team_id, address, at="#/uri")) is not None:
        raise SourceUnusable(lacking.message, fix=lacking.fix, findings=[lacking])
    name = model.name if model else order.model
    if found := await store.under_way(tx, owner.id, name, address.text):
        return replace(found, project=owner.path)
    if await store.count_active(tx, owner.id) >= MAX_ACTIVE:
        raise TooManyImports(MAX_ACTIVE)
    made = Import(
        id=ids.new("imp"),
        revision=1,
        created_at_ms=tx.now_ms,
        updated_at_ms=tx.now_ms,
        model=name,
        team_id=owner.team_id,
        project_id=owner.id,
        uri=address.text,
        format=order.format,
        licence=order.licence,
        card=None,
        tags=order.tags,
        phase=Phase.QUEUED,
        by_kind=caller.kind,
        by_id=caller.id,
        by_name=caller.name,
        project=owner.path,
    )
    if not await store.insert(tx, made):  # another call was first, and has committed
        found = await store.under_way(tx, owner.id, name, address.text)
        return (
            replace(found, project=owner.path)
            if found
            else await begin(tx, caller, order, facilities=facilities)
        )
    await note(tx, caller, made, "created", {"model": name, "uri": made.uri})
    return made


async def get(tx: Tx, caller: Principal, ref: str, *, verb: Verb = Verb.READ) -> Import:
    """
    Return an import by id.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller may see it, and not `verb` it.
    """
    found = await store.find(tx, ref)
    if found is None or found.cancelled:
        raise NotFound("import", ref)
    caller.require(verb, "import", team=found.team_id, project=found.project_id, ref=ref)
    return (await _placed(tx, [found]))[0]


async def list(  # noqa: A001
    tx: Tx, caller: Principal, window: Window, *, model: str | None = None
) -> Slice[Import]:
    """
    List imports, newest first, into all models or one.

    Raises:
        Forbidden: The caller may read none.
    """
    found = await store.page(tx, caller.reach("import"), window, model=model)
    part = Slice.cut(found, window)
    return Slice([*await _placed(tx, part.items)], part.next)


async def cancel(tx: Tx, caller: Principal, ref: str, *, if_match: int | None) -> None:
    """
    End an import that is under way, or forget one that has ended; a version that it made stays.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller may not cancel it.
        RevisionConflict: It is no longer at `if_match`.
    """
    found = await get(tx, caller, ref, verb=Verb.DELETE)
    revision.match(if_match, found.revision)
    if found.phase in ENDED:
        await store.remove(tx, found.id, found.revision)
    else:  # what came of it is cleared away by whoever runs it
        await store.change(tx, found, {"cancelled": True})
    await note(tx, caller, found, "deleted", None)


async def unreachable(tx: Tx, team_id: str, address: Address, *, at: str) -> Finding | None:
    """Say what a team lacks to reach an address, as far as that can be told without asking it."""
    if address.scheme != "s3":
        return None
    found = await connections.serving(tx, address.text, team_id=team_id)
    if found is not None and (found[0].endpoint or found[0].region):
        return None  # with a region alone it is Amazon's
    name = found[0].name if found else None
    bucket = address.text.partition("://")[2].partition("/")[0]
    why = f"the connection `{name}` has no `endpoint`" if name else "no connection is for it"
    fix = (
        f"`towpath connections update {name} --endpoint URL`."
        if name
        else f"`towpath connections create NAME --team TEAM --location s3://{bucket}/ "
        "--endpoint URL --username KEY_ID --credential-stdin`."
    )
    said = f"Where the bucket `{bucket}` is is not known: {why}."
    return Finding(at, said, fix, reason="NoConnection")


async def version_of(tx: Tx, project_id: str, model: str, address: Address) -> int | None:
    """Return the version that an address became, unless it may have changed since."""
    found = await store.newest(tx, project_id, model, address.text, Phase.DONE)
    if found is None or found.ended_at_ms is None:
        return None
    fresh = address.pinned or tx.now_ms - found.ended_at_ms <= FRESH_MS
    return found.version if fresh else None


async def last(tx: Tx, project_id: str, model: str, address: Address) -> Import | None:
    """Return the import of an address that is under way, or that failed a moment ago."""
    if found := await store.under_way(tx, project_id, model, address.text):
        return found
    failed = await store.newest(tx, project_id, model, address.text, Phase.FAILED)
    if failed is None or failed.ended_at_ms is None:
        return None
    return failed if tx.now_ms - failed.ended_at_ms <= REMEMBERED_MS else None


async def settled(db: Database, id: str, *, within_s: float) -> None:  # noqa: A002
    """Wait until an import has ended, but not longer than that."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within_s
    while loop.time() < end:
        async with db.read() as tx:
            if not await store.wanted(tx, id):
                return
        await asyncio.sleep(_POLL_S)


async def note(
    tx: Tx, caller: Principal, found: Import, what: str, changes: dict[str, object] | None
) -> None:
    """Append an event of an import to the audit log."""
    await audit.append(
        tx,
        caller,
        action=f"import.{what}",
        noun="import",
        id=found.id,
        team=found.team_id,
        changes=changes,
    )


@holds.artifacts
async def _held(tx: Tx, digests: Collection[str]) -> Collection[str]:
    return await store.digests_of_files(tx, digests)


@uses.of("project")
async def _uses_of_project(tx: Tx, project_id: str) -> Sequence[str]:
    return [f"import {id_}" for id_ in await store.active_of_project(tx, project_id, _SHOWN)]


@uses.of("model")
async def _uses_of_model(tx: Tx, model_id: str) -> Sequence[str]:
    model = await models.find(tx, model_id)
    found = await store.active_of_model(tx, model.name, _SHOWN) if model else []
    return [f"import {id_}" for id_ in found]


def _address(uri: str) -> Address:
    try:
        return sources.parse(uri)
    except sources.UriInvalid as error:
        detail = f"`uri` {error}."
        raise SourceUnusable(
            detail,
            fix=error.fix,
            findings=[Finding("#/uri", detail, error.fix, reason=error.reason)],
        ) from error


async def _placed(tx: Tx, found: Sequence[Import]) -> Sequence[Import]:
    paths = await projects.names(tx, {one.project_id for one in found})
    return [replace(one, project=paths.get(one.project_id, "")) for one in found]
