"""Programs of either vendor's clients work unchanged against a real model."""

import json
import shutil
import subprocess
from pathlib import Path

import anthropic
import openai
import pytest
from towpath_up import Up, eventually

NODE = Path(__file__).parents[1] / "node"
ASKED = "Name the capital of France."
QUESTION = [{"role": "user", "content": ASKED}]
TOOL = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.fixture(scope="module")
def messages(demo: Up):
    with anthropic.Anthropic(
        base_url=demo.address, api_key=demo.demo_key, max_retries=0, timeout=120
    ) as found:
        yield found


@pytest.fixture(scope="module")
def responses(demo: Up):
    with openai.OpenAI(
        base_url=f"{demo.address}/v1", api_key=demo.demo_key, max_retries=0, timeout=120
    ) as found:
        yield found


def recorded(demo: Up, request_id: str) -> dict:
    """Wait until a request is in the log, and return it as the caller's own key sees it."""
    with demo.api(demo.demo_key) as api:
        eventually(
            lambda: api.get(f"/requests/{request_id}").status_code == 200, f"record {request_id}"
        )
        return api.get(f"/requests/{request_id}").json()


def test_anthropics_client_gets_a_message_that_is_recorded(messages, demo):
    answer = messages.messages.create(
        model="smollm2", max_tokens=12, messages=QUESTION, system="Answer briefly."
    )

    record = recorded(demo, answer._request_id)

    assert answer.content[0].type == "text"
    assert answer.content[0].text
    assert answer.stop_reason in {"end_turn", "max_tokens"}
    used = answer.usage
    assert record["input_tokens"] == used.input_tokens + (used.cache_read_input_tokens or 0)
    assert record["output_tokens"] == used.output_tokens
    assert (record["dialect"], record["counted_by"]) == ("anthropic", "upstream")


def test_anthropics_client_streams_the_same_message(messages, demo):
    with messages.messages.stream(model="smollm2", max_tokens=12, messages=QUESTION) as stream:
        said = "".join(stream.text_stream)
        final = stream.get_final_message()

    record = recorded(demo, stream.response.headers["request-id"])

    assert said
    assert said == final.content[0].text
    assert final.usage.output_tokens == record["output_tokens"] > 0
    assert record["stream"]


def test_anthropics_client_sends_tools_and_their_results(messages):
    """A small model need not call the tool; what it is told must arrive either way."""
    asked = [
        *QUESTION,
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"city": "?"}},
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "Paris"}],
        },
    ]

    answer = messages.messages.create(
        model="smollm2",
        max_tokens=12,
        messages=asked,
        tools=[{"name": "look", "description": "Look it up.", "input_schema": TOOL}],
    )

    assert answer.role == "assistant"
    assert all(block.type in {"text", "tool_use"} for block in answer.content)


def test_anthropics_client_counts_tokens(messages):
    short = messages.messages.count_tokens(model="smollm2", messages=QUESTION)
    long = messages.messages.count_tokens(
        model="smollm2", messages=[{"role": "user", "content": ASKED * 20}]
    )

    assert 0 < short.input_tokens < long.input_tokens


def test_anthropics_client_raises_its_own_errors_with_the_request_id(messages, demo):
    with pytest.raises(anthropic.NotFoundError) as unknown:
        messages.messages.create(model="smollm", max_tokens=5, messages=QUESTION)
    with pytest.raises(anthropic.BadRequestError) as refused:
        messages.messages.create(
            model="smollm2", max_tokens=5, messages=QUESTION, extra_body={"container": "c"}
        )
    with (
        anthropic.Anthropic(base_url=demo.address, api_key="wrong", max_retries=0) as stranger,
        pytest.raises(anthropic.AuthenticationError),
    ):
        stranger.messages.create(model="smollm2", max_tokens=5, messages=QUESTION)

    assert unknown.value.request_id.startswith("req_")
    assert "smollm2" in unknown.value.message
    assert unknown.value.body["error"]["code"] == "model_not_found"
    assert refused.value.body["error"]["param"] == "container"


def test_the_real_model_goes_on_with_a_stream_that_another_server_cut(demo, upstream):
    upstream.script("cut", text="The capital of France is the city of", fault={"cut": {"after": 5}})
    cut = {"url": upstream.base_url, "dialect": "openai", "model": "cut"}
    with demo.api() as api:
        made = api.post(
            "/endpoints",
            json={
                "name": "recovered",
                "environment": "sandbox",
                "project": "demo/quickstart",
                "targets": [{"static": cut}],
                "fallback": [{"deployment": "smollm2"}],
                "stream_recovery": "continue",
            },
        )
        assert made.status_code == 201, made.text
        try:
            with openai.OpenAI(
                base_url=f"{demo.address}/v1", api_key=demo.demo_key, max_retries=0, timeout=120
            ) as client:
                answer = client.chat.completions.with_raw_response.create(
                    model="recovered",
                    messages=QUESTION,
                    max_tokens=12,
                    temperature=0,
                    stream=True,
                    stream_options={"include_usage": True},
                )
                chunks = list(answer.parse())
            record = recorded(demo, answer.headers["x-request-id"])
        finally:
            api.delete(f"/endpoints/{made.json()['id']}")

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    reasons = [
        c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason
    ]
    usage = chunks[-1].usage
    # One sentence of two authors: the second begins where the first was cut, not anew.
    assert text.startswith("The capital of France is ")
    assert text.count("The capital") == 1
    assert len(text) > len("The capital of France is ")
    assert "  " not in text
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert len(reasons) == 1
    assert (record["target"], record["attempts"], record["ended"]) == ("smollm2", 2, "complete")
    assert (record["input_tokens"], record["output_tokens"]) == (
        usage.prompt_tokens,
        usage.completion_tokens,
    )
    assert 5 < usage.completion_tokens <= 12


def test_openais_client_gets_a_response_that_is_recorded(responses, demo):
    answer = responses.responses.create(
        model="smollm2", input=ASKED, instructions="Answer briefly.", max_output_tokens=12
    )

    record = recorded(demo, answer._request_id)

    assert answer.output_text
    assert answer.status in {"completed", "incomplete"}
    assert (record["input_tokens"], record["output_tokens"]) == (
        answer.usage.input_tokens,
        answer.usage.output_tokens,
    )
    assert record["dialect"] == "responses"


def test_openais_client_streams_the_same_response(responses):
    with responses.responses.stream(model="smollm2", input=ASKED, max_output_tokens=12) as stream:
        events = list(stream)

    # The last event has it, also where the model was cut short by the bound on its answer.
    final = events[-1].response
    said = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert said
    assert said == final.output_text
    assert events[0].type == "response.created"
    assert events[-1].type in {"response.completed", "response.incomplete"}
    assert [e.sequence_number for e in events] == sorted({e.sequence_number for e in events})


def test_openais_client_is_told_that_nothing_is_kept(responses):
    with pytest.raises(openai.BadRequestError) as refused:
        responses.responses.create(model="smollm2", input=ASKED, previous_response_id="resp_1")

    assert (refused.value.code, refused.value.param) == (
        "unsupported_field",
        "previous_response_id",
    )
    assert refused.value.request_id.startswith("req_")


def test_the_clients_for_javascript_work_unchanged(demo):
    if not (NODE / "node_modules" / "@anthropic-ai").is_dir():
        subprocess.run(
            [_program("npm"), "ci", "--no-audit", "--no-fund", "--silent"], cwd=NODE, check=True
        )
    done = subprocess.run(
        [_program("node"), "dialects-client.mjs"],
        cwd=NODE,
        env={
            "ANTHROPIC_BASE_URL": demo.address,
            "ANTHROPIC_API_KEY": demo.demo_key,
            "OPENAI_BASE_URL": f"{demo.address}/v1",
            "OPENAI_API_KEY": demo.demo_key,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout)
    assert got["message"]
    assert got["streamed"]
    assert set(got["told"]) <= {"text", "tool_use"}
    assert got["told"]
    assert got["counted"] > 0
    assert got["response"]
    assert got["responseTold"] in {"completed", "incomplete"}
    assert got["responseStreamed"]
    assert got["refused"] == {"status": 404, "name": "NotFoundError", "hasId": True}


def _program(name: str) -> str:
    found = shutil.which(name)
    assert found, f"`{name}` is not installed: `make test` installs it"
    return found
