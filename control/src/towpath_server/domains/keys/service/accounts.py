"""Service accounts: what a project's automation calls with."""

from collections.abc import Mapping, Sequence

from towpath_server.core import ids, revision, tokens
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import NameTaken
from towpath_server.core.paging import Slice, Window
from towpath_server.core.secret import Secret
from towpath_server.domains.keys import service as keys
from towpath_server.domains.keys import store
from towpath_server.domains.keys.models import Environment, Key, Kind
from towpath_server.domains.keys.service import credentials
from towpath_server.domains.projects import service as projects


async def create(
    tx: Tx,
    caller: Principal,
    *,
    project: str,
    name: str,
    scopes: Sequence[str],
    environment: Environment,
    expires_at_ms: int | None,
) -> tuple[Key, Secret]:
    """
    Create a service account; its token is returned this once.

    Raises:
        NotFound: There is no such project that the caller may see.
        Forbidden: The caller does not administer its team.
        NameTaken: The project has a service account of this name.
        InvalidRequest: It would expire in the past.
    """
    home = await projects.resolve(tx, caller, project, verb=Verb.CREATE, noun="service_account")
    if await store.exists(tx, Kind.SERVICE_ACCOUNT, home.id, name):
        raise NameTaken("service_account", name, owner=f"project `{home.path}`")
    keys.ensure_future(tx, expires_at_ms)
    secret = tokens.mint("service")
    account = Key(
        id=ids.new("sa"),
        revision=1,
        created_at_ms=tx.now_ms,
        updated_at_ms=tx.now_ms,
        kind=Kind.SERVICE_ACCOUNT,
        team_id=home.team_id,
        project_id=home.id,
        environment=environment,
        name=name,
        hash=tokens.digest(secret.reveal()),
        hint=tokens.hint(secret.reveal()),
        scopes=tuple(sorted(set(scopes))),
        expires_at_ms=expires_at_ms,
    )
    await credentials.insert(tx, caller, account)
    return account, secret


async def get(tx: Tx, caller: Principal, ref: str, *, verb: Verb = Verb.READ) -> Key:
    """
    Return a service account by id.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller may see it, and may not `verb` it.
    """
    return await credentials.get(tx, caller, Kind.SERVICE_ACCOUNT, ref, verb=verb)


async def list(  # noqa: A001
    tx: Tx, caller: Principal, window: Window, *, project: str | None
) -> Slice[Key]:
    """
    List the service accounts that the caller may see.

    Raises:
        NotFound: There is no such project that the caller may see.
    """
    return await credentials.page(tx, caller, Kind.SERVICE_ACCOUNT, window, project=project)


async def update(
    tx: Tx, caller: Principal, ref: str, *, changes: Mapping[str, object], if_match: int | None
) -> Key:
    """
    Change scopes or expiry.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller does not administer its team.
        RevisionConflict: It is no longer at `if_match`.
        InvalidRequest: It would expire in the past.
    """
    account = await get(tx, caller, ref, verb=Verb.UPDATE)
    revision.match(if_match, account.revision)
    expires = changes.get("expires_at_ms")
    keys.ensure_future(tx, expires if isinstance(expires, int) else None)
    return await credentials.change(tx, caller, account, changes)


async def delete(tx: Tx, caller: Principal, ref: str, *, if_match: int | None) -> None:
    """
    Delete a service account; its token stops working at once.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller does not administer its team.
        RevisionConflict: It is no longer at `if_match`.
    """
    account = await get(tx, caller, ref, verb=Verb.DELETE)
    revision.match(if_match, account.revision)
    await credentials.revoke(tx, caller, account)
