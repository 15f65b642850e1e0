"""What the commands of limits, budgets and blocks print, to the letter."""

import json
from typing import Any

import pytest
from inline_snapshot import snapshot

from towpath.testing import Answer

RESOURCE = {
    "revision": 1,
    "created_at": "2026-01-05T10:00:00Z",
    "updated_at": "2026-01-05T10:00:00Z",
}
LISTS: dict[str, list[dict[str, Any]]] = {
    "limits": [
        {
            **RESOURCE,
            "id": "lim_01jd0000000000000000000000",
            "label": "team care on endpoint smollm2 in sandbox",
            "set_by": "team",
            "requests_per_minute": {"limit": 600, "burst": 20},
            "concurrency": 4,
        }
    ],
    "budgets": [
        {
            **RESOURCE,
            "id": "bud_01jd0000000000000000000000",
            "label": "project care/triage",
            "set_by": "platform",
            "tokens": 1_000_000,
            "period": "day",
            "mode": "hard",
            "warn_percent": 80,
        },
        {
            **RESOURCE,
            "id": "bud_01jd0000000000000000000001",
            "label": "team care",
            "set_by": "team",
            "cost_nano": 250_000_000_000,
            "cost": "250",
            "period": "month",
            "mode": "soft",
            "warn_percent": 80,
        },
    ],
    "blocks": [
        {
            **RESOURCE,
            "id": "blk_1",
            "what": "endpoint",
            "ref": "end_1",
            "name": "smollm2 in sandbox",
            "reason": "wrong answers",
        }
    ],
}
QUOTA = {
    **RESOURCE,
    "id": "quo_01jd0000000000000000000000",
    "team_name": "care",
    "environment": "sandbox",
    "replicas": 20,
    "cpu": None,
    "memory": "64Gi",
    "gpus": {},
}
LIMIT, BUDGET, BLOCK = LISTS["limits"][0], LISTS["budgets"][0], LISTS["blocks"][0]
STATE = {
    "limit": LIMIT["id"],
    "label": LIMIT["label"],
    "in_flight": 2,
    "requests_left": 14,
    "tokens_left": None,
    "refused": 3,
    "reported_at": "2026-01-05T10:00:00Z",
    "gateways": [],
}
USED = {
    "budget": BUDGET["id"],
    "label": BUDGET["label"],
    "unit": "tokens",
    "amount": 1_000_000,
    "period_start": "2026-01-05T00:00:00Z",
    "resets_at": "2026-01-06T00:00:00Z",
    "used": 820_000,
    "unshipped": 1_200,
    "reserved": 3_000,
    "left": 175_800,
    "refused": 0,
    "level": "warned",
    "as_of": {"gw_1": 12},
    "gateways": [],
}


def listed(*items: Any) -> Answer:
    return Answer(body={"items": list(items), "next": None})


@pytest.mark.parametrize("noun", LISTS)
def test_every_list_is_a_table_of_80_columns_or_the_apis_own_shape(noun: str, cli: Any) -> None:
    cli.fake.answer("GET", f"/api/v1/{noun}", listed(*LISTS[noun]))

    table, document = cli(noun), cli(noun, "--json", "--limit", "5")

    assert max(map(len, table.out.splitlines())) <= 80
    assert json.loads(document.out) == {"items": LISTS[noun], "next": None}


@pytest.mark.parametrize("noun", LISTS)
def test_every_empty_list_says_what_to_do(noun: str, cli: Any) -> None:
    cli.fake.answer("GET", f"/api/v1/{noun}", listed())

    done = cli(noun)

    assert (done.code, done.out) == (0, "")
    assert "`towpath " in done.err


def test_what_is_blocked(cli: Any) -> None:
    cli.fake.answer("GET", "/api/v1/blocks", listed(BLOCK))

    assert cli("blocks").out == snapshot("""\
what      name                reason         since       id
endpoint  smollm2 in sandbox  wrong answers  2026-01-05  blk_1
""")


def test_a_limit_is_set_with_its_bursts(cli: Any) -> None:
    cli.fake.answer("POST", "/api/v1/limits", Answer(201, LIMIT))

    done = cli(
        "limits", "create", "--team", "care", "--endpoint", "smollm2",
        "--requests-per-minute", "600:20", "--tokens-per-minute", "60000", "--concurrency", "4",
    )  # fmt: skip

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            "team care on endpoint smollm2 in sandbox: 600 requests/min (burst 20), 4 at once    lim_01jd0000000000000000000000\n",
            "Where it stands: `towpath limits state lim_01jd0000000000000000000000`\n",
        )
    )
    assert cli.fake.calls[0].body == {
        "team": "care",
        "endpoint": "smollm2",
        "requests_per_minute": {"limit": 600, "burst": 20},
        "tokens_per_minute": 60_000,
        "concurrency": 4,
    }


def test_a_part_of_a_limit_is_taken_away(cli: Any) -> None:
    cli.fake.answer("PATCH", "/api/v1/limits/lim_1", Answer(200, LIMIT))

    done = cli(
        "limits", "update", "lim_1", "--requests-per-second", "9", "--without", "concurrency"
    )
    nothing = cli("limits", "update", "lim_1")

    assert cli.fake.calls[0].body == {"requests_per_second": 9, "concurrency": None}
    assert (done.code, nothing.code, nothing.err) == snapshot(
        (
            0,
            2,
            """\
error: nothing to change

fix: `towpath limits update lim_1 --requests-per-minute 600`
""",
        )
    )


def test_a_rate_that_is_none_is_refused_with_an_example(cli: Any) -> None:
    done = cli("limits", "create", "--team", "care", "--requests-per-minute", "many")

    assert (done.code, done.out, done.err) == snapshot(
        (
            2,
            "",
            """\
error: invalid value for '--requests-per-minute': `many` is not a rate such as 600 or 600:20

fix: `towpath limits create --help`
""",
        )
    )


def test_where_a_limit_stands(cli: Any) -> None:
    cli.fake.answer("GET", "/api/v1/limits/lim_1/state", Answer(body=STATE))
    cli.fake.answer(
        "GET", "/api/v1/limits/lim_2/state", Answer(body={**STATE, "reported_at": None})
    )

    used, unused = cli("limits", "state", "lim_1"), cli("limits", "state", "lim_2")

    assert (used.out, unused.out) == snapshot(
        (
            "team care on endpoint smollm2 in sandbox: 2 in flight, 14 requests left, 3 refused    2026-01-05\n",
            "team care on endpoint smollm2 in sandbox: not used since the control plane began to listen\n",
        )
    )


def test_a_budget_is_set_and_changed(cli: Any) -> None:
    cli.fake.answer("POST", "/api/v1/budgets", Answer(201, BUDGET))
    cli.fake.answer("PATCH", "/api/v1/budgets/bud_1", Answer(200, BUDGET))

    made = cli(
        "budgets", "create", "--project", "care/triage", "--tokens", "1000000",
        "--period", "day", "--mode", "hard",
    )  # fmt: skip
    cli("budgets", "update", "bud_1", "--tokens", "5", "--warn-percent", "50")
    neither = cli("budgets", "create", "--team", "care", "--period", "day")

    assert (made.code, made.out, made.err) == snapshot(
        (
            0,
            "project care/triage: 1,000,000 tokens a day, hard    bud_01jd0000000000000000000000\n",
            "What is left of it: `towpath budgets state bud_01jd0000000000000000000000`\n",
        )
    )
    assert (neither.code, neither.err) == snapshot(
        (
            2,
            """\
error: a budget is of --tokens or of --cost

fix: `towpath budgets create --team NAME --tokens 1000000 --period day`
""",
        )
    )
    assert [call.body for call in cli.fake.calls] == [
        {"project": "care/triage", "tokens": 1_000_000, "period": "day", "mode": "hard"},
        {"tokens": 5, "warn_percent": 50},
    ]


def test_what_is_left_of_a_budget(cli: Any) -> None:
    cli.fake.answer("GET", "/api/v1/budgets/bud_1/state", Answer(body=USED))
    money = {**USED, "unit": "cost", "amount": 250 * 10**9, "used": 82 * 10**9, "level": "within"}
    cli.fake.answer("GET", "/api/v1/budgets/bud_2/state", Answer(body=money))

    tokens, cost = cli("budgets", "state", "bud_1"), cli("budgets", "state", "bud_2")

    assert (tokens.out, cost.out) == snapshot(
        (
            """\
project care/triage: 820,000 of 1,000,000 tokens (82 %), warned
left 175,800, held for calls in flight 3,000, on the way into the ledger 1,200
begins anew 2026-01-06 00:00 UTC
""",
            """\
project care/triage: 82.00 of 250.00 (32 %), within
left 0.00018, held for calls in flight 0.000003, on the way into the ledger 0.0000012
begins anew 2026-01-06 00:00 UTC
""",
        )
    )


def test_quotas_are_one_page(cli: Any) -> None:
    cli.fake.answer("GET", "/api/v1/limits", listed(*LISTS["limits"]))
    cli.fake.answer("GET", "/api/v1/budgets", listed(*LISTS["budgets"]))
    cli.fake.answer("GET", "/api/v1/quotas", listed(QUOTA))

    done = cli("quotas")

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            """\
of                       at most                  id
team care on endpoint …  600 requests/min (burs…  lim_01jd0000000000000000000000

of                  amount                  mode  id
project care/tria…  1,000,000 tokens a day  hard  bud_01jd0000000000000000000000
team care           250 a month             soft  bud_01jd0000000000000000000001

team  environment  at most                     id
care  sandbox      20 replicas, 64Gi, no GPUs  quo_01jd0000000000000000000000
""",
            """\

Rates: `towpath limits`; amounts: `towpath budgets`
What a team has free: `towpath quotas show TEAM`; machines: `towpath nodes`
""",
        )
    )


def test_something_is_blocked_and_let_go(cli: Any) -> None:
    cli.fake.answer("POST", "/api/v1/blocks", Answer(201, BLOCK))
    cli.fake.answer("GET", "/api/v1/blocks", listed(BLOCK))
    cli.fake.answer("DELETE", "/api/v1/blocks/blk_1", Answer(204))

    blocked = cli("block", "endpoint", "smollm2", "--reason", "wrong answers")
    freed = cli("unblock", "endpoint", "smollm2")

    assert (blocked.err, freed.err) == snapshot(
        (
            """\
Blocked endpoint `smollm2 in sandbox`.
To let it go: `towpath unblock endpoint smollm2`
""",
            "Let go endpoint `smollm2`.\n",
        )
    )
    assert cli.fake.calls[0].body == {"endpoint": "smollm2", "reason": "wrong answers"}
    assert cli.fake.calls[1].query == {"endpoint": "smollm2"}


def test_what_is_not_blocked_cannot_be_let_go(cli: Any) -> None:
    cli.fake.answer("GET", "/api/v1/blocks", listed())

    done = cli("unblock", "model", "big")

    assert (done.code, done.out, done.err) == snapshot(
        (
            1,
            "",
            """\
error: the model `big` is not blocked

fix: what is: `towpath blocks`
""",
        )
    )


def test_a_teams_weight_and_a_keys_priority_are_said(cli: Any) -> None:
    team = {**RESOURCE, "id": "team_1", "name": "care", "weight": 3}
    key = {**RESOURCE, "id": "key_1", "name": "nightly", "environment": "sandbox"}
    cli.fake.answer("PATCH", "/api/v1/teams/care", Answer(200, team))
    cli.fake.answer("POST", "/api/v1/keys", Answer(201, {**key, "key": "tp_sandbox_x"}))

    cli("teams", "weigh", "care", "3")
    cli("keys", "create", "--project", "demo/q", "--name", "nightly", "--priority", "batch")

    assert cli.fake.calls[0].body == {"weight": 3}
    assert cli.fake.calls[1].body["priority"] == "batch"
