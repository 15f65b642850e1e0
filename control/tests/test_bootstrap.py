"""The first start creates the demo whole, once; a later one changes nothing."""

import asyncio
import json
from pathlib import Path

import artifacts
import pytest

from towpath_server import bootstrap
from towpath_server.adapters.facilities import Facilities
from towpath_server.core import revision
from towpath_server.core.access import SYSTEM
from towpath_server.core.paging import Window
from towpath_server.domains.deployments import service as deployments
from towpath_server.domains.keys import service as keys
from towpath_server.domains.models import service as models
from towpath_server.domains.teams import service as teams
from towpath_server.gatewaylink import platform
from towpath_server.gatewaylink.watch import Watch

MANIFEST = """
apiVersion: towpath.dev/v1alpha1
kind: ModelDeployment
metadata: {{name: {name}}}
spec:
  model: {{uri: "{uri}", format: onnx}}
  runtime: {{name: {runtime}}}
  access: {{visibility: organization}}
"""
SIGNATURE = {
    "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
    "outputs": [{"name": "label", "datatype": "BYTES", "shape": [-1]}],
}


def prepare(folder: Path, name: str, *, uri: str = "file:./model", runtime: str = "onnx") -> None:
    """Lay a prepared model down as the set-up does."""
    place = folder / name
    (place / "model").mkdir(parents=True)
    (place / "model" / "model.onnx").write_bytes(artifacts.texts_to_labels(name))
    (place / "card.md").write_text(f"# {name}\n")
    (place / "signature.json").write_text(json.dumps(SIGNATURE))
    (place / "towpath.yaml").write_text(MANIFEST.format(name=name, uri=uri, runtime=runtime))


class Said:
    """What was told to the supervisor."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def __call__(self, event: str, **fields: object) -> None:
        self.events.append((event, fields))

    def __getitem__(self, event: str) -> dict[str, object]:
        return dict(self.events)[event]


@pytest.fixture
def demo_settings(settings, tmp_path):
    return settings.model_copy(update={"demo_dir": tmp_path / "demo", "admin_key": None})


async def start(db, settings) -> Said:
    said = Said()
    facilities = Facilities.of(settings)
    for part in facilities.folder.parts():
        part.mkdir(parents=True, exist_ok=True)
    await bootstrap.first_start(db, settings, facilities, said)
    return said


async def deployed(db) -> dict[str, object]:
    async with db.read() as tx:
        found = await deployments.list(tx, SYSTEM, Window(), environment=None, project=None)
        return {view.deployment.name: view.deployment for view in found.items}


async def test_a_first_start_creates_team_key_and_a_deployment_of_every_model(
    db, demo_settings, tmp_path
):
    prepare(tmp_path / "demo", "one")
    prepare(tmp_path / "demo", "two")

    said = await start(db, demo_settings)

    found = await deployed(db)
    assert set(found) == {"one", "two"}
    assert str(said["keys"]["demo_key"]).startswith("tp_sandbox_")
    assert str(said["keys"]["admin_key"]).startswith("tp_admin_")
    async with db.read() as tx:
        version = await models.get_version(tx, SYSTEM, "one", 1)
        (key,) = (await keys.list(tx, SYSTEM, Window())).items
        awaited = await platform.awaited(tx)
    assert version.card == "# one\n"
    assert version.signature == SIGNATURE
    assert (key.environment, set(key.scopes)) == ("sandbox", {"invoke", "read", "deploy"})
    assert set(awaited) == {deployment.endpoint_id for deployment in found.values()}


async def test_a_second_start_changes_nothing_and_announces_no_key(db, demo_settings, tmp_path):
    prepare(tmp_path / "demo", "one")
    await start(db, demo_settings)
    async with db.read() as tx:
        before = await revision.current(tx)

    said = await start(db, demo_settings)

    async with db.read() as tx:
        assert await revision.current(tx) == before
    assert said.events == []


async def test_without_the_demo_there_is_an_admin_key_and_nothing_else(db, demo_settings, tmp_path):
    prepare(tmp_path / "demo", "one")

    said = await start(db, demo_settings.model_copy(update={"demo": False}))

    async with db.read() as tx:
        assert not await teams.exists(tx)
    assert set(said["keys"]) == {"admin_key"}


async def test_an_admin_key_that_was_given_is_not_announced(db, settings, tmp_path):
    said = await start(db, settings.model_copy(update={"demo": False}))

    assert said.events == []


@pytest.mark.parametrize(
    "broken",
    [
        {"runtime": "nosuch"},
        {"uri": "file:../../etc/passwd"},
        {"uri": "https://example.com/model.onnx"},
        {"uri": "file:./missing"},
    ],
)
async def test_a_model_that_cannot_be_deployed_is_left_out_whole(
    db, demo_settings, tmp_path, broken
):
    prepare(tmp_path / "demo", "good")
    prepare(tmp_path / "demo", "bad", **broken)

    await start(db, demo_settings)

    assert set(await deployed(db)) == {"good"}
    async with db.read() as tx:
        names = [model.name for model in (await models.list(tx, SYSTEM, Window())).items]
    assert names == ["good"]


async def test_readiness_waits_for_the_demo_once_and_never_again(db, demo_settings, tmp_path):
    prepare(tmp_path / "demo", "one")
    await start(db, demo_settings)

    async with db.write() as tx:
        loading = await platform.settle(tx)
    (deployment,) = (await deployed(db)).values()
    async with db.write() as tx:
        await deployments.delete(tx, SYSTEM, deployment.id, environment=None, if_match=None)
        await deployments.forget(tx, deployment)
        gone = await platform.settle(tx)
        awaited = await platform.awaited(tx)

    assert (loading, gone, awaited) == (False, True, [])


async def test_a_start_tells_which_models_load_until_they_are_gone_or_loaded(
    db, demo_settings, tmp_path
):
    """What is declared and cannot be called is loading; what is deleted is waited for no longer."""
    prepare(tmp_path / "demo", "one")
    await start(db, demo_settings)
    (deployment,) = (await deployed(db)).values()
    told = asyncio.Event()

    class Telling(Said):
        def __call__(self, event: str, **fields: object) -> None:
            super().__call__(event, **fields)
            told.set()

    async def applied(_revision: int) -> bool:
        return True

    said, watch = Telling(), Watch(db)
    waiting = asyncio.create_task(bootstrap.loaded(db, watch, said, applied))
    await told.wait()
    async with db.write() as tx:
        await deployments.delete(tx, SYSTEM, deployment.id, environment=None, if_match=None)
    await waiting

    assert said.events[0] == ("loading", {"names": ["one"]})
    assert said.events[-1] == ("loaded", {"names": [], "missing": []})


async def test_a_model_that_never_loads_keeps_nobody_waiting(
    db, demo_settings, tmp_path, monkeypatch
):
    prepare(tmp_path / "demo", "one")
    await start(db, demo_settings)
    monkeypatch.setattr(bootstrap, "LOAD_LIMIT_S", 0.0)  # a minute is no test
    said = Said()

    async def applied(_revision: int) -> bool:
        return True

    await bootstrap.loaded(db, Watch(db), said, applied)

    assert said["loaded"] == {"names": [], "missing": ["one"]}
