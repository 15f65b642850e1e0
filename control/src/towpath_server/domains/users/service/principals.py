"""Who a user's token or the admin key stands for."""

from towpath_server.core import tokens
from towpath_server.core.access import SYSTEM, Principal, PrincipalKind, Role
from towpath_server.core.db import Tx
from towpath_server.core.secret import Secret
from towpath_server.domains.audit import service as audit
from towpath_server.domains.users import store

ADMIN = Principal(PrincipalKind.ADMIN, "admin", "admin key", platform_role=Role.PLATFORM)
"""Whoever holds the admin key."""


async def authenticate(tx: Tx, token: str) -> Principal | None:
    """Return the user whose token this is, with all roles; none when it is unknown or expired."""
    found = await store.find_token_by_hash(tx, tokens.digest(token))
    if found is None or (found.expires_at_ms is not None and found.expires_at_ms <= tx.now_ms):
        return None
    user = await store.find_user(tx, found.user_id)
    if user is None:
        return None
    return Principal(
        PrincipalKind.USER,
        user.id,
        user.email or user.name,
        platform_role=user.platform_role,
        roles=await store.roles(tx, user.id),
    )


async def authenticate_admin(tx: Tx, token: str) -> Principal | None:
    """Return the admin when this is the admin key."""
    return ADMIN if await store.has_admin_key(tx, tokens.digest(token)) else None


async def ensure_admin_key(tx: Tx, given: Secret | None) -> Secret | None:
    """
    Put the admin key in force: the one given, or at first start a new one.

    Returns the new one, to be shown once; it is known by its hash alone from then on.
    """
    if given is None and await store.has_admin_key(tx):
        return None
    secret = given or tokens.mint("admin")
    digest = tokens.digest(secret.reveal())
    if not await store.has_admin_key(tx, digest):
        await store.replace_admin_key(tx, digest)
        await audit.append(
            tx, SYSTEM, action="admin_key.replaced", noun="admin_key", id="admin", team=None
        )
    return None if given else secret
