"""Both sides of the link mean the same: our models and entities meet the generated schemas."""

import json
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import gateway_program
import jsonschema
import pytest
from databases import SECRET_KEY
from pydantic import BaseModel
from records import batch, record

from towpath_server.core.money import Amounts, Price
from towpath_server.core.seal import Sealer
from towpath_server.core.secret import Secret
from towpath_server.core.upstream import Handling, Probe, Queue
from towpath_server.domains.blocks.models import Block, What
from towpath_server.domains.budgets.models import Budget, Mode, Period, Unit
from towpath_server.domains.endpoints.models import Replica, RoutedEndpoint, RoutedTarget
from towpath_server.domains.endpoints.models.serving import (
    Balance,
    Retries,
    Serving,
    Tier,
    TierLevel,
    TierRule,
    Timeouts,
)
from towpath_server.domains.keys.models import Environment, Key, Kind, Priority, StandIn
from towpath_server.domains.limits.models import Limit, Owner, Rate, Rules, Setter, Subject
from towpath_server.domains.projects.models import BodyLog, BodyMode, Project, Redaction
from towpath_server.domains.providers.models import Credential
from towpath_server.domains.teams.models import Team
from towpath_server.gatewaylink import entities, schemas
from towpath_server.gatewaylink.entity import Entity
from towpath_server.gatewaylink.validator import Validator

CONTRACTS = Path(__file__).parents[3] / "contracts"


def schema(name: str) -> dict[str, Any]:
    return json.loads((CONTRACTS / f"{name}.schema.json").read_text())


def definition(document: dict[str, Any], name: str) -> dict[str, Any]:
    """Return one of the document's definitions, with the others in reach."""
    return {**document["$defs"][name], "$defs": document["$defs"]}


def field_names(model: type[BaseModel], *, required: bool) -> set[str]:
    return {
        field.alias or name
        for name, field in model.model_fields.items()
        if not required or field.is_required()
    }


def words(annotation: Any) -> set[str] | None:
    """Return the words that a field of ours allows, where it allows only some."""
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    for inner in get_args(annotation):
        if (found := words(inner)) is not None:
            return found
    return None


def allowed(document: dict[str, Any], part: dict[str, Any]) -> set[str] | None:
    """Return the words that a property's schema allows."""
    for option in [part, *part.get("anyOf", []), *part.get("allOf", [])]:
        target = option.get("$ref", "").rpartition("/")[2]
        found = document["$defs"][target] if target else option
        if "enum" in found:
            return set(found["enum"])
        if "oneOf" in found:
            return {word for one in found["oneOf"] for word in one.get("enum", [one.get("const")])}
    return None


@pytest.mark.parametrize(
    ("model", "document", "name"),
    [
        (schemas.UsageRecord, "usage", "UsageRecord"),
        (schemas.UsageBatch, "usage", "UsageBatch"),
        (schemas.RoutingPoll, "routing", "RoutingPoll"),
        (schemas.Refusal, "routing", "Refusal"),
        (schemas.BodyBatch, "bodies", None),
        (schemas.LoggedBodies, "bodies", "LoggedBodies"),
        (schemas.LoggedBody, "bodies", "LoggedBody"),
        (schemas.EndpointSignal, "signals", "EndpointSignal"),
        (schemas.TargetSignal, "signals", "TargetSignal"),
        (schemas.ShadowSignal, "signals", "ShadowSignal"),
        (schemas.Signals, "signals", None),
    ],
)
def test_our_models_have_the_contracts_fields(model, document, name):
    whole = schema(document)
    contract = whole if name is None else whole["$defs"][name]

    assert field_names(model, required=False) == set(contract["properties"])
    assert field_names(model, required=True) == set(contract["required"])


def test_our_models_allow_the_contracts_words():
    whole = schema("usage")
    properties = whole["$defs"]["UsageRecord"]["properties"]
    ours = {
        name: found
        for name, field in schemas.UsageRecord.model_fields.items()
        if name != "schema_" and (found := words(field.annotation)) is not None
    }
    theirs = {
        name: found
        for name, part in properties.items()
        if (found := allowed(whole, part)) is not None
    }

    assert ours == theirs


def test_the_records_of_our_tests_are_of_the_contract():
    jsonschema.validate(batch(record(1)), definition(schema("usage"), "UsageBatch"))


SIGNATURE = {
    "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
    "outputs": [{"name": "label", "datatype": "BYTES", "shape": [-1]}],
}

SEALED = Sealer(SECRET_KEY).seal(Secret("upstream"), id="crd_1")

FULL_KEY = Key(
    id="key_1",
    revision=1,
    created_at_ms=0,
    updated_at_ms=0,
    kind=Kind.KEY,
    team_id="team_1",
    project_id="prj_1",
    environment=Environment.PRODUCTION,
    name="full",
    hash="0" * 64,
    hint="abcd",
    scopes=("invoke", "read", "deploy"),
    application_id="app_1",
    endpoints=("smollm2",),
    operations=("chat", "predict"),
    sources=("10.0.0.0/8",),
    max_data_class="internal",
    priority=Priority.BATCH,
    expires_at_ms=1,
)

FULL_SERVING = Serving(
    timeouts=Timeouts(100, 200, 300, 400, 500),
    balance=Balance("peak_ewma", "prefix", "user"),
    retries=Retries(2, 10, 1),
    stream_recovery="continue",
    cache_ttl_ms=60_000,
    tier=Tier(
        levels=(TierLevel("low", "cheap"), TierLevel("high", "strong")),
        rules=(TierRule("long", "true", "high"),),
        escalate_on=("empty", "refusal", "schema", "length", ("mean_logprob", -1.5)),
    ),
)

EXAMPLES = [
    Entity("platform", "platform", entities.platform(name="C", currency="EUR", ready_when=[])),
    Entity(
        "platform",
        "platform",
        entities.platform(
            name="C",
            currency="EUR",
            ready_when=["end_1"],
            egress_allow=["127.0.0.0/8"],
            max_table_age_ms={"restricted": 5_000},
        ),
    ),
    Entity("team", "team_1", entities.team(Team("team_1", 1, 0, 0, "care", 3))),
    Entity(
        "project", "prj_1", entities.project(Project("prj_1", 1, 0, 0, "team_1", "chat", "care"))
    ),
    Entity(
        "project",
        "prj_2",
        entities.project(
            Project(
                *("prj_2", 1, 0, 0, "team_1", "logged", "care"),
                body_log=BodyLog(BodyMode.FULL, (Redaction("card", r"\d{16}"),), 30),
            )
        ),
    ),
    Entity("key", "key_1", entities.key(FULL_KEY)),
    Entity(
        "limit",
        "lim_1",
        entities.limit(
            Limit(
                id="lim_1",
                revision=1,
                created_at_ms=0,
                updated_at_ms=0,
                subject=Subject(key="key_1", endpoint="end_1"),
                owner=Owner("team_1", "prj_1"),
                set_by=Setter.TEAM,
                rules=Rules(Rate(10, 3), Rate(600), Rate(60_000, 1), 4),
                label="key full of care/chat on endpoint classifier in sandbox",
            )
        ),
    ),
    Entity(
        "key",
        "sti_1",
        entities.key(
            StandIn("sti_1", "key_1", "prj_1", Environment.PRODUCTION, "1" * 64, 1, ("::1/128",))
        ),
    ),
    Entity(
        "block", "blk_1", entities.block(Block("blk_1", 1, 0, 0, What.MODEL, "big", "big", "leaks"))
    ),
    Entity(
        "budget",
        "bud_1",
        entities.budget(
            Budget(
                id="bud_1",
                revision=1,
                created_at_ms=0,
                updated_at_ms=0,
                subject=Subject(team="team_1"),
                owner=Owner("team_1"),
                set_by=Setter.PLATFORM,
                unit=Unit.COST,
                amount=250 * 10**9,
                period=Period.MONTH,
                mode=Mode.HARD,
                warn_percent=80,
                label="team care",
            )
        ),
    ),
    Entity("price", "prc_1", entities.price(Price("prc_1", Amounts(2, 8)), "EUR")),
    Entity(
        "price",
        "prc_2",
        entities.price(Price("prc_2", Amounts(*range(1, 10)), from_ms=1), "EUR"),
    ),
    Entity("credential", "crd_1", entities.credential(Credential("crd_1", SEALED))),
    Entity("credential", "crd_2", entities.credential(Credential("crd_2", SEALED, "x-api-key"))),
    Entity(
        "target",
        "dep_1",
        entities.target(
            RoutedTarget(
                id="dep_1",
                name="classifier",
                kind="deployment",
                dialect="kserve_v2",
                replicas=(Replica("rep_1", "unix:/run/rep_1.sock", "crd_1"),),
                upstream_model="classifier",
                operations=("predict",),
                model={"name": "classifier", "version": 1, "digest": "sha256:" + "0" * 64},
                signature=SIGNATURE,
                request_fields={"temperature": {"minimum": 0, "maximum": 2}, "messages": {}},
                region="here",
                max_data_class="confidential",
                prices=("prc_1", "prc_2"),
                context_length=8192,
                modalities=("text",),
                owned_by="demo/quickstart",
                handling=Handling(
                    max_concurrency=8,
                    queue=Queue(10, 1_000),
                    probe=Probe("/health"),
                    gpus=2,
                    quirks=(),
                    query="api-version=1",
                    headers={"x-region": "eu"},
                ),
            )
        ),
    ),
    Entity(
        "target",
        "tgt_1",
        entities.target(
            RoutedTarget(
                id="tgt_1",
                name="vendor",
                kind="provider",
                dialect="openai",
                replicas=(Replica("prv_1", "https://api.example.com/v1", None),),
                upstream_model="big",
                operations=("chat", "completions", "embeddings"),
                credential="crd_2",
                provider="vendor",
                operator="external",
            )
        ),
    ),
    Entity(
        "endpoint",
        "end_1",
        entities.endpoint(
            RoutedEndpoint(
                id="end_1",
                name="classifier",
                environment="sandbox",
                project="prj_1",
                visibility="organization",
                allow=(("team", "team_1"), ("project", "prj_1")),
                callers=("sandbox", "staging"),
                targets=(("dep_1", 100),),
                fallback=(("target", "tgt_1"), ("endpoint", "end_2")),
                serving={},
                created_at_ms=1,
            )
        ),
    ),
    Entity(
        "endpoint",
        "end_2",
        entities.endpoint(
            RoutedEndpoint(
                id="end_2",
                name="auto",
                environment="sandbox",
                project="prj_1",
                visibility="project",
                allow=(),
                callers=("sandbox",),
                targets=(("tgt_1", 100), ("dep_1", 0)),
                fallback=(),
                serving=FULL_SERVING.document({"cheap": "tgt_1", "strong": "dep_1"}),
                created_at_ms=1,
            )
        ),
    ),
]


@pytest.mark.parametrize("entity", EXAMPLES, ids=lambda entity: f"{entity.kind}-{entity.id}")
def test_an_entity_we_write_is_of_the_contract(entity):
    jsonschema.validate(
        {"kind": entity.kind, "value": entity.value}, definition(schema("routing"), "Value")
    )


@pytest.mark.parametrize("entity", EXAMPLES, ids=lambda entity: f"{entity.kind}-{entity.id}")
def test_every_field_of_an_entity_is_known_to_the_contract(entity):
    """A field that the schema does not have would make every gateway refuse the table."""
    document = schema("routing")
    name = entity.kind.title()

    assert set(entity.value) <= set(document["$defs"][name]["properties"])


def test_our_defaults_are_the_gateways() -> None:
    """What is at its default is left out, so both sides must mean the same by that."""
    document = schema("routing")["$defs"]
    ours: dict[str, Any] = {
        "Timeouts": Timeouts(),
        "Balance": Balance(),
        "Retries": Retries(),
        "Queue": Queue(),
    }

    for name, default in ours.items():
        theirs = {
            field: part.get("default") for field, part in document[name]["properties"].items()
        }
        assert vars(default) == theirs, name


@pytest.fixture
async def validator():
    found = Validator(gateway_program.find(), {})
    yield found
    await found.close()


async def test_the_gateways_own_validator_takes_what_we_write(validator):
    by_kind = {(entity.kind, entity.id): entity for entity in EXAMPLES}

    assert await validator.refusal(list(by_kind.values())) is None


async def test_the_gateways_own_validator_says_why_it_refuses(validator):
    unknown = Entity("team", "team_1", {"name": "care", "colour": "blue"})

    reason = await validator.refusal([unknown])

    assert reason is not None
    assert "colour" in reason


async def test_a_validator_that_was_killed_is_started_again(validator):
    await validator.refusal([EXAMPLES[2]])
    validator._process.kill()
    await validator._process.wait()

    assert await validator.refusal([EXAMPLES[2]]) is None
