"""A quota, what is held of it, and where it stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

ANY_CLASS = "*"
"""In the GPUs of a quota: every class that is not named."""

REPLICAS, CPU, MEMORY = "replicas", "cpu", "memory"
"""What is counted beside GPUs, whose class is the word."""


@dataclass(frozen=True)
class Amounts:
    """What may be reserved; none: as much as there is."""

    replicas: int | None = None
    cpu_milli: int | None = None
    memory_bytes: int | None = None
    gpus: Mapping[str, int] | None = None
    """By class; a class that is neither named nor covered by `*` has none."""

    def most(self, what: str) -> int | None:
        """Return how much of a resource, or of a class of GPUs, may be reserved."""
        if what == REPLICAS:
            return self.replicas
        if what == CPU:
            return self.cpu_milli
        if what == MEMORY:
            return self.memory_bytes
        return None if self.gpus is None else self.gpus.get(what, self.gpus.get(ANY_CLASS, 0))


@dataclass(frozen=True)
class Draw:
    """What something takes of the capacity."""

    replicas: int = 0
    cpu_milli: int = 0
    memory_bytes: int = 0
    gpus: Mapping[str, int] = field(default_factory=dict)

    def of(self, what: str) -> int:
        """Return how much of a resource, or of a class of GPUs, it takes."""
        if what == REPLICAS:
            return self.replicas
        if what == CPU:
            return self.cpu_milli
        return self.memory_bytes if what == MEMORY else self.gpus.get(what, 0)

    def words(self) -> tuple[str, ...]:
        """Name everything that it takes some of."""
        return tuple(
            what for what in (REPLICAS, CPU, MEMORY, *sorted(self.gpus)) if self.of(what) > 0
        )

    def times(self, count: int) -> "Draw":
        """Return what so many of it take."""
        gpus = {name: number * count for name, number in self.gpus.items()}
        return Draw(self.replicas * count, self.cpu_milli * count, self.memory_bytes * count, gpus)

    def beside(self, other: "Draw") -> "Draw":
        """Return the larger of the two in everything: one takes the place of the other."""
        names = {*self.gpus, *other.gpus}
        return Draw(
            max(self.replicas, other.replicas),
            max(self.cpu_milli, other.cpu_milli),
            max(self.memory_bytes, other.memory_bytes),
            {name: max(self.of(name), other.of(name)) for name in names},
        )


@dataclass(frozen=True)
class Holding:
    """What one deployment holds of its team's capacity."""

    deployment_id: str
    name: str
    environment: str
    team_id: str
    project_id: str
    draw: Draw
    ending: bool = False
    """It is being deleted: what it holds is free once its model servers have ended."""
    until_ms: int | None = None
    """When it ends by itself, where it does."""


def held(holdings: Sequence[Holding], what: str) -> int:
    """Sum up what is held of a resource, or of a class of GPUs."""
    return sum(holding.draw.of(what) for holding in holdings)


@dataclass(frozen=True)
class Quota:
    """What a team may reserve in one environment."""

    id: str
    revision: int
    created_at_ms: int
    updated_at_ms: int
    team_id: str
    environment: str
    amounts: Amounts
    team: str = field(default="", compare=False)
    """The team's name as it is now."""


@dataclass(frozen=True)
class State:
    """Where a team stands in one environment."""

    quota: Quota | None
    """None: the default of the settings holds."""
    team_id: str
    team: str
    environment: str
    amounts: Amounts
    holdings: tuple[Holding, ...]
    """Of those deployments that the caller may see."""
    used: Draw
    """By all of them."""
    hidden: int
    """How many more hold some of it."""
