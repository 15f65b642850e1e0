"""The ONNX server over HTTP: real models, one conversation each way of the KServe protocol."""

import json
import socket
import stat
import struct
import threading
from pathlib import Path

import artifacts
import httpx2
import numpy as np
import pytest
from replicas import ARTIFACTS, SECRET, TEST_ARTIFACTS, prepared, refused, replica

MODEL = "/v2/models/subject"
INFER = f"{MODEL}/infer"


def text(*values, name="text"):
    return {"name": name, "shape": [len(values)], "datatype": "BYTES", "data": list(values)}


def customers(ages, balances, plans):
    return [
        {"name": "age", "shape": [len(ages)], "datatype": "INT64", "data": ages},
        {"name": "balance", "shape": [len(balances)], "datatype": "FP32", "data": balances},
        text(*plans, name="plan"),
    ]


def outputs(response):
    assert response.status_code == 200, response.text
    return {output["name"]: output for output in response.json()["outputs"]}


def vectors(response):
    output = outputs(response)["embedding"]
    return np.array(output["data"], dtype=np.float32).reshape(output["shape"])


@pytest.mark.parametrize(("name", "folder"), [("minilm", ARTIFACTS), ("churn", TEST_ARTIFACTS)])
def test_it_describes_the_model_as_the_prepared_signature_does(request, name, folder):
    signature = json.loads((prepared(folder / name) / "signature.json").read_text())
    with request.getfixturevalue(name).client() as client:
        told = client.get(MODEL).json()

    assert told == {
        "name": "subject",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        **signature,
    }


def test_health_is_for_everyone_and_everything_else_asks_for_the_secret(minilm):
    paths = ["/v2", MODEL, f"{MODEL}/ready", "/v2/healthy", "/nothing"]
    with minilm.client(secret=None) as stranger:
        health = [stranger.get(f"/v2/health/{word}").json() for word in ("live", "ready")]
        refusals = [stranger.get(path) for path in paths] + [stranger.post(INFER, json={})]

    assert health == [{"live": True}, {"ready": True}]
    assert {response.status_code for response in refusals} == {401}
    assert refusals[0].json() == {"error": "the secret of this replica is missing or wrong"}


def test_its_socket_is_for_its_owner_alone(minilm):
    mode = Path(minilm.address.removeprefix("unix:")).stat().st_mode

    assert stat.S_IMODE(mode) == 0o600


def test_server_and_model_say_what_and_how_they_are(minilm):
    with minilm.client() as client:
        server = client.get("/v2").json()
        ready = [client.get(f"{MODEL}{v}/ready").json() for v in ("", "/versions/1")]

    assert server["extensions"] == ["binary_tensor_data"]
    assert ready == [{"name": "subject", "ready": True}] * 2


def test_texts_become_unit_vectors_whose_nearness_is_their_likeness(minilm):
    texts = ["A horse pulls the boat.", "The barge is towed by a pony.", "Stocks fell sharply."]
    with minilm.client() as client:
        response = client.post(INFER, json={"inputs": [text(*texts)]})
    boat, barge, stocks = vectors(response)

    assert np.allclose(np.linalg.norm([boat, barge, stocks], axis=1), 1, atol=1e-5)
    assert boat @ barge > 0.5 > 0.2 > boat @ stocks
    assert response.json()["parameters"] == {"input_tokens": 24}


def test_a_texts_vector_does_not_depend_on_its_neighbours(minilm):
    texts = ["short", "a somewhat longer text about canals " * 4, "😀 Grüße", "", "mid length text"]
    with minilm.client() as client:
        together = vectors(client.post(INFER, json={"inputs": [text(*texts)]}))
        alone = [vectors(client.post(INFER, json={"inputs": [text(one)]}))[0] for one in texts]

    assert np.allclose(together, alone, atol=1e-3)


def test_a_text_that_is_too_long_is_refused_unless_it_may_be_cut(minilm):
    body = {"inputs": [text("short", "canal " * 600)]}
    with minilm.client() as client:
        refusal = client.post(INFER, json=body)
        cut = client.post(INFER, json={**body, "parameters": {"truncate": True}})

    assert refusal.status_code == 400
    assert "value 1 has 602 tokens, the model reads 512" in refusal.json()["error"]
    assert cut.json()["parameters"] == {"input_tokens": 3 + 512}


def test_the_classifier_tells_good_from_bad_with_its_probability(sentiment):
    with sentiment.client() as client:
        found = outputs(
            client.post(INFER, json={"inputs": [text("I love this.", "This is terrible!")]})
        )

    assert found["label"]["data"] == ["positive", "negative"]
    assert all(0.5 <= score <= 1 for score in found["score"]["data"])
    assert found["score"]["shape"] == [2]


def test_inputs_of_several_types_go_in_by_name(churn):
    inputs = customers([22, 70], [10.5, 20_000], ["basic", "pro"])
    with churn.client() as client:
        found = outputs(client.post(INFER, json={"inputs": inputs[::-1], "id": "mine"}))

    assert found["label"]["data"] == ["leaves", "stays"]
    assert found["label"]["datatype"] == "BYTES"


def test_an_input_with_a_default_may_be_set_and_left_out(tmp_path):
    """Rows that wait together are joined, and those with a default of their own are not."""
    product = artifacts.field(1, "x") + artifacts.field(1, "w") + artifacts.field(2, "y")
    model = artifacts.onnx(
        nodes=[product + artifacts.field(4, "MatMul")],
        inputs=[artifacts.onnx_value(n, shape=s) for n, s in (("x", ("n", 2)), ("w", (2, 2)))],
        outputs=[artifacts.onnx_value("y", shape=("n", 2))],
        tensors=[artifacts.onnx_tensor("w")],  # [[1, 2], [3, 4]]
    )
    (tmp_path / "model.onnx").write_bytes(model)
    rows = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 1]}
    twice = {"name": "w", "shape": [2, 2], "datatype": "FP32", "data": [2, 0, 0, 2]}

    arguments = ("--max-batch=1", "--batch-rows=8")
    with (
        replica("onnx", tmp_path, f"unix:{tmp_path}/d.sock", *arguments) as running,
        running.client() as client,
    ):
        left = client.post(INFER, json={"inputs": [rows]})
        put = client.post(INFER, json={"inputs": [rows, twice]})

    assert outputs(left)["y"]["data"] == [4, 6]
    assert outputs(put)["y"]["data"] == [2, 2]


def test_only_the_outputs_that_were_asked_for_come_back(churn):
    body = {
        "inputs": customers([22], [1], ["plus"]),
        "outputs": [{"name": "probability"}],
        "id": "q-7",
    }
    with churn.client() as client:
        answer = client.post(INFER, json=body).json()

    assert [output["name"] for output in answer["outputs"]] == ["probability"]
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("q-7", "subject", "1")


def test_tensors_go_in_and_out_as_bytes(churn):
    ages, balances = struct.pack("<2q", 22, 70), struct.pack("<2f", 10.5, 20_000)
    plans = b"".join(struct.pack("<I", len(p)) + p for p in (b"basic", b"pro"))
    declared = [
        {"name": name, "shape": [2], "datatype": kind, "parameters": {"binary_data_size": len(data)}}
        for name, kind, data in [
            ("age", "INT64", ages), ("balance", "FP32", balances), ("plan", "BYTES", plans),
        ]
    ]  # fmt: skip
    document = {"inputs": declared, "parameters": {"binary_data_output": True}}
    head = json.dumps(document).encode()
    with churn.client() as client:
        response = client.post(
            INFER,
            content=head + ages + balances + plans,
            headers={"inference-header-content-length": str(len(head))},
        )

    size = int(response.headers["inference-header-content-length"])
    answer, rest = json.loads(response.content[:size]), response.content[size:]
    label, probability = answer["outputs"]
    assert label["parameters"]["binary_data_size"] + 8 == len(rest)
    assert rest.startswith(b"\x06\0\0\0leaves\x05\0\0\0stays")
    assert all(0.5 <= value <= 1 for value in struct.unpack("<2f", rest[-8:]))
    assert probability["parameters"] == {"binary_data_size": 8}


AGE, BALANCE, PLAN = customers([22], [1.0], ["plus"])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "the body is not JSON: expecting property name"),
        (b"\xff\xfe", "the body is not UTF-8, at byte 0"),
        (b"[]", "the body must be an object, not an array"),
        (b'{"inputs": NaN}', "the body is not JSON: NaN is no number of it"),
        (b"[" * 100_000, "the body nests too deep"),
        (b'{"inputs": ' + b"9" * 5_000 + b"}", "the body is not JSON"),
        ({"inputs": []}, "`inputs` is empty"),
        ({"inputs": [AGE, BALANCE]}, "input `plan` is missing, the model takes `age`, `balance`"),
        ({"inputs": [AGE, BALANCE, PLAN, PLAN]}, "input `plan` is given twice"),
        ({"inputs": [AGE, BALANCE, PLAN, {**AGE, "name": "aeg"}]}, "the model has no input `aeg`"),
        (
            {"inputs": [{**AGE, "data": [True]}, BALANCE, PLAN]},
            "input `age`: value 0 is true or false, `INT64` takes an integer",
        ),
        (
            {"inputs": [{**AGE, "data": ["22"]}, BALANCE, PLAN]},
            "input `age`: value 0 is a string, `INT64` takes an integer",
        ),
        (
            {"inputs": [{**AGE, "data": [2**63]}, BALANCE, PLAN]},
            "input `age`: a value is out of range for `INT64`",
        ),
        (
            {"inputs": [AGE, {**BALANCE, "data": [1e39]}, PLAN]},
            "input `balance`: value 0 is out of range for `FP32`",
        ),
        (
            {"inputs": [AGE, BALANCE, {**PLAN, "data": [None]}]},
            "input `plan`: value 0 is null, `BYTES` takes a string",
        ),
        (
            {"inputs": [{**AGE, "datatype": "FP32"}, BALANCE, PLAN]},
            "input `age` is `FP32`, the model takes `INT64`",
        ),
        (
            {"inputs": [{**AGE, "shape": [1, 1]}, BALANCE, PLAN]},
            "input `age` has shape [1, 1], the model takes [-1]",
        ),
        (
            {"inputs": customers([1, 2], [1.0], ["plus"])},
            "the inputs differ in their number of rows: 1, 2",
        ),
        (
            {"inputs": customers([1] * 9, [1.0] * 9, ["plus"] * 9)},
            "input `age` has 9 rows, at most 8 are taken",
        ),
        (
            {"inputs": [AGE, BALANCE, PLAN], "outputs": [{"name": "score"}]},
            "`subject` has no output `score`, it has `label`, `probability`",
        ),
        (
            {"inputs": [AGE, BALANCE, PLAN], "parameters": {"truncate": True}},
            "the model takes no parameter `truncate`",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name_and_place(churn, body, said):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with churn.client() as client:
        response = client.post(INFER, content=content)
        well = client.get("/v2/health/ready").status_code

    assert said in response.json()["error"]
    assert response.status_code == 400
    assert well == 200


def test_a_value_that_the_model_cannot_take_is_an_error_with_its_words(churn):
    """An unknown plan passes every check of ours; the engine decides."""
    with churn.client() as client:
        response = client.post(INFER, json={"inputs": customers([22], [1.0], ["gold"])})

    assert response.status_code in {200, 500}
    assert response.status_code == 200 or "the model failed on these inputs" in response.text


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("GET", "/v2/models/other", 404, "there is no model `other` here"),
        ("GET", f"{MODEL}/versions/2", 404, "`subject` has no version `2` here, it has `1`"),
        ("GET", INFER, 405, "GET /v2/models/subject/infer: method not allowed"),
        ("GET", "/docs", 404, "GET /docs: not found"),
    ],
)
def test_unknown_paths_are_answered_in_the_protocols_shape(churn, method, path, status, said):
    with churn.client() as client:
        response = client.request(method, path)

    assert response.status_code == status
    assert said in response.json()["error"]


def test_a_body_that_is_too_large_is_refused_before_it_is_read_whole(churn):
    sent = 0

    def endless():
        nonlocal sent
        while sent < 256:
            sent += 1
            yield b" " * (1 << 20)

    with churn.client() as client:
        try:
            status = client.post(INFER, content=endless()).status_code
        except OSError:
            status = 413  # it closed while we still wrote, which is its right

    assert status == 413
    assert sent < 128


def test_many_callers_at_once_get_their_own_answers(churn):
    found = {}

    def ask(age):
        with churn.client() as client:
            inputs = customers([age], [float(age)], ["plus"])
            response = client.post(INFER, json={"inputs": inputs, "id": str(age)})
            found[age] = (response.status_code, response.json()["id"])

    threads = [threading.Thread(target=ask, args=(age,)) for age in range(20, 52)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert found == {age: (200, str(age)) for age in range(20, 52)}


class Holder:
    """A caller who is inside, because the server asked for its body, and who sends it when told."""

    def __init__(self, running):
        self._body = json.dumps({"inputs": customers([22], [1.0], ["plus"])}).encode()
        host, _, port = running.address.rpartition(":")
        unix = host == "unix"
        self._socket = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        self._socket.settimeout(20)
        self._socket.connect(port if unix else (host, int(port)))
        head = [
            f"POST {INFER} HTTP/1.1", "host: replica", f"authorization: Bearer {SECRET}",
            f"content-length: {len(self._body)}", "expect: 100-continue", "connection: close",
        ]  # fmt: skip
        self._socket.sendall("\r\n".join([*head, "", ""]).encode())
        assert self._socket.recv(100).startswith(b"HTTP/1.1 100")

    def finish(self):
        """Send the body and return the status."""
        self._socket.sendall(self._body)
        with self._socket, self._socket.makefile("rb") as answer:
            return int(answer.readline().split()[1])


def answers(running):
    with running.client() as late:
        try:
            return late.get("/v2/health/live").is_success
        except httpx2.TransportError:
            return False


def test_a_full_queue_is_told_at_once(tmp_path):
    """One request computes, one waits, the next is sent away: none waits without an end."""
    model = prepared(TEST_ARTIFACTS / "churn") / "model"
    with replica("onnx", model, f"unix:{tmp_path}/q.sock", "--max-waiting=1") as running:
        holders = [Holder(running), Holder(running)]
        with running.client() as client:
            full = client.post(INFER, json={})
        statuses = [holder.finish() for holder in holders]

    assert full.status_code == 503
    assert full.json() == {"error": "2 requests wait for this model already"}
    assert full.headers["retry-after"] == "1"
    assert statuses == [200, 200]


def test_it_listens_on_a_loopback_port_and_finishes_what_is_open_when_it_stops():
    model = prepared(TEST_ARTIFACTS / "churn") / "model"
    with replica("onnx", model, "127.0.0.1:0") as running:
        holder = Holder(running)
        running.process.terminate()
        while answers(running):
            pass
        status = holder.finish()
        code = running.process.wait(20)

    assert (status, code) == (200, 0)


@pytest.mark.parametrize(
    ("listen", "secret", "said"),
    [
        ("0.0.0.0:0", SECRET, "is not a loopback address"),
        ("localhost", SECRET, "is no address"),
        ("unix:relative.sock", SECRET, "is no socket path"),
        ("unix:/tmp/" + "x" * 120 + ".sock", SECRET, "the system allows 107"),
        ("127.0.0.1:0", None, "`TOWPATH_REPLICA_SECRET` is missing"),
        ("127.0.0.1:0", "short", "`TOWPATH_REPLICA_SECRET` is missing"),
    ],
)
def test_an_address_or_secret_that_is_not_safe_is_refused(listen, secret, said):
    model = prepared(TEST_ARTIFACTS / "churn") / "model"

    written = refused("onnx", model, listen, secret=secret)

    assert said in written
    assert "\nfix: " in written


def test_a_socket_in_use_is_not_taken_from_its_server(churn):
    model = prepared(TEST_ARTIFACTS / "churn") / "model"

    written = refused("onnx", model, churn.address)

    assert "another server already listens on" in written
    with churn.client() as client:
        assert client.get("/v2/health/live").status_code == 200


def test_a_model_of_token_inputs_without_its_tokenizer_says_what_is_missing(tmp_path):
    source = prepared(ARTIFACTS / "minilm") / "model" / "model.onnx"
    (tmp_path / "model.onnx").symlink_to(source)

    written = refused("onnx", tmp_path, f"unix:{tmp_path}/t.sock")

    assert "attention_mask, input_ids, token_type_ids, and there is no tokenizer" in written
    assert "fix: put the model's `tokenizer.json` into its folder" in written


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "holds 0 ONNX files"),
        ({"a.onnx": b"", "b.onnx": b""}, "holds 2 ONNX files"),
        ({"model.onnx": b"not a model"}, "cannot be loaded"),
    ],
    ids=["none", "two", "damaged"],
)
def test_a_folder_without_one_whole_model_is_refused(tmp_path, files, said):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)

    written = refused("onnx", tmp_path, f"unix:{tmp_path}/t.sock")

    assert said in written
