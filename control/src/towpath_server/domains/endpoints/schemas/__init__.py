"""Endpoints on the wire."""

from towpath_server.domains.endpoints.schemas.body import EndpointCreate as EndpointCreate
from towpath_server.domains.endpoints.schemas.body import EndpointUpdate as EndpointUpdate
from towpath_server.domains.endpoints.schemas.body import Environment as Environment
from towpath_server.domains.endpoints.schemas.health import EndpointHealthOut as EndpointHealthOut
from towpath_server.domains.endpoints.schemas.out import EndpointOut as EndpointOut

__all__ = ["EndpointCreate", "EndpointHealthOut", "EndpointOut", "EndpointUpdate", "Environment"]
