"""
Gates against records.

A missing record is a fail, and so is a number whose interval does not decide: what is not known is
not good enough to take traffic. Every answer says the numbers it rests on.
"""

import math
from collections.abc import Sequence

from towpath_server.core.db import Tx
from towpath_server.domains.evaluations import store
from towpath_server.domains.evaluations.models import (
    Evaluation,
    Gate,
    Judgement,
    Metric,
    Outcome,
    Subject,
    Verdict,
)

_DIGEST_CHARS = 19  # `sha256:` and twelve digits: enough to recognise one


async def judge(tx: Tx, gates: Sequence[Gate], subject: Subject) -> list[Judgement]:
    """Say what each gate comes to for exactly this content, by the newest records."""
    return [await _judge(tx, gate, subject) for gate in gates]


async def _judge(tx: Tx, gate: Gate, subject: Subject) -> Judgement:
    found = await store.newest(
        tx, subject.digest, gate.suite, gate.version, runtime=subject.runtime
    )
    if found is None:
        digest = subject.digest[:_DIGEST_CHARS]
        message = f"No result of {gate.suite}@{gate.version} is recorded for {digest}…"
        return Judgement(gate.name, Outcome.MISSING, f"{message}.", _how(gate, subject))
    if gate.metric is None:
        return _verdict(gate, found)
    metric = found.metrics.get(gate.metric)
    if metric is None:
        listed = ", ".join(f"`{name}`" for name in sorted(found.metrics)) or "none"
        message = f"The result {found.id} has no metric `{gate.metric}`; it has {listed}."
        return Judgement(gate.name, Outcome.MISSING, message, _how(gate, subject))
    judged = [*_bounds(gate, metric)]
    if gate.baseline is not None:
        judged.append(await _compared(tx, gate, metric, subject))
    worst = next((one for one in judged if one.outcome is Outcome.FAILED), None)
    unsure = next((one for one in judged if one.outcome is not Outcome.PASSED), None)
    if found_bad := worst or unsure:
        return found_bad
    message = "; ".join(one.message.rstrip(".") for one in judged) or metric.words()
    return Judgement(gate.name, Outcome.PASSED, f"{message}.")


def _verdict(gate: Gate, found: Evaluation) -> Judgement:
    if found.verdict is Verdict.PASS:
        return Judgement(gate.name, Outcome.PASSED, f"The run's verdict is pass ({found.source}).")
    said = found.verdict.value if found.verdict else "none"
    unsure = found.verdict is Verdict.INCONCLUSIVE
    return Judgement(
        gate.name,
        Outcome.INCONCLUSIVE if unsure else Outcome.FAILED,
        f"The run's verdict is {said} ({found.source}).",
        "Improve the model and evaluate the new version, or name a metric and a minimum.",
    )


def _bounds(gate: Gate, metric: Metric) -> Sequence[Judgement]:
    found = []
    if gate.minimum is not None:
        found.append(_bound(gate, metric, gate.minimum, below=True))
    if gate.maximum is not None:
        found.append(_bound(gate, metric, gate.maximum, below=False))
    return found


def _bound(gate: Gate, metric: Metric, bound: float, *, below: bool) -> Judgement:
    """Compare a number with a bound; `below`: it is bad to be below it."""
    sign = 1 if below else -1
    what = f"{'minimum' if below else 'maximum'} {bound:.4g}"
    low, high = metric.interval or (metric.value, metric.value)
    worst, best = (low, high) if below else (high, low)
    if (worst - bound) * sign >= 0:
        return Judgement(gate.name, Outcome.PASSED, f"{metric.words()}, {what}.")
    if (best - bound) * sign < 0:
        message = f"{metric.words()} does not reach the {what}."
        return Judgement(gate.name, Outcome.FAILED, message, _improve(gate))
    message = f"{metric.words()} against the {what}: inconclusive."
    return Judgement(gate.name, Outcome.INCONCLUSIVE, message, _more(gate, metric, bound))


async def _compared(tx: Tx, gate: Gate, metric: Metric, subject: Subject) -> Judgement:
    """Compare with the version that serves in the baseline's environment."""
    where = gate.baseline or ""
    digest = subject.baselines.get(where)
    if digest is None:
        return Judgement(gate.name, Outcome.PASSED, f"nothing serves in {where} to compare with.")
    if digest == subject.digest:
        return Judgement(gate.name, Outcome.PASSED, f"{where} serves the same content.")
    found = await store.newest(tx, digest, gate.suite, gate.version, runtime=subject.runtime)
    other = found.metrics.get(gate.metric or "") if found else None
    if found is None or other is None:
        message = f"What serves in {where} ({digest[:_DIGEST_CHARS]}…) has no such result."
        fix = f"Run {gate.suite}@{gate.version} on that version too and record it."
        return Judgement(gate.name, Outcome.MISSING, message, fix)
    sign = -1 if gate.lower_is_better else 1
    loss = (other.value - metric.value) * sign
    half = math.hypot(_half(metric), _half(other))
    what = f"{metric.words()} against {other.words()} in {where}"
    allowed = gate.max_regression
    if loss + half <= allowed or loss <= 0:
        return Judgement(gate.name, Outcome.PASSED, f"{what}.")
    if loss - half > allowed:
        message = f"{what}: worse by {loss:.4g}, and {allowed:.4g} is allowed."
        return Judgement(gate.name, Outcome.FAILED, message, _improve(gate))
    message = f"{what}: worse by {loss:.4g} ± {half:.4g}, and {allowed:.4g} is allowed: "
    fix = "Record a run over more items, or improve the model."
    return Judgement(gate.name, Outcome.INCONCLUSIVE, f"{message}inconclusive.", fix)


def _half(metric: Metric) -> float:
    return (metric.interval[1] - metric.interval[0]) / 2 if metric.interval else 0.0


def _more(gate: Gate, metric: Metric, bound: float) -> str:
    """Say how many more items would decide it: an interval narrows with their square root."""
    distance = abs(metric.value - bound)
    if metric.n and distance > 0:
        needed = math.ceil(metric.n * (_half(metric) / distance) ** 2) - metric.n
        if needed > 0:
            return (
                f"About {needed:,} more items would decide it: run {gate.suite} over them and "
                "record that; or improve the model."
            )
    return "Record a run over more items, or improve the model."


def _improve(gate: Gate) -> str:
    return (
        f"Improve the model, evaluate the new version with {gate.suite}@{gate.version}, and "
        "deploy that."
    )


def _how(gate: Gate, subject: Subject) -> str:
    metric = f" --metric {gate.metric}=VALUE" if gate.metric else " --verdict pass"
    return (
        f"Run the suite on this version and record it: `towpath evaluations record "
        f"{subject.model}/{subject.version} --suite {gate.suite}@{gate.version}{metric}`."
    )
