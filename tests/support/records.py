"""Usage records as a gateway sends them."""

from typing import Any

from towpath_server.core import ids


def record(sequence: int = 1, **fields: Any) -> dict[str, Any]:
    """Return a whole record; `fields` replace or add, and None leaves one out."""
    whole = {
        "schema": 1,
        "id": ids.new("req"),
        "gateway_id": "gw_1",
        "sequence": sequence,
        "time_ms": 1_795_000_000_000 + sequence,
        "team": "team_1",
        "project": "prj_1",
        "key_id": "key_1",
        "environment": "sandbox",
        "operation": "chat",
        "dialect": "openai",
        "stream": False,
        "endpoint": "smollm2",
        "target_kind": "deployment",
        "target": "smollm2",
        "model": "smollm2",
        "model_version": 1,
        "status": 200,
        "attempts": 1,
        "input_tokens": 38,
        "output_tokens": 8,
        "counted_by": "upstream",
        "cost_nano": 1400,
        "currency": "EUR",
        "latency_ms": 312,
        "ended": "complete",
        "count": 1,
    }
    whole |= fields
    return {name: value for name, value in whole.items() if value is not None}


def batch(*records: dict[str, Any], gateway_id: str = "gw_1") -> dict[str, Any]:
    """Return a batch of records."""
    return {"gateway_id": gateway_id, "records": list(records)}
