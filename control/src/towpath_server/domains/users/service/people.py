"""Users themselves."""

from dataclasses import replace
from typing import Any

from towpath_server.core import ids, revision
from towpath_server.core.access import Principal, Role, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import NameTaken, NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.audit import service as audit
from towpath_server.domains.users import store
from towpath_server.domains.users.models import User


async def create(
    tx: Tx, caller: Principal, *, name: str, email: str | None, platform_role: Role | None
) -> User:
    """
    Create a user, who may do nothing until made a member of a team.

    Raises:
        Forbidden: The caller is not the platform.
        NameTaken: Another user has this e-mail address.
    """
    caller.require(Verb.CREATE, "user")
    email = email.lower() if email else None
    await _ensure_free(tx, email)
    user = User(ids.new("usr"), 1, tx.now_ms, tx.now_ms, name, email, platform_role)
    await store.insert_user(tx, user)
    await audit.append(
        tx,
        caller,
        action="user.created",
        noun="user",
        id=user.id,
        team=None,
        changes={"name": name, "email": email, "platform_role": platform_role},
    )
    return user


async def get(tx: Tx, caller: Principal, ref: str, *, verb: Verb = Verb.READ) -> User:
    """
    Return a user by id or e-mail address.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller may not `verb` them.
    """
    user = await store.find_user(tx, ref)
    if user is None:
        raise NotFound("user", ref)
    caller.require(verb, "user", ref=ref, owner=user.id)
    return user


async def list(tx: Tx, caller: Principal, window: Window) -> Slice[User]:  # noqa: A001
    """List all users, or the caller alone who may not see the others."""
    only = None if caller.reach("user").everything else caller.id
    return Slice.cut(await store.page_users(tx, window, only=only), window)


async def update(
    tx: Tx, caller: Principal, ref: str, *, changes: dict[str, Any], if_match: int | None
) -> User:
    """
    Change name, e-mail address or platform role.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller is not the platform.
        RevisionConflict: It is no longer at `if_match`.
        NameTaken: Another user has this e-mail address.
    """
    user = await get(tx, caller, ref, verb=Verb.UPDATE)
    revision.match(if_match, user.revision)
    if changes.get("email"):
        changes = {**changes, "email": changes["email"].lower()}
    changes = {name: value for name, value in changes.items() if getattr(user, name) != value}
    if not changes:
        return user
    if "email" in changes:
        await _ensure_free(tx, changes["email"])
    await store.change_user(tx, user, changes)
    await audit.append(
        tx, caller, action="user.updated", noun="user", id=user.id, team=None, changes=changes
    )
    return replace(user, **changes, revision=user.revision + 1, updated_at_ms=tx.now_ms)


async def delete(tx: Tx, caller: Principal, ref: str, *, if_match: int | None) -> None:
    """
    Delete a user, with all tokens and memberships.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller is not the platform.
        RevisionConflict: It is no longer at `if_match`.
    """
    user = await get(tx, caller, ref, verb=Verb.DELETE)
    revision.match(if_match, user.revision)
    await store.delete_user(tx, user)
    await audit.append(
        tx, caller, action="user.deleted", noun="user", id=user.id, team=None, changes=None
    )


async def _ensure_free(tx: Tx, email: str | None) -> None:
    if email is not None and await store.find_user(tx, email) is not None:
        raise NameTaken("user", email)
