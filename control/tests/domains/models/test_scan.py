"""What a version is made from is scanned before it is registered."""

import hashlib
from collections.abc import Mapping
from typing import Any

import artifacts
import pytest
from hostile import CONTAINED, REFUSED
from hostile.catalogue import ALL
from hostile.pickled import calling
from platform_api import Api

from towpath_server.core.db import Database
from towpath_server.domains.scans.tables import artifact_scans

CHOSEN = [
    one
    for one in ALL
    if one.name
    in {
        "pickle-os-system",
        "pickle-beside-weights",
        "auto-map",
        "template-dunder",
        "onnx-external-parent",
        "zip-in-zip",
        "gguf-absurd-counts",
        "mlflow-loader",
        "wheel",
    }
]


@pytest.fixture(autouse=True)
async def _team(api: Api) -> None:
    await api.create("/teams", name="care")
    await api.create("/projects", team="care", name="one")


async def push(
    api: Api, form: str, files: Mapping[str, bytes], *, status: int = 201, **more: Any
) -> Any:
    """Upload files and register them as a version of `triage`."""
    listed = []
    for path, content in files.items():
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        await api.call("PUT", f"/blobs/{digest}", content=content, status=201)
        listed.append({"path": path, "digest": digest, "size": len(content)})
    body = {"format": form, "files": listed, "project": "care/one", **more}
    answer = await api.call("POST", "/models/triage/versions", body, status=status)
    return answer.json()


@pytest.mark.parametrize("artifact", CHOSEN, ids=lambda artifact: artifact.name)
async def test_a_hostile_artifact_is_refused_or_registered_as_code(api: Api, artifact) -> None:
    refused = artifact.outcome == REFUSED

    answer = await push(api, artifact.form, artifact.make(), status=422 if refused else 201)

    reasons = [finding["reason"] for finding in answer["findings"]]
    assert artifact.reason in reasons
    assert all(finding["fix"] for finding in answer["findings"])
    if refused:
        assert answer["code"] == "artifact_refused"
        assert {finding["path"].split("/")[1] for finding in answer["findings"]} == {"files"}
        await api.get("/models/triage", status=404)
    else:
        assert artifact.outcome == CONTAINED
        assert answer["carries_code"] is True


async def test_a_refusal_names_the_file_and_what_is_in_it(api: Api) -> None:
    packed = artifacts.zipped({"a/weights.bin": calling("os", "system")})
    files = {"model.onnx": artifacts.onnx(), "extra.zip": packed}

    answer = await push(api, "onnx", files, status=422)

    assert answer["findings"] == [
        {
            "path": "#/files/1",
            "reason": "DangerousPickle",
            "message": "`extra.zip!a/weights.bin`: A pickle calls `os.system`.",
            "fix": "Do not load this file anywhere. Get the model from its publisher, as "
            "safetensors or ONNX.",
        }
    ]


async def test_a_refusal_is_written_down(api: Api) -> None:
    await push(api, "python", {"model.pkl": calling("os", "system")}, status=422)

    events = (await api.get("/audit?noun=model"))["items"]

    assert [one["outcome"] for one in events if one["action"] == "model.create"] == ["refused"]


async def test_facts_and_signature_stand_on_the_version(api: Api) -> None:
    version = await push(api, "onnx", {"model.onnx": artifacts.onnx(name="facts")})

    assert version["signature"]["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    assert version["metadata"]["detected"] == "onnx"
    assert version["metadata"]["weights_bytes"] == 0
    assert (version["carries_code"], version["findings"]) == (False, [])
    assert await api.get("/models/triage/versions/1") == version


async def test_a_signature_that_is_given_stands_where_it_can_be_the_models(api: Api) -> None:
    """It may be narrower, and need not tell callers of every output."""
    model = artifacts.onnx(outputs=[artifacts.onnx_value("y"), artifacts.onnx_value("z")])
    given = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [8, 4]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [8, -1]}],
    }

    version = await push(api, "onnx", {"model.onnx": model}, signature=given)

    assert version["signature"] == given


async def test_a_signature_that_contradicts_the_file_is_refused_with_every_place(api: Api) -> None:
    model = artifacts.onnx(inputs=[artifacts.onnx_value("x"), artifacts.onnx_value("rows")])
    given = {
        "inputs": [
            {"name": "x", "datatype": "FP64", "shape": [-1, 5]},
            {"name": "row", "datatype": "FP32", "shape": [-1, 4]},
        ],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1]}],
    }

    refused = await push(api, "onnx", {"model.onnx": model}, signature=given, status=422)

    found = {one["path"]: one["message"] for one in refused["findings"]}
    assert found == {
        "#/signature/inputs/0/datatype": "`x` is `FP32` in the model's file, not `FP64`.",
        "#/signature/inputs/0/shape": "`x` has the shape [-1, 4] in the model's file, not [-1, 5].",
        "#/signature/inputs/1/name": "The model's file has no input `row`.",
        "#/signature/inputs": "The model's file has an input `rows`, which the signature lacks.",
        "#/signature/outputs/0/shape": "`y` has the shape [-1, 4] in the model's file, not [-1].",
    }
    assert all(one["reason"] == "SignatureMismatch" and one["fix"] for one in refused["findings"])
    await api.call("GET", "/models/triage/versions/1", status=404)


async def test_the_same_file_is_scanned_once(api: Api, db: Database) -> None:
    files = {"model.gguf": artifacts.gguf()}
    first = await push(api, "gguf", files)
    async with db.write() as tx:
        # What a scan has left counts, and is not looked for again.
        await tx.execute(
            artifact_scans.update().values(
                found={"kind": "gguf", "issues": [], "facts": {"name": "remembered"}}
            )
        )

    again = await push(api, "gguf", files, card="# Another version of the same file")

    assert (first["version"], again["version"]) == (1, 2)
    assert again["metadata"] == {"detected": "gguf", "name": "remembered"}


async def test_pushing_the_same_again_is_the_same_version(api: Api) -> None:
    files = {"model.onnx": artifacts.onnx()}

    first = await push(api, "onnx", files)
    second = await push(api, "onnx", files, status=200)

    assert first == second
