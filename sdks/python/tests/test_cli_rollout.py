"""`towpath deployments rollout`, and how `towpath deploy` ends when a revision is rolled back."""

from typing import Any

from inline_snapshot import snapshot

from towpath.testing import Answer

NONE = {
    "calls": 0,
    "failed": 0,
    "refused": 0,
    "p95_ms": None,
    "serving_calls": 0,
    "serving_failed": 0,
    "serving_refused": 0,
    "serving_p95_ms": None,
    "copies": 0,
    "copies_failed": 0,
    "copies_skipped": 0,
    "copies_p95_ms": None,
    "compared": 0,
    "different": 0,
    "differences": {},
}


def stage(step: int, weight: int, hold_ms: int | None, **evidence: Any) -> dict[str, Any]:
    return {
        "step": step,
        "weight": weight,
        "shadow_percent": 0 if weight else 100,
        "hold_ms": hold_ms,
        "began_at": None,
        "ended_at": None,
        "evidence": {**NONE, **evidence} if evidence else None,
    }


def rollout(**more: Any) -> dict[str, Any]:
    return {
        "id": "rol_1",
        "revision": 3,
        "created_at": "2026-11-28T08:00:00Z",
        "updated_at": "2026-11-28T08:00:00Z",
        "deployment": "dep_1",
        "name": "triage",
        "environment": "production",
        "deployment_revision": 2,
        "serving_revision": 1,
        "state": "rolling",
        "step": 1,
        "percent": 10,
        "stages": [
            stage(0, 0, 120_000, copies=214, copies_p95_ms=41.0, compared=210, serving_p95_ms=38),
            stage(1, 10, 300_000),
            stage(2, 100, None),
        ],
        "limits": {
            "error_rate": 0.01,
            "p95_ms": 1500.0,
            "differences": None,
            "minimum_calls": 20,
        },
        "evidence": NONE,
        "reason": None,
        "message": "step 1 of 1: 10 % of the calls for 3 m more; 0 of 214 calls failed.",
        "fix": None,
        "paused_by": None,
        "ended_at": None,
        "ended_by": None,
        **more,
    }


def test_it_shows_each_step_with_its_numbers_and_what_can_be_done(cli: Any) -> None:
    cli.fake.answer("GET", "/api/v1/deployments/triage/rollout", Answer(body=rollout()))

    done = cli("deployments", "rollout", "triage")

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            """\
triage → production: revision 2 rolling    rol_1
  ✓ copies of 100 % for 2 m 0 s    0 of 214 copies failed, p95 41 ms (serving: 38 ms), 0 of 210 answers differ
  ▸ 10 % for 5 m 0 s
  · 100 %
  step 1 of 1: 10 % of the calls for 3 m more; 0 of 214 calls failed.
""",
            """\

Next: `towpath deployments rollout triage pause`; or `finish`, `abort`
""",
        )
    )


def test_what_was_rolled_back_says_why_and_what_to_do(cli: Any) -> None:
    state = rollout(
        state="rolled_back",
        message="At step 1 of 1, 12 of 60 calls failed (20.0%, and the limit is 1.0%).",
        fix="Its log says why: `towpath logs triage`; correct the model, and deploy it again.",
        ended_at="2026-11-28T08:05:00Z",
        stages=[stage(0, 0, 120_000, copies=9), stage(1, 10, 300_000, calls=60, failed=12)],
    )
    cli.fake.answer("POST", "/api/v1/deployments/triage/rollout/abort", Answer(body=state))

    done = cli("deployments", "rollout", "triage", "abort")

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            """\
triage → production: revision 2 rolled back    rol_1
  ✓ copies of 100 % for 2 m 0 s    0 of 9 copies failed
  ✗ 10 % for 5 m 0 s    12 of 60 calls failed
  At step 1 of 1, 12 of 60 calls failed (20.0%, and the limit is 1.0%).
  fix: Its log says why: `towpath logs triage`; correct the model, and deploy it again.
""",
            """\

All revisions: `towpath deployments history triage`
""",
        )
    )
