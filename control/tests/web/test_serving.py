"""Serving on sockets of our own or of others, and what is answered before the application can work."""

import asyncio
import socket

import httpx2
import pytest
from starlette.responses import PlainTextResponse

from towpath_server.web.serving import Gate, Server, bind, inherited


async def get(gate: Gate) -> httpx2.Response:
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(gate), base_url="http://towpath.test"
    ) as http:
        return await http.get("/api/v1/teams")


async def test_a_closed_gate_says_why_and_when_to_come_back():
    gate = Gate("nothing is known yet")
    gate.explain("the database does not answer")
    answer = await get(gate)

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "unavailable"
    assert "the database does not answer" in answer.json()["detail"]


async def test_an_open_gate_lets_through():
    gate = Gate("nothing")
    gate.open(PlainTextResponse("through"))

    assert (await get(gate)).text == "through"


async def test_a_gate_that_opens_in_time_lets_those_through_who_waited():
    gate = Gate("nothing is known yet")
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(get(gate))
        await asyncio.sleep(0)
        gate.open(PlainTextResponse("through"))

    assert asked.result().text == "through"


async def test_a_server_of_one_request_each_answers_what_was_accepted_before_its_end():
    """A connection whose request is still on its way is not closed, and every answer says the end."""
    listener = bind("127.0.0.1:0")
    server = Server(PlainTextResponse("done"), drain_s=5, once=True)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    while not server.server_state.connections:  # noqa: ASYNC110 (it tells nobody)
        await asyncio.sleep(0)
    server.stop()
    writer.write(b"GET / HTTP/1.1\r\nhost: towpath.test\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await serving

    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer.lower()
    assert answer.endswith(b"done")


def test_a_unix_address_is_for_its_owner_alone_and_replaces_a_stale_one(tmp_path):
    path = tmp_path / "api.sock"
    bind(f"unix:{path}").close()

    with bind(f"unix:{path}") as listener:
        assert listener.getsockname() == str(path)

    assert path.stat().st_mode & 0o777 == 0o600


def test_a_tcp_address_is_bound():
    with bind("127.0.0.1:0") as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize("address", ["", "8080", "localhost", "unix", "host:port"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ValueError, match="neither"):
        bind(address)


def test_an_inherited_listener_is_served_as_it_is():
    with bind("127.0.0.1:0") as listener, socket.socket() as client:
        copy = inherited(listener.dup().detach())
        client.connect(listener.getsockname())
        with copy:
            assert copy.getsockname() == listener.getsockname()
