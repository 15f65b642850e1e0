"""What this machine offers to the domains: where bytes lie, and what may run here."""

from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import Request

from towpath_server.adapters.compute import Compute
from towpath_server.adapters.localhost.replicas import LocalReplicas
from towpath_server.adapters.localhost.spec import Limits, Mode
from towpath_server.adapters.modelfiles.scanner import Scanner
from towpath_server.adapters.objectstore.opening import open_store
from towpath_server.adapters.objectstore.store import ArtifactStore
from towpath_server.core.config import BatchSettings, ComputeSettings, Settings
from towpath_server.core.environments import ApprovalSettings, SandboxSettings
from towpath_server.core.folder import DataFolder
from towpath_server.core.quota_settings import QuotaSettings


@dataclass(frozen=True)
class Facilities:
    """Stands on the application as `app.state.facilities`."""

    folder: DataFolder
    artifacts: ArtifactStore
    compute: ComputeSettings
    servers: Compute
    """What runs model servers."""
    files: ArtifactStore
    """What callers upload and batches answer; apart from models, so that no sweep meets one."""
    bodies: ArtifactStore
    """Logged bodies of requests, sealed."""
    batches: BatchSettings
    approvals: ApprovalSettings
    sandbox: SandboxSettings
    quotas: QuotaSettings
    upload_lasts_s: int
    """How long an upload waits to be gone on with, and bytes to be needed."""
    max_file_bytes: int
    """Of an artifact."""
    scanner: Scanner = field(default_factory=Scanner)
    """Reads what was uploaded, apart from this process."""
    import_wait_s: float = 2.0
    """How long a manifest waits for its model to be fetched, before the answer is to come again."""
    notify: bool = False
    """Whether a program outside is told of what happens."""
    runtimes_dir: Path | None = None
    """Further runtime descriptions, beside those that are shipped."""

    @classmethod
    def of(cls, settings: Settings) -> "Facilities":
        """Compose from the settings; nothing is opened yet."""
        folder = DataFolder.at(settings.data)
        artifacts = open_store(
            settings.artifacts, folder.artifacts, max_file_bytes=settings.api.upload_bytes
        )
        return cls(
            folder=folder,
            artifacts=artifacts,
            compute=settings.compute,
            servers=LocalReplicas(folder, _limits(settings.compute), artifacts.kept),
            files=open_store(settings.artifacts, folder.files),
            bodies=open_store(settings.artifacts, folder.bodies),
            batches=settings.batches,
            quotas=settings.quotas,
            upload_lasts_s=settings.artifacts.grace_s,
            max_file_bytes=settings.api.upload_bytes,
            approvals=settings.approvals,
            sandbox=settings.sandbox,
            notify=settings.webhook_url is not None,
            runtimes_dir=settings.runtimes_dir,
        )

    def prepare(self) -> None:
        """
        Make the folders of the stores, and remove what interrupted work left.

        Raises:
            StorageFailed, StorageFull: The data folder cannot be written.
        """
        for store in (self.artifacts, self.files, self.bodies):
            store.prepare()


def _limits(compute: ComputeSettings) -> Limits:
    return Limits(
        grace_s=compute.stop_timeout_s,
        log_bytes=compute.log_bytes,
        isolation=Mode(compute.isolation),
        threads=compute.threads,
        gpus=compute.gpus if "gpus" in compute.model_fields_set else None,
    )


def of(request: Request) -> Facilities:
    """Return the facilities of the application that a request came to."""
    return request.app.state.facilities
