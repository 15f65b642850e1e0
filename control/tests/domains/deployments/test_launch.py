"""What a runtime's description becomes: the command line of a replica."""

from pathlib import Path

from towpath_server.adapters.compute import Listen, ReplicaSpec
from towpath_server.core.secret import Secret
from towpath_server.domains.deployments.models import (
    ProbeDraft,
    Replica,
    Reservation,
    Revision,
    Serving,
    StoredFile,
    Workload,
)
from towpath_server.domains.deployments.reconcile import launch
from towpath_server.domains.runtimes import service as runtimes

FILES = ("config.json", "model.safetensors", "tokenizer.json")


def rendered(runtime: str, *args: str) -> ReplicaSpec:
    """Render a replica of a folder of safetensors."""
    known = runtimes.catalog(None)
    found = known.find(runtime)
    assert found is not None
    workload = Workload(
        model="chat",
        version=1,
        model_digest="sha256:0",
        files=tuple(StoredFile(path, "sha256:0", 1) for path in FILES),
        runtime=runtime,
        runtime_version=found.version,
        args=args,
        env={},
        threads=1,
        memory_limit_bytes=None,
        startup=ProbeDraft(),
        readiness=ProbeDraft(),
        gpus=2,
    )
    serving = Serving(found.dialect, found.operations, {}, None, "public", None, (), "care")
    revision = Revision("dep_1", 1, {}, workload, serving, 1, Reservation(0, 0), 0, "me")
    return launch.spec(
        known,
        revision,
        Replica("rep_1", "dep_1", 1, 0, "w", "c"),
        name="chat",
        folder=Path("/models/chat"),
        secret=Secret("a-secret-of-this-replica"),
    )


def test_vllm_is_started_on_a_socket_with_its_part_of_the_gpus() -> None:
    spec = rendered(
        "vllm",
        "--max-model-len=8192",
        "--tensor-parallel-size=2",
        "--gpu-memory-utilization=0.8",
    )

    assert spec.listen is Listen.UNIX
    assert spec.command == (
        *("vllm", "serve", "/models/chat", "--served-model-name", "chat"),
        *("--uds", "{socket}", "--gpu-memory-utilization=0.9"),
        # The last of two counts.
        *("--max-model-len=8192", "--tensor-parallel-size=2", "--gpu-memory-utilization=0.8"),
    )
    assert spec.startup.path == "/health"
    assert spec.env["HF_HUB_OFFLINE"] == "1"


def test_vllm_is_not_told_of_threads_or_of_code_in_the_model() -> None:
    command = rendered("vllm").command

    assert not [part for part in command if "threads" in part or "trust" in part]


def test_sglang_is_started_on_a_port_of_a_network_of_its_own() -> None:
    plain = rendered("sglang")
    told = rendered(
        "sglang",
        "--context-length=8192",
        "--mem-fraction-static=0.8",
        "--tensor-parallel-size=2",
        "--max-running-requests=64",
    )

    assert (plain.listen, plain.own_network) == (Listen.PORT, True)
    assert plain.command == (
        *("sglang", "serve", "--model-path", "/models/chat", "--served-model-name", "chat"),
        *("--host", "127.0.0.1", "--port", "{port}"),
    )
    assert told.command == (
        *plain.command,
        *("--context-length=8192", "--mem-fraction-static=0.8"),
        *("--tensor-parallel-size=2", "--max-running-requests=64"),
    )
    assert told.env["HF_HUB_OFFLINE"] == "1"


def test_tei_is_started_on_a_port_of_a_network_of_its_own_and_cuts_no_text() -> None:
    plain = rendered("tei")
    told = rendered("tei", "--max-batch-tokens=32768", "--max-client-batch-size=64")

    assert (plain.listen, plain.own_network) == (Listen.PORT, True)
    assert plain.command == (
        *("text-embeddings-router", "--model-id", "/models/chat", "--served-model-name", "chat"),
        *("--hostname", "127.0.0.1", "--port", "{port}", "--auto-truncate=false"),
    )
    assert told.command == (
        *plain.command,
        *("--max-batch-tokens=32768", "--max-client-batch-size=64"),
    )


def test_fields_that_reach_beyond_a_request_do_not_pass_to_sglang() -> None:
    found = runtimes.catalog(None).find("sglang")
    assert found is not None
    passing = set(found.request_fields)

    assert {"messages", "max_tokens", "response_format", "tools", "stream"} <= passing
    assert not passing & {
        *("regex", "ebnf", "json_schema", "chat_template_kwargs", "custom_logit_processor"),
        *("lora_path", "session_params", "rid", "cache_salt", "priority", "ignore_eos"),
    }


def test_fields_that_reach_beyond_a_request_do_not_pass_to_vllm() -> None:
    found = runtimes.catalog(None).find("vllm")
    assert found is not None
    passing = set(found.request_fields)

    assert {"messages", "max_tokens", "response_format", "tools", "stream"} <= passing
    assert not passing & {
        *("chat_template", "chat_template_kwargs", "guided_json", "structured_outputs"),
        *("kv_transfer_params", "vllm_xargs", "cache_salt", "priority", "logits_processors"),
        *("ignore_eos", "min_tokens", "allowed_token_ids", "mm_processor_kwargs"),
    }
