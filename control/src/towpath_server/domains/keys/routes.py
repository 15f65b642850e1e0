"""Routes of keys and service accounts."""

from typing import Annotated

from fastapi import Query

from towpath_server.core.clock import to_ms
from towpath_server.core.errors import Forbidden, NameTaken, NotFound, RevisionConflict
from towpath_server.domains.keys import service as keys
from towpath_server.domains.keys.models import Restrictions
from towpath_server.domains.keys.schemas import (
    AccountCreate,
    AccountCreated,
    AccountOut,
    AccountUpdate,
    KeyCreate,
    KeyCreated,
    KeyOut,
    KeyRotate,
    KeyUpdate,
    changed_fields,
    grace_ms,
)
from towpath_server.domains.keys.service import accounts
from towpath_server.web import edge
from towpath_server.web.deps import Caller, IfMatch, Paging, ReadTx, WriteTx
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

router = edge.router("key", "/keys")
account_router = edge.router("service_account", "/service-accounts")

Project = Annotated[Ref | None, Query(description="`team/project`, or the id.")]


@router.post("", status_code=201, responses=problems(NotFound, Forbidden))
async def create(body: KeyCreate, caller: Caller, tx: WriteTx) -> KeyCreated:
    """Create a key. It is shown in this answer and never again."""
    fields = changed_fields(body.model_dump())
    key, secret = await keys.create(
        tx,
        caller,
        project=body.project,
        environment=body.environment,
        name=body.name,
        application=body.application,
        scopes=body.scopes,
        restrictions=Restrictions(
            fields["endpoints"],
            fields["operations"],
            fields["sources"],
            body.max_data_class,
            body.priority,
        ),
        expires_at_ms=fields["expires_at_ms"],
    )
    return KeyCreated.model_validate({**KeyOut.fields(key), "key": secret.reveal()})


@router.get("", responses=problems(Forbidden, NotFound))
async def list(  # noqa: A001
    caller: Caller, tx: ReadTx, window: Paging, project: Project = None
) -> Page[KeyOut]:
    """List the keys that you may see, by which they are told apart."""
    return Page.of(await keys.list(tx, caller, window, project=project), KeyOut.of)


@router.get("/{key}", responses=problems(NotFound))
async def get(key: Ref, caller: Caller, tx: ReadTx) -> KeyOut:
    """Return what is known of a key."""
    return KeyOut.of(await keys.get(tx, caller, key))


@router.patch("/{key}", responses=problems(NotFound, Forbidden, RevisionConflict))
async def update(
    key: Ref, body: KeyUpdate, caller: Caller, tx: WriteTx, if_match: IfMatch
) -> KeyOut:
    """Change a key's name, expiry or restrictions."""
    changes = changed_fields(body.changes())
    return KeyOut.of(await keys.update(tx, caller, key, changes=changes, if_match=if_match))


@router.post(
    "/{key}/rotate", status_code=201, responses=problems(NotFound, Forbidden, RevisionConflict)
)
async def rotate(
    key: Ref, body: KeyRotate, caller: Caller, tx: WriteTx, if_match: IfMatch
) -> KeyCreated:
    """Replace a key by a new one; the old one works for the grace period."""
    successor, secret = await keys.rotate(
        tx, caller, key, grace_ms=grace_ms(body.grace), if_match=if_match
    )
    return KeyCreated.model_validate({**KeyOut.fields(successor), "key": secret.reveal()})


@router.delete("/{key}", status_code=204, responses=problems(NotFound, Forbidden, RevisionConflict))
async def delete(key: Ref, caller: Caller, tx: WriteTx, if_match: IfMatch) -> None:
    """Revoke a key at once, on every gateway."""
    await keys.delete(tx, caller, key, if_match=if_match)


@account_router.post("", status_code=201, responses=problems(NotFound, Forbidden, NameTaken))
async def create_account(body: AccountCreate, caller: Caller, tx: WriteTx) -> AccountCreated:
    """Create a service account. Its token is shown in this answer and never again."""
    account, secret = await accounts.create(
        tx,
        caller,
        project=body.project,
        name=body.name,
        scopes=body.scopes,
        environment=body.environment,
        expires_at_ms=to_ms(body.expires_at) if body.expires_at else None,
    )
    return AccountCreated.with_token(account, secret.reveal())


@account_router.get("", responses=problems(Forbidden, NotFound))
async def list_accounts(
    caller: Caller, tx: ReadTx, window: Paging, project: Project = None
) -> Page[AccountOut]:
    """List the service accounts that you may see."""
    return Page.of(await accounts.list(tx, caller, window, project=project), AccountOut.of)


@account_router.get("/{account}", responses=problems(NotFound))
async def get_account(account: Ref, caller: Caller, tx: ReadTx) -> AccountOut:
    """Return a service account."""
    return AccountOut.of(await accounts.get(tx, caller, account))


@account_router.patch("/{account}", responses=problems(NotFound, Forbidden, RevisionConflict))
async def update_account(
    account: Ref, body: AccountUpdate, caller: Caller, tx: WriteTx, if_match: IfMatch
) -> AccountOut:
    """Change scopes or expiry."""
    changes = changed_fields(body.changes())
    return AccountOut.of(
        await accounts.update(tx, caller, account, changes=changes, if_match=if_match)
    )


@account_router.delete(
    "/{account}", status_code=204, responses=problems(NotFound, Forbidden, RevisionConflict)
)
async def delete_account(account: Ref, caller: Caller, tx: WriteTx, if_match: IfMatch) -> None:
    """Delete a service account; its token stops working at once."""
    await accounts.delete(tx, caller, account, if_match=if_match)
