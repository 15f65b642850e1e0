"""What a build is and what its start would do, for whoever replaces one by another."""

import asyncio
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from towpath_server import __version__, migrations
from towpath_server.core import build
from towpath_server.core.announcer import Announcer
from towpath_server.core.config import Settings
from towpath_server.core.db import Database
from towpath_server.core.errors import TowpathError
from towpath_server.domains.deployments import service as deployments
from towpath_server.domains.runtimes import service as runtimes
from towpath_server.supervisor.plan import find_gateway


async def describe(db: Database, settings: Settings) -> dict[str, Any]:
    """
    Say which build this is and what a start of it would do.

    Raises:
        DatabaseNewer: A later version of the program has been here.
        Unavailable: The database cannot be reached.
    """
    program = find_gateway(settings)
    return {
        "control": await asyncio.to_thread(of_control_plane, settings.runtimes_dir),
        "gateway": await asyncio.to_thread(build.of_gateway, program) if program else None,
        "migrations": [
            {"database": chain, "revision": revision, "name": name}
            for chain, revision, name in await migrations.pending(db)
        ],
        "models": await _models(db),
    }


async def tell(announcer: Announcer, runtimes_dir: Path | None) -> None:
    """Tell the supervisor which control plane runs, for whoever wants to replace it."""
    announcer.say("build", **await asyncio.to_thread(of_control_plane, runtimes_dir))


def of_control_plane(runtimes_dir: Path | None) -> dict[str, Any]:
    """Say which control plane this is, and how it would start the model servers of each runtime."""
    try:
        known = runtimes.catalog(runtimes_dir).runtimes
    except TowpathError:  # it is told where runtimes are listed
        known = ()
    starts = {
        f"{one.name} {one.version}": [
            [*one.command],
            one.listen,
            sorted(one.env.items()),
            [*one.args],
        ]
        for one in known
    }
    return {
        "version": __version__,
        "build": build.stamp(),
        "runtimes": {
            name: hashlib.sha256(json.dumps([sys.executable, start]).encode()).hexdigest()[:12]
            for name, start in starts.items()
        },
    }


async def _models(db: Database) -> Sequence[Mapping[str, Any]] | None:
    """List the models that run, with their runtimes; none where the tables are not this build's."""
    try:
        async with db.read() as tx:
            found = await deployments.loads(tx, await deployments.pending(tx))
    except (TowpathError, SQLAlchemyError, LookupError, TypeError, ValueError):
        return None  # the tables are of another build, and so is what they hold
    running = ((view, replica) for view in found for replica in view.replicas)
    revisions = {
        (view.deployment.id, one.number): one
        for view in found
        for one in (view.current, view.serving)
        if one is not None
    }
    listed = {}
    for view, replica in running:
        revision = revisions.get((view.deployment.id, replica.number))
        if revision is not None:
            workload = revision.workload
            listed[view.deployment.name] = f"{workload.runtime} {workload.runtime_version}"
    return [{"name": name, "runtime": runtime} for name, runtime in sorted(listed.items())]
