"""
A Hugging Face Hub of a few repositories, with as much of its API as downloads need.

That it answers as the Hub does is proved by the Hub's own library, which downloads from it
(`control/tests/adapters/sources/test_hub.py`).
"""

import hashlib
import json
from collections.abc import Mapping
from urllib.parse import unquote

from far_server import Asked, Reply, file, redirect

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER_COMMIT = "89abcdef0123456789abcdef0123456789abcdef"
_LARGE = (".safetensors", ".gguf", ".bin", ".onnx")


class ScriptedHub:
    """Answers for repositories; `FarServer(hub)` is its server."""

    def __init__(self, token: str | None = None) -> None:
        self.token = token
        """What must be shown, where anything must."""
        self.repositories: dict[str, dict[str, Mapping[str, bytes]]] = {}
        self.revisions: dict[str, str] = {"main": COMMIT, COMMIT: COMMIT}
        self.files_at = ""
        """Address of the server that large files are read from, which is never the Hub's name."""
        self.gated: set[str] = set()
        """Repositories whose files are for those with the token `agreed`; anybody may list them."""
        self.instead: Reply | None = None
        """What is answered to everything."""

    def put(self, repository: str, files: Mapping[str, bytes], commit: str = COMMIT) -> None:
        """Have files in a repository at a commit."""
        self.repositories.setdefault(repository, {})[commit] = files

    def __call__(self, asked: Asked) -> Reply:
        if self.instead is not None:
            return self.instead
        path = unquote(asked.path)
        if path.startswith("/blob/"):
            return self._blob(asked, path)
        if self.token and asked.headers.get("authorization") != f"Bearer {self.token}":
            return self._error(401, "RepoNotFound")
        if path.startswith("/api/models/"):
            return self._api(*path.removeprefix("/api/models/").split("/", 3))
        owner, name, _, commit, *rest = path.removeprefix("/").split("/")
        return self._resolve(asked, f"{owner}/{name}", commit, "/".join(rest))

    def _api(self, owner: str, name: str, kind: str = "revision", revision: str = "main") -> Reply:
        repository = f"{owner}/{name}"
        if repository not in self.repositories:
            return self._error(404, "RepoNotFound")
        commit = self.revisions.get(revision)
        if commit is None or commit not in self.repositories[repository]:
            return self._error(404, "RevisionNotFound")
        files = self.repositories[repository][commit]
        if kind == "tree":
            return _json([_tree_entry(path, data) for path, data in files.items()])
        siblings = [_sibling(path, data) for path, data in files.items()]
        gated = "manual" if repository in self.gated else False
        return _json({"id": repository, "sha": commit, "gated": gated, "siblings": siblings})

    def _resolve(self, asked: Asked, repository: str, commit: str, path: str) -> Reply:
        data = self.repositories.get(repository, {}).get(commit, {}).get(path)
        if data is None:
            return self._error(404, "EntryNotFound")
        if repository in self.gated and asked.headers.get("authorization") != "Bearer agreed":
            return self._error(403, "GatedRepo")
        headers = {"x-repo-commit": commit}
        if not path.endswith(_LARGE):
            return file(asked, data, headers={**headers, "etag": f'"{_git(data)}"'})
        sha256 = hashlib.sha256(data).hexdigest()
        said = {"x-linked-size": str(len(data)), "x-linked-etag": f'"{sha256}"'}
        onward = redirect(f"{self.files_at}/blob/{sha256}")
        return Reply(302, headers={**onward.headers, **headers, **said})

    def _blob(self, asked: Asked, path: str) -> Reply:
        for commits in self.repositories.values():
            for files in commits.values():
                for data in files.values():
                    if hashlib.sha256(data).hexdigest() == path.removeprefix("/blob/"):
                        return file(asked, data)
        return Reply(404)

    def _error(self, status: int, code: str) -> Reply:
        body = json.dumps({"error": code}).encode()
        return Reply(status, body, {"x-error-code": code, "content-type": "application/json"})


def _json(document: object) -> Reply:
    return Reply(200, json.dumps(document).encode(), {"content-type": "application/json"})


def _git(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _sibling(path: str, data: bytes) -> dict[str, object]:
    found: dict[str, object] = {"rfilename": path, "blobId": _git(data), "size": len(data)}
    if path.endswith(_LARGE):
        sha256 = hashlib.sha256(data).hexdigest()
        found["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 134}
    return found


def _tree_entry(path: str, data: bytes) -> dict[str, object]:
    found: dict[str, object] = {"type": "file", "oid": _git(data), "size": len(data), "path": path}
    if path.endswith(_LARGE):
        sha256 = hashlib.sha256(data).hexdigest()
        found["lfs"] = {"oid": sha256, "size": len(data), "pointerSize": 134}
    return found
