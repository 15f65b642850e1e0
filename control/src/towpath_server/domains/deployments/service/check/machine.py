"""Does it ask for what this machine has at all, without contradicting itself."""

from towpath_server.domains.deployments.service.check.inquiry import Inquiry
from towpath_server.domains.deployments.service.check.runtime import argument


def check(inquiry: Inquiry) -> None:
    """Compare what is asked for with what the machine has at all."""
    compute, runtime = inquiry.facilities.compute, inquiry.runtime
    needs, wanted = inquiry.draft.resources, inquiry.draft.runtime
    if not compute.enabled:
        inquiry.add(
            "#/spec",
            "NoCompute",
            "This machine runs no model servers (`compute.enabled` is off).",
            "Deploy where there is one, or turn `TOWPATH_COMPUTE__ENABLED` on.",
        )
    threads = compute.threads
    if needs is not None and (needs.cpu_milli or 0) > threads * 1000:
        detail = f"It asks for more CPUs than the {threads} that models share here."
        inquiry.add(
            "#/spec/resources/requests/cpu",
            "ExceedsMachine",
            detail,
            f'Ask for at most `cpu: "{threads}"`.',
        )
    given = argument(wanted, "threads") if wanted else None
    if runtime is not None and given is not None and given > threads:
        detail = f"`--threads={given}` is more than the {threads} that models share here."
        inquiry.add(
            "#/spec/runtime/args", "ExceedsMachine", detail, f"Use at most `--threads={threads}`."
        )
    if needs is None or needs.memory_bytes is None or needs.memory_limit_bytes is None:
        return
    if needs.memory_limit_bytes < needs.memory_bytes:
        detail = "The limit is below what is requested."
        inquiry.add(
            "#/spec/resources/limits/memory",
            "LimitBelowRequest",
            detail,
            "Raise it, or request less.",
        )
