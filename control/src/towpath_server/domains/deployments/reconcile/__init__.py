"""Moving deployments towards what was declared, one step at a time."""

from towpath_server.domains.deployments.reconcile.loop import loop as loop
from towpath_server.domains.deployments.reconcile.step import Reconciler as Reconciler

__all__ = ["Reconciler", "loop"]
