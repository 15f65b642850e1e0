"""
One lease in the database names the instance whose loops run.

The holder renews it long before it ends; another instance takes it over once it has ended. An
instance that restarts under the same name goes on at once.
"""

from sqlalchemy import BigInteger, Column, String, Table, delete, or_, update

from towpath_server.core.db import Database, metadata

_leases = Table(
    "leases",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("holder", String(200), nullable=False),
    Column("until_ms", BigInteger, nullable=False),
)

TTL_S = 10.0  # how long loops stand still after an instance has died


class Lease:
    """The right to run the loops, as one instance sees it."""

    def __init__(self, db: Database, name: str, holder: str, *, ttl_s: float = TTL_S) -> None:
        self._db = db
        self._name = name
        self._holder = holder
        self._ttl_ms = int(ttl_s * 1000)
        self._until_ms = 0

    async def held(self) -> bool:
        """Take or renew the lease where possible; tell whether this instance holds it."""
        now = _now_ms(self._db)
        if self._until_ms - now > self._ttl_ms // 2:
            return True
        until = now + self._ttl_ms
        async with self._db.write() as tx:
            await tx.execute(
                tx.insert(_leases)
                .values(name=self._name, holder=self._holder, until_ms=0)
                .on_conflict_do_nothing()
            )
            taken = await tx.execute(
                update(_leases)
                .where(
                    _leases.c.name == self._name,
                    or_(_leases.c.holder == self._holder, _leases.c.until_ms < now),
                )
                .values(holder=self._holder, until_ms=until)
            )
            mine = taken.rowcount == 1
        self._until_ms = until if mine else 0
        return mine

    async def release(self) -> None:
        """Give the lease up, so that another instance need not wait for its end."""
        self._until_ms = 0
        async with self._db.write() as tx:
            await tx.execute(
                delete(_leases).where(
                    _leases.c.name == self._name, _leases.c.holder == self._holder
                )
            )


def _now_ms(db: Database) -> int:
    return int(db.clock.now().timestamp() * 1000)
