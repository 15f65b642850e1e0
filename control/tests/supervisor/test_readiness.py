"""Why the platform is not ready, in words for the person who waits."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from towpath_server.supervisor import readiness


def reason(code: str, message: str) -> dict[str, str]:
    return {"code": code, "message": message}


@pytest.fixture
def gateway():
    """Answer `/readyz` with what the test says."""
    said = {"status": 200, "body": b"{}"}

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(said["status"])
            self.end_headers()
            self.wfile.write(said["body"])

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield said, server.server_address
        server.shutdown()
        thread.join()


async def asked(gateway, status, reasons):
    said, address = gateway
    said["status"], said["body"] = status, json.dumps({"reasons": reasons}).encode()
    return await readiness.reasons(*address)


async def test_a_ready_platform_has_no_reasons(gateway):
    assert await asked(gateway, 200, []) == []


async def test_models_that_load_are_one_reason(gateway):
    assert await asked(
        gateway,
        503,
        [
            reason("model_loading", "The model of `one` is still loading."),
            reason("model_loading", "The model of `two` is still loading."),
            reason("journal_full", "The journal is full."),
        ],
    ) == ["The journal is full", "loading one, two"]


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"reasons": [1]}'])
async def test_an_answer_that_is_not_understood_is_still_not_ready(gateway, body):
    said, address = gateway
    said["status"], said["body"] = 503, body

    assert await readiness.reasons(*address) == ["the gateway is not ready"]


async def test_a_door_that_nobody_answers_gives_no_reasons(gateway):
    host, _ = gateway[1]

    assert await readiness.reasons(host, 1) is None
