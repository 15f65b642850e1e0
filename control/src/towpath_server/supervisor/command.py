"""The command `towpath up`."""

import argparse
import asyncio
import contextlib
import hashlib
import signal
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import psutil

from towpath_server.core import config
from towpath_server.core.config import Settings, SettingsInvalid
from towpath_server.core.folder import DataFolder
from towpath_server.supervisor import folder as folders
from towpath_server.supervisor import listeners, plan, profile
from towpath_server.supervisor.child import Announcement
from towpath_server.supervisor.errors import CannotStart
from towpath_server.supervisor.progress import Progress
from towpath_server.supervisor.supervise import Platform

DONE, FAILED = 0, 1
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
    arguments.add_argument(
        "--no-demo", action="store_true", help="do not create the demo at first start"
    )
    arguments.add_argument("--database-url", help="PostgreSQL instead of SQLite")
    arguments.add_argument(
        "--config", type=Path, help="settings file; default `towpath.toml` here, if there is one"
    )
    return arguments


def up(argv: Sequence[str] | None = None) -> int:
    """Run the platform until it is told to stop; return the exit status."""
    options = parser().parse_args(argv)
    try:
        _up(options)
    except CannotStart as error:
        sys.stderr.write(f"{error.message()}\n")
        return FAILED
    except SettingsInvalid as error:
        sys.stderr.write(f"error: {error.detail}\n\nfix: {error.fix}\n")
        return FAILED
    return DONE


def _up(options: argparse.Namespace) -> None:
    settings_file = _settings_file(options.config)
    settings = config.load(
        settings_file,
        data=options.data,
        port=options.port,
        database_url=options.database_url,
        demo=False if options.no_demo else None,
    )
    folder = DataFolder.at(settings.data)
    progress = Progress()
    progress.begin("data folder")
    folders.prepare(folder)
    lock = folders.Lock(folder)
    lock.acquire()
    with contextlib.ExitStack() as ours:
        ours.callback(lock.release)
        _clear_orphans(folder, progress)
        secrets = plan.Secrets(
            sealing=folders.secret(folder.secrets / "secret.key", settings.secret_key),
            link=folders.secret(folder.secrets / "link.key", settings.link_credential),
        )
        door = ours.enter_context(listeners.bind_door(settings.host, settings.port))
        api = ours.enter_context(listeners.bind_local(folder.api_socket))
        link = ours.enter_context(listeners.bind_local(folder.link_socket))
        descriptors = plan.Descriptors(door=door.fileno(), api=api.fileno(), link=link.fileno())
        host, port = door.getsockname()[:2]
        address = settings.public_url or f"http://{host}:{port}"
        lock.describe(address)
        progress.done(str(folder.root))
        keys = Keys(folder, address)
        platform = Platform(
            door=door,
            gateway_part=plan.gateway(settings, folder, descriptors, secrets, settings_file),
            control_part=plan.control(settings, folder, descriptors, secrets, settings_file),
            progress=progress,
            on_keys=keys.announced,
            on_ready=lambda: keys.show(settings),
        )
        asyncio.run(platform.run())


def _settings_file(given: Path | None) -> Path | None:
    if given is not None:
        return given.absolute()
    here = Path.cwd() / "towpath.toml"
    return here if here.is_file() else None


def _clear_orphans(folder: DataFolder, progress: Progress) -> None:
    """
    End the parts of a `towpath up` that was killed; they hold the port and the gateway's folder.

    The gateway goes first: it ships its last records while somebody takes them. The control plane
    is killed, not asked: asked, it would stop its model servers, and the next one adopts them.
    """
    for name, number in (("gateway", signal.SIGTERM), ("control", signal.SIGKILL)):
        process = folders.orphan(folder.run / f"{name}.pid")
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


class Keys:
    """The keys of the first start: saved for the CLI at once, shown once."""

    def __init__(self, folder: DataFolder, address: str) -> None:
        self._address = address
        self._announced: Announcement = {}
        self._mark = folder.secrets / "profile"
        given = config.environment().get("TOWPATH_CONFIG")
        self.file = (
            Path(given) if given else Path.home() / ".config" / "towpath" / "config.toml"
        ).expanduser()
        self._problem: OSError | None = None

    def announced(self, said: Announcement) -> None:
        """Take what the control plane made; a later announcement replaces an earlier one."""
        self._announced = said
        sections = {}
        if demo := said.get("demo_key"):
            sections["profiles.default"] = {"address": self._address, "key": str(demo)}
        if admin := said.get("admin_key"):
            sections["profiles.admin"] = {"address": self._address, "admin_key": str(admin)}
        try:
            profile.save(self.file, sections)
            if demo:
                digest = hashlib.sha256(str(demo).encode()).hexdigest()
                self._mark.write_text(digest, encoding="ascii")
        except OSError as error:
            self._problem = error

    def show(self, settings: Settings) -> None:
        """Print what the person needs next."""
        self._follow()
        saved = "shown only now"
        if self._problem is None:
            saved = f"saved for the CLI in {self.file}; shown only now"
        lines = [("Address", self._address)]
        if demo := self._announced.get("demo_key"):
            lines.append(("Your key", f"{demo}   ({saved})"))
        if admin := self._announced.get("admin_key"):
            lines.append(("Admin key", f"{admin}   ({saved})"))
        if settings.demo:
            lines.append(("Try", 'towpath chat smollm2 "Name the capital of France."'))
        else:
            lines.append(("Try", "towpath health"))
        lines.append(("Stop", "Ctrl-C"))
        text = "\n".join(f"  {name:<12} {value}" for name, value in lines)
        with contextlib.suppress(OSError):
            sys.stdout.write(f"\n{text}\n\n")
            sys.stdout.flush()
        if self._problem is not None:
            sys.stderr.write(f"the keys could not be saved to `{self.file}`: {self._problem}\n")

    def _follow(self) -> None:
        """Correct the address in the CLI's file if it has our key and the port changed."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            mark = self._mark.read_text(encoding="ascii")
            kept = tomllib.loads(self.file.read_text(encoding="utf-8"))["profiles"]["default"]
            ours = hashlib.sha256(kept["key"].encode()).hexdigest() == mark
            if ours and kept["address"] != self._address:
                profile.save(self.file, {"profiles.default": {**kept, "address": self._address}})
