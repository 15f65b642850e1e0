"""What was found."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Tensor:
    """An input or output: its name, datatype as KServe writes it, and shape; -1 is any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        sizes = ",".join(str(size) for size in self.shape)
        return f"{self.name} {self.datatype}[{sizes}]"


@dataclass(frozen=True)
class Found:
    """A model as its files tell."""

    path: Path
    format: str
    size: int
    """Bytes of all its files."""
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    facts: tuple[str, ...] = field(default=())
    """What else its header says, in words: architecture, context, quantisation."""
    context_length: int | None = None

    @property
    def summary(self) -> str:
        """Say it in one line, without the size."""
        parts = [self.format, *self.facts]
        if self.inputs:
            inputs = ", ".join(map(str, self.inputs))
            outputs = ", ".join(map(str, self.outputs))
            parts.append(f"inputs {inputs} → {outputs}")
        return ", ".join(parts)
