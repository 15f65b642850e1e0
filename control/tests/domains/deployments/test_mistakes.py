"""Every mistake of the catalogue is answered with where, what, why and what to do, and costs nothing."""

import copy
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
import yaml
from databases import SECRET_KEY, Templates
from imports import Scripted
from machines import OneNode
from mistakes import BASE, Mistake, catalogue, reasons
from platform_api import ADMIN_KEY, Api
from sqlalchemy import text
from worlds import SIGNATURE

import towpath_server
from towpath_server.adapters.facilities import Facilities
from towpath_server.adapters.sources.errors import SourceFailed
from towpath_server.api import create_app
from towpath_server.core.clock import FixedClock
from towpath_server.core.config import ComputeSettings, Settings
from towpath_server.core.db import Database
from towpath_server.core.secret import Secret
from towpath_server.domains.deployments import service as deployments
from towpath_server.domains.deployments.models import Phase
from towpath_server.domains.imports.reconcile import Runner
from towpath_server.domains.policies import service as policies
from towpath_server.domains.users import service as users

pytestmark = pytest.mark.asyncio(loop_scope="module")

MISTAKES = catalogue()
MANIFESTS = [mistake for mistake in MISTAKES if mistake.promote is None]
PROMOTIONS = [mistake for mistake in MISTAKES if mistake.promote is not None]
DOMAINS = Path(towpath_server.__file__).parent / "domains"
# Every table in which a deployment leaves something, and what gateways hear.
TABLES = (
    "deployments",
    "deployment_revisions",
    "endpoints",
    "targets",
    "replicas",
    "prices",
    "routing_changes",
)
RUNTIME: dict[str, Any] = {
    "apiVersion": "towpath.dev/v1alpha1",
    "kind": "Runtime",
    "metadata": {"name": "tiny", "version": "1.0"},
    "spec": {
        "formats": ["tiny"],
        "dialect": "kserve_v2",
        "operations": ["predict"],
        "command": ["{python}", "{model}", "{listen}"],
        "healthPath": "/health",
        "startupProbe": {"periodSeconds": 1, "failureThreshold": 5},
        "readinessProbe": {"periodSeconds": 1, "failureThreshold": 5},
        "args": {"threads": {"minimum": 1, "maximum": 4}},
    },
}


@dataclass
class Place:
    """The application, and who calls it."""

    db: Database
    callers: dict[str, Api]

    @property
    def api(self) -> Api:
        return self.callers["platform"]

    async def taken(self) -> dict[str, Any]:
        """Count everything that a deployment takes."""
        found: dict[str, Any] = {}
        async with self.db.read() as tx:
            for table in TABLES:
                found[table] = (await tx.execute(text(f"select count(*) from {table}"))).scalar()
        for environment in ("sandbox", "staging", "production"):
            state = await self.api.get(f"/quotas/care:{environment}/state")
            found[environment] = state["used"]
        return found

    async def refused(
        self, mistake: Mistake, document: Any, *, dry_run: bool, as_yaml: bool
    ) -> list[dict[str, Any]]:
        """Hand a manifest in, and return the findings."""
        body = yaml.safe_dump(document, sort_keys=False).encode() if as_yaml else None
        answer = await self.callers[mistake.caller].call(
            "POST",
            f"/deployments?environment={mistake.environment}&dry_run={str(dry_run).lower()}",
            None if as_yaml else document,
            content=body,
            headers={"content-type": "application/yaml"} if as_yaml else None,
            status=mistake.status,
        )
        found: list[dict[str, Any]] = answer.json()["findings"]
        return found

    async def not_promoted(self, mistake: Mistake, *, dry_run: bool) -> list[dict[str, Any]]:
        """Send a promotion, and return the findings."""
        answer = await self.callers[mistake.caller].call(
            "POST",
            f"/deployments/{mistake.deployment}/promote?environment=staging"
            f"&dry_run={str(dry_run).lower()}",
            dict(mistake.promote or {}),
            status=mistake.status,
        )
        found: list[dict[str, Any]] = answer.json()["findings"]
        return found

    @asynccontextmanager
    async def ruled(self, mistake: Mistake) -> AsyncIterator[None]:
        """Let the team have the quota, and everybody the policies, that a mistake runs into."""
        quota = None
        if mistake.quota is not None:
            body = {"team": "care", "environment": mistake.to, **mistake.quota}
            quota = await self.api.create("/quotas", **body)
        for name, mode in mistake.policies.items():
            document = copy.deepcopy(policies.default(name).document)
            document["spec"]["mode"] = mode
            await self.api.create("/policies", **document)
        yield
        for name in mistake.policies:
            await self.api.call("DELETE", f"/policies/{name}", status=204)
        if quota is not None:
            await self.api.call("DELETE", f"/quotas/{quota['id']}", status=204)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared_engine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(
    shared_engine: str,
    templates: Templates,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> AsyncIterator[Place]:
    """A team with a model, a project beside it that has names, and nothing deployed."""
    if shared_engine == "postgresql":
        templates.postgres = request.getfixturevalue("postgresql")
    async with _place(shared_engine, templates, tmp_path_factory.mktemp("place")) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def promoting(
    shared_engine: str,
    templates: Templates,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> AsyncIterator[Place]:
    """The same with two deployments in staging: `served`, and `waiting`, which is not Ready."""
    if shared_engine == "postgresql":
        templates.postgres = request.getfixturevalue("postgresql")
    async with _place(shared_engine, templates, tmp_path_factory.mktemp("promoting")) as made:
        served = await _deployed(made.api, "served")
        await _deployed(made.api, "waiting")
        async with made.db.write() as tx:
            view = await deployments.load(tx, served)
            assert view is not None
            await deployments.expose(tx, view)
            view = await deployments.load(tx, served)
            assert view is not None
            await deployments.conclude(tx, view, Phase.READY, view.deployment.conditions, None)
        yield made


async def _deployed(api: Api, name: str) -> str:
    document = {**copy.deepcopy(BASE), "metadata": {"name": name, "project": "care/triage"}}
    made = await api.call("POST", "/deployments?environment=staging", document, status=201)
    return str(made.json()["id"])


@asynccontextmanager
async def _place(engine: str, templates: Templates, folder: Path) -> AsyncIterator[Place]:
    settings = Settings(
        data=folder,
        secret_key=SECRET_KEY,
        admin_key=Secret(ADMIN_KEY),
        runtimes_dir=_runtimes(folder / "runtimes"),
        compute=ComputeSettings(threads=2),
    )
    clock = FixedClock(datetime(2026, 11, 23, 12, 0, tzinfo=UTC))
    async with AsyncExitStack() as stack:
        database = templates.database(engine, folder / "control", clock)
        db = await stack.enter_async_context(database)
        async with db.write() as tx:
            await users.ensure_admin_key(tx, settings.admin_key)
        app = create_app(db, settings)
        app.state.facilities = replace(app.state.facilities, servers=OneNode())
        client = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app), base_url="http://towpath.test"
        )
        api = Api(await stack.enter_async_context(client), ADMIN_KEY)
        callers = await _callers(api)
        await _fetch_in_vain(db, api, app.state.facilities)
        yield Place(db, callers)


def _runtimes(folder: Path) -> Path:
    """
    Write five runtimes of one format.

    Two say how much memory they take, one starts a program that is nowhere, one needs a network of
    its own.
    """
    folder.mkdir()
    for name, overhead in (("tiny", None), ("measured", 1 << 30), ("enormous", 1 << 40)):
        description = copy.deepcopy(RUNTIME)
        description["metadata"]["name"] = name
        if overhead is not None:
            description["spec"]["memory"] = {"overheadBytes": overhead}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(description))
    for name, change in (
        ("uninstalled", {"programs": ["its-server"]}),
        ("exposed", {"listen": "port", "ownNetwork": True}),
    ):
        description = copy.deepcopy(RUNTIME)
        description["metadata"]["name"] = name
        description["spec"] |= change
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(description))
    return folder


async def _callers(api: Api) -> dict[str, Api]:
    await api.create("/teams", name="care")
    await api.create("/projects", team="care", name="triage")
    await api.create("/projects", team="care", name="other")
    await api.create("/teams", name="sales")
    await api.create("/projects", team="sales", name="offers")
    await api.create("/models", name="foreign", project="sales/offers")
    await _version(api, "triage", signature=SIGNATURE)
    await _version(api, "bare")
    for name, project in (("front", "care/other"), ("own-front", "care/triage")):
        static = {"url": "http://gpu-9.internal:9/v1", "model": "tiny", "name": f"{name}-server"}
        await api.create(
            "/endpoints",
            name=name,
            environment="sandbox",
            project=project,
            targets=[{"weight": 100, "static": static}],
        )
    found = {"platform": api}
    for role in ("viewer", "developer"):
        user = await api.create("/users", name=role, email=f"{role}@example.org")
        await api.create("/members", team="care", user=user["id"], role=role)
        token = await api.create(f"/users/{user['id']}/tokens", name="laptop")
        found[role] = api.as_(token["token"])
    return found


async def _fetch_in_vain(db: Database, api: Api, facilities: Facilities) -> None:
    """Let the Hub refuse what some of the mistakes name; a minute long that is known."""
    for uri, reason, fix in (
        ("hf://acme/triage:v9", "NotFoundThere", "Check the name of the branch, tag or commit."),
        (
            "hf://acme/gated",
            "Gated",
            "Agree to its terms there, and give the connection that account's token.",
        ),
    ):
        failure = SourceFailed(reason, "The Hub says no.", fix=fix)
        runner = Runner(db, facilities, Scripted(listing_cues=[failure]).open)
        begun = await api.call("POST", "/models/triage/imports", {"uri": uri}, status=202)
        while await runner.step(begun.json()["id"]):
            continue


async def _version(api: Api, model: str, **more: Any) -> None:
    content = f"weights of {model}".encode()
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    await api.call("PUT", f"/blobs/{digest}", content=content, status=201)
    files = [{"path": "model.bin", "digest": digest, "size": len(content)}]
    await api.create(
        f"/models/{model}/versions", project="care/triage", format="tiny", files=files, **more
    )


async def test_the_catalogue_is_large_and_each_mistake_stands_in_it_once() -> None:
    names = [mistake.mistake for mistake in MISTAKES]

    assert len(names) == len(set(names)) >= 60


async def test_every_reason_is_explained_and_shown_by_a_mistake() -> None:
    """But for those that need more than a manifest, which have tests of their own."""
    elsewhere = {"BeingDeleted", "CarriesCode", "Fetching", "NoCompute", "NotFetched"}

    assert {mistake.reason for mistake in MISTAKES} == set(reasons()) - elsewhere


@pytest.mark.parametrize("mistake", MANIFESTS, ids=lambda mistake: mistake.mistake)
async def test_a_mistake_is_answered_with_its_fix_and_takes_nothing(
    mistake: Mistake, place: Place
) -> None:
    """In a dry run and for good, as YAML and as JSON."""
    document = mistake.document()
    async with place.ruled(mistake):
        before = await place.taken()

        tried = await place.refused(mistake, document, dry_run=True, as_yaml=True)
        meant = await place.refused(mistake, document, dry_run=False, as_yaml=True)
        as_json = await place.refused(mistake, document, dry_run=False, as_yaml=False)

        after = await place.taken()
    (found,) = [one for one in meant if one["path"] == mistake.at]
    assert found["reason"] == mistake.reason
    assert mistake.fixed_by(found["fix"]), found
    assert {one["path"] for one in meant} == {mistake.at, *mistake.also}
    assert tried == meant
    assert as_json == [{k: v for k, v in one.items() if k != "line"} for one in meant]
    for one in meant:
        assert one["line"] > 0
        assert one["reason"]
        assert one["message"].endswith(".")
        assert one["fix"]
    assert after == before


@pytest.mark.parametrize("mistake", PROMOTIONS, ids=lambda mistake: mistake.mistake)
async def test_a_mistaken_promotion_is_answered_with_its_fix_and_takes_nothing(
    mistake: Mistake, promoting: Place
) -> None:
    """In a dry run and for good."""
    async with promoting.ruled(mistake):
        before = await promoting.taken()

        tried = await promoting.not_promoted(mistake, dry_run=True)
        meant = await promoting.not_promoted(mistake, dry_run=False)

        after = await promoting.taken()
    (found,) = [one for one in meant if one["path"] == mistake.at]
    assert found["reason"] == mistake.reason
    assert mistake.fixed_by(found["fix"]), found
    assert {one["path"] for one in meant} == {mistake.at, *mistake.also}
    assert tried == meant
    for one in meant:
        assert one["reason"]
        assert one["message"].endswith(".")
        assert one["fix"]
    assert after == before


async def test_many_mistakes_of_every_kind_are_answered_at_once(place: Place) -> None:
    """Nothing hides what is behind it: one answer has them all."""
    quota = await place.api.create("/quotas", team="care", environment="sandbox", cpu="500m")
    document = {
        **copy.deepcopy(BASE),
        "status": {},
        "metadata": {"name": "front", "project": "care/triage", "label": {}},
        "spec": {
            "model": {"uri": "models:/triage/1", "format": "onnx"},
            "runtime": {"name": "tiny", "args": ["--thread=1", "--threads=9"]},
            "resources": {
                "requests": {"cpu": "999", "memory": "999Ti"},
                "limits": {"memory": "1Gi"},
            },
            "scaling": {"minReplicas": 2},
            "access": {"allow": [{"team": "nobody"}], "callers": ["production"]},
            "prices": [{"inputPerMillion": "dear"}],
            "slo": {},
        },
    }
    document["metadata"].pop("label")
    before = await place.taken()
    mistake = Mistake("many", "", "", "")

    found = await place.refused(mistake, document, dry_run=False, as_yaml=True)

    await place.api.call("DELETE", f"/quotas/{quota['id']}", status=204)
    assert {one["reason"] for one in found} >= {
        "ReadOnly",
        "NameTaken",
        "FormatMismatch",
        "UnknownArgument",
        "OutOfRange",
        "ExceedsMachine",
        "DoesNotFit",
        "LimitBelowRequest",
        "QuotaExceeded",
        "UnknownTeam",
        "NotForProduction",
        "InvalidAmount",
        "NotSupportedYet",
    }
    assert all(one["fix"] and one["line"] for one in found)
    assert await place.taken() == before
