"""From a document to a draft, with everything that is wrong in it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from towpath_server.core import documents, suggest
from towpath_server.core.errors import Finding
from towpath_server.domains.deployments.models import Draft, ProbeDraft, Resources, RuntimeDraft
from towpath_server.domains.deployments.models.scaling import Scaling
from towpath_server.domains.deployments.schemas import faults, manifest, overrides
from towpath_server.domains.deployments.schemas.overrides import escaped
from towpath_server.domains.endpoints.models import AccessDraft
from towpath_server.domains.endpoints.models.serving import Timeouts

API_VERSION = "towpath.dev/v1alpha1"
KIND = "ModelDeployment"
_MAX_LISTED = 50  # of one part; a manifest has a few
_TOP = ("apiVersion", "kind", "metadata", "spec")

S = TypeVar("S", bound=manifest.Section)


def read_bytes(body: bytes, content_type: str, *, environment: str | None = None) -> Draft:
    """
    Read a manifest as it was sent, for an environment.

    Raises:
        ManifestUnreadable: It is no document at all.
    """
    document, lines = documents.read(body, content_type)
    return read(document, lines, environment=environment)


def read(
    document: Any, lines: Mapping[str, int] | None = None, *, environment: str | None = None
) -> Draft:
    """
    Read a manifest; what is wrong is listed in the draft and never raised.

    Args:
        environment: The one whose overrides are laid over `spec`. Those of the others are checked
            by themselves, so that a mistake shows before it is promoted.
    """
    layers = overrides.split(document)
    layer = layers.of(environment)
    draft = _read(layer.document, lines)
    known = {(one.path, one.message) for one in _read(layers.document).findings}
    findings = [*layers.findings, *draft.findings]
    for name in layers.patches:
        if name != environment:
            other = layers.of(name)
            fresh = (f for f in _read(other.document).findings if (f.path, f.message) not in known)
            findings += [overrides.within(finding, other.moved, name) for finding in fresh]
    declared = document if isinstance(document, dict) else {}
    return replace(draft, declared=declared, findings=tuple(findings), moved=layer.moved)


def _read(document: Any, lines: Mapping[str, int] | None = None) -> Draft:
    """Read a manifest that has no overrides."""
    reader = _Reader()
    top = reader.object(document, "#")
    reader.known(top, _TOP, "#")
    reader.constant(top, "apiVersion", API_VERSION)
    reader.constant(top, "kind", KIND)
    spec = reader.object(top.get("spec", {}), "#/spec")
    reader.known_spec(spec)
    metadata = reader.section(manifest.Metadata, top.get("metadata"), "#/metadata", needed=True)
    model = reader.section(manifest.Model, spec.get("model"), "#/spec/model", needed=True)
    runtime = reader.section(manifest.Runtime, spec.get("runtime"), "#/spec/runtime")
    accelerator = reader.section(
        manifest.Accelerator, spec.get("accelerator"), "#/spec/accelerator"
    )
    needs = reader.section(manifest.ResourceNeeds, spec.get("resources"), "#/spec/resources")
    scaling = reader.section(manifest.Scaling, spec.get("scaling"), "#/spec/scaling")
    startup = reader.section(manifest.Probe, spec.get("startupProbe"), "#/spec/startupProbe")
    ready = reader.section(manifest.Probe, spec.get("readinessProbe"), "#/spec/readinessProbe")
    access = reader.section(manifest.Access, spec.get("access"), "#/spec/access")
    prices = reader.listed(manifest.Price, spec.get("prices"), "#/spec/prices")
    tests = reader.listed(manifest.Test, spec.get("smokeTests"), "#/spec/smokeTests")
    gates = reader.section(manifest.Gates, spec.get("gates"), "#/spec/gates")
    rolling = reader.section(manifest.Rolling, spec.get("rollout"), "#/spec/rollout")
    timeouts = reader.section(manifest.TimeoutLimits, spec.get("timeouts"), "#/spec/timeouts")
    broken = reader.broken
    return Draft(
        metadata=metadata.draft() if metadata else None,
        model=model.draft() if model else None,
        runtime=_or(runtime, "runtime", broken, RuntimeDraft()),
        accelerator=accelerator.draft() if accelerator else None,
        resources=_or(needs, "resources", broken, Resources()),
        scaling=_or(scaling, "scaling", broken, Scaling.just(1)),
        max_concurrency=scaling.max_concurrency if scaling else None,
        startup=_or(startup, "startupProbe", broken, ProbeDraft()),
        readiness=_or(ready, "readinessProbe", broken, ProbeDraft()),
        access=_or(access, "access", broken, AccessDraft()),
        max_data_class=access.max_data_class if access else "public",
        prices=tuple(price.draft() for price in prices),
        timeouts=_or(timeouts, "timeouts", broken, Timeouts()),
        document=top,
        smoke_tests=tuple(test.draft() for test in tests),
        gates=gates.draft() if gates else (),
        rollout=rolling.draft() if rolling else None,
        findings=tuple(reader.findings),
        lines=lines or {},
    )


def _or(section: Any, name: str, broken: set[str], default: Any) -> Any:
    if section is not None:
        return section.draft()
    return None if f"#/spec/{name}" in broken else default


class _Reader:
    """Reads parts, and collects what is wrong in any of them."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.broken: set[str] = set()
        """Places of sections that could not be read."""

    def object(self, value: Any, at: str) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        self.findings.append(
            Finding(
                at,
                "This must be an object.",
                f"Begin with `apiVersion: {API_VERSION}`.",
                reason="WrongType",
            )
        )
        self.broken.add(at)
        return {}

    def known(self, found: Mapping[str, Any], names: Sequence[str], at: str) -> None:
        for name in found:
            if name == "status":
                detail = "`status` is written by the platform."
                self.findings.append(
                    Finding(f"{at}/status", detail, "Leave it out.", reason="ReadOnly")
                )
            elif name not in names:
                self._unknown(str(name), names, at)

    def known_spec(self, spec: Mapping[str, Any]) -> None:
        for name in spec:
            if name in manifest.LATER:
                self._later(f"#/spec/{name}", name)
            elif name not in manifest.SECTIONS:
                self._unknown(str(name), _SPEC_FIELDS, "#/spec")

    def constant(self, top: Mapping[str, Any], name: str, value: str) -> None:
        if top.get(name) == value or "#" in self.broken:
            return
        given = top.get(name)
        detail = f"`{name}` is missing." if given is None else f"`{name}` is not `{value}`."
        reason = "Missing" if given is None else "Unsupported"
        fix = f"Write `{name}: {value}`."
        self.findings.append(Finding(f"#/{name}", detail, fix, reason=reason))

    def section(self, kind: type[S], value: Any, at: str, *, needed: bool = False) -> S | None:
        if value is None:
            if needed:
                name = at.rpartition("/")[2]
                self.findings.append(
                    Finding(at, f"`{name}` is missing.", faults.example(name), reason="Missing")
                )
                self.broken.add(at)
            return None
        try:
            return kind.model_validate(value)
        except ValidationError as error:
            for entry in error.errors(include_url=False):
                self._entry(kind, entry, at)
            self.broken.add(at)
            return None

    def listed(self, kind: type[S], value: Any, at: str) -> list[S]:
        if value is None:
            return []
        if not isinstance(value, list) or len(value) > _MAX_LISTED:
            detail = f"This must be a list of at most {_MAX_LISTED}."
            self.findings.append(
                Finding(at, detail, "Begin each of them with `-`.", reason="WrongType")
            )
            return []
        found = [self.section(kind, one, f"{at}/{index}") for index, one in enumerate(value)]
        return [one for one in found if one is not None]

    def _entry(self, kind: type[BaseModel], entry: Any, at: str) -> None:
        path = [part for part in entry["loc"] if part not in {"str", "int"}]
        place = at + "".join(f"/{escaped(part)}" for part in path)
        if entry["type"] == "extra_forbidden":
            dotted = ".".join("*" if isinstance(part, int) else str(part) for part in path)
            section = at.removeprefix("#/spec/").partition("/")[0]
            if f"{section}.{dotted}" in manifest.LATER:
                self._later(place, f"{section}.{dotted}")
            else:
                names = _fields(kind, path[:-1])
                self._unknown(str(path[-1]), names, place.rpartition("/")[0])
            return
        if any(finding.path == place for finding in self.findings):
            return  # a union reports each of its alternatives
        name = str(path[-1]) if path else at.rpartition("/")[2]
        self.findings.append(faults.finding(entry, place, name))

    def _later(self, place: str, dotted: str) -> None:
        name = dotted.rpartition(".")[2] if "/" not in dotted else place.rpartition("/")[2]
        detail = f"`{name}` is not supported yet: {manifest.LATER[dotted]}."
        self.findings.append(Finding(place, detail, "Leave it out.", reason="NotSupportedYet"))

    def _unknown(self, name: str, names: Sequence[str], at: str) -> None:
        hint = suggest.did_you_mean(name, names)
        known = ", ".join(f"`{one}`" for one in names)
        self.findings.append(
            Finding(
                f"{at}/{escaped(name)}",
                f"`{name}` is not a field here.",
                hint or (f"Fields here: {known}." if known else "Leave it out."),
                reason="UnknownField",
            )
        )


_SPEC_FIELDS = [
    *manifest.SECTIONS,
    overrides.FIELD,
    *(name for name in manifest.LATER if "." not in name),
]


def _fields(kind: Any, path: Sequence[object]) -> list[str]:
    """List the fields of the part that stands at `path` in `kind`."""
    for part in path:
        if isinstance(part, int):
            continue
        info = next((i for i in kind.model_fields.values() if i.alias == part), None)
        kind = _inner(info.annotation) if info else None
        if kind is None:
            return []
    return [info.alias or name for name, info in kind.model_fields.items()]


def _inner(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_inner(argument) for argument in getattr(annotation, "__args__", ()))
    return next((found for found in inner if found is not None), None)
