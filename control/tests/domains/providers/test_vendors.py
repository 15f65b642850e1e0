"""The catalogue of vendors: rows of data, each of which a provider can be made from."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import gateway_program
import jsonschema
import pytest
from platform_api import Api

from towpath_server.core.db import Database
from towpath_server.core.upstream import Quirk
from towpath_server.domains.endpoints import service as endpoints
from towpath_server.domains.endpoints.models import Replica, RoutedTarget
from towpath_server.domains.providers import service as providers
from towpath_server.domains.providers.models import DIALECTS
from towpath_server.domains.providers.store.vendors import catalogue
from towpath_server.gatewaylink import entities
from towpath_server.gatewaylink.entity import Entity
from towpath_server.gatewaylink.validator import Validator

CONTRACT = Path(__file__).parents[4] / "contracts" / "routing.schema.json"
ROWS = {row.name: row for row in catalogue()}
PROMISED = [
    "vllm",
    "llama-cpp",
    "ollama",
    "tgi",
    "sglang",
    "infinity",
    "speaches",
    "nvidia-nim",
    "triton",
    "kserve",
    "openai",
    "azure-openai",
    "anthropic",
    "gemini",
    "mistral",
    "openrouter",
    "cohere",
    "jina",
]


def test_the_rows_that_are_promised_are_there():
    assert sorted(ROWS) == sorted(PROMISED)


@pytest.mark.parametrize("name", PROMISED)
async def test_a_row_renders_to_a_target_that_the_gateway_takes(name: str) -> None:
    row = ROWS[name]
    target = RoutedTarget(
        id="tgt_1",
        name=row.name,
        kind="provider",
        dialect=row.dialect,
        replicas=(Replica("tgt_1", row.base_url.format(host="h.example", resource="r")),),
        upstream_model="m",
        operations=row.operations,
        provider=row.name,
        region=row.region,
        operator=row.operator,
        max_data_class=row.max_data_class,
        handling=row.handling,
    )
    value = entities.target(target)
    document = json.loads(CONTRACT.read_text())
    validator = Validator(gateway_program.find(), {})

    refusal = await validator.refusal([Entity("target", "tgt_1", value)])
    await validator.close()

    assert refusal is None
    jsonschema.validate(
        {"kind": "target", "value": value},
        {**document["$defs"]["Value"], "$defs": document["$defs"]},
    )


def spoken(**wanted: Any) -> list[str]:
    return [
        name
        for name, row in ROWS.items()
        if row.dialect in DIALECTS and all(getattr(row, k) == v for k, v in wanted.items())
    ]


@pytest.mark.parametrize("name", spoken())
async def test_a_provider_is_made_from_a_row_and_what_the_row_lacks(api: Api, name: str) -> None:
    row = ROWS[name]
    given: dict[str, Any] = {"name": "one", "vendor": name}
    if row.needs_url:
        missing = await api.call("POST", "/providers", given, status=422)
        assert missing.json()["findings"][0]["path"] == "#/base_url"
        given["base_url"] = row.base_url.format(host="h.example", resource="r")
    if row.credential == "required":
        missing = await api.call("POST", "/providers", given, status=422)
        assert missing.json()["findings"][0]["path"] == "#/credential"
        given["credential"] = "a-vendor-secret"

    made = await api.create("/providers", **given)

    assert made["vendor"] == name
    assert made["dialect"] == row.dialect
    assert made["operator"] == row.operator
    assert made["operations"] == list(row.operations)
    assert made["header"] == row.header


async def test_what_a_provider_says_itself_wins_over_its_row(api: Api, db: Database) -> None:
    made = await api.create(
        "/providers",
        name="ours",
        vendor="vllm",
        base_url="https://gpu.example/v1",
        operations=["chat"],
        region="here",
        max_data_class="confidential",
        probe={"path": "/ping"},
        headers={"x-team": "ml"},
        models=[{"name": "m"}],
    )
    await api.create(
        "/endpoints",
        name="chat",
        environment="sandbox",
        targets=[{"provider": "ours", "model": "m"}],
    )

    assert (made["operations"], made["region"]) == (["chat"], "here")
    async with db.read() as tx:
        (target,) = await endpoints.routed_targets(tx)
    assert (target.operator, target.max_data_class) == ("internal", "confidential")
    assert target.operations == ("chat",)
    assert target.handling.probe is not None
    assert target.handling.probe.path == "/ping"
    assert target.handling.headers == {"x-team": "ml"}


async def test_the_catalogue_is_listed_with_what_the_gateway_speaks(api: Api) -> None:
    listed = (await api.get("/vendors"))["items"]

    assert [row["name"] for row in listed] == sorted(PROMISED)
    assert {row["name"] for row in listed if row["spoken"]} == set(spoken())
    assert all(row["docs"].startswith("https://") for row in listed)


async def test_an_unknown_vendor_is_refused_with_a_near_one(api: Api) -> None:
    answer = await api.call("POST", "/providers", {"name": "x", "vendor": "antropic"}, status=404)

    assert answer.json()["fix"] == "Did you mean `anthropic`?"


def test_our_quirks_are_the_gateways():
    """The contract lists them in the gateway's source; the schema has plain texts."""
    source = CONTRACT.parents[1] / "gateway" / "crates" / "wire" / "src" / "routing.rs"
    listed = re.search(
        r"pub const QUIRKS: \[&str; \d+\] = \[(.*?)\];", source.read_text(), re.DOTALL
    )

    assert listed is not None
    assert list(get_args(Quirk)) == re.findall(r'"(\w+)"', listed.group(1))


def test_no_row_names_a_secret_or_a_price():
    """Prices are what the organisation pays, in its own currency; the catalogue cannot know them."""
    assert all("authorization" not in row.handling.headers for row in ROWS.values())
    assert not hasattr(providers.vendor("openai"), "prices")
