"""Holds a signature that is given against what the model's files tell."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from towpath_server.adapters.modelfiles.report import listed
from towpath_server.adapters.modelfiles.tensors import Spec, Tensors, formed
from towpath_server.core import suggest
from towpath_server.core.errors import Finding, InvalidRequest

_ANY = -1
_REASON = "SignatureMismatch"


def agree(given: Mapping[str, Any], known: Tensors) -> None:
    """
    See that a given signature can be that of the model.

    Outputs may be left out, since callers need not be told of all; inputs may not, but for those
    with a default. A size that one of the two leaves open agrees with every size of the other, and
    what KServe has no form for with everything.

    Raises:
        InvalidRequest: It cannot; each contradiction is a finding.
    """
    inputs, outputs = given["inputs"], given["outputs"]
    findings = [
        *_compare("input", inputs, [*known.defaults, *known.inputs], known),
        *_missing(inputs, known),
        *_compare("output", outputs, known.outputs, known),
    ]
    if findings:
        raise InvalidRequest(findings[0].message, fix=findings[0].fix, findings=findings)


def _compare(
    noun: str, given: Sequence[Spec], own: Sequence[Spec], known: Tensors
) -> Iterator[Finding]:
    names = {one["name"]: one for one in own}
    if not names:
        return
    where = "with the model's `tokenizer.json`" if known.behind else "in the model's file"
    for index, one in enumerate(given):
        name, at = one["name"], f"#/signature/{noun}s/{index}"
        mine = names.get(name)
        if mine is None:
            yield Finding(f"{at}/name", *_unknown(noun, name, list(names), known), reason=_REASON)
            continue
        if not formed(mine):
            continue
        if one["datatype"] != mine["datatype"]:
            said = f"`{name}` is `{mine['datatype']}` {where}, not `{one['datatype']}`."
            fix = f"Write `{mine['datatype']}`{_spared(known)}"
            yield Finding(f"{at}/datatype", said, fix, reason=_REASON)
        if not _fits(one["shape"], mine["shape"], known):
            said = f"`{name}` has the shape {mine['shape']} {where}, not {one['shape']}."
            fix = f"Write {mine['shape']}{_spared(known)}"
            yield Finding(f"{at}/shape", said, fix, reason=_REASON)


def _missing(given: Sequence[Spec], known: Tensors) -> Iterator[Finding]:
    named = {one["name"] for one in given}
    if known.behind and named & {one["name"] for one in known.behind.inputs}:
        return  # said there: what the tokenizer takes is to be named instead
    spare = named | {one["name"] for one in known.defaults}
    for one in known.inputs:
        if formed(one) and one["name"] not in spare:
            said = f"{_subject(known)} has an input `{one['name']}`, which the signature lacks."
            fix = f"Add it{_spared(known)}"
            yield Finding("#/signature/inputs", said, fix, reason=_REASON)


def _unknown(noun: str, name: str, names: Sequence[str], known: Tensors) -> tuple[str, str]:
    """Say that there is no such tensor, and what to write."""
    behind = known.behind
    raw = (behind.inputs if noun == "input" else behind.outputs) if behind else ()
    if name in {one["name"] for one in raw}:
        does = "takes" if noun == "input" else "gives"
        said = (
            f"`{name}` is an {noun} of the model's file: with the `tokenizer.json` beside it, the "
            f"model {does} `{names[0]}` instead."
        )
        return said, f"Write `{names[0]}`{_spared(known)}"
    fix = suggest.did_you_mean(name, names) or f"Its {noun}s are {listed(names, 20)}."
    return f"{_subject(known)} has no {noun} `{name}`.", fix


def _subject(known: Tensors) -> str:
    return "The model with its `tokenizer.json`" if known.behind else "The model's file"


def _spared(known: Tensors) -> str:
    """End a fix: whether the signature could be left out."""
    if known.signature:
        return ", or leave the signature out: it is read from the model's files then."
    lost = (known.behind or known).nameless
    return f". KServe has no form for {listed(lost)}, so no signature can be read." if lost else "."


def _fits(given: Sequence[int], own: Sequence[int], known: Tensors) -> bool:
    if known.columns and len(own) == 1 and len(given) == 2 and given[1] == 1:
        given = given[:1]
    return len(given) == len(own) and all(
        _ANY in {one, other} or one == other for one, other in zip(given, own, strict=True)
    )
