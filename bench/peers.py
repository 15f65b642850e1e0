"""Measure other gateways exactly as `run.py` measures ours; rows and table go to `bench/results/`.

Each is installed from its lock (`bench/locks/`) into an environment of its own, or built (`bench/hyper`),
and measured in turns with a bare nginx. They do different things per request: bare proxies are ceilings, not products.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import time

from gateways import GATEWAYS, ROOT, Gateway, Place, nginx
from kept import RESULTS, machine
from report import peers
from rig import Rig, build_tools, free_port, memory_mb, rig, upstream
from run import beside, same_core, streams

HOMES = ROOT / ".build" / "peers"
LOCKS = ROOT / "bench" / "locks"
UV = ROOT / ".build" / "uv" / "bin" / "uv"

BEARER = ("Authorization: Bearer sk-test-0007",)
KEYS = 1_000

ENVOY = """static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          generate_request_id: false
          route_config: {{virtual_hosts: [{{name: v, domains: ["*"], routes: [{{match: {{prefix: "/"}}, route: {{cluster: up, timeout: 300s}}}}]}}]}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: up
    type: STATIC
    connect_timeout: 5s
    circuit_breakers: {{thresholds: [{{max_connections: 20000, max_requests: 20000, max_pending_requests: 20000}}]}}
    load_assignment: {{cluster_name: up, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {upstream}}}}}}}}}]}}]}}
"""

LITELLM = """model_list:
- model_name: gpt-4o-mini
  litellm_params: {{model: openai/gpt-4o-mini, api_base: "{url}/v1", api_key: sk-up}}
general_settings: {{master_key: sk-test-0007}}
litellm_settings: {{telemetry: false}}
"""

TENSORZERO = """[gateway]
observability.enabled = false
[models.gpt-4o-mini]
routing = ["up"]
[models.gpt-4o-mini.providers.up]
type = "openai"
model_name = "gpt-4o-mini"
api_base = "{url}/v1/"
api_key_location = "env::OPENAI_API_KEY"
"""
# Starts the gateway that the wheel embeds, and writes down the port that it chose.
TENSORZERO_START = """
import sys, threading, urllib.parse, tensorzero
started = tensorzero._start_http_gateway(
    config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False)
open(sys.argv[2], "w").write(str(urllib.parse.urlparse(started.base_url).port))
threading.Event().wait()
"""


def program(peer: str, name: str) -> str:
    """Return a program of a peer's environment."""
    return str(HOMES / peer / "bin" / name)


def nginx_with_keys(place: Place) -> list[str]:
    """The reverse proxy with the least that a gateway does."""
    known = " ".join(f'"Bearer sk-test-{n:04d}" team-{n % 50};' for n in range(KEYS))
    return nginx(
        place,
        "map_hash_max_size 8192; map_hash_bucket_size 128; map $http_authorization $team "
        f"{{ default ''; {known} }} log_format j '$team $status $request_time $body_bytes_sent';",
        f"access_log {place.run}/access.log j buffer=64k; if ($team = '') {{ return 401; }} "
        "proxy_set_header Authorization 'Bearer sk-upstream-0000';",
    )


def hyper(place: Place) -> list[str]:
    """What we stand on, with the least that a gateway does."""
    ports = [str(place.port), str(place.upstream)]
    return [str(HOMES / "hyper" / "release" / "hyper-proxy"), *ports, str(place.run / "log")]


def envoy(place: Place) -> list[str]:
    """Envoy on one core."""
    file = place.run / "envoy.yaml"
    file.write_text(ENVOY.format(port=place.port, upstream=place.upstream), encoding="utf-8")
    options = ["--concurrency", "1", "--disable-hot-restart", "-l", "error"]
    return [program("envoy", "envoy"), "-c", str(file), *options]


def vllm_router(place: Place) -> list[str]:
    """The router of vLLM before one worker."""
    return [
        program("vllm-router", "vllm-router"), "--host", "127.0.0.1", "--port", str(place.port),
        "--prometheus-port", str(free_port()), "--prometheus-host", "127.0.0.1", "--log-level", "error",
        "--worker-urls", place.upstream_url, "--policy", "round_robin",
        "--max-concurrent-requests", "8192",
    ]  # fmt: skip


def litellm(place: Place) -> list[str]:
    """LiteLLM's proxy with one worker."""
    file = place.run / "litellm.yaml"
    file.write_text(LITELLM.format(url=place.upstream_url), encoding="utf-8")
    return [
        program("litellm", "litellm"), "--config", str(file), "--host", "127.0.0.1",
        "--port", str(place.port), "--num_workers", "1", "--telemetry", "False",
    ]  # fmt: skip


def tensorzero(place: Place) -> list[str]:
    """TensorZero's gateway as its wheel embeds it."""
    file = place.run / "tensorzero.toml"
    file.write_text(TENSORZERO.format(url=place.upstream_url), encoding="utf-8")
    python = program("tensorzero", "python")
    return [python, "-c", TENSORZERO_START, str(file), str(place.run / "port")]


PEERS = {
    "nginx-keys": Gateway(
        "nginx with keys and log", f"nginx with {KEYS:,} keys in a map, the upstream's key put in, a buffered log",
        nginx_with_keys, BEARER,
    ),
    "hyper": Gateway(
        "hyper with keys and log", f"a bare proxy on hyper with {KEYS:,} keys, model and stream read, the upstream's key put in, a buffered log",
        hyper, BEARER,
    ),
    "envoy": Gateway("Envoy", "reverse proxy, no keys, no log", envoy),
    "vllm-router": Gateway(
        "vllm-router", "model router (Rust), round robin over one worker, no keys", vllm_router, start_limit_s=60,
    ),
    "tensorzero": Gateway(
        "TensorZero", "gateway (Rust), observability and keys off", tensorzero, BEARER,
        {"OPENAI_API_KEY": "sk-up", "RUST_LOG": "error"}, "/openai/v1/chat/completions",
        "tensorzero::model_name::gpt-4o-mini", "port", 60,
    ),
    "litellm": Gateway(
        "LiteLLM", "proxy (Python), one worker, master key, no database", litellm, BEARER,
        {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION", "NO_DOCS": "True"},
        start_limit_s=180,
    ),
}  # fmt: skip


def install(peer: str) -> None:
    """Make a peer's environment exactly what its lock says, where it has one; build what is built."""
    if peer == "hyper":
        manifest = ROOT / "bench" / "hyper" / "Cargo.toml"
        build = ["cargo", "build", "-q", "--release", "--locked", "--manifest-path", manifest]
        subprocess.run([*build, "--target-dir", HOMES / peer], check=True)
    lock, home = LOCKS / f"{peer}.lock", HOMES / peer
    stamp = home / "installed"
    if not lock.exists() or (stamp.exists() and stamp.read_bytes() == lock.read_bytes()):
        return
    uv = [str(UV), "--no-python-downloads"]
    subprocess.run([*uv, "venv", "-q", "--clear", "--python", sys.executable, home], check=True)
    python = str(home / "bin" / "python")
    sync = ("pip", "sync", "-q", "--python", python, "--require-hashes")
    subprocess.run([*uv, *sync, lock], check=True)
    stamp.write_bytes(lock.read_bytes())


def measure(gateway: Gateway) -> dict:
    """All measures of one gateway, nginx in turns."""
    with contextlib.ExitStack() as stack:
        up = stack.enter_context(upstream())
        own, bare, direct = (
            stack.enter_context(rig(one, up))
            for one in (gateway, GATEWAYS["nginx"], GATEWAYS["direct"])
        )
        rigs: dict[str, Rig] = {"direct": direct, gateway.name: own}
        return {
            "name": gateway.name,
            "does": gateway.does,
            **beside(own, bare),
            "one_core": same_core(rigs),
            **streams(own),
            "memory_mb": memory_mb(own.pids()),
        }


def main() -> int:
    """Measure ours and all peers that can be started here; say why one cannot."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("peer", nargs="*", help=f"of {', '.join(PEERS)}; default: all")
    chosen = reader.parse_args().peer or list(PEERS)
    build = ["cargo", "build", "-q", "--release", "--locked", "-p", "towpath-gateway"]
    subprocess.run(build, cwd=ROOT, check=True)
    build_tools()
    rows, absent = [measure(GATEWAYS["towpath"])], {}
    for peer in chosen:
        try:
            install(peer)
            rows.append(measure(PEERS[peer]))
        except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
            absent[PEERS[peer].name] = " ".join(str(error).split())[:300]
        print(json.dumps(absent.get(PEERS[peer].name) or rows[-1]), file=sys.stderr, flush=True)
    result = {"machine": machine(), "peers": rows, "absent": absent}
    RESULTS.mkdir(exist_ok=True)
    name = f"peers-{time.strftime('%Y-%m-%d')}"
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (RESULTS / f"{name}.md").write_text(peers(result), encoding="utf-8")
    print(peers(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
