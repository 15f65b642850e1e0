"""The command `towpath up`."""

import argparse
import asyncio
import contextlib
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from socket import socket

import psutil

from towpath_server.core import config
from towpath_server.core.config import Settings, SettingsInvalid
from towpath_server.core.folder import DataFolder
from towpath_server.supervisor import folder as folders
from towpath_server.supervisor import listeners, plan, profile
from towpath_server.supervisor.errors import CannotStart
from towpath_server.supervisor.keys import Keys
from towpath_server.supervisor.progress import Progress
from towpath_server.supervisor.succession import handover
from towpath_server.supervisor.succession.desk import Desk, Held
from towpath_server.supervisor.supervise import Platform

DONE, FAILED = 0, 1
FIRST_CALL = 'chat smollm2 "Name the capital of France."'
# A gateway left by a `towpath up` that was killed may still serve requests: it may end them.
ORPHAN_DRAIN_S = 10.0


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    arguments = argparse.ArgumentParser(
        prog="towpath up",
        description="Run the platform in the foreground; Ctrl-C drains and stops it.",
    )
    arguments.add_argument("--data", type=Path, help="folder that holds all state")
    arguments.add_argument("--port", type=int, help="port of the front door; 0 takes a free one")
    arguments.add_argument("--host", help="address of the front door; default 127.0.0.1")
    arguments.add_argument(
        "--tls-cert", type=Path, help="certificate chain of the front door (PEM)"
    )
    arguments.add_argument("--tls-key", type=Path, help="its private key (PEM)")
    arguments.add_argument(
        "--insecure",
        action="store_true",
        help="listen beyond this machine without TLS: keys cross the network in the clear",
    )
    arguments.add_argument(
        "--no-demo", action="store_true", help="do not create the demo at first start"
    )
    arguments.add_argument("--database-url", help="PostgreSQL instead of SQLite")
    arguments.add_argument(
        "--config", type=Path, help="settings file; default `towpath.toml` here, if there is one"
    )
    # What the program image before this one left, at an upgrade.
    arguments.add_argument("--resume-fd", type=int, help=argparse.SUPPRESS)
    return arguments


def up(argv: Sequence[str] | None = None) -> int:
    """Run the platform until it is told to stop; return the exit status."""
    given = [*sys.argv[1:]] if argv is None else [*argv]
    options = parser().parse_args(given)
    try:
        _up(options, given)
    except CannotStart as error:
        sys.stderr.write(f"{error.message()}\n")
        return FAILED
    except SettingsInvalid as error:
        sys.stderr.write(f"error: {error.detail}\n\nfix: {error.fix}\n")
        return FAILED
    return DONE


def _up(options: argparse.Namespace, given: list[str]) -> None:
    resumed = None if options.resume_fd is None else handover.read(options.resume_fd)
    settings_file = config.settings_file(options.config)
    settings = config.load(
        settings_file,
        data=options.data,
        port=options.port,
        host=options.host,
        tls_cert_file=options.tls_cert,
        tls_key_file=options.tls_key,
        insecure=True if options.insecure else None,
        database_url=options.database_url,
        demo=False if options.no_demo else None,
    )
    scheme = plan.scheme(settings)
    folder = DataFolder.at(settings.data)
    progress = Progress()
    if resumed is None:
        progress.begin("data folder")
        folders.prepare(folder)
    lock = folders.Lock(folder, resumed.sockets["lock"] if resumed else None)
    lock.acquire()
    with contextlib.ExitStack() as ours:
        ours.callback(lock.release)
        ours.callback(folders.leave, folder)
        if resumed is None:
            _clear_orphans(folder, progress)
        secrets = plan.Secrets(
            sealing=folders.secret(folder.secrets / "secret.key", settings.secret_key),
            link=folders.secret(folder.secrets / "link.key", settings.link_credential),
        )
        bound = _bound(settings, folder) if resumed is None else _inherited(resumed.sockets)
        door, api, link, asked = (ours.enter_context(bound[name]) for name in listeners.NAMES)
        descriptors = plan.Descriptors(door=door.fileno(), api=api.fileno(), link=link.fileno())
        host, port = door.getsockname()[:2]
        address = settings.public_url or f"{scheme}://{host}:{port}"
        lock.describe(address)
        if resumed is None:
            progress.done(str(folder.root))
        file = config.environment().get("TOWPATH_CONFIG")
        keys = Keys(profile.place(file), folder.secrets / "profile", address)
        held = Held(
            arguments=_without_resumption(given),
            sockets={name: one.fileno() for name, one in bound.items()} | {"lock": lock.descriptor},
            data=folder.root,
            run=folder.run,
        )
        platform = Platform(
            door=door,
            secure=scheme == "https",
            gateway_part=plan.gateway(settings, folder, descriptors, secrets, settings_file),
            control_part=plan.control(
                settings, folder, descriptors, secrets, settings_file, port=port
            ),
            progress=progress,
            on_keys=keys.announced,
            on_ready=lambda: _welcome(keys, demo=settings.demo),
            ask=Desk(asked, held, resumed).run,
            resumed=resumed,
            models=resumed.models if resumed else [],
        )
        asyncio.run(platform.run())


def _bound(settings: Settings, folder: DataFolder) -> dict[str, socket]:
    """
    Bind every listener, by its name.

    Raises:
        CannotStart: One of them cannot be had.
    """
    return {
        "door": listeners.bind_door(settings.host, settings.port),
        "api": listeners.bind_local(folder.api_socket),
        "link": listeners.bind_local(folder.link_socket),
        "up": listeners.bind_local(folder.up_socket),
    }


def _inherited(descriptors: Mapping[str, int]) -> dict[str, socket]:
    """Take over the listeners that the program image before this one bound."""
    return {name: socket(fileno=descriptors[name]) for name in listeners.NAMES}


def _without_resumption(given: Sequence[str]) -> list[str]:
    """Return the arguments as they were given at the first start."""
    if "--resume-fd" not in given:
        return [*given]
    place = given.index("--resume-fd")
    return [*given[:place], *given[place + 2 :]]


def _welcome(keys: Keys, *, demo: bool) -> None:
    """Print what the person needs next; a terminal that went away stops nothing."""
    lines = [*keys.lines(), ("Try", f"{_cli()} {FIRST_CALL if demo else 'health'}")]
    lines.append(("Stop", "Ctrl-C"))
    text = "\n".join(f"  {name:<12} {value}" for name, value in lines)
    with contextlib.suppress(OSError):
        sys.stdout.write(f"\n{text}\n\n")
        sys.stdout.flush()


def _cli() -> str:
    """Return how the command line is called from here: by name where it is on the path."""
    ours = Path(sys.prefix) / "bin" / "towpath"
    if shutil.which("towpath") == str(ours) or not ours.is_file():
        return "towpath"
    here = Path.cwd()
    return str(ours.relative_to(here)) if ours.is_relative_to(here) else str(ours)


def _clear_orphans(folder: DataFolder, progress: Progress) -> None:
    """
    End the parts of a `towpath up` that was killed; they hold the port and the gateway's folder.

    The gateway goes first: it ships its last records while somebody takes them. The control plane
    is killed, not asked: asked, it would stop its model servers, and the next one adopts them.
    """
    parts = [(file, signal.SIGTERM) for file in sorted(folder.run.glob("gateway*.pid"))]
    for file, number in (*parts, (folder.run / "control.pid", signal.SIGKILL)):
        process = folders.orphan(file)
        if process is None:
            continue
        progress.waiting(f"ending process {process.pid}, left by a run that was killed")
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
            try:
                process.wait(ORPHAN_DRAIN_S)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(ORPHAN_DRAIN_S)
