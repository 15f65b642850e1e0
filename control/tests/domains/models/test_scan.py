"""What a version is made from is scanned before it is registered."""

import hashlib
import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import artifacts
import pytest
from hostile import CONTAINED, REFUSED
from hostile.catalogue import ALL
from hostile.pickled import calling
from platform_api import Api

from towpath_server.core.db import Database
from towpath_server.domains.models.errors import REASONS
from towpath_server.domains.models.service import versions
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


def signature(*inputs: tuple[str, str, list[int]], output: str = "y") -> dict[str, Any]:
    """Write a signature with one output of FP32."""
    return {
        "inputs": [{"name": n, "datatype": kind, "shape": shape} for n, kind, shape in inputs],
        "outputs": [{"name": output, "datatype": "FP32", "shape": [-1, 4]}],
    }


async def refusals(api: Api, form: str, files: Mapping[str, bytes], given: Any) -> Any:
    """Register with a signature that the files contradict; return path, message and fix."""
    refused = await push(api, form, files, signature=given, status=422)
    assert {one["reason"] for one in refused["findings"]} == {"SignatureMismatch"}
    return [(one["path"], one["message"], one["fix"]) for one in refused["findings"]]


WITH_DEFAULT = {
    "inputs": [artifacts.onnx_value("x"), artifacts.onnx_value("w", shape=(2, 2))],
    "tensors": [artifacts.onnx_tensor("w")],
}


@pytest.mark.parametrize("more", [(), (("w", "FP32", [2, 2]),)])
async def test_an_input_with_a_default_may_be_given_and_left_out(api: Api, more: Any) -> None:
    given = signature(("x", "FP32", [-1, 4]), *more)

    version = await push(
        api, "onnx", {"model.onnx": artifacts.onnx(**WITH_DEFAULT)}, signature=given
    )

    assert version["signature"] == given


async def test_a_default_is_compared_as_well(api: Api) -> None:
    files = {"model.onnx": artifacts.onnx(**WITH_DEFAULT)}

    found = await refusals(
        api, "onnx", files, signature(("x", "FP32", [-1, 4]), ("w", "FP64", [2, 2]))
    )

    assert [one[:2] for one in found] == [
        ("#/signature/inputs/1/datatype", "`w` is `FP32` in the model's file, not `FP64`.")
    ]


async def test_a_weight_of_a_format_that_had_no_defaults_is_no_input(api: Api) -> None:
    """Up to version 3 every weight stood among the inputs, and none could be set."""
    model = artifacts.onnx(**WITH_DEFAULT).replace(b"\x08\x08", b"\x08\x03", 1)

    found = await refusals(
        api,
        "onnx",
        {"model.onnx": model},
        signature(("x", "FP32", [-1, 4]), ("w", "FP32", [2, 2])),
    )

    assert [one[1] for one in found] == ["The model's file has no input `w`."]


async def test_an_optional_input_of_triton_may_be_left_out(api: Api) -> None:
    files = {**artifacts.triton()}
    path = next(name for name in files if name.endswith("config.pbtxt"))
    files[path] += b'input {name: "seed" data_type: TYPE_INT64 dims: 1 optional: true}'

    version = await push(api, "triton", files, signature=signature(("x", "FP32", [-1, 4])))

    assert [one["name"] for one in version["signature"]["inputs"]] == ["x"]


async def test_what_kserve_has_no_form_for_leaves_the_rest_compared(api: Api) -> None:
    brain = artifacts.onnx_value("h", 16, ("batch", 8))  # bfloat16
    files = {"model.onnx": artifacts.onnx(inputs=[artifacts.onnx_value("x"), brain])}
    good = signature(("x", "FP32", [-1, 4]), ("h", "FP16", [-1, 8]))

    version = await push(api, "onnx", files, signature=good)
    found = await refusals(api, "onnx", files, signature(("x", "FP64", [-1, 4])))

    assert version["signature"] == good
    assert found == [
        (
            "#/signature/inputs/0/datatype",
            "`x` is `FP32` in the model's file, not `FP64`.",
            "Write `FP32`. KServe has no form for `h`, so no signature can be read.",
        )
    ]


def tokens() -> dict[str, bytes]:
    """Return a model of token ids with its tokenizer."""
    inputs = [artifacts.onnx_value(n, 7, ("b", "t")) for n in ("input_ids", "attention_mask")]
    vectors = artifacts.onnx_value("hidden", 1, ("b", "t", 384))
    return {
        "model.onnx": artifacts.onnx(inputs=inputs, outputs=[vectors]),
        "tokenizer.json": b"{}",
    }


async def test_tokens_of_a_model_with_a_tokenizer_are_named_as_the_files_own(api: Api) -> None:
    given = signature(("input_ids", "INT64", [-1, -1]), output="hidden")

    found = await refusals(api, "onnx", tokens(), given)

    beside = "with the `tokenizer.json` beside it, the model"
    spare = "or leave the signature out: it is read from the model's files then."
    assert found == [
        (
            "#/signature/inputs/0/name",
            f"`input_ids` is an input of the model's file: {beside} takes `text` instead.",
            f"Write `text`, {spare}",
        ),
        (
            "#/signature/outputs/0/name",
            f"`hidden` is an output of the model's file: {beside} gives `embedding` instead.",
            f"Write `embedding`, {spare}",
        ),
    ]


async def test_a_model_with_a_tokenizer_is_named_with_it(api: Api) -> None:
    given = signature(("texts", "BYTES", [-1]), output="embedding")

    found = await refusals(api, "onnx", tokens(), given)

    assert [one[:2] for one in found] == [
        ("#/signature/inputs/0/name", "The model with its `tokenizer.json` has no input `texts`."),
        (
            "#/signature/inputs",
            "The model with its `tokenizer.json` has an input `text`, which the signature lacks.",
        ),
        (
            "#/signature/outputs/0/shape",
            "`embedding` has the shape [-1, 384] with the model's `tokenizer.json`, not [-1, 4].",
        ),
    ]


@pytest.mark.parametrize("shape", [[-1], [-1, 1]])
async def test_a_column_of_mlflow_may_be_written_as_rows_of_one_value(
    api: Api, shape: list[int]
) -> None:
    files = artifacts.mlflow("  xgboost: {data: model.xgb}\n", {"model.xgb": b"{}"})
    given = {
        "inputs": [
            {"name": "age", "datatype": "FP64", "shape": shape},
            {"name": "city", "datatype": "BYTES", "shape": shape},
        ],
        "outputs": [{"name": "tensor_0", "datatype": "FP32", "shape": [-1, 2]}],
    }

    version = await push(api, "mlflow", files, signature=given)

    assert version["signature"] == given


@pytest.mark.parametrize("form", ["onnx", "mlflow"])
async def test_an_onnx_model_has_the_signature_of_its_file_and_not_of_mlflows_table(
    api: Api, form: str
) -> None:
    files = artifacts.mlflow(artifacts.ONNX_FLAVOUR, {"model.onnx": artifacts.onnx()})

    version = await push(api, form, files)

    assert version["signature"] == signature(("x", "FP32", [-1, 4]))


def test_every_reason_of_a_refused_version_is_listed() -> None:
    """The reference is made from the list."""
    service = Path(inspect.getfile(versions)).parent
    text = "".join(path.read_text("utf-8") for path in sorted(service.glob("*.py")))

    used = set(re.findall(r'(?:reason=|_REASON = )"(\w+)"', text))

    assert used | {"Invalid"} == set(REASONS)


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
