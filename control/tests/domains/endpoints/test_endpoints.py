"""Endpoints: their targets, who sees them, and what the gateway is told."""

from typing import Any

import pytest
from platform_api import Api

from towpath_server.core import revision
from towpath_server.core.db import Database
from towpath_server.core.money import Amounts
from towpath_server.core.seal import Sealer
from towpath_server.domains.endpoints import service as endpoints
from towpath_server.domains.prices import service as prices
from towpath_server.domains.providers import service as providers

SIGNATURE = {
    "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
    "outputs": [{"name": "embedding", "datatype": "FP32", "shape": [-1, 384]}],
}
STATIC = {"url": "http://gpu-7.internal:8000/v1", "model": "llama", "credential": "a-static-secret"}


@pytest.fixture(autouse=True)
async def _projects(api: Api) -> None:
    for team in ("care", "web"):
        await api.create("/teams", name=team)
        await api.create("/projects", team=team, name="chat")


def body(**changes: Any) -> dict[str, Any]:
    return {
        "name": "chat",
        "environment": "sandbox",
        "project": "care/chat",
        "targets": [{"static": STATIC, "weight": 100}],
        **changes,
    }


async def provider(api: Api, **changes: Any) -> Any:
    given = {
        "name": "vendor",
        "dialect": "openai",
        "base_url": "https://api.vendor.example/v1/",
        "credential": "a-vendor-secret",
        "region": "eu",
        "max_data_class": "internal",
        "models": [
            {
                "name": "large",
                "prices": [{"input_per_million": "0.15", "output_per_million": "0.6"}],
                "context_length": 128_000,
            }
        ],
    }
    return await api.create("/providers", **{**given, **changes})


async def refused(api: Api, status: int = 422, **changes: Any) -> Any:
    answer = await api.call("POST", "/endpoints", body(**changes), status=status)
    return answer.json()


async def test_an_endpoint_with_all_kinds_of_targets_reaches_the_gateway(
    api: Api, db: Database, sealer: Sealer
) -> None:
    await provider(api)
    made = await api.create(
        "/endpoints",
        **body(
            targets=[{"static": STATIC, "weight": 70}, {"provider": "vendor", "model": "large"}],
            fallback=[{"static": {**STATIC, "name": "spare", "credential": None}}],
            access={
                "visibility": "team",
                "allow": [{"project": "web/chat"}, {"team": "web"}],
                "callers": ["staging"],
            },
            timeouts={"first_byte": "1m30s"},
        ),
    )

    async with db.read() as tx:
        (endpoint,) = await endpoints.routed(tx)
        targets = {target.id: target for target in await endpoints.routed_targets(tx)}
        (sealed,) = await endpoints.routed_credentials(tx)
        (price,) = await prices.routed(tx)
        (vendor,) = await providers.routed_credentials(tx)
    assert (endpoint.visibility, endpoint.callers) == ("team", ("sandbox", "staging"))
    assert [kind for kind, _ in endpoint.allow] == ["project", "team"]
    assert endpoint.serving == {"timeouts": {"first_byte_ms": 90_000}}
    static, vended = (targets[target] for target, _ in endpoint.targets)
    ((kind, fallback),) = endpoint.fallback
    spare = targets[fallback]
    assert kind == "target"
    assert [weight for _, weight in endpoint.targets] == [70, 100]
    assert (static.kind, static.upstream_model, static.operator) == ("static", "llama", "internal")
    assert static.replicas[0].address == "http://gpu-7.internal:8000/v1"
    assert static.credential == sealed.id
    assert sealer.open(sealed.sealed, id=sealed.id).reveal() == "a-static-secret"
    assert (vended.provider, vended.operator, vended.region) == ("vendor", "external", "eu")
    assert vended.replicas[0].address == "https://api.vendor.example/v1"
    assert (vended.prices, vended.credential) == ((price.id,), vendor.id)
    assert price.amounts == Amounts(150_000_000, 600_000_000)
    assert (spare.name, spare.credential) == ("spare", None)
    assert "secret" not in str(made)


async def test_every_finding_comes_at_once(api: Api) -> None:
    await provider(api)

    problem = await refused(
        api,
        targets=[
            {"deployment": "absent"},
            {"provider": "vender", "model": "large"},
            {"provider": "vendor", "model": "larg"},
            {"static": {**STATIC, "url": "ftp://x"}},
            {"static": {**STATIC, "dialect": "kserve_v2"}},
        ],
        access={"allow": [{"team": "nobody"}], "callers": ["production"]},
    )

    found = {entry["path"]: entry.get("fix") for entry in problem["findings"]}
    assert set(found) == {
        "#/targets/0/deployment",
        "#/targets/1/provider",
        "#/targets/2/model",
        "#/targets/3/static/url",
        "#/targets/4/static/signature",
        "#/access/allow/0/team",
        "#/access/callers",
    }
    assert found["#/targets/1/provider"] == "Did you mean `vendor`?"
    assert found["#/targets/2/model"] == "Did you mean `large`?"
    assert (await api.get("/endpoints"))["items"] == []


async def test_a_dialect_that_is_not_spoken_is_refused_at_creation(api: Api) -> None:
    problem = await refused(api, targets=[{"static": {**STATIC, "dialect": "bedrock"}}])
    vendor = await api.call(
        "POST",
        "/providers",
        {"name": "a", "dialect": "bedrock", "base_url": "https://x.example"},
        status=422,
    )

    for found in (problem, vendor.json()):
        assert found["code"] == "dialect_unsupported"
        assert "`openai`" in found["fix"]


@pytest.mark.parametrize("dialect", ["anthropic", "kserve_v2", "kserve_grpc"])
async def test_every_dialect_of_the_gateway_is_one_of_static_servers(
    api: Api, db: Database, dialect: str
) -> None:
    static = {"url": "http://gpu-7.internal:8000", "model": "llama", "dialect": dialect}
    signature = {"signature": SIGNATURE} if dialect.startswith("kserve") else {}

    await api.create("/endpoints", **body(targets=[{"static": {**static, **signature}}]))

    async with db.read() as tx:
        (target,) = await endpoints.routed_targets(tx)
    assert target.dialect == dialect
    assert set(target.operations) == (
        {"embeddings", "predict"} if signature else {"chat", "count_tokens"}
    )


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8000",
        "file:///etc/passwd",
        "http://",
        "http://user:pass@host/v1",
        "http://host/v1?x=1",
        "http://169.254.169.254/latest",
        "http://[fe80::1]/v1",
        "http://metadata.google.internal/v1",
        "http://127.0.0.1:9/v1",
        "http://localhost:9/v1",
        "http://[::ffff:127.0.0.1]:9/v1",
        "http://0.0.0.0:9/v1",
        "http://host:99999/v1",
        "http://ho st/v1",
    ],
)
async def test_addresses_that_must_not_be_called_are_refused(api: Api, url: str) -> None:
    problem = await refused(api, targets=[{"static": {**STATIC, "url": url}}])

    assert problem["findings"][0]["path"] == "#/targets/0/static/url"
    assert "pass@" not in str(problem)


async def test_a_name_belongs_to_one_project_in_all_environments(api: Api) -> None:
    await api.create("/endpoints", **body())

    taken = await refused(api, 409)
    elsewhere = await refused(api, 409, project="web/chat", environment="production")
    await api.create("/endpoints", **body(environment="production"))

    assert (taken["code"], elsewhere["code"]) == ("name_taken", "name_taken")


async def test_a_name_is_free_again_once_nobody_has_it(api: Api) -> None:
    await api.create("/endpoints", **body())
    await api.call("DELETE", "/endpoints/chat", status=204)

    await api.create("/endpoints", **body(project="web/chat"))


async def test_keys_list_what_keys_of_their_environment_may_call(api: Api) -> None:
    await api.create("/endpoints", **body(name="own"))
    await api.create("/endpoints", **body(name="other-team", project="web/chat"))
    await api.create("/endpoints", **body(name="staged", environment="staging"))
    await api.create(
        "/endpoints",
        **body(
            name="shared",
            environment="production",
            project="web/chat",
            access={"visibility": "organization", "callers": ["sandbox"]},
        ),
    )
    await api.create(
        "/endpoints",
        **body(name="allowed", project="web/chat", access={"allow": [{"project": "care/chat"}]}),
    )
    key = await api.create("/keys", project="care/chat", environment="sandbox", name="k")

    listed = await api.as_(key["key"]).get("/endpoints")
    hidden = await api.as_(key["key"]).get("/endpoints/other-team", status=404)

    assert sorted(one["name"] for one in listed["items"]) == ["allowed", "own", "shared"]
    assert hidden["code"] == "not_found"


async def test_an_unchanged_static_target_keeps_its_secret(api: Api, db: Database) -> None:
    made = await api.create("/endpoints", **body())
    kept = {name: value for name, value in STATIC.items() if name != "credential"}

    changed = await api.call(
        "PATCH",
        f"/endpoints/{made['id']}",
        {"targets": [{"static": kept, "weight": 5}, {"static": {**kept, "name": "second"}}]},
        headers={"if-match": '"1"'},
        status=200,
    )
    stale = await api.call(
        "PATCH", f"/endpoints/{made['id']}", {"timeouts": {}}, headers={"if-match": '"1"'}
    )

    targets = changed.json()["targets"]
    assert targets[0]["id"] == made["targets"][0]["id"]
    assert (targets[0]["weight"], changed.json()["revision"]) == (5, 2)
    async with db.read() as tx:
        assert len(await endpoints.routed_credentials(tx)) == 1
    assert stale.status_code == 412


async def test_what_vanishes_is_told_to_the_gateway(api: Api, db: Database) -> None:
    made = await api.create("/endpoints", **body())
    async with db.read() as tx:
        before = await revision.current(tx)
        (credential,) = await endpoints.routed_credentials(tx)

    await api.call("DELETE", "/endpoints/chat", status=204)

    async with db.read() as tx:
        changes = {(c.noun, c.id) for c in await revision.since(tx, before, 100)}
        assert await endpoints.routed_targets(tx) == []
    assert changes == {
        ("endpoint", made["id"]),
        ("target", made["targets"][0]["id"]),
        ("credential", credential.id),
    }


async def test_a_target_with_weight_zero_only_takes_no_traffic(api: Api) -> None:
    problem = await refused(api, targets=[{"static": STATIC, "weight": 0}])

    assert "every weight is 0" in problem["detail"]


async def test_an_endpoint_of_no_project_is_the_platforms_own(api: Api) -> None:
    given = body()
    given.pop("project")

    made = await api.create("/endpoints", **given)

    assert (made["project"], made["access"]["visibility"]) == (None, "organization")


async def test_a_near_name_is_suggested(api: Api) -> None:
    await api.create("/endpoints", **body(name="sentiment-classifier"))

    problem = await api.get("/endpoints/sentimant-classifier", status=404)

    assert problem["fix"] == "Did you mean `sentiment-classifier`?"
