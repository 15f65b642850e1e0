"""
The database: two engines behind one interface, and the only place that commits.

SQLite has one writer (`BEGIN IMMEDIATE`, WAL) and the ledger in a file of its own; PostgreSQL has
the ledger in the schema `ledger`. Everything above this module sees a `Tx` and never a commit.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, Executable, Integer, MetaData, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import CursorResult, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.types import TypeEngine

from towpath_server.core import clock as clocks
from towpath_server.core.clock import Clock
from towpath_server.core.errors import ConcurrentChange, DatabaseUnavailable, InvalidRequest
from towpath_server.core.seal import Sealer
from towpath_server.core.urls import engine_url

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = MetaData(naming_convention=NAMING)
"""Everything declared."""

ledger_metadata = MetaData(naming_convention=NAMING)
"""Usage records and their roll-ups."""

BigSerial: TypeEngine[int] = BigInteger().with_variant(Integer(), "sqlite")
"""A primary key that counts by itself on both engines."""

LEDGER_SCHEMA = "ledger"

# A writer waits this long for its turn: longer than any transaction of ours may take, and shorter
# than the time after which clients give up.
_WRITE_WAIT_S = 10.0
_BUSY_TIMEOUT_MS = 5_000  # another process (migration, backup) holds SQLite's file
_CONNECT_TIMEOUT_S = 5.0
_STATEMENT_TIMEOUT_S = 30.0
_POOL = 10  # connections an engine keeps: a control plane is busy with tens of requests
_WRITE_OPTION = "towpath_write"

AnyInsert = postgresql.Insert | sqlite.Insert


@dataclass
class Tx:
    """One transaction: the connection, and what a service needs beside it."""

    connection: AsyncConnection
    clock: Clock
    sealer: Sealer
    changes: list[tuple[str, str]] = field(default_factory=list)
    """(noun, id) of everything the gateway must hear of; filled by `revision.bump`."""
    revision: int | None = None
    """The routing revision of this transaction, once something was bumped."""
    noted: list[tuple[str, str]] = field(default_factory=list)
    """(noun, id) of what this program's loops must look at, and gateways need not hear of."""

    async def execute(
        self, statement: Executable, parameters: Any | None = None
    ) -> CursorResult[Any]:
        """Run a statement, with a list of parameter sets for many rows."""
        try:
            return await self.connection.execute(statement, parameters)
        except _DRIVER_ERRORS as error:
            raise _translate(error) from error

    def insert(self, table: Table) -> Any:
        """Return this engine's INSERT, which has `on_conflict_do_nothing` and `…_do_update`."""
        insert = sqlite.insert if self.dialect == "sqlite" else postgresql.insert
        return insert(table)

    @property
    def dialect(self) -> str:
        """Either `sqlite` or `postgresql`."""
        return self.connection.dialect.name

    @property
    def now(self) -> datetime:
        """The time by this transaction's clock."""
        return self.clock.now()

    @property
    def now_ms(self) -> int:
        """The time by this transaction's clock, as it is stored."""
        return clocks.to_ms(self.clock.now())


class _Store:
    """One engine and its queue of writers."""

    def __init__(self, url: str, *, schema: str | None, durable: bool) -> None:
        self.url = url
        self.schema = schema
        self.is_sqlite = make_url(url).get_backend_name() == "sqlite"
        self.engine = _sqlite(url, durable=durable) if self.is_sqlite else _postgresql(url, schema)
        self.log = Path(f"{make_url(url).database}-wal") if self.is_sqlite else None
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def connection(self, *, write: bool) -> AsyncIterator[AsyncConnection]:
        """Open a transaction; the caller of this module never sees the commit."""
        if write and self.is_sqlite:
            async with self._writer(), self._begin(write=True) as connection:
                yield connection
        else:
            async with self._begin(write=write) as connection:
                yield connection

    @asynccontextmanager
    async def _writer(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(_WRITE_WAIT_S):
                await self._turn.acquire()
        except TimeoutError as error:
            raise DatabaseUnavailable(
                "The database is busy: too many changes wait their turn."
            ) from error
        try:
            yield
        finally:
            self._turn.release()

    @asynccontextmanager
    async def _begin(self, *, write: bool) -> AsyncIterator[AsyncConnection]:
        async with self.engine.connect() as connection:
            if self.is_sqlite:
                await connection.execution_options(**{_WRITE_OPTION: write})
            elif not write:
                await connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
            async with connection.begin():
                try:
                    yield connection
                except OSError as error:
                    raise _NotOurs(error) from error


class _NotOurs(Exception):
    """Carry an I/O error of the code inside a transaction past the translation of our own."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error


class Database:
    """The main database and the ledger."""

    def __init__(self, main: _Store, ledger: _Store, clock: Clock, sealer: Sealer) -> None:
        self._main = main
        self._ledger = ledger
        self.clock = clock
        self.sealer = sealer
        self.before_commit: list[Callable[[Tx], Awaitable[None]]] = []
        self.after_commit: list[Callable[[int], None]] = []
        self.after_changes: list[Callable[[Sequence[tuple[str, str]]], None]] = []
        """Hear of what was changed or noted, by noun and id, once it is committed."""

    @classmethod
    async def open(
        cls,
        url: str,
        ledger_url: str | None,
        clock: Clock,
        *,
        sealer: Sealer,
        durable: bool = True,
    ) -> "Database":
        """
        Prepare both engines; connections are made when they are needed.

        Args:
            url: `sqlite:///path` or `postgresql://user:password@host/name`.
            ledger_url: Where the ledger is; none: the schema `ledger` of `url`, or the file
                `usage.db` beside it.
            durable: Off lets the operating system write SQLite's files when it likes; for tests.

        Raises:
            InvalidRequest: The URL is of neither engine.
        """
        main_url, beside = engine_url(url), engine_url(ledger_url or beside_ledger(url))
        main = _Store(main_url, schema=None, durable=durable)
        ledger = _Store(beside, schema=LEDGER_SCHEMA, durable=durable)
        return cls(main, ledger, clock, sealer)

    async def close(self) -> None:
        """Give all connections back."""
        await self._main.engine.dispose()
        await self._ledger.engine.dispose()

    def stamp(self) -> tuple[tuple[int, int], ...] | None:
        """
        Return what differs once any process has committed, without a query.

        None where that cannot be had: whoever wants to know must look. What was read is later than
        a stamp that was taken before; two commits within the clock of the file system may share
        one, so who goes by it alone looks now and then all the same.
        """
        stamps = []
        for store in (self._main, self._ledger):
            if store.log is None:
                return None
            try:
                found = store.log.stat()
            except FileNotFoundError:
                stamps.append((0, 0))
            else:
                stamps.append((found.st_mtime_ns, found.st_size))
        return tuple(stamps)

    @property
    def dialect(self) -> str:
        """Either `sqlite` or `postgresql`."""
        return self._main.engine.dialect.name

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Tx]:
        """Open a transaction that sees one state of the database and changes nothing."""
        async with _translated(), self._main.connection(write=False) as connection:
            yield Tx(connection, self.clock, self.sealer)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Tx]:
        """
        Open a transaction that commits at exit and rolls back on any error.

        Raises:
            DatabaseUnavailable: The database cannot be reached, or is full.
            ConcurrentChange: Another transaction committed a change that excludes this one.
        """
        async with _translated(), self._main.connection(write=True) as connection:
            tx = Tx(connection, self.clock, self.sealer)
            yield tx
            if tx.changes:
                for hook in self.before_commit:
                    await hook(tx)
        if tx.revision is not None:
            for notify in self.after_commit:
                notify(tx.revision)
        if tx.changes or tx.noted:
            for tell in self.after_changes:
                tell([*tx.changes, *tx.noted])

    @asynccontextmanager
    async def ledger_read(self) -> AsyncIterator[Tx]:
        """Open a transaction on the ledger that changes nothing."""
        async with _translated(), self._ledger.connection(write=False) as connection:
            yield Tx(connection, self.clock, self.sealer)

    @asynccontextmanager
    async def ledger_write(self) -> AsyncIterator[Tx]:
        """Open a transaction on the ledger that commits at exit."""
        async with _translated(), self._ledger.connection(write=True) as connection:
            yield Tx(connection, self.clock, self.sealer)

    @asynccontextmanager
    async def schema_change(self, *, ledger: bool = False) -> AsyncIterator[AsyncConnection]:
        """Open a bare connection in a transaction; for migrations alone."""
        store = self._ledger if ledger else self._main
        async with _translated(), store.connection(write=True) as connection:
            yield connection


def beside_ledger(url: str) -> str:
    """Return where the ledger of this main database is when nothing else was said."""
    parsed = make_url(engine_url(url))
    if parsed.get_backend_name() != "sqlite":
        return url
    folder, separator, _ = (parsed.database or "").rpartition("/")
    return f"sqlite:///{folder}{separator}usage.db"


def _sqlite(url: str, *, durable: bool) -> AsyncEngine:
    engine = create_async_engine(url, pool_size=_POOL, pool_timeout=_WRITE_WAIT_S)

    @event.listens_for(engine.sync_engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver would begin by itself, and not IMMEDIATE
        cursor = connection.cursor()
        for pragma in (
            "journal_mode = WAL",
            # FULL: an acknowledged usage record is deleted at the gateway, so it must be on disk
            f"synchronous = {'FULL' if durable else 'OFF'}",
            f"busy_timeout = {_BUSY_TIMEOUT_MS}",
            "foreign_keys = ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Any) -> None:
        write = connection.get_execution_options().get(_WRITE_OPTION, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _postgresql(url: str, schema: str | None) -> AsyncEngine:
    settings = {"application_name": "towpath"}
    if schema is not None:
        settings["search_path"] = schema
    return create_async_engine(
        url,
        pool_size=_POOL,
        pool_timeout=_WRITE_WAIT_S,
        pool_pre_ping=True,
        connect_args={
            "timeout": _CONNECT_TIMEOUT_S,
            "command_timeout": _STATEMENT_TIMEOUT_S,
            "server_settings": settings,
        },
    )


# PostgreSQL's classes of errors (SQLSTATE) that are not bugs of ours
_RACES = {"40001", "40P01"}  # serialisation failure, deadlock
_UNSTORABLE = {"22021", "22P05"}  # text with NUL or half a character
_AWAY = ("08", "53", "57P", "58")  # connection, resources, shutdown, system error
_SQLITE_AWAY = ("locked", "busy", "full", "unable to open", "disk i/o", "readonly")


_DRIVER_ERRORS = (SQLAlchemyError, OSError)


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    """Turn what a driver says at the start and the end of a transaction into our own words."""
    try:
        yield
    except _NotOurs as envelope:
        raise envelope.error from envelope.error.__cause__
    except _DRIVER_ERRORS as error:
        raise _translate(error) from error


def _translate(error: SQLAlchemyError | OSError) -> Exception:
    """Return the error a caller can act on; what is a bug of ours stays as it is."""
    if isinstance(error, OSError | PoolTimeoutError):  # OSError is also TimeoutError
        return _gone(str(error))
    if not isinstance(error, DBAPIError):
        return error
    state = str(getattr(error.orig, "sqlstate", None) or "")
    text = str(error.orig).lower()
    if isinstance(error, IntegrityError) or state in _RACES:
        return ConcurrentChange(cause=text)
    if state in _UNSTORABLE:
        return InvalidRequest(
            "The request contains a character that cannot be stored.",
            fix="Remove NUL and other control characters.",
        )
    away = error.connection_invalidated or state.startswith(_AWAY) or "connection" in text
    return _gone(text) if away or any(word in text for word in _SQLITE_AWAY) else error


def _gone(cause: str) -> DatabaseUnavailable:
    full = "full" in cause or "no space" in cause
    return DatabaseUnavailable(
        "The disk of the database is full." if full else "The database does not answer.",
        fix="Free space on the disk of the database." if full else None,
        cause=cause,
    )
