"""The Hub, as its own library sees it too, and the cache that this library fills."""

import asyncio
import hashlib
import json
import os
from pathlib import Path

import pytest
from far_server import Reply
from huggingface_hub import snapshot_download
from scripted_hub import COMMIT, OTHER_COMMIT, ScriptedHub
from sources_read import contents, refusal, whole

from towpath_server.adapters.sources.errors import SourceFailed
from towpath_server.core.source_settings import SourceSettings

CARD = b"---\nlicense: apache-2.0\ntags: [a]\n---\n\n# Triage\n"
SAFETENSORS = {
    ".gitattributes": b"*.bin filter=lfs",
    "README.md": CARD,
    "config.json": b"{}",
    "tokenizer/merges.txt": b"a b",
    "model.safetensors": b"weights" * 1_000,
    "pytorch_model.bin": b"pickle",
    "tf_model.h5": b"keras",
    "onnx/model.onnx": b"onnx",
    "original/consolidated.00.pth": b"pickle",
}
TAKEN = {"config.json", "model.safetensors", "tokenizer/merges.txt"}
GGUF = {
    "README.md": b"# Many\n",
    "m-q4.gguf": b"GGUF4",
    "m-q8.gguf": b"GGUF8",
    "big/m-f16-00001-of-00002.gguf": b"GGUF16a",
    "big/m-f16-00002-of-00002.gguf": b"GGUF16b",
    "mmproj-f16.gguf": b"GGUFeye",
}


@pytest.fixture
def hub() -> ScriptedHub:
    made = ScriptedHub()
    made.put("acme/triage", SAFETENSORS)
    made.put("acme/many", GGUF)
    made.put("acme/one", {"one.gguf": b"GGUF", "mmproj-one.gguf": b"GGUFeye", "params": b"{}"})
    return made


@pytest.fixture
async def endpoint(hub, serve) -> str:
    server = await serve(hub)
    hub.files_at = server.name
    return server.url


async def test_a_repository_is_listed_at_its_commit(endpoint, opened):
    source = await opened("hf://acme/triage", endpoint=endpoint)

    listing = await source.listing()

    weights = next(file for file in listing.files if file.path == "model.safetensors")
    digest = hashlib.sha256(SAFETENSORS["model.safetensors"]).hexdigest()
    assert listing.pinned == f"hf://acme/triage:{COMMIT}"
    assert [file.path for file in listing.files] == sorted(TAKEN)
    assert (weights.size, weights.digest) == (7_000, f"sha256:{digest}")
    assert (listing.card, listing.licence) == ("# Triage", "Apache-2.0")


async def test_its_files_are_read_past_redirects(endpoint, opened):
    source = await opened(f"hf://acme/triage:{COMMIT}", endpoint=endpoint)

    assert await contents(source) == {path: SAFETENSORS[path] for path in TAKEN}


async def test_the_token_is_shown_to_the_hub_and_not_where_files_lie(hub, serve, opened):
    files_at = await serve(hub)
    hub.files_at, hub.token = files_at.name, "hf_secret"
    server = await serve(hub)
    known = await opened("hf://acme/triage", endpoint=server.url, secret="hf_secret")
    unknown = await opened("hf://acme/triage", endpoint=server.url)

    read = await contents(known)
    said = await refusal(unknown)

    assert set(read) == TAKEN
    assert {one.headers.get("authorization") for one in files_at.asked} == {None}
    assert (said.reason, "token" in said.fix) == ("NotFoundThere", True)


@pytest.mark.parametrize(
    ("uri", "files"),
    [
        ("hf://acme/many/m-q4.gguf", ["m-q4.gguf"]),
        ("hf://acme/many/big", ["m-f16-00001-of-00002.gguf", "m-f16-00002-of-00002.gguf"]),
        (
            "hf://acme/many/big/m-f16-00001-of-00002.gguf",
            ["m-f16-00001-of-00002.gguf", "m-f16-00002-of-00002.gguf"],
        ),
        ("hf://acme/triage/onnx", ["model.onnx"]),
        ("hf://acme/triage/pytorch_model.bin", ["pytorch_model.bin"]),
        ("hf://acme/one", ["one.gguf"]),
    ],
)
async def test_a_path_picks_a_file_or_a_folder(endpoint, opened, uri, files):
    source = await opened(uri, endpoint=endpoint)

    listing = await source.listing()

    assert [file.path for file in listing.files] == files
    assert listing.pinned == f"{uri}:{COMMIT}"


async def test_several_quantisations_are_listed_and_none_is_taken(endpoint, opened):
    said = await refusal(await opened("hf://acme/many", endpoint=endpoint))

    assert said.reason == "Ambiguous"
    assert "`big/m-f16-00001-of-00002.gguf`, `m-q4.gguf`, `m-q8.gguf`" in said.detail
    assert "hf://acme/many/FILE:main" in said.fix


async def test_of_a_gated_repository_the_terms_are_named(hub, endpoint, opened):
    """Anybody may list one; its files are for those who agreed."""
    hub.put("acme/gated", {"m.gguf": b"GGUF"})
    hub.gated.add("acme/gated")
    told = {"endpoint": endpoint}
    unknown = await opened("hf://acme/gated", **told)
    stranger = await opened("hf://acme/gated", secret="not-yet", **told)
    agreed = await opened("hf://acme/gated", secret="agreed", **told)

    first = await refusal(unknown)
    (listed,) = (await stranger.listing()).files
    with pytest.raises(SourceFailed) as second:
        await whole(stranger, listed)

    assert (first.reason, second.value.reason) == ("Gated", "Gated")
    assert f"{endpoint}/acme/gated" in first.fix
    assert await contents(agreed) == {"m.gguf": b"GGUF"}


@pytest.mark.parametrize(
    ("uri", "reason", "what"),
    [
        ("hf://acme/nothing", "NotFoundThere", "no repository `acme/nothing`"),
        ("hf://acme/triage:nowhere", "NotFoundThere", "no revision `nowhere`"),
        ("hf://acme/triage/q4", "NotFoundThere", "no `q4`"),
        ("hf://acme/empty", "NoModel", "no file of a model"),
        ("hf://acme/climbs", "UnsafePath", "cannot be kept"),
    ],
)
async def test_what_is_not_there_is_told(hub, endpoint, opened, uri, reason, what):
    hub.put("acme/empty", {"README.md": b"x", ".gitattributes": b"x"})
    hub.put("acme/climbs", {"../../x.gguf": b"x"})

    said = await refusal(await opened(uri, endpoint=endpoint))

    assert said.reason == reason
    assert what in said.detail


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"[" * 200_000,
        b'{"sha": "main", "siblings": []}',
        b'{"sha": 1, "siblings": [{}]}',
        b'{"sha": "%s", "siblings": [1]}' % COMMIT.encode(),
        b'{"sha": "%s", "siblings": {"a": 1}}' % COMMIT.encode(),
        b'{"sha": "%s", "siblings": [{"rfilename": "a", "lfs": "x"}]}' % COMMIT.encode(),
        b'{"sha": "%s", "siblings": [{"rfilename": "a", "lfs": {"sha256": 1}}]}' % COMMIT.encode(),
        b'{"sha": "%s", "siblings": []}' % OTHER_COMMIT.encode(),
    ],
)
async def test_what_no_hub_says_is_not_read(hub, endpoint, opened, body):
    hub.instead = Reply(200, body)

    said = await refusal(await opened(f"hf://acme/triage:{COMMIT}", endpoint=endpoint))

    assert (said.reason, said.transient) == ("Unreadable", False)


async def test_a_list_without_an_end_is_not_read(hub, endpoint, opened):
    hub.instead = Reply(200, b" " * (1 << 20), endless=True)

    said = await refusal(await opened("hf://acme/triage", endpoint=endpoint))

    assert said.reason == "TooLarge"


async def test_more_files_than_a_model_has_are_not_read(hub, endpoint, opened):
    siblings = [{"rfilename": f"{number}.json", "size": 1} for number in range(100_000)]
    hub.instead = Reply(200, json.dumps({"sha": COMMIT, "siblings": siblings}).encode())

    said = await refusal(await opened("hf://acme/triage", endpoint=endpoint))

    assert said.reason == "TooMany"


# The cache.


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "hub"


async def download(endpoint: str, cache: Path, repository: str, **more: object) -> Path:
    """Fill the cache, by the Hub's own library."""
    told = {"endpoint": endpoint, "cache_dir": cache, "token": False, **more}
    return Path(await asyncio.to_thread(snapshot_download, repository, **told))


def offline(cache: Path) -> SourceSettings:
    return SourceSettings(hf_cache_dir=cache, hf_offline=True)


async def test_the_librarys_cache_is_read_as_the_library_filled_it(endpoint, cache, opened, hub):
    """It also proves that the scripted Hub is one, to those who wrote the real one."""
    snapshot = await download(endpoint, cache, "acme/triage")
    here = await opened("hf://acme/triage", settings=offline(cache))
    there = await opened("hf://acme/triage", endpoint=endpoint)

    found, asked = await here.listing(), await there.listing()

    assert (snapshot / "model.safetensors").read_bytes() == SAFETENSORS["model.safetensors"]
    assert found.pinned == asked.pinned
    assert found.fingerprint == asked.fingerprint
    assert (found.card, found.licence) == (asked.card, asked.licence)
    assert [(one.path, one.size, one.digest) for one in found.files] == [
        (one.path, one.size, one.digest) for one in asked.files
    ]
    assert await contents(here) == {path: SAFETENSORS[path] for path in TAKEN}


async def test_a_commit_that_is_whole_in_the_cache_is_not_asked_for(cache, hub, serve, opened):
    server = await serve(hub)
    hub.files_at = server.name
    await download(server.url, cache, "acme/triage")
    before = len(server.asked)
    settings = SourceSettings(hf_cache_dir=cache, hf_endpoint=server.url)
    pinned = await opened(f"hf://acme/triage:{COMMIT}", settings=settings)

    read = await contents(pinned)

    assert set(read) == TAKEN
    assert len(server.asked) == before


async def test_a_revision_that_moves_is_asked_for_first(endpoint, cache, hub, opened):
    await download(endpoint, cache, "acme/triage")
    hub.put("acme/triage", {"new.gguf": b"GGUF"}, OTHER_COMMIT)
    hub.revisions["main"] = OTHER_COMMIT
    settings = SourceSettings(hf_cache_dir=cache, hf_endpoint=endpoint)
    moved = await opened("hf://acme/triage", settings=settings)

    asked = await moved.listing()
    hub.instead = Reply(503)
    unreachable = await moved.listing()
    hub.instead = Reply(404, headers={"x-error-code": "RevisionNotFound"})
    gone = await refusal(moved)

    assert asked.pinned == f"hf://acme/triage:{OTHER_COMMIT}"
    assert unreachable.pinned == f"hf://acme/triage:{COMMIT}"
    assert gone.reason == "NotFoundThere"


async def test_what_is_not_whole_in_the_cache_is_not_taken(endpoint, cache, opened):
    await download(endpoint, cache, "acme/triage", allow_patterns=["config.json"])
    settings = SourceSettings(hf_cache_dir=cache, hf_endpoint=endpoint)
    alone = await opened(f"hf://acme/triage:{COMMIT}", settings=offline(cache))
    asking = await opened(f"hf://acme/triage:{COMMIT}", settings=settings)
    never = await opened("hf://acme/never", settings=offline(cache))

    assert (await refusal(alone)).reason == "NotCached"
    assert (await refusal(never)).reason == "NotCached"
    assert await contents(asking) == {path: SAFETENSORS[path] for path in TAKEN}


@pytest.mark.parametrize(
    ("files", "complete"),
    [
        ({"a.gguf": b"1"}, True),
        ({"a-00001-of-00002.gguf": b"1"}, False),
        ({"a-00001-of-00002.gguf": b"1", "a-00002-of-00002.gguf": b"2"}, True),
        ({"config.json": b"{}"}, False),
        ({"m.safetensors.index.json": b'{"weight_map": {"x": "m.safetensors"}}'}, False),
        (
            {
                "m.safetensors.index.json": b'{"weight_map": {"x": "m.safetensors"}}',
                "m.safetensors": b"1",
            },
            True,
        ),
        ({"m.safetensors.index.json": b"[" * 100_000, "m.safetensors": b"1"}, False),
    ],
)
async def test_a_cache_of_older_libraries_must_have_all_parts_that_are_named(
    cache, opened, files, complete
):
    """They noted no list of the commit's files."""
    home = layout(cache, files)
    (home / "refs" / "main").write_text(COMMIT)
    source = await opened("hf://acme/triage", settings=offline(cache))

    if complete:
        assert set(await contents(source)) <= set(files)
    else:
        assert (await refusal(source)).reason == "NotCached"


@pytest.mark.parametrize("target", ["/etc/hostname", "../../../elsewhere"])
async def test_a_link_out_of_the_cache_is_refused(cache, opened, target):
    home = layout(cache, {"a.gguf": b"1"})
    (cache / "elsewhere").write_bytes(b"secret")
    (home / "snapshots" / COMMIT / "config.json").symlink_to(target)
    source = await opened(f"hf://acme/triage:{COMMIT}", settings=offline(cache))

    said = await refusal(source)

    assert said.reason == "UnsafePath"


async def test_a_file_of_the_cache_that_changed_is_not_given_on(cache, opened):
    home = layout(cache, {"a.gguf": b"12345"})
    source = await opened(f"hf://acme/triage:{COMMIT}", settings=offline(cache))
    (listed,) = (await source.listing()).files
    os.truncate(home / "snapshots" / COMMIT / "a.gguf", 2)

    with pytest.raises(SourceFailed) as caught:
        [piece async for piece in source.read(listed)]

    assert caught.value.reason == "Changed"


def layout(cache: Path, files: dict[str, bytes]) -> Path:
    """Write a snapshot of plain files, as the library does where links are not had."""
    home = cache / "models--acme--triage"
    root = home / "snapshots" / COMMIT
    (home / "refs").mkdir(parents=True)
    root.mkdir(parents=True)
    for path, data in files.items():
        (root / path).write_bytes(data)
    return home
