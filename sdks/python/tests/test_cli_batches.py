"""What `towpath batches` prints, to the letter."""

import json
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from towpath.testing import Answer

BATCH = {
    "id": "batch_01jd0000000000000000000000",
    "object": "batch",
    "endpoint": "/v1/chat/completions",
    "errors": None,
    "input_file_id": "file_01jd0000000000000000000000",
    "completion_window": "24h",
    "status": "in_progress",
    "output_file_id": None,
    "error_file_id": None,
    "created_at": 1_763_834_651,
    "expires_at": 1_763_921_051,
    "request_counts": {"total": 20, "completed": 7, "failed": 1},
    "metadata": {"job": "nightly"},
}
DONE = {
    **BATCH,
    "status": "completed",
    "output_file_id": "file_01jd0000000000000000000001",
    "request_counts": {"total": 20, "completed": 20, "failed": 0},
}
FAILED = {
    **BATCH,
    "status": "failed",
    "errors": {
        "object": "list",
        "data": [
            {
                "code": "invalid_json_line",
                "message": "This line is not valid JSON.",
                "param": None,
                "line": 2,
            }
        ],
    },
    "request_counts": {"total": 0, "completed": 0, "failed": 0},
}
LINE = '{"custom_id": "a", "method": "POST", "url": "/v1/embeddings", "body": {"model": "m"}}\n'


@pytest.fixture
def requests(home: Path) -> Path:
    file = home / "requests.jsonl"
    file.write_text(LINE)
    return file


def test_list(cli, fake):
    fake.answer("GET", "/v1/batches", Answer(body={"data": [BATCH, DONE], "has_more": False}))

    ran = cli("batches")

    assert ran.code == 0
    assert ran.out == snapshot("""\
id                           status       endpoint              done  failed  of
batch_01jd0000000000000000…  in_progress  /v1/chat/completions     7       1  20
batch_01jd0000000000000000…  completed    /v1/chat/completions    20       0  20
""")
    assert ran.err == snapshot("""\

One of them: `towpath batches show ID`; its answers: `towpath batches results ID`
""")
    assert fake.calls[0].query == {"limit": "100"}


def test_create_uploads_the_file_and_reads_the_endpoint_from_it(cli, fake, requests):
    fake.answer("POST", "/v1/files", Answer(body={"id": BATCH["input_file_id"], "object": "file"}))
    fake.answer("POST", "/v1/batches", Answer(body={**BATCH, "status": "validating"}))

    ran = cli("batches", "create", str(requests), "--metadata", "job=nightly")

    assert ran.code == 0
    assert ran.out == snapshot("""\
id             batch_01jd0000000000000000000000
status         validating
endpoint       /v1/chat/completions
input_file_id  file_01jd0000000000000000000000
""")
    assert ran.err == snapshot("""\

How far it is: `towpath batches show batch_01jd0000000000000000000000`
""")
    upload, made = fake.calls
    assert LINE.encode() in upload.content
    assert b'name="purpose"\r\n\r\nbatch\r\n' in upload.content
    assert made.body == {
        "input_file_id": BATCH["input_file_id"],
        "endpoint": "/v1/embeddings",
        "completion_window": "24h",
        "metadata": {"job": "nightly"},
    }
    assert made.headers["idempotency-key"]


def test_create_and_wait_follows_it_to_its_end(cli, fake, requests):
    fake.answer("POST", "/v1/files", Answer(body={"id": BATCH["input_file_id"], "object": "file"}))
    fake.answer("POST", "/v1/batches", Answer(body={**BATCH, "status": "validating"}))
    fake.answer("GET", f"/v1/batches/{BATCH['id']}", Answer(body=BATCH), Answer(body=DONE))

    ran = cli("batches", "create", str(requests), "--wait")

    assert (ran.code, cli.slept) == (0, [1.0, 1.0])
    assert ran.out == snapshot("""\
id              batch_01jd0000000000000000000000
status          completed
endpoint        /v1/chat/completions
request_counts  total: 20, completed: 20, failed: 0
input_file_id   file_01jd0000000000000000000000
output_file_id  file_01jd0000000000000000000001
metadata        job: nightly
""")
    assert ran.err == snapshot("""\
  ✓ completed     20 of 20 lines answered, 0 failed                    0.0 s

Its answers: `towpath batches results batch_01jd0000000000000000000000`
""")


def test_a_file_that_does_not_say_what_it_calls_is_a_misuse(cli, home):
    file = home / "empty.jsonl"
    file.write_text("\n{}\n")

    ran = cli("batches", "create", str(file))

    assert ran.code == 2
    assert ran.err == snapshot("""\
error: the first line of HOME/empty.jsonl does not say what it calls

fix: give each line a `url`, such as `/v1/chat/completions`, or pass `--endpoint`
""")


def test_show_names_the_lines_that_are_wrong(cli, fake):
    fake.answer("GET", f"/v1/batches/{BATCH['id']}", Answer(body=FAILED))

    ran = cli("batches", "show", BATCH["id"])

    assert ran.code == 1
    assert ran.out == snapshot("""\
id              batch_01jd0000000000000000000000
status          failed
endpoint        /v1/chat/completions
request_counts  total: 0, completed: 0, failed: 0
input_file_id   file_01jd0000000000000000000000
metadata        job: nightly
""")
    assert ran.err == snapshot("""\

line 2: This line is not valid JSON. (invalid_json_line)
""")


def test_show_as_json_is_the_apis_own_shape(cli, fake):
    fake.answer("GET", f"/v1/batches/{BATCH['id']}", Answer(body=BATCH))

    ran = cli("batches", "show", BATCH["id"], "--json")

    assert json.loads(ran.out) == BATCH


def test_cancel(cli, fake):
    path = f"/v1/batches/{BATCH['id']}/cancel"
    fake.answer("POST", path, Answer(body={**BATCH, "status": "cancelling"}))

    ran = cli("batches", "cancel", BATCH["id"])

    assert (ran.code, ran.out, ran.err) == snapshot(
        (
            0,
            """\
id      batch_01jd0000000000000000000000
status  cancelling
""",
            """\

What was answered: `towpath batches results batch_01jd0000000000000000000000`
""",
        )
    )


def test_results_are_the_bytes_of_the_file(cli, fake, home):
    fake.answer("GET", f"/v1/batches/{BATCH['id']}", Answer(body=DONE))
    path = f"/v1/files/{DONE['output_file_id']}/content"
    fake.answer("GET", path, Answer(body='{"custom_id": "a"}\n'))

    printed = cli("batches", "results", BATCH["id"])
    written = cli("batches", "results", BATCH["id"], "-o", str(home / "out.jsonl"))
    none = cli("batches", "results", BATCH["id"], "--errors")

    assert (printed.code, printed.out) == (0, '{"custom_id": "a"}\n')
    assert (home / "out.jsonl").read_text() == '{"custom_id": "a"}\n'
    assert (written.err, none.code, none.err) == snapshot(
        ("Written to HOME/out.jsonl\n", 0, "Nothing failed\n")
    )


def test_results_of_a_batch_that_runs_say_to_wait(cli, fake):
    fake.answer("GET", f"/v1/batches/{BATCH['id']}", Answer(body=BATCH))

    ran = cli("batches", "results", BATCH["id"])

    assert ran.code == 1
    assert ran.err == snapshot("""\
error: the batch `batch_01jd0000000000000000000000` is `in_progress` and has no results yet

fix: wait for it: `towpath batches show batch_01jd0000000000000000000000 --wait`
""")
