"""
What holds for the whole organisation, as the gateways know it: one row, the entity `platform`.

Name, currency, networks and ages come from the settings and are kept to notice that they changed.
`ready_when` lists the demo's endpoints until each of them has been ready once: a first start is not
over before.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import select

from towpath_server.core import revision
from towpath_server.core.db import Tx
from towpath_server.domains.deployments import service as deployments
from towpath_server.domains.endpoints import service as endpoints
from towpath_server.domains.providers import service as providers
from towpath_server.gatewaylink import entities
from towpath_server.gatewaylink.routing import PAGE, Value
from towpath_server.gatewaylink.tables import platform as platform_row


@dataclass(frozen=True)
class Declared:
    """What the settings say of the organisation."""

    name: str
    currency: str
    egress_allow: Sequence[str] = ()
    max_table_age_ms: Mapping[str, int] = field(default_factory=dict)
    """By data class; empty: gateways serve for ever from what they have."""


async def declare(tx: Tx, declared: Declared) -> None:
    """Put what the settings say into the table of the gateways, if it is not there already."""
    if await providers.declare_egress(tx, declared.egress_allow):
        await revision.bump(tx, "platform", entities.PLATFORM_ID)
    values = {
        "name": declared.name,
        "currency": declared.currency,
        "max_table_age_ms": json.dumps(declared.max_table_age_ms, sort_keys=True),
    }
    row = (await tx.execute(select(platform_row))).mappings().first()
    if row is not None and values.items() <= row.items():
        return
    statement = tx.insert(platform_row).values(only=1, ready_when="[]", **values)
    await tx.execute(statement.on_conflict_do_update(index_elements=["only"], set_=values))
    await revision.bump(tx, "platform", entities.PLATFORM_ID)


async def await_endpoints(tx: Tx, ids: Sequence[str]) -> None:
    """Let the gateways call themselves ready only once each of these endpoints can answer."""
    await tx.execute(platform_row.update().values(ready_when=json.dumps(list(ids))))
    await revision.bump(tx, "platform", entities.PLATFORM_ID)


async def awaited(tx: Tx) -> list[str]:
    """Return the endpoints that are still awaited."""
    text = (await tx.execute(select(platform_row.c.ready_when))).scalar_one_or_none()
    return json.loads(text) if text else []


async def settle(tx: Tx) -> bool:
    """
    Stop waiting once every awaited endpoint can answer or is gone; tell whether that is so.

    Once stopped it stays so: a model that is restarted later makes no platform unready.
    """
    ids = await awaited(tx)
    if not ids:
        return True
    found = await endpoints.routed(tx, ids=ids)
    wanted = {target for endpoint in found for target, _ in endpoint.targets}
    targets = await deployments.routed_targets(tx, ids=wanted) if wanted else []
    ready = {target.id for target in targets if target.replicas}
    if not all(any(target in ready for target, _ in one.targets) for one in found):
        return False
    await await_endpoints(tx, [])
    return True


async def load(
    tx: Tx, *, ids: Collection[str] | None = None, after: str = "", limit: int = PAGE
) -> list[tuple[str, Value]]:
    """Read the entity, as the catalogue does for every kind."""
    wanted = entities.PLATFORM_ID in ids if ids is not None else after < entities.PLATFORM_ID
    row = (await tx.execute(select(platform_row))).first() if wanted and limit else None
    if row is None:
        return []
    value = entities.platform(
        name=row.name,
        currency=row.currency,
        ready_when=json.loads(row.ready_when),
        egress_allow=await providers.egress_allow(tx),
        max_table_age_ms=json.loads(row.max_table_age_ms or "{}"),
    )
    return [(entities.PLATFORM_ID, value)]
