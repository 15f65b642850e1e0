"""Users' roles in teams."""

from collections.abc import Sequence
from dataclasses import replace

from towpath_server.core import ids, revision, uses
from towpath_server.core.access import Principal, Role, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import NameTaken, NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.audit import service as audit
from towpath_server.domains.teams import service as teams
from towpath_server.domains.users import store
from towpath_server.domains.users.models import Member


async def create(tx: Tx, caller: Principal, *, team: str, user: str, role: Role) -> Member:
    """
    Give a user a role in a team.

    Raises:
        NotFound: There is no such team that the caller may see, or no such user.
        Forbidden: The caller does not administer the team.
        NameTaken: The user is a member already.
    """
    owner = await teams.get(tx, caller, team)
    caller.require(Verb.CREATE, "member", team=owner.id, ref=team)
    person = await store.find_user(tx, user)
    if person is None:
        raise NotFound("user", user)
    if await store.find_role(tx, owner.id, person.id) is not None:
        raise NameTaken("member", user, owner=f"team `{owner.name}`")
    member = Member(ids.new("mem"), 1, tx.now_ms, tx.now_ms, owner.id, person.id, role)
    await store.insert_member(tx, member)
    await _audit(tx, caller, "member.created", member)
    return member


async def get(tx: Tx, caller: Principal, ref: str, *, verb: Verb = Verb.READ) -> Member:
    """
    Return a membership by id.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller may not `verb` it.
    """
    member = await store.find_member(tx, ref)
    if member is None:
        raise NotFound("member", ref)
    caller.require(verb, "member", team=member.team_id, ref=ref)
    return member


async def list(  # noqa: A001
    tx: Tx, caller: Principal, window: Window, *, team: str | None, user: str | None
) -> Slice[Member]:
    """
    List memberships, of all teams that the caller may see or of one.

    Raises:
        NotFound: There is no such team that the caller may see.
    """
    reach = caller.reach("member")
    team_id = (await teams.get(tx, caller, team)).id if team is not None else None
    person = await store.find_user(tx, user) if user is not None else None
    if user is not None and person is None:
        return Slice([], None)
    rows = await store.page_members(
        tx, reach, window, team=team_id, user=person.id if person else None
    )
    return Slice.cut(rows, window)


async def update(
    tx: Tx, caller: Principal, ref: str, *, role: Role | None, if_match: int | None
) -> Member:
    """
    Change the role.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller does not administer the team.
        RevisionConflict: It is no longer at `if_match`.
    """
    member = await get(tx, caller, ref, verb=Verb.UPDATE)
    revision.match(if_match, member.revision)
    if role is None or role == member.role:
        return member
    await store.change_member(tx, member, role)
    changed = replace(member, role=role, revision=member.revision + 1, updated_at_ms=tx.now_ms)
    await _audit(tx, caller, "member.updated", changed)
    return changed


async def delete(tx: Tx, caller: Principal, ref: str, *, if_match: int | None) -> None:
    """
    Take the role away.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller does not administer the team.
        RevisionConflict: It is no longer at `if_match`.
    """
    member = await get(tx, caller, ref, verb=Verb.DELETE)
    revision.match(if_match, member.revision)
    await store.delete_member(tx, member)
    await _audit(tx, caller, "member.deleted", member)


async def admins(tx: Tx, team_id: str, *, limit: int) -> Sequence[str]:
    """Return the names of a few of a team's admins, for whom to ask."""
    return await store.names_in_role(tx, team_id, Role.ADMIN, limit)


@uses.falls_with("team")
async def _leave(tx: Tx, team: str) -> None:
    await store.delete_members_of(tx, team)


async def _audit(tx: Tx, caller: Principal, action: str, member: Member) -> None:
    await audit.append(
        tx,
        caller,
        action=action,
        noun="member",
        id=member.id,
        team=member.team_id,
        changes={"user": member.user_id, "role": member.role},
    )
