"""Tables of providers."""

from sqlalchemy import JSON, Column, ForeignKey, Integer, String, Table, Text, UniqueConstraint

from towpath_server.core import queries
from towpath_server.core.db import metadata

providers = Table(
    "providers",
    metadata,
    *queries.resource(),
    Column("name", String(63), nullable=False),
    Column("vendor", String(63)),
    Column("dialect", String(32), nullable=False),
    Column("base_url", String(2000), nullable=False),
    Column("operator", String(16), nullable=False),
    Column("operations", JSON, nullable=False),
    Column("credential_id", String(64)),
    Column("credential_sealed", Text),
    Column("header", String(100)),
    Column("region", String(63)),
    Column("max_data_class", String(32), nullable=False),
    Column("handling", JSON, nullable=False),
    UniqueConstraint("name"),
    UniqueConstraint("credential_id"),
)

egress_networks = Table(
    "egress_networks",
    metadata,
    Column("network", String(64), primary_key=True),
)
"""Networks (CIDR) that upstreams given by URL may be in, though they are inside."""

provider_models = Table(
    "provider_models",
    metadata,
    Column(
        "provider_id", String(64), ForeignKey("providers.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("name", String(200), primary_key=True),
    Column("context_length", Integer),
    Column("signature", JSON(none_as_null=True)),
)
