"""Programs that speak KServe V2 work unchanged against the real models, over REST and over gRPC."""

import numpy as np
import pytest
from towpath_up import Up
from tritonclient import grpc, http
from tritonclient.utils import InferenceServerException

MODEL = "sentiment-classifier"
TEXTS = ["I love this", "what a terrible day"]


@pytest.fixture(params=["http", "grpc"])
def client(request, demo: Up):
    """A client of either form, and the headers that carry the key."""
    module = {"http": http, "grpc": grpc}[request.param]
    headers = {"authorization": f"Bearer {demo.demo_key}"}
    address = demo.address.removeprefix("http://")
    with module.InferenceServerClient(address) as found:
        yield module, found, headers


def described(client) -> dict:
    """The model's metadata as a dictionary, whichever form brought them."""
    module, found, headers = client
    options = {"as_json": True} if module is grpc else {}
    return found.get_model_metadata(MODEL, headers=headers, **options)


def texts(client, values: list[str]):
    module, _, _ = client
    spec = described(client)["inputs"][0]
    shape = [len(values)] + [1] * (len(spec["shape"]) - 1)
    tensor = module.InferInput(spec["name"], shape, spec["datatype"])
    tensor.set_data_from_numpy(np.array(values, dtype=object).reshape(shape))
    return tensor


def test_a_server_and_its_models_are_ready(client):
    _, found, headers = client

    assert found.is_server_live()
    assert found.is_server_ready()
    assert found.is_model_ready(MODEL, headers=headers)
    assert described(client)["name"] == MODEL
    assert described(client)["inputs"][0]["datatype"] == "BYTES"


def test_an_inference_answers_in_tensors(client):
    _, found, headers = client

    answer = found.infer(MODEL, [texts(client, TEXTS)], headers=headers, request_id="mine")

    names = [output["name"] for output in described(client)["outputs"]]
    assert all(len(answer.as_numpy(name)) == len(TEXTS) for name in names)
    assert any(answer.as_numpy(name).dtype == np.float32 for name in names)


def test_both_forms_give_the_same_numbers(demo: Up):
    found = {}
    for module in (http, grpc):
        headers = {"authorization": f"Bearer {demo.demo_key}"}
        with module.InferenceServerClient(demo.address.removeprefix("http://")) as one:
            client = (module, one, headers)
            answer = one.infer(MODEL, [texts(client, TEXTS)], headers=headers)
            names = [output["name"] for output in described(client)["outputs"]]
            found[module] = [answer.as_numpy(name).tolist() for name in names]

    assert found[http] == found[grpc]


def test_what_is_wrong_is_said_with_our_code(client):
    module, found, headers = client
    wrong = module.InferInput("nothing", [1], "FP32")
    wrong.set_data_from_numpy(np.zeros(1, dtype=np.float32))

    with pytest.raises(InferenceServerException, match="`nothing` is not an input of the model"):
        found.infer(MODEL, [wrong], headers=headers)
    with pytest.raises(InferenceServerException, match="There is no model `nowhere`"):
        found.infer("nowhere", [texts(client, TEXTS)], headers=headers)
    with pytest.raises(InferenceServerException, match="no API key"):
        found.infer(MODEL, [texts(client, TEXTS)])
