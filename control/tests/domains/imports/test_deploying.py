"""A manifest that names a model outside: fetched first, when nothing else is wrong."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from artifacts import onnx
from fastapi import FastAPI
from imports import HUB, ImportWorld, away, refused
from machines import OneNode

from towpath_server.domains.imports.reconcile import ImportLoop
from towpath_server.loops.lease import Lease

PINNED = "hf://acme/triage:" + "0123456789" * 4


@pytest.fixture(autouse=True)
def _machine(app: FastAPI, world: ImportWorld) -> None:
    app.state.facilities = replace(app.state.facilities, servers=OneNode(), import_wait_s=0.0)
    world.facilities = app.state.facilities
    world.source.files = {"model.onnx": onnx()}


def manifest(uri: str = HUB, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "towpath.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "triage", "project": "care/triage"},
        "spec": {"model": {"uri": uri}, "runtime": {"name": "onnx"}, **spec},
    }


async def deploy(world: ImportWorld, document: Any, *, status: int, **query: str) -> Any:
    asked = "".join(f"&{name}={value}" for name, value in query.items())
    path = f"/deployments?environment=sandbox{asked}"
    return (await world.api.call("POST", path, document, status=status)).json()


async def begun(world: ImportWorld) -> list[Any]:
    return (await world.api.get("/imports"))["items"]


async def test_a_model_outside_is_fetched_and_then_deployed_at_its_version(
    world: ImportWorld,
) -> None:
    waiting = await world.api.call(
        "POST", "/deployments?environment=sandbox", manifest(), status=409
    )
    again = await deploy(world, manifest(), status=409)
    await world.run(waiting.json()["import"])

    made = await deploy(world, manifest(), status=201)

    problem = waiting.json()
    (finding,) = problem["findings"]
    assert (problem["code"], again["import"]) == ("source_fetching", problem["import"])
    assert waiting.headers["retry-after"] == "1"
    assert (finding["path"], finding["reason"]) == ("#/spec/model/uri", "Fetching")
    assert made["manifest"]["spec"]["model"]["uri"] == "models:/triage/1"
    version = await world.api.get("/models/triage/versions/1")
    assert version["lineage"]["source"].startswith("hf://acme/triage:")
    audited = await world.admin.get("/audit?limit=50")
    assert "deployment.create" not in {one["action"] for one in audited["items"]}


async def test_a_small_model_is_there_within_the_first_answer(
    world: ImportWorld, app: FastAPI
) -> None:
    app.state.facilities = replace(app.state.facilities, import_wait_s=20.0)

    async with running(world):
        made = await deploy(world, manifest(), status=201)

    assert made["model"]["version"] == 1


async def test_how_much_has_come_is_said(world: ImportWorld) -> None:
    world.source.files = {"model.onnx": onnx(), "more.bin": bytes(3 << 20)}
    waiting = await deploy(world, manifest(), status=409)
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def wait(_path: str, _offset: int) -> None:
        reached.set()
        await go_on.wait()

    world.source.before = wait
    stepping = asyncio.create_task(world.runner().step(waiting["import"]))
    await reached.wait()
    told = await deploy(world, manifest(), status=409)
    go_on.set()
    await stepping

    assert "0 of 3 MB are here" in told["findings"][0]["message"]


async def test_a_dry_run_fetches_nothing(world: ImportWorld) -> None:
    refused_ = await deploy(world, manifest(), status=422, dry_run="true")

    (finding,) = refused_["findings"]
    assert finding["reason"] == "NotFetched"
    assert f"towpath models import {HUB} --name triage" in finding["fix"]
    assert await begun(world) == []


async def test_with_something_else_wrong_nothing_is_fetched(world: ImportWorld) -> None:
    wrong = manifest(resources={"requests": {"cpu": "999"}})

    refused_ = await deploy(world, wrong, status=422)

    assert "ExceedsMachine" in {one["reason"] for one in refused_["findings"]}
    assert await begun(world) == []


async def test_why_it_failed_is_told_for_a_minute_and_then_it_is_tried_anew(
    world: ImportWorld,
) -> None:
    waiting = await deploy(world, manifest(), status=409)
    world.source.listing_cues = [refused()]
    await world.run(waiting["import"])

    told = await deploy(world, manifest(), status=422)
    world.clock.advance(seconds=61)
    anew = await deploy(world, manifest(), status=409)

    (finding,) = told["findings"]
    assert (finding["path"], finding["reason"]) == ("#/spec/model/uri", "AccessDenied")
    assert finding["fix"] == "Ask for access to it."
    assert anew["import"] != waiting["import"]


async def test_what_went_wrong_so_far_is_said_while_it_is_tried_again(world: ImportWorld) -> None:
    world.source.listing_cues = [away("The Hub does not answer.")]
    waiting = await deploy(world, manifest(), status=409)
    await world.run(waiting["import"])

    told = await deploy(world, manifest(), status=409)

    assert "The Hub does not answer." in told["findings"][0]["message"]


@pytest.mark.parametrize(("uri", "asked"), [(HUB, 2), (PINNED, 1)])
async def test_what_names_its_content_is_fetched_once_and_what_may_move_anew_in_time(
    world: ImportWorld, uri: str, asked: int
) -> None:
    waiting = await deploy(world, manifest(uri), status=409)
    await world.run(waiting["import"])
    await deploy(world, manifest(uri), status=201)
    world.clock.advance(seconds=601)

    status = 409 if asked == 2 else 200
    await deploy(world, manifest(uri), status=status)

    assert len(await begun(world)) == asked


async def test_a_name_that_is_another_projects_is_a_finding(world: ImportWorld) -> None:
    await world.admin.create("/models", name="triage", project="sales/triage")

    refused_ = await deploy(world, manifest(), status=422)

    assert [(one["path"], one["reason"]) for one in refused_["findings"]] == [
        ("#/metadata/name", "NameTaken")
    ]
    assert await begun(world) == []


async def test_a_format_that_is_none_is_a_finding_and_nothing_is_fetched(
    world: ImportWorld,
) -> None:
    document = manifest()
    document["spec"]["model"]["format"] = "onxx"

    refused_ = await deploy(world, document, status=422)

    assert [(one["path"], one["reason"]) for one in refused_["findings"]] == [
        ("#/spec/model/format", "UnknownFormat")
    ]
    assert await begun(world) == []


async def test_another_digest_than_what_came_is_a_finding(world: ImportWorld) -> None:
    document = manifest()
    document["spec"]["model"]["digest"] = "sha256:" + "0" * 64
    waiting = await deploy(world, document, status=409)
    await world.run(waiting["import"])

    refused_ = await deploy(world, document, status=422)

    assert [one["reason"] for one in refused_["findings"]] == ["DigestMismatch"]


@asynccontextmanager
async def running(world: ImportWorld) -> AsyncIterator[None]:
    """Run the loop as the program does."""
    loop = ImportLoop(world.runner(), Lease(world.db, "imports", "here"), interval_s=0.01)
    task = asyncio.create_task(loop.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
