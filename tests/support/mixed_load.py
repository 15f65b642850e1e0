"""
Callers of every kind at once: whole answers and streams, callers that leave or ask the same again,
upstreams that break.

Each call is a trace of its own, so that what the upstream produced for it can be found in the
upstream's own log, however often and wherever the gateway sent it.
"""

import itertools
import json
import random
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import load
from fake_upstream import FakeUpstream
from load import Call

# Below what the upstream remembers, so that nothing is forgotten before it was read.
HARVEST_EVERY = 4_000
_STREAM_SHARE = 0.6
_LEAVES_AFTER = 2
# So many calls after each other have one prompt in common, where they are of a scene that keeps answers.
_SAME_PROMPT = 200
# Of every target, in nano-units a token.
INPUT_NANO, OUTPUT_NANO = 20, 80
_PRICE = {"input_per_million": "0.02", "output_per_million": "0.08"}


@dataclass(frozen=True)
class Scene:
    """An endpoint, what its upstreams do, and how its callers behave."""

    endpoint: str
    models: tuple[str, ...]
    """Of the first target, then of those that are there for it."""
    scripts: tuple[dict[str, Any], ...]
    leaves: bool = False
    """The caller goes away after the first tokens of a stream."""
    beside: bool = False
    """The other targets share the traffic, instead of being fallbacks."""
    keeps: bool = False
    """The endpoint keeps its answers, and callers ask the same again."""


SCENES = (
    Scene("whole", ("whole",), ({"tokens": 6},)),
    Scene("uncounted", ("uncounted",), ({"tokens": 5, "usage": "missing"},)),
    Scene("cut", ("cut",), ({"tokens": 6, "fault": {"cut": {"after": 3}}},)),
    Scene("torn", ("torn",), ({"tokens": 6, "fault": {"cut_in_chunk": {"after": 2}}},)),
    Scene("left", ("left",), ({"tokens": 40, "delays_ms": {"token:4": 200}},), leaves=True),
    Scene(
        "refused",
        ("sick", "well"),
        ({"fault": {"status": {"code": 503}}}, {"tokens": 4}),
    ),
    Scene(
        "rescued",
        ("lying", "honest"),
        ({"fault": "error_event"}, {"tokens": 7}),
    ),
    Scene(
        "retried",
        ("shaky", "steady"),
        ({"fault": {"status": {"code": 500}}}, {"tokens": 5}),
        beside=True,
    ),
    Scene("kept", ("kept",), ({"tokens": 6},), keeps=True),
)
KEPT_TOKENS = 6


@dataclass
class Sent(Call):
    """One call, and how many tokens its caller was given."""

    scene: str = ""
    trace: str = field(default_factory=lambda: uuid.uuid4().hex)
    relayed: int = 0
    cache: str = "none"
    """What the answer's headers said of the cache."""


@dataclass
class MixedLoad:
    """Sends calls of all scenes and remembers them."""

    address: str
    key: str
    upstream: FakeUpstream
    suffix: str
    """Makes the upstream's models this test's own."""
    calls: list[Sent] = field(default_factory=list)
    produced: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def script(self) -> None:
        """Tell the upstream its parts."""
        for scene in SCENES:
            for model, script in zip(scene.models, scene.scripts, strict=True):
                self.upstream.script(model + self.suffix, **script)

    def endpoints(self) -> Iterator[dict[str, Any]]:
        """What to create for the scenes."""
        for scene in SCENES:
            first, *others = (
                {
                    "static": {
                        "url": self.upstream.base_url,
                        "dialect": "openai",
                        "model": model + self.suffix,
                        "prices": [_PRICE],
                    }
                }
                for model in scene.models
            )
            yield {
                "name": scene.endpoint,
                "environment": "sandbox",
                "project": "care/chat",
                "targets": [
                    {**target, "weight": 1} for target in (first, *(others if scene.beside else ()))
                ],
                "fallback": [] if scene.beside else others,
                "access": {"visibility": "project"},
                **({"cache": {"ttl": "1h"}} if scene.keeps else {}),
            }

    @contextmanager
    def running(self, *, callers: int = 4) -> Iterator[None]:
        """Keep calling for the length of a block."""
        stop = threading.Event()

        def keep_calling(seed: int) -> None:
            chance = random.Random(seed)
            with load.client() as http:
                while not stop.is_set():
                    call = self.send(http, chance)
                    if call.error:
                        stop.wait(0.02)  # as a client's own retry would; the door may be closed

        threads = [
            threading.Thread(target=keep_calling, args=(seed,), name=f"mixed-{seed}")
            for seed in range(callers)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)

    def send(self, http: httpx2.Client, chance: random.Random) -> Sent:
        """Send one call of some scene and follow it as far as its caller stays."""
        scene = chance.choice(SCENES)
        stream = scene.leaves or chance.random() < _STREAM_SHARE
        with self._lock:
            number = next(self._numbers)
            call = Sent(f"ledger-{number}{self.suffix}", stream, scene=scene.endpoint)
            self.calls.append(call)
        asked = f"group {number // _SAME_PROMPT}" if scene.keeps else call.id
        try:
            self._follow(http, scene, call, asked)
        except httpx2.HTTPError as error:
            call.error = repr(error)
        return call

    def _follow(self, http: httpx2.Client, scene: Scene, call: Sent, asked: str) -> None:
        body = {
            "model": scene.endpoint,
            "messages": [{"role": "user", "content": f"{asked} says hello"}],
            "stream": call.stream,
        }
        headers = {
            "authorization": f"Bearer {self.key}",
            "x-request-id": call.id,
            "traceparent": f"00-{call.trace}-{call.trace[:16]}-01",
        }
        url = f"{self.address}/v1/chat/completions"
        with http.stream("POST", url, json=body, headers=headers) as answer:
            call.status = answer.status_code
            call.request_id = answer.headers.get("x-request-id")
            call.cache = answer.headers.get("x-towpath-cache", "none")
            if not call.stream or call.status != 200:
                text = answer.read()
                call.whole = call.status == 200
                if call.whole:
                    call.relayed = len(json.loads(text)["choices"][0]["message"]["content"].split())
                return
            for line in answer.iter_lines():
                call.relayed += _has_content(line)
                call.whole = call.whole or line == "data: [DONE]"
                if scene.leaves and call.relayed >= _LEAVES_AFTER:
                    return

    def harvest(self) -> None:
        """Take what the upstream remembers of calls that are over, so that it may forget them."""
        for seen in self.upstream.forget_ended():
            if seen["model"] and seen["model"].endswith(self.suffix):
                _, trace, *_ = dict(seen["headers"])["traceparent"].split("-")
                self.produced[trace].append(seen)


def _has_content(line: str) -> bool:
    if not line.startswith("data: {"):
        return False
    choices = json.loads(line.removeprefix("data: ")).get("choices") or [{}]
    return bool(choices[0].get("delta", {}).get("content"))
