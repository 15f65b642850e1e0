"""
Who has shown to have which content.

Only they may make versions of it: a digest alone must neither tell who has which model nor open it.
"""

from collections.abc import Collection

from towpath_server.adapters.objectstore import removals
from towpath_server.adapters.objectstore.errors import ArtifactMissing, ArtifactTooLarge
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.domains.artifacts import store
from towpath_server.domains.artifacts.models import Depot
from towpath_server.domains.audit import service as audit

STORE = "artifacts"
"""The store's name among those whose bytes are removed."""


def uploaders(caller: Principal) -> Collection[str]:
    """
    Return on whose behalf the caller uploads: every team they may create models in.

    Raises:
        Forbidden: The caller may not upload.
    """
    teams = [team for team in caller.roles if caller.may(Verb.CREATE, "artifact", team=team)]
    own = caller.team is not None and caller.may(
        Verb.CREATE, "artifact", team=caller.team, project=caller.project
    )
    if own and caller.team is not None:
        teams.append(caller.team)
    if not teams:
        caller.require(Verb.CREATE, "artifact")
    return teams or [caller.id]


def check_size(size: int, limit: int) -> None:
    """
    Refuse what is larger than one file may be.

    Raises:
        ArtifactTooLarge: It is.
    """
    if size > limit:
        raise ArtifactTooLarge(limit)


def visible(caller: Principal) -> Collection[str] | None:
    """
    Return on whose behalf uploads are known to the caller; none: on anybody's.

    Raises:
        Forbidden: The caller may not upload.
    """
    return None if caller.may(Verb.CREATE, "artifact") else uploaders(caller)


async def uploaded(tx: Tx, caller: Principal, digests: Collection[str]) -> dict[str, int]:
    """
    Return the sizes of those contents that the caller, or their team, has shown to have.

    Whoever writes in this transaction that they are needed can rely on them.

    Raises:
        BeingRemoved: One of them is on its way out.
    """
    await removals.claim(tx, STORE, digests)
    return await store.uploaded(tx, digests, visible(caller))


async def claim(tx: Tx, digests: Collection[str]) -> None:
    """
    Rely on content that is in the store; for the platform's own, in the transaction that needs it.

    Raises:
        BeingRemoved: One of them is on its way out.
    """
    await removals.claim(tx, STORE, digests)


async def shown(tx: Tx, digest: str, *, holder: str) -> bool:
    """Tell whether a team has shown to have some content; for the platform's own."""
    return digest in await store.uploaded(tx, [digest], [holder])


async def brought(tx: Tx, digest: str, size: int, *, holder: str) -> None:
    """
    Note that the platform has brought some content for a team, and rely on it.

    Raises:
        BeingRemoved: The same bytes are on their way out.
    """
    await removals.claim(tx, STORE, [digest])
    await store.note_upload(tx, digest, size, [holder])


async def uploaded_size(depot: Depot, caller: Principal, digest: str) -> int:
    """
    Return the size of content that the caller, or their team, has uploaded; it stays for a while.

    What only others have uploaded is not found: a digest must not tell who has which model.

    Raises:
        ArtifactMissing: They have not.
        Forbidden: The caller may not upload.
    """
    holders = visible(caller)
    async with depot.db.read() as tx:
        known = await store.uploaded(tx, [digest], holders)
    size = await depot.store.size(digest)
    if digest not in known or size is None:
        raise ArtifactMissing(digest)
    async with depot.db.write() as tx:
        await removals.claim(tx, STORE, [digest])
        await store.touch(tx, digest, holders)
    return size


async def note(tx: Tx, caller: Principal, holders: Collection[str], digest: str, size: int) -> None:
    """
    Note that these have shown to have some content, which is in the store.

    Raises:
        BeingRemoved: It is on its way out, since nothing needed it; bring it again.
    """
    await removals.claim(tx, STORE, [digest])
    await store.note_upload(tx, digest, size, holders)
    await audit.append(
        tx,
        caller,
        action="artifact.uploaded",
        noun="artifact",
        id=digest,
        team=caller.team,
        changes={"size": size},
    )
