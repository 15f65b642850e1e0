"""One line's call, until it has a result; and the credential that calls are made with."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from towpath_server.adapters.gateway.client import Answer, AnswerTooLarge, GatewayAway
from towpath_server.core import ids
from towpath_server.core import log as logging
from towpath_server.core.db import Database
from towpath_server.core.secret import Secret
from towpath_server.domains.batches.models import Batch, Line, Result
from towpath_server.domains.batches.reconcile.throttle import Throttle
from towpath_server.domains.keys.service import standins

log = logging.get(__name__)

# A stand-in lasts this long and is replaced in time; a crash leaves one that ends by itself.
_LASTS_MS = 3_600_000
_RENEW_MS = 600_000
# What an upstream got wrong is worth another two tries, and then it is the line's result.
_MAX_FAULTS = 3
_FAULT_PAUSE_S = 1.0
# Where nothing says when to come back: soon, but no busy loop. A budget may last until midnight.
_AWAY_S = 1.0
_NO_ROOM_S = 2.0
_EXHAUSTED_S = 60.0
# Anthropic's dialect has a status of its own where others have 503.
_NO_ROOM = frozenset({429, 503, 529})
_MAX_WAIT_S = 120.0  # no `Retry-After` of ours is above
_MAX_REFUSED = 10  # fresh credentials that no gateway takes, before something else must be wrong


class Gateway(Protocol):
    """Calls models, once a call."""

    async def post(self, path: str, body: bytes, token: Secret, headers: dict[str, str]) -> Answer:
        """
        Make one call.

        Raises:
            GatewayAway: No whole answer came.
            AnswerTooLarge: The answer is larger than may be kept.
        """
        ...


class KeyEnded(Exception):
    """The key whose calls these are was revoked, or has expired."""


class Credential:
    """The stand-in of one batch: made when it is needed, replaced before it ends."""

    def __init__(
        self,
        db: Database,
        batch: Batch,
        *,
        sources: tuple[str, ...] | None,
        applied: Callable[[int], Awaitable[bool]],
    ) -> None:
        self._db = db
        self._batch = batch
        self._sources = sources
        self._applied = applied
        self._lock = asyncio.Lock()
        self._held: standins.StandIn | None = None
        self._secret = Secret("none")

    async def get(self, *, instead_of: str | None = None) -> tuple[str, Secret]:
        """
        Return id and secret.

        Args:
            instead_of: A stand-in that was refused.

        Raises:
            KeyEnded: The key is no longer valid.
        """
        async with self._lock:
            held = self._held
            now_ms = int(self._db.clock.now().timestamp() * 1000)
            if (
                held is not None
                and held.id != instead_of
                and held.expires_at_ms - now_ms > _RENEW_MS
            ):
                return held.id, self._secret
            async with self._db.write() as tx:
                if await standins.find(tx, self._batch.key_id) is None:
                    raise KeyEnded
                await standins.withdraw(tx, [instead_of] if instead_of else [])
                held, self._secret = await standins.issue(
                    tx, self._batch.key_id, lasts_ms=_LASTS_MS, sources=self._sources
                )
                self._held = held
            if tx.revision is not None:
                await self._applied(tx.revision)
            return held.id, self._secret

    async def withdraw(self) -> None:
        """End it."""
        if self._held is not None:
            async with self._db.write() as tx:
                await standins.withdraw(tx, [self._held.id])
            self._held = None


class Caller:
    """Makes the calls of one batch."""

    def __init__(
        self,
        gateway: Gateway,
        batch: Batch,
        credential: Credential,
        throttle: Throttle,
        room: asyncio.Semaphore,
    ) -> None:
        self._gateway = gateway
        self._batch = batch
        self._credential = credential
        self._throttle = throttle
        self._room = room
        self._headers = {
            "x-towpath-priority": "batch",
            "x-towpath-labels": f"batch={batch.id}",
        }

    async def call(self, line: Line) -> Result:
        """
        Call until there is a result; what only wants room or a gateway is waited for.

        Raises:
            KeyEnded: The key is no longer valid.
        """
        body = json.dumps(line.body, ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8", "surrogatepass"
        )
        faults = refused = 0
        instead_of: str | None = None
        while True:
            held, token = await self._credential.get(instead_of=instead_of)
            instead_of = None
            await self._throttle.enter()
            try:
                async with self._room:
                    answer = await self._gateway.post(self._batch.url, body, token, self._headers)
            except GatewayAway:
                self._throttle.no_room(_AWAY_S)
                continue
            except AnswerTooLarge:
                return failed(line, "answer_too_large", "The answer is larger than may be kept.")
            finally:
                self._throttle.leave()
            if answer.status in _NO_ROOM:
                self._throttle.no_room(_wait_s(answer))
                continue
            if answer.status == 401 and refused < _MAX_REFUSED:
                refused += 1
                instead_of = held
                self._throttle.no_room(_AWAY_S)
                continue
            if answer.status >= 500 and (faults := faults + 1) < _MAX_FAULTS:
                self._throttle.no_room(_FAULT_PAUSE_S * faults)
                continue
            if answer.status < 300:
                self._throttle.went_well()
            return answered(line, answer)


def answered(line: Line, answer: Answer) -> Result:
    """Write what a call was answered."""
    try:
        body: Any = json.loads(answer.body)
    except ValueError:
        body = {"error": {"message": "The answer is not JSON.", "code": "invalid_answer"}}
    response = {
        "status_code": answer.status,
        "request_id": answer.headers.get("x-request-id", ""),
        "body": body,
    }
    return _result(line, ok=answer.status < 300, response=response, error=None)


def failed(line: Line, code: str, message: str) -> Result:
    """Write that a line has no answer, and why."""
    return _result(line, ok=False, response=None, error={"code": code, "message": message})


def _result(line: Line, *, ok: bool, response: Any, error: Any) -> Result:
    document = {
        "id": ids.new("batch_req"),
        "custom_id": line.custom_id,
        "response": response,
        "error": error,
    }
    # ASCII alone: half a character in an answer must not keep the others from being stored.
    return Result(line.index, ok, json.dumps(document, separators=(",", ":")))


def _wait_s(answer: Answer) -> float:
    if answer.headers.get("x-should-retry") == "false":
        return _EXHAUSTED_S
    try:
        wait = float(answer.headers.get("retry-after", _NO_ROOM_S))
    except ValueError:
        wait = _NO_ROOM_S
    return min(max(wait, 0.0), _MAX_WAIT_S)
