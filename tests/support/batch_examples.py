"""Examples of the routes of files and batches."""

import json
from typing import Any

from examples import Call, World, example

BOUNDARY = "a-boundary-of-the-tests"


def line(custom_id: str, **more: Any) -> dict[str, Any]:
    """Return one request of a batch."""
    body = {"model": "tiny", "messages": [{"role": "user", "content": custom_id}]}
    request = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions"}
    return {**request, "body": body, **more}


def jsonl(*lines: Any) -> bytes:
    """Write lines, each as it is given or as JSON."""
    texts = [one if isinstance(one, str) else json.dumps(one) for one in lines]
    return "".join(f"{text}\n" for text in texts).encode()


def upload(content: bytes, **fields: str) -> Call:
    """Return the upload of a file."""
    form = {"purpose": "batch", **fields}
    parts = [
        f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in form.items()
    ]
    head = (
        f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n'
    )
    body = b"".join([*parts, head.encode(), content, f"\r\n--{BOUNDARY}--\r\n".encode()])
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    return Call("/v1/files", content=body, headers={"content-type": kind})


async def file_of(world: World) -> str:
    """Upload a file of `alpha/one`, and return its id."""
    call = upload(jsonl(line(world.name("line"))))
    key = world.api.as_(world.tokens["alpha/one key"])
    answer = await key.call(
        "POST", call.path, content=call.content, headers=call.headers, status=200
    )
    return str(answer.json()["id"])


async def batch_of(world: World) -> str:
    """Make a batch of `alpha/one`, and return its id."""
    key = world.api.as_(world.tokens["alpha/one key"])
    body = (await _create(world)).body
    return str((await key.call("POST", "/v1/batches", body, status=200)).json()["id"])


@example("POST", "/v1/files")
async def _(world: World) -> Call:
    return upload(jsonl(line(world.name("line"))))


@example("GET", "/v1/files")
async def _(world: World) -> Call:
    await file_of(world)
    return Call("/v1/files")


@example("GET", "/v1/files/{file}")
async def _(world: World) -> Call:
    return Call(f"/v1/files/{await file_of(world)}")


@example("GET", "/v1/files/{file}/content")
async def _(world: World) -> Call:
    return Call(f"/v1/files/{await file_of(world)}/content")


@example("DELETE", "/v1/files/{file}")
async def _(world: World) -> Call:
    return Call(f"/v1/files/{await file_of(world)}")


@example("POST", "/v1/batches")
async def _create(world: World) -> Call:
    body = {"input_file_id": await file_of(world), "completion_window": "24h"}
    return Call("/v1/batches", {**body, "endpoint": "/v1/chat/completions"})


@example("GET", "/v1/batches")
async def _(world: World) -> Call:
    await batch_of(world)
    return Call("/v1/batches")


@example("GET", "/v1/batches/{batch}")
async def _(world: World) -> Call:
    return Call(f"/v1/batches/{await batch_of(world)}")


@example("POST", "/v1/batches/{batch}/cancel")
async def _(world: World) -> Call:
    return Call(f"/v1/batches/{await batch_of(world)}/cancel")
