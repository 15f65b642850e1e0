"""Write a measurement as Markdown."""

from __future__ import annotations

from collections.abc import Iterable


def table(result: dict) -> str:
    """Return the page for one result of `run.py`."""
    gateway = result["gateway"]
    shipped = [("towpath, shipping on", result["shipping"])] if "shipping" in result else []
    lines = [
        *heading(
            result["machine"],
            "make bench",
            "body 400 bytes, answer 680 bytes, no TLS where nothing else is said; nginx in turns",
        ),
        *full([("towpath, shipping off", gateway), *shipped]),
        *sizes(gateway["sizes"]),
        *one_core(gateway["one_core"]),
        *streams(("towpath", "nginx"), gateway["s0"], gateway["slow500"]),
        *memory(gateway),
        f"Binary {result['binary_mb']} MB.",
        *keys(result["keys"]),
    ]
    if "tls" in result:
        tls = result["tls"]
        lines += [
            "## TLS on both sides",
            "",
            f"TLS 1.3 from the callers and to the upstream, its certificate checked; memory {tls['memory_mb']['own']} MB.",
            "",
            *full([("towpath", tls)]),
            *sizes(tls["sizes"]),
            *one_core(tls["one_core"]),
            *streams(("towpath", "nginx"), tls["s0"], tls["slow500"]),
        ]
    if "ingest" in result:
        lines += ["| ingestion into the ledger, by itself | records/s |", "|---|---:|"]
        lines += [f"| {engine} | {rate:,.0f} |" for engine, rate in result["ingest"].items()]
        lines.append("")
    return "\n".join(lines)


def peers(result: dict) -> str:
    """Return the page for one result of `peers.py`."""
    lines = heading(
        result["machine"],
        "make bench-peers",
        "body 400 bytes, answer 680 bytes, no TLS; nginx in turns with each",
    )
    lines += [
        "| gateway | × nginx | CPU µs/request | one core, one connection: added p50 / p99 µs | memory MB | events/s, 64 at full speed | 500 slow: first event / age of an event p99 ms |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in result["peers"]:
        direct, own = row["one_core"]
        ((fast,), (slow,)) = row["s0"], row["slow500"]
        lines.append(
            f"| {row['name']} | {row['x_nginx']:.3f} | {row['full']['gateway_us_per_request']:,.1f} "
            f"| {own['p50'] - direct['p50']:,.0f} / {own['p99'] - direct['p99']:,.0f} "
            f"| {row['memory_mb']['resident']:,.0f} | {fast.get('events_per_s', 0):,.0f} "
            f"| {late_ms(slow, 'ttfe_us')} / {late_ms(slow, 'age_us')} |"
        )
    lines += ["", "What each does:", ""]
    lines += [f"- {row['name']}: {row['does']}." for row in result["peers"]]
    lines += [f"- {name}: not measured, {why}." for name, why in result["absent"].items()]
    return "\n".join([*lines, ""])


def heading(machine: dict, command: str, what: str) -> list[str]:
    """Say where, when and how it was measured."""
    return [
        f"# Measured {machine['at']}",
        "",
        f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, commit {machine['commit']}. Command: `{command}`. Raw data beside this file.",
        f"Gateway alone on core 0, generator and upstream on core 1; {what}.",
        "",
    ]


def full(measured: Iterable[tuple[str, dict]]) -> list[str]:
    """Return the part about 64 connections at full speed; nginx as it was beside the first."""
    named = list(measured)
    rows = [(name, row["full"], row["x_nginx"]) for name, row in named]
    rows.append(("nginx", named[0][1]["full_nginx"], 1.0))
    return [
        "| 64 connections | requests/s | × nginx | CPU µs/request | p50 µs | p99 µs |",
        "|---|---:|---:|---:|---:|---:|",
        *(
            f"| {name} | {row['rps']:,.0f} | {ratio:.2f} | {row['gateway_us_per_request']:.1f} | {row['lat_us']['p50']:,.0f} | {row['lat_us']['p99']:,.0f} |"
            for name, row, ratio in rows
        ),
        "",
    ]


def one_core(rows: list[dict]) -> list[str]:
    """Return the part about one connection with everything on one core."""
    direct = next(row for row in rows if row["name"] == "direct")
    return [
        "| one core, one connection | p50 µs | p99 µs | added p50 | added p99 |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {row['name']} | {row['p50']:.0f} | {row['p99']:.0f} | {row['p50'] - direct['p50']:.0f} | {row['p99'] - direct['p99']:.0f} |"
            for row in rows
        ),
        "",
    ]


def streams(names: Iterable[str], fast: list[dict], slow: list[dict]) -> list[str]:
    """Return the part about streams."""
    return [
        "| streams | events/s, 64 at full speed | 500 slow: events/s | first event p99 ms | age of an event p99 ms |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {name} | {quick.get('events_per_s', 0):,.0f} | {late.get('events_per_s', 0):,.0f} | {late_ms(late, 'ttfe_us')} | {late_ms(late, 'age_us')} |"
            for name, quick, late in zip(names, fast, slow, strict=True)
        ),
        "",
    ]


def late_ms(row: dict, measure: str) -> str:
    """Return the 99th percentile of a stream's measure; a gateway that was overrun has none."""
    found = row.get(measure)
    return f"{found['p99'] / 1e3:.1f}" if found else "–"


def memory(gateway: dict) -> list[str]:
    """Return the part about memory."""
    moments = (
        ("idle", "idle"),
        (f"after {gateway['after_requests']:,} more requests, none shipped", "after"),
        ("after 500 streams", "streams"),
        ("with 2,000 open streams", "open_streams"),
    )
    return [
        "| memory of the gateway, MB | its own | resident, with the journal's pages |",
        "|---|---:|---:|",
        *(
            f"| {said} | {gateway[f'memory_{when}_mb']['own']} | {gateway[f'memory_{when}_mb']['resident']} |"
            for said, when in moments
        ),
        "",
    ]


def keys(rows: list[dict]) -> list[str]:
    """Return the part about many keys."""
    return [
        "",
        "| keys in the table | p50 µs | p99 µs | memory MB |",
        "|---|---:|---:|---:|",
        *(
            f"| {int(row['name']):,} | {row['p50']:.0f} | {row['p99']:.0f} | {row['memory_mb']['own']} |"
            for row in rows
        ),
        "",
    ]


def sizes(rows: dict[str, dict]) -> list[str]:
    """Return the part about longer prompts."""
    return [
        "| prompt | towpath requests/s | × nginx | CPU µs/request |",
        "|---|---:|---:|---:|",
        *(
            f"| {name.removeprefix('kb')} KB | {row['towpath']['rps']:,.0f} | {row['x_nginx']:.2f} | {row['towpath']['gateway_us_per_request']:.1f} |"
            for name, row in rows.items()
        ),
        "",
    ]
