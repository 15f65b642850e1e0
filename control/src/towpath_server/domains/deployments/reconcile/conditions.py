"""What a deployment's state comes to: phase, conditions, and the sentence for who asks for it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from towpath_server.core.errors import TowpathError
from towpath_server.domains.deployments.models import (
    Condition,
    Phase,
    Replica,
    ReplicaState,
    Status,
    Step,
    View,
)
from towpath_server.domains.deployments.models.rollout import Evidence, Outcome, Rollout
from towpath_server.domains.deployments.reconcile import proof
from towpath_server.domains.deployments.reconcile.fetch import StillFetching
from towpath_server.domains.deployments.service import rollouts
from towpath_server.domains.evaluations.models import Judgement

_NOT_STARTED = {"CannotStart", "CannotIsolate", "NoGpuFree"}
CRASH_LOOP = 3  # crashes in a row; one may be an accident, and the second its echo

_FIXES = {
    "CannotStart": "Check that the runtime is installed where the control plane runs.",
    "CannotIsolate": "Give the control plane the rights it lacks, or set `compute.isolation` to "
    "`best_effort`; `towpath nodes show` lists what is missing.",
    "NoGpuFree": "Ask for fewer GPUs, delete a deployment that holds some, or add a machine.",
    "StartupTimeout": "Raise `startupProbe.failureThreshold` if it needs longer to load; else read "
    "its log: `towpath logs NAME`.",
    "MemoryLimit": "Raise `resources.limits.memory`, or lower what `runtime.args` ask for.",
    "NotResponding": "It is restarted when it does not recover; its log says what it does: "
    "`towpath logs NAME`.",
}
_CRASH_FIX = (
    "Correct the model or `runtime.args` by what its last lines say, and deploy again; "
    "all of the log: `towpath logs NAME`."
)


@dataclass(frozen=True)
class Verdict:
    """What is to be written on the deployment."""

    phase: Phase
    conditions: tuple[Condition, ...]
    note: str | None
    """Why nothing can answer, where nothing can."""


@dataclass(frozen=True)
class Looked:
    """What a step found out beside what is written."""

    fetch: TowpathError | None = None
    """Why the artifact cannot be had."""
    launch: TowpathError | None = None
    """Why no process can be started at all."""
    judged: Sequence[Judgement] = ()
    """What the gates come to, where they are asked."""
    evidence: Evidence = field(default_factory=Evidence)
    """What was counted since the rollout of the newest revision was declared."""


def judge(view: View, looked: Looked, *, now_ms: int) -> Verdict:
    """Say where a deployment stands."""
    fetch, launch, judged = looked.fetch, looked.launch, looked.judged
    newest = view.of(view.shown.number)
    ready = [replica for replica in newest if replica.ready]
    failing = _worst(newest)
    conditions = (
        view.deployment.conditions[0],
        _fetched(view, fetch),
        _provisioned(view, newest, fetch, launch),
        _loaded(view, newest, ready, failing),
        proof.tested(view),
        proof.evaluated(view, judged),
        _exposed(view, looked.evidence, now_ms),
    )
    refused = not view.rolled_back and any(
        one.status is Status.FALSE for one in conditions if one.type in proof.STEPS
    )
    unfetched = fetch is not None and not isinstance(fetch, StillFetching)
    trouble = refused or unfetched or launch is not None or failing is not None
    phase = _phase(view, ready, trouble=trouble)
    note = None if view.exposed or view.asleep else _note(conditions)
    return Verdict(phase, conditions, note)


def _phase(view: View, ready: list[Replica], *, trouble: bool) -> Phase:
    wanted = view.wanted(view.shown)
    if view.asleep:
        return Phase.IDLE
    if view.settled and ready and len(ready) >= wanted:
        return Phase.READY
    if view.exposed and _grows(view) and not trouble:
        return Phase.READY
    if view.exposed:
        return Phase.DEGRADED if trouble or view.settled else Phase.PROGRESSING
    if trouble:
        return Phase.FAILED
    return Phase.PENDING if not view.replicas else Phase.PROGRESSING


def _grows(view: View) -> bool:
    """Tell whether the replicas that are missing were never there: the load asks for more."""
    shown = view.shown
    missing = [one for one in view.of(shown.number) if not one.ready]
    fresh = all(one.state is not ReplicaState.UNREADY and not one.restarts for one in missing)
    return view.settled and not shown.scaling.fixed and fresh


def _worst(replicas: tuple[Replica, ...]) -> Replica | None:
    """Return the replica that is in the deepest trouble, if one is in any."""
    found = [
        replica
        for replica in replicas
        if not replica.ready
        and (replica.crashes >= CRASH_LOOP or replica.reason in {*_NOT_STARTED, "MemoryLimit"})
    ]
    return max(found, key=lambda replica: replica.crashes, default=None)


def _fetched(view: View, fetch: TowpathError | None) -> Condition:
    workload = view.shown.workload
    if isinstance(fetch, StillFetching):
        return Condition(Step.FETCHED, Status.UNKNOWN, "Fetching", fetch.detail)
    if fetch is not None:
        return _bad(Step.FETCHED, "ArtifactUnavailable", fetch.detail, fetch.fix)
    size = sum(file.size for file in workload.files)
    return _good(Step.FETCHED, "Verified", f"{workload.model_digest}, {_size(size)}.")


def _provisioned(
    view: View,
    newest: tuple[Replica, ...],
    fetch: TowpathError | None,
    launch: TowpathError | None,
) -> Condition:
    wanted = view.wanted(view.shown)
    if view.asleep:
        return _good(Step.PROVISIONED, "Idle", "It holds nothing while nobody asks.")
    if launch is not None:
        return _bad(Step.PROVISIONED, "CannotStart", launch.detail, launch.fix)
    if fetch is not None:
        return _waiting(Step.PROVISIONED, "The artifact comes first.")
    blocked = next((replica for replica in newest if replica.reason in _NOT_STARTED), None)
    if blocked is not None:
        reason = blocked.reason or "CannotStart"
        return _bad(Step.PROVISIONED, reason, blocked.message or "", _FIXES[reason])
    started = [replica for replica in newest if replica.state is not ReplicaState.PENDING]
    if len(started) < wanted:
        return _waiting(Step.PROVISIONED, f"{len(started)} of {wanted} model servers started.")
    return _good(Step.PROVISIONED, "Started", f"{_count(wanted)} on this machine.")


def _loaded(
    view: View, newest: tuple[Replica, ...], ready: list[Replica], failing: Replica | None
) -> Condition:
    wanted = view.wanted(view.shown)
    if view.asleep:
        return _good(Step.LOADED, "Idle", "It is loaded once somebody asks.")
    if failing is not None and failing.reason not in _NOT_STARTED:
        reason = "CrashLoop" if failing.crashes >= CRASH_LOOP else failing.reason or "Failed"
        times = f"Replica {failing.ordinal} failed {failing.crashes} times in a row. "
        fix = _FIXES.get(failing.reason or "", _CRASH_FIX)
        fix = fix.replace("NAME", view.deployment.name)
        return _bad(Step.LOADED, reason, times + (failing.message or ""), fix)
    if len(ready) >= wanted:
        runtime = view.shown.workload.runtime
        return _good(Step.LOADED, "Healthy", f"{runtime}, {_count(wanted)}.")
    ailing = next((replica for replica in newest if replica.message), None)
    if ailing is not None:
        fix = _FIXES.get(ailing.reason or "", _CRASH_FIX).replace("NAME", view.deployment.name)
        return _bad(Step.LOADED, ailing.reason or "Failed", ailing.message or "", fix)
    return _waiting(Step.LOADED, f"{len(ready)} of {wanted} replicas are healthy.")


def _exposed(view: View, evidence: Evidence, now_ms: int) -> Condition:
    serving, name = view.deployment.serving, view.deployment.name
    rollout = view.rollout
    if serving == 0:
        return _waiting(Step.EXPOSED, "It takes traffic once all of the above hold.")
    if not view.taken_over:
        if rollout is not None:
            return _rolling(view, rollout, evidence, now_ms)
        said = f"Revision {serving} takes the traffic until all of the above hold."
        return _waiting(Step.EXPOSED, said)
    return _serving(view, name)


def _serving(view: View, name: str) -> Condition:
    if view.asleep:
        return _good(Step.EXPOSED, "Idle", f"The first call of `{name}` wakes it.")
    if view.exposed:
        return _good(Step.EXPOSED, "Serving", f"100 % of the traffic of `{name}`.")
    if view.deployment.woken_at_ms is not None:
        return _waiting(Step.EXPOSED, "Somebody asked for it, and it is being woken.")
    fix = f"Its log says why: `towpath logs {name}`."
    return _bad(Step.EXPOSED, "NothingReady", "None of its replicas is healthy.", fix)


def _rolling(view: View, rollout: Rollout, evidence: Evidence, now_ms: int) -> Condition:
    """Say how far a revision is that takes over step by step, or why it was given up."""
    if rollout.open:
        begun = rollout.begun_at_ms is not None
        said = rollouts.progress(view, rollout, evidence.since(rollout.base), now_ms)
        reason = "RollingOut" if begun else "Waiting"
        return Condition(Step.EXPOSED, Status.UNKNOWN, reason, said)
    reason = "Aborted" if rollout.outcome is Outcome.ABORTED else "RolledBack"
    said = f"{rollout.message} Revision {view.deployment.serving} answers every call."
    return _bad(Step.EXPOSED, reason, said, rollout.fix)


def _note(conditions: tuple[Condition, ...]) -> str:
    """Say in a sentence why nothing can answer."""
    bad = next((c for c in conditions if c.status is Status.FALSE), None)
    late = next((c for c in conditions if c.status is Status.UNKNOWN), None)
    found = bad or late
    return found.message.partition("\n")[0] if found else "It is being deployed."


def _good(step: Step, reason: str, message: str) -> Condition:
    return Condition(step, Status.TRUE, reason, message)


def _bad(step: Step, reason: str, message: str, fix: str | None) -> Condition:
    return Condition(step, Status.FALSE, reason, message, fix)


def _waiting(step: Step, message: str) -> Condition:
    return Condition(step, Status.UNKNOWN, "Waiting", message)


def _count(number: int) -> str:
    return f"{number} replica{'s' if number != 1 else ''}"


def _size(size: int) -> str:
    return f"{size / 1e6:.0f} MB" if size >= 1_000_000 else f"{size} bytes"
