"""The llama.cpp server, as the gateway meets it: a real model on a Unix socket."""

import json
import stat
import threading
from pathlib import Path

import pytest
from replicas import ARTIFACTS, prepared, refused, replica

from towpath_runtimes import llama_cpp
from towpath_runtimes.listening import Address

QUESTION = [{"role": "user", "content": "Name the capital of France."}]
CHAT = "/v1/chat/completions"
ENDLESS = {"prompt": "Once", "max_tokens": 400, "ignore_eos": True}


def events(response):
    for line in response.iter_lines():
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line.removeprefix("data: "))


def test_it_answers_with_its_name_and_the_tokens_it_used(llm):
    body = {"model": "ignored", "messages": QUESTION, "max_tokens": 12, "temperature": 0}

    answer = llm.post(CHAT, json=body).json()

    assert answer["model"] == "subject"
    assert "Paris" in answer["choices"][0]["message"]["content"]
    usage = answer["usage"]
    assert usage["prompt_tokens"] == 36
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


@pytest.mark.parametrize("path", ["/v1/models", "/props", "/slots", "/metrics", "/lora-adapters"])
def test_every_path_but_health_asks_for_the_secret(smollm2, path):
    with smollm2.client(secret=None) as stranger, smollm2.client(secret="wrong" * 8) as guesser:
        found = [client.get(path).status_code for client in (stranger, guesser)]
        healthy = stranger.get("/health").json()

    assert found == [401, 401]
    assert healthy == {"status": "ok"}


@pytest.mark.parametrize(
    "path", [CHAT, "/v1/completions", "/completion", "/tokenize", "/slots/0?action=save"]
)
def test_nothing_can_be_asked_without_the_secret(smollm2, path):
    with smollm2.client(secret=None) as stranger:
        status = stranger.post(path, json={"messages": QUESTION, "prompt": "a"}).status_code

    assert status == 401


def test_what_others_ask_stays_hidden_from_those_with_the_secret_too(llm):
    found = [llm.get("/slots").status_code, llm.post("/props", json={"x": 1}).status_code]

    assert found == [501, 501]


def test_its_socket_is_for_its_owner_alone(smollm2):
    mode = Path(smollm2.address.removeprefix("unix:")).stat().st_mode

    assert stat.S_IMODE(mode) == 0o600


def test_a_stream_ends_with_its_usage_and_done(llm):
    body = {"messages": QUESTION, "max_tokens": 6, "stream": True}
    with llm.stream(
        "POST", CHAT, json={**body, "stream_options": {"include_usage": True}}
    ) as response:
        lines = [line for line in response.iter_lines() if line]

    last = json.loads(lines[-2].removeprefix("data: "))
    assert lines[-1] == "data: [DONE]"
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 6


def test_four_streams_run_side_by_side_and_each_gets_its_own_answer(smollm2):
    met = threading.Barrier(4)
    found = {}

    def ask(number):
        body = {"prompt": f"{number} {number} {number}", "max_tokens": 40, "stream": True}
        with (
            smollm2.client() as client,
            client.stream("POST", "/v1/completions", json={**body, "seed": number}) as answer,
        ):
            stream = events(answer)
            first = next(stream)
            met.wait(20)  # all four are streaming: none waits for another's end
            found[number] = first["choices"][0]["text"] + "".join(
                event["choices"][0]["text"] for event in stream if event["choices"]
            )

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(25)

    assert sorted(found) == [0, 1, 2, 3]
    assert all(found.values())


def test_a_client_that_goes_away_frees_its_slot(smollm2):
    """All slots are taken by streams that are dropped; the next request need not wait for their end."""
    clients = [smollm2.client() for _ in range(4)]
    for client in clients:
        with client.stream("POST", "/v1/completions", json={**ENDLESS, "stream": True}) as answer:
            next(events(answer))
        client.close()

    with smollm2.client() as client:
        body = {"prompt": "Hello", "max_tokens": 1}
        status = client.post("/v1/completions", json=body).status_code
        busy = client.get("/metrics").text

    assert status == 200
    assert "llamacpp:requests_deferred 0" in busy


def test_a_schema_is_enforced(llm):
    schema = {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    body = {"messages": QUESTION, "max_tokens": 40, "response_format": wanted, "temperature": 0}

    content = llm.post(CHAT, json=body).json()["choices"][0]["message"]["content"]

    assert json.loads(content)["city"] in {"Paris", "Rome"}


def test_text_beyond_ascii_goes_in_and_comes_out_whole(llm):
    text = "Wiederhole: Grüße 你好 😀"
    body = {"messages": [{"role": "user", "content": text}], "max_tokens": 24, "stream": True}
    with llm.stream("POST", CHAT, json=body) as response:
        parts = [e["choices"][0]["delta"].get("content") or "" for e in events(response)]

    assert "�" not in "".join(parts)


def test_the_same_seed_gives_the_same_answer(llm):
    body = {"messages": QUESTION, "max_tokens": 16, "temperature": 1, "seed": 11}

    answers = {
        llm.post(CHAT, json=body).json()["choices"][0]["message"]["content"] for _ in range(2)
    }

    assert len(answers) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"messages": "text"}',
        b'{"messages": [1, 2]}',
        b'{"messages": [{"role": "user", "content": {"a": 1}}]}',
        b'{"messages": [{"role": "user", "content": "a"}], "stop": [1]}',
        json.dumps({"messages": [{"role": "user", "content": "word " * 2_000}]}).encode(),
        b"[" * 100_000,
    ],
    ids=["broken", "no list", "numbers", "object", "stop", "too long", "nested"],
)
def test_what_it_cannot_read_is_the_callers_error_and_hurts_nobody(llm, body):
    status = llm.post(CHAT, content=body).status_code

    assert status == 400
    assert llm.get("/health").status_code == 200


def test_it_listens_on_a_loopback_port_too_and_finishes_what_is_open_when_it_stops(tmp_path):
    model = prepared(ARTIFACTS / "smollm2") / "model"
    with replica("llama_cpp", model, "127.0.0.1:0", "--context-length=512") as running:
        with (
            running.client() as client,
            client.stream(
                "POST", "/v1/completions", json={**ENDLESS, "max_tokens": 60, "stream": True}
            ) as answer,
        ):
            stream = events(answer)
            next(stream)
            running.process.terminate()
            last = list(stream)[-1]
        code = running.process.wait(20)

    assert last["choices"][0]["finish_reason"] == "length"
    assert code == 0


def test_a_socket_that_a_dead_server_left_is_taken_over(tmp_path):
    model = prepared(ARTIFACTS / "smollm2") / "model"
    listen = f"unix:{tmp_path}/r.sock"
    with replica("llama_cpp", model, listen, "--context-length=512") as killed:
        killed.process.kill()
        killed.process.wait(20)

    with replica("llama_cpp", model, listen, "--context-length=512") as running:
        with running.client() as client:
            status = client.get("/health").status_code
        code = running.stop()

    assert (status, code) == (200, 0)
    assert not (tmp_path / "r.sock").exists()


def test_how_a_model_lies_on_gpus_reaches_the_engine(tmp_path):
    model = tmp_path / "model.gguf"
    model.write_bytes(b"GGUF")
    start = [f"--model={model}", "--name=n", "--listen=unix:/s.sock"]
    address = Address.parse("unix:/s.sock")

    given = llama_cpp.configure(
        llama_cpp.parse([*start, "--gpu-layers=7", "--tensor-split=3,1"]), address, "secret"
    )
    silent = llama_cpp.configure(llama_cpp.parse(start), address, "secret")

    assert (given.n_gpu_layers, given.tensor_split[:3]) == (7, [3.0, 1.0, 0.0])
    assert (silent.n_gpu_layers, silent.tensor_split[0]) == (-1, 0.0)


@pytest.mark.parametrize("parts", ["3,x", "1,-1", "0,0", "inf,1"])
def test_parts_that_make_no_sense_end_the_start(parts, capsys):
    start = ["--model=/m", "--name=n", "--listen=unix:/s.sock", f"--tensor-split={parts}"]

    with pytest.raises(SystemExit):
        llama_cpp.parse(start)

    assert "argument --tensor-split: invalid" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"not a model", "is not a GGUF file"),
        (b"GGUF" + b"\0" * 64, "llama.cpp did not start"),
    ],
    ids=["missing", "other", "damaged"],
)
def test_a_model_that_cannot_be_loaded_is_refused_with_a_fix(tmp_path, content, said):
    model = tmp_path / "model.gguf"
    if content is not None:
        model.write_bytes(content)

    written = refused("llama_cpp", model, f"unix:{tmp_path}/r.sock")

    assert said in written
    assert "\nfix: " in written


def test_a_folder_of_several_models_is_refused(tmp_path):
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")

    written = refused("llama_cpp", tmp_path, f"unix:{tmp_path}/r.sock")

    assert "holds 2 GGUF models, not one" in written
