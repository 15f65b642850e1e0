"""
`Idempotency-Key`: a write that is sent twice is done once.

The key is claimed and the answer kept in the transaction of the write itself, so there is no moment
in which one is stored without the other, and a duplicate that comes at the same time waits for the
first. The answer is sealed: it may hold a secret that is shown once.
"""

import hashlib
import json
from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, Index, String, Table, Text, delete, select, update

from towpath_server.core.db import Tx, metadata
from towpath_server.core.errors import Finding, InvalidRequest, Kind, TowpathError
from towpath_server.core.secret import Secret

HEADER = "idempotency-key"
REPLAYED = "idempotency-replayed"
_KEPT_MS = 24 * 60 * 60 * 1_000  # longer than any client keeps retrying
_MAX_LENGTH = 255

_keys = Table(
    "idempotency_keys",
    metadata,
    Column("principal", String(64), primary_key=True),
    Column("key", String(_MAX_LENGTH), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("answer", Text),
    Column("expires_at_ms", BigInteger, nullable=False),
    Index(None, "expires_at_ms"),
)


class IdempotencyKeyReused(TowpathError):
    """The key stands for another request."""

    code = "idempotency_key_reused"
    kind = Kind.CONFLICT
    title = "Idempotency key already used"

    def __init__(self) -> None:
        super().__init__(
            "This `Idempotency-Key` was already used for another route or body.",
            fix="Use a new key for each change; repeat a key only with exactly the same request.",
        )


@dataclass(frozen=True)
class Claim:
    """A caller's key, and the request it stands for."""

    principal: str
    key: str
    fingerprint: str

    @property
    def seal_id(self) -> str:
        """What the sealed answer is bound to."""
        return f"idempotency:{self.principal}:{self.key}"


@dataclass(frozen=True)
class Answer:
    """What a write answered."""

    status: int
    headers: dict[str, str]
    body: str


def claim(principal: str, key: str | None, method: str, target: str, body: bytes) -> Claim | None:
    """
    Read the header.

    Raises:
        InvalidRequest: The key is empty, too long or not printable.
    """
    if key is None:
        return None
    if not 1 <= len(key) <= _MAX_LENGTH or not (key.isascii() and key.isprintable()):
        raise InvalidRequest(
            "`Idempotency-Key` cannot be used.",
            fix="Send 1 to 255 printable characters, such as a random UUID.",
            findings=[Finding("header:idempotency-key", "1 to 255 printable ASCII characters.")],
        )
    digest = hashlib.sha256(f"{method} {target}\n".encode() + body).hexdigest()
    return Claim(principal, key, digest)


async def begin(tx: Tx, wanted: Claim) -> Answer | None:
    """
    Claim the key, or return what its first use answered.

    Raises:
        IdempotencyKeyReused: The key stands for another request.
    """
    await tx.execute(delete(_keys).where(_keys.c.expires_at_ms <= tx.now_ms))
    insert = tx.insert(_keys).values(
        principal=wanted.principal,
        key=wanted.key,
        fingerprint=wanted.fingerprint,
        expires_at_ms=tx.now_ms + _KEPT_MS,
    )
    claimed = await tx.execute(insert.on_conflict_do_nothing().returning(_keys.c.key))
    if claimed.first() is not None:
        return None
    row = (
        await tx.execute(
            select(_keys.c.fingerprint, _keys.c.answer).where(
                _keys.c.principal == wanted.principal, _keys.c.key == wanted.key
            )
        )
    ).one()
    if row.fingerprint != wanted.fingerprint:
        raise IdempotencyKeyReused
    return Answer(**json.loads(tx.sealer.open(row.answer, id=wanted.seal_id).reveal()))


async def keep(tx: Tx, claimed: Claim, answer: Answer) -> None:
    """Keep the answer for whoever repeats the request."""
    text = json.dumps({"status": answer.status, "headers": answer.headers, "body": answer.body})
    await tx.execute(
        update(_keys)
        .where(_keys.c.principal == claimed.principal, _keys.c.key == claimed.key)
        .values(answer=tx.sealer.seal(Secret(text), id=claimed.seal_id))
    )
