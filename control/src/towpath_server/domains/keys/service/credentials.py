"""What keys and service accounts have in common: a hash, a lane of revocation, a principal."""

import ipaddress
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from towpath_server.core import revision, tokens, uses
from towpath_server.core.access import Principal, PrincipalKind, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.audit import service as audit
from towpath_server.domains.keys import store
from towpath_server.domains.keys.models import Key, Kind
from towpath_server.domains.projects import service as projects

_PRINCIPALS = {Kind.KEY: PrincipalKind.KEY, Kind.SERVICE_ACCOUNT: PrincipalKind.SERVICE_ACCOUNT}


async def authenticate(tx: Tx, token: str, *, address: str | None) -> Principal | None:
    """
    Return who a key or service account's token stands for.

    None when it is unknown, revoked, expired, or restricted to networks that `address` is not in.
    """
    key = await store.find_by_hash(tx, tokens.digest(token))
    if key is None or (key.expires_at_ms is not None and key.expires_at_ms <= tx.now_ms):
        return None
    if key.sources is not None and not _within(address, key.sources):
        return None
    return Principal(
        _PRINCIPALS[key.kind],
        key.id,
        key.name,
        team=key.team_id,
        project=key.project_id,
        environment=key.environment.value,
        scopes=frozenset(key.scopes),
    )


async def get(tx: Tx, caller: Principal, kind: Kind, ref: str, *, verb: Verb) -> Key:
    """
    Return a live one by id.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller may see it, and may not `verb` it.
    """
    key = await store.find(tx, kind, ref)
    if key is None:
        raise NotFound(kind.value, ref)
    caller.require(verb, kind.value, team=key.team_id, project=key.project_id, ref=ref)
    return key


async def page(
    tx: Tx, caller: Principal, kind: Kind, window: Window, *, project: str | None
) -> Slice[Key]:
    """
    List the live ones that the caller may see.

    Raises:
        NotFound: There is no such project that the caller may see.
    """
    reach = caller.reach(kind.value)
    home = await projects.resolve(tx, caller, project) if project is not None else None
    rows = await store.page(tx, reach, window, kind=kind, project=home.id if home else None)
    return Slice.cut(rows, window)


async def insert(tx: Tx, caller: Principal, key: Key) -> None:
    """Store a new one and tell the gateways."""
    await store.insert(tx, key)
    await revision.bump(tx, "key", key.id)
    shown = {"name": key.name, "environment": key.environment, "scopes": [*key.scopes]}
    if key.rotated_from:
        shown["rotated_from"] = key.rotated_from
    await _audit(tx, caller, key, "created", shown)


async def change(tx: Tx, caller: Principal, key: Key, changes: Mapping[str, Any]) -> Key:
    """Change what differs and tell the gateways; nothing differs: nothing happens."""
    news = {name: value for name, value in changes.items() if getattr(key, name) != value}
    if not news:
        return key
    await store.change(tx, key, news)
    await revision.bump(tx, "key", key.id)
    if "name" in news:
        await uses.renamed(tx, "key", key.id)
    shown = {name: [*value] if isinstance(value, tuple) else value for name, value in news.items()}
    await _audit(tx, caller, key, "updated", shown)
    return replace(key, **news, revision=key.revision + 1, updated_at_ms=tx.now_ms)


async def revoke(tx: Tx, caller: Principal, key: Key) -> None:
    """End it at once, on the gateways' own lane for that; its limits and budgets end with it."""
    await uses.release(tx, "key", key.id)
    await store.change(tx, key, {"revoked_at_ms": tx.now_ms})
    await revision.revoke(tx, key.id, key.hash)
    await _audit(tx, caller, key, "revoked", {"name": key.name})


def _within(address: str | None, networks: tuple[str, ...]) -> bool:
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(mapped in ipaddress.ip_network(network) for network in networks)


async def _audit(
    tx: Tx, caller: Principal, key: Key, verb: str, changes: Mapping[str, Any]
) -> None:
    await audit.append(
        tx,
        caller,
        action=f"{key.kind}.{verb}",
        noun=key.kind.value,
        id=key.id,
        team=key.team_id,
        changes=changes,
    )
