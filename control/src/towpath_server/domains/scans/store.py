"""Queries of scans."""

from collections.abc import Collection, Mapping

from sqlalchemy import select

from towpath_server.adapters.modelfiles.examine import VERSION
from towpath_server.adapters.modelfiles.report import Examined
from towpath_server.core.db import Tx
from towpath_server.domains.scans.tables import artifact_scans

Key = tuple[str, str]
"""Digest, and the last part of the path."""

_AT_ONCE = 500  # digests of one query


async def find(tx: Tx, keys: Collection[Key]) -> dict[Key, Examined]:
    """Return what this version of the scanner has found before."""
    digests = sorted({digest for digest, _ in keys})
    found: dict[Key, Examined] = {}
    for start in range(0, len(digests), _AT_ONCE):
        query = select(artifact_scans).where(
            artifact_scans.c.scanner == VERSION,
            artifact_scans.c.digest.in_(digests[start : start + _AT_ONCE]),
        )
        for row in await tx.execute(query):
            if (row.digest, row.name) in keys:
                found[row.digest, row.name] = Examined.of(row.found)
    return found


async def keep(tx: Tx, found: Mapping[Key, Examined]) -> None:
    """Remember what was found."""
    for (digest, name), one in found.items():
        await tx.execute(
            tx.insert(artifact_scans)
            .values(
                digest=digest,
                name=name,
                scanner=VERSION,
                found=one.as_json(),
                created_at_ms=tx.now_ms,
            )
            .on_conflict_do_nothing()
        )
