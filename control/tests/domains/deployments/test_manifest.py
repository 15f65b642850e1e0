"""What is wrong in a manifest comes to light at once: where, what, and what to do."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath_server.core.errors import ManifestUnreadable
from towpath_server.core.money import Amounts, PriceDraft
from towpath_server.core.quantity import quantity
from towpath_server.core.upstream import ColdStart
from towpath_server.domains.deployments.models import Draft
from towpath_server.domains.deployments.models.scaling import Minimum, Scaling
from towpath_server.domains.deployments.schemas import read, read_bytes
from towpath_server.domains.endpoints.models.serving import Timeouts

YAML = "application/yaml"


def manifest(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "towpath.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "triage", "project": "care/triage"},
        "spec": {"model": {"uri": "models:/triage/3"}, "runtime": {"name": "onnx"}, **spec},
    }


def findings(document: Any) -> dict[str, tuple[str, str | None]]:
    return {f.path: (f.message, f.fix) for f in read(document).findings}


def test_a_whole_manifest_is_read() -> None:
    draft = read(
        manifest(
            runtime={
                "name": "onnx",
                "version": "1.32",
                "args": ["--max-batch=64"],
                "env": [{"name": "A", "value": "1"}],
            },
            resources={"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
            scaling={"minReplicas": 2, "maxReplicas": 2},
            startupProbe={
                "httpGet": {"path": "/ready"},
                "periodSeconds": 1,
                "failureThreshold": 600,
            },
            access={
                "visibility": "organization",
                "allow": [{"team": "web"}, {"project": "web/chat"}],
                "callers": ["sandbox"],
                "maxDataClass": "internal",
            },
            prices=[
                {"inputPerMillion": "0.02", "outputPerMillion": "0.08"},
                {"from": "2030-01-01T00:00:00Z", "gpuSecond": "0.001"},
            ],
            timeouts={"connect": "500ms", "firstByte": "1m30s"},
        )
    )

    assert draft.findings == ()
    assert draft.model is not None
    assert (draft.model.name, draft.model.version) == ("triage", 3)
    assert draft.resources is not None
    assert draft.resources.cpu_milli == 500
    assert draft.resources.memory_bytes == 1 << 30
    assert draft.replicas == 2
    assert draft.startup is not None
    assert (draft.startup.path, draft.startup.failures) == ("/ready", 600)
    assert draft.access is not None
    assert draft.access.allow == (("team", "web"), ("project", "web/chat"))
    assert draft.max_data_class == "internal"
    assert draft.prices == (
        PriceDraft(Amounts(20_000_000, 80_000_000)),
        PriceDraft(Amounts(gpu_second_nano=1_000_000), 1_893_456_000_000),
    )
    assert draft.timeouts == Timeouts(connect_ms=500, first_byte_ms=90_000)


def test_everything_that_is_wrong_is_found_at_once() -> None:
    document = manifest(
        model={"uri": "modls:/triage/3"},
        scaling={"minReplica": 1},
        access={"visibility": "everyone"},
        prices=[{"inputPerMillion": 0.02, "outputPerMillion": "-1"}],
    )
    document["metadata"]["name"] = "Support Triage"
    document["speck"] = {}

    found = findings(document)

    assert set(found) == {
        "#/speck",
        "#/metadata/name",
        "#/spec/model/uri",
        "#/spec/scaling/minReplica",
        "#/spec/access/visibility",
        "#/spec/prices/0/inputPerMillion",
        "#/spec/prices/0/outputPerMillion",
    }
    assert found["#/speck"][1] == "Did you mean `spec`?"
    assert found["#/spec/model/uri"][1] == "Did you mean `models`?"
    assert found["#/spec/scaling/minReplica"][1] == "Did you mean `minReplicas`?"
    assert found["#/spec/prices/0/inputPerMillion"][1] == "Put it in quotes."


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("file:./model.onnx", "the server does not read its own paths"),
        ("file:///etc/passwd", "the server does not read its own paths"),
        ("s3://", "names no bucket"),
        ("hf:org/name", "Write it as `hf://owner/name`"),
        ("https://files.example.com/model.onnx", "has no digest"),
        ("models:/triage@Champion", "does not name a version"),
        ("models:/triage", "does not name a version"),
        ("fil:./x", "Did you mean `file`?"),
        ("triage", "has no scheme"),
    ],
)
def test_uris_that_cannot_be_served_say_what_to_do(uri: str, says: str) -> None:
    detail, fix = findings(manifest(model={"uri": uri}))["#/spec/model/uri"]

    assert fix is not None
    assert says in f"{detail} {fix}"


@pytest.mark.parametrize(
    ("spec", "pointer"),
    [
        ({"slo": {}}, "#/spec/slo"),
        ({"fallback": ["x"]}, "#/spec/fallback"),
        ({"model": {"uri": "models:/a/1", "adapters": []}}, "#/spec/model/adapters"),
        (
            {"readinessProbe": {"httpGet": {"path": "/", "port": 80}}},
            "#/spec/readinessProbe/httpGet/port",
        ),
        (
            {"runtime": {"name": "onnx", "env": [{"name": "A", "value": "", "valueFrom": {}}]}},
            "#/spec/runtime/env/0/valueFrom",
        ),
    ],
)
def test_what_is_not_done_yet_is_refused_by_name(spec: dict[str, Any], pointer: str) -> None:
    detail, fix = findings(manifest(**spec))[pointer]

    assert "is not supported yet" in detail
    assert fix == "Leave it out."


def test_gpus_are_counted_as_kubernetes_counts_them() -> None:
    def with_(**resources: Any) -> Draft:
        return read(manifest(resources=resources))

    as_number = with_(limits={"nvidia.com/gpu": 2})
    as_text = with_(requests={"nvidia.com/gpu": 2}, limits={"nvidia.com/gpu": "2"})
    apart = with_(requests={"nvidia.com/gpu": 1}, limits={"nvidia.com/gpu": 2})
    alone = with_(requests={"nvidia.com/gpu": 1})

    assert as_number.resources.gpus == as_text.resources.gpus == 2
    for draft in (apart, alone):
        assert "different numbers" in draft.findings[0].message
        assert draft.findings[0].fix
    for wrong in (0, "500m", 65):
        found = findings(manifest(resources={"limits": {"nvidia.com/gpu": wrong}}))
        detail, _ = found["#/spec/resources/limits/nvidia.com~1gpu"]
        assert "whole number from 1 to 64" in detail


@pytest.mark.parametrize("profile", ["1g.10gb", "3g.40gb", "1g.5gb.me", "1c.3g.40gb"])
def test_a_part_of_a_gpu_is_named_as_the_device_plugin_names_it(profile: str) -> None:
    name = f"nvidia.com/mig-{profile}"

    alone = read(manifest(resources={"limits": {name: 1}}))
    twice = read(manifest(resources={"requests": {name: "1"}, "limits": {name: 1}}))

    for draft in (alone, twice):
        assert draft.findings == ()
        assert (draft.resources.gpus, draft.resources.mig) == (1, profile)


@pytest.mark.parametrize(
    ("limits", "at", "says", "fix"),
    [
        (
            {"nvidia.com/mig-1g.10g": 1},
            "/nvidia.com~1mig-1g.10g",
            "is not a field here",
            "Did you mean `nvidia.com/mig-1g.10gb`?",
        ),
        ({"memry": "1Gi"}, "/memry", "is not a field here", "Did you mean `memory`?"),
        (
            {"nvidia.com/mig-1g.10gb": 2},
            "/nvidia.com~1mig-1g.10gb",
            "a program sees one part of a GPU",
            "Write `1`; for more, raise `scaling.minReplicas` or ask for a larger part.",
        ),
        ({"nvidia.com/mig-1g.10gb": "x"}, "/nvidia.com~1mig-1g.10gb", "must be 1", "Write `1`"),
        ({"nvidia.com/mig-1g.10gb": [1]}, "/nvidia.com~1mig-1g.10gb", "must be a text", "Put it"),
        (
            {"nvidia.com/gpu": 1, "nvidia.com/mig-1g.10gb": 1},
            "",
            "asks for `nvidia.com/gpu` and `nvidia.com/mig-1g.10gb`",
            "Leave all but one of them out.",
        ),
    ],
)
def test_parts_of_gpus_that_cannot_be_had_are_refused(
    limits: dict[str, Any], at: str, says: str, fix: str
) -> None:
    found = findings(manifest(resources={"limits": limits}))
    asked = findings(manifest(resources={"requests": {"nvidia.com/mig-2g.20gb": 1}}))

    detail, way_out = found[f"#/spec/resources/limits{at}"]
    assert says in detail
    assert way_out is not None
    assert way_out.startswith(fix)
    assert "different parts of GPUs" in asked["#/spec/resources/limits"][0]


@pytest.mark.parametrize(
    ("given", "least", "most", "target"),
    [
        ({}, 1, 1, 8),
        ({"minReplicas": 2}, 2, 2, 8),
        ({"maxReplicas": 2}, 2, 2, 8),
        ({"minReplicas": 0}, 0, 1, 8),
        ({"minReplicas": 1, "maxReplicas": 4}, 1, 4, 8),
        ({"metric": "rps", "target": 50, "maxReplicas": 4}, 1, 4, 50),
        ({"minReplicas": 0, "maxReplicas": 2, "maxConcurrency": 10}, 0, 2, 7),
    ],
)
def test_bounds_of_scaling_have_sane_defaults(
    given: dict[str, Any], least: int, most: int, target: float
) -> None:
    scaling = read(manifest(scaling=given)).scaling

    assert scaling is not None
    assert (scaling.least, scaling.most, scaling.target) == (least, most, target)


def test_scaling_is_read_whole() -> None:
    scaling = read(
        manifest(
            scaling={
                "minReplicas": 0,
                "maxReplicas": 4,
                "idleTimeout": "15m",
                "schedule": [{"cron": "0 7 * * 1-5", "duration": "12h", "minReplicas": 1}],
                "coldStart": {"maxWait": "90s", "maxQueued": 7, "progressAfter": "0s"},
            }
        )
    ).scaling

    assert scaling is not None
    assert Scaling.of(scaling.document(), scaling.most) == scaling
    assert scaling.idle_ms == 900_000
    assert scaling.schedule == (Minimum("0 7 * * 1-5", 43_200_000, 1),)
    assert scaling.cold_start == ColdStart(90_000, 7, 0)


@pytest.mark.parametrize(
    "name", ["LD_PRELOAD", "PYTHONPATH", "PATH", "TOWPATH_REPLICA_SECRET", "DYLD_X"]
)
def test_variables_that_would_change_the_program_are_refused(name: str) -> None:
    runtime = {"name": "onnx", "env": [{"name": name, "value": "x"}]}

    detail, _ = findings(manifest(runtime=runtime))["#/spec/runtime/env/0/name"]

    assert "reserved" in detail


def test_a_finding_knows_the_line_it_stands_in() -> None:
    text = (
        "apiVersion: towpath.dev/v1alpha1\n"
        "kind: ModelDeployment\n"
        "metadata:\n"
        "  name: triage\n"
        "spec:\n"
        "  model: {uri: 'models:/a/1'}\n"
        "  scaling:\n"
        "    minReplicas: many\n"
    )

    draft = read_bytes(text.encode(), YAML)

    assert [(f.path, draft.lines[f.path]) for f in draft.findings] == [
        ("#/spec/scaling/minReplicas", 8)
    ]


@pytest.mark.parametrize(
    ("body", "content_type", "says"),
    [
        (b"{", "application/json", "not valid JSON"),
        (b'{"a": 1, "a": 2}', "application/json", "stands twice"),
        (b'{"a": NaN}', "application/json", "not JSON"),
        (b"[" * 100_000, "application/json", "not valid JSON"),
        (b"a: [1", YAML, "not valid YAML at line"),
        (b"a: 1\na: 2\n", YAML, "stands twice"),
        (b"a: &a [*a]", YAML, "not valid YAML"),
        (b"a: !!python/object:os.system x", YAML, "not valid YAML"),
        (b"\xff\xfe", YAML, "not UTF-8"),
        (b"<x/>", "text/xml", "not sent as `text/xml`"),
    ],
)
def test_what_is_no_document_is_refused(body: bytes, content_type: str, says: str) -> None:
    with pytest.raises(ManifestUnreadable) as caught:
        read_bytes(body, content_type)

    assert says in caught.value.detail


def test_aliases_of_aliases_do_not_grow_without_bound() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]

    with pytest.raises(ManifestUnreadable) as caught:
        read_bytes("\n".join(lines).encode(), YAML)

    assert "far larger" in caught.value.detail


@pytest.mark.parametrize("document", [None, [], "text", 1, {}, {"spec": []}, {"metadata": 1}])
def test_documents_of_another_shape_are_refused_with_findings(document: Any) -> None:
    assert read(document).findings


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["name", "uri", "spec", "model", "metadata", "runtime", "env", "access", "args"]
            )
            | st.text(max_size=8),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(
    st.dictionaries(st.sampled_from([*sorted(manifest()["spec"]), "access", "prices"]), json_values)
)
def test_no_document_makes_the_reader_fall(spec: dict[str, Any]) -> None:
    """Reading never raises: whatever is wrong is a finding."""
    draft = read({**manifest(), "spec": spec})

    assert isinstance(draft, Draft)


@given(st.binary(max_size=300) | json_values.map(lambda v: json.dumps(v).encode()))
def test_no_bytes_make_the_reader_fall(body: bytes) -> None:
    """Whatever is sent is a draft or a refusal."""
    for content_type in (YAML, "application/json"):
        with contextlib.suppress(ManifestUnreadable):
            assert isinstance(read_bytes(body, content_type), Draft)


def test_quantities_are_exact() -> None:
    assert [int(quantity(q)) for q in ("1Ki", "1.5Gi", "2k", 3)] == [1024, 1610612736, 2000, 3]
    for wrong in ("", "1 Gi", "-1", "1e9", "\u0661"):
        with pytest.raises(ValueError, match="quantity"):
            quantity(wrong)
