"""A runtime as its description tells it."""

from collections.abc import Mapping
from dataclasses import dataclass

from towpath_server.core.upstream import Quirk


@dataclass(frozen=True)
class Range:
    """What a request field or a start argument may be; no bound means any value."""

    minimum: float | None = None
    maximum: float | None = None
    default: float | None = None
    max_bytes: int | None = None
    """Longest value of a request field, in bytes of its JSON."""
    max_items: int | None = None
    """
    Most elements of a request field that is a list, numbers not counted; most numbers of a start
    argument, joined by commas.
    """

    def refusal(self, value: str) -> str | None:
        """Say why a start argument's value is not allowed; none when it is."""
        numbers = value.split(",") if self.max_items else [value]
        if len(numbers) > (self.max_items or 1):
            return f"{len(numbers)} numbers are more than {self.max_items}"
        return next((said for number in numbers if (said := self._refusal(number))), None)

    def _refusal(self, value: str) -> str | None:
        if self.minimum is None and self.maximum is None:
            return None
        try:
            number = float(value)
        except ValueError:
            return f"`{value[:80]}` is not a number"
        below = self.minimum is not None and not number >= self.minimum
        above = self.maximum is not None and not number <= self.maximum
        return f"{value} is not {self.words}" if below or above else None

    @property
    def words(self) -> str:
        """Name the range for a person."""
        if self.maximum is None:
            return f"at least {self.minimum:g}"
        if self.minimum is None:
            return f"at most {self.maximum:g}"
        return f"between {self.minimum:g} and {self.maximum:g}"


@dataclass(frozen=True)
class ProbeRule:
    """How often a model server is asked for its health, and how many refusals count."""

    period_s: float
    failures: int


@dataclass(frozen=True)
class GpuRule:
    """
    What a model server takes of each GPU that it has, beside its part of weights and context.

    All but the first two name start arguments.
    """

    overhead_bytes: int
    share: float | None = None
    """Part of the whole GPU that it takes whatever it needs; none: it takes what it needs."""
    share_argument: str | None = None
    """Another `share`."""
    layers: str | None = None
    """Layers that lie on GPUs, the others in the machine's memory; without it all do."""
    cards: str | None = None
    """Over how many GPUs the model is spread; without it over all that it has."""
    parts: str | None = None
    """What each GPU has of the model, as `3,1`; without it all have the same."""


@dataclass(frozen=True)
class MemoryRule:
    """
    What a model server takes beside the weights, measured (`docs/concepts/fit.md`).

    `context`, `slots` and `cache_mib` name start arguments.
    """

    overhead_bytes: int
    """The program, before it has loaded anything."""
    per_thread_bytes: int = 0
    factor: float = 1.0
    """Bytes in memory for each byte of the files."""
    element_bytes: int = 0
    """Bytes to which a server unpacks each parameter at least; 0: it computes what the file has."""
    context: str | None = None
    """Tokens of one slot."""
    slots: str | None = None
    cache_mib: str | None = None
    """Bound of a cache that fills with use, in MiB."""
    gpu: GpuRule | None = None
    """None: how much it takes of a GPU is not known."""


@dataclass(frozen=True)
class Runtime:
    """A way to serve some formats, at one version."""

    name: str
    version: str
    formats: tuple[str, ...]
    dialect: str
    operations: tuple[str, ...]
    command: tuple[str, ...]
    listen: str
    health_path: str
    startup: ProbeRule
    readiness: ProbeRule
    env: Mapping[str, str]
    request_fields: Mapping[str, Range]
    args: Mapping[str, Range]
    modalities: tuple[str, ...]
    code_formats: tuple[str, ...]
    """The formats with code that it is made for: it keeps what they run to itself."""
    quirks: tuple[Quirk, ...]
    """Where it departs from its dialect."""
    files: tuple[str, ...]
    """What its server reads of the machine, beside the system's libraries and Python."""
    programs: tuple[str, ...]
    """
    What must be installed for it beside Towpath: names on the path of model servers, or places.
    """
    install: str | None
    """How that comes here, as one sentence."""
    own_network: bool
    """
    Whether it is started only where it has a network of its own: it listens on a port, and knows no
    key or none that can be given to it unseen.
    """
    memory: MemoryRule | None
    """None: how much it takes is not known."""
    shipped: bool
    """Whether it comes with the platform, or from the organisation's own folder."""


@dataclass(frozen=True)
class Catalog:
    """Every runtime, the newest version of each name first."""

    runtimes: tuple[Runtime, ...]

    @property
    def names(self) -> list[str]:
        """Return the names, each once."""
        return sorted({runtime.name for runtime in self.runtimes})

    def find(self, name: str, version: str | None = None) -> Runtime | None:
        """Return a runtime at a version; without one, the newest."""
        for runtime in self.runtimes:
            if runtime.name == name and version in {None, runtime.version}:
                return runtime
        return None

    def versions(self, name: str) -> list[str]:
        """Return the versions of a runtime, newest first."""
        return [runtime.version for runtime in self.runtimes if runtime.name == name]

    def serving(self, form: str) -> list[str]:
        """Return the names of the runtimes that serve a format."""
        return sorted({r.name for r in self.runtimes if form in r.formats})

    def own_network(self, name: str) -> bool:
        """Tell whether the newest version of a runtime needs a network of its own."""
        found = self.find(name)
        return found is not None and found.own_network

    def programs(self, name: str) -> tuple[str, ...]:
        """Return what must be installed for the newest version of a runtime."""
        found = self.find(name)
        return found.programs if found else ()
