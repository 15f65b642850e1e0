"""
Settings: read once, at start, from `TOWPATH_*` variables and one TOML file.

Nothing else reads the environment. All mistakes are reported together, each with the variable's
name and what would be valid. Components receive their own small part of the tree.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from towpath_server.core import durations, egress, suggest
from towpath_server.core.environments import ApprovalSettings, SandboxSettings
from towpath_server.core.errors import Finding, InvalidRequest, Kind, TowpathError
from towpath_server.core.quota_settings import QuotaSettings
from towpath_server.core.seal import MIN_KEY_LENGTH
from towpath_server.core.secret import Secret
from towpath_server.core.source_settings import SourceSettings
from towpath_server.core.storage import ArtifactSettings
from towpath_server.core.urls import engine_url

PREFIX = "TOWPATH_"
_NESTED = "__"
_FOREIGN_TABLES = {"gateway"}  # the gateway reads its own table of the same file


class SettingsInvalid(TowpathError):
    """Settings that cannot be used; `findings` name each."""

    code = "settings_invalid"
    kind = Kind.INVALID
    title = "Settings are not valid"


class LogSettings(BaseModel):
    """What is written about the control plane's own doings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe entries that are written."
    )
    format: Literal["json", "text"] = Field(
        "json", description="`json` for machines, `text` for a terminal."
    )


class ComputeSettings(BaseModel):
    """Model servers on this machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(
        default=True, description="Whether this machine runs model servers at all."
    )
    threads: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        le=1024,
        description="Threads that all model servers share; default: the machine's cores.",
    )
    gpus: int = Field(
        default_factory=lambda: len(list(Path("/dev").glob("nvidia[0-9]*"))),
        ge=0,
        le=1024,
        description="GPUs that model servers may ask for; default: those of the machine that "
        "`/dev/nvidia0` and so on stand for.",
    )
    isolation: Literal["strict", "best_effort", "off"] = Field(
        "best_effort",
        description="How model servers are shut in: `best_effort` uses what the machine allows, "
        "`strict` starts none where a measure is missing, `off` uses no measure.",
    )
    stop_timeout_s: float = Field(
        10.0, gt=0, le=600, description="Time a model server gets to end by itself."
    )
    log_bytes: int = Field(
        10 * 2**20, ge=2**16, le=2**30, description="Size of a model server's log file."
    )


class ApiSettings(BaseModel):
    """The control plane's own API."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    body_bytes: int = Field(
        2**20, ge=2**12, le=2**26, description="Largest body of a request that is not an upload."
    )
    upload_bytes: int = Field(
        64 * 2**30, ge=2**20, description="Largest artifact that may be uploaded."
    )
    applied_wait_ms: int = Field(
        1_000,
        ge=0,
        le=10_000,
        description="How long a change waits for the gateways before it answers `pending`.",
    )


# Below this a healthy control plane's pauses would refuse calls; the gateways refuse it, too.
_LEAST_TABLE_AGE_MS = 5_000


def _table_age(text: str) -> str:
    if durations.to_ms(text) < _LEAST_TABLE_AGE_MS:
        raise ValueError(f"must be at least {durations.from_ms(_LEAST_TABLE_AGE_MS)}")
    return text


TableAge = Annotated[str, Field(max_length=32), AfterValidator(_table_age)]


class TableAgeSettings(BaseModel):
    """
    How long gateways serve a class of data without contact to the control plane.

    Default: for ever. What is too old for a class is too old for the more sensitive ones.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    public: TableAge | None = Field(
        None,
        description="How long a gateway that does not reach the control plane goes on with calls "
        "of any data, such as `24h`; then they get 503 `table_stale`. Default: for ever.",
    )
    internal: TableAge | None = Field(
        None, description="The same for calls with `internal` data and more sensitive ones."
    )
    confidential: TableAge | None = Field(
        None, description="The same for `confidential` and `restricted` data."
    )
    restricted: TableAge | None = Field(None, description="The same for `restricted` data.")

    def in_ms(self) -> dict[str, int]:
        """Return the ages that are set, in milliseconds."""
        given = self.model_dump(exclude_none=True)
        return {name: durations.to_ms(text) for name, text in given.items()}


class BatchSettings(BaseModel):
    """Files that callers upload, and the batches that run over them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gateway: str | None = Field(
        None,
        pattern=r"^https?://[^/?#]+$",
        description="Where batches call models; default: the front door's own address, whose "
        "certificate is then known.",
    )
    gateway_ca: Path | None = Field(
        None, description="Certificates (PEM) that alone are trusted there; default: the system's."
    )
    file_bytes: int = Field(
        200 * 2**20,
        ge=2**10,
        le=2**34,
        description="Largest file that may be uploaded for a batch.",
    )
    project_bytes: int = Field(
        20 * 2**30, ge=2**10, description="Most bytes that the files of one project may have."
    )
    lines: int = Field(50_000, ge=1, le=1_000_000, description="Most requests in one batch.")
    line_bytes: int = Field(
        4 * 2**20, ge=2**10, le=2**26, description="Largest request, and largest answer to one."
    )
    active: int = Field(
        100, ge=1, le=100_000, description="Most batches of one project that have not ended."
    )
    parallel: int = Field(4, ge=1, le=100, description="Batches that run at a time, oldest first.")
    concurrency: int = Field(
        8, ge=1, le=1_000, description="Most calls in flight of all batches together."
    )


class Settings(BaseSettings):
    """Everything that can be set for the control plane and its supervisor."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=_NESTED,
        frozen=True,
        extra="forbid",
        env_ignore_empty=True,
    )

    data: Path = Field(
        default_factory=lambda: Path.home() / ".local" / "share" / "towpath",
        description="Folder that holds all state.",
    )
    host: str = Field("127.0.0.1", description="Address the front door listens on.")
    port: int = Field(8080, ge=0, le=65_535, description="Port of the front door; 0: any free one.")
    tls_cert_file: Path | None = Field(
        None,
        description="Certificate chain (PEM) of the front door; with `tls_key_file` it is TLS.",
    )
    tls_key_file: Path | None = Field(None, description="Its private key (PEM).")
    insecure: bool = Field(
        default=False,
        description="Listen without TLS on an address that is not loopback: keys and prompts cross "
        "the network in the clear.",
    )
    public_url: str | None = Field(
        None,
        pattern=r"^https?://[^/]+",
        description="Address that clients use, where it is not `http://host:port`.",
    )
    database_url: str | None = Field(
        None,
        description="`postgresql://user:password@host:5432/name`; default: SQLite in the folder.",
    )
    ledger_url: str | None = Field(
        None, description="Database of the ledger; default: beside the main one."
    )
    secret_key: Secret | None = Field(
        None,
        description="Seals secrets at rest; at least 32 characters; default: made at first start.",
    )
    link_credential: Secret | None = Field(
        None,
        description="Shared by gateway and control plane; at least 32 characters; default: made at "
        "first start.",
    )
    admin_key: Secret | None = Field(
        None,
        description="The platform's own key; at least 32 characters; default: made at first start "
        "and shown once.",
    )
    organization: str = Field(
        "Organization", min_length=1, max_length=100, description="Name of the organisation."
    )
    currency: str = Field(
        "EUR", pattern=r"^[A-Z]{3}$", description="ISO 4217 code in which money is counted."
    )
    egress_allow: Annotated[tuple[str, ...], NoDecode] = Field(
        default_factory=tuple,
        description="Networks (CIDR, with commas between) that servers adopted by URL, providers "
        "and sources of models may be in, though the rules for outgoing calls forbid it: "
        "`127.0.0.0/8`.",
    )
    max_table_age: TableAgeSettings = Field(
        default_factory=TableAgeSettings, description="How old the gateways' rules may be."
    )
    demo: bool = Field(default=True, description="Whether the first start creates the demo.")
    demo_dir: Path | None = Field(
        None, description="Folder of prepared models that the demo serves."
    )
    runtimes_dir: Path | None = Field(
        None, description="Folder of further runtime descriptions (`*.yaml`), beside those shipped."
    )
    gateway_bin: Path | None = Field(
        None, description="The gateway's program; default: `towpath-gateway` beside this Python."
    )
    webhook_url: str | None = Field(
        None,
        pattern=r"^https?://[^/@]+",
        description="Program that is told when a budget reaches its warning or its end, and when "
        "a deployment is about to expire; what lies inside must be in `TOWPATH_EGRESS_ALLOW`.",
    )
    webhook_secret: Secret | None = Field(
        None, description="Signs what that program is told; at least 32 characters."
    )
    log: LogSettings = Field(default_factory=LogSettings, description="The log.")
    api: ApiSettings = Field(default_factory=ApiSettings, description="The API.")
    artifacts: ArtifactSettings = Field(
        default_factory=ArtifactSettings, description="Where bytes lie."
    )
    batches: BatchSettings = Field(default_factory=BatchSettings, description="Files and batches.")
    approvals: ApprovalSettings = Field(
        default_factory=ApprovalSettings, description="Who else must agree to a promotion."
    )
    sandbox: SandboxSettings = Field(
        default_factory=SandboxSettings, description="What expires in the sandbox."
    )
    compute: ComputeSettings = Field(
        default_factory=ComputeSettings, description="Model servers on this machine."
    )
    sources: SourceSettings = Field(
        default_factory=SourceSettings, description="Where models are read from."
    )

    quotas: QuotaSettings = Field(
        default_factory=QuotaSettings, description="Capacity of teams without a quota."
    )

    @field_validator("egress_allow", mode="before")
    @classmethod
    def _networks(cls, value: Any) -> Any:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            return value
        return tuple(str(egress.network(str(part))) for part in parts if str(part).strip())

    @property
    def front_door(self) -> str:
        """Where the front door can be reached from this machine."""
        here = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 (what others may have bound)
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = "https" if self.tls_cert_file else "http"
        return f"{scheme}://{here.get(self.host, host)}:{self.port}"

    @field_validator("secret_key", "link_credential", "admin_key", "webhook_secret")
    @classmethod
    def _long_enough(cls, value: Secret | None) -> Secret | None:
        if value is not None and len(value.reveal()) < MIN_KEY_LENGTH:
            raise ValueError(f"needs at least {MIN_KEY_LENGTH} characters")
        return value

    @field_validator("database_url", "ledger_url")
    @classmethod
    def _known_engine(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                engine_url(value)
            except InvalidRequest as error:
                raise ValueError(f"{error.detail} {error.fix}") from error
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 (the base class decides)
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let arguments override variables; nothing else is a source."""
        return init_settings, env_settings


def settings_file(given: Path | None) -> Path | None:
    """Return the file that was named, or `towpath.toml` here; none where there is none."""
    if given is not None:
        return given.absolute()
    here = Path.cwd() / "towpath.toml"
    return here if here.is_file() else None


def load(path: Path | None, **overrides: Any) -> Settings:
    """
    Read the settings: `overrides` (from the command line), then variables, then the file.

    Raises:
        SettingsInvalid: Something is wrong; every mistake is among the findings.
    """
    document = _document(path) if path else {}
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return _reading(document)(**given)
    except ValidationError as error:
        findings = [_finding(entry, document) for entry in error.errors(include_url=False)]
    listed = "\n".join(
        f"  {finding.path}: {finding.message}" + (f" {finding.fix}" if finding.fix else "")
        for finding in findings
    )
    raise SettingsInvalid(
        f"{len(findings)} setting{'s are' if len(findings) > 1 else ' is'} not valid:\n{listed}",
        fix="Correct them and start again.",
        findings=findings,
    )


def _reading(document: dict[str, Any]) -> type[Settings]:
    class WithFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (the base class decides)
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            file = InitSettingsSource(settings_cls, init_kwargs=document)
            return init_settings, env_settings, file

    return WithFile


def environment(names: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """Return this process' environment with `names` set (or, where none, removed), for a child."""
    result = dict(os.environ)  # noqa: TID251 (this is the place)
    for name, value in (names or {}).items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = value
    return result


def reference_table() -> str:
    """Write the table of all settings for the reference page."""
    lines = [
        "| variable | in `towpath.toml` | default | what it is |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{variable(path)}` | `{'.'.join(path)}` | {default} | {description} |"
        for path, default, description in _described(Settings)
    ]
    return "\n".join(lines)


def variable(path: tuple[str, ...]) -> str:
    """Return the name of the variable of a setting."""
    return PREFIX + _NESTED.join(path).upper()


def _described(
    model: type[BaseModel], above: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], str, str]]:
    found = []
    for name, info in model.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found += _described(kind, (*above, name))
            continue
        computed = info.default_factory is not None or info.default is None
        default = "" if computed else f"`{str(info.default).lower()}`"
        if isinstance(info.default, str):
            default = f"`{info.default}`"
        found.append(((*above, name), default, info.description or ""))
    return found


def _document(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsInvalid(
            f"The settings file `{path}` does not exist.", fix="Check the path after `--config`."
        ) from error
    except (OSError, ValueError) as error:
        raise SettingsInvalid(
            f"The settings file `{path}` cannot be read: {error}.",
            fix="It must be readable and valid TOML.",
        ) from error
    return {name: value for name, value in document.items() if name not in _FOREIGN_TABLES}


def _finding(entry: Any, document: Mapping[str, Any]) -> Finding:
    path = tuple(str(part) for part in entry["loc"])
    in_file = path[0] in document
    where = f"{variable(path)} (`{'.'.join(path)}` in the settings file)" if in_file else ""
    if entry["type"] == "extra_forbidden":
        known = [".".join(path) for path, _, _ in _described(Settings)]
        return Finding(
            f"`{'.'.join(path)}`",
            "is not a setting.",
            suggest.did_you_mean(".".join(path), known),
        )
    message = str(entry["msg"]).removeprefix("Value error, ")
    return Finding(
        where or variable(path), f"{message[:1].lower()}{message[1:]}.".replace("..", ".")
    )
