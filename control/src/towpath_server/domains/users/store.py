"""Queries of users, tokens, members and the admin key."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import delete as sql_delete
from sqlalchemy import select

from towpath_server.core import ids, queries
from towpath_server.core.access import Reach, Role
from towpath_server.core.db import Tx
from towpath_server.core.paging import Window
from towpath_server.domains.users.models import Member, User, UserToken
from towpath_server.domains.users.tables import admin_keys, members, user_tokens, users


async def insert_user(tx: Tx, user: User) -> None:
    """Add a user."""
    await tx.execute(users.insert().values(**asdict(user)))


async def find_user(tx: Tx, ref: str) -> User | None:
    """Find a user by id or e-mail address."""
    by_id = ids.is_id(ref, "usr")
    condition = users.c.id == ref if by_id else users.c.email == ref.lower()
    row = (await tx.execute(select(users).where(condition))).first()
    return _user(row) if row else None


async def page_users(tx: Tx, window: Window, *, only: str | None) -> list[User]:
    """List one user more than the window has; with `only`, that one."""
    query = select(users)
    if only is not None:
        query = query.where(users.c.id == only)
    return [_user(row) for row in await tx.execute(queries.windowed(query, window, users.c.id))]


async def change_user(tx: Tx, user: User, values: dict[str, Any]) -> None:
    """Change a user."""
    await queries.change(tx, users, user.id, user.revision, values)


async def delete_user(tx: Tx, user: User) -> None:
    """Remove a user, with tokens and memberships."""
    await tx.execute(sql_delete(user_tokens).where(user_tokens.c.user_id == user.id))
    await tx.execute(sql_delete(members).where(members.c.user_id == user.id))
    await queries.remove(tx, users, user.id, user.revision)


async def insert_token(tx: Tx, token: UserToken) -> None:
    """Add a token."""
    await tx.execute(user_tokens.insert().values(**asdict(token)))


async def find_token(tx: Tx, user: str, id: str) -> UserToken | None:  # noqa: A002
    """Find a user's token by id."""
    query = select(user_tokens).where(user_tokens.c.id == id, user_tokens.c.user_id == user)
    row = (await tx.execute(query)).first()
    return UserToken(**row._asdict()) if row else None


async def find_token_by_hash(tx: Tx, hash: str) -> UserToken | None:  # noqa: A002
    """Find a token by the hash of what was sent."""
    row = (await tx.execute(select(user_tokens).where(user_tokens.c.hash == hash))).first()
    return UserToken(**row._asdict()) if row else None


async def page_tokens(tx: Tx, user: str, window: Window) -> list[UserToken]:
    """List one token of a user more than the window has."""
    query = select(user_tokens).where(user_tokens.c.user_id == user)
    rows = await tx.execute(queries.windowed(query, window, user_tokens.c.id))
    return [UserToken(**row._asdict()) for row in rows]


async def delete_token(tx: Tx, token: UserToken) -> None:
    """Remove a token."""
    await queries.remove(tx, user_tokens, token.id, token.revision)


async def insert_member(tx: Tx, member: Member) -> None:
    """Add a membership."""
    await tx.execute(members.insert().values(**asdict(member)))


async def find_member(tx: Tx, id: str) -> Member | None:  # noqa: A002
    """Find a membership by id."""
    row = (await tx.execute(select(members).where(members.c.id == id))).first()
    return _member(row) if row else None


async def find_role(tx: Tx, team: str, user: str) -> Member | None:
    """Find a user's membership of a team."""
    query = select(members).where(members.c.team_id == team, members.c.user_id == user)
    row = (await tx.execute(query)).first()
    return _member(row) if row else None


async def names_in_role(tx: Tx, team: str, role: Role, limit: int) -> list[str]:
    """Return the names of a few users who have a role in a team."""
    query = (
        select(users.c.name)
        .join(members, members.c.user_id == users.c.id)
        .where(members.c.team_id == team, members.c.role == role)
        .order_by(members.c.id)
        .limit(limit)
    )
    return list((await tx.execute(query)).scalars())


async def page_members(
    tx: Tx, reach: Reach, window: Window, *, team: str | None, user: str | None
) -> list[Member]:
    """List one membership more than the window has."""
    query = select(members).where(queries.within(reach, team=members.c.team_id))
    if team is not None:
        query = query.where(members.c.team_id == team)
    if user is not None:
        query = query.where(members.c.user_id == user)
    rows = await tx.execute(queries.windowed(query, window, members.c.id))
    return [_member(row) for row in rows]


async def roles(tx: Tx, user: str) -> dict[str, Role]:
    """Return a user's roles by team."""
    query = select(members.c.team_id, members.c.role).where(members.c.user_id == user)
    return {row.team_id: Role(row.role) for row in await tx.execute(query)}


async def change_member(tx: Tx, member: Member, role: Role) -> None:
    """Change the role."""
    await queries.change(tx, members, member.id, member.revision, {"role": role.value})


async def delete_member(tx: Tx, member: Member) -> None:
    """Remove a membership."""
    await queries.remove(tx, members, member.id, member.revision)


async def delete_members_of(tx: Tx, team: str) -> None:
    """Remove all memberships of a team."""
    await tx.execute(sql_delete(members).where(members.c.team_id == team))


async def has_admin_key(tx: Tx, hash: str | None = None) -> bool:  # noqa: A002
    """Tell whether this admin key, or any, is the one in force."""
    query = select(admin_keys.c.hash)
    if hash is not None:
        query = query.where(admin_keys.c.hash == hash)
    return (await tx.execute(query.limit(1))).first() is not None


async def replace_admin_key(tx: Tx, hash: str) -> None:  # noqa: A002
    """Put this admin key in force, and no other."""
    await tx.execute(sql_delete(admin_keys))
    await tx.execute(admin_keys.insert().values(hash=hash, created_at_ms=tx.now_ms))


def _user(row: Any) -> User:
    fields: dict[str, Any] = row._asdict()
    fields["platform_role"] = Role(row.platform_role) if row.platform_role else None
    return User(**fields)


def _member(row: Any) -> Member:
    fields: dict[str, Any] = row._asdict()
    fields["role"] = Role(row.role)
    return Member(**fields)
