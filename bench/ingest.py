"""Ingestion into the ledger by itself: records per second, on both engines, durable."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from gateways import ROOT

sys.path.insert(0, str(ROOT / "tests" / "support"))

import records
from postgres import server

from towpath_server import migrations
from towpath_server.core.clock import SystemClock
from towpath_server.core.db import Database
from towpath_server.core.seal import Sealer
from towpath_server.core.secret import Secret
from towpath_server.gatewaylink.schemas import UsageBatch
from towpath_server.gatewaylink.usage import Intake
from towpath_server.migrations.__main__ import import_tables

BATCHES = 60
BATCH = 1_000
DURABLE = {"fsync": "on", "synchronous_commit": "on"}


def documents() -> list[bytes]:
    """Write the batches as a gateway sends them: 40 keys, 8 endpoints, over six hours."""
    made = []
    for first in range(1, BATCHES * BATCH, BATCH):
        batch = [
            records.record(
                number, key_id=f"key_{number % 40}", endpoint=f"endpoint-{number % 8}",
                time_ms=1_795_000_000_000 + number * 360,
            )
            for number in range(first, first + BATCH)
        ]  # fmt: skip
        made.append(json.dumps(records.batch(*batch)).encode())
    return made


async def rate(url: str) -> float:
    """Take all batches into a fresh database; returns records per second, reading and checking included."""
    import_tables()
    db = await Database.open(
        url,
        None,
        SystemClock(),
        sealer=Sealer(Secret("a-secret-key-for-measurements-of-43-letters-")),
    )
    await migrations.upgrade(db)
    intake, sent = Intake(db), documents()
    began = time.perf_counter()
    for document in sent:
        await intake.take(UsageBatch.model_validate_json(document))
    took = time.perf_counter() - began
    await db.close()
    return BATCHES * BATCH / took


def rates() -> dict[str, float]:
    """Measure both engines."""
    with tempfile.TemporaryDirectory(prefix="bench-ledger-") as folder:
        sqlite = asyncio.run(rate(f"sqlite:///{Path(folder) / 'towpath.db'}"))
    with server(DURABLE) as postgres:
        postgresql = asyncio.run(rate(postgres.url()))
    return {"SQLite": sqlite, "PostgreSQL": postgresql}


if __name__ == "__main__":
    print(rates())
