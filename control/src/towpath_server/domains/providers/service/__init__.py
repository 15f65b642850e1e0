"""Rules of providers."""

from towpath_server.domains.providers.service.address import declare_egress as declare_egress
from towpath_server.domains.providers.service.address import egress_allow as egress_allow
from towpath_server.domains.providers.service.address import reachable_url as reachable_url
from towpath_server.domains.providers.service.address import upstream_url as upstream_url
from towpath_server.domains.providers.service.change import add_price as add_price
from towpath_server.domains.providers.service.change import create as create
from towpath_server.domains.providers.service.change import delete as delete
from towpath_server.domains.providers.service.change import on_change as on_change
from towpath_server.domains.providers.service.change import update as update
from towpath_server.domains.providers.service.read import by_ids as by_ids
from towpath_server.domains.providers.service.read import find as find
from towpath_server.domains.providers.service.read import get as get
from towpath_server.domains.providers.service.read import list as list  # noqa: A004
from towpath_server.domains.providers.service.read import names as names
from towpath_server.domains.providers.service.read import (
    routed_credentials as routed_credentials,
)
from towpath_server.domains.providers.service.read import vendor as vendor
from towpath_server.domains.providers.service.read import vendors as vendors

__all__ = [
    "add_price",
    "by_ids",
    "create",
    "declare_egress",
    "delete",
    "egress_allow",
    "find",
    "get",
    "list",
    "names",
    "on_change",
    "reachable_url",
    "routed_credentials",
    "update",
    "upstream_url",
    "vendor",
    "vendors",
]
