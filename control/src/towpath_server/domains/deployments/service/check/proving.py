"""Can what is asked before traffic be asked at all: smoke tests, and the card's example."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from towpath_server.domains.deployments.models.proving import SmokeTest
from towpath_server.domains.deployments.service.check.inquiry import Inquiry
from towpath_server.domains.runtimes.models import Runtime

MAX_TESTS = 20  # each is asked of each new replica
CARD_TEST = "the card's example"
_BY_FIELD = {
    "inputs": "predict",
    "messages": "chat",
    "prompt": "completions",
    "input": "embeddings",
}
_STREAMS = ("chat", "completions")


def tests(inquiry: Inquiry) -> tuple[SmokeTest, ...]:
    """Return what new replicas are to be asked, each with its operation."""
    given, runtime = inquiry.draft.smoke_tests, inquiry.runtime
    if len(given) > MAX_TESTS:
        detail = f"There are {len(given)} smoke tests, and at most {MAX_TESTS} are asked."
        fix = "Keep those that tell a broken model; a suite and a gate do the rest."
        inquiry.add("#/spec/smokeTests", "TooMany", detail, fix)
    _check_names(inquiry, given)
    broken = any(one.path.startswith("#/spec/smokeTests") for one in inquiry.findings)
    if runtime is None or broken:
        return ()
    if not given and "smokeTests" not in inquiry.draft.document["spec"]:
        return _of_card(inquiry, runtime)
    return tuple(_placed(inquiry, index, test, runtime) for index, test in enumerate(given))


def _check_names(inquiry: Inquiry, given: Sequence[SmokeTest]) -> None:
    seen: set[str] = set()
    for index, test in enumerate(given):
        if test.name in seen:
            at = f"#/spec/smokeTests/{index}/name"
            inquiry.add(at, "Duplicate", f"`{test.name}` stands twice.", "Name them apart.")
        seen.add(test.name)


def _placed(inquiry: Inquiry, index: int, test: SmokeTest, runtime: Runtime) -> SmokeTest:
    at = f"#/spec/smokeTests/{index}"
    operation = test.operation or _operation(test.request, runtime)
    served = ", ".join(f"`{one}`" for one in runtime.operations if one in _BY_FIELD.values())
    if operation not in runtime.operations:
        detail = f"`{runtime.name}` does not answer `{operation}`; it answers {served or 'none'}."
        fix = "Write the request as that operation takes it, or name another `operation`."
        inquiry.add(f"{at}/operation", "OperationNotServed", detail, fix)
    if test.stream and operation not in _STREAMS:
        detail = f"`{operation}` has no streams."
        inquiry.add(f"{at}/stream", "NoStream", detail, "Leave `stream` out.")
    if test.expect.first_chunk_ms is not None and not test.stream:
        detail = "`firstChunkWithin` is for streams, and this test asks for none."
        fix = "Write `stream: true` beside `request`, or use `maxLatency`."
        inquiry.add(f"{at}/expect/firstChunkWithin", "NoStream", detail, fix)
    return replace(test, operation=operation)


def _operation(request: Mapping[str, Any], runtime: Runtime) -> str:
    """Tell what a request asks for: by its fields, else what the runtime does first."""
    return next(
        (operation for field, operation in _BY_FIELD.items() if field in request),
        runtime.operations[0],
    )


def _of_card(inquiry: Inquiry, runtime: Runtime) -> tuple[SmokeTest, ...]:
    """Make a test of the JSON below "Example" in the model's card, where the runtime takes it."""
    request = inquiry.version.example if inquiry.version else None
    if request is None:
        return ()
    stream = request.get("stream") is True
    request = {name: value for name, value in request.items() if name not in {"model", "stream"}}
    operation = _operation(request, runtime)
    if operation not in runtime.operations or (stream and operation not in _STREAMS):
        return ()
    return (SmokeTest(CARD_TEST, request, operation, stream),)
