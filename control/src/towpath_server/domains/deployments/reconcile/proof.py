"""The two conditions by which a revision proves itself: smoke tests, then evaluations."""

from collections.abc import Sequence

from towpath_server.domains.deployments.models import Condition, Status, Step, View
from towpath_server.domains.deployments.models.proving import Result, TrialState
from towpath_server.domains.evaluations.models import Judgement, Outcome

STEPS = (Step.SMOKE_TESTED, Step.EVALUATED)
_FAILED_FIX = "Correct the model or what the test expects, and deploy again; "


def tested(view: View) -> Condition:
    """Say how far the smoke tests are."""
    step, current, trial = Step.SMOKE_TESTED, view.current, view.trial
    if not current.proving.tests:
        words = "Not asked for: no smoke tests in the manifest, and no example in the model's card."
        return Condition(step, Status.TRUE, "NotAskedFor", words)
    if current.proved_by is not None:
        return _reused(step, current.proved_by)
    if trial is None or trial.state not in {TrialState.PASSED, TrialState.FAILED}:
        if trial is None:
            words = "They are asked once the replicas are healthy."
        else:
            words = trial.note or f"{_count(len(current.proving.tests))} being asked."
        return Condition(step, Status.UNKNOWN, "Waiting", words)
    results = trial.results
    if trial.passed:
        words = ", ".join(f"{one.name} ({_took(one)})" for one in results)
        return Condition(step, Status.TRUE, "Passed", f"{words}.", results=results)
    bad = [one for one in results if one.outcome is not Outcome.PASSED]
    log = f"the log: `towpath logs {view.deployment.name}`."
    fix = bad[0].fix or f"{_FAILED_FIX}{log}"
    return Condition(step, Status.FALSE, "Failed", _listed(bad), fix, results=results)


def evaluated(view: View, judged: Sequence[Judgement]) -> Condition:
    """Say what the gates come to; once it takes the traffic, what they came to then."""
    step, current = Step.EVALUATED, view.current
    if not current.proving.gates:
        words = f"Not asked for in {view.deployment.environment}."
        return Condition(step, Status.TRUE, "NotAskedFor", words)
    if current.proved_by is not None:
        return _reused(step, current.proved_by)
    if view.settled:
        return next(one for one in view.deployment.conditions if one.type is step)
    if not judged:
        words = "Gates are looked at once the smoke tests have passed."
        return Condition(step, Status.UNKNOWN, "Waiting", words)
    results = tuple(Result(one.name, one.outcome, one.message, one.fix) for one in judged)
    bad = [one for one in results if one.outcome is not Outcome.PASSED]
    if not bad:
        words = "; ".join(f"{one.name}: {one.message.rstrip('.')}" for one in results)
        return Condition(step, Status.TRUE, "Passed", f"{words}.", results=results)
    worst = next((one for one in bad if one.outcome is Outcome.FAILED), bad[0])
    reason = worst.outcome.value.capitalize()
    return Condition(step, Status.FALSE, reason, _listed(bad), worst.fix, results=results)


def _reused(step: Step, number: int) -> Condition:
    words = f"Revision {number} was asked the same of the same content, and took traffic."
    return Condition(step, Status.TRUE, "Reused", words)


def _took(result: Result) -> str:
    first = "" if result.first_ms is None else f", its first event after {result.first_ms} ms"
    return f"{result.ms} ms{first}"


def _listed(bad: Sequence[Result]) -> str:
    return "\n".join(f"{one.name}: {one.message}" for one in bad)


def _count(number: int) -> str:
    return f"{number} test{'s are' if number != 1 else ' is'}"
