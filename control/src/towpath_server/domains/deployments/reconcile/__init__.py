"""Moving deployments towards what was declared, one step at a time."""

from towpath_server.domains.deployments.reconcile.loop import loop as loop
from towpath_server.domains.deployments.reconcile.scaling import Scaler as Scaler
from towpath_server.domains.deployments.reconcile.scaling import ScalingLoop as ScalingLoop
from towpath_server.domains.deployments.reconcile.step import Reconciler as Reconciler
from towpath_server.domains.deployments.reconcile.trials import Tester as Tester
from towpath_server.domains.deployments.reconcile.trials import TrialLoop as TrialLoop

__all__ = ["Reconciler", "Scaler", "ScalingLoop", "Tester", "TrialLoop", "loop"]
