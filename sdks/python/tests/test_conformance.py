"""Every conformance vector, on the blocking and on the asyncio client."""

import json
from pathlib import Path
from typing import Any

import pytest

import towpath
from towpath import AsyncTowpath, Retry, Towpath
from towpath.testing import Answer, Call, FakeTowpath
from towpath.transport import HTTPTransport
from towpath.transport_async import AsyncHTTPTransport

FOLDER = Path(__file__).resolve().parents[2] / "conformance"
NOW = 1_795_392_000.0  # 2026-11-23T00:00:00Z


def vectors() -> list[Any]:
    return [
        pytest.param(vector, id=f"{path.stem}: {vector['name']}")
        for path in sorted(FOLDER.glob("*.json"))
        for vector in json.loads(path.read_text(encoding="utf-8"))
    ]


class Timeless(HTTPTransport):
    """Sleeps in no time, and remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class AsyncTimeless(AsyncHTTPTransport):
    """Sleeps in no time, and remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def options(vector: dict[str, Any], fake: FakeTowpath) -> dict[str, Any]:
    given = vector.get("options", {})
    return {
        "address": fake.address,
        "api_key": "tp_sandbox_conformance",
        "headers": given.get("headers"),
        "retry": Retry(given.get("max_retries", 2), chance=lambda: 0.0, now=lambda: NOW),
    }


def script(vector: dict[str, Any], fake: FakeTowpath) -> None:
    routes: dict[tuple[str, str], list[Answer]] = {}
    for exchange in vector["exchanges"]:
        asked, said = exchange["request"], dict(exchange["response"])
        said["body"] = said.pop("text", said.get("body"))
        routes.setdefault((asked["method"], asked["path"]), []).append(Answer(**said))
    for (method, path), answers in routes.items():
        fake.answer(method, path, *answers)


def at(value: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(value, list | tuple):
            value = value[int(part)]
        elif isinstance(value, dict):
            value = value[part]
        else:
            value = getattr(value, part)
    return value.isoformat() if hasattr(value, "isoformat") else value


def check_calls(vector: dict[str, Any], calls: list[Call]) -> None:
    assert len(calls) == len(vector["exchanges"])
    for call, exchange in zip(calls, vector["exchanges"], strict=True):
        asked = exchange["request"]
        assert (call.method, call.path) == (asked["method"], asked["path"])
        assert call.query == {**call.query, **asked.get("query", {})}
        assert call.headers == {**call.headers, **asked.get("headers", {})}
        assert not set(asked.get("absent_headers", ())) & set(call.headers)
        if "body" in asked:
            assert call.body == {**call.body, **asked["body"]}
        if "exact_body" in asked:
            assert call.body == asked["exact_body"]
    written = [call for call in calls if call.path.startswith("/api/") and call.method != "GET"]
    assert len({call.headers["idempotency-key"] for call in written}) <= 1


def check(vector: dict[str, Any], fake: FakeTowpath, slept: list[float]) -> None:
    check_calls(vector, fake.calls)
    if "slept_s" in vector:
        assert slept == vector["slept_s"]


def check_error(vector: dict[str, Any], error: towpath.TowpathError) -> None:
    expected = dict(vector["error"])
    assert type(error).__name__ == expected.pop("class")
    assert {path: at(error, path) for path in expected} == expected


def check_result(vector: dict[str, Any], result: Any, items: list[Any]) -> None:
    expected = vector.get("result", {})
    assert {path: at(result, path) for path in expected} == expected
    if "items" in vector:
        each = vector["items"]["each"]
        assert [at(item, each) for item in items] == vector["items"]["are"]


@pytest.mark.parametrize("vector", vectors())
def test_the_blocking_client_conforms(vector: dict[str, Any], fake: FakeTowpath) -> None:
    script(vector, fake)
    transport = Timeless()
    call = vector["call"]
    with Towpath(**options(vector, fake), transport=transport) as client:
        method = at(client, call["method"])
        try:
            result = method(**call["arguments"])
            items = list(result) if "consume" in call else []
        except towpath.TowpathError as error:
            check_error(vector, error)
        else:
            assert "error" not in vector
            check_result(vector, result, items)

    check(vector, fake, transport.slept)


@pytest.mark.parametrize("vector", vectors())
async def test_the_asyncio_client_conforms(vector: dict[str, Any], fake: FakeTowpath) -> None:
    script(vector, fake)
    transport = AsyncTimeless()
    call = vector["call"]
    async with AsyncTowpath(**options(vector, fake), transport=transport) as client:
        method = at(client, call["method"])
        try:
            result = method(**call["arguments"])
            if call.get("consume") != "pages":
                result = await result
            items = [item async for item in result] if "consume" in call else []
        except towpath.TowpathError as error:
            check_error(vector, error)
        else:
            assert "error" not in vector
            check_result(vector, result, items)

    check(vector, fake, transport.slept)
