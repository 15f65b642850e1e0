"""One file by `https:`, and what any source does about redirects, refusals, cuts and sizes."""

import functools
import hashlib
import ssl
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import ports
import pytest
import trustme
from far_server import Asked, Reply, file, redirect
from sources_read import refusal, whole

from towpath_server.adapters import egress
from towpath_server.adapters.sources.errors import SourceFailed

DATA = bytes(range(256)) * 9_000  # more than two pieces
SHA256 = hashlib.sha256(DATA).hexdigest()
AUTHORITY = trustme.CA()
CA_PEM = AUTHORITY.cert_pem.bytes().decode()


@functools.cache
def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture
def web(serve, opened):
    """A server with one file, and a source that reads it."""

    async def of(answer, **access):
        server = await serve(answer, tls=tls())
        uri = f"{server.url}/m.gguf#sha256={SHA256}"
        given = {"ca_pem": CA_PEM, **access}
        return server, await opened(uri, **given)

    return of


def has(asked: Asked) -> Reply:
    return file(asked, DATA)


async def test_a_file_is_listed_with_size_and_digest_and_read_from_any_offset(web):
    server, source = await web(has)

    listing = await source.listing()
    (listed,) = listing.files
    read = [await whole(source, listed, offset) for offset in (0, 7, len(DATA))]

    assert listing.pinned == f"{server.url}/m.gguf#sha256={SHA256}"
    assert (listed.path, listed.size, listed.digest) == ("m.gguf", len(DATA), f"sha256:{SHA256}")
    assert read == [DATA, DATA[7:], b""]


async def test_a_certificate_of_nobody_who_is_trusted_ends_it(web):
    _, stranger = await web(has, ca_pem=trustme.CA().cert_pem.bytes().decode())

    said = await refusal(stranger)

    assert (said.reason, said.transient) == ("NotTrusted", False)


async def test_certificates_that_are_none_are_told(web):
    with pytest.raises(SourceFailed) as caught:
        await web(has, ca_pem="certificate")

    assert caught.value.reason == "NotTrusted"


async def test_what_lies_inside_is_not_called(web):
    server, source = await web(has, allow=[])

    said = await refusal(source)

    assert (said.reason, server.asked) == ("NotAllowed", [])
    assert "TOWPATH_EGRESS_ALLOW" in said.fix


@pytest.mark.parametrize(
    "to",
    [
        "https://169.254.169.254/latest",
        "https://metadata.google.internal/",
        "http://127.0.0.1/",
        "file:///etc/passwd",
        "https://[fd00:ec2::254]/",
    ],
)
async def test_a_redirect_is_judged_as_the_first_address_was(web, to):
    server, source = await web(lambda _: redirect(to))

    said = await refusal(source)

    assert (said.reason, len(server.asked)) == ("NotAllowed", 1)


@pytest.mark.parametrize("to", ["https://[", "//[::/", "https://h\xf6st:port/"])
async def test_a_redirect_to_no_address_is_told(web, to):
    _, source = await web(lambda _: redirect(to))

    said = await refusal(source)

    assert said.reason in {"Unreadable", "NotAllowed", "Unreachable"}


async def test_a_credential_stays_with_its_host(web, serve):
    other = await serve(has, tls=tls())

    def first(asked: Asked) -> Reply:
        if asked.path == "/m.gguf":
            return redirect("/here.gguf")
        return redirect(f"{other.name}/there.gguf")

    server, source = await web(first, secret="s3cret-token")

    (listed,) = (await source.listing()).files
    read = await whole(source, listed)

    assert read == DATA
    assert {one.headers.get("authorization") for one in server.asked} == {"Bearer s3cret-token"}
    assert {one.headers.get("authorization") for one in other.asked} == {None}
    assert {one.headers["host"] for one in other.asked} == {f"localhost:{other.port}"}


@pytest.mark.parametrize("secret", ["s3cr\u00e9t-token", "s3cret\r\nx: token", "s3cret\0token"])
async def test_a_credential_is_in_no_error(web, secret):
    server, source = await web(has, secret=secret)

    said = await refusal(source)

    trace = "".join(traceback.format_exception(said))
    assert server.asked == []
    assert "s3cr" not in said.detail + said.fix + trace


async def test_redirects_have_an_end(web):
    def onward(last: int):
        def answer(asked: Asked) -> Reply:
            if asked.path == "/m.gguf":
                return redirect("/1")
            step = int(asked.path[1:])
            return has(asked) if step == last else redirect(f"/{step + 1}")

        return answer

    _, enough = await web(onward(5))
    _, too_many = await web(onward(6))

    assert (await enough.listing()).files
    assert (await refusal(too_many)).reason == "TooManyRedirects"


async def test_what_broke_off_goes_on_where_it_was(web):
    cuts = iter([2_000_000, None])

    def cutting(asked: Asked) -> Reply:
        if "range" not in asked.headers and len(server.asked) == 1:
            return has(asked)  # for the listing
        return file(asked, DATA, cut_after=next(cuts))

    server, source = await web(cutting)
    (listed,) = (await source.listing()).files

    came = bytearray()
    with pytest.raises(SourceFailed) as caught:
        async for piece in source.read(listed):
            came += piece
    rest = await whole(source, listed, len(came))

    assert caught.value.transient
    assert 0 < len(came) <= 2_000_000
    assert bytes(came) + rest == DATA


async def test_silence_ends_a_body(web, monkeypatch):
    """What came before it is given on; how long a body takes has no bound else."""
    came = 1_500_000
    replies = iter([Reply(200, DATA), Reply(200, DATA, cut_after=came, silent=True)])
    _, source = await web(lambda _: next(replies))
    (listed,) = (await source.listing()).files
    monkeypatch.setattr(egress, "SILENCE_S", 1.5)  # it is a minute
    _, impatient = await web(lambda _: next(replies))

    read = bytearray()
    with pytest.raises(SourceFailed) as caught:
        async for piece in impatient.read(listed):
            read += piece

    assert (caught.value.reason, caught.value.transient) == ("Unreachable", True)
    assert bytes(read) == DATA[:came]


async def test_a_server_without_ranges_is_read_past_what_is_there(web):
    _, source = await web(lambda asked: file(asked, DATA, ranges=False))
    (listed,) = (await source.listing()).files

    assert await whole(source, listed, 1_500_000) == DATA[1_500_000:]


@pytest.mark.parametrize(
    ("status", "reason", "transient"),
    [
        (400, "Refused", False),
        (401, "AccessDenied", False),
        (403, "AccessDenied", False),
        (404, "NotFoundThere", False),
        (410, "NotFoundThere", False),
        (429, "RateLimited", True),
        (500, "Unreachable", True),
        (503, "Unreachable", True),
        (304, "Refused", False),
    ],
)
async def test_a_refusal_says_what_it_means(web, status, reason, transient):
    _, source = await web(lambda _: Reply(status))

    said = await refusal(source)

    assert (said.reason, said.transient) == (reason, transient)
    assert str(status) in said.detail


async def test_who_has_a_credential_hears_that_it_is_not_good(web):
    _, source = await web(lambda _: Reply(403), username="me", secret="word")

    said = await refusal(source)

    assert "credential is not good" in said.detail


async def test_a_server_says_when_to_come_again(web):
    later = format_datetime(datetime.now(UTC) + timedelta(hours=9))
    _, seconds = await web(lambda _: Reply(429, headers={"retry-after": "17"}))
    _, date = await web(lambda _: Reply(503, headers={"retry-after": later}))
    _, words = await web(lambda _: Reply(503, headers={"retry-after": "soon"}))

    waits = [(await refusal(source)).retry_after_s for source in (seconds, date, words)]

    assert waits == [17, 3_600, None]


async def test_a_server_that_is_not_there_may_come_back(opened):
    (port,) = ports.free(1)
    source = await opened(f"https://127.0.0.1:{port}/m#sha256={SHA256}", ca_pem=CA_PEM)

    said = await refusal(source)

    assert (said.reason, said.transient) == ("Unreachable", True)


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (Reply(200, b"x" * 65_536, endless=True), "Changed"),
        (Reply(200, DATA + b"x"), "Changed"),
        (Reply(206, DATA, {"content-range": f"bytes 5-9/{len(DATA)}"}), "Unreadable"),
        (Reply(206, DATA, {"content-range": "bytes 0-9/10"}), "Changed"),
        (Reply(200, DATA, {"content-encoding": "gzip"}), "Unreadable"),
        (Reply(416), "Changed"),
        (Reply(404), "NotFoundThere"),
    ],
    ids=["endless", "longer", "other part", "other total", "packed", "no such part", "gone"],
)
async def test_what_is_not_what_was_listed_is_not_given_on(web, second, reason):
    replies = iter([Reply(200, DATA), second])
    _, source = await web(lambda _: next(replies))
    (listed,) = (await source.listing()).files

    came = 0
    with pytest.raises(SourceFailed) as caught:
        async for piece in source.read(listed):
            came += len(piece)

    assert caught.value.reason == reason
    assert came <= len(DATA)
