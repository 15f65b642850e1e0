"""Batches, from their making to their files."""

import asyncio
import json

import pytest
from batches import ENDED, GatewayAway, World, line, refusal

from towpath_server.domains.batches.reconcile import calls
from towpath_server.domains.batches.service import moves


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that are not the rule under test end at once."""
    for name in ("_AWAY_S", "_NO_ROOM_S", "_FAULT_PAUSE_S"):
        monkeypatch.setattr(calls, name, 0.0)


async def test_a_batch_answers_every_line_once_as_the_key_that_made_it(world: World) -> None:
    made = await world.batch(metadata={"job": "nightly"})
    done = await world.run(made)

    output = await world.lines_of(done["output_file_id"])
    assert done["status"] == "completed"
    assert done["request_counts"] == {"total": 3, "completed": 3, "failed": 0}
    assert (done["error_file_id"], done["errors"], done["metadata"]) == (
        None,
        None,
        {"job": "nightly"},
    )
    assert [one["custom_id"] for one in output] == ["a", "b", "c"]
    assert output[0]["response"]["status_code"] == 200
    assert output[0]["response"]["request_id"] == "req_1"
    assert output[0]["response"]["body"]["choices"][0]["message"]["content"] == "A"
    assert all(one["error"] is None and one["id"].startswith("batch_req_") for one in output)
    assert world.gateway.as_keys == {world.key_id}
    assert world.gateway.paths == {"/v1/chat/completions"}
    assert world.gateway.headers[0] == {
        "x-towpath-priority": "batch",
        "x-towpath-labels": f"batch={made}",
    }
    for time in ("created_at", "in_progress_at", "finalizing_at", "completed_at", "expires_at"):
        assert isinstance(done[time], int)


async def test_no_credential_outlives_its_batch_nor_is_stored(world: World) -> None:
    seen = []

    async def look(_text: str) -> None:
        async with world.db.read() as tx:
            seen.extend(await calls.standins.routed(tx))

    world.gateway.before = look
    await world.run(await world.batch())

    async with world.db.read() as tx:
        assert await calls.standins.routed(tx) == []
    assert {(one.key_id, one.sources) for one in seen} == {(world.key_id, ("127.0.0.0/8",))}


async def test_lines_that_fail_stand_in_a_file_of_their_own(world: World) -> None:
    world.gateway.cues = {
        "b": [refusal(404, "model_not_found")],
        "c": [refusal(502, "upstream_error")] * 3,
    }
    done = await world.run(await world.batch())

    errors = await world.lines_of(done["error_file_id"])
    assert done["status"] == "completed"
    assert done["request_counts"] == {"total": 3, "completed": 1, "failed": 2}
    assert [(one["custom_id"], one["response"]["status_code"]) for one in errors] == [
        ("b", 404),
        ("c", 502),
    ]
    assert errors[0]["response"]["body"]["error"]["code"] == "model_not_found"


async def test_what_wants_room_or_a_gateway_is_waited_for(world: World) -> None:
    world.gateway.cues = {
        "a": [refusal(429, "rate_limit_exceeded", retry_after="0"), GatewayAway],
        "b": [refusal(503, "model_waking"), refusal(502, "upstream_error")],
    }
    done = await world.run(await world.batch())

    assert done["request_counts"] == {"total": 3, "completed": 3, "failed": 0}
    assert world.gateway.calls == {"a": 3, "b": 3, "c": 1}


@pytest.mark.parametrize("url", ["/v1/responses", "/v1/messages"])
async def test_lines_call_what_the_batch_names_and_wait_in_every_dialects_words(
    world: World, url: str
) -> None:
    """Anthropic's routes say 529 where others say 503."""
    body = {"model": "m", "max_tokens": 8, "messages": [{"role": "user", "content": "a"}]}
    if url == "/v1/responses":
        body = {"model": "m", "input": "a"}
    world.gateway.cues = {"a": [refusal(529, "overloaded")]}
    done = await world.run(await world.batch(line("one", url=url, body=body), endpoint=url))

    assert (done["status"], done["endpoint"]) == ("completed", url)
    assert done["request_counts"] == {"total": 1, "completed": 1, "failed": 0}
    assert world.gateway.paths == {url}
    assert world.gateway.calls == {"a": 2}


async def test_a_credential_that_no_gateway_knows_any_more_is_replaced(world: World) -> None:
    async def forget(text: str) -> None:
        if world.gateway.calls[text] == 1:
            async with world.db.write() as tx:
                held = [one.id for one in await calls.standins.routed(tx)]
                await calls.standins.withdraw(tx, held)

    world.gateway.before = forget
    done = await world.run(await world.batch(), concurrency=1)

    assert done["request_counts"]["completed"] == 3


async def test_a_batch_ends_with_the_key_that_made_it_and_keeps_what_was_answered(
    world: World,
) -> None:
    async def revoke(text: str) -> None:
        if text == "b":
            await world.admin.call("DELETE", f"/keys/{world.key_id}", status=204)
            async with world.db.write() as tx:
                held = [one.id for one in await calls.standins.routed(tx)]
                await calls.standins.withdraw(tx, held)

    world.gateway.before = revoke
    made = await world.batch()
    while await world.runner(concurrency=1).step(made):
        pass
    await world.key(name="another")
    done = await world.get(made)

    assert done["status"] == "failed"
    assert done["errors"]["data"][0]["code"] == "key_ended"
    output = await world.lines_of(done["output_file_id"])
    assert [one["custom_id"] for one in output] == ["a", "b"]


@pytest.mark.parametrize(
    ("wrong", "code", "number", "param"),
    [
        ("{not json", "invalid_json_line", 2, None),
        ("[]", "invalid_json_line", 2, None),
        ({"custom_id": "x"}, "missing_required_parameter", 2, "body"),
        (line("x", method="GET"), "invalid_method", 2, "method"),
        (line("x", url="/v1/embeddings"), "mismatched_url", 2, "url"),
        (line("x", body="text"), "invalid_body", 2, "body"),
        (line("x", body={"messages": []}), "missing_required_parameter", 2, "body.model"),
        (line("x", body={"model": "m", "stream": True}), "stream_not_supported", 2, "body.stream"),
        (line("a"), "duplicate_custom_id", 2, "custom_id"),
        (line(""), "invalid_custom_id", 2, "custom_id"),
        (line("x", body={"model": "m", "x": "y" * 5_000}), "line_too_long", 2, None),
    ],
)
async def test_a_wrong_line_is_named_and_nothing_is_called(
    world: World, wrong: object, code: str, number: int, param: str | None
) -> None:
    done = await world.run(await world.batch(line("a"), wrong, line("c")), line_bytes=4_096)

    assert done["status"] == "failed"
    flaw = done["errors"]["data"][0]
    assert (flaw["code"], flaw["line"], flaw["param"]) == (code, number, param)
    assert world.gateway.calls == {}
    assert done["failed_at"] is not None


async def test_an_empty_file_and_one_of_too_many_lines_fail(world: World) -> None:
    empty = await world.run(await world.batch("", "  "))
    many = await world.run(await world.batch(), lines=2)

    assert empty["errors"]["data"][0]["code"] == "empty_file"
    assert (many["errors"]["data"][0]["code"], many["errors"]["data"][0]["line"]) == (
        "too_many_lines",
        3,
    )


async def test_empty_lines_are_passed_over_and_keep_their_numbers(world: World) -> None:
    done = await world.run(await world.batch(line("a"), "", line("b"), "\r", line("c")))

    assert done["request_counts"] == {"total": 3, "completed": 3, "failed": 0}


async def test_a_cancelled_batch_keeps_what_was_answered(world: World) -> None:
    release = asyncio.Event()

    async def hold(text: str) -> None:
        if text == "b":
            await world.api.call("POST", f"/v1/batches/{made}/cancel", status=200)
            await release.wait()

    world.gateway.before = hold
    made = await world.batch()
    running = asyncio.create_task(world.run(made, concurrency=1))
    done = await running

    assert done["status"] == "cancelled"
    assert done["cancelling_at"] is not None
    assert done["cancelled_at"] is not None
    output = await world.lines_of(done["output_file_id"])
    assert [one["custom_id"] for one in output] == ["a"]
    assert done["error_file_id"] is None


async def test_what_has_ended_cannot_be_cancelled_and_what_is_cancelled_stays_so(
    world: World,
) -> None:
    ended, other = await world.batch(), await world.batch()
    await world.run(ended)
    await world.api.call("POST", f"/v1/batches/{other}/cancel", status=200)
    again = await world.api.call("POST", f"/v1/batches/{other}/cancel", status=200)

    refused = await world.api.call("POST", f"/v1/batches/{ended}/cancel", status=400)

    assert refused.json()["error"]["code"] == "batch_ended"
    assert again.json()["status"] == "cancelling"


async def test_lines_that_its_window_was_too_short_for_are_named(world: World) -> None:
    async def late(text: str) -> None:
        if text == "b":
            world.clock.advance(seconds=24 * 3_600)
            await asyncio.Event().wait()

    world.gateway.before = late
    done = await world.run(await world.batch(), concurrency=1)

    output = await world.lines_of(done["output_file_id"])
    errors = await world.lines_of(done["error_file_id"])
    assert done["status"] == "expired"
    assert done["expired_at"] is not None
    assert done["request_counts"] == {"total": 3, "completed": 1, "failed": 2}
    assert [one["custom_id"] for one in output] == ["a"]
    assert [(one["custom_id"], one["error"]["code"]) for one in errors] == [
        ("b", "batch_expired"),
        ("c", "batch_expired"),
    ]


@pytest.mark.parametrize("after", range(7))
async def test_a_death_at_any_call_loses_nothing_and_repeats_no_stored_line(
    world: World, after: int
) -> None:
    """Lines whose result was stored are never called again; those in flight may be."""
    names = [f"line-{number}" for number in range(6)]
    made = await world.batch(*[line(name) for name in names])
    stored: set[str] = set()
    died = False

    async def die(_text: str) -> None:
        nonlocal died
        if not died and sum(world.gateway.calls.values()) > after:
            died = True
            async with world.db.read() as tx:
                found = await moves.read(tx, made)
                assert found is not None
                stored.update(names[index] for index in await moves.done(tx, found))
            running.cancel()
            await asyncio.Event().wait()

    world.gateway.before = die
    while (await world.get(made))["status"] not in ENDED:
        running = asyncio.ensure_future(world.runner(concurrency=2).step(made))
        await asyncio.gather(running, return_exceptions=True)
    done = await world.get(made)
    output = await world.lines_of(done["output_file_id"])

    assert [one["custom_id"] for one in output] == names
    assert done["request_counts"] == {"total": 6, "completed": 6, "failed": 0}
    assert {name for name, times in world.gateway.calls.items() if times > 1}.isdisjoint(stored)


async def test_a_step_that_another_instance_took_too_changes_nothing(world: World) -> None:
    """Both run the whole batch side by side, as after a lease that was lost unnoticed."""
    made = await world.batch()

    async def instance() -> None:
        while (await world.get(made))["status"] not in ENDED:
            await asyncio.gather(world.runner().step(made), return_exceptions=True)

    await asyncio.gather(instance(), instance())
    done = await world.get(made)

    output = await world.lines_of(done["output_file_id"])
    assert [one["custom_id"] for one in output] == ["a", "b", "c"]
    assert done["request_counts"] == {"total": 3, "completed": 3, "failed": 0}
    assert len((await world.api.get("/v1/files"))["data"]) == 2


async def test_what_is_wrong_with_a_batch_is_said_before_it_is_made(world: World) -> None:
    file = (await world.upload(b"x"))["id"]
    good = {
        "input_file_id": file,
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }
    wrong = [
        ({"completion_window": "24 hours"}, "completion_window", 400),
        ({"completion_window": "8d"}, "completion_window", 400),
        ({"endpoint": "/v1/moderations"}, "endpoint", 400),
        ({"metadata": {"a" * 65: "b"}}, "metadata.a", 400),
        ({"input_file_id": "file_none"}, None, 404),
        ({"colour": "blue"}, "colour", 400),
    ]
    for change, param, status in wrong:
        answer = await world.api.call("POST", "/v1/batches", {**good, **change}, status=status)
        error = answer.json()["error"]

        assert (error["param"] or "").startswith(param or ""), (change, error)


async def test_an_output_is_no_input(world: World) -> None:
    done = await world.run(await world.batch())
    body = {
        "input_file_id": done["output_file_id"],
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }

    refused = await world.api.call("POST", "/v1/batches", body, status=400)

    assert refused.json()["error"]["code"] == "file_not_for_batch"


async def test_batches_are_listed_newest_first_and_page_by_page(world: World) -> None:
    ids = [await world.batch() for _ in range(3)]

    first = await world.api.get("/v1/batches?limit=2")
    rest = await world.api.get(f"/v1/batches?limit=2&after={first['last_id']}")

    assert [one["id"] for one in first["data"]] == [ids[2], ids[1]]
    assert ([one["id"] for one in rest["data"]], rest["has_more"]) == ([ids[0]], False)


async def test_a_repeated_idempotency_key_makes_one_batch(world: World) -> None:
    file = (await world.upload(b"x"))["id"]
    body = {
        "input_file_id": file,
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }
    headers = {"idempotency-key": "once"}
    first = await world.api.call("POST", "/v1/batches", body, headers=headers, status=200)
    second = await world.api.call("POST", "/v1/batches", body, headers=headers, status=200)

    assert first.json() == second.json()
    assert len((await world.api.get("/v1/batches"))["data"]) == 1


async def test_the_moves_of_a_batch_are_audited(world: World) -> None:
    made = await world.batch()
    await world.run(made)

    events = (await world.admin.get("/audit?noun=batch"))["items"]

    assert [one["action"] for one in events] == ["batch.ended", "batch.created"]
    assert {one["resource_id"] for one in events} == {made}
    assert "line" not in json.dumps(events)
