"""Usage coming up the link: read, checked, stored, acknowledged."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from towpath_server.core import log as logging
from towpath_server.core.db import Database
from towpath_server.core.errors import Unavailable
from towpath_server.domains.budgets.models import News
from towpath_server.domains.budgets.service import books
from towpath_server.domains.keys import service as keys
from towpath_server.domains.usage import service as usage
from towpath_server.domains.usage.models import Ended, Entry
from towpath_server.gatewaylink.schemas import UsageBatch, UsageRecord

log = logging.get(__name__)

# As wide as the ledger's columns. What a caller asked for may be longer; the document keeps it
# whole.
_NAME = 255
_ID = 64
# "Last used" is for people: a write per key and minute is exact enough, and cheap with 100,000
# keys.
_TOUCH_EVERY_MS = 60_000
_TOUCHED_KEYS = 100_000


@dataclass(frozen=True)
class Taken:
    """What became of a batch."""

    acknowledged: int
    """Everything up to this sequence is stored for good."""
    budgets: News = field(default_factory=News)
    """The budgets that it counted towards."""


class Intake:
    """Takes batches of records into the ledger."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._touched: dict[str, int] = {}
        self._index = books.Index()

    async def take(self, batch: UsageBatch) -> Taken:
        """
        Store a batch and count it; return the sequence up to which everything is stored for good.

        Raises: SequenceReused: The gateway counts from the start again under an id that was used
        before. Unavailable: The ledger is away; the gateway keeps the records and sends them again.
        """
        if not batch.records:
            return Taken(0)
        sequences: dict[str, int] = {}
        for record in batch.records:
            former = sequences.get(record.gateway_id, 0)
            sequences[record.gateway_id] = max(former, record.sequence)
        async with self._db.ledger_write() as ledger:
            new = await usage.ingest(ledger, [entry(record) for record in batch.records])
            index, news = await books.count(ledger, self._index, new, sequences=sequences)
        self._index = index
        await self._touch(batch.records)
        return Taken(max(record.sequence for record in batch.records), news)

    async def _touch(self, records: Iterable[UsageRecord]) -> None:
        used: dict[str, int] = {}
        for record in records:
            key = record.key_id
            if key and record.time_ms - self._touched.get(key, 0) >= _TOUCH_EVERY_MS:
                used[key] = max(record.time_ms, used.get(key, 0))
        if not used:
            return
        if len(self._touched) + len(used) > _TOUCHED_KEYS:
            self._touched.clear()  # costs one more write per key
        try:
            async with self._db.write() as tx:
                await keys.touch(tx, used)
        except Unavailable as error:
            log.warning("keys.touch_failed", detail=error.detail, **error.log)
        else:
            self._touched |= used


def entry(record: UsageRecord) -> Entry:
    """Make the ledger's entry of a record."""
    return Entry(
        gateway_id=record.gateway_id,
        sequence=record.sequence,
        id=record.id,
        time_ms=record.time_ms,
        environment=record.environment,
        team=_cut(record.team, _ID),
        project=_cut(record.project, _ID),
        application=_cut(record.application, _ID),
        key_id=_cut(record.key_id, _ID),
        operation=record.operation,
        endpoint=_cut(record.endpoint, _NAME),
        endpoint_id=_cut(record.endpoint_id, _ID),
        provider=_cut(record.provider, _NAME),
        model=_cut(record.model, _NAME),
        status=record.status,
        ended=Ended(record.ended),
        error_code=record.error_code,
        currency=_cut(record.currency, 3),
        input_tokens=record.input_tokens,
        output_tokens=record.output_tokens,
        cached_input_tokens=record.cached_input_tokens,
        cost_nano=record.cost_nano,
        count=record.count,
        cache_write_tokens=record.cache_write_tokens,
        reasoning_tokens=record.reasoning_tokens,
        audio_input_tokens=record.audio_input_tokens,
        audio_output_tokens=record.audio_output_tokens,
        gpu_us=record.gpu_us,
        saved_nano=record.saved_nano,
        cache_hit=record.cache == "hit",
        document=record.model_dump_json(by_alias=True, exclude_unset=True),
    )


def _cut(text: str | None, length: int) -> str | None:
    """Make a text fit a column; PostgreSQL takes no NUL, and what a caller sent may hold one."""
    return text.replace("\0", "")[:length] if text is not None else None
