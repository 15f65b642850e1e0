"""What the commands of quotas print, to the letter."""

from typing import Any

from inline_snapshot import snapshot

from towpath.testing import Answer

QUOTA: dict[str, Any] = {
    "id": "quo_1",
    "revision": 1,
    "created_at": "2026-01-05T10:00:00Z",
    "updated_at": "2026-01-05T10:00:00Z",
    "team": "team_1",
    "team_name": "care",
    "environment": "production",
    "replicas": 8,
    "cpu": None,
    "memory": "64Gi",
    "gpus": {"h100-80gb": 8, "*": 2},
}
NOTHING = {"replicas": None, "cpu": None, "memory": None, "gpus": None}
STATE = {
    "quota": "quo_1",
    "team": "team_1",
    "team_name": "care",
    "environment": "production",
    "allowed": {"replicas": 8, "cpu": None, "memory": "64Gi", "gpus": {"h100-80gb": 8, "*": 2}},
    "used": {"replicas": 5, "cpu": "10", "memory": "32Gi", "gpus": {"h100-80gb": 5}},
    "free": {"replicas": 3, "cpu": None, "memory": "32Gi", "gpus": {"h100-80gb": 3, "*": 2}},
    "holders": [
        {
            "deployment": "dep_1",
            "name": "care-rag",
            "held": {"replicas": 4, "cpu": "8", "memory": "32Gi", "gpus": {"h100-80gb": 5}},
            "ending": False,
            "until": "2026-02-01T00:00:00Z",
        },
        {
            "deployment": "dep_2",
            "name": "old-triage",
            "held": {"replicas": 1, "cpu": "2", "memory": "0", "gpus": {}},
            "ending": True,
            "until": None,
        },
    ],
    "hidden": 1,
}


def listed(*items: Any) -> Answer:
    return Answer(200, {"items": [*items], "next": None})


def test_a_team_sees_what_is_free_and_who_holds_the_rest(cli: Any) -> None:
    cli.fake.answer("GET", "/api/v1/quotas/care:production/state", Answer(200, STATE))

    done = cli("quotas", "show", "care", "--environment", "production")

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            """\
care in production
what           used      at most  free
replicas          5            8     3
cpu              10  not limited
memory         32Gi         64Gi  32Gi
any other GPU     0            2     2
h100-80gb         5            8     3
  care-rag: 4 replicas, 8 CPUs, 32Gi, 5 × h100-80gb, until 2026-02-01 00:00 UTC
  old-triage: 1 replica, 2 CPUs, is ending
  and 1 that you may not see
""",
            """\

Change it: `towpath quotas set care --environment production --replicas 20`
""",
        )
    )


def test_without_an_environment_all_three_are_shown(cli: Any) -> None:
    for environment in ("sandbox", "staging", "production"):
        state = {**STATE, "environment": environment, "quota": None, "allowed": NOTHING}
        state |= {"free": NOTHING, "used": NOTHING, "holders": [], "hidden": 0}
        cli.fake.answer("GET", f"/api/v1/quotas/care:{environment}/state", Answer(200, state))

    done = cli("quotas", "show", "care")

    assert (done.code, done.out) == snapshot(
        (
            0,
            """\
care in sandbox (default)
what      used      at most  free
replicas     0  not limited
cpu          0  not limited
memory       0  not limited

care in staging (default)
what      used      at most  free
replicas     0  not limited
cpu          0  not limited
memory       0  not limited

care in production (default)
what      used      at most  free
replicas     0  not limited
cpu          0  not limited
memory       0  not limited
""",
        )
    )


def test_a_quota_is_set_and_changed_by_the_same_command(cli: Any) -> None:
    cli.fake.answer("GET", "/api/v1/quotas", listed())
    cli.fake.answer("POST", "/api/v1/quotas", Answer(201, QUOTA))
    made = cli(
        "quotas", "set", "care", "--to", "production", "--replicas", "8", "--memory", "64Gi",
        "--gpu", "h100-80gb=8", "--gpu", "*=2",
    )  # fmt: skip
    sent = cli.fake.calls[-1].body
    cli.fake.answer("GET", "/api/v1/quotas", listed(QUOTA))
    cli.fake.answer("PATCH", "/api/v1/quotas/quo_1", Answer(200, QUOTA))
    cli("quotas", "set", "care", "--to", "production", "--gpu", "a100=1", "--without", "memory")
    changed = cli.fake.calls[-1].body

    assert (made.code, made.out, made.err) == snapshot(
        (
            0,
            "care in production: 8 replicas, 64Gi, 8 × h100-80gb, 2 × any other GPU    quo_1\n",
            "What is free: `towpath quotas show care --environment production`\n",
        )
    )
    assert sent == snapshot(
        {
            "team": "care",
            "environment": "production",
            "replicas": 8,
            "memory": "64Gi",
            "gpus": {"h100-80gb": 8, "*": 2},
        }
    )
    assert changed == snapshot({"memory": None, "gpus": {"h100-80gb": 8, "*": 2, "a100": 1}})


def test_what_is_no_number_of_gpus_is_refused(cli: Any) -> None:
    wrong = cli("quotas", "set", "care", "--gpu", "h100")
    nothing = cli("quotas", "set", "care")

    assert (wrong.code, wrong.err, nothing.code, nothing.err) == snapshot(
        (
            2,
            """\
error: invalid value for '--gpu': `h100` is not a number of GPUs such as h100-80gb=8

fix: `towpath quotas set --help`
""",
            2,
            """\
error: nothing to set

fix: `towpath quotas set care --replicas 20`
""",
        )
    )


def test_a_quota_is_taken_back(cli: Any) -> None:
    cli.fake.answer("GET", "/api/v1/quotas/care:sandbox", Answer(200, QUOTA))
    cli.fake.answer("DELETE", "/api/v1/quotas/quo_1", Answer(204))

    done = cli("quotas", "unset", "care")

    assert (done.code, done.out, done.err) == snapshot(
        (0, "", "The default holds for `care` in sandbox.\n")
    )
