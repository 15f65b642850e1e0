"""Rules of deployments."""

from towpath_server.domains.deployments.service.apply import DRAIN_MS as DRAIN_MS
from towpath_server.domains.deployments.service.apply import apply as apply
from towpath_server.domains.deployments.service.apply import check as check
from towpath_server.domains.deployments.service.apply import delete as delete
from towpath_server.domains.deployments.service.held import held as held
from towpath_server.domains.deployments.service.observe import add_replica as add_replica
from towpath_server.domains.deployments.service.observe import carry as carry
from towpath_server.domains.deployments.service.observe import conclude as conclude
from towpath_server.domains.deployments.service.observe import expose as expose
from towpath_server.domains.deployments.service.observe import forget as forget
from towpath_server.domains.deployments.service.observe import forget_replica as forget_replica
from towpath_server.domains.deployments.service.observe import known_replicas as known_replicas
from towpath_server.domains.deployments.service.observe import replica_changed as replica_changed
from towpath_server.domains.deployments.service.observe import retire as retire
from towpath_server.domains.deployments.service.observe import secret_of as secret_of
from towpath_server.domains.deployments.service.read import get as get
from towpath_server.domains.deployments.service.read import list as list  # noqa: A004
from towpath_server.domains.deployments.service.read import load as load
from towpath_server.domains.deployments.service.read import moving as moving
from towpath_server.domains.deployments.service.read import pending as pending
from towpath_server.domains.deployments.service.read import was_ready as was_ready
from towpath_server.domains.deployments.service.routed import (
    routed_credentials as routed_credentials,
)
from towpath_server.domains.deployments.service.routed import routed_targets as routed_targets

__all__ = [
    "DRAIN_MS",
    "add_replica",
    "apply",
    "carry",
    "check",
    "conclude",
    "delete",
    "expose",
    "forget",
    "forget_replica",
    "get",
    "held",
    "known_replicas",
    "list",
    "load",
    "moving",
    "pending",
    "replica_changed",
    "retire",
    "routed_credentials",
    "routed_targets",
    "secret_of",
    "was_ready",
]
