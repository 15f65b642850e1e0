"""From a revision to the command of its model server."""

import sys
from pathlib import Path

from towpath_server.adapters.compute import Listen, Probe, ReplicaSpec
from towpath_server.core.errors import Kind, TowpathError
from towpath_server.core.secret import Secret
from towpath_server.domains.deployments.models import ProbeDraft, Replica, Revision
from towpath_server.domains.runtimes.models import Catalog, ProbeRule, Runtime

_PROBE_TIMEOUT_S = 2.0  # a healthy server answers at once; a busy one gets the failures in a row


class RuntimeMissing(TowpathError):
    """The runtime that a deployment was declared with is not here any more."""

    code = "runtime_missing"
    kind = Kind.UNAVAILABLE
    title = "Runtime is not installed"

    def __init__(self, name: str, version: str) -> None:
        super().__init__(
            f"The runtime `{name}` {version} is not installed here any more.",
            fix="Install it again, or deploy with one that `towpath runtimes` lists.",
        )


def spec(
    catalog: Catalog,
    revision: Revision,
    replica: Replica,
    *,
    name: str,
    folder: Path,
    secret: Secret,
) -> ReplicaSpec:
    """
    Say how a replica's process is started.

    Raises:
        RuntimeMissing: Its runtime is gone.
    """
    workload = revision.workload
    runtime = catalog.find(workload.runtime, workload.runtime_version) or catalog.find(
        workload.runtime
    )
    if runtime is None:
        raise RuntimeMissing(workload.runtime, workload.runtime_version)
    model = folder / workload.files[0].path if len(workload.files) == 1 else folder
    places = {"{python}": sys.executable, "{model}": str(model), "{name}": name}
    return ReplicaSpec(
        id=replica.id,
        command=(*_filled(runtime, places), *_arguments(runtime, revision)),
        listen=Listen(runtime.listen),
        secret=secret,
        startup=_probe(workload.startup, runtime.startup, runtime),
        readiness=_probe(workload.readiness, runtime.readiness, runtime),
        env={**runtime.env, **workload.env},
        threads=workload.threads,
        memory_limit_bytes=workload.memory_limit_bytes,
        cpu_limit_milli=workload.cpu_limit_milli,
        gpus=workload.gpus,
        gpu_class=workload.gpu_class,
        files=(folder, *(Path(path) for path in runtime.files)),
        own_network=runtime.own_network,
    )


def _filled(runtime: Runtime, places: dict[str, str]) -> list[str]:
    filled = []
    for part in runtime.command:
        for placeholder, value in places.items():
            part = part.replace(placeholder, value)  # noqa: PLW2901 (one placeholder after another)
        filled.append(part)
    return filled


def _arguments(runtime: Runtime, revision: Revision) -> list[str]:
    given = [*revision.workload.args]
    named = any(argument.startswith("--threads=") for argument in given)
    if "threads" in runtime.args and not named:
        given.append(f"--threads={revision.workload.threads}")
    return given


def _probe(draft: ProbeDraft, rule: ProbeRule, runtime: Runtime) -> Probe:
    return Probe(
        path=draft.path or runtime.health_path,
        period_s=draft.period_s or rule.period_s,
        failures=draft.failures or rule.failures,
        timeout_s=draft.timeout_s or _PROBE_TIMEOUT_S,
    )
