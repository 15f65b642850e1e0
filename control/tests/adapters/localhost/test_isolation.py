"""A hostile model server reaches nothing of the machine, and is bounded in what it takes."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from machines import Machine, alive, spec

from towpath_server.adapters.compute import Listen, State
from towpath_server.adapters.localhost import isolation as isolations
from towpath_server.adapters.localhost import state
from towpath_server.adapters.localhost.spec import Backoff, Limits, Mode

INTRUDER = Path(__file__).parents[4] / "tests/support/intruder.py"
COMMAND = (sys.executable, str(INTRUDER), "--listen", "{listen}")


@pytest.fixture
def isolation() -> Mode:
    return Mode.BEST_EFFORT


@pytest.fixture
def outside() -> Iterator[int]:
    """A port of this machine that somebody listens on, as the control plane may."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def _there(path: str) -> bool:
    return Path(path).exists()


async def _needs(machine: Machine, *measures: str) -> None:
    found = (await machine.replicas.capacity()).isolation
    for measure in measures:
        if measure not in found.measures:
            pytest.skip(f"this machine has no measure `{measure}`: {found.missing[measure]}")


async def _start(machine: Machine, **changes: Any) -> str:
    await machine.replicas.place(spec(command=COMMAND, **changes))
    seen = await machine.until(lambda o: o.state is State.READY)
    assert seen.address is not None
    return seen.address


async def _attempt(address: str, what: str, argument: object = "") -> dict[str, Any]:
    reader, writer = await asyncio.open_unix_connection(address.removeprefix("unix:"))
    writer.write(f"GET /{what}?{argument} HTTP/1.0\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return json.loads(answer.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("listen", Listen)
async def test_it_reaches_no_network_and_no_port_of_the_machine(
    machine: Machine, outside: int, listen: Listen
) -> None:
    """That holds for a server on a port too: a relay stands before its own network."""
    await _needs(machine, "network")
    address = await _start(machine, listen=listen)

    reached = [await _attempt(address, "tcp", outside), await _attempt(address, "out", "192.0.2.1")]

    assert ["refused" in one for one in reached] == [True, True], reached


async def test_it_reaches_no_socket_of_the_control_plane_or_another_server(
    machine: Machine,
) -> None:
    await _needs(machine, "filesystem")
    api = machine.folder.api_socket
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(api))
        server.listen()
        await machine.replicas.place(spec("rep_2"))
        other = await machine.until(lambda o: o.state is State.READY, "rep_2")
        address = await _start(machine)

        reached = [
            await _attempt(address, "unix", api),
            await _attempt(address, "unix", (other.address or "").removeprefix("unix:")),
        ]

    assert ["refused" in one for one in reached] == [True, True], reached


async def test_it_reads_no_secret_and_sees_its_model(machine: Machine) -> None:
    await _needs(machine, "filesystem")
    machine.folder.secrets.mkdir()
    (machine.folder.secrets / "key").write_text("the organisation's own")
    model = machine.folder.artifacts / "trees" / "one"
    model.mkdir(parents=True, mode=0o700)
    (model / "model.bin").write_text("weights")
    (model / "model.bin").chmod(0o600)
    address = await _start(machine, files=(model,))

    secret = await _attempt(address, "read", machine.folder.secrets / "key")
    shadow = await _attempt(address, "read", "/etc/shadow")
    weights = await _attempt(address, "read", model / "model.bin")
    data = await _attempt(address, "read", machine.folder.root)
    logs = await _attempt(address, "read", "/var/log")

    assert "refused" in secret
    assert "refused" in shadow
    assert weights == {"done": "weights"}
    assert "secrets" not in data.get("done", "")
    assert "refused" in logs


async def test_it_writes_nowhere_but_in_its_own_folders(machine: Machine) -> None:
    await _needs(machine, "filesystem")
    model = machine.folder.artifacts / "one"
    model.mkdir(parents=True)
    address = await _start(machine, files=(model,))
    closed = ["/", "/usr", "/etc", "/dev", "/sys", str(model), sys.prefix, "/proc/sys/kernel"]

    written = {place: await _attempt(address, "write", place) for place in closed}
    own = await _attempt(address, "write", machine.home())
    scratch = await _attempt(address, "write", "/tmp")

    assert [place for place in closed if "done" in written[place]] == []
    assert own == {"done": "written"}
    assert scratch == {"done": "written"}
    assert not _there("/tmp/intruder"), "it has one of its own"


async def test_it_has_no_rights_and_sees_no_other_process(machine: Machine) -> None:
    await _needs(machine, "user", "processes", "seccomp")
    address = await _start(machine)
    capability_free = "0" * 16

    status = (await _attempt(address, "status"))["done"]
    ended = await _attempt(address, "end", os.getpid())
    listed = await _attempt(address, "read", "/proc")

    assert {status[name] for name in ("CapPrm", "CapEff", "CapBnd")} == {capability_free}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert os.getuid() != 0 or status["Uid"].split()[0] != "0"
    assert "refused" in ended
    assert f"'{os.getpid()}'" not in listed["done"]
    assert "'1'" in listed["done"]


@pytest.mark.parametrize(
    ("what", "argument"), [("namespace", ""), ("mount", ""), ("trace", "1"), ("family", "40")]
)
async def test_it_makes_no_system_call_that_leads_out(
    machine: Machine, what: str, argument: str
) -> None:
    """Sockets to the host of a virtual machine (family 40) know no namespaces."""
    await _needs(machine, "seccomp")
    address = await _start(machine)

    answer = await _attempt(address, what, argument)

    assert "refused" in answer
    assert any(word in answer["refused"] for word in ("not permitted", "not supported"))


async def test_it_is_ended_at_its_memory_limit(machine: Machine) -> None:
    await _needs(machine, "cgroup")
    address = await _start(machine, memory_limit_bytes=96 << 20)

    with pytest.raises((json.JSONDecodeError, ConnectionError)):
        await _attempt(address, "eat", 200)

    seen = await machine.until(lambda o: o.reason == "MemoryLimit")
    assert "96 MiB" in (seen.message or "")
    healed = await machine.until(lambda o: o.state is State.READY)
    assert healed.restarts == 1


async def test_a_fork_bomb_is_bounded(machine: Machine) -> None:
    machine.limits = replace(machine.limits, processes=40)
    await machine.restart()
    await _needs(machine, "cgroup")
    address = await _start(machine)

    made = await _attempt(address, "fork", 200)

    assert 1 <= made["done"] < 40


async def test_its_cpu_is_limited(machine: Machine) -> None:
    await _needs(machine, "cgroup")
    address = await _start(machine, cpu_limit_milli=100)

    share = (await _attempt(address, "burn", 2))["done"]

    assert share < 0.2


async def test_what_it_started_ends_with_it_and_its_groups_go(machine: Machine) -> None:
    await _needs(machine, "processes", "cgroup")
    await _start(machine)
    seen = machine.replicas.observe("rep_1")
    assert seen is not None
    noted = state.load(machine.folder.replicas / "rep_1")

    await machine.replicas.remove("rep_1")

    assert not alive(seen.pid or 0)
    assert noted is not None
    assert noted.groups
    assert [group for group in noted.groups if _there(group)] == []


async def test_each_server_says_which_measures_hold(machine: Machine) -> None:
    await _start(machine)
    found = (await machine.replicas.capacity()).isolation

    seen = machine.replicas.observe("rep_1")

    assert seen is not None
    assert set(seen.isolation) == set(found.measures)
    assert set(found.measures) | set(found.missing) == set(isolations.MEASURES)


async def test_strict_starts_nothing_where_a_measure_is_missing(tmp_path: Path) -> None:
    backoff = Backoff(0.02, 2.0, 0.1, 60.0)
    machine = Machine(tmp_path / "data", Limits(isolation=Mode.STRICT, backoff=backoff))
    await machine.replicas.start()
    found = (await machine.replicas.capacity()).isolation

    await machine.replicas.place(spec(command=COMMAND))
    seen = await machine.until(lambda o: o.state is State.READY or o.reason is not None)
    await machine.replicas.stop_all()

    if found.missing:
        assert seen.reason == "CannotIsolate"
        assert all(name in (seen.message or "") for name in found.missing)
    else:
        assert seen.state is State.READY


UNPRIVILEGED = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from machines import Machine, spec
from test_isolation import COMMAND, _attempt, _start
from towpath_server.adapters.localhost.spec import Limits, Mode
async def main():
    machine = Machine(Path(sys.argv[1]), Limits(isolation=Mode.BEST_EFFORT))
    await machine.replicas.start()
    found = (await machine.replicas.capacity()).isolation
    address = await _start(machine)
    shadow = await _attempt(address, "read", "/etc/shadow")
    port = await _attempt(address, "tcp", sys.argv[3])
    status = await _attempt(address, "status")
    await machine.replicas.stop_all()
    import json
    print(json.dumps([dict(found.measures), shadow, port, status]))
asyncio.run(main())
"""


async def test_without_rights_a_user_namespace_does_the_same(tmp_path: Path, outside: int) -> None:
    """The program runs as another user here, who has no rights at all."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("there is no `unshare` to drop rights with")
    support = str(INTRUDER.parent)
    path = os.pathsep.join([support, str(Path(__file__).parent)])
    script = [sys.executable, "-c", UNPRIVILEGED, str(tmp_path / "data"), support, str(outside)]

    done = await asyncio.to_thread(
        subprocess.run,
        [unshare, "--user", "--map-user=1000", "--map-group=1000", *script],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.defpath, "PYTHONPATH": path},
    )

    if "unshare failed" in done.stderr:
        pytest.skip(f"this machine makes no user namespaces: {done.stderr}")
    assert done.returncode == 0, done.stderr
    measures, shadow, port, status = json.loads(done.stdout.splitlines()[-1])
    assert measures["user"] == "namespace"
    assert {"processes", "network", "filesystem", "seccomp"} <= set(measures)
    assert "refused" in shadow
    assert "refused" in port
    assert status["done"]["CapEff"] == "0" * 16


@pytest.fixture
async def machine(tmp_path: Path, isolation: Mode) -> AsyncIterator[Machine]:
    backoff = Backoff(0.02, 2.0, 0.1, 60.0)
    made = Machine(tmp_path / "data", Limits(grace_s=5.0, isolation=isolation, backoff=backoff))
    await made.replicas.start()
    yield made
    await made.replicas.stop_all()
