"""What will be started and how: decided before anything is, from settings alone."""

import ipaddress
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from towpath_server.core import config
from towpath_server.core.config import Settings
from towpath_server.core.folder import DataFolder
from towpath_server.core.secret import Secret
from towpath_server.supervisor.child import Part
from towpath_server.supervisor.errors import CannotStart

GATEWAY_PROGRAM = "towpath-gateway"


@dataclass(frozen=True)
class Secrets:
    """What both parts must know."""

    sealing: Secret
    link: Secret


def scheme(settings: Settings) -> str:
    """
    Return what the front door speaks.

    Raises:
        CannotStart: Keys would cross a network in the clear, or half of the certificate is missing.
    """
    if (settings.tls_cert_file is None) != (settings.tls_key_file is None):
        raise CannotStart(
            "the front door has half a certificate",
            fix="give both: `towpath up --tls-cert FILE --tls-key FILE`",
        )
    if settings.tls_cert_file is not None:
        return "https"
    if not _stays_here(settings.host) and not settings.insecure:
        raise CannotStart(
            f"`{settings.host}` is not loopback, and without TLS keys would cross the network in "
            "the clear",
            fix="give `--tls-cert FILE --tls-key FILE`, or `--insecure` behind a proxy that speaks "
            "TLS",
        )
    return "http"


def _stays_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True)
class Descriptors:
    """The listeners' file descriptors."""

    door: int
    api: int
    link: int


def find_gateway(settings: Settings) -> Path | None:
    """Find the gateway's program: as set, else beside this Python, else on the path."""
    if settings.gateway_bin is not None:
        return settings.gateway_bin.absolute() if settings.gateway_bin.is_file() else None
    beside = Path(sys.prefix) / "bin" / GATEWAY_PROGRAM
    on_path = shutil.which(GATEWAY_PROGRAM)
    return beside if beside.is_file() else Path(on_path) if on_path else None


def gateway_program(settings: Settings) -> Path:
    """
    Find the gateway's program.

    Raises:
        CannotStart: It is nowhere.
    """
    found = find_gateway(settings)
    if found is None:
        beside = Path(sys.prefix) / "bin" / GATEWAY_PROGRAM
        where = f"`{settings.gateway_bin or beside}`"
        raise CannotStart(
            f"the gateway's program is not at {where}",
            fix="build it with `make setup`, or say where it is: `TOWPATH_GATEWAY_BIN=FILE`",
        )
    return found


def gateway(
    settings: Settings,
    folder: DataFolder,
    descriptors: Descriptors,
    secrets: Secrets,
    settings_file: Path | None,
) -> Part:
    """Describe the gateway's process."""
    command = [
        str(gateway_program(settings)),
        *("--data", str(folder.gateway)),
        *("--listen-fd", str(descriptors.door)),
        *("--control", f"unix:{folder.link_socket}"),
        *("--api", f"unix:{folder.api_socket}"),
    ]
    if settings_file is not None:
        command += ["--config", str(settings_file)]
    if settings.tls_cert_file and settings.tls_key_file:
        command += ["--tls-cert", str(settings.tls_cert_file.absolute())]
        command += ["--tls-key", str(settings.tls_key_file.absolute())]
    if settings.insecure:
        command.append("--insecure")
    return Part(
        name="gateway",
        command=command,
        environment=config.environment(
            {
                "TOWPATH_SECRET_KEY": secrets.sealing.reveal(),
                "TOWPATH_LINK_CREDENTIAL": secrets.link.reveal(),
                # The gateway has no use for these, so it does not get them.
                "TOWPATH_ADMIN_KEY": None,
                "TOWPATH_DATABASE_URL": None,
                "TOWPATH_LEDGER_URL": None,
                # Where it is, and not one of its own settings, which begin alike.
                "TOWPATH_GATEWAY_BIN": None,
            }
        ),
        descriptors=(descriptors.door,),
        log=folder.logs / "gateway.log",
        pid_file=folder.run / "gateway.pid",
        announces=True,
    )


def _absolute(file: Path | None) -> str | None:
    return str(file.absolute()) if file else None


def control(
    settings: Settings,
    folder: DataFolder,
    descriptors: Descriptors,
    secrets: Secrets,
    settings_file: Path | None,
    *,
    port: int,
) -> Part:
    """
    Describe the control plane's process.

    Args:
        port: The front door's, which may have been any free one.
    """
    command = [
        # -P: a folder of our name in the current one must not shadow the installed package
        *(sys.executable, "-P", "-m", "towpath_server", "serve"),
        *("--data", str(folder.root)),
        *("--api-fd", str(descriptors.api)),
        *("--link-fd", str(descriptors.link)),
    ]
    if settings_file is not None:
        command += ["--config", str(settings_file)]
    if not settings.demo:
        command.append("--no-demo")
    return Part(
        name="control plane",
        command=command,
        environment=config.environment(
            {
                "TOWPATH_SECRET_KEY": secrets.sealing.reveal(),
                "TOWPATH_LINK_CREDENTIAL": secrets.link.reveal(),
                # In the environment and not on the command line, where every user could read it.
                "TOWPATH_DATABASE_URL": settings.database_url,
                # Where the front door is and what it shows, for batches.
                "TOWPATH_HOST": settings.host,
                "TOWPATH_PORT": str(port),
                "TOWPATH_TLS_CERT_FILE": _absolute(settings.tls_cert_file),
            }
        ),
        descriptors=(descriptors.api, descriptors.link),
        log=folder.logs / "control.log",
        pid_file=folder.run / "control.pid",
        announces=True,
    )
