"""Is what the runtime starts installed where model servers run."""

from towpath_server.domains.deployments.service.check.inquiry import Inquiry


def check(inquiry: Inquiry) -> None:
    """Refuse what could be placed and never started."""
    runtime, compute = inquiry.runtime, inquiry.facilities.compute
    if runtime is None or not compute.enabled:
        return
    lacking = inquiry.facilities.servers.lacking(runtime.programs)
    if not lacking:
        return
    listed = ", ".join(f"`{name}`" for name in lacking)
    fits = inquiry.catalog.serving(inquiry.version.format) if inquiry.version else []
    others = ", ".join(f"`{name}`" for name in fits if not inquiry.catalog.programs(name))
    fix = runtime.install or f"Install {listed} where model servers find it."
    inquiry.add(
        "#/spec/runtime/name",
        "ProgramMissing",
        f"The runtime `{runtime.name}` starts {listed}, which is not installed here.",
        f"{fix} Or use {others}." if others else fix,
    )
