"""Serving on sockets of our own or of others, and what is answered before the application can work."""

import socket

import httpx2
import pytest
from starlette.responses import PlainTextResponse

from towpath_server.web.serving import Gate, bind, inherited


async def get(gate: Gate) -> httpx2.Response:
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(gate), base_url="http://towpath.test"
    ) as http:
        return await http.get("/api/v1/teams")


async def test_a_closed_gate_says_why_and_when_to_come_back():
    answer = await get(Gate("the database does not answer"))

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "unavailable"
    assert "the database does not answer" in answer.json()["detail"]


async def test_an_open_gate_lets_through():
    gate = Gate("nothing")
    gate.open(PlainTextResponse("through"))

    assert (await get(gate)).text == "through"


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
