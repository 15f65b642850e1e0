"""Routes of users, their tokens and their memberships."""

from typing import Annotated

from fastapi import Query

from towpath_server.core.access import Role
from towpath_server.core.clock import to_ms
from towpath_server.core.errors import Forbidden, NameTaken, NotFound, RevisionConflict
from towpath_server.domains.users import service as users
from towpath_server.domains.users.schemas import (
    MemberCreate,
    MemberOut,
    MemberUpdate,
    TokenCreate,
    TokenCreated,
    TokenOut,
    UserCreate,
    UserOut,
    UserUpdate,
)
from towpath_server.domains.users.service import members, tokens
from towpath_server.web import edge
from towpath_server.web.deps import Caller, IfMatch, Paging, ReadTx, WriteTx
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

router = edge.router("user", "/users")
token_router = edge.router("user_token", "/users/{user}/tokens")
member_router = edge.router("member", "/members")


@router.post("", status_code=201, responses=problems(Forbidden, NameTaken))
async def create(body: UserCreate, caller: Caller, tx: WriteTx) -> UserOut:
    """Create a user, who may do nothing until made a member of a team."""
    role = Role(body.platform_role) if body.platform_role else None
    user = await users.create(tx, caller, name=body.name, email=body.email, platform_role=role)
    return UserOut.of(user)


@router.get("", responses=problems(Forbidden))
async def list(caller: Caller, tx: ReadTx, window: Paging) -> Page[UserOut]:  # noqa: A001
    """List all users, or yourself alone where you may not see the others."""
    return Page.of(await users.list(tx, caller, window), UserOut.of)


@router.get("/{user}", responses=problems(NotFound))
async def get(user: Ref, caller: Caller, tx: ReadTx) -> UserOut:
    """Return a user, by id or e-mail address."""
    return UserOut.of(await users.get(tx, caller, user))


@router.patch("/{user}", responses=problems(NotFound, Forbidden, NameTaken, RevisionConflict))
async def update(
    user: Ref, body: UserUpdate, caller: Caller, tx: WriteTx, if_match: IfMatch
) -> UserOut:
    """Change a user's name, e-mail address or platform role."""
    changes = body.changes()
    return UserOut.of(await users.update(tx, caller, user, changes=changes, if_match=if_match))


@router.delete("/{user}", status_code=204, responses=problems(NotFound, Forbidden))
async def delete(user: Ref, caller: Caller, tx: WriteTx, if_match: IfMatch) -> None:
    """Delete a user, with all tokens and memberships."""
    await users.delete(tx, caller, user, if_match=if_match)


@token_router.post("", status_code=201, responses=problems(NotFound, Forbidden))
async def create_token(user: Ref, body: TokenCreate, caller: Caller, tx: WriteTx) -> TokenCreated:
    """Make a token for a user. It is shown in this answer and never again."""
    expires = to_ms(body.expires_at) if body.expires_at else None
    token, secret = await tokens.create(tx, caller, user, name=body.name, expires_at_ms=expires)
    return TokenCreated.model_validate({**TokenOut.fields(token), "token": secret.reveal()})


@token_router.get("", responses=problems(NotFound))
async def list_tokens(user: Ref, caller: Caller, tx: ReadTx, window: Paging) -> Page[TokenOut]:
    """List a user's tokens."""
    return Page.of(await tokens.list(tx, caller, user, window), TokenOut.of)


@token_router.get("/{token}", responses=problems(NotFound))
async def get_token(user: Ref, token: Ref, caller: Caller, tx: ReadTx) -> TokenOut:
    """Return what is known of a token."""
    return TokenOut.of(await tokens.get(tx, caller, user, token))


@token_router.delete(
    "/{token}", status_code=204, responses=problems(NotFound, Forbidden, RevisionConflict)
)
async def delete_token(
    user: Ref, token: Ref, caller: Caller, tx: WriteTx, if_match: IfMatch
) -> None:
    """Revoke a token at once."""
    await tokens.delete(tx, caller, user, token, if_match=if_match)


@member_router.post("", status_code=201, responses=problems(NotFound, Forbidden, NameTaken))
async def create_member(body: MemberCreate, caller: Caller, tx: WriteTx) -> MemberOut:
    """Give a user a role in a team."""
    member = await members.create(tx, caller, team=body.team, user=body.user, role=Role(body.role))
    return MemberOut.of(member)


@member_router.get("", responses=problems(Forbidden, NotFound))
async def list_members(
    caller: Caller,
    tx: ReadTx,
    window: Paging,
    team: Annotated[Ref | None, Query(description="Name or id of the team.")] = None,
    user: Annotated[Ref | None, Query(description="Id or e-mail address of the user.")] = None,
) -> Page[MemberOut]:
    """List who has which role in which team."""
    return Page.of(await members.list(tx, caller, window, team=team, user=user), MemberOut.of)


@member_router.get("/{member}", responses=problems(NotFound))
async def get_member(member: Ref, caller: Caller, tx: ReadTx) -> MemberOut:
    """Return a membership."""
    return MemberOut.of(await members.get(tx, caller, member))


@member_router.patch("/{member}", responses=problems(NotFound, Forbidden, RevisionConflict))
async def update_member(
    member: Ref, body: MemberUpdate, caller: Caller, tx: WriteTx, if_match: IfMatch
) -> MemberOut:
    """Change the role."""
    role = Role(body.role) if body.role else None
    return MemberOut.of(await members.update(tx, caller, member, role=role, if_match=if_match))


@member_router.delete(
    "/{member}", status_code=204, responses=problems(NotFound, Forbidden, RevisionConflict)
)
async def delete_member(member: Ref, caller: Caller, tx: WriteTx, if_match: IfMatch) -> None:
    """Take the role away."""
    await members.delete(tx, caller, member, if_match=if_match)
