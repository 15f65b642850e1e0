"""
Rules of connections: who may set them, and which one serves an address.

A connection is used as a whole: its credential goes to its own endpoint or to the location that it
was given for, and nowhere else.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from towpath_server.core import clear, ids, revision, suggest, uses
from towpath_server.core.access import SYSTEM, Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding, Forbidden, InvalidRequest, NameTaken, NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.core.secret import Secret
from towpath_server.domains.audit import service as audit
from towpath_server.domains.connections import store
from towpath_server.domains.connections.models import Connection, ConnectionDraft, closest
from towpath_server.domains.teams import service as teams

_WHERE = ("location", "endpoint")
_PLAIN = (*_WHERE, "region", "username", "ca_pem")


async def create(
    tx: Tx, caller: Principal, draft: ConnectionDraft, *, credential: Secret | None
) -> Connection:
    """
    Declare a connection; its credential is sealed and never given out again.

    Raises:
        NotFound: There is no such team that the caller may see.
        Forbidden: The caller does not administer the team, or it is everybody's.
        NameTaken: There is a connection of this name.
        InvalidRequest: Its credential would be sent in clear.
    """
    team = await teams.get(tx, caller, draft.team) if draft.team else None
    if team is not None:
        caller.require(Verb.CREATE, "connection", team=team.id, ref=team.name)
    elif not caller.may(Verb.CREATE, "connection"):
        raise Forbidden(
            "A connection without `team` is for everybody, which takes the platform role.",
            fix="Name a `team` that you administer.",
        )
    if await store.find(tx, draft.name) is not None:
        raise NameTaken("connection", draft.name)
    _unread(draft.endpoint, credential=credential is not None)
    credential_id = ids.new("crd") if credential else None
    connection = Connection(
        id=ids.new("con"),
        revision=1,
        created_at_ms=tx.now_ms,
        updated_at_ms=tx.now_ms,
        name=draft.name,
        team_id=team.id if team else None,
        location=draft.location,
        endpoint=draft.endpoint,
        region=draft.region,
        username=draft.username,
        credential_id=credential_id,
        ca_pem=draft.ca_pem,
        team=team.name if team else None,
    )
    await store.insert(tx, connection, _seal(tx, credential, credential_id))
    shown = {"location": connection.location, "endpoint": connection.endpoint}
    await _note(tx, caller, connection, "created", shown)
    return connection


async def get(tx: Tx, caller: Principal, ref: str) -> Connection:
    """
    Return a connection by id or name; the organisation's are everybody's to read.

    Raises:
        NotFound: There is none that the caller may see.
    """
    found = await store.find(tx, ref)
    if found is None:
        known = await store.page(tx, caller.reach("connection"), Window(limit=1_000))
        hint = suggest.did_you_mean(ref, [one.name for one in known])
        raise NotFound("connection", ref, fix=hint)
    if found.team_id is not None:
        caller.require(Verb.READ, "connection", team=found.team_id, ref=ref)
    names = await teams.names(tx, {found.team_id} if found.team_id else set())
    return replace(found, team=names.get(found.team_id or ""))


async def list(tx: Tx, caller: Principal, window: Window) -> Slice[Connection]:  # noqa: A001
    """
    List the organisation's connections and those of the caller's teams.

    Raises:
        Forbidden: The caller may read none.
    """
    found = Slice.cut(await store.page(tx, caller.reach("connection"), window), window)
    names = await teams.names(tx, {one.team_id for one in found.items if one.team_id})
    return Slice(
        [replace(one, team=names.get(one.team_id or "")) for one in found.items], found.next
    )


async def update(
    tx: Tx, caller: Principal, ref: str, changes: Mapping[str, Any], *, if_match: int | None
) -> Connection:
    """
    Change what `changes` names; a new credential replaces the former one.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller does not administer whose it is.
        RevisionConflict: It is no longer at `if_match`.
        InvalidRequest: Its credential would go elsewhere, and was not sent anew, or in clear.
    """
    found = await _owned(tx, caller, ref, Verb.UPDATE)
    revision.match(if_match, found.revision)
    values: dict[str, Any] = {name: changes[name] for name in _PLAIN if name in changes}
    moved = any(name in values and values[name] != getattr(found, name) for name in _WHERE)
    if moved and found.credential_id is not None and "credential" not in changes:
        fix = "Send `credential` again, or `null`: whoever changes the address must know it."
        detail = "The credential would go to another address."
        raise InvalidRequest(
            detail, fix=fix, findings=[Finding("#/credential", detail, fix, reason="Missing")]
        )
    kept = changes.get("credential", found.credential_id)
    _unread(values.get("endpoint", found.endpoint), credential=kept is not None)
    shown = {**values}
    if "credential" in changes:
        credential: Secret | None = changes["credential"]
        credential_id = ids.new("crd") if credential else None
        values["credential_id"] = credential_id
        values["credential_sealed"] = _seal(tx, credential, credential_id)
        shown["credential"] = "replaced" if credential else "removed"
    await store.change(tx, found, values)
    await _note(tx, caller, found, "updated", shown)
    return await get(tx, caller, found.id)


async def delete(tx: Tx, caller: Principal, ref: str, *, if_match: int | None) -> None:
    """
    Delete a connection; what was fetched by it stays.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller does not administer whose it is.
        RevisionConflict: It is no longer at `if_match`.
    """
    found = await _owned(tx, caller, ref, Verb.DELETE)
    revision.match(if_match, found.revision)
    await store.remove(tx, found)
    await _note(tx, caller, found, "deleted", None)


async def serving(tx: Tx, uri: str, *, team_id: str) -> tuple[Connection, Secret | None] | None:
    """
    Return the connection by which a team reaches an address, with its credential; for loops alone.

    Raises:
        SealBroken: Another secret key sealed the credential.
    """
    found = closest(await store.for_team(tx, team_id), uri)
    if found is None:
        return None
    connection = found.connection
    if found.sealed is None or connection.credential_id is None:
        return connection, None
    return connection, tx.sealer.open(found.sealed, id=connection.credential_id)


@uses.falls_with("team")
async def _gone(tx: Tx, team_id: str) -> None:
    for connection in await store.of_team(tx, team_id):
        await store.remove(tx, connection)
        await _note(tx, SYSTEM, connection, "deleted", None)


async def _owned(tx: Tx, caller: Principal, ref: str, verb: Verb) -> Connection:
    found = await get(tx, caller, ref)
    if found.team_id is not None:
        caller.require(verb, "connection", team=found.team_id, ref=ref)
    elif not caller.may(verb, "connection"):
        raise Forbidden(
            f"The connection `{found.name}` is the organisation's; a team cannot change it.",
            fix="Ask those who run the platform, or create one of your team's own.",
        )
    return found


def _unread(endpoint: str | None, *, credential: bool) -> None:
    """Refuse to send a credential where others could read it."""
    if endpoint is None or not credential or not clear.leaks(endpoint):
        return
    detail = (
        "The endpoint is plain `http:` and not nearby: whoever is on the way could read or replay "
        "what the credential is sent with."
    )
    fix = (
        "Use `https:`, with `ca_pem` for certificates of your own, or leave the credential out. "
        "Plain `http:` is for loopback, private addresses and names such as `s3.internal`."
    )
    finding = Finding("#/endpoint", detail, fix, reason="SentInClear")
    raise InvalidRequest(detail, fix=fix, findings=[finding])


def _seal(tx: Tx, credential: Secret | None, credential_id: str | None) -> str | None:
    if credential is None or credential_id is None:
        return None
    return tx.sealer.seal(credential, id=credential_id)


async def _note(
    tx: Tx, caller: Principal, connection: Connection, what: str, changes: dict[str, Any] | None
) -> None:
    await audit.append(
        tx,
        caller,
        action=f"connection.{what}",
        noun="connection",
        id=connection.id,
        team=connection.team_id,
        changes={"name": connection.name, **changes} if changes is not None else None,
    )
