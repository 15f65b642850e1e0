"""Rules of endpoints."""

from towpath_server.domains.endpoints.service.change import EndpointChanges as EndpointChanges
from towpath_server.domains.endpoints.service.change import create as create
from towpath_server.domains.endpoints.service.change import delete as delete
from towpath_server.domains.endpoints.service.change import update as update
from towpath_server.domains.endpoints.service.declared import check as check_declaration
from towpath_server.domains.endpoints.service.declared import declare as declare
from towpath_server.domains.endpoints.service.declared import (
    ensure_withdrawable as ensure_withdrawable,
)
from towpath_server.domains.endpoints.service.declared import observe as observe
from towpath_server.domains.endpoints.service.declared import of_deployment as of_deployment
from towpath_server.domains.endpoints.service.declared import withdraw as withdraw
from towpath_server.domains.endpoints.service.health import EndpointHealth as EndpointHealth
from towpath_server.domains.endpoints.service.health import TargetHealth as TargetHealth
from towpath_server.domains.endpoints.service.health import ejected as ejected
from towpath_server.domains.endpoints.service.health import exposes as exposes
from towpath_server.domains.endpoints.service.health import health as health
from towpath_server.domains.endpoints.service.read import get as get
from towpath_server.domains.endpoints.service.read import list as list  # noqa: A004
from towpath_server.domains.endpoints.service.read import names as names
from towpath_server.domains.endpoints.service.routed import routed as routed
from towpath_server.domains.endpoints.service.routed import (
    routed_credentials as routed_credentials,
)
from towpath_server.domains.endpoints.service.routed import routed_targets as routed_targets

__all__ = [
    "EndpointChanges",
    "EndpointHealth",
    "TargetHealth",
    "check_declaration",
    "create",
    "declare",
    "delete",
    "ejected",
    "ensure_withdrawable",
    "exposes",
    "get",
    "health",
    "list",
    "names",
    "observe",
    "of_deployment",
    "routed",
    "routed_credentials",
    "routed_targets",
    "update",
    "withdraw",
]
