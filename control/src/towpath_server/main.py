"""
The control plane's program: settings in, listeners served, everything ended in order.

`serve` is the composition root. Every long-lived task belongs to the one task group opened here, so
an end is ordered: no more intake, the link's polls answered, loops stopped, model servers stopped,
the database closed. A crash stops nothing of this, and the next process adopts the model servers.
"""

import argparse
import asyncio
import json
import os
import platform
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from socket import socket

from fastapi import FastAPI

from towpath_server import bootstrap, builds, migrations, supervisor
from towpath_server.adapters.egress import EgressClient
from towpath_server.adapters.facilities import Facilities
from towpath_server.adapters.gateway.client import GatewayClient, sources_for
from towpath_server.adapters.webhook import Webhook
from towpath_server.api import create_app
from towpath_server.core import config
from towpath_server.core import log as logging
from towpath_server.core.announcer import Announcer
from towpath_server.core.clock import SystemClock
from towpath_server.core.config import Settings, SettingsInvalid
from towpath_server.core.db import Database
from towpath_server.core.errors import TowpathError, Unavailable
from towpath_server.core.folder import DataFolder
from towpath_server.core.seal import Sealer
from towpath_server.core.secret import Secret
from towpath_server.domains.artifacts import reconcile as artifact_loop
from towpath_server.domains.artifacts.models import Depot
from towpath_server.domains.batches.reconcile import BatchLoop, Runner
from towpath_server.domains.bodies import reconcile as forget
from towpath_server.domains.deployments import reconcile
from towpath_server.domains.deployments.reconcile import Tester, TrialLoop
from towpath_server.domains.imports import reconcile as imports
from towpath_server.domains.notices.reconcile import Notifier
from towpath_server.gatewaylink.app import Link
from towpath_server.gatewaylink.budgets import BudgetRegistry
from towpath_server.gatewaylink.catalog import catalog
from towpath_server.gatewaylink.gateways import Gateways
from towpath_server.gatewaylink.recent import Recent
from towpath_server.gatewaylink.validator import Validator
from towpath_server.gatewaylink.watch import Watch
from towpath_server.loops.ending import let_go
from towpath_server.loops.lease import Lease
from towpath_server.loops.reconcile import ReconcileLoop
from towpath_server.supervisor import folder as folders
from towpath_server.supervisor.errors import CannotStart
from towpath_server.supervisor.plan import find_gateway
from towpath_server.web.serving import Gate, Server, listener

log = logging.get(__name__)

# `sysexits.h`: EX_CONFIG. The supervisor shows what was said, and does not try again.
EXIT_NOT_STARTABLE = 78
# The control plane's requests take milliseconds; a large upload is repeated by its client.
API_DRAIN_S = 5
# Polls are answered at once when the link closes; a batch of usage takes less than this.
LINK_DRAIN_S = 2
_LET_GO_S = 5.0
_FIRST_RETRY_S = 0.1
_MAX_RETRY_S = 2.0
_HOLDER_CHARS = 200  # as long as the lease's column


@dataclass(frozen=True)
class Listeners:
    """The sockets to serve on."""

    api: socket
    link: socket


@dataclass
class Composition:
    """The parts, put together but not started."""

    settings: Settings
    facilities: Facilities
    db: Database
    watch: Watch
    gateways: Gateways
    validator: Validator | None
    registry: BudgetRegistry
    webhook: Webhook | None
    link: Link


async def compose(settings: Settings) -> Composition:
    """Put the parts together; nothing is started and no connection made."""
    facilities = Facilities.of(settings)
    db = await open_database(settings)
    kinds = catalog(settings.currency)
    watch, gateways = Watch(db), Gateways()
    program = find_gateway(settings)
    recent = Recent()
    validator = Validator(program, kinds, recent) if program else None
    webhook = _webhook(settings)
    registry = BudgetRegistry(db, notify=webhook is not None)
    db.after_commit.insert(0, recent.committed)  # before anybody is woken to look for it
    if validator:
        db.before_commit.append(validator.before_commit)
    else:
        log.warning("validator.missing", fix="put `towpath-gateway` beside this Python")
    db.before_commit.append(registry.before_commit)
    credential = _required(settings.link_credential, "TOWPATH_LINK_CREDENTIAL")
    return Composition(
        settings=settings,
        facilities=facilities,
        db=db,
        watch=watch,
        gateways=gateways,
        validator=validator,
        registry=registry,
        webhook=webhook,
        link=Link(db, kinds, watch, gateways, credential, bodies=facilities.bodies, recent=recent),
    )


def _webhook(settings: Settings) -> Webhook | None:
    if settings.webhook_url is None:
        return None
    secret = _required(settings.webhook_secret, "TOWPATH_WEBHOOK_SECRET")
    return Webhook(settings.webhook_url, secret, EgressClient.of(settings))


async def open_database(settings: Settings) -> Database:
    """Prepare the database that the settings name; by default SQLite in the data folder."""
    folder = DataFolder.at(settings.data)
    return await Database.open(
        settings.database_url or f"sqlite:///{folder.database}",
        settings.ledger_url,
        SystemClock(),
        sealer=Sealer(_required(settings.secret_key, "TOWPATH_SECRET_KEY")),
    )


def _required(value: Secret | None, variable: str) -> Secret:
    if value is None:
        raise SettingsInvalid(
            f"`{variable}` is not set.",
            fix="Set it to at least 32 characters, the same for control plane and gateway; "
            "`towpath up` makes one by itself.",
        )
    return value


class ControlPlane:
    """One run, from the first signal of life to the ordered end."""

    def __init__(self, parts: Composition, listeners: Listeners, announcer: Announcer) -> None:
        self._parts = parts
        self._listeners = listeners
        self._announcer = announcer
        self._stopping = asyncio.Event()
        self._at_once = asyncio.Event()
        self.refusal: TowpathError | None = None
        """Why it cannot be started, where trying again would not help."""
        self._leaves_models = False
        """Whether the next control plane takes over what runs."""
        reason = "it has not reached its database yet"
        self._api_gate, self._link_gate = Gate(reason), Gate(reason)

    async def run(self) -> None:
        """Serve until told to stop, then end in order."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)
        loop.add_signal_handler(signal.SIGUSR1, self._replaced)
        api, link = (
            Server(self._api_gate, drain_s=API_DRAIN_S, once=True),
            Server(self._link_gate, drain_s=LINK_DRAIN_S),
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(api.serve(sockets=[self._listeners.api]))
            group.create_task(link.serve(sockets=[self._listeners.link]))
            work = group.create_task(self._work())
            await self._stopping.wait()
            api.stop()
            link.stop()
            self._parts.watch.close()
            work.cancel()
            await asyncio.wait([work])
            if self._leaves_models:
                await self._parts.facilities.servers.detach()
            else:
                await self._end_models()
        if self._parts.validator:
            await self._parts.validator.close()
        await self._parts.db.close()

    def _signalled(self) -> None:
        if self._stopping.is_set():
            self._at_once.set()
        self._stopping.set()

    def _replaced(self) -> None:
        """End in order, and leave the model servers to the control plane that comes."""
        self._leaves_models = not self._stopping.is_set()
        self._stopping.set()

    async def _work(self) -> None:
        """Start what needs the database, then run the loops."""
        parts = self._parts
        try:
            await self._prepare()
        except TowpathError as error:
            self.refusal = error
            self._stopping.set()
            return
        self._api_gate.open(self._app())
        self._link_gate.open(parts.link.app())
        self._announcer.say("ready")
        log.info("control.ready")
        async with asyncio.TaskGroup() as loops:
            loops.create_task(builds.tell(self._announcer, parts.facilities.runtimes_dir))
            loops.create_task(parts.watch.run())
            loops.create_task(parts.registry.run())
            if parts.webhook:
                loops.create_task(Notifier(parts.db, parts.webhook).run())
            loops.create_task(bootstrap.settle(parts.db, parts.watch))
            holder = f"{platform.node()}:{parts.facilities.folder.root}"[-_HOLDER_CHARS:]
            loops.create_task(self._run_batches(holder))
            loops.create_task(self._run_trials(holder))
            outside, sources = EgressClient.of(parts.settings), parts.settings.sources
            brought = imports.loop(parts.db, parts.facilities, outside, sources, holder=holder)
            loops.create_task(brought.run())
            loops.create_task(forget.loop(parts.db, parts.facilities.bodies, holder=holder).run())
            depot = Depot(parts.db, parts.facilities.artifacts, parts.facilities.upload_lasts_s)
            loops.create_task(artifact_loop.loop(depot, holder=holder).run())
            if parts.settings.compute.enabled:
                await parts.facilities.servers.start()
                loop = reconcile.loop(parts.db, parts.facilities, holder=holder)
                parts.db.after_changes.append(partial(_wake, loop))
                loops.create_task(loop.run())
                scaler = reconcile.Scaler(parts.db, parts.facilities)
                scaling = reconcile.ScalingLoop(scaler, Lease(parts.db, "deployments", holder))
                parts.link.wake = scaling.wake
                loops.create_task(scaling.run())
                loops.create_task(self._load(loop.looked))
            else:
                self._announcer.say("loaded", names=[], missing=[])

    async def _load(self, looked: asyncio.Event) -> None:
        """Tell the supervisor which models load, until all of them answer."""
        parts = self._parts
        await looked.wait()
        await bootstrap.loaded(parts.db, parts.watch, self._announcer.say, self._applied)

    async def _run_batches(self, holder: str) -> None:
        """Run batches through the front door, as any program calls it."""
        parts, limits = self._parts, self._parts.settings.batches
        url = limits.gateway or parts.settings.front_door
        async with self._gateway() as gateway:
            runner = Runner(
                db=parts.db,
                blobs=parts.facilities.files,
                limits=limits,
                gateway=gateway,
                room=asyncio.Semaphore(limits.concurrency),
                sources=sources_for(url),
                applied=self._applied,
            )
            await BatchLoop(runner, Lease(parts.db, "batches", holder)).run()

    async def _run_trials(self, holder: str) -> None:
        """Ask new replicas their smoke tests through the front door, as any program asks."""
        parts = self._parts
        async with self._gateway() as gateway:
            url = parts.settings.batches.gateway or parts.settings.front_door
            tester = Tester(parts.db, gateway, sources=sources_for(url), applied=self._applied)
            loop = TrialLoop(tester, Lease(parts.db, "trials", holder))
            parts.db.after_commit.append(lambda _revision: loop.wake())
            await loop.run()

    def _gateway(self) -> GatewayClient:
        """Return connections to the front door, for calls of the platform's own."""
        settings = self._parts.settings
        limits = settings.batches
        ours = limits.gateway is None and limits.gateway_ca is None
        return GatewayClient(
            limits.gateway or settings.front_door,
            ca=limits.gateway_ca,
            certificate=settings.tls_cert_file if ours else None,
            connections=limits.concurrency,
            answer_bytes=limits.line_bytes,
        )

    async def _prepare(self) -> None:
        """
        Migrate, and create what a first start creates.

        While the database is away, try again, and let API and supervisor say so.

        Raises:
            DatabaseNewer, DatabaseForeign: Trying again cannot help.
            StorageFailed, StorageFull: The data folder cannot be written.
        """
        parts = self._parts
        retry_s = _FIRST_RETRY_S
        await asyncio.to_thread(parts.facilities.prepare)
        while True:
            try:
                done = await migrations.upgrade(parts.db)
                say = self._announcer.say
                await bootstrap.first_start(parts.db, parts.settings, parts.facilities, say)
            except Unavailable as error:
                for gate in (self._api_gate, self._link_gate):
                    gate.explain(error.detail.rstrip("."))
                self._announcer.say("waiting", reason=error.detail)
                log.warning("database.awaited", detail=error.detail, **error.log)
                await asyncio.sleep(retry_s)
                retry_s = min(retry_s * 2, _MAX_RETRY_S)
            else:
                log.info("database.migrated", done=done)
                return

    def _app(self) -> FastAPI:
        parts = self._parts
        board = parts.gateways.board
        return create_app(
            parts.db,
            parts.settings,
            applied=self._applied,
            board=board,
            facilities=parts.facilities,
        )

    async def _applied(self, revision: int) -> bool:
        within_s = self._parts.settings.api.applied_wait_ms / 1000
        return await self._parts.gateways.applied(revision, within_s=within_s)

    async def _end_models(self) -> None:
        """End the model servers in order, or at once when a second signal says so."""
        servers = self._parts.facilities.servers
        ending = asyncio.ensure_future(servers.stop_all())
        at_once = asyncio.ensure_future(self._at_once.wait())
        await asyncio.wait({ending, at_once}, return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            ending.cancel()
            await servers.stop_all(grace_s=0)
        at_once.cancel()


def _wake(loop: ReconcileLoop, changes: Sequence[tuple[str, str]]) -> None:
    for noun, changed in changes:
        if noun == "target":
            loop.wake(changed)


async def run(settings: Settings, listeners: Listeners, announcer: Announcer) -> None:
    """
    Run a control plane from start to end.

    Raises:
        TowpathError: It cannot be started, and trying again would not help.
    """
    plane = ControlPlane(await compose(settings), listeners, announcer)
    await plane.run()
    stuck = await let_go(_LET_GO_S)
    if stuck and plane.refusal is None:
        # All that is kept is kept: what is open is a connection that nobody answers on any more.
        log.warning("tasks.stuck", tasks=stuck)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    if plane.refusal is not None:
        raise plane.refusal


def serve(options: argparse.Namespace) -> int:
    """Run the control plane."""
    announcer = Announcer(options.announce_fd)
    try:
        settings = _settings(options)
        logging.configure(settings.log)
        api = listener("api", options.api_fd, options.api)
        link = listener("link", options.link_fd, options.link)
        asyncio.run(run(settings, Listeners(api, link), announcer))
    except TowpathError as error:
        announcer.say("failed", detail=error.detail, fix=error.fix)
        return _fail(error)
    return 0


def migrate(options: argparse.Namespace) -> int:
    """Bring the database to this version's tables."""

    async def work(db: Database, _settings: Settings) -> str:
        return "\n".join(await migrations.upgrade(db) or ["nothing to do"])

    return _with_database(options, work)


def describe(options: argparse.Namespace) -> int:
    """Say as JSON which build this is and what a start of it would do; change nothing."""

    async def work(db: Database, settings: Settings) -> str:
        return json.dumps(await builds.describe(db, settings))

    return _with_database(options, work)


def _with_database(
    options: argparse.Namespace, work: Callable[[Database, Settings], Awaitable[str]]
) -> int:
    """Do something at the database and print what it says."""

    async def run() -> str:
        settings = _settings(options)
        db = await open_database(settings)
        try:
            return await work(db, settings)
        finally:
            await db.close()

    try:
        sys.stdout.write(asyncio.run(run()) + "\n")
    except TowpathError as error:
        return _fail(error)
    return 0


def _fail(error: TowpathError) -> int:
    fix = f"\n\nfix: {error.fix}" if error.fix else ""
    sys.stderr.write(f"error: {error.detail}{fix}\n")
    return EXIT_NOT_STARTABLE


def _settings(options: argparse.Namespace) -> Settings:
    """
    Read the settings, and make the data folder that they name.

    Raises:
        SettingsInvalid: Settings are wrong, or the folder cannot be used.
    """
    settings = config.load(
        options.config,
        data=options.data,
        database_url=options.database_url,
        demo=False if getattr(options, "no_demo", False) else None,
    )
    try:
        folders.prepare(DataFolder.at(settings.data))
    except CannotStart as error:
        raise SettingsInvalid(error.what, fix=error.fix) from error
    return settings


def parser() -> argparse.ArgumentParser:
    """Describe the command line of `towpath-server`."""
    top = argparse.ArgumentParser(prog="towpath-server", description="The control plane.")
    commands = top.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="run the control plane", description=serve.__doc__)
    for name, what in (("api", "the API"), ("link", "the gateways")):
        serving.add_argument(f"--{name}", help=f"address for {what}: `unix:PATH` or `HOST:PORT`")
        serving.add_argument(f"--{name}-fd", type=int, help="the same, bound by the parent process")
    serving.add_argument("--announce-fd", type=int, help="where to tell the parent process")
    serving.add_argument("--no-demo", action="store_true", help="do not create the demo")
    migrating = commands.add_parser("migrate", help="migrate the database and end")
    describing = commands.add_parser("describe", help="say what a start would do, as JSON")
    for command in (serving, migrating, describing):
        command.add_argument("--data", type=Path, help="folder that holds all state")
        command.add_argument("--database-url", help="PostgreSQL instead of SQLite")
        command.add_argument("--config", type=Path, help="settings file")
    commands.add_parser("up", help="run the whole platform on this machine", add_help=False)
    commands.add_parser("upgrade", help="replace what runs by this build", add_help=False)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run `towpath-server`."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["up"]:
        return supervisor.up(given[1:])
    if given[:1] == ["upgrade"]:
        return supervisor.upgrade(given[1:])
    options = parser().parse_args(given)
    commands = {"serve": serve, "migrate": migrate, "describe": describe}
    return commands[options.command](options)


def run_script() -> None:
    """Run as the script `towpath-server`."""
    sys.exit(main())
