"""What deployments hold of capacity, for whoever asks how much is left."""

from collections.abc import Sequence

from towpath_server.core.db import Tx
from towpath_server.domains.deployments.store import holdings as store
from towpath_server.domains.quotas import service as quotas
from towpath_server.domains.quotas.models import Holding


@quotas.source
async def held(tx: Tx, *, team_id: str | None, environment: str | None) -> Sequence[Holding]:
    """List what deployments hold."""
    return await store.rows(tx, team_id=team_id, environment=environment)
