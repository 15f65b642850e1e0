"""Routes of providers."""

from towpath_server.core.errors import Forbidden, InUse, NameTaken, NotFound, RevisionConflict
from towpath_server.domains.providers import service as providers
from towpath_server.domains.providers.errors import DialectUnsupported, UpstreamAddressInvalid
from towpath_server.domains.providers.schemas import ProviderCreate, ProviderOut, ProviderUpdate
from towpath_server.web import edge
from towpath_server.web.deps import Caller, IfMatch, Paging, ReadTx, WriteTx
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

router = edge.router("provider", "/providers")


@router.post(
    "",
    status_code=201,
    responses=problems(Forbidden, NameTaken, DialectUnsupported, UpstreamAddressInvalid),
)
async def create(body: ProviderCreate, caller: Caller, tx: WriteTx) -> ProviderOut:
    """Create a provider, so that endpoints can have targets with its models."""
    return ProviderOut.of(await providers.create(tx, caller, body.draft()))


@router.get("")
async def list(caller: Caller, tx: ReadTx, window: Paging) -> Page[ProviderOut]:  # noqa: A001
    """List the providers."""
    return Page.of(await providers.list(tx, caller, window), ProviderOut.of)


@router.get("/{provider}", responses=problems(NotFound))
async def get(provider: Ref, caller: Caller, tx: ReadTx) -> ProviderOut:
    """Return a provider, by id or name."""
    return ProviderOut.of(await providers.get(tx, caller, provider))


@router.patch(
    "/{provider}",
    responses=problems(NotFound, Forbidden, RevisionConflict, UpstreamAddressInvalid),
)
async def update(
    provider: Ref, body: ProviderUpdate, caller: Caller, tx: WriteTx, if_match: IfMatch
) -> ProviderOut:
    """Change a provider, or rotate its credential."""
    changed = await providers.update(tx, caller, provider, body.changes(), if_match=if_match)
    return ProviderOut.of(changed)


@router.delete(
    "/{provider}",
    status_code=204,
    responses=problems(NotFound, Forbidden, InUse, RevisionConflict),
)
async def delete(provider: Ref, caller: Caller, tx: WriteTx, if_match: IfMatch) -> None:
    """Delete a provider that no endpoint uses."""
    await providers.delete(tx, caller, provider, if_match=if_match)
