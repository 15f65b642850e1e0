"""What every check is given, and where it leaves what it found."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from towpath_server.adapters.compute import Capacity
from towpath_server.adapters.facilities import Facilities
from towpath_server.core.access import Principal
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding, TowpathError
from towpath_server.domains.deployments.models import Deployment, Draft, Reservation
from towpath_server.domains.deployments.models.history import Origin
from towpath_server.domains.deployments.models.proving import SmokeTest
from towpath_server.domains.deployments.service.check.estimate import Estimate
from towpath_server.domains.imports.models import Import, Order
from towpath_server.domains.models.models import ModelVersion
from towpath_server.domains.projects.models import Project
from towpath_server.domains.runtimes.models import Catalog, Runtime


@dataclass(frozen=True)
class Awaited:
    """A model that is to come from outside before the manifest can be checked whole."""

    order: Order
    under_way: Import | None
    """None: nobody has begun it."""


@dataclass
class Inquiry:
    """One manifest under examination: what is asked, what is known so far, what is wrong."""

    tx: Tx
    caller: Principal
    draft: Draft
    environment: str
    facilities: Facilities
    catalog: Catalog
    capacity: Capacity
    """What this machine has."""
    origin: Origin | None = None
    """How it would come about; none: the caller hands it in."""
    project: Project | None = None
    present: Deployment | None = None
    """The deployment that the manifest would change."""
    version: ModelVersion | None = None
    awaited: Awaited | None = None
    """What the version is waited for, where that is all there is against it so far."""
    runtime: Runtime | None = None
    threads: int = 1
    """Threads that each model server is started with."""
    numbers: Mapping[str, int] = field(default_factory=dict)
    """Start arguments that are numbers, the defaults of the runtime's description included."""
    estimate: Estimate | None = None
    """Memory of the machine that one replica will take, where that can be told."""
    cards: tuple[Estimate, ...] = ()
    """Memory that it will take of each of its GPUs, where that can be told."""
    reserved: Reservation | None = None
    """What one replica is reserved; none where the manifest cannot be read so far."""
    notes: list[str] = field(default_factory=list)
    """What checks found to be in order, for the message of the condition `Checked`."""
    tests: tuple[SmokeTest, ...] = ()
    """What new replicas will be asked."""
    findings: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    """What does not stand in the way, and whoever deploys is told."""
    audited: list[tuple[str, Finding]] = field(default_factory=list)
    """What only the audit log is told, with the policy that found it."""
    policies: int = 0
    """How many policies looked at it."""

    denied: TowpathError | None = None
    """What is answered in place of a refused manifest; it lists all findings as well."""

    def deny(self, path: str, reason: str, error: TowpathError) -> None:
        """Note a finding that has an error of its own."""
        self.denied = self.denied or error
        self.add(path, reason, error.detail, error.fix)

    def add(self, path: str, reason: str, message: str, fix: str | None = None) -> None:
        """Note that something is wrong."""
        self.findings.append(Finding(path, message, fix, reason=reason))
