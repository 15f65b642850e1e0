"""Files: whose they are, how they are listed, and when their bytes go."""

from batches import World, jsonl, line

from towpath_server.adapters.facilities import Facilities
from towpath_server.domains.files import service as files


async def test_a_file_comes_back_as_it_was_sent_and_describes_itself(world: World) -> None:
    content = jsonl(line("a"), line("ü"))
    made = await world.upload(content)

    read = await world.api.call("GET", f"/v1/files/{made['id']}/content", status=200)

    assert read.content == content
    assert made == await world.api.get(f"/v1/files/{made['id']}")
    assert made == {
        "id": made["id"],
        "object": "file",
        "bytes": len(content),
        "created_at": int(world.clock.now().timestamp()),
        "expires_at": None,
        "filename": "in.jsonl",
        "purpose": "batch",
        "status": "processed",
    }


async def test_files_are_listed_newest_first_and_page_by_page(world: World) -> None:
    ids = [(await world.upload(jsonl(line(name))))["id"] for name in "abc"]

    first = await world.api.get("/v1/files?limit=2")
    rest = await world.api.get(f"/v1/files?limit=2&after={first['last_id']}")
    forwards = await world.api.get("/v1/files?order=asc&purpose=batch")

    assert [file["id"] for file in first["data"]] == [ids[2], ids[1]]
    assert (first["has_more"], first["first_id"], rest["has_more"]) == (True, ids[2], False)
    assert [file["id"] for file in rest["data"]] == [ids[0]]
    assert [file["id"] for file in forwards["data"]] == ids


async def test_another_environments_key_sees_none_of_them(world: World) -> None:
    made = await world.upload(jsonl(line("a")))
    await world.key(environment="production")

    listed = await world.api.get("/v1/files")
    read = await world.api.call("GET", f"/v1/files/{made['id']}", status=404)
    content = await world.api.call("GET", f"/v1/files/{made['id']}/content", status=404)

    assert listed["data"] == []
    assert {read.json()["error"]["code"], content.json()["error"]["code"]} == {"not_found"}


async def test_what_is_wrong_with_an_upload_is_said(world: World) -> None:
    wrong = await world.upload(b"x", status=400, purpose="fine-tune")
    extra = await world.upload(b"x", status=400, colour="blue")
    call = await world.api.call(
        "POST", "/v1/files", content=b"{}", headers={"content-type": "application/json"}, status=400
    )

    assert wrong["error"]["param"] == "purpose"
    assert extra["error"]["param"] == "colour"
    assert "multipart/form-data" in call.json()["error"]["message"]


async def test_a_file_cut_off_on_its_way_is_none(world: World) -> None:
    answer = await world.api.call(
        "POST",
        "/v1/files",
        content=b'--b\r\ncontent-disposition: form-data; name="file"; filename="x"\r\n\r\nabc',
        headers={"content-type": "multipart/form-data; boundary=b"},
        status=400,
    )

    assert "ends before" in answer.json()["error"]["message"]
    assert (await world.api.get("/v1/files"))["data"] == []


async def test_uploads_are_bounded_by_file_and_by_project(world: World, app) -> None:
    small = world.facilities.batches.model_copy(
        update={"file_bytes": 1_000, "project_bytes": 1_500}
    )
    kept = app.state.facilities
    app.state.facilities = Facilities(**{**vars(kept), "batches": small})
    large = await world.upload(b"x" * 1_001, status=413)
    await world.upload(b"x" * 900)
    full = await world.upload(b"x" * 900, status=413)

    assert large["error"]["code"] == full["error"]["code"] == "file_too_large"
    assert "project" in full["error"]["message"]


async def test_a_file_that_a_batch_needs_stays(world: World) -> None:
    batch = await world.batch()
    file = (await world.get(batch))["input_file_id"]

    refused = await world.api.call("DELETE", f"/v1/files/{file}", status=409)
    await world.run(batch)
    gone = await world.api.call("DELETE", f"/v1/files/{file}", status=200)

    assert refused.json()["error"]["code"] == "in_use"
    assert gone.json() == {"id": file, "object": "file", "deleted": True}
    await world.api.call("GET", f"/v1/files/{file}", status=404)


async def test_a_sweep_removes_what_has_expired_and_bytes_that_no_file_has(world: World) -> None:
    lasting = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    ends = await world.upload(b"one", **lasting)
    twin = await world.upload(b"one")
    world.clock.advance(seconds=3_601)

    gone = await files.sweep(world.db, world.facilities.files, grace_s=-1)
    left = await world.api.get("/v1/files")
    await world.api.call("DELETE", f"/v1/files/{twin['id']}", status=200)
    young = await files.sweep(world.db, world.facilities.files)
    after = await files.sweep(world.db, world.facilities.files, grace_s=-1)

    assert ends["expires_at"] == ends["created_at"] + 3_600
    assert [file["id"] for file in left["data"]] == [twin["id"]]
    assert (gone, young, after) == (0, 0, 1)


async def test_making_and_deleting_files_is_audited(world: World) -> None:
    made = await world.upload(b"one")
    await world.api.call("DELETE", f"/v1/files/{made['id']}", status=200)

    events = (await world.admin.get("/audit?noun=file"))["items"]

    assert [(one["action"], one["resource_id"]) for one in events] == [
        ("file.deleted", made["id"]),
        ("file.created", made["id"]),
    ]
    assert {one["principal"]["id"] for one in events} == {world.key_id}
