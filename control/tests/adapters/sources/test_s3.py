"""A bucket: of two real servers, and of one that says what it likes."""

import secrets
from datetime import UTC, datetime

import obstore
import pytest
from far_server import Reply
from sources_read import contents, refusal

from towpath_server.adapters.sources import bucketlist
from towpath_server.adapters.sources.errors import SourceFailed
from towpath_server.adapters.sources.signing import AccessKey, encoded, signed

FILES = {
    "config.json": b"{}",
    "model.safetensors": b"weights" * 200_000,
    "model.bin": b"pickle",
    "sub folder/ü+x~.txt": b"odd name",
    "README.md": b"---\nlicense: mit\n---\n# Card\n",
    ".cache/x": b"hidden",
}
TAKEN = {"config.json", "model.safetensors", "sub folder/ü+x~.txt"}


def page(keys, *, more: str | None = None, size: int = 1) -> bytes:
    objects = "".join(
        f"<Contents><Key>{key}</Key><ETag>&quot;1&quot;</ETag><Size>{size}</Size></Contents>"
        for key in keys
    )
    onward = f"<NextContinuationToken>{more}</NextContinuationToken>" if more else ""
    truncated = f"<IsTruncated>{str(more is not None).lower()}</IsTruncated>"
    xmlns = "http://s3.amazonaws.com/doc/2006-03-01/"
    return (
        f'<ListBucketResult xmlns="{xmlns}">{truncated}{onward}{objects}</ListBucketResult>'
    ).encode()


@pytest.fixture
def prefix(bucket_server):
    """A prefix of this test's own with the files of a model, and a neighbour that begins alike."""
    prefix = secrets.token_hex(6)
    store = obstore.store.S3Store(
        bucket_server.bucket,
        endpoint=bucket_server.endpoint,
        access_key_id=bucket_server.access_key,
        secret_access_key=bucket_server.secret_key,
        client_options={"allow_http": True},
    )
    for path, data in FILES.items():
        obstore.put(store, f"{prefix}/{path}", data)
    obstore.put(store, f"{prefix}-other/x.gguf", b"GGUF")
    return prefix


@pytest.fixture
def bucket(opened, bucket_server):
    """Open an address of the server's bucket."""

    async def at(key: str, **access: str):
        given = {
            "endpoint": bucket_server.endpoint,
            "username": bucket_server.access_key,
            "secret": bucket_server.secret_key,
            **access,
        }
        return await opened(f"s3://{bucket_server.bucket}/{key}", **given)

    return at


async def test_a_prefix_is_a_folder(bucket, prefix):
    source = await bucket(prefix)

    listing = await source.listing()

    assert {file.path for file in listing.files} == TAKEN
    assert {file.path: file.size for file in listing.files}["model.safetensors"] == 1_400_000
    assert (listing.card, listing.licence) == ("# Card", "MIT")
    assert await contents(source) == {path: FILES[path] for path in TAKEN}


async def test_a_key_is_a_file(bucket, prefix):
    assert await contents(await bucket(f"{prefix}/model.bin")) == {"model.bin": b"pickle"}


async def test_what_is_the_same_has_the_same_fingerprint(bucket, prefix):
    first = await (await bucket(prefix)).listing()
    again = await (await bucket(prefix)).listing()
    part = await (await bucket(f"{prefix}/model.bin")).listing()

    assert first.fingerprint == again.fingerprint != part.fingerprint


@pytest.mark.parametrize(
    ("key", "access", "reason"),
    [
        ("nothing/here", {}, "NoModel"),
        ("x", {"secret": "wrong"}, "AccessDenied"),
        ("x", {"username": "nobody"}, "AccessDenied"),
    ],
)
async def test_what_the_server_refuses_is_told(bucket, key, access, reason):
    said = await refusal(await bucket(key, **access))

    assert (said.reason, said.transient) == (reason, False)


@pytest.mark.parametrize(
    ("status", "code", "reason", "fix"),
    [
        (404, "NoSuchBucket", "NotFoundThere", "endpoint of the connection"),
        (400, "AuthorizationHeaderMalformed", "Refused", "the bucket's region"),
        (301, "PermanentRedirect", "Refused", "the bucket's region"),
        (403, "ExpiredToken", "AccessDenied", "may read and list"),
        (403, "AccessDenied", "AccessDenied", "towpath connections create"),
        (400, "InvalidRequest", "Refused", "Check the address"),
        (404, "", "NotFoundThere", "Check the name"),
    ],
)
async def test_a_refusal_of_s3_is_told_by_its_code(serve, opened, status, code, reason, fix):
    body = f'<?xml version="1.0"?><Error><Message>x</Message><Code>{code}</Code></Error>'
    server = await serve(lambda _: Reply(status, body.encode()))

    said = await refusal(await opened("s3://b00/m", endpoint=server.url))

    assert said.reason == reason
    assert fix in said.fix


async def test_a_bucket_that_is_not_there_is_told(opened, bucket_server):
    told = {
        "endpoint": bucket_server.endpoint,
        "username": bucket_server.access_key,
        "secret": bucket_server.secret_key,
    }

    said = await refusal(await opened("s3://no-such-bucket/m", **told))

    assert said.reason in {"NotFoundThere", "AccessDenied"}  # who may list nothing hears no more


async def test_without_a_connection_nobody_is_asked(opened):
    with pytest.raises(SourceFailed) as caught:
        await opened("s3://models/triage")

    assert caught.value.reason == "NoConnection"
    assert "towpath connections create" in caught.value.fix


async def test_a_region_alone_is_amazons(opened):
    source = await opened("s3://models/triage", region="eu-central-1", allow=[])

    assert source  # nobody was asked yet


async def test_an_object_that_was_written_over_is_not_read(serve, opened):
    def answer(asked):
        if asked.path == "/b":
            return Reply(200, page(["m/x.gguf"]))
        return Reply(412 if asked.headers["if-match"] == '"1"' else 200)

    server = await serve(answer)
    source = await opened("s3://b00/m", endpoint=server.url)
    server.answer = lambda asked: (
        answer(asked) if asked.path != "/b00" else Reply(200, page(["m/x.gguf"]))
    )
    (listed,) = (await source.listing()).files

    with pytest.raises(SourceFailed) as caught:
        [piece async for piece in source.read(listed)]

    assert (caught.value.reason, caught.value.transient) == ("Changed", False)


async def test_a_bucket_of_a_hundred_thousand_objects_is_given_up(serve, opened):
    count = iter(range(100))

    def answer(asked):
        number = next(count)
        keys = [f"m/{number * 1000 + one}" for one in range(1000)]
        return Reply(200, page(keys, more=f"page{number + 1}" if number < 99 else None))

    server = await serve(answer)

    said = await refusal(await opened("s3://b00/m", endpoint=server.url))

    assert said.reason == "TooMany"
    assert len(server.asked) == 11
    assert "continuation-token=page1&" in server.asked[1].target


async def test_pages_that_bring_nothing_are_given_up(serve, opened):
    server = await serve(lambda _: Reply(200, page([], more="again")))

    assert (await refusal(await opened("s3://b00/m", endpoint=server.url))).reason == "TooMany"


async def test_keys_that_climb_are_not_read(serve, opened):
    server = await serve(lambda _: Reply(200, page(["m/../../x"])))

    assert (await refusal(await opened("s3://b00/m", endpoint=server.url))).reason == "UnsafePath"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html/>",
        b"{}",
        b"<ListBucketResult>",
        b'<!DOCTYPE x [<!ENTITY a "aaa">]><ListBucketResult>&a;</ListBucketResult>',
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><ListBucketResult/>',
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE x><ListBucketResult/>'.encode("utf-16"),
        b"<ListBucketResult>" + b"<a>" * 100_000,
        b"<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
        page(["a"], size=-1),
    ],
)
def test_xml_that_is_no_list_is_not_read(body):
    with pytest.raises(ValueError, match="it "):
        bucketlist.read(body)


# Amazon's own examples: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
KEY = AccessKey("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
DAY = datetime(2013, 5, 24, tzinfo=UTC)
HOST = "https://examplebucket.s3.amazonaws.com"


@pytest.mark.parametrize(
    ("url", "query", "headers", "signature"),
    [
        (
            f"{HOST}/test.txt",
            {},
            {"range": "bytes=0-9"},
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            f"{HOST}/",
            {"prefix": "J", "max-keys": "2"},
            {},
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
        (
            f"{HOST}/",
            {"lifecycle": ""},
            {},
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
    ],
)
def test_signatures_are_amazons(url, query, headers, signature):
    sent = signed(KEY, url, query, headers, DAY)

    assert sent["authorization"].endswith(f"Signature={signature}")
    assert KEY.secret not in repr(KEY) + str(sent)


def test_a_query_is_sent_as_it_is_signed():
    assert encoded({"prefix": "a b/ü+", "list-type": "2"}) == "list-type=2&prefix=a%20b%2F%C3%BC%2B"
