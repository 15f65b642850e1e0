"""Rules of aliases."""

from dataclasses import replace
from typing import Any

from towpath_server.core import ids, revision, suggest, uses
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import InvalidRequest, NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.aliases import store
from towpath_server.domains.aliases.models import Alias, Move
from towpath_server.domains.audit import service as audit
from towpath_server.domains.models import service as models
from towpath_server.domains.models.models import Model, ModelVersion

MAX_ALIASES = 100  # of one model: names that people keep apart
_SHOWN = 5  # names in a fix; more would not help


async def set(  # noqa: A001
    tx: Tx,
    caller: Principal,
    ref: str,
    name: str,
    *,
    number: int,
    reason: str,
    if_match: int | None = None,
) -> Alias:
    """
    Point an alias at a version, new or moved; deployments stay at the version they resolved to.

    Raises:
        NotFound: There is no such model or version that the caller may see.
        Forbidden: The caller may not set aliases of it.
        RevisionConflict: It is no longer at `if_match`.
        InvalidRequest: The model has as many as one may have.
    """
    model = await models.get(tx, caller, ref)
    caller.require(Verb.CREATE, "alias", team=model.team_id, project=model.project_id)
    await models.get_version(tx, caller, model.id, number)
    present = await store.find(tx, model, name)
    if present is None:
        return await _insert(tx, caller, model, (name, number), reason)
    revision.match(if_match, present.revision)
    if present.number == number:
        return present
    await store.move(tx, present, number, reason)
    await _note(tx, caller, model, present, to=number, reason=reason)
    return replace(
        present,
        number=number,
        reason=reason,
        revision=present.revision + 1,
        updated_at_ms=tx.now_ms,
    )


async def get(tx: Tx, caller: Principal, ref: str, name: str) -> Alias:
    """
    Return an alias of a model, by name or id.

    Raises:
        NotFound: There is no such model that the caller may see, or no such alias of it.
    """
    return await _of(tx, await models.get(tx, caller, ref), name)


async def resolve(tx: Tx, caller: Principal, ref: str, name: str) -> ModelVersion:
    """
    Return the version that an alias names now.

    Raises:
        NotFound: There is no such model that the caller may see, or no such alias of it.
    """
    alias = await get(tx, caller, ref, name)
    return await models.get_version(tx, caller, alias.model_id, alias.number)


async def list(tx: Tx, caller: Principal, ref: str, window: Window) -> Slice[Alias]:  # noqa: A001
    """
    List the aliases of a model.

    Raises:
        NotFound: There is no such model that the caller may see.
    """
    model = await models.get(tx, caller, ref)
    return Slice.cut(await store.page(tx, model, window), window)


async def history(tx: Tx, caller: Principal, ref: str, name: str, window: Window) -> Slice[Move]:
    """
    List the moves of an alias, newest first; those of a deleted one too.

    Raises:
        NotFound: There is no such model that the caller may see, or it never had this alias.
    """
    model = await models.get(tx, caller, ref)
    present = await store.find(tx, model, name)
    moves = await store.moves(tx, model, present.name if present else name, window)
    if not moves and present is None:
        raise await _unknown(tx, model, name)
    return Slice.cut(moves, window)


async def delete(
    tx: Tx, caller: Principal, ref: str, name: str, *, reason: str | None, if_match: int | None
) -> None:
    """
    Delete an alias that no deployment was declared by; its log stays.

    Raises:
        NotFound: There is no such model that the caller may see, or no such alias of it.
        Forbidden: The caller may not delete aliases of it.
        RevisionConflict: It is no longer at `if_match`.
        InUse: Manifests of deployments name it.
    """
    model = await models.get(tx, caller, ref)
    caller.require(Verb.DELETE, "alias", team=model.team_id, project=model.project_id)
    alias = await _of(tx, model, name)
    revision.match(if_match, alias.revision)
    await uses.ensure_none(tx, "alias", alias.id, f"{model.name}@{alias.name}")
    await store.remove(tx, alias)
    await _note(tx, caller, model, alias, to=None, reason=reason)


async def place(tx: Tx, id: str) -> tuple[Model, str] | None:  # noqa: A002
    """Return the model and the name of an alias, whoever asks."""
    found = await store.place(tx, id)
    model = await models.find(tx, found[0]) if found else None
    return (model, found[1]) if found and model else None


async def _of(tx: Tx, model: Model, name: str) -> Alias:
    alias = await store.find(tx, model, name)
    if alias is None:
        raise await _unknown(tx, model, name)
    return alias


async def _unknown(tx: Tx, model: Model, name: str) -> NotFound:
    known = await store.names(tx, model, limit=MAX_ALIASES)
    listed = ", ".join(f"`{one}`" for one in known[:_SHOWN])
    fix = suggest.did_you_mean(name, known)
    if fix is None and known:
        fix = f"`{model.name}` has {listed}."
    fallback = f"`{model.name}` has no alias: `towpath models alias {model.name} {name} VERSION`."
    return NotFound("alias", f"{model.name}@{name}", fix=fix or fallback)


async def _insert(
    tx: Tx, caller: Principal, model: Model, to: tuple[str, int], reason: str
) -> Alias:
    if len(await store.names(tx, model, limit=MAX_ALIASES)) == MAX_ALIASES:
        raise InvalidRequest(
            f"`{model.name}` has {MAX_ALIASES} aliases, the most that one model may have.",
            fix="Move or delete one of them.",
        )
    name, number = to
    alias = Alias(
        id=ids.new("mal"),
        revision=1,
        created_at_ms=tx.now_ms,
        updated_at_ms=tx.now_ms,
        model_id=model.id,
        name=name,
        number=number,
        reason=reason,
        model_name=model.name,
    )
    await store.insert(tx, alias)
    await _note(tx, caller, model, replace(alias, number=0), to=number, reason=reason)
    return alias


async def _note(
    tx: Tx, caller: Principal, model: Model, alias: Alias, *, to: int | None, reason: str | None
) -> None:
    """Write down where it was (version 0: nowhere) and where it goes."""
    former = alias.number or None
    move = Move(
        id=ids.new("amv"),
        model_id=model.id,
        alias=alias.name,
        from_number=former,
        to_number=to,
        reason=reason,
        by_kind=caller.kind,
        by_id=caller.id,
        by_name=caller.name,
        at_ms=tx.now_ms,
    )
    await store.note(tx, move)
    word = "deleted" if to is None else "created" if former is None else "moved"
    changes: dict[str, Any] = {"model": model.name, "alias": alias.name}
    changes |= {"from": former, "to": to, "reason": reason}
    await audit.append(
        tx,
        caller,
        action=f"alias.{word}",
        noun="alias",
        id=alias.id,
        team=model.team_id,
        changes=changes,
    )
