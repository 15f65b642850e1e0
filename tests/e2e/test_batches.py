"""OpenAI's client runs batches against the real model, through the death of the control plane."""

import io
import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import openai
import pytest
import towpath_up
from towpath_up import Up, eventually

NODE = Path(__file__).parents[1] / "node"
LINES = 20


@pytest.fixture
def client(demo: Up):
    with openai.OpenAI(
        base_url=f"{demo.address}/v1", api_key=demo.demo_key, max_retries=5, timeout=120
    ) as found:
        yield found


def requests(count: int, *, tokens: int) -> bytes:
    """Write the input of a batch."""
    lines = [
        {
            "custom_id": f"line-{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {
                "model": "smollm2",
                "messages": [{"role": "user", "content": f"Count from {number}."}],
                "max_tokens": tokens,
                "temperature": 0,
            },
        }
        for number in range(count)
    ]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def test_a_batch_outlives_the_control_plane_with_every_result_once(tmp_path: Path) -> None:
    """The control plane is killed in the middle: stored lines are kept, and none is missing or double."""
    with (
        towpath_up.running(tmp_path, demo=True) as up,
        openai.OpenAI(
            base_url=f"{up.address}/v1", api_key=up.demo_key, max_retries=5, timeout=120
        ) as client,
    ):
        file = client.files.create(
            file=("requests.jsonl", requests(LINES, tokens=24)), purpose="batch"
        )
        batch = client.batches.create(
            input_file_id=file.id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
            metadata={"job": "nightly"},
        )
        eventually(
            lambda: client.batches.retrieve(batch.id).request_counts.completed >= 3,
            "three results",
            within_s=120,
        )
        before = client.batches.retrieve(batch.id)

        former = up.kill("control")
        up.replaced("control", former)
        eventually(
            lambda: client.batches.retrieve(batch.id).status == "completed",
            "completion",
            within_s=180,
        )

        done = client.batches.retrieve(batch.id)
        output = client.files.content(done.output_file_id).text.splitlines()
        with up.api() as api:
            eventually(lambda: records_of(api, batch.id) >= LINES, "a record of every line")
            made = records_of(api, batch.id)
            [record, *_] = api.get("/requests?limit=1").json()["items"]
    assert before.status == "in_progress"
    assert (done.request_counts.total, done.request_counts.completed) == (LINES, LINES)
    assert done.metadata == {"job": "nightly"}
    ids = Counter(json.loads(line)["custom_id"] for line in output)
    assert ids == Counter({f"line-{number}": 1 for number in range(LINES)})
    assert all(json.loads(line)["response"]["body"]["usage"]["total_tokens"] for line in output)
    # Each line is a record of its own; what was in flight at the kill may have a second one.
    assert LINES <= made <= LINES + 8
    assert (record["project_name"], record["labels"]) == ("demo/quickstart", {"batch": batch.id})


def records_of(api, batch: str) -> int:
    """Count the records that carry a batch's label."""
    items = api.get("/requests?limit=1000").json()["items"]
    return sum((item["labels"] or {}).get("batch") == batch for item in items)


def test_files_are_made_listed_read_and_deleted(client: openai.OpenAI) -> None:
    content = requests(2, tokens=1)
    file = client.files.create(file=io.BytesIO(content), purpose="batch")

    listed = [one.id for one in client.files.list(purpose="batch", limit=1)]
    read = client.files.content(file.id).read()
    deleted = client.files.delete(file.id)

    assert (file.object, file.status, file.bytes) == ("file", "processed", len(content))
    assert file.id in listed
    assert read == content
    assert (deleted.id, deleted.deleted) == (file.id, True)
    with pytest.raises(openai.NotFoundError) as refused:
        client.files.retrieve(file.id)
    assert refused.value.code == "not_found"


def test_lines_may_speak_responses_and_messages(client: openai.OpenAI) -> None:
    """Each is answered in its own dialect, and what it used is reported."""
    asked = [{"role": "user", "content": "Count from 1."}]
    bodies = {
        "/v1/responses": {"model": "smollm2", "input": asked, "max_output_tokens": 16},
        "/v1/messages": {"model": "smollm2", "messages": asked, "max_tokens": 16},
    }
    made = {}
    for url, body in bodies.items():
        line = json.dumps({"custom_id": "a", "method": "POST", "url": url, "body": body})
        file = client.files.create(file=("in.jsonl", line.encode()), purpose="batch")
        made[url] = client.batches.create(
            input_file_id=file.id, endpoint=url, completion_window="24h"
        ).id
    answers = {}
    for url, batch in made.items():
        eventually(
            lambda batch=batch: client.batches.retrieve(batch).status == "completed",
            "the end",
            within_s=60,
        )
        output = client.batches.retrieve(batch).output_file_id
        answers[url] = json.loads(client.files.content(output).text)["response"]["body"]

    assert answers["/v1/responses"]["object"] == "response"
    assert answers["/v1/responses"]["usage"]["output_tokens"] >= 1
    assert answers["/v1/messages"]["type"] == "message"
    assert answers["/v1/messages"]["usage"]["output_tokens"] >= 1


def test_a_batch_is_cancelled_and_listed(client: openai.OpenAI) -> None:
    file = client.files.create(file=("in.jsonl", requests(500, tokens=32)), purpose="batch")
    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )

    asked = client.batches.cancel(batch.id)
    eventually(
        lambda: client.batches.retrieve(batch.id).status == "cancelled", "the end", within_s=60
    )

    assert asked.status == "cancelling"
    assert batch.id in [one.id for one in client.batches.list(limit=1)]


def test_a_wrong_line_fails_the_batch_and_is_named(client: openai.OpenAI) -> None:
    file = client.files.create(
        file=("in.jsonl", requests(1, tokens=1) + b"{nonsense\n"), purpose="batch"
    )
    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    eventually(lambda: client.batches.retrieve(batch.id).status == "failed", "the failure")

    [error] = client.batches.retrieve(batch.id).errors.data

    assert (error.code, error.line) == ("invalid_json_line", 2)


def test_the_openai_client_for_javascript_runs_a_batch(demo: Up) -> None:
    node = shutil.which("node")
    assert node, "`node` is not installed: `make test` installs it"
    done = subprocess.run(
        [node, "batches-client.mjs"],
        cwd=NODE,
        env={"OPENAI_BASE_URL": f"{demo.address}/v1", "OPENAI_API_KEY": demo.demo_key},
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "status": "completed",
        "counts": {"total": 2, "completed": 2, "failed": 0},
        "ids": ["line-1", "line-2"],
        "listed": True,
        "deleted": True,
        "refused": {"status": 404, "name": "NotFoundError"},
    }
