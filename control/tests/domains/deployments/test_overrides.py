"""What differs by environment is laid over the manifest before anything is checked."""

from typing import Any

import hypothesis
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from worlds import World

from towpath_server.domains.deployments.models import Draft
from towpath_server.domains.deployments.schemas import read, read_bytes
from towpath_server.domains.endpoints.models.serving import Timeouts


def manifest(overrides: Any, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "towpath.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "triage", "project": "care/triage"},
        "spec": {
            "model": {"uri": "models:/triage/1"},
            "runtime": {"name": "tiny", "args": ["--threads=1", "--shout=no"]},
            "scaling": {"minReplicas": 1, "maxConcurrency": 8},
            "timeouts": {"total": "10s"},
            **spec,
            "overrides": overrides,
        },
    }


def found(draft: Draft) -> dict[str, str]:
    return {finding.path: finding.reason for finding in draft.findings}


def test_objects_are_merged_lists_replaced_and_null_takes_away() -> None:
    document = manifest(
        {
            "production": {
                "scaling": {"minReplicas": 2},
                "runtime": {"args": ["--threads=2"]},
                "timeouts": None,
                "access": {"callers": ["sandbox"]},
            }
        }
    )

    draft, plain = read(document, environment="production"), read(document, environment="sandbox")

    assert draft.findings == plain.findings == ()
    assert (draft.replicas, draft.max_concurrency) == (2, 8)
    assert draft.runtime is not None
    assert draft.runtime.args == ("--threads=2",)
    assert draft.timeouts == Timeouts()
    assert draft.access is not None
    assert draft.access.callers == ("sandbox",)
    assert (plain.replicas, plain.runtime and plain.runtime.args) == (
        1,
        ("--threads=1", "--shout=no"),
    )
    assert draft.declared == plain.declared == document
    assert "overrides" not in draft.document["spec"]


@pytest.mark.parametrize("environment", ["sandbox", "staging", "production"])
@pytest.mark.parametrize(
    ("patch", "path", "reason"),
    [
        ({"skaling": {}}, "/skaling", "UnknownField"),
        ({"scaling": {"minReplikas": 2}}, "/scaling/minReplikas", "UnknownField"),
        ({"scaling": {"minReplicas": "two"}}, "/scaling/minReplicas", "WrongType"),
        ({"scaling": {"maxReplicas": 0}}, "/scaling/maxReplicas", "OutOfRange"),
        (
            {"resources": {"requests": {"memory": "much"}}},
            "/resources/requests/memory",
            "InvalidQuantity",
        ),
        ({"model": {"uri": "models:/triage/2"}}, "/model", "NotOverridable"),
        ({"runtime": {"name": "onnx"}}, "/runtime/name", "NotOverridable"),
        ({"overrides": {}}, "/overrides", "UnknownField"),
        ([], "", "WrongType"),
    ],
)
def test_a_mistake_in_an_override_is_found_wherever_it_is_deployed(
    environment: str, patch: Any, path: str, reason: str
) -> None:
    draft = read(manifest({"staging": patch}), environment=environment)

    located = {f.located(draft.moved).path: (f.reason, f.fix) for f in draft.findings}
    assert list(located) == [f"#/spec/overrides/staging{path}"]
    assert located[f"#/spec/overrides/staging{path}"][0] == reason


def test_an_environment_that_there_is_not_gets_a_hint() -> None:
    draft = read(manifest({"prod": {}, "stagng": {}}), environment="sandbox")

    assert found(draft) == {
        "#/spec/overrides/prod": "UnknownEnvironment",
        "#/spec/overrides/stagng": "UnknownEnvironment",
    }
    assert draft.findings[1].fix == "Did you mean `staging`?"


def test_what_is_wrong_without_overrides_is_said_once() -> None:
    draft = read(
        manifest({"staging": {}, "production": {"scaling": {"minReplicas": 2}}}, rollot={}),
        environment="sandbox",
    )

    assert found(draft) == {"#/spec/rollot": "UnknownField"}


SIMPLE = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just([]) | st.just({})
NAMES = st.sampled_from(["scaling", "runtime", "name", "model", "access", "overrides", "a/b~c"])
PATCH = st.dictionaries(NAMES, SIMPLE | st.dictionaries(NAMES, SIMPLE, max_size=2), max_size=3)


@given(SIMPLE | st.dictionaries(st.sampled_from(["sandbox", "production", "prod"]), SIMPLE | PATCH))
@hypothesis.settings(max_examples=50)
def test_no_overrides_crash_the_reader(overrides: Any) -> None:
    for environment in ("sandbox", "production"):
        read(manifest(overrides), environment=environment)


async def test_a_refusal_points_to_the_line_in_the_overrides(world: World) -> None:
    document = manifest({"staging": {"runtime": {"args": ["--threads=1", "--shuot=yes"]}}})
    text = yaml.safe_dump(document, sort_keys=False)

    answer = await world.api.call(
        "POST",
        "/deployments?environment=staging",
        content=text.encode(),
        headers={"content-type": "application/yaml"},
        status=422,
    )
    (finding,) = answer.json()["findings"]

    assert finding["path"] == "#/spec/overrides/staging/runtime/args/1"
    assert finding["reason"] == "UnknownArgument"
    assert finding["fix"] == "Did you mean `--shout`?"
    assert "--shuot=yes" in text.splitlines()[finding["line"] - 1]


async def test_each_environment_gets_its_own_and_the_manifest_is_kept_whole(world: World) -> None:
    document = manifest(
        {"staging": {"scaling": {"minReplicas": 2, "maxConcurrency": None}}},
        runtime={"name": "tiny"},
    )

    for environment, replicas in (("sandbox", 1), ("staging", 2)):
        answer = await world.api.call(
            "POST", f"/deployments?environment={environment}", document, status=201
        )
        assert answer.json()["replicas_wanted"] == replicas
        assert answer.json()["manifest"]["spec"]["overrides"] == document["spec"]["overrides"]


def test_lines_of_yaml_are_kept_with_overrides() -> None:
    text = yaml.safe_dump(manifest({"staging": {"skaling": {}}}), sort_keys=False)

    draft = read_bytes(text.encode(), "application/yaml", environment="staging")

    (finding,) = draft.findings
    place = finding.located(draft.moved).path
    assert "skaling" in text.splitlines()[draft.lines[place] - 1]
