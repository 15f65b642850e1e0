"""Asking for more capacity; those who run the platform agree, and it is given at once."""

from collections.abc import Mapping
from typing import Any

from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.domains.approvals.models import Wish
from towpath_server.domains.quotas import store
from towpath_server.domains.teams import service as teams


async def ask(
    tx: Tx, caller: Principal, *, team: str, environment: str, changes: Mapping[str, Any]
) -> Wish:
    """
    Say what a team asks for in an environment, bound to what it may reserve now.

    Args:
        changes: Fields of `Amounts`; none lifts one.

    Raises:
        NotFound: There is no such team that the caller may see.
    """
    owner = await teams.get(tx, caller, team, verb=Verb.READ)
    present = await store.of(tx, owner.id, environment)
    return Wish(
        team_id=owner.id,
        environment=environment,
        summary=f"let {owner.name} reserve in {environment}: {_listed(changes)}",
        payload={
            "team": owner.id,
            "environment": environment,
            "changes": dict(changes),
            "revision": present.revision if present else 0,
        },
    )


def _listed(changes: Mapping[str, Any]) -> str:
    """Write amounts for people."""
    words = {
        "replicas": lambda n: f"{n} replicas",
        "cpu_milli": lambda n: f"{n / 1_000:g} CPUs",
        "memory_bytes": lambda n: f"{n / 2**30:g} GiB",
        "gpus": lambda by: ", ".join(f"{n} x {name}" for name, n in by.items()) or "no GPUs",
    }
    return ", ".join(
        words[name](value) if value is not None else f"{name.partition('_')[0]} without limit"
        for name, value in changes.items()
    )
