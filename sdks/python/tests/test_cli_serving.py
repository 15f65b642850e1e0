"""What the commands around endpoints and providers send and print, to the letter."""

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
ENDPOINT = {
    **RESOURCE,
    "id": "end_1",
    "name": "auto",
    "environment": "sandbox",
    "kind": "tiered",
    "access": {"visibility": "team", "allow": [], "callers": ["sandbox"]},
    "status": {"ready": True},
    "timeouts": {"connect": "2s", "first_byte": "5m"},
    "balance": {"targets": "peak_ewma", "replicas": None, "sticky": "key"},
    "cache": {"ttl": "10m"},
    "stream_recovery": "continue",
    "tier": {
        "levels": [{"name": "cheap", "target": "small"}, {"name": "strong", "target": "v/large"}],
        "rules": [{"name": "long", "when": "true", "level": "strong"}],
    },
    "targets": [
        {"id": "tgt_1", "kind": "static", "name": "small", "operations": ["chat"], "ready": True}
    ],
    "fallback": [
        {"id": "end_2", "kind": "endpoint", "name": "spare", "operations": [], "ready": False}
    ],
}
VENDOR = {
    "name": "anthropic",
    "title": "Anthropic",
    "docs": "https://docs.anthropic.com/en/api/overview",
    "base_url": "https://api.anthropic.com",
    "dialect": "anthropic",
    "spoken": False,
    "credential": "required",
}
PRICE = {
    "id": "prc_1",
    "from": "2026-01-05T10:00:00Z",
    "input_per_million": "0.15",
    "output_per_million": "0.6",
    "model": "large",
    "retired_at": None,
}


def printed(done: Any) -> tuple[int, str, str]:
    return done.code, done.out, done.err


def test_an_endpoint_shows_how_it_serves(cli: Any) -> None:
    cli.fake.answer("GET", "/api/v1/endpoints/auto", Answer(body=ENDPOINT))

    assert printed(cli("endpoints", "show", "auto")) == snapshot(
        (
            0,
            """\
auto in sandbox: answers    end_1
visible to team, callers sandbox
timeouts connect 2s, first_byte 5m
balance targets peak_ewma, sticky key
cache 10m
broken streams continue
tiers cheap (small) → strong (v/large), 1 rules
target          operations  ready  note
static small    chat        yes
endpoint spare              no
""",
            "",
        )
    )


def test_options_are_the_apis_fields(cli: Any) -> None:
    cli.fake.answer("PATCH", "/api/v1/endpoints/auto", Answer(body=ENDPOINT))

    done = cli(
        "endpoints", "update", "auto", "--environment", "sandbox",
        "--timeout", "first_byte=30s", "--timeout", "total=1m30s",
        "--fallback", "spare", "--fallback", "provider:v/a/b", "--fallback", "deployment:d",
        "--balance", "peak_ewma", "--sticky", "key", "--attempts", "2", "--retry-percent", "5",
        "--stream-recovery", "continue", "--cache", "10m",
    )  # fmt: skip

    assert printed(done) == snapshot(
        (
            0,
            """\
id               end_1
name             auto
environment      sandbox
revision         1
fallback         id: end_2, kind: endpoint, name: spare, operations: –, ready: no
timeouts         connect: 2s, first_byte: 5m
balance          targets: peak_ewma, replicas: –, sticky: key
stream_recovery  continue
cache            ttl: 10m
""",
            "",
        )
    )
    assert cli.fake.calls[0].body == snapshot(
        {
            "fallback": [
                {"endpoint": "spare"},
                {"provider": "v", "model": "a/b"},
                {"deployment": "d"},
            ],
            "timeouts": {"first_byte": "30s", "total": "1m30s"},
            "balance": {"targets": "peak_ewma", "sticky": "key"},
            "retries": {"attempts": 2, "budget_percent": 5},
            "stream_recovery": "continue",
            "cache": {"ttl": "10m"},
        }
    )


def test_a_cache_is_taken_away(cli: Any) -> None:
    cli.fake.answer("PATCH", "/api/v1/endpoints/auto", Answer(body=ENDPOINT))

    cli("endpoints", "update", "auto", "--cache", "none")

    assert cli.fake.calls[0].body == {"cache": None}


def test_a_file_has_all_that_the_api_knows(cli: Any, tmp_path: Path) -> None:
    cli.fake.answer("POST", "/api/v1/endpoints", Answer(201, ENDPOINT))
    file = tmp_path / "auto.yaml"
    file.write_text(
        "targets: [{provider: v, model: small}, {provider: v, model: large, weight: 0}]\n"
        "access: {visibility: team}\n"
        "timeouts: {total: 1m}\n"
        "tier: {levels: [{name: cheap, target: v/small}, {name: strong, target: v/large}]}\n"
    )

    done = cli("endpoints", "create", "auto", "--file", str(file), "--timeout", "total=2m")

    assert done.code == 0
    assert cli.fake.calls[0].body == snapshot(
        {
            "targets": [
                {"provider": "v", "model": "small"},
                {"provider": "v", "model": "large", "weight": 0},
            ],
            "access": {"visibility": "team"},
            "timeouts": {"total": "2m"},
            "tier": {
                "levels": [
                    {"name": "cheap", "target": "v/small"},
                    {"name": "strong", "target": "v/large"},
                ]
            },
            "name": "auto",
            "environment": "sandbox",
        }
    )


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--timeout", "30s"),
        ("--fallback", "provider:vendor"),
        ("--file", "absent.yaml"),
    ],
    ids=["nothing", "timeout", "fallback", "file"],
)
def test_what_cannot_be_read_is_a_misuse(cli: Any, words: tuple[str, ...]) -> None:
    done = cli("endpoints", "update", "auto", *words)

    assert (done.code, done.out) == (2, "")
    assert "fix: " in done.err
    assert cli.fake.calls == []


def test_vendors_are_listed(cli: Any) -> None:
    cli.fake.answer("GET", "/api/v1/vendors", Answer(body={"items": [VENDOR], "next": None}))

    assert printed(cli("providers", "vendors")) == snapshot(
        (
            0,
            """\
vendor     dialect              at                 credential  documentation
anthropic  anthropic (not yet)  https://api.anth…  required    https://docs.ant…
""",
            """\

Next: `towpath providers create NAME --vendor VENDOR --credential-stdin`
""",
        )
    )


def test_a_provider_is_made_from_a_vendor(cli: Any) -> None:
    made = {**RESOURCE, "id": "prv_1", "name": "claude", "vendor": "anthropic"}
    cli.fake.answer("POST", "/api/v1/providers", Answer(201, made))

    cli("providers", "create", "claude", "--vendor", "anthropic", "--credential-stdin", stdin="s\n")

    assert cli.fake.calls[0].body == {"name": "claude", "vendor": "anthropic", "credential": "s"}


def test_a_price_is_set(cli: Any) -> None:
    cli.fake.answer("POST", "/api/v1/providers/v/prices", Answer(201, PRICE))

    done = cli(
        "providers", "price", "v", "large", "--input", "0.15", "--output", "0.6",
        "--gpu-second", "0.001", "--from", "2026-01-05T10:00:00Z",
    )  # fmt: skip

    assert printed(done) == snapshot(
        (
            0,
            """\
id                  prc_1
from                2026-01-05T10:00:00Z
input_per_million   0.15
output_per_million  0.6
model               large
""",
            """\

All: `towpath providers prices v`
""",
        )
    )
    assert cli.fake.calls[0].body == snapshot(
        {
            "model": "large",
            "from": "2026-01-05T10:00:00Z",
            "input_per_million": "0.15",
            "output_per_million": "0.6",
            "gpu_second": "0.001",
        }
    )


def test_a_price_needs_an_amount(cli: Any) -> None:
    assert printed(cli("providers", "price", "v", "large")) == snapshot(
        (
            2,
            "",
            """\
error: a price needs an amount

fix: `towpath providers price v large --input 0.15 --output 0.60`
""",
        )
    )


def test_prices_are_listed_with_their_history(cli: Any) -> None:
    former = {**PRICE, "id": "prc_0", "from": None, "retired_at": "2026-01-05T10:00:00Z"}
    cli.fake.answer("GET", "/api/v1/providers/v", Answer(body={**RESOURCE, "id": "prv_1"}))
    cli.fake.answer("GET", "/api/v1/prices", Answer(body={"items": [former, PRICE], "next": None}))

    done = cli("providers", "prices", "v", "--model", "large")

    assert printed(done) == snapshot(
        (
            0,
            """\
model  from              costs                   counts   id
large  always            input 0.15, output 0.6  no more  prc_0
large  2026-01-05 10:00  input 0.15, output 0.6  yes      prc_1
""",
            """\

A record names its price: `towpath requests show ID`
""",
        )
    )
    assert cli.fake.calls[1].query == {"owner": "prv_1", "model": "large"}


HEALTH = {
    "id": "end_1",
    "name": "auto",
    "environment": "sandbox",
    "state": "degraded",
    "gateways": [{"id": "gw_1", "at": "2026-01-05T10:00:00Z", "age_ms": 1_200}],
    "targets": [
        {
            "id": "tgt_1",
            "kind": "static",
            "name": "small",
            "fallback": False,
            "state": "ejected",
            "note": None,
            "in_flight": 0,
            "queued": 2,
            "ejected_until": None,
            "replicas": [{"id": "tgt_1", "last_error": "connection refused"}],
        },
        {
            "id": "end_2",
            "kind": "endpoint",
            "name": "spare",
            "fallback": True,
            "state": "ok",
            "note": None,
            "in_flight": 0,
            "queued": 0,
            "ejected_until": None,
            "replicas": None,
        },
    ],
}


def test_an_endpoints_health_says_who_is_ejected_and_why(cli: Any) -> None:
    cli.fake.answer("GET", "/api/v1/endpoints/auto/health", Answer(body=HEALTH))

    assert printed(cli("endpoints", "health", "auto")) == snapshot(
        (
            0,
            """\
auto in sandbox: degraded    end_1
target                   state    in flight  queued  because
static small             ejected          0       2  connection refused
fallback endpoint spare  ok               0       0
""",
            """\

As 1 gateways said, the oldest word 1.2 s old.
""",
        )
    )


def test_an_endpoint_that_is_down_fails_the_command(cli: Any) -> None:
    body = {**HEALTH, "state": "down", "gateways": []}
    cli.fake.answer("GET", "/api/v1/endpoints/auto/health", Answer(body=body))

    done = cli("endpoints", "health", "auto", "--json")

    assert done.code == 1


def test_the_platforms_health_names_ejected_targets(cli: Any) -> None:
    sick = {**ENDPOINT, "status": {"ready": True, "ejected": ["small"]}}
    cli.fake.answer("GET", "/readyz", Answer(body={}))
    cli.fake.answer("GET", "/api/v1/deployments", Answer(body={"items": [], "next": None}))
    cli.fake.answer("GET", "/api/v1/endpoints", Answer(body={"items": [sick], "next": None}))

    done = cli("health")

    assert (done.code, done.out.split("\n", 1)[1], done.err) == snapshot(
        (
            0,
            """\

endpoint  environment  ejected
auto      sandbox      small
""",
            """\

Why: `towpath endpoints health auto`

All in order. Next: `towpath models`
""",
        )
    )


def test_a_request_shows_its_decision_and_what_it_saved(cli: Any) -> None:
    record = {
        "id": "req_1",
        "time": "2026-11-22T18:04:11.213Z",
        "operation": "chat",
        "endpoint": "auto",
        "target_kind": "provider",
        "provider": "v",
        "model": "small",
        "decision": "tier cheap: short question",
        "saved_nano": 1_200_000,
        "attempts": 2,
        "input_tokens": 100,
        "cached_input_tokens": 64,
        "output_tokens": 8,
        "reasoning_tokens": 4,
        "counted_by": "upstream",
        "cost_nano": 300_000,
        "currency": "EUR",
        "queue_ms": 40,
        "cold_start_ms": 900,
        "latency_ms": 1_312,
        "ended": "complete",
        "count": 1,
    }
    cli.fake.answer("GET", "/api/v1/requests/req_1", Answer(body=record))

    assert printed(cli("requests", "show", "req_1")) == snapshot(
        (
            0,
            """\
time      2026-11-22 18:04:11.213   team      – (–)
endpoint  auto                      target    provider v, small
tokens    100 in (64 cached), 8 out (4 thought) (upstream) cost      0.0003 €
decision  tier cheap: short question, saved 0.0012 €
took      1.3 s, waited 40 ms for room, waking the model 900 ms
ended     complete, 2 attempts
""",
            "",
        )
    )


def test_usage_shows_caches_and_savings_where_there_are_some(cli: Any) -> None:
    line = {
        "endpoint": "auto",
        "currency": "EUR",
        "requests": 4,
        "errors": 0,
        "refused": 0,
        "input_tokens": 400,
        "cached_input_tokens": 100,
        "cached_share": 0.25,
        "output_tokens": 40,
        "cache_hits": 1,
        "cost_nano": 2_000_000,
        "saved_nano": 4_000_000,
    }
    report = {"group_by": ["endpoint"], "items": [line]}
    cli.fake.answer("GET", "/api/v1/usage", Answer(body=report))

    assert printed(cli("usage", "--since", "2026-11-01T00:00:00Z")) == snapshot(
        (
            0,
            """\
endpoint  requests  failed   in  cached  out  hits     cost    saved
auto             4       0  400    25 %   40     1  0.002 €  0.004 €
""",
            """\

Other sums: `towpath usage --by team,day`; the rows: `towpath requests`
""",
        )
    )
