"""Rankings and transcripts: in the client, blocking and asyncio, and on the command line."""

from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

import towpath
from towpath import AsyncTowpath, Towpath
from towpath.cli.deployments import advice
from towpath.testing import Answer, FakeTowpath
from towpath.types import Deployment

RANKED = {
    "model": "reranker",
    "results": [{"index": 1, "relevance_score": 0.75}, {"index": 0, "relevance_score": 0.25}],
    "usage": {"prompt_tokens": 9, "total_tokens": 9},
}
USED = {"type": "tokens", "input_tokens": 14, "output_tokens": 3, "total_tokens": 17}
PATH = "/v1/audio/transcriptions"
EVENTS = [
    'data: {"type": "transcript.text.delta", "delta": "I "}',
    'data: {"type": "transcript.text.delta", "delta": "see"}',
    'data: {"type": "transcript.text.done", "text": "I see", "usage": {"output_tokens": 2}}',
]


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    file = tmp_path / "call.wav"
    file.write_bytes(b"RIFF\r\n\xff")
    return file


def test_rerank_orders_documents(fake: FakeTowpath) -> None:
    fake.answer("POST", "/v1/rerank", Answer(body=RANKED))
    with Towpath(address=fake.address, api_key="k") as client:
        made = client.rerank("reranker", "red fox", ["a", "b"], top_n=2, return_documents=False)

    assert [(one.index, one.relevance_score) for one in made.results] == [(1, 0.75), (0, 0.25)]
    assert made.usage
    assert made.usage.prompt_tokens == 9
    assert fake.calls[0].body == {
        "model": "reranker",
        "query": "red fox",
        "documents": ["a", "b"],
        "top_n": 2,
        "return_documents": False,
    }


def test_a_file_of_sound_is_sent_as_a_form(fake: FakeTowpath, sound: Path) -> None:
    fake.answer("POST", PATH, Answer(body={"text": "I see", "usage": USED}))
    with Towpath(address=fake.address, api_key="k") as client:
        made = client.audio.transcriptions.create(
            model="whisper",
            file=sound,
            temperature=0,
            response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
        )

    assert made.text == "I see"
    assert made.usage
    assert (made.usage.input_tokens, made.usage.output_tokens) == (14, 3)
    sent = fake.calls[0]
    boundary = sent.headers["content-type"].removeprefix("multipart/form-data; boundary=")
    parts = sent.content.split(f"--{boundary}".encode())
    assert parts[0] == b""
    assert parts[-1] == b"--\r\n"
    assert [part.split(b"\r\n\r\n", 1) for part in parts[1:-1]] == [
        [b'\r\ncontent-disposition: form-data; name="model"', b"whisper\r\n"],
        [b'\r\ncontent-disposition: form-data; name="temperature"', b"0\r\n"],
        [b'\r\ncontent-disposition: form-data; name="response_format"', b"verbose_json\r\n"],
        [b'\r\ncontent-disposition: form-data; name="timestamp_granularities[]"', b"word\r\n"],
        [b'\r\ncontent-disposition: form-data; name="timestamp_granularities[]"', b"segment\r\n"],
        [
            b'\r\ncontent-disposition: form-data; name="file"; filename="call.wav"',
            b"RIFF\r\n\xff\r\n",
        ],
    ]


def test_subtitles_are_a_text(fake: FakeTowpath) -> None:
    srt = "1\n00:00:00,000 --> 00:00:01,000\nI see\n"
    kind = {"content-type": "text/plain; charset=utf-8"}
    fake.answer("POST", PATH, Answer(body=srt, headers=kind))
    with Towpath(address=fake.address, api_key="k") as client:
        made = client.audio.transcriptions.create(model="m", file=b"x", response_format="srt")

    assert (made.text, made.usage) == (srt, None)


async def test_asyncio_follows_a_transcript_to_its_last_event(fake: FakeTowpath) -> None:
    fake.answer("POST", PATH, Answer(events=EVENTS))
    fake.answer("POST", "/v1/rerank", Answer(body=RANKED))
    async with AsyncTowpath(address=fake.address, api_key="k") as client:
        ranked = await client.rerank("reranker", "q", ["a", {"text": "b"}])
        async with await client.audio.transcriptions.create(
            model="m", file=b"x", stream=True
        ) as stream:
            events = [event async for event in stream]

    assert ranked.results[0].index == 1
    assert [event.delta for event in events] == ["I ", "see", None]
    assert events[-1].text == "I see"
    assert b'name="stream"\r\n\r\ntrue\r\n' in fake.calls[-1].content


def test_a_transcript_without_its_last_event_is_cut(fake: FakeTowpath) -> None:
    fake.answer("POST", PATH, Answer(events=EVENTS[:2]))
    with Towpath(address=fake.address, api_key="k") as client:
        stream = client.audio.transcriptions.create(model="m", file=b"x", stream=True)
        with stream, pytest.raises(towpath.APIStreamError) as cut:
            list(stream)

    assert cut.value.code == "stream_cut"


def test_the_command_rerank_prints_scores_and_texts(cli: Any) -> None:
    headers = {"x-request-id": "req_01jf"}
    cli.fake.answer("POST", "/v1/rerank", Answer(body=RANKED, headers=headers))

    done = cli("rerank", "reranker", "red fox", "a house", "the fox", "--top", "2")

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            "0.7500\tthe fox\n0.2500\ta house\n",
            "                                              reranker · 0.0 s · 9 in · req_01jf\n",
        )
    )
    assert cli.fake.calls[0].body["top_n"] == 2


def test_the_command_transcribe_prints_the_text(cli: Any, sound: Path) -> None:
    headers = {"x-request-id": "req_01jf"}
    answer = Answer(body={"text": "I see", "usage": USED}, headers=headers)
    cli.fake.answer("POST", PATH, answer)

    done = cli("transcribe", "whisper", str(sound), "--language", "en")
    as_json = cli("transcribe", "whisper", str(sound), "--json")

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            "I see\n",
            "                                       whisper · 0.0 s · 14 in, 3 out · req_01jf\n",
        )
    )
    assert b'name="language"\r\n\r\nen\r\n' in cli.fake.calls[0].content
    assert '"text": "I see"' in as_json.out


@pytest.mark.parametrize(
    ("operations", "command"),
    [(["rerank"], "rerank"), (["transcriptions"], "transcribe"), (["chat", "rerank"], "chat")],
)
def test_a_deployment_says_which_command_calls_it(operations: list[str], command: str) -> None:
    deployment = {
        "name": "m",
        "phase": "Ready",
        "operations": operations,
        "environment": "sandbox",
        "conditions": [],
        "replicas": 1,
    }

    assert advice(Deployment(deployment)) == f'Call it: `towpath {command} m "…"`'
