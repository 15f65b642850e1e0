"""Logs of a deployment: the last lines, those since a time, those with a text, and what comes."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from worlds import World

from towpath_server.adapters.compute import LogLine
from towpath_server.adapters.localhost import logs as files
from towpath_server.core.access import SYSTEM
from towpath_server.domains.deployments.service import logs
from towpath_server.domains.deployments.service.logs import Excerpt, Written


@pytest.fixture
def engine() -> str:
    return "sqlite"


def _ready(deployment: Any) -> bool:
    return deployment["phase"] == "Ready"


def _append(path: Path, text: str) -> None:
    with path.open("a") as log:
        log.write(text)


async def _one(found: Any) -> Written:
    async with asyncio.timeout(20):
        async for written in found:
            if written is not None:
                return written
    raise AssertionError("it ended")


async def test_lines_are_searched_and_taken_since_a_time(world: World) -> None:
    made = await world.deploy(runtime={"name": "tiny", "args": ["--shout=3"]})
    done = await world.until(made["id"], _ready)
    replica = done["replicas"][0]["id"]

    async def lines(query: str) -> list[str]:
        (item,) = (await world.api.get(f"/deployments/triage/logs?{query}"))["items"]
        assert item["replica"] == replica
        return item["lines"]

    assert (await lines("tail=4"))[0] == "starting triage"
    assert await lines("search=starting") == ["starting triage"]
    assert await lines("search=nothing+like+it") == []
    assert len(await lines("since=1h&tail=10")) == 4
    refused = await world.api.get("/deployments/triage/logs?since=yesterday", status=422)
    assert refused["findings"][0]["path"] == "?since"


async def test_a_follower_hears_of_every_replica_and_of_new_ones(world: World) -> None:
    made = await world.deploy()
    first = (await world.until(made["id"], _ready))["replicas"][0]["id"]
    servers = world.machine.replicas
    following = logs.follow(world.db, SYSTEM, servers, "triage", Excerpt())

    before = await _one(following)
    _append(world.machine.log(first), "one more line\n")
    more = await _one(following)
    await world.deploy(scaling={"minReplicas": 2, "maxReplicas": 2})
    await world.until(made["id"], _ready)
    late = await _one(following)
    await following.aclose()

    assert (before.replica.id, before.line.text) == (first, "starting triage")
    assert (more.replica.id, more.line.text) == (first, "one more line")
    assert late.line.text == "starting triage"
    assert late.replica.id != first
    assert late.replica.ordinal == 1


async def test_following_answers_one_object_a_line_and_ends_with_the_deployment(
    world: World,
) -> None:
    made = await world.deploy()
    await world.until(made["id"], _ready)

    async def delete() -> None:
        await world.api.call("DELETE", f"/deployments/{made['id']}", status=204)
        await world.until_gone(made["id"])

    deleting = asyncio.create_task(delete())
    answer = await world.api.call("GET", "/deployments/triage/logs?follow=true&tail=1")
    await deleting

    assert answer.headers["content-type"] == "application/x-ndjson"
    told = [json.loads(line) for line in answer.text.splitlines() if line]
    assert told[0]["line"] == "starting triage"
    assert set(told[0]) == {"replica", "ordinal", "revision", "at", "line"}


def _texts(lines: Any) -> list[str]:
    return [line.text for line in lines]


def test_a_reader_goes_on_after_the_log_was_moved_aside(tmp_path: Path) -> None:
    path = tmp_path / "log"
    kept = files.Log(path, max_bytes=100)
    path.write_text("a\nb\n")
    kept.look(1_000)
    first = files.read(path, tail=10)

    with path.open("a") as log:
        log.write("c" * 100 + "\n")
    moved = kept.look(2_000)
    with path.open("a") as log:
        log.write("d\nunfinished")
    second = files.read(path, cursor=first.cursor)
    kept.look(3_000)
    with path.open("a") as log:
        log.write(" business\n")
    third = files.read(path, cursor=second.cursor)

    assert moved
    assert _texts(first.lines) == ["a", "b"]
    assert _texts(second.lines)[-1] == "d"
    assert _texts(third.lines) == ["unfinished business"]


def test_lines_bear_the_time_at_which_they_were_seen(tmp_path: Path) -> None:
    path = tmp_path / "log"
    kept = files.Log(path, max_bytes=1_000)
    for at_ms, text in ((1_000, "a\n"), (2_000, "b\n"), (9_000, "c\n")):
        with path.open("a") as log:
            log.write(text)
        kept.look(at_ms)

    found = files.read(path, since_ms=2_000)

    assert found.lines == [LogLine(2_000, "b"), LogLine(9_000, "c")]
