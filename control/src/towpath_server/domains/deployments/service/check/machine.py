"""Does it fit on this machine."""

from towpath_server.domains.deployments.service.check.inquiry import Inquiry
from towpath_server.domains.deployments.service.check.runtime import argument
from towpath_server.domains.deployments.store import deployments as store
from towpath_server.domains.nodes import service as nodes

MIB = 1 << 20


def check(inquiry: Inquiry) -> None:
    """Compare what is asked for with what the machine has at all."""
    compute, runtime = inquiry.facilities.compute, inquiry.runtime
    needs, wanted = inquiry.draft.resources, inquiry.draft.runtime
    if not compute.enabled:
        inquiry.add(
            "#/spec", "NoCompute", "This machine runs no model servers (`compute.enabled` is off)."
        )
    threads = compute.threads
    if needs is not None and (needs.cpu_milli or 0) > threads * 1000:
        detail = f"It asks for more CPUs than the {threads} that models share here."
        inquiry.add(
            "#/spec/resources/requests/cpu", "ExceedsMachine", detail, f'At most `"{threads}"`.'
        )
    given = argument(wanted, "threads") if wanted else None
    if runtime is not None and given is not None and given > threads:
        detail = f"`--threads={given}` is more than the {threads} that models share here."
        inquiry.add(
            "#/spec/runtime/args", "ExceedsMachine", detail, f"At most `--threads={threads}`."
        )
    gpus = (needs.gpus or 0) * (inquiry.draft.replicas or 1) if needs else 0
    if gpus > compute.gpus:
        detail = f"It asks for {gpus} GPUs in all, and this machine has {compute.gpus}."
        fix = "Ask for fewer, or leave it out where the runtime serves on CPUs."
        inquiry.add("#/spec/resources/limits/nvidia.com~1gpu", "ExceedsMachine", detail, fix)
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


async def memory(inquiry: Inquiry) -> None:
    """Compare the memory asked for with what no other deployment has reserved."""
    present, machine = inquiry.present, nodes.this_machine(inquiry.facilities.compute.threads)
    needs, replicas = inquiry.draft.resources, inquiry.draft.replicas
    if needs is None or replicas is None or needs.memory_bytes is None:
        return
    wanted = needs.memory_bytes * replicas
    taken = await store.reserved_memory(inquiry.tx, but=present.id if present else None)
    free = machine.memory_bytes - taken
    if wanted > free:
        total = machine.memory_bytes // MIB
        inquiry.add(
            "#/spec/resources/requests/memory",
            "DoesNotFit",
            f"{replicas} × {needs.memory_bytes // MIB} MiB does not fit: "
            f"{max(0, free) // MIB} of {total} MiB are not reserved by other deployments.",
            "Request less, use fewer replicas, or delete a deployment.",
        )
