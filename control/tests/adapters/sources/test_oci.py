"""A registry: a real one, and one that asks for tokens and lies."""

import gzip
import hashlib
import io
import json
import os
import tarfile
from urllib.parse import parse_qs, urlsplit

import pytest
import zstandard
from container_registry import INDEX, MANIFEST, PASSWORD, USER, Pushed
from far_server import Asked, Reply, file, redirect
from sources_read import contents, refusal, whole

TITLE = "org.opencontainers.image.title"
FILEPATH = "org.cncf.model.filepath"
IMAGE = "application/vnd.oci.image.layer.v1.tar"
IMAGE_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
PLAIN = "application/octet-stream"
WEIGHTS = "application/vnd.cncf.model.weight.v1"
GGUF = b"GGUF" + bytes(100_000)


def tar(files: dict[str, bytes | tarfile.TarInfo], *, packed: bool = False) -> bytes:
    """Make an archive; an entry of its own is written as it is."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            if isinstance(data, tarfile.TarInfo):
                archive.addfile(data)
                continue
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return gzip.compress(out.getvalue()) if packed else out.getvalue()


def special(name: str, kind: bytes, to: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, to
    return entry


@pytest.fixture
def at(opened, registry):
    """Open an artifact of the real registry."""

    async def of(reference: str, **access: str):
        told = {"endpoint": registry.endpoint, "username": USER, "secret": PASSWORD, **access}
        return await opened(f"oci://registry.example/{reference}", **told)

    return of


async def test_files_pushed_by_name_are_the_models(at, registry):
    """As ORAS pushes them."""
    layers = [
        Pushed(PLAIN, GGUF, {TITLE: "m.gguf"}),
        Pushed("text/markdown", b"# Card\n", {TITLE: "README.md"}),
        Pushed("application/x-unknown", b"x", {}),
    ]
    digest = registry.push(
        "oras/one", layers, annotations={"org.opencontainers.image.licenses": "apache-2.0"}
    )
    source = await at("oras/one")

    listing = await source.listing()

    (listed,) = listing.files
    assert listing.pinned == f"oci://registry.example/oras/one@{digest}"
    assert (listed.path, listed.size) == ("m.gguf", len(GGUF))
    assert listed.digest == f"sha256:{hashlib.sha256(GGUF).hexdigest()}"
    assert (listing.card, listing.licence) == ("# Card", "Apache-2.0")
    assert await whole(source, listed, 50) == GGUF[50:]
    assert (await (await at(f"oras/one@{digest}")).listing()).pinned == listing.pinned


@pytest.mark.parametrize(
    ("layers", "files"),
    [
        (
            [Pushed(PLAIN, b"a", {TITLE: "a/x.onnx"}), Pushed(PLAIN, b"b", {TITLE: "a/y.json"})],
            {"a/x.onnx": b"a", "a/y.json": b"b"},
        ),
        (
            [
                Pushed(
                    PLAIN,
                    tar({"triage/c.json": b"c", "triage/m.onnx": b"m"}, packed=True),
                    {TITLE: "triage", "io.deis.oras.content.unpack": "true"},
                )
            ],
            {"c.json": b"c", "m.onnx": b"m"},
        ),
        (
            [
                Pushed(f"{WEIGHTS}.raw", GGUF, {FILEPATH: "m.gguf"}),
                Pushed("application/vnd.cncf.model.dataset.v1.raw", b"d", {FILEPATH: "d.csv"}),
                Pushed(
                    "application/vnd.cncf.model.weight.config.v1.tar",
                    tar({"c.json": b"c"}),
                    {FILEPATH: "c.json"},
                ),
            ],
            {"m.gguf": GGUF},
        ),
        (
            [
                Pushed(f"{WEIGHTS}.tar+gzip", tar({"s/m.safetensors": b"w"}, packed=True), {}),
                Pushed(
                    "application/vnd.cncf.model.weight.config.v1.tar", tar({"s/c.json": b"c"}), {}
                ),
            ],
            {"s/m.safetensors": b"w", "s/c.json": b"c"},
        ),
        (
            [
                Pushed("application/vnd.docker.ai.gguf.v3", GGUF, {}),
                Pushed("application/vnd.docker.ai.license", b"MIT", {}),
                Pushed("application/vnd.docker.ai.chat.template.jinja", b"{{x}}", {}),
            ],
            {"model.gguf": GGUF},
        ),
        (
            [
                Pushed("application/vnd.docker.ai.gguf.v3", b"GGUF1", {}),
                Pushed("application/vnd.docker.ai.gguf.v3", b"GGUF2", {}),
            ],
            {"model-00001-of-00002.gguf": b"GGUF1", "model-00002-of-00002.gguf": b"GGUF2"},
        ),
        (
            [
                Pushed(
                    IMAGE, tar({"etc/passwd": b"x", "bin/sh": special("bin/sh", b"2", "/x")}), {}
                ),
                Pushed(
                    IMAGE_GZIP, tar({"./models/m.onnx": b"old", "models/c": b"c"}, packed=True), {}
                ),
                Pushed(IMAGE, tar({"/models/m.onnx": b"new"}), {}),
            ],
            {"m.onnx": b"new", "c": b"c"},
        ),
    ],
    ids=["oras", "oras folder", "modelpack", "modelpack tar", "docker", "docker parts", "modelcar"],
)
async def test_what_others_push_is_read(at, registry, layers, files, request, tmp_path):
    name = request.node.callspec.id.replace(" ", "-")
    registry.push(f"kinds/{name}", layers)

    source = await at(f"kinds/{name}")

    assert await contents(source) == files


async def test_what_was_unpacked_is_gone_with_the_source(registry, opened, stack, tmp_path):
    registry.push("gone", [Pushed(IMAGE, tar({"models/m.onnx": b"m" * 1_000}), {})])
    told = {"endpoint": registry.endpoint, "username": USER, "secret": PASSWORD}
    source = await opened("oci://registry.example/gone", **told)

    (listed,) = (await source.listing()).files
    left = [path for path in (tmp_path / "scratch").rglob("*") if path.is_file()]
    await stack.aclose()

    assert listed.digest == f"sha256:{hashlib.sha256(b'm' * 1_000).hexdigest()}"
    assert len(left) == 1  # the file alone, without the archive
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tar({"models/../../x": b"x"}), "UnsafePath"),
        (tar({"models/x": special("models/x", tarfile.SYMTYPE, "/etc/passwd")}), "UnsafePath"),
        (tar({"models/x": special("models/x", tarfile.LNKTYPE, "etc/passwd")}), "UnsafePath"),
        (tar({"models/x": special("models/x", tarfile.CHRTYPE)}), "UnsafePath"),
        (tar({"models/x": special("models/x", tarfile.FIFOTYPE)}), "UnsafePath"),
        (tar({"models/.wh.x": b""}), "Unsupported"),
        (tar({"models/.wh..wh..opq": b""}), "Unsupported"),
        (tar({"etc/x": b"x"}), "NoModel"),
        (b"no archive" * 100, "Unreadable"),
        (tar({"models/x": b"x" * 5_000})[:1_000], "Unreadable"),
    ],
)
async def test_an_image_that_would_write_elsewhere_is_not_unpacked(at, registry, data, reason):
    name = f"hostile/{hashlib.sha256(data).hexdigest()[:12]}"
    registry.push(name, [Pushed(IMAGE, data, {})])

    said = await refusal(await at(name))

    assert said.reason == reason


async def test_a_header_that_would_fill_the_memory_is_not_read(at, registry):
    header = tarfile.TarInfo("models/x")
    header.type, header.size = tarfile.XHDTYPE, 1 << 30
    registry.push("hostile/header", [Pushed(IMAGE, header.tobuf() + bytes(5_000), {})])

    said = await refusal(await at("hostile/header"))

    assert (said.reason, "a header has 1073741824 bytes" in said.detail) == ("Unreadable", True)


async def test_a_bomb_is_given_up(at, registry):
    entry = tarfile.TarInfo("models/x")
    entry.size = 1 << 40
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb") as packed:
        packed.write(entry.tobuf())
        for _ in range(80):
            packed.write(bytes(1 << 20))
    registry.push("hostile/bomb", [Pushed(IMAGE_GZIP, out.getvalue(), {})])

    said = await refusal(await at("hostile/bomb"))

    assert (said.reason, "grow to" in said.detail) == ("Unreadable", True)


async def test_of_an_index_the_manifest_for_this_kind_of_machine_is_taken(at, registry):
    def entry(digest: str, platform: dict[str, str] | None) -> dict[str, object]:
        found = {"mediaType": MANIFEST, "digest": digest, "size": 2}
        return {**found, "platform": platform} if platform else found

    ours = registry.push("index", [Pushed(PLAIN, b"ours", {TITLE: "m.onnx"})], tag="ours")
    arm = registry.push("index", [Pushed(PLAIN, b"arm", {TITLE: "m.onnx"})], tag="arm")
    machines = {
        "both": [
            entry(arm, {"os": "linux", "architecture": "arm64"}),
            entry(ours, {"os": "linux", "architecture": "amd64"}),
        ],
        "any": [entry(ours, None), entry(arm, {"os": "unknown", "architecture": "unknown"})],
        "arm": [entry(arm, {"os": "linux", "architecture": "arm64"})],
    }
    for tag, manifests in machines.items():
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
        registry.manifest("index", index, INDEX, tag)

    both, without = [await (await at(f"index:{tag}")).listing() for tag in ("both", "any")]
    said = await refusal(await at("index:arm"))

    assert both.pinned == without.pinned == f"oci://registry.example/index@{ours}"
    assert (said.reason, f"`linux/arm64` ({arm})" in said.detail) == ("Ambiguous", True)


async def test_several_models_are_told_apart_by_whoever_pushes(at, registry):
    layers = [Pushed(PLAIN, name.encode(), {TITLE: name}) for name in ("a.gguf", "b.gguf")]
    registry.push("several", layers)

    said = await refusal(await at("several"))

    assert (said.reason, "artifact of its own" in said.fix) == ("Ambiguous", True)


@pytest.mark.parametrize(
    ("reference", "access", "reason"),
    [
        ("nothing", {}, "NotFoundThere"),
        ("oras/one:never", {}, "NotFoundThere"),
        ("oras/one", {"secret": "wrong"}, "AccessDenied"),
        ("oras/one", {"username": None, "secret": None}, "AccessDenied"),
        ("oras/one", {"username": None}, "AccessDenied"),
    ],
)
async def test_what_the_registry_refuses_is_told(at, reference, access, reason):
    said = await refusal(await at(reference, **access))

    assert (said.reason, said.transient) == (reason, False)


async def test_layers_without_names_are_no_model(at, registry):
    registry.push("helm", [Pushed("application/vnd.cncf.helm.chart.content.v1.tar+gzip", b"x", {})])

    said = await refusal(await at("helm"))

    assert said.reason == "NoModel"
    assert "`application/vnd.cncf.helm.chart.content.v1.tar+gzip`" in said.detail


async def test_a_layer_packed_otherwise_is_named(at, registry):
    registry.push("lz4", [Pushed(f"{IMAGE}+lz4", b"x", {})])

    said = await refusal(await at("lz4"))

    assert (said.reason, f"{IMAGE}+lz4" in said.detail) == ("Unsupported", True)


def framed(*parts: bytes) -> bytes:
    """Pack parts with Zstandard, each as a frame of its own."""
    return b"".join(zstandard.ZstdCompressor().compress(one) for one in parts)


@pytest.mark.parametrize("kind", [f"{IMAGE}+zstd", f"{WEIGHTS}.tar+zstd"])
async def test_a_layer_packed_with_zstd_is_read_frame_by_frame(at, registry, kind):
    whole = tar({"models/m.gguf": GGUF, "models/big.bin": bytes(3 << 20)})
    registry.push("zstd", [Pushed(kind, framed(whole[:5_000], whole[5_000:]), {})])
    below = "" if kind.startswith(IMAGE) else "models/"

    found = await contents(await at("zstd"))

    assert found[f"{below}m.gguf"] == GGUF


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (framed(tar({"models/x": bytes(80 << 20)})), "grow to"),
        (bytes.fromhex("28b52ffd 00 a0 010000"), "too much memory"),
        (b"no frame of Zstandard", "is damaged"),
        (framed(tar({"models/m.gguf": os.urandom(50_000)}))[:30_000], "ends early"),
    ],
    ids=["a bomb", "a window of 1 GiB", "no frame", "cut"],
)
async def test_a_hostile_layer_packed_with_zstd_is_given_up(at, registry, packed, words):
    registry.push("hostile/zstd", [Pushed(f"{IMAGE}+zstd", packed, {})])

    said = await refusal(await at("hostile/zstd"))

    assert (said.reason, words in said.detail) == ("Unreadable", True), said.detail


# A registry that asks for tokens, has its files elsewhere, and lies when it is told to.


class TokenRegistry:
    def __init__(self, layers: dict[str, bytes]) -> None:
        self.blobs = {
            f"sha256:{hashlib.sha256(data).hexdigest()}": data for data in layers.values()
        }
        entries = [
            {
                "mediaType": IMAGE if name.endswith(".tar") else PLAIN,
                "digest": digest,
                "size": len(data),
                "annotations": {} if name.endswith(".tar") else {TITLE: name},
            }
            for (name, data), digest in zip(layers.items(), self.blobs, strict=True)
        ]
        self.manifest = json.dumps({"schemaVersion": 2, "layers": entries}).encode()
        self.token = "first"
        self.realm = ""
        self.asked: list[dict[str, list[str]]] = []
        self.blob = file

    def __call__(self, asked: Asked) -> Reply:
        if asked.path == "/token":
            self.asked.append(parse_qs(urlsplit(asked.target).query))
            if asked.headers.get("authorization") not in {None, "Basic bWU6d29yZA=="}:
                return Reply(401)
            return Reply(200, json.dumps({"token": self.token}).encode())
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            told = f'Bearer realm="{self.realm}",service="reg",scope="repository:a/b:pull"'
            return Reply(401, headers={"www-authenticate": told})
        if "/manifests/" in asked.path:
            return Reply(200, self.manifest)
        return self.blob(asked, self.blobs[asked.path.rpartition("/")[2]])


@pytest.fixture
def lying(serve, opened):
    async def of(layers: dict[str, bytes], reference: str = "a/b:1", **access: str):
        registry = TokenRegistry(layers)
        server = await serve(registry)
        registry.realm = f"{server.url}/token"
        source = await opened(f"oci://r.example/{reference}", endpoint=server.url, **access)
        return registry, server, source

    return of


async def test_a_token_is_fetched_with_the_password_and_renewed_when_it_ends(lying):
    registry, server, source = await lying({"m.gguf": GGUF}, username="me", secret="word")
    (listed,) = (await source.listing()).files
    registry.token = "second"

    assert await whole(source, listed) == GGUF
    assert registry.asked == [{"service": ["reg"], "scope": ["repository:a/b:pull"]}] * 2
    tokens = {one.headers.get("authorization") for one in server.asked if one.path != "/token"}
    assert tokens == {None, "Bearer first", "Bearer second"}


async def test_the_token_stays_with_the_registry(lying, serve):
    store = await serve(lambda asked: file(asked, GGUF))
    registry, _, source = await lying({"m.gguf": GGUF})
    registry.blob = lambda asked, _: redirect(f"{store.name}/blob", 307)

    assert await contents(source) == {"m.gguf": GGUF}
    assert [one.headers.get("authorization") for one in store.asked] == [None]


@pytest.mark.parametrize(
    "realm", ["http://169.254.169.254/token", "http://[fd00:ec2::254]/", "file:///etc/passwd"]
)
async def test_where_tokens_come_from_is_judged_too(lying, realm):
    registry, _, source = await lying({"m.gguf": GGUF}, username="me", secret="word")
    registry.realm = realm

    assert (await refusal(source)).reason == "NotAllowed"


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"[]",
        b"[" * 200_000,
        b"{}",
        b'{"layers": {}}',
        b'{"layers": [1]}',
        b'{"layers": [{"digest": "sha256:12", "size": 1}]}',
        b'{"layers": [{"digest": "sha256:%s", "size": -1}]}' % (b"a" * 64),
        b'{"layers": [{"digest": "sha256:%s", "size": true}]}' % (b"a" * 64),
        b'{"manifests": 1}',
        b'{"manifests": [{"digest": "sha256:%s", "size": 1, "platform": 1}]}' % (b"a" * 64),
    ],
)
async def test_a_manifest_that_is_none_is_not_read(lying, manifest):
    registry, _, source = await lying({"m.gguf": GGUF})
    registry.manifest = manifest

    assert (await refusal(source)).reason == "Unreadable"


async def test_a_manifest_must_have_the_digest_that_was_asked_for(lying):
    _, _, source = await lying({"m.gguf": GGUF}, f"a/b@sha256:{'0' * 64}")

    assert (await refusal(source)).reason == "DigestMismatch"


async def test_a_layer_must_have_its_digest_before_it_is_unpacked(lying):
    registry, _, source = await lying({"x.tar": tar({"models/m.onnx": b"m"})})
    registry.blob = lambda asked, data: file(asked, data[:-1] + b"x")

    assert (await refusal(source)).reason == "DigestMismatch"


async def test_a_layer_that_breaks_off_is_brought_on_from_there(lying):
    data = tar({"models/m.onnx": bytes(range(256)) * 10_000})
    registry, _, source = await lying({"x.tar": data})
    cuts = iter([1_200_000, 1_100_000, None])
    registry.blob = lambda asked, data: file(asked, data, cut_after=next(cuts))

    assert await contents(source) == {"m.onnx": bytes(range(256)) * 10_000}


async def test_a_layer_that_brings_nothing_is_given_up(lying):
    registry, server, source = await lying({"x.tar": tar({"models/m.onnx": b"m"})})
    registry.blob = lambda asked, data: file(asked, data, cut_after=0)

    said = await refusal(source)

    assert said.transient
    assert len([one for one in server.asked if "/blobs/" in one.path]) <= 2
