"""Deployments on the wire: the manifest in, the deployment out."""

from towpath_server.domains.deployments.schemas.history import OriginOut as OriginOut
from towpath_server.domains.deployments.schemas.history import ServedOut as ServedOut
from towpath_server.domains.deployments.schemas.logs import LINES as LINES
from towpath_server.domains.deployments.schemas.logs import LogsOut as LogsOut
from towpath_server.domains.deployments.schemas.logs import lines as lines
from towpath_server.domains.deployments.schemas.logs import since as since
from towpath_server.domains.deployments.schemas.out import CheckedOut as CheckedOut
from towpath_server.domains.deployments.schemas.out import DeploymentOut as DeploymentOut
from towpath_server.domains.deployments.schemas.out import EventOut as EventOut
from towpath_server.domains.deployments.schemas.out import RevisionOut as RevisionOut
from towpath_server.domains.deployments.schemas.out import RollbackIn as RollbackIn
from towpath_server.domains.deployments.schemas.promotion import PromotionIn as PromotionIn
from towpath_server.domains.deployments.schemas.promotion import asked as asked
from towpath_server.domains.deployments.schemas.published import json_schema as json_schema
from towpath_server.domains.deployments.schemas.reading import read as read
from towpath_server.domains.deployments.schemas.reading import read_bytes as read_bytes

__all__ = [
    "LINES",
    "CheckedOut",
    "DeploymentOut",
    "EventOut",
    "LogsOut",
    "OriginOut",
    "PromotionIn",
    "RevisionOut",
    "RollbackIn",
    "ServedOut",
    "asked",
    "json_schema",
    "lines",
    "read",
    "read_bytes",
    "since",
]
