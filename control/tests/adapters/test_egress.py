"""What leaves the control plane goes to addresses that were judged, and nowhere else."""

from collections.abc import Sequence

import pytest
from far_server import FarServer, Reply
from receiver import Receiver

from towpath_server.adapters.egress import (
    MAX_ANSWER_BYTES,
    EgressClient,
    NotAllowed,
    NotSent,
    Outgoing,
    own_places,
)
from towpath_server.core import egress

ONE = [egress.network("127.0.0.1/32")]


class Names:
    """A name server that answers anew each time it is asked, from a list."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        return self.answers.pop(0)


def get(url: str) -> Outgoing:
    return Outgoing("GET", url)


async def test_a_name_that_changes_its_mind_leads_nowhere_else():
    """Rebinding: the name is asked once a call, and what was judged is what is connected to."""
    names = Names(["127.0.0.1"], ["127.0.0.2"], ["169.254.169.254"])
    client = EgressClient(allow=ONE, resolve=names)
    async with Receiver("200 OK", b"ok").listening() as receiver:
        url = f"http://rebound.example:{receiver.port}/"

        first = await client.send(get(url))
        for _ in range(2):
            with pytest.raises(NotSent, match="may not be called"):
                await client.send(get(url))

    assert (first.status, first.body) == (200, b"ok")
    assert names.answers == []
    ((headers, _),) = receiver.taken
    assert headers["host"] == f"rebound.example:{receiver.port}"


async def test_of_several_addresses_an_allowed_one_is_called():
    client = EgressClient(allow=ONE, resolve=Names(["169.254.169.254", "127.0.0.1"]))
    async with Receiver("200 OK").listening() as receiver:
        answer = await client.send(get(f"http://mixed.example:{receiver.port}/"))

    assert answer.status == 200


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/",
        "http://[::1]:9/",
        "http://2130706433:9/",
        "http://0x7f.1:9/",
        "http://localhost:9/",
        "http://169.254.169.254/latest",
        "http://metadata.google.internal/",
        "file:///etc/passwd",
        "http:///path",
    ],
)
async def test_what_lies_inside_is_not_called_however_it_is_spelled(url):
    with pytest.raises(NotSent, match="may not be called"):
        await EgressClient().send(get(url))


async def test_the_platforms_own_listeners_are_not_called_unless_they_are_listed():
    async with Receiver("200 OK").listening() as receiver:
        own = own_places("127.0.0.1", receiver.port) | own_places("10.0.0.5", 8080)
        inside = EgressClient(own=own, resolve=Names(["10.0.0.5"]))
        listed = EgressClient(allow=ONE, own=own, resolve=Names(["127.0.0.1"]))

        with pytest.raises(NotSent, match="listener of the platform"):
            await inside.send(get("http://alias.example:8080/"))
        answer = await listed.send(get(f"http://alias.example:{receiver.port}/"))

    assert answer.status == 200
    assert ("127.0.0.1", 8080) in own_places("0.0.0.0", 8080)
    assert own_places("gateway.example", 8080) == set()


async def test_redirects_are_answers():
    async with Receiver("302 Found").listening() as receiver:
        answer = await EgressClient(allow=ONE).send(get(f"http://127.0.0.1:{receiver.port}/"))

    assert answer.status == 302
    assert len(receiver.taken) == 1


async def test_an_answer_has_a_bound():
    async with Receiver("200 OK", bytes(MAX_ANSWER_BYTES + 1)).listening() as receiver:
        with pytest.raises(NotSent, match="larger than"):
            await EgressClient(allow=ONE).send(get(f"http://127.0.0.1:{receiver.port}/"))


# Bodies that stream.


async def test_each_call_of_a_session_is_judged():
    """Rebinding between two calls of one session, over a connection that is kept."""
    names = Names(["127.0.0.1"], ["127.0.0.1"], ["169.254.169.254"])
    client = EgressClient(allow=ONE, resolve=names)
    far = FarServer(lambda _: Reply(200, b"ok"))
    async with far.listening(), client.session() as session:
        url = f"http://rebound.example:{far.port}/"
        for _ in range(2):
            async with session.get(url, {"x-own": "1"}) as answer:
                body = b"".join([piece async for piece in answer.pieces()])
        with pytest.raises(NotAllowed, match="link-local"):
            async with session.get(url, {}):
                pass

    assert (answer.status, body) == (200, b"ok")
    assert [one.headers["host"] for one in far.asked] == [f"rebound.example:{far.port}"] * 2
    assert {one.headers["accept-encoding"] for one in far.asked} == {"identity"}


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "http://[", "http://x:99999/", "http://h\u00f6st/", "http:///x"]
)
async def test_a_session_calls_web_addresses_alone(url):
    async with EgressClient(resolve=Names([])).session() as session:
        with pytest.raises(NotSent):
            async with session.get(url, {}):
                pass


async def test_a_session_keeps_connections_of_a_few_hosts():
    """A source that sends on and on holds no more of them than these."""
    client = EgressClient(allow=ONE, resolve=Names(*[["127.0.0.1"]] * 20))
    async with Receiver("200 OK", b"ok").listening() as receiver, client.session() as session:
        for number in range(20):
            async with session.get(f"http://h{number}.example:{receiver.port}/", {}) as answer:
                assert answer.status == 200
        kept = len(session.clients)

    assert kept == 8
    assert len(receiver.taken) == 20
