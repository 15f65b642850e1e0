"""Does the machine give the runtime a network of its own, where it must have one."""

from towpath_server.domains.deployments.service.check.inquiry import Inquiry


def check(inquiry: Inquiry) -> None:
    """Refuse a server that everybody on the machine could call."""
    runtime = inquiry.runtime
    if runtime is None or not runtime.own_network or not inquiry.facilities.compute.enabled:
        return
    if "network" in inquiry.capacity.isolation.measures:
        return
    others = inquiry.catalog.serving(inquiry.version.format) if inquiry.version else []
    fits = [name for name in others if not inquiry.catalog.own_network(name)]
    inquiry.add(
        "#/spec/runtime/name",
        "NoOwnNetwork",
        f"The runtime `{runtime.name}` listens on a port without a key, and this machine gives "
        "model servers no network of their own: everybody on it could call the model.",
        "Let the platform make namespaces (`docs/concepts/isolation.md`)"
        + (f", or use {', '.join(f'`{name}`' for name in fits)}." if fits else "."),
    )
