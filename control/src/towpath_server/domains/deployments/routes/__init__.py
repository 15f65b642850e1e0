"""Routes of deployments."""

from towpath_server.domains.deployments.routes import promotion as promotion  # adds its routes
from towpath_server.domains.deployments.routes import rollout as rollout  # as well
from towpath_server.domains.deployments.routes import scaling as scaling  # as well
from towpath_server.domains.deployments.routes.history import router as served_router
from towpath_server.domains.deployments.routes.logs import router as log_router
from towpath_server.domains.deployments.routes.manifests import router as router

__all__ = ["log_router", "promotion", "rollout", "router", "scaling", "served_router"]
