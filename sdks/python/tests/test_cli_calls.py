"""What the commands that call models print, to the letter."""

import socket
from typing import Any

from inline_snapshot import snapshot

from towpath.testing import Answer

MODELS = {
    "object": "list",
    "data": [
        {
            "id": "smollm2",
            "object": "model",
            "created": 1,
            "owned_by": "demo/quickstart",
            "context_length": 4096,
            "modalities": ["text"],
            "price": {
                "currency": "EUR",
                "input_nano_per_million": 20_000_000,
                "output_nano_per_million": 80_000_000,
            },
        },
        {
            "id": "sentiment-classifier",
            "object": "model",
            "created": 1,
            "owned_by": "demo/quickstart",
        },
    ],
}
PROBLEM = {"content-type": "application/problem+json", "x-request-id": "req_404"}


def delta(text: str) -> str:
    return f'data: {{"id": "c", "choices": [{{"index": 0, "delta": {{"content": "{text}"}}}}]}}'


def chat_stream(cli: Any) -> None:
    cli.fake.answer(
        "POST",
        "/v1/chat/completions",
        Answer(
            headers={"x-request-id": "req_01jd"},
            events=[
                delta("The capital of France "),
                delta("is Paris."),
                'data: {"choices": [], "usage": {"prompt_tokens": 38, "completion_tokens": 8}}',
                "data: [DONE]",
            ],
        ),
    )
    cli.fake.answer("GET", "/v1/models/smollm2", Answer(body=MODELS["data"][0]))


def test_models_are_listed_with_their_price(cli: Any) -> None:
    cli.fake.answer("GET", "/v1/models", Answer(body=MODELS))

    done = cli("models")

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            """\
model                 kind  context      in     out  owner
sentiment-classifier  –           –       –       –  demo/quickstart
smollm2               text    4,096  0.02 €  0.08 €  demo/quickstart
""",
            """\

Next: `towpath chat smollm2 "…"`, or in a program: `towpath connect`; to deploy: `towpath models registered`
""",
        )
    )


def test_no_model_says_how_to_get_one(cli: Any) -> None:
    cli.fake.answer("GET", "/v1/models", Answer(body={"object": "list", "data": []}))

    done = cli("models")

    assert (done.code, done.out, done.err) == snapshot(
        (0, "", "Nothing yet that this key may call: `towpath deploy FILE`\n")
    )


def test_json_is_the_apis_own_shape(cli: Any) -> None:
    cli.fake.answer("GET", "/v1/models", Answer(body={"object": "list", "data": [], "new": 1}))

    done = cli("models", "--json")

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            """\
{
  "object": "list",
  "data": [],
  "new": 1
}
""",
            "",
        )
    )


def test_chat_streams_to_stdout_and_closes_with_a_line(cli: Any) -> None:
    chat_stream(cli)

    done = cli("chat", "smollm2", "Name the capital of France.")

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            "The capital of France is Paris.\n",
            "                         smollm2 · 0.0 s · 38 in, 8 out · 0.0000014 € · req_01jd\n",
        )
    )
    assert cli.fake.calls[0].body == snapshot(
        {
            "stream_options": {"include_usage": True},
            "model": "smollm2",
            "messages": [{"role": "user", "content": "Name the capital of France."}],
            "stream": True,
        }
    )


def test_chat_reads_its_prompt_from_stdin(cli: Any) -> None:
    chat_stream(cli)

    done = cli("chat", "smollm2", "--system", "Be short.", stdin="Name it.\n")

    assert done.code == 0
    assert cli.fake.calls[0].body["messages"] == snapshot(
        [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Name it."}]
    )


def test_chat_without_a_prompt_is_misuse(cli: Any) -> None:
    done = cli("chat", "smollm2")

    assert (done.code, done.out, done.err) == snapshot(
        (
            2,
            "",
            """\
error: there is no prompt

fix: `towpath chat smollm2 "…"`, or write it to stdin
""",
        )
    )


def test_chat_as_json_is_one_document(cli: Any) -> None:
    cli.fake.answer("POST", "/v1/chat/completions", Answer(body={"id": "c", "choices": []}))

    done = cli("chat", "smollm2", "Hi", "--json")

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            """\
{
  "id": "c",
  "choices": []
}
""",
            "",
        )
    )


def test_a_stream_that_breaks_off_fails(cli: Any) -> None:
    cli.fake.answer(
        "POST",
        "/v1/chat/completions",
        Answer(headers={"x-request-id": "req_01jd"}, events=[delta("The cap")], cut=True),
    )

    done = cli("chat", "smollm2", "Hi")

    assert (done.code, done.out, done.err) == snapshot(
        (
            1,
            "The cap\n",
            """\
error: the stream broke off; the 1 chunks that came are incomplete

fix: ask again; the log says why it ended: `towpath requests show req_01jd`
     req_01jd
""",
        )
    )


def test_a_model_that_wakes_says_so(cli: Any) -> None:
    cli.fake.answer(
        "POST",
        "/v1/chat/completions",
        Answer(events=[": waiting for smollm2, about 9 s", delta("Hi"), "data: [DONE]"]),
    )

    done = cli("chat", "smollm2", "Hi")

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            "Hi\n",
            """\
  waiting for smollm2, about 9 s
                                                                 smollm2 · 0.0 s
""",
        )
    )


def test_a_wrong_name_gets_the_nearest_right_one(cli: Any) -> None:
    cli.fake.answer("GET", "/v1/models", Answer(body=MODELS))
    error: dict[str, Any] = {
        "status": 404,
        "detail": "There is no endpoint `sentimant-classifier`.",
        "code": "model_not_found",
    }
    cli.fake.answer("POST", "/v1/models/sentimant-classifier/predict", Answer(404, error, PROBLEM))

    done = cli("predict", "sentimant-classifier", "lovely")

    assert (done.code, done.out, done.err) == snapshot(
        (
            1,
            "",
            """\
error: no endpoint called `sentimant-classifier` in sandbox that you may use

fix: did you mean `sentiment-classifier`?  list: `towpath models`
     req_404
""",
        )
    )


def prediction(cli: Any) -> None:
    cli.fake.answer(
        "POST",
        "/v1/models/sentiment-classifier/predict",
        Answer(
            body={
                "outputs": [
                    {"label": "positive", "score": 0.98123},
                    {"label": "negative", "score": 0.7},
                ],
                "model": {"name": "sentiment-classifier", "version": 1, "digest": "sha256:1"},
                "usage": {"input_tokens": 9},
                "request_id": "req_01je",
            }
        ),
    )


def test_predict_prints_a_row_per_input(cli: Any) -> None:
    prediction(cli)

    done = cli("predict", "sentiment-classifier", "what a lovely day", "it rains")

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            """\
input              label     score
what a lovely day  positive  0.9812
it rains           negative  0.7
""",
            "                                sentiment-classifier@1 · 0.0 s · 9 in · req_01je\n",
        )
    )


def test_predict_reads_lines_and_tells_json_from_text(cli: Any) -> None:
    prediction(cli)

    cli("predict", "sentiment-classifier", stdin='{"age": 3}\n7\nplain text\n')
    cli("predict", "sentiment-classifier", "--text", "7")

    assert [call.body for call in cli.fake.calls] == snapshot(
        [{"inputs": [{"age": 3}, 7, "plain text"]}, {"inputs": ["7"]}]
    )


def test_predict_parameters_must_be_an_object(cli: Any) -> None:
    done = cli("predict", "sentiment-classifier", "x", "--parameters", "[1]")

    assert (done.code, done.out, done.err) == snapshot(
        (
            2,
            "",
            """\
error: `--parameters` is not a JSON object

fix: write it like '{"top_k": 3}'
""",
        )
    )


def test_embed_prints_a_vector_per_text(cli: Any) -> None:
    cli.fake.answer(
        "POST",
        "/v1/embeddings",
        Answer(
            headers={"x-request-id": "req_01jf"},
            body={
                "object": "list",
                "model": "minilm",
                "data": [{"index": 0, "embedding": [0.5, -0.25]}],
                "usage": {"prompt_tokens": 4, "total_tokens": 4},
            },
        ),
    )

    done = cli("embed", "minilm", "a level path")

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            "[0.5, -0.25]\n",
            "                                                minilm · 0.0 s · 4 in · req_01jf\n",
        )
    )


def test_nothing_at_the_address_says_how_to_start_it(cli: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        done = cli("--address", address, "health")

    assert done.code == 1
    assert done.err.replace(address, "ADDRESS") == snapshot("""\
error: nothing answers at ADDRESS

fix: start it with `towpath up`, or correct the address with `towpath login`
""")


def test_a_refused_key_says_how_to_use_another(cli: Any) -> None:
    error = {"error": {"message": "This key is not known.", "code": "invalid_api_key"}}
    cli.fake.answer("GET", "/v1/models", Answer(401, error, {"x-request-id": "req_401"}))

    done = cli("models")

    assert (done.code, done.out, done.err) == snapshot(
        (
            1,
            "",
            """\
error: this key is not known

fix: use another key: `towpath login`, or TOWPATH_API_KEY
     req_401
""",
        )
    )
