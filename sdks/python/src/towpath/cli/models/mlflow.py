"""
A registered model of MLflow, read through its tracking server's REST API.

MLflow itself is not needed for that: the API has been the same since its version 2, and a client of
it weighs more than all of this library.
"""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import yaml

from towpath.auth import environment
from towpath.errors import APIError, ConfigurationError, TowpathError
from towpath.transfer import MAX_FILES, place
from towpath.transport import HTTPTransport, Request, Response, Timeout

_API = "/api/2.0/mlflow"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_PROXIED = "mlflow-artifacts"
# What a table of a model's folder says at most; larger is no answer of this API.
_MAX_ANSWER_BYTES = 16 << 20
_MAX_DEPTH = 20
_DATATYPES = {
    "boolean": "BOOL", "bool": "BOOL",
    "integer": "INT32", "int8": "INT8", "int16": "INT16", "int32": "INT32",
    "long": "INT64", "int64": "INT64",
    "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64",
    "float": "FP32", "float16": "FP16", "float32": "FP32", "double": "FP64", "float64": "FP64",
    "string": "BYTES", "str": "BYTES", "object": "BYTES",
}  # fmt: skip


@dataclass(frozen=True)
class Remote:
    """A version of a registered model of MLflow, and what its server knows of it."""

    name: str
    version: str
    run: str | None
    description: str | None
    tags: Mapping[str, str]
    root: str
    """Path of its folder below the server's artifacts."""
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        """How it is named."""
        return f"mlflow:{self.name}/{self.version}"


@dataclass(frozen=True)
class RemoteFile:
    """A file of it."""

    path: str
    size: int


class Tracking:
    """
    A tracking server.

    Args:
        uri: Its address, with the path below which it is served, if any.
    """

    def __init__(self, uri: str, transport: HTTPTransport | None = None) -> None:
        parts = urlsplit(uri)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise ConfigurationError(
                f"`{uri}` is not the address of a tracking server",
                fix="write it as `--tracking-uri http://HOST:PORT`",
            )
        self.uri = uri.rstrip("/")
        self._transport = transport or HTTPTransport()
        self._headers = _identity()

    def find(self, name: str, *, version: str | None, alias: str | None) -> Remote:
        """
        Find a version of a registered model.

        Raises:
            TowpathError: There is none, or its files are not served by the server.
        """
        if version is None:
            found = self._get("registered-models/alias", name=name, alias=alias)
        else:
            found = self._get("model-versions/get", name=name, version=version)
        about = found["model_version"]
        run = about.get("run_id") or None
        metrics: Mapping[str, float] = {}
        if run is not None:
            data = self._get("runs/get", run_id=run)["run"].get("data", {})
            metrics = {one["key"]: one["value"] for one in data.get("metrics", [])}
        return Remote(
            name=about["name"],
            version=str(about["version"]),
            run=run,
            description=about.get("description") or None,
            tags={one["key"]: str(one.get("value", "")) for one in about.get("tags", [])},
            root=self._root(about["name"], str(about["version"])),
            metrics=metrics,
        )

    def files(self, remote: Remote) -> list[RemoteFile]:
        """
        List the files of a model.

        Raises:
            TowpathError: There are more than any model has.
        """
        found = list(self._walk(remote.root, "", 0))
        if not found:
            raise TowpathError(f"{remote.uri} has no files", code="artifact_missing")
        return found

    def fetch(
        self, remote: Remote, file: RemoteFile, folder: Path, count: Callable[[int], None]
    ) -> Path:
        """
        Bring a file into a folder.

        Raises:
            TowpathError: It would be outside of the folder, or did not arrive whole.
        """
        target = place(folder, file.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        answer = self._open(f"{_ARTIFACTS}/{quote(f'{remote.root}/{file.path}')}")
        taken = 0
        with target.open("wb") as written:
            for piece in answer.chunks():
                taken += written.write(piece)
                count(len(piece))
        if taken != file.size:
            raise APIError(
                f"`{file.path}` of {remote.uri} has {taken} bytes, and the server said {file.size}",
                code="invalid_answer",
                fix="try again; look at the log of the tracking server",
            )
        return target

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def _root(self, name: str, version: str) -> str:
        """Find the folder of a version, through the names that MLflow has for it."""
        uri = self._get("model-versions/get-download-uri", name=name, version=version)
        place_of = str(uri["artifact_uri"])
        if place_of.startswith("models:/m-"):
            model, _, below = place_of.removeprefix("models:/").partition("/")
            info = self._get(f"logged-models/{quote(model, safe='')}")["model"]["info"]
            place_of = "/".join(part for part in (info["artifact_uri"], below) if part)
        elif place_of.startswith("runs:/"):
            run, _, below = place_of.removeprefix("runs:/").partition("/")
            info = self._get("runs/get", run_id=run)["run"]["info"]
            place_of = "/".join(part for part in (info["artifact_uri"], below) if part)
        parts = urlsplit(place_of)
        if parts.scheme != _PROXIED:
            raise TowpathError(
                f"the files of {name}/{version} are at {place_of}, which the tracking server does "
                "not serve",
                code="artifact_missing",
                fix="start it with `--serve-artifacts`, or push the folder: `towpath models push`",
            )
        return parts.path.strip("/")

    def _walk(self, root: str, below: str, depth: int) -> Iterator[RemoteFile]:
        where = f"{root}/{below}".rstrip("/")
        listed = self._json(f"{_ARTIFACTS}?{urlencode({'path': where})}").get("files", [])
        if len(listed) > MAX_FILES or depth > _MAX_DEPTH:
            raise TowpathError(f"{where} has more files than any model", code="too_many_files")
        for entry in listed:
            # Paths of a listing are relative to what was listed.
            path = f"{below}/{entry['path']}".lstrip("/")
            if entry.get("is_dir"):
                yield from self._walk(root, path, depth + 1)
            else:
                yield RemoteFile(path, int(entry.get("file_size") or 0))

    def _get(self, route: str, **query: str | None) -> Any:
        asked = {name: value for name, value in query.items() if value is not None}
        return self._json(f"{_API}/{route}" + (f"?{urlencode(asked)}" if asked else ""))

    def _json(self, path: str) -> Any:
        answer = self._open(path)
        taken = b""
        for piece in answer.chunks():
            taken += piece
            if len(taken) > _MAX_ANSWER_BYTES:
                answer.close()
                raise APIError(f"{self.uri} answers more than it should", code="invalid_answer")
        try:
            return json.loads(taken)
        except ValueError as error:
            raise APIError(
                f"{self.uri} does not answer as a tracking server of MLflow",
                code="invalid_answer",
                fix="check the address: `--tracking-uri`, or MLFLOW_TRACKING_URI",
            ) from error

    def _open(self, path: str) -> Response:
        request = Request("GET", f"{self.uri}{path}", self._headers)
        answer = self._transport.send(request, Timeout())
        if answer.status == 200:
            return answer
        raise _refused(self.uri, answer)


def signature(model: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return an `MLmodel`'s signature as KServe writes it; none when it does not name all parts."""
    given = model.get("signature") or {}
    found: dict[str, Any] = {}
    for side in ("inputs", "outputs"):
        try:
            specs = json.loads(given.get(side) or "[]")
        except (TypeError, ValueError):
            return None
        tensors = [_tensor(spec) for spec in specs]
        if not tensors or None in tensors:
            return None
        found[side] = tensors
    return found


def _tensor(spec: Mapping[str, Any]) -> dict[str, Any] | None:
    inner = spec.get("tensor-spec")
    kind = str(inner["dtype"] if inner else spec.get("type"))
    datatype = _DATATYPES.get(kind)
    if datatype is None or not spec.get("name"):
        return None
    return {
        "name": spec["name"],
        "datatype": datatype,
        "shape": inner["shape"] if inner else [-1],
    }


def described(text: str) -> dict[str, Any]:
    """
    Read an `MLmodel` file.

    Raises:
        ConfigurationError: It is none.
    """
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"the `MLmodel` file is not YAML: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("flavors"), dict):
        raise ConfigurationError("the `MLmodel` file names no flavour", fix="log the model again")
    return found


def served_as(model: Mapping[str, Any]) -> tuple[str, str | None]:
    """
    Say as what an MLflow model is registered: its format, and the one file that is all of it.

    A flavour whose file carries no code is taken out of its folder; every other model stays a
    folder of MLflow's.
    """
    flavours = model["flavors"]
    onnx = flavours.get("onnx", {})
    if isinstance(onnx.get("data"), str) and not onnx.get("external_data"):
        return "onnx", onnx["data"]
    sklearn = flavours.get("sklearn", {})
    if sklearn.get("serialization_format") == "skops" and isinstance(
        sklearn.get("pickled_model"), str
    ):
        return "sklearn", sklearn["pickled_model"]
    return "mlflow", None


def _identity() -> dict[str, str]:
    """Return the headers that MLflow's own variables ask for."""
    env = environment()
    if token := env.get("MLFLOW_TRACKING_TOKEN"):
        return {"authorization": f"Bearer {token}"}
    user, password = env.get("MLFLOW_TRACKING_USERNAME"), env.get("MLFLOW_TRACKING_PASSWORD")
    if user and password:
        return {
            "authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
        }
    return {}


def _refused(uri: str, answer: Response) -> APIError:
    text = answer.read().decode("utf-8", "replace")
    try:
        said = str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        said = f"it answered {answer.status}"
    fix = "check name, version and alias in MLflow"
    if answer.status in {401, 403}:
        fix = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
    return APIError(f"MLflow at {uri} refused: {said[:500]}", code="mlflow_refused", fix=fix)
