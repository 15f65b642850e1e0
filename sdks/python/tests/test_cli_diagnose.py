"""`towpath diagnose`: one sentence and what to do."""

from datetime import UTC, datetime, timedelta
from typing import Any

from inline_snapshot import snapshot

from towpath.testing import Answer


def deployment(phase: str, *conditions: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "dep_1",
        "revision": 3,
        "name": "triage",
        "environment": "sandbox",
        "phase": phase,
        "conditions": list(conditions),
        "operations": ["predict"],
        "serving_revision": 2,
        "replicas_wanted": 1,
        "replicas_ready": 1,
    }


def condition(kind: str, status: str, message: str, fix: str | None = None) -> dict[str, Any]:
    since = datetime.now(UTC) - timedelta(minutes=3, seconds=20)
    return {
        "type": kind,
        "status": status,
        "reason": "R",
        "message": message,
        "fix": fix,
        "changed_at": since.isoformat(),
    }


def diagnosed(cli: Any, answer: dict[str, Any]) -> Any:
    cli.fake.answer("GET", "/api/v1/deployments/triage", Answer(body=answer))
    return cli("diagnose", "triage")


def test_bad_news_come_before_what_is_only_late(cli: Any) -> None:
    done = diagnosed(
        cli,
        deployment(
            "Degraded",
            condition("Checked", "True", "fine"),
            condition("Provisioned", "Unknown", "0 of 1 model servers started."),
            condition(
                "Loaded", "False", "Replica 0 failed 4 times.\nlast line", "Add a tokenizer."
            ),
        ),
    )

    assert (done.code, done.out) == snapshot(
        (
            1,
            """\
Not ready for 3 m: Loaded: Replica 0 failed 4 times. last line. Revision 2 still takes the traffic.
→ Add a tokenizer; logs: towpath logs triage
""",
        )
    )


def test_what_is_on_its_way_says_what_it_waits_for(cli: Any) -> None:
    done = diagnosed(
        cli,
        deployment("Progressing", condition("Loaded", "Unknown", "0 of 1 replicas are healthy.")),
    )

    assert (done.code, done.out) == snapshot(
        (
            1,
            """\
On its way for 3 m: Loaded: 0 of 1 replicas are healthy. Revision 2 still takes the traffic.
→ logs: towpath logs triage
""",
        )
    )


def test_what_is_ready_says_so(cli: Any) -> None:
    done = diagnosed(cli, deployment("Ready", condition("Exposed", "True", "100 %")))

    assert (done.code, done.out) == snapshot(
        (
            0,
            "triage is ready in sandbox: 1 of 1 replicas, revision 2 takes the traffic.\n",
        )
    )
