"""Rules of teams."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from towpath_server.core import ids, revision, uses
from towpath_server.core.access import Principal, Role, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import Forbidden, NameTaken, NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.audit import service as audit
from towpath_server.domains.teams import store
from towpath_server.domains.teams.models import Team


async def create(tx: Tx, caller: Principal, *, name: str, weight: int = 1) -> Team:
    """
    Create a team.

    Raises:
        Forbidden: The caller is not the platform.
        NameTaken: There is a team of this name.
    """
    caller.require(Verb.CREATE, "team")
    await _ensure_free(tx, name)
    team = Team(ids.new("team"), 1, tx.now_ms, tx.now_ms, name, weight)
    await store.insert(tx, team)
    await revision.bump(tx, "team", team.id)
    await audit.append(
        tx,
        caller,
        action="team.created",
        noun="team",
        id=team.id,
        team=team.id,
        changes={"name": name},
    )
    return team


async def get(tx: Tx, caller: Principal, ref: str, *, verb: Verb = Verb.READ) -> Team:
    """
    Return a team by id or name.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller may see it, and may not `verb` it.
    """
    team = await store.find(tx, ref)
    if team is None:
        raise NotFound("team", ref)
    caller.require(verb, "team", team=team.id, ref=ref)
    return team


async def find(tx: Tx, ref: str) -> Team | None:
    """Find a team by id or name, whoever asks."""
    return await store.find(tx, ref)


async def exists(tx: Tx) -> bool:
    """Tell whether there is a team at all; the first start asks."""
    return await store.any_exists(tx)


async def list(tx: Tx, caller: Principal, window: Window) -> Slice[Team]:  # noqa: A001
    """List the teams that the caller may see."""
    return Slice.cut(await store.page(tx, caller.reach("team"), window), window)


async def update(
    tx: Tx,
    caller: Principal,
    ref: str,
    *,
    name: str | None = None,
    weight: int | None = None,
    if_match: int | None,
) -> Team:
    """
    Rename a team, or change its weight, which is for the platform to say.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller does not administer it; or sets the weight and is not the platform.
        RevisionConflict: It is no longer at `if_match`.
        NameTaken: There is a team of this name.
    """
    team = await get(tx, caller, ref, verb=Verb.UPDATE)
    revision.match(if_match, team.revision)
    wanted = {"name": name, "weight": weight}
    news = {
        field: value
        for field, value in wanted.items()
        if value is not None and value != getattr(team, field)
    }
    if "weight" in news and caller.platform_role is not Role.PLATFORM:
        raise Forbidden(
            "A team's weight decides between teams.", fix="Ask those who run the platform."
        )
    if not news:
        return team
    if name is not None and "name" in news:
        await _ensure_free(tx, name)
    await store.change(tx, team, news)
    await revision.bump(tx, "team", team.id)
    if "name" in news:
        await uses.renamed(tx, "team", team.id)
    await audit.append(
        tx,
        caller,
        action="team.updated",
        noun="team",
        id=team.id,
        team=team.id,
        changes=news,
    )
    return replace(
        team,
        name=name or team.name,
        weight=weight or team.weight,
        revision=team.revision + 1,
        updated_at_ms=tx.now_ms,
    )


async def delete(tx: Tx, caller: Principal, ref: str, *, if_match: int | None) -> None:
    """
    Delete a team that has no projects.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller is not the platform.
        RevisionConflict: It is no longer at `if_match`.
        InUse: It has projects.
    """
    team = await get(tx, caller, ref, verb=Verb.DELETE)
    revision.match(if_match, team.revision)
    await uses.ensure_none(tx, "team", team.id, team.name)
    await uses.release(tx, "team", team.id)
    await store.delete(tx, team)
    await revision.bump(tx, "team", team.id)
    await audit.append(
        tx, caller, action="team.deleted", noun="team", id=team.id, team=team.id, changes=None
    )


async def names(tx: Tx, wanted: Collection[str]) -> dict[str, str]:
    """Return the names of teams by id, whoever asks."""
    return {team.id: team.name for team in await store.rows(tx, wanted=wanted)} if wanted else {}


async def routed(
    tx: Tx,
    *,
    ids: Collection[str] | None = None,
    after: str = "",
    limit: int = 5_000,
) -> Sequence[Team]:
    """List what the routing table holds: these teams, or all after an id, in order of id."""
    return await store.rows(tx, wanted=ids, after=after, limit=limit)


async def _ensure_free(tx: Tx, name: str) -> None:
    if await store.find(tx, name) is not None:
        raise NameTaken("team", name)
