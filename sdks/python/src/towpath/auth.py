"""
Where to call and as whom: arguments, then environment, then the configuration file.

The only module that reads the environment. A profile's key is sent to that profile's address and to
no other, so that an address given by hand can never harvest a saved key.
"""

import os
import re
import stat
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from towpath.errors import ConfigurationError

DEFAULT_ADDRESS = "http://127.0.0.1:8080"
DEFAULT_PROFILE = "default"
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True)
class Credentials:
    """Where to call and with which key; `repr` keeps the key to itself."""

    address: str
    api_key: str
    profile: str | None = None

    def __repr__(self) -> str:
        return f"Credentials(address={self.address!r}, api_key={self.api_key[:12]!r}…)"


def environment() -> Mapping[str, str]:
    """Return the process's environment; nothing else here or above reads it."""
    return os.environ  # noqa: TID251  a client library's settings are the caller's environment


def resolve(
    *,
    api_key: str | None = None,
    address: str | None = None,
    profile: str | None = None,
    env: Mapping[str, str] | None = None,
) -> Credentials:
    """
    Find address and key.

    Args:
        api_key: Takes precedence over everything; an empty string means to send none.
        env: Read instead of the process's environment.

    Raises:
        ConfigurationError: There is no key, the address is no URL, or the file cannot be read.
    """
    env = environment() if env is None else env
    chosen = profile or env.get("TOWPATH_PROFILE")
    # A profile that was asked for by argument stands above the variables, which name no profile.
    wanted_address = address or (None if profile else env.get("TOWPATH_ADDRESS"))
    wanted_key = (
        api_key if api_key is not None else (None if profile else env.get("TOWPATH_API_KEY"))
    )
    if wanted_address and wanted_key is not None:
        return Credentials(normal(wanted_address), wanted_key)
    path = config_path(env)
    profiles = read_profiles(path)
    name = chosen or DEFAULT_PROFILE
    if chosen and chosen not in profiles:
        raise ConfigurationError(
            f"there is no profile `{chosen}` in {path}",
            code="profile_not_found",
            fix=f"use one of: {', '.join(profiles) or '(none yet)'}; or add it: "
            f"`towpath login --profile {chosen}`",
        )
    saved = profiles.get(name, {})
    shared = profiles.get(DEFAULT_PROFILE, {}).get("address")
    saved_address = normal(saved.get("address") or shared or DEFAULT_ADDRESS)
    target = normal(wanted_address) if wanted_address else saved_address
    if wanted_key is not None:
        return Credentials(target, wanted_key, name if saved else None)
    key = saved.get("key") or saved.get("admin_key")
    if key and target == saved_address:
        return Credentials(target, key, name)
    raise ConfigurationError(
        f"no API key for {target}",
        code="no_api_key",
        fix="run `towpath login`, set TOWPATH_API_KEY, or pass `api_key=`; "
        "a key is made with `towpath keys create`",
    )


def normal(address: str) -> str:
    """
    Bring an address to its one form: scheme, host and port, without `/v1`.

    Raises:
        ConfigurationError: It is not an http or https URL, or it carries a password.
    """
    parts = urlsplit(address.strip())
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(
            f"`{address}` is not an address",
            code="invalid_address",
            fix=f"write it like {DEFAULT_ADDRESS} or https://towpath.example.org",
        )
    if parts.username or parts.password:
        raise ConfigurationError(
            "an address carries no user or password",
            code="invalid_address",
            fix="put the key into TOWPATH_API_KEY or `towpath login`",
        )
    path = re.sub(r"/(v1)?/?$", "", parts.path)
    return f"{parts.scheme}://{parts.netloc}{path}"


def is_loopback(address: str) -> bool:
    """Tell whether an address is on this machine, where no proxy stands between."""
    return urlsplit(address).hostname in _LOOPBACK


def config_path(env: Mapping[str, str] | None = None) -> Path:
    """Return where the configuration file is, or would be."""
    env = environment() if env is None else env
    if given := env.get("TOWPATH_CONFIG"):
        return Path(given).expanduser()
    base = env.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "towpath" / "config.toml"


def read_profiles(path: Path) -> dict[str, dict[str, str]]:
    """
    Return the file's profiles by name; none when there is no file.

    Raises:
        ConfigurationError: It is there and cannot be read or understood.
    """
    try:
        document: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error}",
            code="invalid_config",
            fix="correct the file, or move it away and run `towpath login`",
        ) from error
    profiles = document.get("profiles", {})
    if not isinstance(profiles, dict):
        raise ConfigurationError(
            f"`profiles` in {path} is not a table",
            code="invalid_config",
            fix="write `[profiles.default]` with `address` and `key` below it",
        )
    return {
        str(name): {field: value for field, value in profile.items() if isinstance(value, str)}
        for name, profile in profiles.items()
        if isinstance(profile, dict)
    }


def save_profile(path: Path, name: str, values: Mapping[str, str]) -> None:
    """
    Write one profile into the file and leave everything else in it as it is.

    The file is replaced in one step and readable by its owner alone.

    Raises:
        ConfigurationError: The name is not `[a-z0-9-]`, or the file cannot be read.
        OSError: It cannot be written.
    """
    if not re.fullmatch(r"[a-z0-9-]{1,63}", name):
        raise ConfigurationError(
            f"`{name}` is not a profile's name", fix="use small letters, digits and hyphens"
        )
    read_profiles(path)  # refuses to touch a file that it does not understand
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    section = re.compile(rf"^\[profiles\.{name}\][^\n]*\n(?:(?!\[).*\n?)*", re.MULTILINE)
    rest = section.sub("", text).rstrip()
    lines = [f"[profiles.{name}]"]
    lines += [f"{field} = {_quoted(value)}" for field, value in values.items()]
    made = "\n".join(([rest, ""] if rest else []) + lines) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True, mode=stat.S_IRWXU)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=".config-", delete=False
    ) as out:
        out.write(made)  # a temporary file is made with mode 0600
    Path(out.name).replace(path)


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    # TOML takes no control character as it is, and DEL is one.
    written = (f"\\u{ord(c):04x}" if ord(c) < 32 or ord(c) == 127 else c for c in escaped)
    return f'"{"".join(written)}"'
