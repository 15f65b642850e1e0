"""`towpath deployments scaling`: where it stands, and what was decided by which numbers."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from inline_snapshot import snapshot

from towpath.testing import Answer


def ago(seconds: int) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def scaling(**more: Any) -> dict[str, Any]:
    return {
        "deployment": "dep_1",
        "phase": "Ready",
        "min_replicas": 0,
        "max_replicas": 4,
        "metric": "concurrency",
        "target": 8.0,
        "idle_timeout_ms": 900_000,
        "schedule": [
            {
                "cron": "0 7 * * 1-5",
                "duration_ms": 43_200_000,
                "min_replicas": 1,
                "timezone": "Europe/Vienna",
            }
        ],
        "replicas_wanted": 2,
        "replicas_ready": 1,
        "load": {"in_flight": 11, "queued": 1, "tokens": 0},
        "busy_at": ago(200),
        "cold_starts": {
            "last": [{"at": ago(180), "total_ms": 900, "engine_ms": 760, "platform_ms": 140}],
            "total_ms": {"p50": 900, "p95": 900},
            "engine_ms": {"p50": 760, "p95": 760},
            "platform_ms": {"p50": 140, "p95": 140},
            "estimate_ms": 900,
        },
        **more,
    }


def decision(before: int, after: int, reason: str, limited: str | None = None) -> dict[str, Any]:
    return {
        "id": "scl_1",
        "at": ago(180),
        "before": before,
        "after": after,
        "reason": reason,
        "metric": "concurrency",
        "target": 8.0,
        "value": 14.0,
        "stable": 3.1,
        "min_replicas": 0,
        "max_replicas": 4,
        "limited_by": limited,
    }


def asked(
    cli: Any, state: dict[str, Any], *decisions: dict[str, Any], as_json: bool = False
) -> Any:
    cli.fake.answer("GET", "/api/v1/deployments/triage/scaling", Answer(body=state))
    cli.fake.answer(
        "GET",
        "/api/v1/deployments/dep_1/scaling/decisions",
        Answer(body={"items": list(decisions), "next": None}),
    )
    return cli("deployments", "scaling", "triage", *(["--json"] if as_json else []))


def test_it_says_where_it_stands_and_why(cli: Any) -> None:
    done = asked(cli, scaling(), decision(1, 2, "Panic", "quota of care: replicas"))

    assert (done.code, done.out) == snapshot(
        (
            0,
            """\
0 to 4 replicas, one for every 8 of concurrency
now 1 of 2 ready (Ready), 11 calls in flight, 1 waiting
sleeps after 900 s without a call, last call 3 m ago
at least 1 from `0 7 * * 1-5` (Europe/Vienna) on, for 12 h
wakes within 900 ms (p95 900): the engine 760 (760), the platform 140 (140); the last time

at       replicas  why    concurrency  a minute  target  limited by
3 m ago  1 → 2     Panic           14       3.1       8  quota of care: replicas
""",
        )
    )


def test_what_never_changes_says_so(cli: Any) -> None:
    done = asked(cli, scaling(min_replicas=2, max_replicas=2))

    assert done.out.splitlines()[0] == "always 2: the number of replicas is fixed"


def test_as_json_it_has_the_decisions_beside_it(cli: Any) -> None:
    done = asked(cli, scaling(), decision(0, 1, "Woken"), as_json=True)

    found = json.loads(done.out)
    assert found["cold_starts"]["platform_ms"]["p95"] == 140
    assert [one["reason"] for one in found["decisions"]] == ["Woken"]
