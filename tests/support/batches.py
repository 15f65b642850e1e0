"""A key with files and batches, a gateway that answers on cue, and the runner between them."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from batch_examples import jsonl, line, upload
from platform_api import Api

from towpath_server.adapters.facilities import Facilities
from towpath_server.adapters.gateway.client import Answer, GatewayAway
from towpath_server.core import tokens
from towpath_server.core.clock import FixedClock
from towpath_server.core.db import Database
from towpath_server.core.secret import Secret
from towpath_server.domains.batches.reconcile import Runner
from towpath_server.domains.keys.service import standins

ENDED = {"completed", "failed", "expired", "cancelled"}


class Killed(BaseException):
    """The process died here."""


def completion(text: str) -> Answer:
    """Return what a model answers."""
    body = {"object": "chat.completion", "choices": [{"message": {"content": text.upper()}}]}
    return Answer(200, {"x-request-id": "req_1"}, json.dumps(body).encode())


def refusal(status: int, code: str, **headers: str) -> Answer:
    """Return what the gateway answers to what it does not let through."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, named, json.dumps({"error": {"code": code}}).encode())


@dataclass
class FakeGateway:
    """Answers as told, line by line; by default every call well."""

    db: Database
    cues: dict[str, list[Answer | type[BaseException]]] = field(default_factory=dict)
    """What is answered to the next calls with a text, before they go well."""
    before: Callable[[str], Any] | None = None
    """Awaited on every call, with its text."""
    calls: Counter[str] = field(default_factory=Counter)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)
    as_keys: set[str] = field(default_factory=set)

    async def post(self, path: str, body: bytes, token: Secret, headers: dict[str, str]) -> Answer:
        """Answer one call, if its credential is one of the routing table's."""
        self.paths.add(path)
        async with self.db.read() as tx:
            known = {one.hash: one for one in await standins.routed(tx)}
        found = known.get(tokens.digest(token.reveal()))
        if found is None:
            return refusal(401, "invalid_api_key")
        self.as_keys.add(found.key_id)
        asked = json.loads(body)
        text = asked["messages"][0]["content"] if "messages" in asked else asked["input"]
        self.calls[text] += 1
        self.headers.append(dict(headers))
        if self.before is not None:
            await self.before(text)
        cue = self.cues[text].pop(0) if self.cues.get(text) else completion(text)
        if isinstance(cue, Answer):
            return cue
        raise cue


@dataclass
class World:
    """A project with a key, and what runs its batches."""

    db: Database
    clock: FixedClock
    admin: Api
    facilities: Facilities
    api: Api = None  # type: ignore[assignment]  # made by `prepare`
    key_id: str = ""

    async def prepare(self) -> None:
        """Make team, project and key."""
        self.gateway = FakeGateway(self.db)
        await self.admin.create("/teams", name="care")
        await self.admin.create("/projects", team="care", name="triage")
        await self.key()

    async def key(self, **more: Any) -> Any:
        """Make the key that calls from now on."""
        body = {"project": "care/triage", "environment": "sandbox", "name": "robot", **more}
        made = await self.admin.create("/keys", **body)
        self.key_id, self.api = made["id"], self.admin.as_(made["key"])
        return made

    def runner(self, **limits: Any) -> Runner:
        """Return a runner as a fresh process has it."""
        settings = self.facilities.batches.model_copy(update=limits)

        async def applied(_revision: int) -> bool:
            return True

        return Runner(
            db=self.db,
            blobs=self.facilities.files,
            limits=settings,
            gateway=self.gateway,
            room=asyncio.Semaphore(settings.concurrency),
            sources=("127.0.0.0/8",),
            applied=applied,
        )

    async def upload(self, content: bytes, *, status: int = 200, **fields: str) -> Any:
        """Upload a file."""
        call = upload(content, **fields)
        answer = await self.api.call(
            "POST", call.path, content=call.content, headers=call.headers, status=status
        )
        return answer.json()

    async def batch(self, *lines: Any, **more: Any) -> str:
        """Make a batch of these lines, or of three good ones, and return its id."""
        content = jsonl(*(lines or [line("a"), line("b"), line("c")]))
        file = await self.upload(content)
        body = {
            "input_file_id": file["id"],
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            **more,
        }
        answer = await self.api.call("POST", "/v1/batches", body, status=200)
        return str(answer.json()["id"])

    async def get(self, batch: str) -> Any:
        """Return a batch as the API shows it."""
        return await self.api.get(f"/v1/batches/{batch}")

    async def run(self, batch: str, **limits: Any) -> Any:
        """Take all steps of a batch, each in a process of its own, and return what it became."""
        for _ in range(20):
            if not await self.runner(**limits).step(batch):
                return await self.get(batch)
        raise AssertionError("it never ends")

    async def lines_of(self, file: str | None) -> list[Any]:
        """Return the lines of a file."""
        assert file is not None
        answer = await self.api.call("GET", f"/v1/files/{file}/content", status=200)
        return [json.loads(text) for text in answer.text.splitlines()]


__all__ = ["ENDED", "FakeGateway", "GatewayAway", "Killed", "World", "jsonl", "line", "refusal"]
