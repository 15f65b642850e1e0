"""`towpath usage reconcile`: what an upstream counts beside what the ledger has."""

import json
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from towpath.testing import Answer

VLLM = """\
# HELP vllm:prompt_tokens_total Number of prefill tokens processed.
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="llama-70b"} 1000.0
vllm:prompt_tokens_total{engine="1",model_name="llama-70b"} 500.0
vllm:generation_tokens_total{engine="0",model_name="llama-70b"} 2.5e+02
process_start_time_seconds 1.79543520e+09
"""
LLAMA = "llamacpp:prompt_tokens_total 90\nllamacpp:tokens_predicted_total 20\n"
CSV = """\
start_time_iso,model,input_tokens,output_tokens,input_cached_tokens,num_model_requests
2026-11-01,gpt-4o-2024-08-06,1000,200,100,3
2026-11-02,gpt-4o-2024-08-06,"1,000",100,0,2
"""


def record(**fields: Any) -> dict[str, Any]:
    whole = {
        "id": "req_1",
        "model": "llama-70b",
        "endpoint": "chat",
        "target": "gpu",
        "input_tokens": 1_500,
        "output_tokens": 240,
        "cached_input_tokens": None,
        "counted_by": "upstream",
        "cache": "none",
        "cost_nano": 100,
        "price_id": "prc_1",
        "count": 1,
    }
    return {**whole, **fields}


def answers(cli: Any, *records: dict[str, Any]) -> None:
    cli.fake.answer("GET", "/api/v1/requests", Answer(body={"items": list(records), "next": None}))
    price = {"id": "prc_1", "input_per_million": "1", "output_per_million": "2"}
    cli.fake.answer("GET", "/api/v1/prices/prc_1", Answer(body=price))


def metrics(cli: Any, text: str) -> str:
    """Serve counters beside the fake platform; return their address."""
    cli.fake.answer("GET", "/metrics", Answer(body=text))
    return f"{cli.fake.address}/metrics"


def test_counters_are_compared_since_the_server_started(cli: Any) -> None:
    answers(cli, record())

    done = cli("usage", "reconcile", "--metrics", metrics(cli, VLLM), "--tolerance", "5")

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            """\
model         in  upstream  out  upstream  difference     money
llama-70b  1,500     1,500  240       250      +0 +10  +0.00002
""",
            """\

All within 5 %.
""",
        )
    )
    asked = next(call for call in cli.fake.calls if call.path == "/api/v1/requests")
    assert asked.query["since"] == "2026-11-23T12:00:00+00:00"


def test_a_difference_beyond_the_tolerance_fails(cli: Any) -> None:
    answers(cli, record(input_tokens=1_000), record(id="req_2", output_tokens=None, count=1))

    done = cli("usage", "reconcile", "--metrics", metrics(cli, VLLM))

    assert done.code == 1
    assert "Beyond the tolerance: llama-70b" in done.err


def test_what_no_upstream_counted_is_left_out(cli: Any) -> None:
    """A hit of the gateway's own cache reached no upstream, and other targets are other servers'."""
    answers(
        cli,
        record(output_tokens=250),
        record(id="req_2", cache="hit"),
        record(id="req_3", target="other"),
    )

    done = cli("usage", "reconcile", "--metrics", metrics(cli, VLLM), "--target", "gpu", "--json")

    (line,) = json.loads(done.out)["items"]
    assert (done.code, line["requests"]) == (0, 1)
    assert line["difference"] == {"input_tokens": 0, "output_tokens": 0}


def test_llama_cpp_counts_no_prompt_that_its_cache_had(cli: Any) -> None:
    answers(cli, record(model=None, input_tokens=100, cached_input_tokens=10, output_tokens=20))

    since = ("--since", "2026-11-23T00:00:00Z")
    done = cli("usage", "reconcile", "--metrics", metrics(cli, LLAMA), *since)

    assert done.code == 0


def test_a_server_that_does_not_say_its_start_needs_one(cli: Any) -> None:
    done = cli("usage", "reconcile", "--metrics", metrics(cli, LLAMA))

    assert (done.code, done.err) == snapshot(
        (
            2,
            """\
error: the server does not say since when it counts

fix: give --since with its start, or --save counters first and then --since-file
""",
        )
    )


def test_a_period_begins_where_counters_were_saved(cli: Any, tmp_path: Path) -> None:
    answers(cli, record(input_tokens=0, output_tokens=0))
    file = str(tmp_path / "before.json")
    url = metrics(cli, VLLM)

    saved = cli("usage", "reconcile", "--metrics", url, "--save", file)
    done = cli("usage", "reconcile", "--metrics", url, "--since-file", file)
    restarted = metrics(cli, VLLM.replace(" 1000.0", " 1.0"))
    anew = cli("usage", "reconcile", "--metrics", restarted, "--since-file", file)

    assert (saved.code, done.code, anew.code) == (0, 0, 2)
    assert "started anew" in anew.err


@pytest.mark.parametrize("form", ["csv", "json"])
def test_an_export_is_compared_with_its_columns_and_names(
    cli: Any, tmp_path: Path, form: str
) -> None:
    answers(cli, record(model="gpt-4o", input_tokens=2_000, output_tokens=300))
    export, columns = tmp_path / f"usage.{form}", tmp_path / "columns.yaml"
    row = {"model": "gpt-4o-2024-08-06", "input_tokens": 2_000, "output_tokens": 300}
    pages = json.dumps({"data": [{"object": "bucket", "results": [row]}]})
    export.write_text(CSV if form == "csv" else pages)
    columns.write_text("models: {gpt-4o-2024-08-06: gpt-4o}\n")

    done = cli(
        "usage", "reconcile", "--export", str(export), "--columns", str(columns),
        "--since", "2026-11-01T00:00:00Z", "--json",
    )  # fmt: skip

    (line,) = json.loads(done.out)["items"]
    assert done.code == 0
    assert line["model"] == "gpt-4o"
    assert line["upstream"] == {"input_tokens": 2_000, "output_tokens": 300}


def test_a_column_that_is_missing_is_named(cli: Any, tmp_path: Path) -> None:
    export = tmp_path / "usage.csv"
    export.write_text("sku,units\na,1\n")

    done = cli("usage", "reconcile", "--export", str(export), "--since", "2026-11-01T00:00:00Z")

    assert (done.code, done.err) == snapshot(
        (
            2,
            """\
error: the export has no column for model

fix: name it in --columns FILE: `model: COLUMN`; it has sku, units
""",
        )
    )
