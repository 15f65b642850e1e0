"""
Rules, which are limits and budgets, follow the parts of their subjects.

They go with them, are worded by their names, and hold for the key that replaces another.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from towpath_server.core import ids as new_ids
from towpath_server.core import revision, uses
from towpath_server.core.access import SYSTEM, Principal
from towpath_server.core.db import Tx
from towpath_server.domains.audit import service as audit
from towpath_server.domains.limits.models import PARTS


@dataclass(frozen=True)
class Kind:
    """One kind of rules: what it is called, the prefix of its ids, and the queries of its rows."""

    noun: str
    prefix: str
    insert: Callable[[Tx, Any], Awaitable[None]]
    naming: Callable[[Tx, str, str], Awaitable[Sequence[Any]]]
    remove_all: Callable[[Tx, Collection[str]], Awaitable[None]]
    worded_by: Callable[[Tx, str, str], Awaitable[Sequence[str]]]

    async def audit(
        self, tx: Tx, caller: Principal, rule: Any, what: str, changes: Mapping[str, Any]
    ) -> None:
        """Append what was done to a rule."""
        await audit.append(
            tx,
            caller,
            action=f"{self.noun}.{what}",
            noun=self.noun,
            id=rule.id,
            team=rule.owner.team_id,
            changes=changes,
        )

    async def inherit(self, tx: Tx, former: str, successor: str) -> None:
        """Hold the key that replaces another to the same rules: a rotation frees nobody."""
        for rule in await self.naming(tx, "key", former):
            heir = replace(
                rule,
                id=new_ids.new(self.prefix),
                revision=1,
                created_at_ms=tx.now_ms,
                updated_at_ms=tx.now_ms,
                subject=replace(rule.subject, key=successor),
            )
            await self.insert(tx, heir)
            await revision.bump(tx, self.noun, heir.id)
            changes = {**heir.subject.given(), "inherited_from": rule.id}
            await self.audit(tx, SYSTEM, heir, "created", changes)

    async def fall(self, tx: Tx, part: str, id_: str) -> None:
        """Delete the rules of what is being deleted: a table may not name what is gone."""
        found = await self.naming(tx, part, id_)
        await self.remove_all(tx, [rule.id for rule in found])
        for rule in found:
            await revision.bump(tx, self.noun, rule.id)
            await self.audit(tx, SYSTEM, rule, "deleted", {part: id_})

    async def reword(self, tx: Tx, part: str, id_: str) -> None:
        """Tell the gateways of what is worded by something that is renamed."""
        for rule_id in await self.worded_by(tx, part, id_):
            await revision.bump(tx, self.noun, rule_id)


def follow(kind: Kind) -> Kind:
    """Let rules of a kind follow their parts from now on."""
    uses.passes_on("key")(kind.inherit)

    def register(part: str) -> None:
        @uses.falls_with(part)
        async def _gone(tx: Tx, id_: str) -> None:
            await kind.fall(tx, part, id_)

        @uses.words_of(part)
        async def _renamed(tx: Tx, id_: str) -> None:
            await kind.reword(tx, part, id_)

    for part in PARTS:
        register(part)
    return kind
