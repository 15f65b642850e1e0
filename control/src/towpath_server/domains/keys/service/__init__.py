"""Rules of API keys (here) and service accounts (`service.accounts`)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from towpath_server.core import ids as new_ids
from towpath_server.core import revision, tokens, uses
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding, InvalidRequest, NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.core.secret import Secret
from towpath_server.domains.keys import store
from towpath_server.domains.keys.models import Environment, Key, Kind, Restrictions
from towpath_server.domains.keys.service import credentials
from towpath_server.domains.keys.service.credentials import authenticate
from towpath_server.domains.projects import service as projects
from towpath_server.domains.projects.service import applications

__all__ = [
    "authenticate",
    "by_ids",
    "create",
    "delete",
    "find_any",
    "get",
    "names",
    "replaced_by",
    "rotate",
    "routed",
    "touch",
    "update",
]

DEFAULT_SCOPES = ("invoke", "read")
UNRESTRICTED = Restrictions()
_SHOWN = 5  # names of keys that keep a project from being deleted


async def create(
    tx: Tx,
    caller: Principal,
    *,
    project: str,
    environment: Environment,
    name: str,
    application: str | None = None,
    scopes: Sequence[str] = DEFAULT_SCOPES,
    restrictions: Restrictions = UNRESTRICTED,
    expires_at_ms: int | None = None,
) -> tuple[Key, Secret]:
    """
    Create an API key; the secret is returned this once.

    Args:
        project: `team/project`, or the id.
        application: Name or id of an application of that project.

    Raises:
        NotFound: There is no such project that the caller may see, or no such application in it.
        Forbidden: The caller does not develop in the project.
        InvalidRequest: It would expire in the past.
    """
    home = await projects.resolve(tx, caller, project, verb=Verb.CREATE, noun="key")
    program = await applications.find_in(tx, home.id, application) if application else None
    ensure_future(tx, expires_at_ms)
    secret = tokens.mint(environment.value)
    key = Key(
        id=new_ids.new("key"),
        revision=1,
        created_at_ms=tx.now_ms,
        updated_at_ms=tx.now_ms,
        kind=Kind.KEY,
        team_id=home.team_id,
        project_id=home.id,
        environment=environment,
        name=name,
        hash=tokens.digest(secret.reveal()),
        hint=tokens.hint(secret.reveal()),
        scopes=tuple(sorted(set(scopes))),
        application_id=program.id if program else None,
        endpoints=restrictions.endpoints,
        operations=restrictions.operations,
        sources=restrictions.sources,
        max_data_class=restrictions.max_data_class,
        priority=restrictions.priority,
        expires_at_ms=expires_at_ms,
    )
    await credentials.insert(tx, caller, key)
    return key, secret


async def get(tx: Tx, caller: Principal, ref: str, *, verb: Verb = Verb.READ) -> Key:
    """
    Return a live key by id.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller may see it, and may not `verb` it.
    """
    return await credentials.get(tx, caller, Kind.KEY, ref, verb=verb)


async def list(  # noqa: A001
    tx: Tx, caller: Principal, window: Window, *, project: str | None = None
) -> Slice[Key]:
    """
    List the live keys that the caller may see, of all projects or of one.

    Raises:
        NotFound: There is no such project that the caller may see.
    """
    return await credentials.page(tx, caller, Kind.KEY, window, project=project)


async def update(
    tx: Tx, caller: Principal, ref: str, *, changes: Mapping[str, object], if_match: int | None
) -> Key:
    """
    Change a key's name, expiry or restrictions; its project and environment never change.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller does not develop in its project.
        RevisionConflict: It is no longer at `if_match`.
        InvalidRequest: It would expire in the past.
    """
    key = await get(tx, caller, ref, verb=Verb.UPDATE)
    revision.match(if_match, key.revision)
    expires = changes.get("expires_at_ms")
    ensure_future(tx, expires if isinstance(expires, int) else None)
    return await credentials.change(tx, caller, key, changes)


async def rotate(
    tx: Tx, caller: Principal, ref: str, *, grace_ms: int, if_match: int | None
) -> tuple[Key, Secret]:
    """
    Replace a key by a new one with the same rights; the old one lasts for the grace period.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller does not develop in its project.
        RevisionConflict: It is no longer at `if_match`.
    """
    key = await get(tx, caller, ref, verb=Verb.UPDATE)
    revision.match(if_match, key.revision)
    secret = tokens.mint(key.environment.value)
    successor = replace(
        key,
        id=new_ids.new("key"),
        revision=1,
        created_at_ms=tx.now_ms,
        updated_at_ms=tx.now_ms,
        hash=tokens.digest(secret.reveal()),
        hint=tokens.hint(secret.reveal()),
        last_used_at_ms=None,
        rotated_from=key.id,
    )
    await credentials.insert(tx, caller, successor)
    await uses.pass_on(tx, "key", key.id, successor.id)
    if grace_ms == 0:
        await credentials.revoke(tx, caller, key)
    else:
        ends = tx.now_ms + grace_ms
        if key.expires_at_ms is None or key.expires_at_ms > ends:
            await credentials.change(tx, caller, key, {"expires_at_ms": ends})
    return successor, secret


async def delete(tx: Tx, caller: Principal, ref: str, *, if_match: int | None) -> None:
    """
    Revoke a key at once, on every gateway.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller does not develop in its project.
        RevisionConflict: It is no longer at `if_match`.
    """
    key = await get(tx, caller, ref, verb=Verb.DELETE)
    revision.match(if_match, key.revision)
    await credentials.revoke(tx, caller, key)


async def find_any(tx: Tx, caller: Principal, ref: str) -> Key:
    """
    Return a live key or service account by id, for rules about either.

    Raises:
        NotFound: There is none that the caller may see.
    """
    for kind in Kind:
        key = await store.find(tx, kind, ref)
        if key is not None:
            caller.require(Verb.READ, kind.value, team=key.team_id, project=key.project_id, ref=ref)
            return key
    raise NotFound("key", ref)


async def by_ids(tx: Tx, wanted: Collection[str]) -> dict[str, Key]:
    """Return live keys and service accounts by id, whoever asks."""
    return {key.id: key for key in await store.live(tx, wanted=wanted)} if wanted else {}


async def replaced_by(tx: Tx, key_id: str) -> Sequence[str]:
    """Return the ids of the keys that this one replaced, its own predecessor first."""
    return await store.predecessors(tx, key_id)


async def names(tx: Tx, wanted: Collection[str]) -> dict[str, str]:
    """Return the names of keys and service accounts by id, revoked ones too, whoever asks."""
    return await store.names(tx, wanted) if wanted else {}


async def touch(tx: Tx, used_at_ms: Mapping[str, int]) -> None:
    """Note when keys were last used; what is older than what is known changes nothing."""
    await store.touch(tx, used_at_ms)


async def routed(
    tx: Tx, *, ids: Collection[str] | None = None, after: str = "", limit: int = 5_000
) -> Sequence[Key]:
    """List the live keys and service accounts that the routing table holds, in order of id."""
    return await store.live(tx, wanted=ids, after=after, limit=limit)


def ensure_future(tx: Tx, expires_at_ms: int | None) -> None:
    """
    Refuse an expiry that has passed.

    Raises:
        InvalidRequest: It has.
    """
    if expires_at_ms is not None and expires_at_ms <= tx.now_ms:
        raise InvalidRequest(
            "`expires_at` is in the past.",
            fix="Give a time to come, or leave it out.",
            findings=[Finding("#/expires_at", "This time is in the past.")],
        )


@uses.of("project")
async def _of_project(tx: Tx, project: str) -> Sequence[str]:
    return [f"key {name}" for name in await store.names_using(tx, project=project, limit=_SHOWN)]


@uses.of("application")
async def _of_application(tx: Tx, application: str) -> Sequence[str]:
    found = await store.names_using(tx, application=application, limit=_SHOWN)
    return [f"key {name}" for name in found]
