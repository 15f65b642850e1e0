"""Deploying through the API: what is checked, what is refused, and what is left after a refusal."""

from typing import Any

import pytest
import yaml
from worlds import World

from towpath_server.core import revision


async def _refused(world: World, manifest: Any, environment: str = "sandbox") -> Any:
    answer = await world.api.call(
        "POST",
        f"/deployments?environment={environment}",
        content=yaml.safe_dump(manifest, sort_keys=False).encode(),
        headers={"content-type": "application/yaml"},
        status=422,
    )
    return answer.json()


def _by_pointer(problem: Any) -> dict[str, Any]:
    return {entry["path"]: entry for entry in problem["findings"]}


async def test_a_refusal_lists_everything_and_leaves_nothing(world: World) -> None:
    manifest = world.manifest(
        model={"uri": "models:/triaje/1"},
        runtime={"name": "tinny"},
        resources={"requests": {"cpu": "999"}},
        access={"allow": [{"team": "nobody"}], "callers": ["production"]},
        slo={},
    )

    problem = await _refused(world, manifest)

    found = _by_pointer(problem)
    assert problem["code"] == "manifest_invalid"
    assert set(found) == {
        "#/spec/slo",
        "#/spec/model/uri",
        "#/spec/runtime/name",
        "#/spec/resources/requests/cpu",
        "#/spec/access/allow/0/team",
        "#/spec/access/callers",
    }
    assert found["#/spec/model/uri"]["fix"] == "Did you mean `triage`?"
    assert found["#/spec/runtime/name"]["fix"] == "Did you mean `tiny`?"
    assert all(entry["line"] > 0 for entry in found.values())
    assert (await world.api.get("/deployments"))["items"] == []
    assert (await world.api.get("/endpoints"))["items"] == []
    async with world.db.read() as tx:
        before = await revision.current(tx)
    await _refused(world, manifest)
    async with world.db.read() as tx:
        assert await revision.current(tx) == before


@pytest.mark.parametrize(
    ("spec", "pointer", "says"),
    [
        ({"model": {"uri": "models:/triage/9"}}, "#/spec/model/uri", "`triage/9`"),
        (
            {"model": {"uri": "models:/triage/1", "format": "gguf"}},
            "#/spec/model/format",
            "`tiny`, not `gguf`",
        ),
        (
            {"model": {"uri": "models:/triage/1", "digest": f"sha256:{'0' * 64}"}},
            "#/spec/model/digest",
            "not this one",
        ),
        ({"runtime": {"name": "llama.cpp"}}, "#/spec/runtime/name", "does not serve"),
        (
            {"runtime": {"name": "tiny", "version": "9"}},
            "#/spec/runtime/version",
            "no version `9`",
        ),
        (
            {"runtime": {"name": "tiny", "args": ["--thread=1"]}},
            "#/spec/runtime/args/0",
            "is not an argument",
        ),
        (
            {"runtime": {"name": "tiny", "args": ["--threads=99"]}},
            "#/spec/runtime/args/0",
            "between 1 and 4",
        ),
        (
            {"runtime": {"name": "tiny", "args": ["--threads", "2"]}},
            "#/spec/runtime/args/0",
            "not `--name=value`",
        ),
        (
            {"resources": {"requests": {"memory": "999Ti"}}},
            "#/spec/resources/requests/memory",
            "does not fit",
        ),
        (
            {"resources": {"limits": {"nvidia.com/gpu": 3}}, "scaling": {"minReplicas": 2}},
            "#/spec/resources/limits/nvidia.com~1gpu",
            "asks for 6 GPUs in all",
        ),
        (
            {"resources": {"requests": {"memory": "2Mi"}, "limits": {"memory": "1Mi"}}},
            "#/spec/resources/limits/memory",
            "below what is requested",
        ),
    ],
)
async def test_a_manifest_is_checked_against_what_there_is(
    world: World, spec: dict[str, Any], pointer: str, says: str
) -> None:
    found = _by_pointer(await _refused(world, world.manifest(**spec)))

    assert next(iter(found)) == pointer
    assert says in found[pointer]["message"]


async def test_a_dry_run_says_what_would_come_of_it_and_changes_nothing(world: World) -> None:
    answer = await world.api.call(
        "POST",
        "/deployments?environment=sandbox&dry_run=true",
        world.manifest(resources={"requests": {"memory": "64Mi"}}),
        status=200,
    )

    assert answer.json()["message"] == (
        "models:/triage/1 on tiny 1.0, 1 replica, quota 1 of 10 replicas, 0.06 GiB requested"
    )
    assert answer.json()["operations"] == ["predict"]
    assert (await world.api.get("/deployments"))["items"] == []


async def test_gpus_of_a_replica_reach_the_gateways_with_the_price_of_their_seconds(
    world: World,
) -> None:
    limits = {"limits": {"nvidia.com/gpu": 2}}

    made = await world.deploy(resources=limits, prices=[{"gpuSecond": "0.001"}])

    target = await world.target(made["id"])
    assert target is not None
    assert made["gpus"] == target.handling.gpus == 2
    assert made["prices"][0]["gpu_second"] == "0.001"
    assert target.prices == (made["prices"][0]["id"],)
    assert (await world.deploy())["gpus"] is None


async def test_the_manifest_is_kept_with_the_content_it_meant(world: World) -> None:
    made = await world.deploy()

    model = made["manifest"]["spec"]["model"]

    assert model["uri"] == "models:/triage/1"
    assert model["format"] == "tiny"
    assert model["digest"] == made["model"]["digest"]


async def test_a_name_is_one_projects_in_all_environments(world: World) -> None:
    await world.deploy()
    await world.api.create("/projects", team="care", name="other")
    manifest = world.manifest()
    manifest["metadata"]["project"] = "care/other"

    found = _by_pointer(await _refused(world, manifest, "production"))

    assert "belongs to another project" in found["#/metadata/name"]["message"]


async def test_the_same_name_in_two_environments_needs_the_environment(world: World) -> None:
    await world.deploy()
    await world.api.call("POST", "/deployments?environment=staging", world.manifest(), status=201)

    ambiguous = await world.api.get("/deployments/triage", status=422)
    one = await world.api.get("/deployments/triage?environment=staging")

    assert "environment=sandbox" in ambiguous["fix"]
    assert one["environment"] == "staging"


async def test_an_endpoint_of_a_deployment_changes_with_it_alone(world: World) -> None:
    await world.deploy()
    endpoint = (await world.api.get("/endpoints/triage"))["id"]

    for method, body in (("PATCH", {"access": {"visibility": "team"}}), ("DELETE", None)):
        answer = await world.api.call(method, f"/endpoints/{endpoint}", body, status=409)
        assert answer.json()["code"] == "endpoint_declared"


async def test_a_deployment_that_others_use_stays(world: World) -> None:
    await world.deploy()
    await world.api.create(
        "/endpoints",
        name="front",
        environment="sandbox",
        project="care/triage",
        targets=[{"deployment": "triage", "weight": 1}],
    )

    in_use = await world.api.call("DELETE", "/deployments/triage", status=409)
    await world.api.call("DELETE", "/endpoints/front", status=204)
    await world.api.call("DELETE", "/deployments/triage", status=204)
    again = await world.api.call(
        "POST", "/deployments?environment=sandbox", world.manifest(), status=409
    )

    assert "endpoint front" in in_use.json()["detail"]
    assert again.json()["code"] == "being_deleted"


async def test_a_model_that_is_served_stays(world: World) -> None:
    made = await world.deploy()

    answer = await world.api.call("DELETE", "/models/triage", status=409)
    await world.api.call("DELETE", f"/deployments/{made['id']}", status=204)
    await world.until_gone(made["id"])
    await world.api.call("DELETE", "/models/triage", status=204)

    assert "deployment triage" in answer.json()["detail"]


async def test_a_change_for_an_older_revision_is_refused(world: World) -> None:
    await world.deploy()

    answer = await world.api.call(
        "POST",
        "/deployments?environment=sandbox",
        world.manifest(),
        headers={"if-match": '"7"'},
    )

    assert answer.status_code == 412
    assert (await world.get())["revision"] == 1


async def test_who_lists_endpoints_sees_what_the_deployment_serves(world: World) -> None:
    await world.deploy(access={"maxDataClass": "internal"})

    (target,) = (await world.api.get("/endpoints/triage"))["targets"]

    assert (target["model"], target["operations"]) == ("models:/triage/1", ["predict"])
    assert (target["max_data_class"], target["ready"]) == ("internal", False)
    assert target["note"] == "It is being deployed."


async def _alias(world: World, version: int) -> None:
    body = {"version": version, "reason": "the better one"}
    await world.api.call("PUT", "/models/triage/aliases/champion", body, status=200)


async def test_an_alias_is_resolved_once_and_both_names_are_remembered(world: World) -> None:
    await world.version("weights of the second version")
    await _alias(world, 2)

    deployed = await world.deploy(model={"uri": "models:/triage@champion"})
    await _alias(world, 1)

    after = await world.get()
    assert after["model"] == deployed["model"]
    assert after["model"]["version"] == 2
    manifest = after["manifest"]
    assert manifest["spec"]["model"]["uri"] == "models:/triage/2"
    assert manifest["spec"]["model"]["digest"] == after["model"]["digest"]
    assert manifest["metadata"]["annotations"] == {"towpath.dev/alias": "champion"}


async def test_an_alias_that_is_not_there_is_a_finding_with_the_right_one(world: World) -> None:
    await _alias(world, 1)

    problem = await _refused(world, world.manifest(model={"uri": "models:/triage@champoin"}))

    finding = _by_pointer(problem)["#/spec/model/uri"]
    assert (finding["reason"], finding["fix"]) == ("UnknownAlias", "Did you mean `champion`?")


async def test_a_model_and_an_alias_that_a_deployment_uses_stay(world: World) -> None:
    await _alias(world, 1)
    await world.deploy(model={"uri": "models:/triage@champion"})

    for path in ("/models/triage", "/models/triage/aliases/champion"):
        refused = await world.api.call("DELETE", path, status=409)
        assert refused.json()["code"] == "in_use"
        assert "`deployment triage`" in refused.json()["detail"]


async def test_an_alias_goes_that_only_other_manifests_named(world: World) -> None:
    await _alias(world, 1)
    await world.deploy(model={"uri": "models:/triage/1"})

    await world.api.call("DELETE", "/models/triage/aliases/champion", status=204)
