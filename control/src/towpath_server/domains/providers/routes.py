"""Routes of providers, and of the catalogue of vendors."""

from towpath_server.core.errors import (
    Forbidden,
    InUse,
    InvalidRequest,
    NameTaken,
    NotFound,
    RevisionConflict,
)
from towpath_server.core.paging import Slice
from towpath_server.domains.providers import service as providers
from towpath_server.domains.providers.errors import DialectUnsupported, UpstreamAddressInvalid
from towpath_server.domains.providers.models import DIALECTS
from towpath_server.domains.providers.schemas import (
    ProviderCreate,
    ProviderOut,
    ProviderPriceIn,
    ProviderPriceOut,
    ProviderUpdate,
    VendorOut,
)
from towpath_server.web import edge
from towpath_server.web.deps import Caller, IfMatch, Paging, ReadTx, WriteTx
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

router = edge.router("provider", "/providers")
vendor_router = edge.router("vendor", "/vendors")


@vendor_router.get("")
async def list_vendors(caller: Caller) -> Page[VendorOut]:
    """List the vendors that the platform knows; a provider is made from a row and a credential."""
    found = Slice([*providers.vendors(caller)], None)
    return Page.of(found, lambda row: VendorOut.of(row, spoken=row.dialect in DIALECTS))


@router.post(
    "",
    status_code=201,
    responses=problems(
        Forbidden, NotFound, NameTaken, DialectUnsupported, UpstreamAddressInvalid, InvalidRequest
    ),
)
async def create(body: ProviderCreate, caller: Caller, tx: WriteTx) -> ProviderOut:
    """Create a provider, so that endpoints can have targets with its models."""
    made = await providers.create(tx, caller, body.draft(), credential=body.credential)
    return ProviderOut.of(made)


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


@router.post(
    "/{provider}/prices",
    status_code=201,
    responses=problems(NotFound, Forbidden, RevisionConflict, InvalidRequest),
)
async def add_price(
    provider: Ref, body: ProviderPriceIn, caller: Caller, tx: WriteTx, if_match: IfMatch
) -> ProviderPriceOut:
    """Add a price to a model; what was recorded before keeps the former one."""
    price, revision = await providers.add_price(
        tx, caller, provider, body.model, body.draft(), if_match=if_match
    )
    return ProviderPriceOut.added(price, revision)


@router.delete(
    "/{provider}",
    status_code=204,
    responses=problems(NotFound, Forbidden, InUse, RevisionConflict),
)
async def delete(provider: Ref, caller: Caller, tx: WriteTx, if_match: IfMatch) -> None:
    """Delete a provider that no endpoint uses."""
    await providers.delete(tx, caller, provider, if_match=if_match)
