"""
`spec.overrides`: what differs in one environment, laid over `spec` before anything is checked.

Objects are merged, whatever else there is replaces what stood there, and null takes it away. Which
model is served, and by which runtime, is the same everywhere: a promotion carries both on.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from towpath_server.core import suggest
from towpath_server.core.errors import Finding
from towpath_server.domains.endpoints.models import ENVIRONMENTS

FIELD = "overrides"
_FIXED = ("model", "runtime.name", "runtime.version")


@dataclass(frozen=True)
class Layer:
    """A manifest as one environment sees it."""

    document: Any
    """Without overrides: those of the environment are part of it."""
    moved: Mapping[str, str] = field(default_factory=dict)
    """JSON pointers of what came from the overrides, and where it stands there."""


@dataclass(frozen=True)
class Layers:
    """A manifest, and what is laid over it in each environment."""

    document: Any
    patches: Mapping[str, Mapping[str, Any]]
    findings: tuple[Finding, ...]

    def of(self, environment: str | None) -> Layer:
        """Return the manifest as an environment sees it; none: as it is without overrides."""
        patch = self.patches.get(environment or "")
        if patch is None:
            return Layer(self.document)
        moved: dict[str, str] = {}
        at = f"#/spec/{FIELD}/{environment}"
        spec = _merged(self.document["spec"], patch, ("#/spec", at), moved)
        return Layer({**self.document, "spec": spec}, moved)


def split(document: Any) -> Layers:
    """Take the overrides out of a manifest, and list what is wrong with their shape."""
    spec = document.get("spec") if isinstance(document, dict) else None
    if not isinstance(spec, dict) or FIELD not in spec:
        return Layers(document, {}, ())
    plain = {**document, "spec": {name: part for name, part in spec.items() if name != FIELD}}
    found, at = spec[FIELD], f"#/spec/{FIELD}"
    if not isinstance(found, dict):
        fix = "Write `overrides: {production: {scaling: {minReplicas: 2}}}`."
        return Layers(plain, {}, (_wrong(at, fix),))
    patches: dict[str, Mapping[str, Any]] = {}
    findings: list[Finding] = []
    for name, patch in found.items():
        place = f"{at}/{escaped(name)}"
        if name not in ENVIRONMENTS:
            known = ", ".join(f"`{one}`" for one in ENVIRONMENTS)
            hint = suggest.did_you_mean(str(name), ENVIRONMENTS) or f"Use {known}."
            detail = f"`{name}` is not an environment."
            findings.append(Finding(place, detail, hint, reason="UnknownEnvironment"))
        elif not isinstance(patch, dict):
            findings.append(_wrong(place, "Write parts of `spec` in it."))
        else:
            patches[name] = {key: part for key, part in patch.items() if key != FIELD}
            findings += _misplaced(patch, place)
    return Layers(plain, patches, tuple(findings))


def within(finding: Finding, moved: Mapping[str, str], environment: str) -> Finding:
    """Let a finding that only an environment's overrides bring about point into them."""
    found = finding.located(moved)
    if found.path != finding.path:
        return found
    path = finding.path.replace("#/spec", f"#/spec/{FIELD}/{environment}", 1)
    return replace(finding, path=path)


def escaped(part: object) -> str:
    """Write a name as a part of a JSON pointer."""
    return str(part).replace("~", "~0").replace("/", "~1")


def _misplaced(patch: Mapping[str, Any], at: str) -> Iterator[Finding]:
    """List what no environment may have differently."""
    if FIELD in patch:
        yield Finding(
            f"{at}/{FIELD}",
            "Overrides have no overrides.",
            "Leave it out.",
            reason="UnknownField",
        )
    for dotted in _FIXED:
        inner: Any = patch
        for name in dotted.split("."):
            inner = inner.get(name, _ABSENT) if isinstance(inner, dict) else _ABSENT
        if inner is not _ABSENT:
            yield Finding(
                f"{at}/{dotted.replace('.', '/')}",
                f"`{dotted}` is the same in every environment: a promotion changes neither model "
                "nor runtime.",
                f"Write it under `spec.{dotted}`, or in a manifest of another name.",
                reason="NotOverridable",
            )


def _merged(
    former: Mapping[str, Any],
    patch: Mapping[str, Any],
    places: tuple[str, str],
    moved: dict[str, str],
) -> dict[str, Any]:
    """Lay a patch over an object; `places` are the pointers of the two."""
    made = dict(former)
    for name, part in patch.items():
        here, there = (f"{place}/{escaped(name)}" for place in places)
        before = made.get(name)
        if isinstance(part, dict) and isinstance(before, dict):
            made[name] = _merged(before, part, (here, there), moved)
            continue
        moved[here] = there
        if part is None:
            made.pop(name, None)
        else:
            made[name] = part
    return made


def _wrong(at: str, fix: str) -> Finding:
    return Finding(at, "This must be an object.", fix, reason="WrongType")


_ABSENT = object()
