"""A model that carries code runs on runtimes that are made for it, and on no other."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hostile.pickled import plain
from worlds import SIGNATURE, World

from towpath_server.core.config import Settings

MANIFEST: dict[str, Any] = {
    "apiVersion": "towpath.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "triage", "project": "care/triage"},
    "spec": {"model": {"uri": "models:/triage/2"}, "runtime": {"name": "tiny"}},
}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A second runtime beside `tiny`, which takes code."""
    folder = settings.runtimes_dir or Path()
    description = yaml.safe_load((folder / "tiny.yaml").read_text())
    description["metadata"]["name"] = "contained"
    description["spec"]["codeFormats"] = ["tiny"]
    (folder / "contained.yaml").write_text(yaml.safe_dump(description))
    return settings


async def push_code(world: World) -> Any:
    content = plain()
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    await world.api.call("PUT", f"/blobs/{digest}", content=content, status=201)
    return await world.api.create(
        "/models/triage/versions",
        format="tiny",
        files=[{"path": "model.pkl", "digest": digest, "size": len(content)}],
        signature=SIGNATURE,
    )


async def test_code_is_refused_on_a_runtime_that_is_not_made_for_it(world: World) -> None:
    version = await push_code(world)

    answer = await world.api.call("POST", "/deployments?environment=sandbox", MANIFEST, status=422)

    assert version["carries_code"] is True
    assert answer.json()["findings"] == [
        {
            "path": "#/spec/runtime/name",
            "reason": "CarriesCode",
            "message": "`models:/triage/2` carries code (`model.pkl`: It is a pickle that makes "
            "objects of `collections`.), and `tiny` is not made for that.",
            "fix": "Use `contained`.",
        }
    ]


async def test_code_is_taken_by_a_runtime_that_is_made_for_it(world: World) -> None:
    await push_code(world)
    spec = {**MANIFEST["spec"], "runtime": {"name": "contained"}}

    await world.api.call(
        "POST",
        "/deployments?environment=sandbox&dry_run=true",
        {**MANIFEST, "spec": spec},
        status=200,
    )


async def test_a_runtime_says_which_code_it_takes(world: World) -> None:
    shown = {name: await world.api.get(f"/runtimes/{name}") for name in ("tiny", "contained")}

    assert {name: one["code_formats"] for name, one in shown.items()} == {
        "tiny": [],
        "contained": ["tiny"],
    }
