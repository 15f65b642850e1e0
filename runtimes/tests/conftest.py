"""The model servers that the tests call, each started once."""

from collections.abc import Iterator

import httpx2
import pytest
from replicas import ARTIFACTS, TEST_ARTIFACTS, Replica, prepared, replica


@pytest.fixture(scope="session")
def sockets(tmp_path_factory):
    return tmp_path_factory.mktemp("s")


@pytest.fixture(scope="session")
def smollm2(sockets) -> Iterator[Replica]:
    model = prepared(ARTIFACTS / "smollm2") / "model"
    with replica("llama_cpp", model, f"unix:{sockets}/l.sock", "--context-length=512") as running:
        yield running


@pytest.fixture(scope="session")
def minilm(sockets) -> Iterator[Replica]:
    model = prepared(ARTIFACTS / "minilm") / "model"
    with replica("onnx", model, f"unix:{sockets}/m.sock") as running:
        yield running


@pytest.fixture(scope="session")
def sentiment(sockets) -> Iterator[Replica]:
    model = prepared(ARTIFACTS / "sentiment-classifier") / "model"
    with replica("onnx", model, f"unix:{sockets}/s.sock") as running:
        yield running


@pytest.fixture(scope="session")
def churn(sockets) -> Iterator[Replica]:
    model = prepared(TEST_ARTIFACTS / "churn") / "model"
    with replica(
        "onnx", model, f"unix:{sockets}/c.sock", "--max-batch=8", "--batch-rows=8"
    ) as running:
        yield running


@pytest.fixture
def llm(smollm2) -> Iterator[httpx2.Client]:
    with smollm2.client() as client:
        yield client
