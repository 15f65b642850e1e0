"""Runtime descriptions: the shipped ones are valid, and a wrong one names its mistakes."""

from pathlib import Path

import pytest
import yaml
from platform_api import Api

from towpath_server.domains.runtimes import service as runtimes
from towpath_server.domains.runtimes.errors import RuntimeDescriptionInvalid
from towpath_server.domains.runtimes.models import Range

MINIMAL = {
    "apiVersion": "towpath.dev/v1alpha1",
    "kind": "Runtime",
    "metadata": {"name": "mine", "version": "1.9"},
    "spec": {
        "formats": ["mine"],
        "dialect": "openai",
        "operations": ["chat"],
        "command": ["/usr/bin/mine", "{model}", "{listen}"],
        "healthPath": "/health",
        "startupProbe": {"periodSeconds": 1, "failureThreshold": 3},
        "readinessProbe": {"periodSeconds": 1, "failureThreshold": 3},
    },
}


def test_the_shipped_descriptions_are_valid() -> None:
    known = runtimes.catalog(None)

    assert {"llama.cpp", "onnx"} <= set(known.names)
    assert known.serving("gguf") == ["llama.cpp"]
    assert known.serving("onnx") == ["onnx", "triton"]


def test_the_newest_version_is_found_first(tmp_path: Path) -> None:
    for version in ("1.9", "1.10", "1.2"):
        document = {**MINIMAL, "metadata": {"name": "mine", "version": version}}
        (tmp_path / f"{version}.yaml").write_text(yaml.safe_dump(document))

    known = runtimes.catalog(tmp_path)

    assert known.versions("mine") == ["1.10", "1.9", "1.2"]
    newest, old = known.find("mine"), known.find("mine", "1.2")
    assert newest is not None
    assert old is not None
    assert (newest.version, old.version) == ("1.10", "1.2")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"comand": []}, "spec/comand"),
        ({"command": ["/usr/bin/mine", "{modle}"]}, "{modle}"),
        ({"command": ["/usr/bin/mine", "{model}"]}, "lacks `{listen}`"),
        (
            {"command": ["/usr/bin/mine", "{model}", "{socket}"], "listen": "port"},
            "`listen` is not `unix`",
        ),
        ({"dialect": "grpc"}, "spec/dialect"),
        ({"args": {"n": {"minimum": 3, "maximum": 1}}}, "`minimum` is above `maximum`"),
    ],
)
def test_a_wrong_description_names_file_and_place(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    document = {**MINIMAL, "spec": {**MINIMAL["spec"], **change}}  # type: ignore[dict-item]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(document))

    with pytest.raises(RuntimeDescriptionInvalid) as caught:
        runtimes.catalog(tmp_path)

    assert "mine.yaml" in caught.value.detail
    assert says in caught.value.detail


def test_a_description_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("a: [")

    with pytest.raises(RuntimeDescriptionInvalid, match="not valid YAML"):
        runtimes.catalog(tmp_path)


@pytest.mark.parametrize(
    ("value", "allowed"),
    [("1", True), ("10", True), ("0", False), ("11", False), ("x", False), ("nan", False)],
)
def test_a_range_decides(value: str, allowed: bool) -> None:
    assert (Range(1, 10).refusal(value) is None) is allowed


async def test_everybody_may_read_the_runtimes(api: Api) -> None:
    listed = await api.get("/runtimes?limit=1")
    rest = await api.get(f"/runtimes?after={listed['next']}")
    one = await api.get("/runtimes/onnx")
    absent = await api.get("/runtimes/onxx", status=404)

    assert len(listed["items"]) == 1
    assert listed["items"][0]["name"] not in {found["name"] for found in rest["items"]}
    assert one["dialect"] == "kserve_v2"
    assert absent["fix"] == "Did you mean `onnx`?"
