"""What the loop knows of a revision that takes over step by step, beside what its calls say."""

from collections.abc import Sequence

from towpath_server.domains.deployments.models import Replica, View
from towpath_server.domains.deployments.models.proving import TrialState
from towpath_server.domains.deployments.reconcile import proof
from towpath_server.domains.deployments.service.rollouts import Trouble
from towpath_server.domains.evaluations.models import Judgement, Outcome

CRASHES = 3  # in a row, before it gets calls: one may be an accident, and the second its echo


def proved(view: View, judged: Sequence[Judgement]) -> bool:
    """Tell whether nothing stands between the newest revision and the traffic."""
    if not view.tested or any(one.outcome is not Outcome.PASSED for one in judged):
        return False
    return not judged or view.evaluated  # what the gates came to is written down first


def trouble(view: View, judged: Sequence[Judgement]) -> Trouble | None:
    """Return what is wrong with the newest revision; none: nothing is so far."""
    if view.trial is not None and view.trial.state is TrialState.FAILED:
        found = proof.tested(view)
        return Trouble("SmokeTestsFailed", f"Smoke tests failed. {found.message}", found.fix)
    bad = [one for one in judged if one.outcome is Outcome.FAILED]
    if bad:
        said = "; ".join(f"{one.name}: {one.message.rstrip('.')}" for one in bad)
        return Trouble("GateFailed", f"A gate failed. {said}.", bad[0].fix)
    crashed = _crashed(view)
    if crashed is not None:
        log = f"`towpath logs {view.deployment.name}`"
        fix = f"Correct the model or `runtime.args`, and deploy it again; its log: {log}."
        return Trouble("Crashed", f"A model server ended. {crashed.message or ''}".rstrip(), fix)
    return None


def _crashed(view: View) -> Replica | None:
    """Return a replica that crashed: while it takes calls, once is enough."""
    calls = view.rollout is not None and view.rollout.begun_at_ms is not None
    most = 1 if calls else CRASHES
    found = (one for one in view.of(view.current.number) if one.crashes >= most)
    return next((one for one in found if not one.ready), None)
