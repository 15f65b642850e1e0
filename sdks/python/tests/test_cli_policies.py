"""What the commands of policies print, to the letter."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from inline_snapshot import snapshot

from towpath.testing import Answer

DOCUMENT: dict[str, Any] = {
    "apiVersion": "towpath.dev/v1alpha1",
    "kind": "Policy",
    "metadata": {"name": "few-replicas", "description": "Two are enough."},
    "spec": {
        "mode": "enforce",
        "validations": [
            {"expression": "resources.replicas <= 2", "message": "Too many", "fix": "Two."}
        ],
    },
}
POLICY: dict[str, Any] = {
    "id": "pol_01jd0000000000000000000000",
    "revision": 3,
    "created_at": "2026-01-05T10:00:00Z",
    "updated_at": "2026-01-05T10:00:00Z",
    "name": "few-replicas",
    "team": None,
    "mode": "enforce",
    "description": "Outside of production, two replicas are enough for everybody there is.",
    "document": DOCUMENT,
}
RAISED = {
    "policy": "few-replicas",
    "mode": "enforce",
    "path": "#/spec/scaling/maxReplicas",
    "reason": "TooManyReplicas",
    "message": "3 replicas are too many (policy `few-replicas`).",
    "line": None,
    "fix": "At most `maxReplicas: 2`.",
}
SUITE = """\
kind: PolicyTest
spec:
  policies: [policy.yaml, "default:owner-annotation"]
  environment: sandbox
  manifest: {spec: {a: 1, b: {c: 2}}}
  cases:
    - name: three are too many
      manifest: {spec: {a: null, b: {d: 3}}}
      expect: {findings: [{reason: TooManyReplicas, fix: "maxReplicas: 2"}]}
    - name: one is enough
      environment: staging
      facts: {resources: {replicas: 1}}
"""


def listed(*items: Any) -> Answer:
    return Answer(body={"items": list(items), "next": None})


def written(cli: Any, name: str, text: str) -> str:
    (cli.home / name).write_text(text)
    return str(cli.home / name)


def test_policies_are_listed_in_80_columns(cli: Any) -> None:
    cli.fake.answer("GET", "/api/v1/policies", listed(POLICY, {**POLICY, "team": "care"}))

    done = cli("policies")

    assert (done.code, done.out) == (
        0,
        snapshot("""\
policy        mode     of         says
few-replicas  enforce  everybody  Outside of production, two replicas are enoug…
few-replicas  enforce  care       Outside of production, two replicas are enoug…
"""),
    )


def test_a_policy_is_shown_as_the_file_that_apply_takes(cli: Any) -> None:
    cli.fake.answer("GET", "/api/v1/policies/few-replicas", Answer(body=POLICY))

    done = cli("policies", "show", "few-replicas")

    assert yaml.safe_load(done.out) == DOCUMENT
    assert done.err == snapshot("""\

Change it: save this, edit it, `towpath policies apply -f few-replicas.yaml`
""")


def test_a_folder_of_policies_is_set(cli: Any) -> None:
    written(cli, "policy.yaml", yaml.safe_dump(DOCUMENT))
    written(cli, "policy.test.yaml", SUITE)
    cli.fake.answer("POST", "/api/v1/policies", Answer(201, POLICY))

    done = cli("policies", "apply", "-f", str(cli.home))

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            "few-replicas: enforce, version 3    pol_01jd0000000000000000000000\n",
            "They hold for what is deployed from now on; what runs stays as it is.\n",
        )
    )
    assert [call.body for call in cli.fake.calls] == [DOCUMENT]


def test_a_refused_policy_has_lines(cli: Any) -> None:
    file = written(cli, "policy.yaml", yaml.safe_dump(DOCUMENT, sort_keys=False))
    finding = {
        "path": "#/spec/validations/0/expression",
        "reason": "InvalidExpression",
        "message": "The expression cannot be used: column 1: `resource` is no fact.",
        "fix": "Did you mean `resources`?",
    }
    problem = {"code": "policy_invalid", "detail": "It is refused.", "findings": [finding]}
    cli.fake.answer("POST", "/api/v1/policies", Answer(422, problem))

    done = cli("policies", "apply", "-f", file)

    assert (done.code, done.out, done.err) == snapshot(
        (
            1,
            "",
            """\
error: few-replicas: refused, nothing was changed (1 finding)

  policy.yaml:9    validations.0.expression
    The expression cannot be used: column 1: `resource` is no fact.
    fix: Did you mean `resources`?
""",
        )
    )


def evaluated(*cases: Any) -> Answer:
    return Answer(body={"cases": [{"policies": 2, "raised": list(raised)} for raised in cases]})


def test_cases_that_pass_are_sent_merged(cli: Any) -> None:
    written(cli, "policy.yaml", yaml.safe_dump(DOCUMENT))
    file = written(cli, "few.test.yaml", SUITE)
    default = {"name": "owner-annotation", "mode": "warn", "description": "", "document": {"a": 1}}
    cli.fake.answer("GET", "/api/v1/policy-defaults/owner-annotation", Answer(body=default))
    cli.fake.answer("POST", "/api/v1/policies/evaluate", evaluated([RAISED], []))

    done = cli("policies", "test", file)

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            """\
few.test.yaml
  ✓ three are too many
  ✓ one is enough
2 cases, 0 failed
""",
            "",
        )
    )
    assert cli.fake.calls[-1].body == {
        "policies": [DOCUMENT, {"a": 1}],
        "cases": [
            {"environment": "sandbox", "manifest": {"spec": {"b": {"c": 2, "d": 3}}}, "facts": {}},
            {
                "environment": "staging",
                "manifest": {"spec": {"a": 1, "b": {"c": 2}}},
                "facts": {"resources": {"replicas": 1}},
            },
        ],
    }


def test_what_is_missing_and_what_is_too_much_fails_with_a_difference(cli: Any) -> None:
    text = SUITE.replace('  policies: [policy.yaml, "default:owner-annotation"]\n', "")
    file = written(cli, "few.test.yaml", text)
    cli.fake.answer("POST", "/api/v1/policies/evaluate", evaluated([], [RAISED]))

    done, document = cli("policies", "test", file), cli("policies", "test", file, "--json")

    assert (done.code, document.code) == (1, 1)
    assert done.out == snapshot("""\
few.test.yaml
  ✗ three are too many
      - finding: reason TooManyReplicas, fix maxReplicas: 2
  ✗ one is enough
      + finding: reason TooManyReplicas, path #/spec/scaling/maxReplicas: 3 replicas are too many (policy `few-replicas`).
2 cases, 2 failed
""")
    assert json.loads(document.out)["failed"] == 2
    assert "policies" not in cli.fake.calls[0].body


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("kind: PolicyTest", "kind: Policy"), "few.test.yaml:1 is no test of policies"),
        (("      expect:", "      expects:"), "few.test.yaml:9 has no field `expects`"),
        (("  environment: sandbox\n", ""), "few.test.yaml:6 has no environment"),
        (("{findings:", "{finding:"), "few.test.yaml:9 has no field `finding`"),
    ],
)
def test_a_test_that_is_none_says_where(cli: Any, change: tuple[str, str], says: str) -> None:
    file = written(cli, "few.test.yaml", SUITE.replace(*change))

    done = cli("policies", "test", file)

    assert done.code == 1
    assert done.err.startswith(f"error: {says}")
    assert "\nfix: " in done.err


def test_a_default_is_set_as_it_comes(cli: Any) -> None:
    default = {"name": "few-replicas", "mode": "enforce", "description": "", "document": DOCUMENT}
    cli.fake.answer("GET", "/api/v1/policy-defaults/few-replicas", Answer(body=default))
    cli.fake.answer("POST", "/api/v1/policies", Answer(200, POLICY))

    assert cli("policies", "reset", "few-replicas").code == 0
    assert cli.fake.calls[-1].body == DOCUMENT


def test_history_is_a_table(cli: Any) -> None:
    versions = [
        {"number": 2, "change": "updated", "mode": "warn", "by": "usr_1"},
        {"number": 1, "change": "created", "mode": "enforce", "by": "usr_1"},
    ]
    more = {"at": "2026-01-05T10:00:00Z", "document": DOCUMENT}
    answer = listed(*({**one, **more} for one in versions))
    cli.fake.answer("GET", "/api/v1/policies/few-replicas/versions", answer)

    assert cli("policies", "history", "few-replicas").out == snapshot("""\
version  change   mode     when        by
      2  updated  warn     2026-01-05  usr_1
      1  created  enforce  2026-01-05  usr_1
""")


def test_warnings_of_a_dry_run_are_written_with_their_lines(cli: Any) -> None:
    file = Path(
        written(
            cli, "towpath.yaml", "metadata:\n  name: a\nspec:\n  scaling:\n    maxReplicas: 3\n"
        )
    )
    answer = {
        "dry_run": True, "name": "a", "environment": "sandbox", "project": "a/b",
        "message": "models:/a/1 on onnx", "warnings": [RAISED],
    }  # fmt: skip
    cli.fake.answer("POST", "/api/v1/deployments", Answer(body=answer))

    done = cli("deploy", str(file), "--dry-run")

    assert (done.code, done.err) == snapshot(
        (
            0,
            """\
a → sandbox
  ✓ Checked       models:/a/1 on onnx                                  0.0 s
note: 1 warning

  towpath.yaml:5    scaling.maxReplicas
    3 replicas are too many (policy `few-replicas`).
    fix: At most `maxReplicas: 2`.

Nothing was changed. Next: the same without `--dry-run`
""",
        )
    )


def test_an_exemption_is_asked_for(cli: Any) -> None:
    made = {
        "id": "apr_01jd0000000000000000000000",
        "summary": "exempt care/triage's triage in staging from the policy few until "
        "2027-01-31T00:00:00Z",
    }
    cli.fake.answer("POST", "/api/v1/approvals", Answer(201, made))

    done = cli(
        *("policies", "request", "few", "triage", "--project", "care/triage"),
        *("--environment", "staging", "--until", "2027-01-31", "--reason", "a load test"),
    )

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            "exempt care/triage's triage in staging from the policy few until 2027-01-31T00:00:00Z    apr_01jd0000000000000000000000\n",
            "It waits for those who run the platform: `towpath approvals show apr_01jd0000000000000000000000`\n",
        )
    )
    assert cli.fake.calls[-1].body == snapshot(
        {
            "kind": "policy",
            "payload": {
                "policy": "few",
                "name": "triage",
                "project": "care/triage",
                "environment": "staging",
                "until": "2027-01-31T00:00:00Z",
            },
            "reason": "a load test",
        }
    )
