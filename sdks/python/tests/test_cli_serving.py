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
