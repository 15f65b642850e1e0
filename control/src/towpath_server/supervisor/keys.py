"""The keys of the first start: saved for the command line at once, shown once."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from towpath_server.supervisor import profile
from towpath_server.supervisor.child import Announcement

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
# Where the keys go when `default` is somebody's profile of another platform.
OWN_PROFILE = "local"
_SAVED = "(saved for the CLI; shown only now)"
_NOT_SAVED = "(shown only now; keep it)"


class Keys:
    """What the control plane announced, and the command line's file."""

    def __init__(self, file: Path, mark: Path, address: str) -> None:
        """
        Look at nothing yet.

        Args:
            mark: Remembers, by its hash, which key in the file belongs to this data folder.
        """
        self._file = file
        self._mark = mark
        self._address = address
        self._announced: Announcement = {}
        self._profile = profile.DEFAULT
        self._problem: str | None = None

    def announced(self, said: Announcement) -> None:
        """Take what the control plane made; a later announcement replaces an earlier one."""
        self._announced = said
        try:
            self._save(said)
        except (OSError, ValueError) as error:
            self._problem = f"the keys could not be saved to `{self._file}`: {error}"

    def lines(self) -> list[tuple[str, str]]:
        """Return what is shown: name and value by line."""
        if not self._announced:
            self._follow()
        note = _NOT_SAVED if self._problem else _SAVED
        lines = [("Address", self._address)]
        if demo := self._announced.get("demo_key"):
            lines.append(("Your key", f"{demo}   {note}"))
        if admin := self._announced.get("admin_key"):
            lines.append(("Admin key", f"{admin}   {note}"))
        if self._announced and self._profile != profile.DEFAULT:
            lines.append(("Profile", f"{self._profile}: `export TOWPATH_PROFILE={self._profile}`"))
        if self._problem:
            lines.append(("Not saved", self._problem))
        return lines

    def _save(self, said: Announcement) -> None:
        kept = profile.read(self._file)
        sections: dict[str, Mapping[str, str]] = {}
        if demo := said.get("demo_key"):
            if not _may_replace(kept.get(profile.DEFAULT)):
                self._profile = OWN_PROFILE
            sections[self._profile] = {"address": self._address, "key": str(demo)}
        if admin := said.get("admin_key"):
            name = "admin" if _may_replace(kept.get("admin")) else f"admin-{OWN_PROFILE}"
            sections[name] = {"address": self._address, "admin_key": str(admin)}
        profile.save(self._file, sections)
        if demo:
            self._mark.write_text(_hash(str(demo)), encoding="ascii")

    def _follow(self) -> None:
        """Correct the address of this folder's key in the file, where the port has changed."""
        try:
            mark = self._mark.read_text(encoding="ascii")
            for name, values in profile.read(self._file).items():
                ours = _hash(values.get("key", "")) == mark
                if ours and values.get("address") != self._address:
                    profile.save(self._file, {name: {**values, "address": self._address}})
        except (OSError, ValueError):
            return  # without a mark or a file there is nothing to follow


def _may_replace(values: Mapping[str, str] | None) -> bool:
    """Tell whether a profile is of a platform on this machine; another one's key is not ours."""
    if values is None:
        return True
    return urlsplit(values.get("address", "")).hostname in _LOOPBACK


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
