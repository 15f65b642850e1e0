"""
What the last commits of this process changed, as the gateways are told it.

Each change is read before its commit, for the validator. Gateways ask for it right after that, and
need not wait until it is read again.
"""

from collections import deque

from towpath_server.gatewaylink.entity import Changed, Entity

# A gateway asks after each commit; one that is further behind is told from the database.
_KEPT = 64
_MAX_ENTITIES = 256  # of one revision


class Recent:
    """The last revisions, as long as each was committed here."""

    def __init__(self) -> None:
        self._prepared: dict[int, Changed] = {}
        self._committed: deque[tuple[int, Changed]] = deque(maxlen=_KEPT)

    def prepare(self, revision: int, changed: Changed) -> None:
        """Take what is about to be committed; it counts once it is."""
        self._prepared[revision] = changed

    def committed(self, revision: int) -> None:
        """Count what was prepared for this revision; earlier ones that were not are dropped."""
        changed = self._prepared.pop(revision, None)
        self._prepared = {one: kept for one, kept in self._prepared.items() if one > revision}
        if changed is not None and len(changed.upserts) <= _MAX_ENTITIES:
            self._committed.append((revision, changed))

    def since(self, after: int, current: int) -> Changed | None:
        """Return what changed after one revision up to another; none where not all is known."""
        known = [changed for at, changed in self._committed if after < at <= current]
        if len(known) != current - after:  # each revision is committed once
            return None
        there: dict[tuple[str, str], Entity | None] = {}
        for changed in known:
            there |= {(one.kind, one.id): one for one in changed.upserts}
            there |= dict.fromkeys(changed.deletes)
        return Changed(
            [one for one in there.values() if one is not None],
            [name for name, one in there.items() if one is None],
        )
