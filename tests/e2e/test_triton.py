"""A real Triton behind the platform, called by Triton's own clients over TLS, in both forms."""

import queue
from typing import Any

import numpy as np
import pytest
import triton
from towpath_up import Up, eventually
from tritonclient import grpc, http
from tritonclient.utils import InferenceServerException

pytestmark = pytest.mark.skipif(not triton.AVAILABLE, reason="no Triton for this machine")

TENSORS = {
    "text": np.array(["one", "zwei", "trois ×"], dtype=object),
    "real": np.array([[0.5, -1.25], [3.0, 1e30]], dtype=np.float32),
    "half": np.array([0.5, 65504.0], dtype=np.float16),
    "whole": np.array([-(2**63), 2**63 - 1], dtype=np.int64),
    "byte": np.array([0, 255], dtype=np.uint8),
    "truth": np.array([True, False, True]),
}
TYPES = {
    "text": "BYTES",
    "real": "FP32",
    "half": "FP16",
    "whole": "INT64",
    "byte": "UINT8",
    "truth": "BOOL",
}


def spec(name: str, datatype: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape}


ECHO = {
    side: [
        spec(name + ending, datatype, [-1, 2] if name == "real" else [-1])
        for name, datatype in TYPES.items()
    ]
    for side, ending in (("inputs", ""), ("outputs", "_out"))
}
COUNT = {"inputs": [spec("upto", "INT32", [1])], "outputs": [spec("number", "INT32", [1])]}


@pytest.fixture(scope="module")
def key(secure: Up, tmp_path_factory):
    """A key for endpoints on both forms of a real Triton."""
    folder = tmp_path_factory.mktemp("triton")
    with triton.running(folder) as server, secure.api() as api:

        def create(path: str, **body: Any) -> dict[str, Any]:
            answer = api.post(path, json=body)
            assert answer.status_code == 201, answer.text
            return answer.json()

        create("/teams", name="vision")
        create("/projects", team="vision", name="triton")
        for form, url in (("rest", server.rest), ("grpc", server.grpc)):
            for model, signature in (("echo", ECHO), ("count", COUNT)):
                dialect = {"rest": "kserve_v2", "grpc": "kserve_grpc"}[form]
                target = {"url": url, "dialect": dialect, "model": model, "signature": signature}
                create(
                    "/endpoints",
                    name=f"{model}-{form}",
                    environment="sandbox",
                    project="vision/triton",
                    targets=[{"static": target, "weight": 1}],
                )
        made = create("/keys", project="vision/triton", environment="sandbox", name="caller")
        yield made["key"]


@pytest.fixture
def headers(key: str):
    """The headers that carry the key; Triton's client adds to what it is given."""
    return {"authorization": f"Bearer {key}"}


@pytest.fixture(params=["http", "grpc"])
def client(request, secure: Up):
    """Triton's own client of either form, with the authority of the front door's certificate."""
    host = secure.address.removeprefix("https://")
    authority = str(secure.authority)
    if request.param == "grpc":
        with grpc.InferenceServerClient(host, ssl=True, root_certificates=authority) as found:
            yield grpc, found
    else:
        with http.InferenceServerClient(host, ssl=True, ssl_context_factory=secure.trust) as found:
            yield http, found


@pytest.fixture
def stream(secure: Up, headers):
    """An open stream of `ModelStreamInfer`, and what comes of it."""
    host = secure.address.removeprefix("https://")
    came: queue.Queue[Any] = queue.Queue()
    with grpc.InferenceServerClient(
        host, ssl=True, root_certificates=str(secure.authority)
    ) as found:
        found.start_stream(lambda result, error: came.put(error or result), headers=headers)
        yield found, lambda: came.get(timeout=60)
        found.stop_stream()


def inputs(module, tensors: dict[str, np.ndarray]) -> list[Any]:
    made = []
    for name, values in tensors.items():
        datatype = TYPES.get(name, "INT32")
        tensor = module.InferInput(name, list(values.shape), datatype)
        tensor.set_data_from_numpy(values)
        made.append(tensor)
    return made


def upto(number: int) -> list[Any]:
    return inputs(grpc, {"upto": np.array([number], dtype=np.int32)})


@pytest.mark.parametrize("form", ["rest", "grpc"])
def test_tensors_of_every_kind_come_back_as_they_went(client, headers, form):
    module, found = client

    answer = found.infer(f"echo-{form}", inputs(module, TENSORS), headers=headers)

    for name, sent in TENSORS.items():
        came = answer.as_numpy(f"{name}_out")
        if name == "text":
            came = np.array([text.decode() for text in came], dtype=object)
        assert came.dtype == sent.dtype, name
        assert came.tolist() == sent.tolist(), name


def test_a_stream_has_as_many_answers_as_the_model_gives(stream):
    """The model is decoupled: three answers, none, one; what is asked in order is answered in order."""
    found, next_one = stream
    for number in (3, 0, 1):
        found.async_stream_infer("count-grpc", upto(number), request_id=f"upto-{number}")
    came = [next_one() for _ in range(4)]

    told = [(one.get_response().id, one.as_numpy("number").tolist()) for one in came]
    assert told == [("upto-3", [0]), ("upto-3", [1]), ("upto-3", [2]), ("upto-1", [0])]


def test_a_message_that_is_refused_leaves_the_stream_as_it_was(stream):
    """An error of the model's own is no matter here: this Triton falls when a decoupled model has one."""
    found, next_one = stream
    found.async_stream_infer("nowhere", upto(1))
    unknown = next_one()
    found.async_stream_infer("count-grpc", upto(1))
    after = next_one()

    assert isinstance(unknown, InferenceServerException)
    assert "There is no model `nowhere`" in unknown.message()
    assert after.as_numpy("number").tolist() == [0]


def test_a_stream_reaches_a_rest_target_with_one_answer_a_message(stream):
    """Triton itself refuses a decoupled model over REST."""
    found, next_one = stream
    found.async_stream_infer("echo-rest", inputs(grpc, TENSORS))
    answer = next_one()
    found.async_stream_infer("count-rest", upto(2))
    refused = next_one()

    assert answer.as_numpy("whole_out").tolist() == TENSORS["whole"].tolist()
    assert answer.get_response().parameters["triton_final_response"].bool_param
    assert isinstance(refused, InferenceServerException)
    assert "odel's server failed" in refused.message()


def test_each_message_of_a_stream_is_a_record(stream, secure):
    found, next_one = stream
    for number in (1, 2):
        found.async_stream_infer("count-grpc", upto(number), request_id=f"record-{number}")
    for _ in range(3):
        next_one()

    def records() -> list[Any]:
        with secure.api() as api:
            items = api.get("/requests", params={"limit": 100}).json()["items"]
        return [item for item in items if (item["client_request_id"] or "").startswith("record-")]

    eventually(lambda: len(records()) == 2, "two records")
    assert {item["ended"] for item in records()} == {"complete"}
    assert all(item["stream"] for item in records())
