"""Programs that speak OpenAI work unchanged against the real models, and every call is in the log."""

import json
import shutil
import subprocess
from pathlib import Path

import openai
import pytest
from towpath_up import Up, eventually

NODE = Path(__file__).parents[1] / "node"
QUESTION = [{"role": "user", "content": "Name the capital of France."}]


@pytest.fixture(scope="module")
def client(demo: Up):
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


def test_models_are_listed(client):
    assert {model.id for model in client.models.list()} == {
        "smollm2",
        "minilm",
        "sentiment-classifier",
    }


def test_a_chat_answers_and_is_recorded_with_tokens_team_and_cost(client, demo):
    raw = client.chat.completions.with_raw_response.create(
        model="smollm2", messages=QUESTION, max_tokens=12, temperature=0
    )
    answer = raw.parse()

    record = recorded(demo, raw.headers["x-request-id"])

    assert "Paris" in answer.choices[0].message.content
    assert (record["input_tokens"], record["output_tokens"]) == (
        answer.usage.prompt_tokens,
        answer.usage.completion_tokens,
    )
    assert record["counted_by"] == "upstream"
    assert (record["team_name"], record["project_name"]) == ("demo", "demo/quickstart")
    assert (record["application_name"], record["environment"]) == ("first-steps", "sandbox")
    assert (record["model"], record["model_version"], record["ended"]) == ("smollm2", 1, "complete")
    assert record["model_digest"] == raw.headers["x-towpath-model-digest"]
    # 0.02 and 0.08 per million tokens, in nano-units: 20 and 80 a token
    assert record["cost_nano"] == (
        20 * answer.usage.prompt_tokens + 80 * answer.usage.completion_tokens
    )
    assert record["currency"] == "EUR"


def test_a_stream_says_the_same_as_a_plain_answer(client, demo):
    plain = client.chat.completions.create(
        model="smollm2", messages=QUESTION, max_tokens=8, temperature=0
    )
    with client.chat.completions.with_streaming_response.create(
        model="smollm2", messages=QUESTION, max_tokens=8, temperature=0, stream=True
    ) as raw:
        request_id = raw.headers["x-request-id"]
        chunks = list(raw.parse())

    record = recorded(demo, request_id)

    said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert said == plain.choices[0].message.content
    assert all(chunk.usage is None for chunk in chunks)
    assert (record["stream"], record["output_tokens"]) == (True, plain.usage.completion_tokens)
    assert record["first_byte_ms"] <= record["latency_ms"]


def test_a_stream_reports_usage_to_whom_asks(client):
    stream = client.chat.completions.create(
        model="smollm2",
        messages=QUESTION,
        max_tokens=4,
        stream=True,
        stream_options={"include_usage": True},
    )

    last = list(stream)[-1]

    assert last.choices == []
    assert last.usage.completion_tokens == 4


def test_a_caller_that_goes_away_is_recorded_as_gone(client, demo):
    with client.chat.completions.with_streaming_response.create(
        model="smollm2", messages=QUESTION, max_tokens=500, temperature=1, stream=True
    ) as raw:
        request_id = raw.headers["x-request-id"]
        next(iter(raw.parse()))

    record = recorded(demo, request_id)

    assert record["ended"] == "client_gone"
    assert record["output_tokens"] < 500


def test_embeddings_have_the_models_dimensions_whatever_the_encoding(client, demo):
    """The client asks for base64 by itself; floats must be the same numbers."""
    base64 = client.embeddings.create(model="minilm", input=["a cat", "a dog", "a tax return"])
    floats = client.embeddings.create(model="minilm", input="a cat", encoding_format="float")

    vectors = [one.embedding for one in base64.data]
    closeness = [sum(a * b for a, b in zip(vectors[0], v, strict=True)) for v in vectors]
    assert [len(vector) for vector in vectors] == [384] * 3
    assert floats.data[0].embedding == pytest.approx(vectors[0], abs=1e-4)
    assert closeness[0] > closeness[1] > closeness[2]
    assert base64.usage.prompt_tokens > 0


def test_an_unknown_model_gets_the_nearest_name(client):
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="smollm", messages=QUESTION)

    assert refused.value.code == "model_not_found"
    assert "smollm2" in refused.value.message


def test_a_wrong_key_is_an_authentication_error(demo):
    with (
        openai.OpenAI(base_url=f"{demo.address}/v1", api_key="wrong", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError) as refused,
    ):
        stranger.models.list()

    assert refused.value.code == "invalid_api_key"


def test_the_classifier_predicts_and_names_what_answered(demo):
    with demo.api(demo.demo_key) as api:
        answer = api.post(
            f"{demo.address}/v1/models/sentiment-classifier/predict",
            json={"inputs": ["what a lovely day", "this is terrible"]},
        )

    body = answer.json()
    assert answer.status_code == 200, answer.text
    assert [output["label"] for output in body["outputs"]] == ["positive", "negative"]
    assert (body["model"]["name"], body["model"]["version"]) == ("sentiment-classifier", 1)
    assert recorded(demo, body["request_id"])["operation"] == "predict"


def test_the_openai_client_for_javascript_works_unchanged(demo):
    if not (NODE / "node_modules").is_dir():
        subprocess.run(
            [_program("npm"), "ci", "--no-audit", "--no-fund", "--silent"], cwd=NODE, check=True
        )
    done = subprocess.run(
        [_program("node"), "openai-client.mjs"],
        cwd=NODE,
        env={"OPENAI_BASE_URL": f"{demo.address}/v1", "OPENAI_API_KEY": demo.demo_key},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout)
    assert sorted(got["models"]) == ["minilm", "sentiment-classifier", "smollm2"]
    assert "Paris" in got["content"]
    assert got["streamed"] == got["content"]
    assert got["usage"]["total_tokens"] == got["tokens"]
    assert got["dimensions"] == [384, 384]
    assert got["refused"]["status"] == 404
    assert got["refused"]["code"] == "model_not_found"
    assert recorded(demo, got["request_id"])["input_tokens"] > 0


def test_usage_adds_up_what_the_log_lists(demo, client):
    """One source of money: the report and the log never differ."""
    raw = client.chat.completions.with_raw_response.create(
        model="smollm2", messages=QUESTION, max_tokens=2
    )
    recorded(demo, raw.headers["x-request-id"])
    with demo.api(demo.demo_key) as api:
        log = api.get("/requests?endpoint=smollm2&limit=1000").json()["items"]
        report = api.get("/usage?group_by=endpoint").json()["items"]

    line = next(line for line in report if line["endpoint"] == "smollm2")
    assert line["cost_nano"] == sum(record["cost_nano"] or 0 for record in log)
    assert line["output_tokens"] == sum(record["output_tokens"] or 0 for record in log)
    assert line["requests"] == sum(record["count"] for record in log)


def _program(name: str) -> str:
    found = shutil.which(name)
    assert found, f"`{name}` is not installed: `make test` installs it"
    return found
