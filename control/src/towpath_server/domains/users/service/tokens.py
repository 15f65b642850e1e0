"""Users' tokens."""

from towpath_server.core import ids, tokens
from towpath_server.core import revision as revisions
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding, InvalidRequest, NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.core.secret import Secret
from towpath_server.domains.audit import service as audit
from towpath_server.domains.users import store
from towpath_server.domains.users.models import User, UserToken
from towpath_server.domains.users.service import people


async def create(
    tx: Tx, caller: Principal, user_ref: str, *, name: str, expires_at_ms: int | None
) -> tuple[UserToken, Secret]:
    """
    Make a token for a user; the secret is returned this once.

    Raises:
        NotFound: There is no such user that the caller may see.
        Forbidden: It is somebody else.
        InvalidRequest: It would expire in the past.
    """
    user = await _owner(tx, caller, user_ref, Verb.CREATE)
    if expires_at_ms is not None and expires_at_ms <= tx.now_ms:
        raise InvalidRequest(
            "`expires_at` is in the past.",
            fix="Give a time to come, or leave it out.",
            findings=[Finding("#/expires_at", "This time is in the past.")],
        )
    secret = tokens.mint("user")
    token = UserToken(
        ids.new("utk"),
        1,
        tx.now_ms,
        tx.now_ms,
        user.id,
        name,
        tokens.digest(secret.reveal()),
        tokens.hint(secret.reveal()),
        expires_at_ms,
    )
    await store.insert_token(tx, token)
    await _audit(tx, caller, "user_token.created", token)
    return token, secret


async def get(tx: Tx, caller: Principal, user_ref: str, ref: str) -> UserToken:
    """
    Return a user's token by id.

    Raises:
        NotFound: There is none that the caller may see.
    """
    user = await _owner(tx, caller, user_ref, Verb.READ)
    return await _find(tx, user, ref)


async def list(  # noqa: A001
    tx: Tx, caller: Principal, user_ref: str, window: Window
) -> Slice[UserToken]:
    """
    List a user's tokens.

    Raises:
        NotFound: There is no such user that the caller may see.
    """
    user = await _owner(tx, caller, user_ref, Verb.READ)
    return Slice.cut(await store.page_tokens(tx, user.id, window), window)


async def delete(
    tx: Tx, caller: Principal, user_ref: str, ref: str, *, if_match: int | None
) -> None:
    """
    Revoke a token at once.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: It is somebody else's.
        RevisionConflict: It is no longer at `if_match`.
    """
    user = await _owner(tx, caller, user_ref, Verb.DELETE)
    token = await _find(tx, user, ref)
    revisions.match(if_match, token.revision)
    await store.delete_token(tx, token)
    await _audit(tx, caller, "user_token.revoked", token)


async def _owner(tx: Tx, caller: Principal, ref: str, verb: Verb) -> User:
    user = await people.get(tx, caller, ref)
    caller.require(verb, "user_token", ref=ref, owner=user.id)
    return user


async def _find(tx: Tx, user: User, ref: str) -> UserToken:
    token = await store.find_token(tx, user.id, ref)
    if token is None:
        raise NotFound("user_token", ref)
    return token


async def _audit(tx: Tx, caller: Principal, action: str, token: UserToken) -> None:
    changes = {"user": token.user_id, "name": token.name, "hint": token.hint}
    await audit.append(
        tx, caller, action=action, noun="user_token", id=token.id, team=None, changes=changes
    )
