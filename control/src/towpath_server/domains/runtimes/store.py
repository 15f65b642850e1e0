"""
Reads the runtime descriptions: those that are shipped, and those in the organisation's own folder.

They are files and not rows: what a machine can start depends on what is installed on it.
"""

import functools
import importlib.resources
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from towpath_server.core import suggest
from towpath_server.core.errors import Finding
from towpath_server.core.upstream import Quirk
from towpath_server.domains.runtimes.errors import RuntimeDescriptionInvalid
from towpath_server.domains.runtimes.models import (
    Catalog,
    GpuRule,
    MemoryRule,
    ProbeRule,
    Range,
    Runtime,
)

_PACKAGE = "towpath_runtimes.descriptions"
_MAX_BYTES = 1 << 20  # a description is a page; anything larger is a mistake
_PLACEHOLDERS = {"python", "model", "name", "listen", "socket", "port"}
_Path = Annotated[str, Field(pattern=r"^/[!-~]{0,200}$")]
_Program = Annotated[str, Field(pattern=r"^(/[!-~]{1,200}|[A-Za-z0-9._-]{1,63})$")]


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, validate_by_name=True
    )


class _Metadata(_Part):
    name: Annotated[str, Field(pattern=r"^[a-z0-9.-]{1,63}$")]
    version: Annotated[str, Field(pattern=r"^[0-9A-Za-z.+-]{1,63}$")]


class _Range(_Part):
    minimum: float | None = None
    maximum: float | None = None
    default: float | None = None
    max_bytes: int | None = Field(None, ge=1, le=1 << 30)
    max_items: int | None = Field(None, ge=1, le=1 << 20)

    @model_validator(mode="after")
    def _ordered(self) -> "_Range":
        low, high = self.minimum, self.maximum
        if low is not None and high is not None and low > high:
            raise ValueError("`minimum` is above `maximum`")
        return self


class _Probe(_Part):
    period_seconds: float = Field(gt=0, le=300)
    failure_threshold: int = Field(ge=1, le=100_000)


class _Gpu(_Part):
    overhead_bytes: int = Field(ge=0, le=1 << 40)
    share: float | None = Field(None, gt=0, le=1)
    share_argument: str | None = None
    layers: str | None = None
    cards: str | None = None
    parts: str | None = None


class _Memory(_Part):
    overhead_bytes: int = Field(ge=0, le=1 << 40)
    per_thread_bytes: int = Field(0, ge=0, le=1 << 40)
    factor: float = Field(1.0, ge=0, le=100)
    element_bytes: int = Field(0, ge=0, le=64)
    context: str | None = None
    slots: str | None = None
    cache_mib: str | None = None
    gpu: _Gpu | None = None

    @property
    def arguments(self) -> list[str | None]:
        """Return the start arguments that it names."""
        gpu = self.gpu
        named = [self.context, self.slots, self.cache_mib]
        return [*named, gpu.share_argument, gpu.layers, gpu.cards, gpu.parts] if gpu else named


class _Spec(_Part):
    formats: list[str] = Field(min_length=1)
    dialect: Literal["openai", "kserve_v2"]
    operations: list[
        Literal["chat", "completions", "embeddings", "predict", "rerank", "transcriptions"]
    ] = Field(min_length=1)
    command: list[str] = Field(min_length=1)
    listen: Literal["unix", "port"] = "unix"
    env: dict[str, str] = Field(default_factory=dict)
    health_path: _Path
    startup_probe: _Probe
    readiness_probe: _Probe
    request_fields: dict[str, _Range] = Field(default_factory=dict)
    args: dict[str, _Range] = Field(default_factory=dict)
    modalities: list[str] = Field(default_factory=list)
    code_formats: list[str] = Field(default_factory=list)
    quirks: list[Quirk] = Field(default_factory=list)
    files: list[_Path] = Field(default_factory=list, max_length=64)
    programs: list[_Program] = Field(default_factory=list, max_length=16)
    own_network: bool = False
    install: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    memory: _Memory | None = None

    @model_validator(mode="after")
    def _known_arguments(self) -> "_Spec":
        for name in self.memory.arguments if self.memory else ():
            if name is not None and name not in self.args:
                raise ValueError(f"`memory` names `{name}`, which is not among `args`")
        return self

    @model_validator(mode="after")
    def _known_placeholders(self) -> "_Spec":
        used = {name for part in self.command for name in re.findall(r"\{(\w+)\}", part)}
        for name in sorted(used - _PLACEHOLDERS):
            raise ValueError(f"`command` uses `{{{name}}}`, which stands for nothing")
        if "socket" in used and self.listen != "unix":
            raise ValueError("`command` uses `{socket}`, and `listen` is not `unix`")
        if "port" in used and self.listen != "port":
            raise ValueError("`command` uses `{port}`, and `listen` is not `port`")
        if self.own_network and self.listen != "port":
            raise ValueError("`ownNetwork` is for servers on a port, and `listen` is not `port`")
        where = set() if used & {"socket", "port"} else {"listen"}
        for name in sorted({"model"} - used | where - used):
            raise ValueError(f"`command` lacks `{{{name}}}`")
        return self


class _Description(_Part):
    api_version: Literal["towpath.dev/v1alpha1"]
    kind: Literal["Runtime"]
    metadata: _Metadata
    spec: _Spec


@functools.lru_cache(maxsize=8)
def load(folder: Path | None) -> Catalog:
    """
    Read every description once.

    Raises:
        RuntimeDescriptionInvalid: One cannot be used; the error names file and places.
    """
    found: dict[tuple[str, str], Runtime] = {}
    for name, text, shipped in _documents(folder):
        runtime = parse(name, text, shipped=shipped)
        key = (runtime.name, runtime.version)
        if key in found and found[key].shipped == shipped:
            raise RuntimeDescriptionInvalid(
                f"`{name}` describes `{runtime.name}` {runtime.version}, which another file does.",
                fix="Give it another name or version, or remove one of the files.",
            )
        found[key] = runtime
    newest_first = sorted(found.values(), key=lambda r: _version_key(r.version), reverse=True)
    return Catalog(tuple(sorted(newest_first, key=lambda r: r.name)))


def parse(file: str, text: str, *, shipped: bool) -> Runtime:
    """
    Read one description.

    Raises:
        RuntimeDescriptionInvalid: It cannot be used.
    """
    try:
        document = _Description.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise RuntimeDescriptionInvalid(
            f"`{file}` is not valid YAML: {error}", fix="Correct it and start again."
        ) from error
    except ValidationError as error:
        findings = [_finding(entry) for entry in error.errors(include_url=False)]
        listed = "; ".join(f"{finding.path}: {finding.message}" for finding in findings)
        raise RuntimeDescriptionInvalid(
            f"`{file}` is not a runtime description: {listed}",
            fix=findings[0].fix or "Correct it and start again.",
            findings=findings,
        ) from error
    spec = document.spec
    return Runtime(
        name=document.metadata.name,
        version=document.metadata.version,
        formats=tuple(spec.formats),
        dialect=spec.dialect,
        operations=tuple(spec.operations),
        command=tuple(spec.command),
        listen=spec.listen,
        health_path=spec.health_path,
        startup=_probe(spec.startup_probe),
        readiness=_probe(spec.readiness_probe),
        env=spec.env,
        request_fields={name: _range(rule) for name, rule in spec.request_fields.items()},
        args={name: _range(rule) for name, rule in spec.args.items()},
        modalities=tuple(spec.modalities),
        code_formats=tuple(spec.code_formats),
        quirks=tuple(spec.quirks),
        files=tuple(spec.files),
        programs=tuple(spec.programs),
        install=spec.install,
        own_network=spec.own_network,
        memory=_memory(spec.memory) if spec.memory else None,
        shipped=shipped,
    )


def _memory(given: _Memory) -> MemoryRule:
    gpu = GpuRule(**given.gpu.model_dump()) if given.gpu else None
    return MemoryRule(**given.model_dump(exclude={"gpu"}), gpu=gpu)


def _documents(folder: Path | None) -> Iterator[tuple[str, str, bool]]:
    for entry in sorted(importlib.resources.files(_PACKAGE).iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".yaml"):
            yield entry.name, entry.read_text(encoding="utf-8"), True
    if folder is None:
        return
    try:
        for path in sorted(folder.glob("*.yaml")):
            if path.stat().st_size > _MAX_BYTES:
                raise RuntimeDescriptionInvalid(
                    f"`{path}` is larger than {_MAX_BYTES} bytes; that is no description.",
                    fix="Keep nothing but runtime descriptions in that folder.",
                )
            yield str(path), path.read_text(encoding="utf-8"), False
    except (OSError, UnicodeDecodeError) as error:
        raise RuntimeDescriptionInvalid(
            f"The runtime descriptions in `{folder}` cannot be read: {error}",
            fix="Check `runtimes_dir` in the settings.",
        ) from error


def _finding(entry: Any) -> Finding:
    path = "/".join(str(part) for part in entry["loc"])
    fix = None
    if entry["type"] == "extra_forbidden":
        known = [
            to_camel(name)
            for model in (_Spec, _Probe, _Range, _Memory)
            for name in model.model_fields
        ]
        fix = suggest.did_you_mean(str(entry["loc"][-1]), known)
    return Finding(f"#/{path}", str(entry["msg"]).removeprefix("Value error, "), fix)


def _probe(probe: _Probe) -> ProbeRule:
    return ProbeRule(probe.period_seconds, probe.failure_threshold)


def _range(rule: _Range) -> Range:
    return Range(rule.minimum, rule.maximum, rule.default, rule.max_bytes, rule.max_items)


def _version_key(version: str) -> list[tuple[int, str]]:
    parts = re.split(r"[.+-]", version)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
