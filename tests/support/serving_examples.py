"""Examples of the routes about what is served and what was used; see `examples`."""

import hashlib
from typing import Any

from examples import Call, World, example


async def _result(world: World) -> dict[str, Any]:
    model, body = await _version(world)
    version = await world.api.create(f"/models/{model}/versions", **body)
    return {
        "model": model,
        "version": version["version"],
        "suite": "triage-golden",
        "suite_version": "7",
        "metrics": {"accuracy": {"value": 0.86, "n": 600}},
        "source": "run 7",
    }


@example("POST", "/evaluations")
async def _(world: World) -> Call:
    return Call("/evaluations", await _result(world))


@example("GET", "/evaluations")
async def _(world: World) -> Call:
    return Call("/evaluations")


@example("GET", "/evaluations/{evaluation}")
async def _(world: World) -> Call:
    made = await world.api.create("/evaluations", **await _result(world))
    return Call(f"/evaluations/{made['id']}")


@example("POST", "/models")
async def _(world: World) -> Call:
    return Call("/models", {"name": world.name("model"), "project": world.project})


@example("GET", "/models")
async def _(world: World) -> Call:
    return Call("/models")


@example("GET", "/models/{model}")
async def _(world: World) -> Call:
    return Call(f"/models/{(await world.model())['id']}")


@example("PATCH", "/models/{model}")
async def _(world: World) -> Call:
    return Call(f"/models/{(await world.model())['id']}", {"description": "finds the queue"})


@example("DELETE", "/models/{model}")
async def _(world: World) -> Call:
    return Call(f"/models/{(await world.model())['id']}")


async def _version(world: World) -> tuple[str, dict[str, Any]]:
    model = await world.model()
    return model["id"], {"format": "onnx", "files": [await world.blob()]}


@example("POST", "/models/{model}/versions")
async def _(world: World) -> Call:
    model, body = await _version(world)
    return Call(f"/models/{model}/versions", body)


@example("GET", "/models/{model}/versions")
async def _(world: World) -> Call:
    return Call(f"/models/{(await world.model())['id']}/versions")


@example("GET", "/models/{model}/versions/{version}")
async def _(world: World) -> Call:
    model, body = await _version(world)
    version = await world.api.create(f"/models/{model}/versions", **body)
    return Call(f"/models/{model}/versions/{version['version']}")


@example("PATCH", "/models/{model}/versions/{version}")
async def _(world: World) -> Call:
    model, body = await _version(world)
    version = await world.api.create(f"/models/{model}/versions", **body)
    return Call(f"/models/{model}/versions/{version['version']}", {"tags": {"stage": "trial"}})


@example("GET", "/models/{model}/versions/{version}/files/{path:path}")
async def _(world: World) -> Call:
    model, body = await _version(world)
    await world.api.create(f"/models/{model}/versions", **body)
    return Call(f"/models/{model}/versions/1/files/model.onnx")


async def _alias(world: World) -> str:
    model, body = await _version(world)
    await world.api.create(f"/models/{model}/versions", **body)
    pointer = {"version": 1, "reason": "the first"}
    made = await world.api.call("PUT", f"/models/{model}/aliases/champion", pointer, status=200)
    return f"/models/{model}/aliases/{made.json()['id']}"


@example("GET", "/models/{model}/aliases")
async def _(world: World) -> Call:
    return Call((await _alias(world)).rpartition("/")[0])


@example("GET", "/models/{model}/aliases/{alias}")
async def _(world: World) -> Call:
    return Call(await _alias(world))


@example("PUT", "/models/{model}/aliases/{alias}")
async def _(world: World) -> Call:
    model, body = await _version(world)
    await world.api.create(f"/models/{model}/versions", **body)
    return Call(f"/models/{model}/aliases/champion", {"version": 1, "reason": "the first"})


@example("DELETE", "/models/{model}/aliases/{alias}")
async def _(world: World) -> Call:
    return Call(await _alias(world))


@example("GET", "/models/{model}/aliases/{alias}/history")
async def _(world: World) -> Call:
    return Call(f"{await _alias(world)}/history")


@example("PUT", "/blobs/{digest}")
async def _(world: World) -> Call:
    content = world.name("weights").encode()
    return Call(f"/blobs/sha256:{hashlib.sha256(content).hexdigest()}", content=content)


@example("HEAD", "/blobs/{digest}")
async def _(world: World) -> Call:
    return Call(f"/blobs/{(await world.blob())['digest']}")


async def _begun(world: World, *, sent: bool = True) -> tuple[dict[str, Any], bytes]:
    """Begin an upload for the team `alpha`, and send all of it."""
    content = world.name("weights").encode()
    body = {"digest": f"sha256:{hashlib.sha256(content).hexdigest()}", "size": len(content)}
    uploader = world.api.as_(world.tokens["alpha developer"])
    upload = await uploader.create("/uploads", **body)
    if sent:
        headers = {"upload-offset": "0"}
        await uploader.call("PATCH", f"/uploads/{upload['id']}", content=content, headers=headers)
    return upload, content


@example("POST", "/uploads")
async def _(world: World) -> Call:
    content = world.name("weights").encode()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return Call("/uploads", {"digest": digest, "size": len(content)})


@example("GET", "/uploads")
async def _(world: World) -> Call:
    return Call("/uploads")


@example("GET", "/uploads/{upload}")
@example("HEAD", "/uploads/{upload}")
@example("DELETE", "/uploads/{upload}")
async def _(world: World) -> Call:
    upload, _ = await _begun(world)
    return Call(f"/uploads/{upload['id']}")


@example("PATCH", "/uploads/{upload}")
async def _(world: World) -> Call:
    upload, content = await _begun(world, sent=False)
    return Call(f"/uploads/{upload['id']}", content=content, headers={"upload-offset": "0"})


@example("POST", "/uploads/{upload}/finish")
async def _(world: World) -> Call:
    upload, _ = await _begun(world)
    return Call(f"/uploads/{upload['id']}/finish")


@example("POST", "/artifacts/collect")
async def _(world: World) -> Call:
    return Call("/artifacts/collect?dry_run=true")


@example("GET", "/runtimes")
async def _(world: World) -> Call:
    return Call("/runtimes")


@example("GET", "/runtimes/{name}")
async def _(world: World) -> Call:
    return Call("/runtimes/llama.cpp")


def _provider(world: World) -> dict[str, Any]:
    return {
        "name": world.name("provider"),
        "dialect": "openai",
        "base_url": "https://vendor.example/v1",
        "credential": "a-vendor-key",
        "models": [{"name": "large"}],
    }


@example("POST", "/providers")
async def _(world: World) -> Call:
    return Call("/providers", _provider(world))


@example("GET", "/providers")
async def _(world: World) -> Call:
    return Call("/providers")


async def _provider_path(world: World) -> str:
    return f"/providers/{(await world.api.create('/providers', **_provider(world)))['id']}"


@example("GET", "/providers/{provider}")
async def _(world: World) -> Call:
    return Call(await _provider_path(world))


@example("PATCH", "/providers/{provider}")
async def _(world: World) -> Call:
    return Call(await _provider_path(world), {"credential": "another-vendor-key"})


@example("DELETE", "/providers/{provider}")
async def _(world: World) -> Call:
    return Call(await _provider_path(world))


@example("POST", "/providers/{provider}/prices")
async def _(world: World) -> Call:
    path = await _provider_path(world)
    return Call(f"{path}/prices", {"model": "large", "input_per_million": "0.15"})


@example("GET", "/vendors")
async def _(world: World) -> Call:
    return Call("/vendors")


@example("GET", "/prices")
async def _(world: World) -> Call:
    return Call("/prices")


@example("GET", "/prices/{price}")
async def _(world: World) -> Call:
    path = await _provider_path(world)
    price = await world.api.create(f"{path}/prices", model="large", per_request="0.1")
    return Call(f"/prices/{price['id']}")


@example("POST", "/endpoints")
async def _(world: World) -> Call:
    return Call("/endpoints", {**world.endpoint_body(), "project": world.project})


@example("GET", "/endpoints")
async def _(world: World) -> Call:
    return Call("/endpoints")


async def _endpoint_path(world: World) -> str:
    return f"/endpoints/{(await world.api.create('/endpoints', **world.endpoint_body()))['id']}"


@example("GET", "/endpoints/{endpoint}")
async def _(world: World) -> Call:
    return Call(await _endpoint_path(world))


@example("GET", "/endpoints/{endpoint}/health")
async def _(world: World) -> Call:
    return Call(f"{await _endpoint_path(world)}/health")


@example("PATCH", "/endpoints/{endpoint}")
async def _(world: World) -> Call:
    return Call(await _endpoint_path(world), {"access": {"visibility": "team"}})


@example("DELETE", "/endpoints/{endpoint}")
async def _(world: World) -> Call:
    return Call(await _endpoint_path(world))


@example("GET", "/nodes")
async def _(world: World) -> Call:
    return Call("/nodes")


@example("GET", "/usage")
async def _(world: World) -> Call:
    return Call("/usage?group_by=project")


@example("GET", "/requests")
async def _(world: World) -> Call:
    return Call("/requests")


SIGNATURE = {
    "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
    "outputs": [{"name": "label", "datatype": "BYTES", "shape": [-1]}],
}


async def _manifest(world: World) -> dict[str, Any]:
    model = await world.model()
    file = await world.blob()
    await world.api.create(
        f"/models/{model['id']}/versions", format="onnx", files=[file], signature=SIGNATURE
    )
    return {
        "apiVersion": "towpath.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": world.name("deployment"), "project": world.project},
        "spec": {"model": {"uri": f"models:/{model['name']}/1"}, "runtime": {"name": "onnx"}},
    }


async def deployment(world: World, environment: str = "sandbox") -> str:
    """Deploy in `alpha/one`; return the id."""
    answer = await world.api.call(
        "POST", f"/deployments?environment={environment}", await _manifest(world), status=201
    )
    return answer.json()["id"]


async def _deployment_path(world: World) -> str:
    return f"/deployments/{await deployment(world)}"


@example("POST", "/deployments")
async def _(world: World) -> Call:
    return Call("/deployments?environment=sandbox", await _manifest(world))


@example("GET", "/deployments")
async def _(world: World) -> Call:
    return Call("/deployments")


@example("GET", "/deployments/{deployment}")
async def _(world: World) -> Call:
    return Call(await _deployment_path(world))


@example("DELETE", "/deployments/{deployment}")
async def _(world: World) -> Call:
    return Call(await _deployment_path(world))


@example("GET", "/deployments/{deployment}/logs")
async def _(world: World) -> Call:
    return Call(f"{await _deployment_path(world)}/logs")


@example("GET", "/deployments/{deployment}/revisions")
async def _(world: World) -> Call:
    return Call(f"{await _deployment_path(world)}/revisions")


@example("GET", "/deployments/{deployment}/revisions/{number}")
async def _(world: World) -> Call:
    return Call(f"{await _deployment_path(world)}/revisions/1")


@example("POST", "/deployments/{deployment}/rollback")
async def _(world: World) -> Call:
    return Call(f"{await _deployment_path(world)}/rollback", {"to": 1})


@example("GET", "/deployments/{deployment}/events")
async def _(world: World) -> Call:
    return Call(f"{await _deployment_path(world)}/events")


@example("GET", "/deployments/{deployment}/scaling")
async def _(world: World) -> Call:
    return Call(f"{await _deployment_path(world)}/scaling")


@example("GET", "/deployments/{deployment}/scaling/decisions")
async def _(world: World) -> Call:
    return Call(f"{await _deployment_path(world)}/scaling/decisions")
