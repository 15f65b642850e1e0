"""How each gateway under measurement is started; everything listens on loopback only."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import certificates
from certificates import Certificates

ROOT = Path(__file__).resolve().parent.parent
KEY = "tp_sandbox_" + "b" * 32 + "000000"

NGINX = """daemon off; worker_processes 1; pid {run}/nginx.pid; error_log {run}/error.log warn;
worker_rlimit_nofile 20000;
events {{ worker_connections 8192; }}
http {{
  client_body_temp_path {run}/t1; proxy_temp_path {run}/t2; fastcgi_temp_path {run}/t3;
  uwsgi_temp_path {run}/t4; scgi_temp_path {run}/t5;
  default_type application/json; client_body_buffer_size 1m; access_log off;
  keepalive_requests 100000000; keepalive_timeout 600;
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 2048; keepalive_requests 100000000; keepalive_timeout 600; }}
  {http}
  server {{ listen 127.0.0.1:{port} {listen} backlog=4096;
    location / {{ {location} proxy_pass {scheme}://up; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }} }}
}}
"""
# Both sides, with what a client of today would negotiate; the upstream's certificate is checked, as ours is.
NGINX_TLS = """ssl_certificate {chain}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;
  proxy_ssl_protocols TLSv1.2 TLSv1.3; proxy_ssl_verify on; proxy_ssl_trusted_certificate {authority}; proxy_ssl_name {name};"""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where one run happens: its scratch folder and ports, and the certificates where all speak TLS."""

    run: Path
    port: int
    upstream: int
    tls: Certificates | None = None

    @property
    def upstream_url(self) -> str:
        """Where the upstream is."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.upstream}"


@dataclasses.dataclass(frozen=True)
class Gateway:
    """A program between generator and upstream; `command` writes its files and says what to start."""

    name: str
    does: str
    command: Callable[[Place], list[str] | None]
    headers: tuple[str, ...] = ()
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    path: str = "/v1/chat/completions"
    model: str = "gpt-4o-mini"
    port_file: str = ""
    """File of its scratch folder where it says its port, if it cannot be told one."""
    start_limit_s: float = 30


def nothing(_: Place) -> None:
    """The generator calls the upstream itself."""


def nginx(place: Place, http: str = "", location: str = "") -> list[str]:
    """A reverse proxy, bare unless told more."""
    configuration = place.run / "nginx.conf"
    tls = place.tls and NGINX_TLS.format(name=certificates.NAME, **vars(place.tls))
    configuration.write_text(
        NGINX.format(
            run=place.run, port=place.port, upstream=place.upstream, location=location,
            listen="ssl" if tls else "", scheme="https" if tls else "http", http=f"{tls or ''} {http}",
        ),
        encoding="utf-8",
    )  # fmt: skip
    return [shutil.which("nginx") or "/usr/sbin/nginx", "-c", str(configuration)]


def towpath(place: Place, keys: int = 1_000) -> list[str]:
    """The gateway on a table from a file, without a control plane."""
    table = place.run / "table.json"
    table.write_text(json.dumps(routing_table(place, keys)), encoding="utf-8")
    return [*towpath_alone(place), "--table", str(table)]


def towpath_alone(place: Place) -> list[str]:
    """The gateway on one core, without saying where its table comes from."""
    tls = ["--tls-cert", str(place.tls.chain), "--tls-key", str(place.tls.key)] if place.tls else []
    return [
        str(release_binary()), "--data", str(place.run / "gateway"), "--workers", "1",
        "--listen", f"127.0.0.1:{place.port}", *tls,
    ]  # fmt: skip


def release_binary() -> Path:
    """Return the gateway built with link-time optimisation."""
    return ROOT / "target" / "release" / "towpath-gateway"


LIMITS = {
    "requests_per_second": {"limit": 10_000_000},
    "tokens_per_minute": {"limit": 10**13},
    "concurrency": 1_000_000,
}


def routing_table(place: Place, keys: int = 1_000) -> dict[str, object]:
    """Build a table with one priced provider model and as many keys as asked; the first one is `KEY`."""

    def entity(kind: str, name: str, /, **value: object) -> dict[str, object]:
        return {"kind": kind, "id": name, "value": value}

    authority = {"ca_pem": place.tls.authority.read_text(encoding="utf-8")} if place.tls else {}
    tokens = [KEY, *(f"tp_sandbox_{number:032d}000000" for number in range(1, keys))]
    entities = [
        entity("platform", "platform", name="bench", currency="EUR", egress_allow=["127.0.0.0/8"]),
        entity("team", "team_bench", name="bench"),
        entity("project", "prj_bench", name="bench", team="team_bench"),
        entity("price", "prc_bench", currency="EUR", input_nano_per_million=20_000_000, output_nano_per_million=80_000_000),
        entity(
            "target", "tgt_bench", name="bench", kind="provider", dialect="openai", provider="bench",
            upstream_model="gpt-4o-mini", operations=["chat"], prices=["prc_bench"],
            replicas=[{"id": "rep_bench", "address": f"{place.upstream_url}/v1"}],
            max_data_class="internal", **authority,
        ),
        entity(
            "endpoint", "end_bench", name="gpt-4o-mini", environment="sandbox", project="prj_bench",
            visibility="organization", callers=["sandbox"], targets=[{"target": "tgt_bench", "weight": 1}],
        ),
        # Large enough to let everything through: what is measured is their being counted.
        *(
            entity("limit", f"lim_{kind}", label=f"{kind} of the bench", subject={kind: subject}, **LIMITS)
            for kind, subject in (("key", f"key_{0:026d}"), ("project", "prj_bench"), ("endpoint", "end_bench"))
        ),
        entity("budget", "bgt_tokens", label="the project", subject={"project": "prj_bench"}, tokens=10**15, period="month", mode="hard"),
        entity("budget", "bgt_money", label="the team", subject={"team": "team_bench"}, cost_nano=10**18, period="month", mode="soft"),
    ]  # fmt: skip
    entities += [
        entity(
            "key", f"key_{number:026d}", hash=hashlib.sha256(token.encode()).hexdigest(),
            project="prj_bench", environment="sandbox", scopes=["invoke"],
        )
        for number, token in enumerate(tokens)
    ]  # fmt: skip
    return {"version": 1, "revision": 1, "advisory": [], "entities": entities}


def towpath_with(keys: int) -> Gateway:
    """The gateway with so many keys in its table."""
    return Gateway(
        f"towpath, {keys:,} keys",
        f"{keys:,} keys, access, 3 limits, 2 budgets, data rule, price, metering, durable journal with sync, "
        "metrics; shipping off",
        functools.partial(towpath, keys=keys),
        (f"Authorization: Bearer {KEY}", "x-towpath-data-class: internal"),
    )


GATEWAYS = {
    "direct": Gateway("direct", "no gateway", nothing),
    "nginx": Gateway("nginx", "reverse proxy, buffering off, no access log, no keys", nginx),
    "towpath": towpath_with(1_000),
}
