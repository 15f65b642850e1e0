"""A team with a registered model, the API to deploy it, and the loop that does it."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import yaml
from machines import WAIT_S, Machine
from platform_api import Api
from proving import TrialGateway

from towpath_server.adapters.facilities import Facilities
from towpath_server.core.clock import FixedClock
from towpath_server.core.db import Database
from towpath_server.domains.deployments import service as deployments
from towpath_server.domains.deployments.reconcile import Reconciler, Tester
from towpath_server.domains.endpoints.models import RoutedTarget

SIGNATURE = {
    "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
    "outputs": [{"name": "label", "datatype": "BYTES", "shape": [-1]}],
}


@dataclass
class World:
    """Everything between a manifest and a process."""

    db: Database
    clock: FixedClock
    api: Api
    machine: Machine
    facilities: Facilities
    shown: Callable[[str], Awaitable[Any]] | None = None
    """Returns a deployment by id, where `get` would not find the one that is meant."""
    mode: str = "once"
    """How steps are driven: `once`, `twice`, or with a `crash` of the control plane before each."""

    def __post_init__(self) -> None:
        self.gateway = TrialGateway(self.db)
        self._reconciler()

    async def restart(self) -> None:
        """Let the control plane die and come back; model servers are left as they are."""
        await self.machine.restart()
        self._reconciler()

    def _reconciler(self) -> None:
        self.changed = asyncio.Event()
        self.machine.replicas.on_change(lambda _: self.changed.set())
        self.reconciler = Reconciler(self.db, self.facilities, self.machine.replicas)
        self.ended = asyncio.Event()
        self.reconciler.endings.over = lambda _: self.ended.set()
        self.tester = Tester(self.db, self.gateway, sources=("127.0.0.0/8",), applied=self._applied)

    async def _applied(self, _revision: int) -> bool:
        return True

    async def prepare(self) -> None:
        """Make a team, a project, and version 1 of the model `triage`."""
        await self.api.create("/teams", name="care")
        await self.api.create("/projects", team="care", name="triage")
        await self.version("weights of the first version")

    async def version(self, weights: str, **more: Any) -> Any:
        """Register one more version of `triage`."""
        content = weights.encode()
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        await self.api.call("PUT", f"/blobs/{digest}", content=content, status=201)
        return await self.api.create(
            "/models/triage/versions",
            project="care/triage",
            format="tiny",
            files=[{"path": "model.bin", "digest": digest, "size": len(content)}],
            signature=SIGNATURE,
            **more,
        )

    def manifest(self, **spec: Any) -> dict[str, Any]:
        """Return a manifest of `triage`, with parts of its `spec` changed."""
        return {
            "apiVersion": "towpath.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": "triage", "project": "care/triage"},
            "spec": {"model": {"uri": "models:/triage/1"}, "runtime": {"name": "tiny"}, **spec},
        }

    async def deploy(self, manifest: Any = None, **spec: Any) -> Any:
        """Deploy to the sandbox, as YAML."""
        body = yaml.safe_dump(manifest or self.manifest(**spec)).encode()
        answer = await self.api.call(
            "POST",
            "/deployments?environment=sandbox",
            content=body,
            headers={"content-type": "application/yaml"},
        )
        assert answer.status_code in {200, 201}, answer.text
        return answer.json()

    async def get(self) -> Any:
        """Return the deployment as the API shows it."""
        return await self.api.get("/deployments/triage")

    async def target(self, deployment_id: str) -> RoutedTarget | None:
        """Return the target as the gateway is told it."""
        async with self.db.read() as tx:
            found = await deployments.routed_targets(tx, ids=[deployment_id])
        return found[0] if found else None

    async def settle(self, deployment_id: str) -> None:
        """Take every step that can be taken now."""
        for _ in range(100):
            if self.mode == "crash":
                await self.restart()
            self.ended.clear()
            stepped = await self.reconciler.step(deployment_id)
            if self.mode == "twice":
                stepped = await self.reconciler.step(deployment_id) or stepped
            for trial in await self.tester.pending():
                stepped = await self.tester.step(trial) or stepped
                if self.mode == "twice":
                    await self.tester.step(trial)
            if stepped:
                continue
            if not self.reconciler.endings.running:
                return
            async with asyncio.timeout(WAIT_S):
                await self.ended.wait()
        raise AssertionError("it never settles")

    async def until(self, deployment_id: str, holds: Callable[[Any], bool]) -> Any:
        """Reconcile, as processes change, until the deployment is as it should be."""
        async with asyncio.timeout(WAIT_S):
            while True:
                self.changed.clear()
                await self.settle(deployment_id)
                shown = self.shown
                found = await (shown(deployment_id) if shown else self.get())
                if holds(found):
                    return found
                # A crash makes a new adapter, whose news the old event would miss.
                if self.mode != "crash":
                    await self.changed.wait()

    async def until_gone(self, deployment_id: str) -> None:
        """Reconcile until nothing of a deployment is left."""
        for _ in range(10):
            await self.settle(deployment_id)
            async with self.db.read() as tx:
                if await deployments.load(tx, deployment_id) is None:
                    return
            self.clock.advance(seconds=5)
        raise AssertionError("it is never gone")


def condition(deployment: Any, kind: str) -> Any:
    """Return one condition of a deployment."""
    return next(c for c in deployment["conditions"] if c["type"] == kind)
