"""Registering a model from a folder by the API of a running platform, as any program does."""

import hashlib
from pathlib import Path
from typing import Any

import httpx2


def made(api: httpx2.Client, method: str, path: str, **body: Any) -> Any:
    """Call the API and return what it answers; anything but success is an error."""
    answer = api.request(method, path, **body)
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


def register(api: httpx2.Client, name: str, folder: Path, *, project: str, **more: Any) -> None:
    """Register the ONNX model of a folder as the next version of `name`, in `team/project`."""
    team, _, short = project.partition("/")
    made(api, "POST", "/teams", json={"name": team})
    made(api, "POST", "/projects", json={"team": team, "name": short})
    files = []
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        content = path.read_bytes()
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        made(api, "PUT", f"/blobs/{digest}", content=content)
        relative = str(path.relative_to(folder))
        files.append({"path": relative, "digest": digest, "size": len(content)})
    version = {"project": project, "format": "onnx", "files": files, **more}
    made(api, "POST", f"/models/{name}/versions", json=version)


def key(api: httpx2.Client, name: str, *, project: str) -> str:
    """Make a key of the sandbox, and return it."""
    wanted = {"project": project, "environment": "sandbox", "name": name}
    return str(made(api, "POST", "/keys", json=wanted)["key"])
