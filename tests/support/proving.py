"""A gateway that answers smoke tests on cue, and looks at who may call what while it does."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from towpath_server.adapters.gateway.client import Answer, GatewayAway
from towpath_server.core import tokens
from towpath_server.core.db import Database
from towpath_server.core.secret import Secret
from towpath_server.domains.deployments import service as deployments

LABELS = {"outputs": [{"label": "pos", "score": 0.9}]}


def answer(document: Any, status: int = 200) -> Answer:
    """Return what a model answers."""
    return Answer(status, {}, json.dumps(document).encode(), 0.001)


def stream(*events: Any, done: bool = True) -> Answer:
    """Return a stream of events as it was received."""
    lines = [f"data: {json.dumps(event)}\n\n" for event in events]
    text = "".join(lines) + ("data: [DONE]\n\n" if done else "")
    return Answer(200, {"content-type": "text/event-stream"}, text.encode(), 0.002)


@dataclass
class TrialGateway:
    """Lets in what the routing table lets in, and answers as told; by default every call well."""

    db: Database
    cues: list[Answer | BaseException] = field(default_factory=list)
    """What comes next, before every call goes well."""
    usual: Answer = field(default_factory=lambda: answer(LABELS))
    before: Callable[[], Any] | None = None
    calls: list[tuple[str, Any]] = field(default_factory=list)
    called: set[str] = field(default_factory=set)
    """Ids of the replicas that were asked."""

    async def post(self, path: str, body: bytes, token: Secret, headers: dict[str, str]) -> Answer:
        """Answer one call, if its key is the table's and the name is one that it may call."""
        del headers
        async with self.db.read() as tx:
            keys = {one.hash: one for one in await deployments.routed_keys(tx)}
            endpoints = {one.name: one for one in await deployments.routed_trial_endpoints(tx)}
            targets = {one.id: one for one in await deployments.routed_trial_targets(tx)}
            projects = {one.id for one in await deployments.routed_projects(tx)}
        key = keys.get(tokens.digest(token.reveal()))
        if key is None or key.project_id not in projects:
            return answer({"error": {"code": "invalid_api_key"}}, 401)
        asked = json.loads(body)
        name = asked.get("model") or path.split("/")[3]
        endpoint = endpoints.get(name)
        if endpoint is None or endpoint.project != key.project_id:
            return answer({"error": {"code": "model_not_found"}}, 404)
        self.calls.append((path.replace(name, "NAME"), asked))
        self.called |= {one.id for id_, _ in endpoint.targets for one in targets[id_].replicas}
        if self.before is not None:
            await self.before()
        found = self.cues.pop(0) if self.cues else self.usual
        if isinstance(found, BaseException):
            raise found
        return found


__all__ = ["LABELS", "GatewayAway", "TrialGateway", "answer", "stream"]
