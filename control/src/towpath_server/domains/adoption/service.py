"""Rules of adoption: over which time, and whose."""

from datetime import datetime, timedelta

from towpath_server.core.access import Principal
from towpath_server.core.clock import to_ms
from towpath_server.core.db import Tx
from towpath_server.domains.deployments import service as deployments
from towpath_server.domains.deployments.models.history import SelfService

_DEFAULT = timedelta(days=30)


async def self_service(
    tx: Tx, caller: Principal, *, since: datetime | None, until: datetime | None, team: str | None
) -> SelfService:
    """
    Say which part of the deployments reached Ready by their teams alone.

    Args:
        since: Beginning of the time in which they were made; 30 days before its end by default.

    Raises:
        NotFound: There is no such team that the caller may see.
        Forbidden: The caller may see nobody's.
    """
    end = until or tx.now
    begin = since or end - _DEFAULT
    return await deployments.self_service(
        tx, caller, since_ms=to_ms(begin), until_ms=to_ms(end) + 1, team=team
    )
