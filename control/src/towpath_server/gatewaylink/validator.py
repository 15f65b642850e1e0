"""
The gateway's own validator, asked before a commit.

`towpath-gateway validate` runs beside the control plane and answers one line per table change, so
that what a gateway would refuse is never committed. Both sides thus run the same code.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from towpath_server.core import log as logging
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding, Kind, TowpathError, Unavailable
from towpath_server.gatewaylink.entity import Entity
from towpath_server.gatewaylink.recent import Recent
from towpath_server.gatewaylink.routing import ADVISORY, Catalog, changed

log = logging.get(__name__)

_REASON = re.compile(r"(?P<kind>[a-z]+) `(?P<id>[^`]*)`:? (?P<detail>.+)", re.DOTALL)
_RULE = re.compile(r"\brule `(?P<name>[^`]*)`: ")
_NEAR = re.compile(r"did you mean `(?P<name>[^`]*)`")
_EXPRESSION = (
    "Write one small CEL expression that is true or false, without loops and regular expressions: "
    "at most 1,024 bytes and 192 parts."
)
# What a refusal speaks of, and the field that is declared as; the first that fits.
_FIELDS: Mapping[str, Sequence[tuple[str, str]]] = {
    "endpoint": (
        (r"\b(tier|rule|level)\b", "#/tier"),
        (r"\bfallback\b", "#/fallback"),
        (r"\battempts?\b", "#/retries/attempts"),
        (r"\btimeout\b", "#/timeouts"),
        (r"\bcache\b", "#/cache"),
        (r"\bcallers\b", "#/access/callers"),
        (r"\btargets?\b", "#/targets"),
        (r"^name\b", "#/name"),
    ),
    "target": (
        (r"\bquirk\b", "#/quirks"),
        (r"\bheader\b", "#/headers"),
        (r"\bquery\b", "#/query"),
        (r"\b(certificate|ca_pem)", "#/ca_pem"),
        (r"\bprobe\b", "#/probe"),
        (r"\b(queue|concurrency)\b", "#/max_concurrency"),
        (r"\baddress\b", "#/url"),
    ),
}
# The answer takes microseconds; this is for a machine that is out of breath.
_ANSWER_S = 5.0
_MAX_LINE_BYTES = 16 * 1024 * 1024


class TableRefused(TowpathError):
    """A change would give the gateways a table that they do not take."""

    code = "table_refused"
    kind = Kind.INVALID
    title = "The gateway would refuse this change"


class Validator:
    """A child process, started when it is first needed and again when it has died."""

    def __init__(self, program: Path, catalog: Catalog, recent: Recent | None = None) -> None:
        """
        Start nothing yet.

        Args:
            recent: Takes what was looked at, so that gateways get the same without another look.
        """
        self._recent = recent
        self._program = program
        self._catalog = catalog
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def before_commit(self, tx: Tx) -> None:
        """
        Let the gateway's validator look at what this transaction changed.

        Raises:
            TableRefused: It would not take the change; the transaction is rolled back.
            Unavailable: It does not answer.
        """
        found = await changed(tx, self._catalog, tx.changes)
        if self._recent is not None and tx.revision is not None:
            self._recent.prepare(tx.revision, found)
        if not found.upserts:
            return
        reason = await self.refusal(found.upserts)
        if reason is not None:
            raise TableRefused(
                f"The gateway would not take this change: {reason}.",
                fix="Correct what it names; if that is not yours to correct, the platform's parts "
                "have different versions: upgrade them together.",
                findings=findings(reason, found.upserts),
            )

    async def refusal(self, entities: Sequence[Entity]) -> str | None:
        """Return why the gateway would refuse these entities, or none."""
        line = json.dumps(
            {"advisory": list(ADVISORY), "entities": [entity.envelope() for entity in entities]},
            separators=(",", ":"),
        )
        async with self._turn:
            try:
                async with asyncio.timeout(_ANSWER_S):
                    answer = await self._ask(line.encode() + b"\n")
            except (TimeoutError, OSError, EOFError, ValueError) as error:
                await self._end()
                raise Unavailable(
                    "The change cannot be checked: the gateway's validator does not answer.",
                    cause=repr(error),
                ) from error
        return None if answer.get("ok") else str(answer.get("reason", "it gave no reason"))

    async def close(self) -> None:
        """End the child."""
        async with self._turn:
            await self._end()

    async def _ask(self, line: bytes) -> dict[str, Any]:
        for last in (False, True):
            process = self._process or await self._start()
            try:
                return await _exchange(process, line)
            except (EOFError, ConnectionError):
                await self._end()
                if last:
                    raise
        raise AssertionError("unreachable")

    async def _start(self) -> asyncio.subprocess.Process:
        self._process = await asyncio.create_subprocess_exec(
            str(self._program),
            "validate",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=None,
            env={},  # it judges what it is given, and needs no secret for that
            limit=_MAX_LINE_BYTES,
        )
        log.info("validator.started", program=str(self._program), pid=self._process.pid)
        return self._process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def findings(reason: str, refused: Sequence[Entity] = ()) -> list[Finding]:
    """Say which field of the payload a refusal is about, where it tells, and what to do."""
    match = _REASON.match(reason)
    if match is None:
        return []
    kind, detail = match["kind"], match["detail"]
    said = f"{detail[:1].upper()}{detail[1:]}."
    rule = _RULE.search(detail) if kind == "endpoint" else None
    if rule is not None:
        entity = next((one for one in refused if one.id == match["id"]), None)
        return [_of_rule(rule["name"], said, entity)]
    for words, pointer in _FIELDS.get(kind, ()):
        if re.search(words, detail):
            return [Finding(pointer, said)]
    return [Finding("#", said)]


def _of_rule(name: str, said: str, entity: Entity | None) -> Finding:
    rules = ((entity.value if entity else {}).get("tier") or {}).get("rules", [])
    index = next((at for at, rule in enumerate(rules) if rule["name"] == name), None)
    near = _NEAR.search(said)
    fix = f"Did you mean `{near['name']}`?" if near else _EXPRESSION
    return Finding("#/tier" if index is None else f"#/tier/rules/{index}/when", said, fix)


async def _exchange(process: asyncio.subprocess.Process, line: bytes) -> dict[str, Any]:
    if process.stdin is None or process.stdout is None:
        raise EOFError("the validator has no pipes")
    process.stdin.write(line)
    await process.stdin.drain()
    answer = await process.stdout.readline()
    if not answer:
        raise EOFError("the validator ended")
    return json.loads(answer)
