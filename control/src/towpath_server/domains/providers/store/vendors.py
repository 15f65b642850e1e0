"""
Reads the catalogue of vendors: rows of data that come with the platform.

They are a file and not a table: a row is what a version of the platform knows, and nobody's own.
"""

import functools
import importlib.resources
from collections.abc import Sequence
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from towpath_server.core.upstream import Handling, Probe, Quirk
from towpath_server.domains.providers.models import Vendor

_FILE = "vendors.yaml"
_Operation = Literal[
    "chat", "completions", "embeddings", "predict", "rerank", "transcriptions", "count_tokens"
]


class _Row(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, validate_by_name=True
    )

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,63}$")]
    title: str
    docs: Annotated[str, Field(pattern=r"^https://")]
    base_url: Annotated[str, Field(pattern=r"^https?://")]
    dialect: Literal["openai", "anthropic", "kserve_v2", "kserve_grpc"]
    operations: list[_Operation] = Field(min_length=1)
    operator: Literal["internal", "external"]
    credential: Literal["required", "optional", "none"]
    header: str | None = None
    region: str | None = None
    max_data_class: Literal["public", "internal", "confidential", "restricted"] = "public"
    headers: dict[str, str] = Field(default_factory=dict)
    query: str | None = None
    quirks: list[Quirk] = Field(default_factory=list)
    probe: str | None = None
    metrics: str | None = None
    note: str | None = None

    def vendor(self) -> Vendor:
        return Vendor(
            name=self.name,
            title=self.title,
            docs=self.docs,
            base_url=self.base_url,
            dialect=self.dialect,
            operations=tuple(self.operations),
            operator=self.operator,
            header=self.header,
            credential=self.credential,
            region=self.region,
            max_data_class=self.max_data_class,
            handling=Handling(
                probe=Probe(self.probe) if self.probe else None,
                quirks=tuple(self.quirks),
                query=self.query,
                headers=self.headers,
            ),
            metrics=self.metrics,
            note=self.note,
        )


@functools.cache
def catalogue() -> Sequence[Vendor]:
    """Return every row, in order of name."""
    text = importlib.resources.files("towpath_server.domains.providers").joinpath(_FILE).read_text()
    rows = [_Row.model_validate(row).vendor() for row in yaml.safe_load(text)]
    return tuple(sorted(rows, key=lambda row: row.name))
