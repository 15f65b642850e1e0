"""Spans reach a receiver of OpenTelemetry's that is not ours, as the real program sends them."""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gateway_program
import httpx2
import ports
from fake_upstream import FakeUpstream
from oteltap import OtelTapHttpProtobufReceiver, OtelTapHttpProtobufReceiverSettings

KEY = "tp_sandbox_traced"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
CHAT = {"model": "m", "messages": [{"role": "user", "content": "one two three"}]}


def table(base_url: str) -> dict[str, Any]:
    """One key that may call one endpoint, whose first target fails."""

    def target(name: str, model: str) -> dict[str, Any]:
        replica = {"id": f"rep_{name}", "address": base_url}
        value = {
            "name": name,
            "kind": "static",
            "dialect": "openai",
            "upstream_model": model,
            "replicas": [replica],
            "operations": ["chat"],
        }
        return {"kind": "target", "id": f"tgt_{name}", "value": value}

    def entity(kind: str, id_: str, **value: Any) -> dict[str, Any]:
        return {"kind": kind, "id": id_, "value": value}

    digest = hashlib.sha256(KEY.encode()).hexdigest()
    entities = [
        entity("team", "team_1", name="care"),
        entity("project", "prj_1", name="triage", team="team_1"),
        entity(
            "platform", "platform", name="towpath", currency="EUR", egress_allow=["127.0.0.0/8"]
        ),
        entity(
            "key",
            "key_1",
            hash=digest,
            project="prj_1",
            environment="sandbox",
            scopes=["invoke"],
        ),
        target("sick", "fake-503"),
        target("well", "m"),
        entity(
            "endpoint",
            "end_m",
            name="m",
            environment="sandbox",
            project="prj_1",
            visibility="organization",
            callers=["sandbox"],
            targets=[{"target": "tgt_sick", "weight": 1}],
            fallback=[{"target": "tgt_well"}],
        ),
    ]
    return {"version": 1, "revision": 1, "advisory": [], "entities": entities}


@contextmanager
def gateway(folder: Path, base_url: str, receiver: str) -> Iterator[str]:
    """Run the gateway alone on a table; it ends in order with the block."""
    (folder / "table.json").write_text(json.dumps(table(base_url)))
    command = [
        gateway_program.find(),
        *("--data", str(folder / "data"), "--listen", "127.0.0.1:0"),
        *("--table", str(folder / "table.json")),
    ]
    environment = {
        "TOWPATH_SECRET_KEY": "a-secret-of-at-least-32-characters",
        "TOWPATH_GATEWAY_OTLP_ENDPOINT": receiver,
        "TOWPATH_GATEWAY_OTLP_INTERVAL_MS": "10",
    }
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            started = json.loads(process.stderr.readline())
            yield f"http://{started['address']}"
        finally:
            process.terminate()


def attributes(span: Any) -> dict[str, Any]:
    """An attribute's value is in the one field that is set."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


async def test_a_receiver_sees_the_call_and_each_attempt(tmp_path: Path, upstream: FakeUpstream):
    (receiver_port,) = ports.free(1)
    settings = OtelTapHttpProtobufReceiverSettings(http_port=receiver_port)
    async with OtelTapHttpProtobufReceiver(settings) as receiver:
        spans = receiver.stream_traces()
        with gateway(tmp_path, upstream.base_url, f"http://127.0.0.1:{receiver_port}") as address:
            answer = httpx2.post(
                f"{address}/v1/chat/completions",
                json=CHAT,
                headers={
                    "authorization": f"Bearer {KEY}",
                    "traceparent": f"00-{TRACE}-{PARENT}-01",
                },
            )
            sick, well, call = [await anext(spans) for _ in range(3)]

    assert answer.status_code == 200, answer.text
    assert {span.trace_id.hex() for span in (sick, well, call)} == {TRACE}
    assert call.parent_span_id.hex() == PARENT
    assert {span.parent_span_id for span in (sick, well)} == {call.span_id}
    assert (call.name, sick.name, well.name) == ("chat m", "chat fake-503", "chat m")
    kinds = [span.SpanKind.Name(span.kind) for span in (call, sick, well)]
    assert kinds == ["SPAN_KIND_SERVER", "SPAN_KIND_CLIENT", "SPAN_KIND_CLIENT"]
    codes = [span.status.StatusCode.Name(span.status.code) for span in (call, sick, well)]
    assert codes == ["STATUS_CODE_UNSET", "STATUS_CODE_ERROR", "STATUS_CODE_UNSET"]
    said = attributes(call)
    reasons = [one.string_value for one in said["gen_ai.response.finish_reasons"].values]
    usage = answer.json()["usage"]
    assert said["towpath.request_id"] == answer.headers["x-request-id"]
    assert said["gen_ai.response.id"] == answer.json()["id"]
    assert said["gen_ai.usage.output_tokens"] == usage["completion_tokens"]
    assert said["gen_ai.request.stream"] is False
    assert reasons == ["stop"]
    assert attributes(sick)["http.response.status_code"] == 503
    assert call.start_time_unix_nano <= sick.start_time_unix_nano <= sick.end_time_unix_nano
    assert "one two three" not in str(call)
