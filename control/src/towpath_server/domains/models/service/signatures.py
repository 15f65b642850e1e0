"""Holds a signature that is given against the one that the model's file has."""

from collections.abc import Iterator, Mapping
from typing import Any

from towpath_server.core import suggest
from towpath_server.core.errors import Finding, InvalidRequest

_ANY = -1


def agree(given: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """
    See that a given signature can be that of the model.

    Outputs may be left out, since callers need not be told of all; inputs may not. A size that one
    of the two leaves open agrees with every size of the other.

    Raises:
        InvalidRequest: It cannot; each contradiction is a finding.
    """
    findings = [*_compare("input", given, found), *_compare("output", given, found)]
    if findings:
        raise InvalidRequest(findings[0].message, fix=findings[0].fix, findings=findings)


def _compare(noun: str, given: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[Finding]:
    part = f"{noun}s"
    known = {one["name"]: one for one in found[part]}
    told = {one["name"] for one in given[part]}
    listed = ", ".join(f"`{name}`" for name in known)
    for index, one in enumerate(given[part]):
        name, at = one["name"], f"#/signature/{part}/{index}"
        own = known.get(name)
        if own is None:
            fix = suggest.did_you_mean(name, known) or f"Its {part} are {listed}."
            said = f"The model's file has no {noun} `{name}`."
            yield Finding(f"{at}/name", said, fix, reason="SignatureMismatch")
            continue
        if one["datatype"] != own["datatype"]:
            said = f"`{name}` is `{own['datatype']}` in the model's file, not `{one['datatype']}`."
            fix = f"Write `{own['datatype']}`, or leave the signature out."
            yield Finding(f"{at}/datatype", said, fix, reason="SignatureMismatch")
        if not _fits(one["shape"], own["shape"]):
            said = f"`{name}` has the shape {own['shape']} in the model's file, not {one['shape']}."
            fix = f"Write {own['shape']}, or leave the signature out."
            yield Finding(f"{at}/shape", said, fix, reason="SignatureMismatch")
    for name in known if noun == "input" else ():
        if name not in told:
            said = f"The model's file has an input `{name}`, which the signature lacks."
            fix = "Add it, or leave the signature out: it is read from the file then."
            yield Finding(f"#/signature/{part}", said, fix, reason="SignatureMismatch")


def _fits(given: list[int], own: list[int]) -> bool:
    return len(given) == len(own) and all(
        _ANY in {one, other} or one == other for one, other in zip(given, own, strict=True)
    )
