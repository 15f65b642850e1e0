"""What a server needs of a model: what it takes and gives, and how it answers."""

import traceback
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from towpath_runtimes.kserve.errors import Refused
from towpath_runtimes.kserve.protocol import Answer, InferRequest
from towpath_runtimes.kserve.tensors import TensorSpec


@dataclass(frozen=True)
class Feed:
    """One request as its model takes it."""

    content: Any
    """The model's own; the server passes it on."""
    rows: int
    """Size of the batch dimension; 0 where there is none."""
    kind: Hashable | None = None
    """Feeds of one kind may be computed together; none: always alone."""


class Described(Protocol):
    """What a model is for who asks."""

    @property
    def platform(self) -> str:
        """What it runs on, as the protocol's metadata names it."""
        ...

    @property
    def inputs(self) -> Sequence[TensorSpec]:
        """What it takes."""
        ...

    @property
    def outputs(self) -> Sequence[TensorSpec]:
        """What it gives."""
        ...


class Model(Described, Protocol):
    """A loaded model. Several threads may call it at once."""

    def prepare(self, request: InferRequest) -> Feed:
        """
        Check one request, and bring it into the model's own form.

        Raises:
            Refused: It does not fit the model.
        """
        ...

    def run(self, feeds: Sequence[Feed]) -> Sequence[Answer]:
        """
        Answer feeds of one kind, in their order.

        Raises:
            Refused: The model failed on them.
        """
        ...


WORDS = 500  # characters of an error of the model's that a caller is told


@contextmanager
def calling() -> Iterator[None]:
    """
    Call code that is the model's own.

    Raises:
        Refused: It raised a ValueError, whose words the caller is told, or failed.
    """
    try:
        yield
    except ValueError as error:
        raise Refused(f"the model refused the inputs: {str(error)[:WORDS]}") from error
    except Exception as error:
        traceback.print_exc()
        raise Refused(
            f"the model failed on these inputs: {type(error).__name__}; its log has more",
            status=500,
        ) from error


def plain(request: InferRequest, specs: Sequence[TensorSpec], *, rows: int, together: int) -> Feed:
    """
    Check a request to a model that takes tensors as they come, and no parameters.

    Args:
        rows: Most rows of one request.
        together: Rows that several requests are joined to; 1: none is.

    Raises:
        Refused: It does not fit.
    """
    size = check(request, specs, rows=rows)
    if request.parameters:
        raise Refused(f"the model takes no parameter `{next(iter(request.parameters))}`")
    return Feed(request.inputs, size, kind_of(request.inputs) if together > 1 else None)


def check(
    request: InferRequest,
    specs: Sequence[TensorSpec],
    *,
    rows: int,
    defaults: Sequence[TensorSpec] = (),
) -> int:
    """
    Hold a request's tensors against what a model takes; return the size of its batch dimension.

    Args:
        rows: Most rows of one request.
        defaults: What may be set, and has no rows.

    Raises:
        Refused: A tensor is missing, unknown, of another type or shape, or too long.
    """
    wanted = {spec.name: spec for spec in specs}
    known = {spec.name: spec for spec in defaults} | wanted
    listed = ", ".join(f"`{name}`" for name in known)
    for name, array in request.inputs.items():
        spec = known.get(name)
        if spec is None:
            raise Refused(f"the model has no input `{name}`, it takes {listed}")
        if request.datatypes[name] != spec.datatype:
            raise Refused(
                f"input `{name}` is `{request.datatypes[name]}`, the model takes `{spec.datatype}`"
            )
        spec.check(array.shape)
        if name in wanted and array.ndim and array.shape[0] > rows:
            raise Refused(f"input `{name}` has {array.shape[0]} rows, at most {rows} are taken")
    for name in wanted:
        if name not in request.inputs:
            raise Refused(f"input `{name}` is missing, the model takes {listed}")
    batched = {spec.name for spec in specs if spec.shape[:1] == (-1,)}
    sizes = {array.shape[0] for name, array in request.inputs.items() if name in batched}
    if len(sizes) > 1:
        raise Refused(
            f"the inputs differ in their number of rows: {', '.join(map(str, sorted(sizes)))}"
        )
    return sizes.pop() if sizes else 0


def by_rows(specs: Sequence[TensorSpec]) -> bool:
    """Tell whether the first dimension of every tensor is free, as that of a batch is."""
    return all(spec.shape[:1] == (-1,) for spec in specs)


def kind_of(inputs: dict[str, np.ndarray]) -> Hashable:
    """Return what tensors must have in common to be joined along their rows."""
    return tuple((name, inputs[name].shape[1:]) for name in sorted(inputs))


def joined(feeds: Sequence[Feed]) -> dict[str, np.ndarray]:
    """Put the tensors of feeds of one kind below each other."""
    first: dict[str, np.ndarray] = feeds[0].content
    if len(feeds) == 1:
        return first
    return {name: np.concatenate([feed.content[name] for feed in feeds]) for name in first}


def parted(outputs: dict[str, tuple[str, np.ndarray]], feeds: Sequence[Feed]) -> list[Answer]:
    """
    Give each feed its rows of what was computed for all of them.

    Raises:
        Refused: An output has not a row for each that went in.
    """
    if len(feeds) == 1:
        return [Answer(outputs)]
    rows = sum(feed.rows for feed in feeds)
    for name, (_, value) in outputs.items():
        if value.shape[:1] != (rows,):
            raise Refused(
                f"the model answered {rows} rows with the shape {list(value.shape)} of `{name}`",
                status=500,
            )
    answers, start = [], 0
    for feed in feeds:
        end = start + feed.rows
        answers.append(Answer({n: (kind, v[start:end]) for n, (kind, v) in outputs.items()}))
        start = end
    return answers
