"""A link on a fresh database, and a gateway's side of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest

from towpath_server.adapters.facilities import Facilities
from towpath_server.core.db import Tx
from towpath_server.core.secret import Secret
from towpath_server.gatewaylink.app import Link
from towpath_server.gatewaylink.catalog import catalog
from towpath_server.gatewaylink.gateways import Gateways
from towpath_server.gatewaylink.recent import Recent
from towpath_server.gatewaylink.routing import changed
from towpath_server.gatewaylink.watch import Watch

CREDENTIAL = "a-link-credential-of-32-characters-"


class GatewaySide:
    """Polls as a gateway does, and keeps the table that comes of it."""

    def __init__(self, http: httpx2.AsyncClient, name: str = "gw_1") -> None:
        self.http = http
        self.name = name
        self.after = 0
        self.revocations_after = 0
        self.budgets_after = 0
        self.table: dict[tuple[str, str], Any] = {}
        self.revoked: list[str] = []
        self.refused: dict[str, Any] | None = None

    async def poll(self, *, wait_ms: int = 0) -> dict[str, Any]:
        """Poll once and apply what comes."""
        body: dict[str, Any] = {
            "gateway_id": self.name,
            "gateway_version": "0.1.0",
            "after": self.after,
            "revocations_after": self.revocations_after,
            "budgets_after": self.budgets_after,
            "wait_ms": wait_ms,
        }
        if self.refused:
            body["refused"] = self.refused
        answer = await self.http.post("/link/v1/routing", json=body)
        assert answer.status_code == 200, answer.text
        reply = answer.json()
        self._apply(reply)
        return reply

    def _apply(self, reply: dict[str, Any]) -> None:
        self.revoked += [one["key_id"] for one in reply.get("revocations", [])]
        self.revocations_after = reply["revocations_to"]
        self.budgets_after = reply.get("budgets_to", 0)
        if snapshot := reply.get("snapshot"):
            self.table = {(e["kind"], e["id"]): e["value"] for e in snapshot["entities"]}
            self.after = snapshot["revision"]
        if batch := reply.get("batch"):
            assert batch["from"] == self.after
            for entity in batch["upserts"]:
                self.table[entity["kind"], entity["id"]] = entity["value"]
            for gone in batch["deletes"]:
                self.table.pop((gone["kind"], gone["id"]), None)
            self.after = batch["to"]

    def of(self, kind: str) -> dict[str, Any]:
        """Return the entities of a kind by id."""
        return {id_: value for (found, id_), value in self.table.items() if found == kind}


@pytest.fixture
def gateways() -> Gateways:
    return Gateways()


@pytest.fixture
def watch(db) -> Watch:
    return Watch(db)


@pytest.fixture
def recent(db) -> Recent:
    """What is kept of commits, as the validator keeps it."""
    kept, kinds = Recent(), catalog("EUR")

    async def prepare(tx: Tx) -> None:
        kept.prepare(tx.revision or 0, await changed(tx, kinds, tx.changes))

    db.before_commit.append(prepare)
    db.after_commit.insert(0, kept.committed)
    return kept


@pytest.fixture
async def link(db, watch, gateways, settings, recent) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the link that has the credential."""
    credential, bodies = Secret(CREDENTIAL), Facilities.of(settings).bodies
    kinds = catalog("EUR")
    app = Link(db, kinds, watch, gateways, credential, bodies=bodies, recent=recent).app()
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app),
        base_url="http://link.test",
        headers={"authorization": f"Bearer {CREDENTIAL}"},
    ) as http:
        yield http


@pytest.fixture
def connect(link) -> Callable[..., GatewaySide]:
    """Make a gateway's side of the link."""

    def make(name: str = "gw_1") -> GatewaySide:
        return GatewaySide(link, name)

    return make


@pytest.fixture
async def watching(watch) -> AsyncIterator[None]:
    """Let the watch look at the database, as it does in the running control plane."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watch.run())
        yield
        task.cancel()
