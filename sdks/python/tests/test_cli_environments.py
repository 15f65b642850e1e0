"""Promotions, approvals, history and adoption on the command line, to the letter."""

from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from towpath.testing import Answer

RESOURCE = {
    "revision": 1,
    "created_at": "2026-01-05T10:00:00Z",
    "updated_at": "2026-01-05T10:00:00Z",
}
APPROVAL: dict[str, Any] = {
    **RESOURCE,
    "id": "apr_01jd0000000000000000000000",
    "kind": "promotion",
    "state": "pending",
    "summary": "promote triage (models:/triage/2 on onnx 1.31) from staging to production",
    "team": "care",
    "environment": "production",
    "name": "triage",
    "digest": "sha256:5b1cab",
    "payload": {"deployment": "dep_1", "to": "production"},
    "reason": "0.86 on the golden set",
    "requested_by": "dora@example.org",
    "requested_by_id": "usr_1",
    "needed": 1,
    "decisions": [],
    "expires_at": "2026-01-12T10:00:00Z",
    "note": None,
    "result": None,
}
APPROVED = {
    **APPROVAL,
    "state": "approved",
    "decisions": [
        {
            "by": "ada@example.org",
            "by_id": "usr_2",
            "answer": "approve",
            "at": "2026-01-06T10:00:00Z",
            "comment": "well done",
        }
    ],
    "result": {"deployment": "dep_2", "environment": "production", "revision": 1},
}
DEPLOYMENT: dict[str, Any] = {
    "id": "dep_2",
    "revision": 1,
    "name": "triage",
    "environment": "production",
    "phase": "Ready",
    "conditions": [
        {"type": "Checked", "status": "True", "reason": "Accepted", "message": "models:/triage/2."}
    ],
    "endpoint": "triage",
    "operations": ["predict"],
    "serving_revision": 1,
    "gpus": None,
    "origin": {
        "how": "promotion",
        "by": "dora@example.org",
        "by_id": "usr_1",
        "source": {"deployment": "dep_1", "environment": "staging", "revision": 3},
        "approval": "apr_1",
        "approved_by": ["ada@example.org"],
        "reason": None,
    },
    "expires_at": None,
}
REFUSAL = {
    "code": "manifest_invalid",
    "status": 422,
    "title": "Manifest was refused",
    "detail": "The manifest is refused.",
    "request_id": "req_1",
    "findings": [
        {
            "path": "?environment",
            "reason": "SourceNotReady",
            "message": "`triage` is not ready in staging: it is Progressing.",
            "fix": "See why: `towpath deployments show triage --environment staging`.",
        },
        {
            "path": "#/spec/overrides/production/scaling/minReplicas",
            "reason": "Invalid",
            "message": "`minReplicas` must be at least 1.",
            "fix": "Write 1.",
        },
    ],
}


def test_a_promotion_is_watched_until_it_is_ready(cli: Any) -> None:
    cli.fake.answer("POST", "/api/v1/deployments/triage/promote", Answer(201, DEPLOYMENT))

    done = cli("promote", "triage", "--to", "production", "--force-reason", "the night is short")

    assert (done.code, done.out) == (
        0,
        "POST http://towpath/v1/models/triage/predict\n",
    )
    assert cli.fake.calls[-1].body == {
        "to": "production",
        "overrides": None,
        "reason": "the night is short",
    }
    assert done.err.startswith("triage → production\n")


def test_a_refused_promotion_lists_every_finding(cli: Any) -> None:
    cli.fake.answer("POST", "/api/v1/deployments/triage/promote", Answer(422, REFUSAL))

    done = cli("promote", "triage", "--to", "production")

    assert (done.code, done.out) == (1, "")
    assert done.err == snapshot("""\
triage → production
error: triage → production: refused, nothing was changed (2 findings)

  ?environment
    `triage` is not ready in staging: it is Progressing.
    fix: See why: `towpath deployments show triage --environment staging`.

  overrides.production.scaling.minReplicas
    `minReplicas` must be at least 1.
    fix: Write 1.

  req_1
""")


def test_a_request_says_who_goes_on_and_how(cli: Any, home: Path) -> None:
    (home / "more.yaml").write_text("scaling: {minReplicas: 2}\n")
    cli.fake.answer("POST", "/api/v1/approvals", Answer(201, APPROVAL))

    done = cli(
        *("promote", "triage", "--to", "production", "--request", "--reason", "it is better"),
        *("--overrides", str(home / "more.yaml")),
    )

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            "promote triage (models:/triage/2 on onnx 1.31) from staging to production    apr_01jd0000000000000000000000\n",
            """\
triage → production

It waits for the approval of another person: `towpath approvals approve apr_01jd0000000000000000000000`
It is carried out then; what changes until then makes it void.
""",
        )
    )
    assert cli.fake.calls[-1].body == {
        "kind": "promotion",
        "payload": {
            "deployment": "triage",
            "to": "production",
            "overrides": {"scaling": {"minReplicas": 2}},
        },
        "reason": "it is better",
    }


@pytest.mark.parametrize(
    "options",
    [
        ("--request", "--dry-run"),
        ("--request", "--force-reason", "why"),
        ("--reason", "why"),
    ],
)
def test_options_that_exclude_each_other_are_misuse(cli: Any, options: tuple[str, ...]) -> None:
    assert cli("promote", "triage", "--to", "staging", *options).code == 2


def test_what_waits_for_an_approval(cli: Any) -> None:
    cli.fake.answer("GET", "/api/v1/approvals", Answer(body={"items": [APPROVAL], "next": None}))

    done = cli("approvals")

    assert done.out == snapshot("""\
what          by             state    asked       id
triage → pr…  dora@example…  pending  2026-01-05  apr_01jd0000000000000000000000
""")
    assert cli.fake.calls[-1].query["state"] == "pending"
    assert max(map(len, done.out.splitlines())) <= 80


def test_nothing_that_waits(cli: Any) -> None:
    cli.fake.answer("GET", "/api/v1/approvals", Answer(body={"items": [], "next": None}))

    done = cli("approvals", "list", "--state", "all")

    assert (done.code, done.out) == (0, "")
    assert "state" not in cli.fake.calls[-1].query


def test_one_request_and_what_to_do(cli: Any) -> None:
    path = f"/api/v1/approvals/{APPROVAL['id']}"
    cli.fake.answer("GET", path, Answer(body=APPROVAL))
    cli.fake.answer("POST", f"{path}/approve", Answer(body=APPROVED))
    cli.fake.answer("POST", f"{path}/reject", Answer(body={**APPROVAL, "state": "rejected"}))

    shown = cli("approvals", "show", APPROVAL["id"])
    agreed = cli("approvals", "approve", APPROVAL["id"], "--comment", "well done")
    refused = cli("approvals", "reject", APPROVAL["id"])

    assert shown.out == snapshot("""\
promote triage (models:/triage/2 on onnx 1.31) from staging to production: pending    apr_01jd0000000000000000000000
  asked by   dora@example.org
  because    0.86 on the golden set
  digest     sha256:5b1cab
  until      2026-01-12
""")
    assert shown.err == snapshot("""\

Decide: `towpath approvals approve apr_01jd0000000000000000000000`, `towpath approvals reject apr_01jd0000000000000000000000`
""")
    assert (agreed.code, agreed.out, agreed.err) == snapshot(
        (
            0,
            """\
promote triage (models:/triage/2 on onnx 1.31) from staging to production: approved    apr_01jd0000000000000000000000
  asked by   dora@example.org
  because    0.86 on the golden set
  digest     sha256:5b1cab
  agreed     ada@example.org, 2026-01-06: well done
""",
            """\

See it become ready: `towpath deployments show dep_2`
""",
        )
    )
    assert refused.out.splitlines()[0].endswith(f"production: rejected    {APPROVAL['id']}")


def test_a_deployment_says_where_it_came_from_and_when_it_ends(cli: Any) -> None:
    cli.fake.answer("GET", "/api/v1/deployments/triage", Answer(body=DEPLOYMENT))
    cli.fake.answer(
        "GET",
        "/api/v1/deployments/tried",
        Answer(
            body={
                **DEPLOYMENT,
                "name": "tried",
                "origin": {**DEPLOYMENT["origin"], "how": "manifest"},
                "expires_at": "2026-01-01T00:00:00Z",
            }
        ),
    )

    assert cli("deployments", "show", "triage").out == snapshot("""\
triage → production: Ready    dep_2
  ✓ Checked       models:/triage/2.
  promoted from staging (revision 3) by dora@example.org, approved by ada@example.org
""")
    assert cli("deployments", "show", "tried").out.splitlines()[-1] == snapshot(
        "  expires within the hour unless it is renewed: `towpath deployments renew tried`"
    )


def test_a_renewal_says_until_when(cli: Any) -> None:
    cli.fake.answer(
        "POST",
        "/api/v1/deployments/tried/renew",
        Answer(body={**DEPLOYMENT, "name": "tried", "expires_at": "2026-12-19T12:00:00Z"}),
    )

    assert cli("deployments", "renew", "tried").out == (
        "`tried` stays until 2026-12-19 12:00 UTC.\n"
    )


def test_which_version_was_in_production(cli: Any) -> None:
    served = {
        "id": "exp_1",
        "deployment": "dep_2",
        "name": "triage",
        "environment": "production",
        "project": "care/triage",
        "revision": 1,
        "version": 2,
        "digest": "sha256:5b1cab",
        "runtime": "onnx 1.31",
        "from": "2026-10-05T10:00:00Z",
        "until": None,
        "origin": DEPLOYMENT["origin"],
    }
    listed = Answer(body={"items": [served], "next": None})
    cli.fake.answer("GET", "/api/v1/models/triage/served", listed)

    done = cli(*("models", "served", "triage", "--environment", "production", "--at", "2026-11-01"))

    assert done.out == snapshot("""\
version  environment  from              until  by                approved by
      2  production   2026-10-05 10:00  now    dora@example.org  ada@example.org
""")
    assert cli.fake.calls[-1].query["at"] == "2026-11-01T00:00:00Z"


def test_the_self_service_rate(cli: Any) -> None:
    found = {
        "since": "2026-11-01T00:00:00Z",
        "until": "2026-12-01T00:00:00Z",
        "deployments": 4,
        "self_service": 3,
        "rate": 0.75,
        "items": [{"reason": "deployed_by_platform", "deployments": 1}],
    }
    cli.fake.answer("GET", "/api/v1/adoption/self-service", Answer(body=found))

    assert cli("adoption").out == snapshot("""\
75% self-service: 3 of 4 deployments since 2026-11-01

the others                     deployments
the platform team deployed it            1
""")
    empty = {**found, "deployments": 0, "self_service": 0, "rate": None, "items": []}
    cli.fake.answer("GET", "/api/v1/adoption/self-service", Answer(body=empty))
    assert cli("adoption").out == ""
