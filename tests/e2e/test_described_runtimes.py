"""
Runtimes that are descriptions alone, with written exchanges in place of a program that cannot be had.

What is real: the command line that is rendered, the start in a network of its own, the gateway.
"""

import json
import struct
from pathlib import Path

import httpx2
import pytest
import towpath_up
import yaml
from command_line import towpath
from towpath_up import ROOT, Up

RECORDED = ROOT / "tests" / "recorded"
REPLAY = ROOT / "tests" / "support" / "replayed_server.py"
DESCRIPTIONS = ROOT / "runtimes" / "src" / "towpath_runtimes" / "descriptions"
NAMES = ("sglang", "tei", "vllm")
MANIFEST = """
apiVersion: towpath.dev/v1alpha1
kind: ModelDeployment
metadata: {name: NAME-recorded, project: care/recorded}
spec:
  model: {uri: "file:./model", format: safetensors}
  runtime: {name: NAME}
  access: {visibility: organization}
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    """A platform that knows the runtimes, with a deployment on each."""
    folder = tmp_path_factory.mktemp("described")
    runtimes = folder / "runtimes"
    runtimes.mkdir()
    for name in NAMES:
        (runtimes / f"{name}.yaml").write_text(replayed(name), encoding="utf-8")
    with towpath_up.running(folder, environment={"TOWPATH_RUNTIMES_DIR": str(runtimes)}) as found:
        with found.api() as api:
            assert api.post("/teams", json={"name": "care"}).status_code == 201
            project = {"team": "care", "name": "recorded"}
            assert api.post("/projects", json=project).status_code == 201
        for name in NAMES:
            deploy(found, folder, name)
        yield found


@pytest.fixture(scope="module")
def caller(up: Up):
    with up.api() as api:
        asked = {"project": "care/recorded", "environment": "sandbox", "name": "caller"}
        key = api.post("/keys", json=asked).json()["key"]
    with up.api(key) as found:
        yield found


def replayed(name: str) -> str:
    """Put the recording in place of the program, and leave its arguments as they are."""
    document = yaml.safe_load((DESCRIPTIONS / f"{name}.yaml").read_text(encoding="utf-8"))
    spec = document["spec"]
    recording = str(RECORDED / f"{name}.json")
    spec["command"] = ["{python}", str(REPLAY), recording, *spec["command"][1:]]
    spec["files"], spec["programs"] = [recording], []
    return yaml.safe_dump(document)


def deploy(up: Up, folder: Path, runtime: str) -> None:
    model = folder / runtime / "model"
    model.mkdir(parents=True)
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    weights = struct.pack("<Q", len(header)) + header + struct.pack("<f", 1.0)
    (model / "model.safetensors").write_bytes(weights)
    (model / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    text = MANIFEST.replace("NAME", runtime)
    (folder / runtime / "towpath.yaml").write_text(text, encoding="utf-8")
    done = towpath(up, folder / runtime, "deploy")
    assert done.returncode == 0, done.stdout + done.stderr


def ask(up: Up, caller: httpx2.Client, name: str, number: int) -> tuple[dict, httpx2.Response]:
    """Send what was recorded to the endpoint; return the exchange, and what came."""
    recording = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    exchange = recording["exchanges"][number]
    body = {**exchange["request"], "model": f"{name}-recorded"}
    return exchange, caller.post(f"{up.address}{recording['path']}", json=body)


def test_embeddings_of_tei_come_as_they_were_recorded(up: Up, caller: httpx2.Client) -> None:
    exchange, answer = ask(up, caller, "tei", 0)

    recorded = json.loads(exchange["answer"])
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"] == recorded["data"]
    assert answer.json()["usage"] == recorded["usage"]


def test_a_text_that_is_too_long_for_tei_is_the_callers_to_shorten(
    up: Up, caller: httpx2.Client
) -> None:
    _, answer = ask(up, caller, "tei", 1)

    assert 400 <= answer.status_code < 500, answer.text
    assert "512 tokens" in answer.text


def test_a_chat_of_sglang_comes_as_it_was_recorded(up: Up, caller: httpx2.Client) -> None:
    exchange, answer = ask(up, caller, "sglang", 0)

    recorded = json.loads(exchange["answer"])
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "France, Japan, Peru."
    told = answer.json()["usage"]
    assert (told["prompt_tokens"], told["completion_tokens"]) == (37, 8)
    assert recorded["choices"][0]["finish_reason"] == answer.json()["choices"][0]["finish_reason"]


def test_a_stream_of_sglang_comes_as_it_was_recorded(up: Up, caller: httpx2.Client) -> None:
    _, answer = ask(up, caller, "sglang", 1)

    events = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    chunks = [json.loads(event) for event in events[:-1]]
    texts = [one["choices"][0]["delta"]["content"] or "" for one in chunks if one["choices"]]
    assert "".join(texts) == "Hello!"
    assert chunks[-1]["usage"]["completion_tokens"] == 3
    assert events[-1] == "[DONE]"


def test_a_chat_of_vllm_comes_over_its_socket_as_it_was_recorded(
    up: Up, caller: httpx2.Client
) -> None:
    _, answer = ask(up, caller, "vllm", 0)

    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "Paris."
    assert answer.json()["usage"]["total_tokens"] == 34


def test_what_vllm_refuses_is_the_callers_to_mend(up: Up, caller: httpx2.Client) -> None:
    _, answer = ask(up, caller, "vllm", 1)

    assert 400 <= answer.status_code < 500, answer.text
    assert "maximum context length is 512 tokens" in answer.text
