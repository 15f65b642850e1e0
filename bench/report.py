"""Write a measurement as Markdown."""

from __future__ import annotations


def table(result: dict) -> str:
    """Return the page for one result of `run.py`."""
    gateway, machine = result["gateway"], result["machine"]
    lines = [
        f"# Measured {machine['at']}",
        "",
        f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, commit {machine['commit']}. Command: `make bench`. Raw data beside this file.",
        "Gateway alone on core 0, generator and upstream on core 1; body 400 bytes, answer 680 bytes, no TLS; nginx in turns.",
        "",
        "| 64 connections | requests/s | × nginx | CPU µs/request | p50 µs | p99 µs |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    full = [
        ("towpath, shipping off", gateway["full"], gateway["x_nginx"]),
        ("nginx", gateway["full_nginx"], 1.0),
    ]
    if "shipping" in result:
        shipping = result["shipping"]
        full.insert(1, ("towpath, shipping on", shipping["full"], shipping["x_nginx"]))
    lines += [
        f"| {name} | {row['rps']:,.0f} | {ratio:.2f} | {row['gateway_us_per_request']:.1f} | {row['lat_us']['p50']:,.0f} | {row['lat_us']['p99']:,.0f} |"
        for name, row, ratio in full
    ]
    lines += sizes(gateway["sizes"])
    direct = next(row for row in gateway["one_core"] if row["name"] == "direct")
    lines += [
        "",
        "| one core, one connection | p50 µs | p99 µs | added p50 | added p99 |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['name']} | {row['p50']:.0f} | {row['p99']:.0f} | {row['p50'] - direct['p50']:.0f} | {row['p99'] - direct['p99']:.0f} |"
        for row in gateway["one_core"]
    ]
    lines += [
        "",
        "| streams | events/s, 64 at full speed | 500 slow: events/s | first event p99 ms | age of an event p99 ms |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {name} | {fast['events_per_s']:,.0f} | {slow['events_per_s']:,.0f} | {slow['ttfe_us']['p99'] / 1e3:.1f} | {slow['age_us']['p99'] / 1e3:.1f} |"
        for name, fast, slow in zip(
            ("towpath", "nginx"), gateway["s0"], gateway["slow500"], strict=True
        )
    ]
    lines += [
        "",
        "| memory of the gateway, MB | its own | resident, with the journal's pages |",
        "|---|---:|---:|",
    ]
    after = f"after {gateway['after_requests']:,} more requests, none shipped"
    moments = (
        ("idle", "idle"),
        (after, "after"),
        ("after 500 streams", "streams"),
        ("with 2,000 open streams", "open_streams"),
    )
    lines += [
        f"| {said} | {gateway[f'memory_{when}_mb']['own']} | {gateway[f'memory_{when}_mb']['resident']} |"
        for said, when in moments
    ]
    lines += [
        "",
        f"Binary {result['binary_mb']} MB.",
        "",
    ]
    lines += ["| keys in the table | p50 µs | p99 µs | memory MB |", "|---|---:|---:|---:|"]
    lines += [
        f"| {int(row['name']):,} | {row['p50']:.0f} | {row['p99']:.0f} | {row['memory_mb']['own']} |"
        for row in result["keys"]
    ]
    lines.append("")
    if "ingest" in result:
        lines += ["| ingestion into the ledger, by itself | records/s |", "|---|---:|"]
        lines += [f"| {engine} | {rate:,.0f} |" for engine, rate in result["ingest"].items()]
        lines.append("")
    return "\n".join(lines)


def sizes(rows: dict[str, dict]) -> list[str]:
    """Return the part about longer prompts."""
    return [
        "",
        "| prompt | towpath requests/s | × nginx | CPU µs/request |",
        "|---|---:|---:|---:|",
        *(
            f"| {name.removeprefix('kb')} KB | {row['towpath']['rps']:,.0f} | {row['x_nginx']:.2f} | {row['towpath']['gateway_us_per_request']:.1f} |"
            for name, row in rows.items()
        ),
    ]
