"""
Where everything lies in the data folder.

One place names the paths, so that the supervisor, the control plane and its model servers agree on
them. Nothing here opens what belongs to the gateway (`gateway/`): it is its own.
"""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

# A Unix socket's path must fit into 108 bytes, NUL included; `run/replicas/<id>/s.sock` needs
# 47 of them.
MAX_RUN_PATH_BYTES = 60


@dataclass(frozen=True)
class DataFolder:
    """The data folder's layout; `root` is absolute."""

    root: Path

    @classmethod
    def at(cls, path: Path) -> "DataFolder":
        """Take a path as the user gave it."""
        return cls(path.expanduser().absolute())

    @property
    def database(self) -> Path:
        """SQLite's main file."""
        return self.root / "control" / "towpath.db"

    @property
    def ledger(self) -> Path:
        """SQLite's file of the ledger."""
        return self.root / "control" / "usage.db"

    @property
    def artifacts(self) -> Path:
        """The content-addressed store."""
        return self.root / "artifacts"

    @property
    def files(self) -> Path:
        """The content-addressed store of what callers upload and batches answer."""
        return self.root / "files"

    @property
    def bodies(self) -> Path:
        """Logged bodies of requests, sealed."""
        return self.root / "bodies"

    @property
    def gateway(self) -> Path:
        """The gateway's own folder, which only the gateway opens."""
        return self.root / "gateway"

    @property
    def replicas(self) -> Path:
        """State and logs of model servers, one folder each."""
        return self.root / "replicas"

    @property
    def logs(self) -> Path:
        """Output of gateway and control plane."""
        return self.root / "logs"

    @property
    def secrets(self) -> Path:
        """Keys made at first start; 0700."""
        return self.root / "secrets"

    @property
    def run(self) -> Path:
        """Sockets and pid files; in the temporary folder where the path would be too long."""
        inside = self.root / "run"
        if len(str(inside).encode()) <= MAX_RUN_PATH_BYTES:
            return inside
        digest = hashlib.sha256(str(self.root).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"towpath-{digest}"

    @property
    def sockets(self) -> Path:
        """Sockets of model servers."""
        return self.run / "replicas"

    @property
    def api_socket(self) -> Path:
        """Where the control plane answers what the front door relays."""
        return self.run / "api.sock"

    @property
    def link_socket(self) -> Path:
        """Where the gateway reaches the control plane."""
        return self.run / "link.sock"

    @property
    def up_socket(self) -> Path:
        """Where `towpath up` is asked to replace itself."""
        return self.run / "up.sock"

    def parts(self) -> tuple[Path, ...]:
        """List the folders that must exist, outer ones first."""
        return (
            self.root,
            self.database.parent,
            self.artifacts,
            self.files,
            self.bodies,
            self.gateway,
            self.replicas,
            self.logs,
            self.secrets,
            self.run,
            self.sockets,
        )
