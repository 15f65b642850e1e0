"""Model servers are kept running, adopted, and ended in order: with real child processes."""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from machines import SERVER, Machine, alive, kill, spec

from towpath_server.adapters.compute import Listen, Probe, State
from towpath_server.adapters.localhost import probe, state
from towpath_server.adapters.localhost.process import Process, start_of
from towpath_server.adapters.localhost.spec import Backoff


def _there(path: str) -> bool:
    return Path(path).exists()


async def _environment(address: str) -> dict[str, str]:
    reader, writer = await asyncio.open_unix_connection(address.removeprefix("unix:"))
    writer.write(b"GET /env HTTP/1.0\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return json.loads(answer.partition(b"\r\n\r\n")[2])


async def test_a_replica_becomes_ready_on_a_unix_socket(machine: Machine) -> None:
    await machine.replicas.place(spec())

    seen = await machine.until(lambda o: o.state is State.READY)

    assert seen.address == f"unix:{machine.folder.sockets / 'rep_1' / 's.sock'}"
    assert await probe.healthy(seen.address, "/health", timeout_s=5)


async def test_a_replica_becomes_ready_on_a_free_loopback_port(machine: Machine) -> None:
    await machine.replicas.place(spec(listen=Listen.PORT))

    seen = await machine.until(lambda o: o.state is State.READY)

    assert seen.address is not None
    relayed = "network" in seen.isolation
    assert seen.address.startswith("unix:/" if relayed else "http://127.0.0.1:")
    assert await probe.healthy(seen.address, "/health", timeout_s=5)


async def test_a_server_gets_its_secret_and_nothing_of_our_environment(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOWPATH_SECRET_KEY", "the-organisations-own")
    await machine.replicas.place(spec(env={"HF_HUB_OFFLINE": "1"}, threads=2))
    seen = await machine.until(lambda o: o.state is State.READY)

    env = await _environment(seen.address or "")

    assert env["TOWPATH_REPLICA_SECRET"] == "a-secret-of-this-replica"
    assert env["OMP_NUM_THREADS"] == "2"
    known = {"PATH", "HOME", "LANG", "LC_CTYPE", "OMP_NUM_THREADS", "HF_HUB_OFFLINE"}
    known |= {"TOWPATH_THREADS", "TOWPATH_REPLICA_SECRET", "TOWPATH_REPLICA"}
    assert set(env) <= known | {"TOWPATH_REPLICA_HOME"}


async def test_ensuring_twice_starts_one_process(machine: Machine) -> None:
    await machine.replicas.place(spec())
    first = await machine.until(lambda o: o.state is State.READY)

    await machine.replicas.place(spec())

    second = machine.replicas.observe("rep_1")
    assert second is not None
    assert second.pid == first.pid


async def test_another_spec_replaces_the_process(machine: Machine) -> None:
    await machine.replicas.place(spec())
    first = await machine.until(lambda o: o.state is State.READY)

    await machine.replicas.place(spec("rep_1", "--name", "other"))

    second = await machine.until(lambda o: o.state is State.READY and o.pid != first.pid)
    assert not alive(first.pid or 0)
    assert alive(second.pid or 0)


async def test_a_killed_server_is_started_again_at_once(machine: Machine) -> None:
    await machine.replicas.place(spec())
    first = await machine.until(lambda o: o.state is State.READY)

    kill(first.pid or 0)

    second = await machine.until(lambda o: o.state is State.READY and o.pid != first.pid)
    assert second.restarts == 1


async def test_a_server_that_always_crashes_is_retried_with_backoff_and_says_why(
    machine: Machine,
) -> None:
    broken = machine.home() / "broken"
    broken.touch()

    await machine.replicas.place(spec("rep_1", "--crash-while", str(broken)))

    seen = await machine.until(lambda o: o.crashes >= 3 and o.retry_in_s is not None)
    assert seen.state is State.BACKOFF
    assert seen.reason == "Crashed"
    assert seen.message is not None
    assert "exit code 7" in seen.message
    assert "cannot load the model: bad magic" in seen.message

    broken.unlink()
    healed = await machine.until(lambda o: o.state is State.READY)
    assert healed.reason is None


async def test_a_server_that_never_gets_healthy_is_ended(machine: Machine) -> None:
    await machine.replicas.place(spec("rep_1", "--deaf", startup=Probe("/health", 0.02, 5)))

    seen = await machine.until(lambda o: o.reason == "StartupTimeout")

    assert "did not become healthy within 0.1 s" in (seen.message or "")


async def test_a_server_may_be_given_its_sockets_path_alone(machine: Machine) -> None:
    command = (sys.executable, str(SERVER), "--listen", "unix:{socket}")
    await machine.replicas.place(spec(command=command))

    assert (await machine.until(lambda o: o.state is State.READY)).state is State.READY


async def test_a_server_that_needs_a_network_of_its_own_is_started_nowhere_else(
    machine: Machine,
) -> None:
    command = (sys.executable, str(SERVER), "--listen", "127.0.0.1:{port}")
    wanted = spec(command=command, listen=Listen.PORT, own_network=True)
    await machine.replicas.place(wanted)

    seen = await machine.until(lambda o: o.state is State.READY or o.reason == "CannotStart")

    given = (await machine.replicas.capacity()).isolation.measures
    assert (seen.state is State.READY) == ("network" in given)
    assert (seen.address or "unix:").startswith("unix:")


async def test_a_program_that_is_not_there_is_reported(machine: Machine) -> None:
    await machine.replicas.place(spec(command=("/nowhere/engine", "{listen}")))

    seen = await machine.until(lambda o: o.reason == "CannotStart")

    assert "/nowhere/engine" in (seen.message or "")


async def test_a_sick_server_is_unready_until_it_recovers(machine: Machine) -> None:
    sick = machine.home() / "sick"
    wanted = spec("rep_1", "--sick-while", str(sick), readiness=Probe("/health", 0.05, 3))
    await machine.replicas.place(wanted)
    first = await machine.until(lambda o: o.state is State.READY)

    sick.touch()
    seen = await machine.until(lambda o: o.state is State.UNREADY)
    sick.unlink()
    healed = await machine.until(lambda o: o.state is State.READY)

    assert seen.reason == "NotResponding"
    assert healed.pid == first.pid


async def test_a_server_that_hangs_is_restarted(machine: Machine) -> None:
    sick = machine.home() / "sick"
    await machine.replicas.place(
        spec("rep_1", "--sick-while", str(sick), readiness=Probe("/health", 0.01, 1))
    )
    first = await machine.until(lambda o: o.state is State.READY)

    sick.touch()

    seen = await machine.until(lambda o: o.restarts > 0)
    assert seen.reason == "Unresponsive"
    assert not alive(first.pid or 0)


async def test_a_server_above_its_memory_limit_is_ended(machine: Machine) -> None:
    await machine.replicas.place(spec("rep_1", "--eat-mib", "64", memory_limit_bytes=48 << 20))

    seen = await machine.until(lambda o: o.reason == "MemoryLimit")

    assert "48 MiB" in (seen.message or "")


async def test_a_stopped_replica_leaves_no_process_and_no_file(machine: Machine) -> None:
    await machine.replicas.place(spec())
    seen = await machine.until(lambda o: o.state is State.READY)

    await machine.replicas.remove("rep_1")
    await machine.replicas.remove("rep_1")

    assert not alive(seen.pid or 0)
    assert machine.replicas.ids() == set()
    assert not (machine.folder.replicas / "rep_1").exists()
    assert not (machine.folder.sockets / "rep_1").exists()


async def test_a_server_that_ignores_the_request_to_end_is_killed(machine: Machine) -> None:
    machine.limits = replace(machine.limits, grace_s=0.1)
    await machine.restart()
    await machine.replicas.place(spec("rep_1", "--stubborn"))
    seen = await machine.until(lambda o: o.state is State.READY)

    await machine.replicas.remove("rep_1")

    assert not alive(seen.pid or 0)


async def test_stop_all_ends_every_replica(machine: Machine) -> None:
    for replica in ("rep_1", "rep_2"):
        await machine.replicas.place(spec(replica))
    pids = [
        (await machine.until(lambda o: o.state is State.READY, replica)).pid
        for replica in ("rep_1", "rep_2")
    ]

    await machine.replicas.stop_all()

    assert [alive(pid or 0) for pid in pids] == [False, False]


async def test_a_new_control_plane_adopts_what_runs(machine: Machine) -> None:
    await machine.replicas.place(spec())
    first = await machine.until(lambda o: o.state is State.READY)

    adopted = await machine.restart()
    before = machine.replicas.observe("rep_1")
    await machine.replicas.place(spec())
    after = machine.replicas.observe("rep_1")

    assert adopted == ["rep_1"]
    for seen in (before, after):
        assert seen is not None
        assert (seen.pid, seen.address, seen.state) == (first.pid, first.address, State.READY)


async def test_an_adopted_server_that_dies_is_started_again(machine: Machine) -> None:
    await machine.replicas.place(spec())
    first = await machine.until(lambda o: o.state is State.READY)
    await machine.restart()
    await machine.replicas.place(spec())

    kill(first.pid or 0)

    second = await machine.until(lambda o: o.state is State.READY and o.pid != first.pid)
    assert second.restarts == 1


async def test_a_server_that_died_meanwhile_is_not_adopted(machine: Machine) -> None:
    await machine.replicas.place(spec())
    first = await machine.until(lambda o: o.state is State.READY)
    await machine.replicas.detach()
    kill(first.pid or 0)
    os.waitpid(first.pid or 0, 0)  # noqa: ASYNC222 (it was killed)

    adopted = await machine.restart()

    assert adopted == []
    assert machine.replicas.observe("rep_1") is None


async def test_a_process_with_another_start_time_is_not_adopted(machine: Machine) -> None:
    await machine.replicas.place(spec())
    first = await machine.until(lambda o: o.state is State.READY)
    await machine.replicas.detach()
    folder = machine.folder.replicas / "rep_1"
    noted = state.load(folder)
    assert noted is not None
    state.save(folder, replace(noted, started="another boot:1"))

    adopted = await machine.restart()

    assert adopted == []
    assert not alive(first.pid or 0), "it is an orphan then, and was ended"


async def test_a_process_that_does_not_own_the_socket_is_not_adopted(machine: Machine) -> None:
    for replica in ("rep_1", "rep_2"):
        await machine.replicas.place(spec(replica))
        await machine.until(lambda o: o.state is State.READY, replica)
    await machine.replicas.detach()
    first, second = (state.load(machine.folder.replicas / r) for r in ("rep_1", "rep_2"))
    assert first is not None
    assert second is not None
    state.save(machine.folder.replicas / "rep_1", replace(first, address=second.address))

    adopted = await machine.restart()

    assert adopted == ["rep_2"]
    assert not alive(first.pid)


async def test_an_orphan_that_was_never_noted_is_ended_at_start(machine: Machine) -> None:
    """The control plane may be killed between the start of a process and the note of it."""
    await machine.replicas.place(spec())
    first = await machine.until(lambda o: o.state is State.READY)
    await machine.replicas.detach()
    noted = state.load(machine.folder.replicas / "rep_1")
    state.forget(machine.folder.replicas / "rep_1")

    await machine.restart()

    assert not alive(first.pid or 0)
    assert noted is not None
    assert [group for group in noted.groups if _there(group)] == []


async def test_the_log_is_bounded_while_the_server_goes_on_writing(machine: Machine) -> None:
    await machine.replicas.place(spec("rep_1", "--shout", "200"))
    await machine.until(lambda o: o.state is State.READY)
    bounded = machine.log().with_name("log.1")

    def whole() -> bool:
        return bounded.exists() and machine.log().stat().st_size < 64 << 10

    async with asyncio.timeout(10):
        while not whole():
            await probe.healthy(
                f"unix:{machine.folder.sockets}/rep_1/s.sock", "/health", timeout_s=1
            )

    assert bounded.stat().st_size <= 128 << 10
    last = await machine.replicas.logs("rep_1", tail=3)
    assert last.lines[-1].text == "x" * 1000


async def test_processes_outlive_a_killed_control_plane(machine: Machine) -> None:
    """Run a control plane in a process of its own and kill it, as the kernel would."""
    script = (
        "import asyncio, sys\n"
        f"sys.path.insert(0, {str(SERVER.parent)!r})\n"
        "from machines import Machine, spec\n"
        "from towpath_server.adapters.compute import State\n"
        "from towpath_server.adapters.localhost.spec import Limits\n"
        "from pathlib import Path\n"
        "async def main():\n"
        "    machine = Machine(Path(sys.argv[1]), Limits())\n"
        "    await machine.replicas.start()\n"
        "    await machine.replicas.place(spec())\n"
        "    seen = await machine.until(lambda o: o.state is State.READY)\n"
        "    print(seen.pid, file=sys.stderr, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    child = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", script, str(machine.folder.root)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    with child, child.stderr:
        pid = int(await asyncio.to_thread(child.stderr.readline))
        child.kill()

    adopted = await machine.restart()

    assert alive(pid)
    assert adopted == ["rep_1"]
    await machine.replicas.place(spec())
    await machine.replicas.remove("rep_1")
    assert not alive(pid)


def test_backoff_grows_to_its_cap_and_repairs_the_first_crash_at_once() -> None:
    backoff = Backoff(first_s=1, factor=2, cap_s=10)

    delays = [backoff.delay_s(crashes) for crashes in (1, 2, 3, 4, 5, 6, 1000)]

    assert delays == [0, 1, 2, 4, 8, 10, 10]


async def test_a_process_is_identified_by_more_than_its_pid() -> None:
    assert Process.find(os.getpid(), "another boot:1") is None
    started = start_of(os.getpid())
    assert started is not None
    found = Process.find(os.getpid(), started)
    assert found is not None
    found.close()
    assert SERVER.exists()
