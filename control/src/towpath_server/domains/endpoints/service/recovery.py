"""Who goes on with a stream that broke: somebody behind the endpoint must be able to."""

from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding
from towpath_server.core.upstream import GOING_ON
from towpath_server.domains.endpoints.models import Bound, Endpoint, Target, TargetKind
from towpath_server.domains.providers import service as providers

_AT = "#/stream_recovery"


async def findings(tx: Tx, endpoint: Endpoint) -> list[Finding]:
    """
    List why no stream of an endpoint could be gone on with, though it says so.

    Only what is plain is refused: a deployment goes on where its runtime does, and what another
    endpoint has behind it may change without this one.
    """
    if endpoint.serving.stream_recovery != "continue":
        return []
    targets = [bound.target for bound in endpoint.bound]
    if not any(_chats(target) for target in targets):
        detail = "Only streams of chats are gone on with, and no target of the endpoint chats."
        return [Finding(_AT, detail, "Give `none`.")]
    if any(not isinstance(one, Bound) for one in endpoint.fallback):
        return []
    ids = {target.provider_id for target in targets if target.provider_id is not None}
    known = await providers.by_ids(tx, ids)
    for target in targets:
        provider = known.get(target.provider_id or "")
        handling = provider.handling if provider else target.handling
        if target.kind is TargetKind.DEPLOYMENT or GOING_ON & {*handling.quirks}:
            return []
    listed = ", ".join(f"`{target.name}`" for target in targets)
    quirks = " or ".join(f"`{quirk}`" for quirk in sorted(GOING_ON))
    return [
        Finding(
            _AT,
            f"None of the targets goes on with an answer that another one began: {listed}.",
            f"Name {quirks} in the `quirks` of one that does, or give `none`.",
        )
    ]


def _chats(target: Target) -> bool:
    return target.kind is TargetKind.DEPLOYMENT or "chat" in target.operations
