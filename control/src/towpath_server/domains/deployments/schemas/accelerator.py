"""Which GPUs are meant, where a machine or cluster has several kinds, and parts of them."""

import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from towpath_server.core import suggest
from towpath_server.core.quantity import quantity
from towpath_server.domains.deployments.schemas.faults import Fault
from towpath_server.domains.deployments.schemas.section import Section

AMOUNTS = ("cpu", "memory", "nvidia.com/gpu")
# `+` of a profile, such as `1g.10gb+me`, is `.` there.
_MIG = re.compile(r"nvidia\.com/mig-((?:[1-7]c\.)?[1-7]g\.[1-9][0-9]{0,3}gb(?:\.[a-z]{1,8}){0,3})")
_EXAMPLE = "nvidia.com/mig-1g.10gb"


def _part(name: str) -> str:
    if _MIG.fullmatch(name) is None:
        known = (*AMOUNTS, _EXAMPLE)
        listed = ", ".join(f"`{one}`" for one in known)
        hint = suggest.did_you_mean(name, known) or f"Fields here: {listed}."
        raise Fault("is not a field here", hint, "UnknownField")
    return name


def _one(value: str | int) -> str | int:
    try:
        one = quantity(value) == 1
    except ValueError:
        one = False
    if not one:
        raise Fault(
            "must be 1: a program sees one part of a GPU",
            "Write `1`; for more, raise `scaling.minReplicas` or ask for a larger part.",
            "OutOfRange",
        )
    return value


Parts = dict[Annotated[str, AfterValidator(_part)], Annotated[str | int, AfterValidator(_one)]]
"""
A part of a divided GPU (MIG), named as NVIDIA's device plugin names it with the strategy `mixed`.

CUDA lets a program use one part (MIG User Guide, "CUDA Device Enumeration").
"""


def profile(name: str) -> str | None:
    """Return the profile that a resource of Kubernetes means; none: it is no part of a GPU."""
    found = _MIG.fullmatch(name)
    return found.group(1) if found else None


def parts_schema(schema: dict[str, Any]) -> None:
    """Say in a JSON schema which further fields there are: the parts."""
    schema["patternProperties"] = {f"^{_MIG.pattern}$": schema["additionalProperties"]}
    schema["additionalProperties"] = False


def one_of(names: Sequence[str]) -> str | None:
    """
    Return the profile among the resources that are asked for.

    Raises:
        Fault: They are several, or whole GPUs beside a part.
    """
    asked = [name for name in names if name == AMOUNTS[-1] or profile(name)]
    if len(asked) > 1:
        listed = " and ".join(f"`{name}`" for name in asked)
        raise Fault(f"asks for {listed}", "Leave all but one of them out.", "Contradiction")
    return profile(asked[0]) if asked else None


class Accelerator(Section):
    """The class of the GPUs that `resources.limits` counts."""

    class_: Annotated[str, StringConstraints(min_length=1, max_length=63)] = Field(alias="class")

    def draft(self) -> str:
        """Read it."""
        return self.class_
