"""What becomes of a model outside: its version, its rights, and what goes wrong on the way."""

import asyncio

import pytest
from hostile.pickled import calling
from imports import HUB, ImportWorld, away, digest_of, refused

from towpath_server.domains.imports.reconcile.runner import MOST_ATTEMPTS
from towpath_server.domains.imports.service import moves

EMAIL = "care-developer@example.org"
LARGE = bytes(9 << 20)  # more than comes whole again after a break


async def test_what_a_source_has_becomes_a_version_that_says_where_it_is_from(
    world: ImportWorld,
) -> None:
    world.source.files = {"model.bin": b"weights", "config/a.json": b"{}"}
    world.source.card, world.source.licence = "# Triage", "Apache-2.0"
    begun = await world.begin(tags={"stage": "trial"})

    done = await world.run(begun["id"])

    version = await world.api.get("/models/triage/versions/1")
    assert (begun["phase"], begun["bytes"]) == ("queued", {"done": 0, "total": None})
    assert (done["phase"], done["version"], done["created_by"]) == ("done", 1, EMAIL)
    assert done["bytes"] == {"done": 9, "total": 9}
    assert done["files"] == {"done": 2, "total": 2}
    assert done["pinned"].startswith("hf://acme/triage:")
    assert [file["path"] for file in version["files"]] == ["config/a.json", "model.bin"]
    assert version["lineage"] == {"source": done["pinned"]}
    assert (version["card"], version["licence"]) == ("# Triage", "Apache-2.0")
    assert version["tags"] == {"stage": "trial"}
    assert (await world.api.get("/models/triage"))["project"]


async def test_the_format_is_told_by_the_names_of_the_files(world: ImportWorld) -> None:
    begun = await world.begin(format=None)

    failed = await world.run(begun["id"])

    assert (failed["phase"], failed["reason"]) == ("failed", "UnknownFormat")
    assert "`model.bin`" in failed["message"]
    assert "`format`" in failed["fix"]


async def test_a_format_that_is_none_is_refused_before_anything_comes(world: ImportWorld) -> None:
    problem = await world.begin(format="onxx", status=422)

    (finding,) = problem["findings"]
    assert (finding["path"], finding["reason"]) == ("#/format", "UnknownFormat")
    assert finding["fix"] == "Did you mean `onnx`?"


async def test_a_name_that_no_version_may_have_ends_it(world: ImportWorld) -> None:
    world.source.files = {"x" * 501: b"weights"}
    begun = await world.begin()

    failed = await world.run(begun["id"])

    assert (failed["phase"], failed["reason"]) == ("failed", "UnsafePath")


async def test_an_unchanged_source_is_the_version_that_is_there_and_a_moved_one_the_next(
    world: ImportWorld,
) -> None:
    first = await world.imported()
    again = await world.imported()
    world.source.files = {"model.bin": b"better weights"}
    moved = await world.imported()

    assert (first["version"], again["version"], moved["version"]) == (1, 1, 2)


@pytest.mark.parametrize("told", [True, False])
async def test_a_source_need_not_tell_sizes_and_digests(world: ImportWorld, *, told: bool) -> None:
    world.source.told = told

    version = await world.imported()

    assert version["files"] == [
        {"path": "model.bin", "digest": digest_of(b"weights"), "size": len(b"weights")}
    ]


async def test_twenty_calls_at_once_begin_one_import(world: ImportWorld) -> None:
    begun = await asyncio.gather(*(world.begin() for _ in range(20)))

    listed = await world.api.get("/imports?model=triage")
    assert len({one["id"] for one in begun}) == 1
    assert len(listed["items"]) == 1


async def test_what_the_team_has_stored_before_is_not_fetched_again(world: ImportWorld) -> None:
    await world.imported()
    world.source.files |= {"more.bin": b"more"}

    await world.imported()

    assert world.source.sent == {"model.bin": len(b"weights"), "more.bin": len(b"more")}


async def test_a_digest_alone_does_not_open_what_another_team_has_stored(
    world: ImportWorld,
) -> None:
    """Whoever names the digest of a foreign model at a source of their own must bring its bytes."""
    await world.imported()
    world.source.files = {"model.bin": b"not these"}
    world.source.lies = {"model.bin": digest_of(b"weights")}
    stranger = await world.person("sales")
    begun = await world.begin(model="stolen", project="sales/triage", api=stranger)

    failed = await world.run(begun["id"])

    assert (failed["phase"], failed["reason"]) == ("failed", "DigestMismatch")
    assert "`model.bin`" in failed["message"]
    await stranger.get("/models/stolen", status=404)


async def test_a_source_that_is_away_is_asked_again_when_it_wishes(world: ImportWorld) -> None:
    world.source.listing_cues = [away(), away(retry_after_s=60)]
    begun = await world.begin()

    first = await world.run(begun["id"])
    world.clock.advance(seconds=1.1)
    second = await world.run(begun["id"])
    world.clock.advance(seconds=59)
    early = await world.run(begun["id"])
    world.clock.advance(seconds=1.1)
    done = await world.run(begun["id"])

    assert (first["phase"], first["attempts"], first["reason"]) == ("queued", 1, "Unreachable")
    assert (second["attempts"], early["attempts"]) == (2, 2)
    assert (done["phase"], done["reason"], done["retry_at"]) == ("done", None, None)


async def test_a_source_that_stays_away_ends_it_after_five_attempts(world: ImportWorld) -> None:
    world.source.listing_cues = [away() for _ in range(MOST_ATTEMPTS)]
    begun = await world.begin()

    failed = await world.patiently(begun["id"])

    assert (failed["phase"], failed["reason"]) == ("failed", "Unreachable")
    assert failed["fix"] == "Check its address."
    assert world.source.listing_cues == []
    await world.api.get("/models/triage", status=404)


async def test_a_source_that_refuses_ends_it_at_once(world: ImportWorld) -> None:
    world.source.listing_cues = [refused()]
    begun = await world.begin()

    failed = await world.run(begun["id"])

    assert (failed["phase"], failed["reason"], failed["attempts"]) == ("failed", "AccessDenied", 0)
    assert (failed["message"], failed["fix"]) == (
        "The repository is gated.",
        "Ask for access to it.",
    )


@pytest.mark.parametrize("told", [True, False])
async def test_what_breaks_off_goes_on_where_it_was(world: ImportWorld, *, told: bool) -> None:
    world.source.files = {"model.bin": LARGE}
    world.source.told = told
    world.source.cuts = [("model.bin", 3 << 20), ("model.bin", 5 << 20)]

    version = await world.imported()

    assert version["files"][0]["digest"] == digest_of(LARGE)
    assert world.source.reads == [("model.bin", offset << 20) for offset in (0, 3, 5)]
    assert world.source.sent["model.bin"] == len(LARGE)
    assert world.left_open() == []


async def test_what_the_scan_finds_ends_it_with_the_fix_and_without_a_version(
    world: ImportWorld,
) -> None:
    world.source.files = {"model.bin": b"weights", "extra.pkl": calling("os", "system", "id")}
    begun = await world.begin()

    failed = await world.run(begun["id"])

    assert failed["phase"] == "failed"
    assert "extra.pkl" in failed["message"]
    assert failed["reason"]
    assert failed["fix"]
    await world.api.get("/models/triage", status=404)


async def test_a_cancelled_import_stops_and_leaves_nothing(world: ImportWorld) -> None:
    world.source.files = {"model.bin": LARGE}
    begun = await world.begin()
    reached, never = asyncio.Event(), asyncio.Event()

    async def stuck(_path: str, offset: int) -> None:
        if offset:
            reached.set()
            await never.wait()

    world.source.before = stuck
    running = asyncio.create_task(world.runner().step(begun["id"]))
    await reached.wait()

    await world.api.call("DELETE", f"/imports/{begun['id']}", status=204)
    await running
    again = await world.runner().step(begun["id"])

    assert not again
    assert world.left_open() == []
    await world.api.get(f"/imports/{begun['id']}", status=404)
    async with world.db.read() as tx:
        assert await moves.read(tx, begun["id"]) is None


async def test_an_import_that_has_ended_is_forgotten_and_its_version_stays(
    world: ImportWorld,
) -> None:
    begun = await world.begin()
    await world.run(begun["id"])

    await world.api.call("DELETE", f"/imports/{begun['id']}", status=204)

    await world.api.get(f"/imports/{begun['id']}", status=404)
    assert (await world.api.get("/models/triage"))["latest_version"] == 1


async def test_imports_are_kept_for_thirty_days(world: ImportWorld) -> None:
    begun = await world.begin()
    await world.run(begun["id"])
    world.clock.advance(seconds=moves.KEPT_MS / 1_000 - 1)
    async with world.db.write() as tx:
        early = await moves.sweep(tx)
    world.clock.advance(seconds=2)
    async with world.db.write() as tx:
        late = await moves.sweep(tx)

    assert (early, late) == (0, 1)
    await world.api.get(f"/imports/{begun['id']}", status=404)


async def test_only_who_may_add_versions_imports_them(world: ImportWorld) -> None:
    await world.imported()
    viewer = await world.person("care", "viewer")
    stranger = await world.person("sales")

    await world.begin(api=viewer, status=403)
    await world.begin(api=stranger, status=404)
    taken = await world.begin(api=stranger, project="sales/triage", status=409)

    assert taken["code"] == "name_taken"


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("https://files.example.com/model.gguf", "DigestMissing"),
        ("gs://bucket/model", "UnknownScheme"),
        ("hf://acme", "InvalidUri"),
        ("s3://models/triage", "NoConnection"),
    ],
)
async def test_a_source_that_cannot_be_one_is_refused_at_once(
    world: ImportWorld, uri: str, reason: str
) -> None:
    problem = await world.begin(uri, status=422)

    assert problem["code"] == "source_unusable"
    (finding,) = problem["findings"]
    assert (finding["path"], finding["reason"]) == ("#/uri", reason)
    assert finding["fix"]


async def test_a_model_and_a_project_are_not_deleted_while_something_comes(
    world: ImportWorld,
) -> None:
    await world.imported()
    begun = await world.begin("hf://acme/triage:next")

    model = await world.api.call("DELETE", "/models/triage", status=409)
    project = await world.admin.get("/projects/care/triage")
    kept = await world.admin.call("DELETE", f"/projects/{project['id']}", status=409)

    assert f"import {begun['id']}" in model.json()["detail"]
    assert kept.json()["code"] == "in_use"


async def test_a_name_that_is_taken_meanwhile_ends_it(world: ImportWorld) -> None:
    begun = await world.begin()
    await world.admin.create("/models", name="triage", project="sales/triage")

    failed = await world.run(begun["id"])

    assert (failed["phase"], failed["reason"]) == ("failed", "NameTaken")


async def test_the_connection_of_the_team_reaches_the_source(world: ImportWorld) -> None:
    await world.admin.create(
        "/connections",
        name="hub",
        location="hf://acme/",
        endpoint="https://mirror.example.com",
        credential="a-token",
    )
    await world.imported(HUB)

    _, access = world.source.asked[0]
    assert (access.endpoint, access.secret) == ("https://mirror.example.com", "a-token")
