"""What one replica is reserved: what the manifest asks for, and where it is silent, an estimate."""

import math
from collections.abc import Sequence

from towpath_server.core import suggest
from towpath_server.domains.deployments.models import Reservation, Resources, RuntimeDraft
from towpath_server.domains.deployments.service.check import vram
from towpath_server.domains.deployments.service.check.estimate import divide, estimate, load_of
from towpath_server.domains.deployments.service.check.inquiry import Inquiry
from towpath_server.domains.deployments.service.check.quota import gpus_at
from towpath_server.domains.deployments.service.check.runtime import argument

_CLASS = "#/spec/accelerator/class"


def find(inquiry: Inquiry) -> None:
    """Note threads, estimate and reservation of one replica."""
    draft, compute = inquiry.draft, inquiry.facilities.compute
    needs, wanted = draft.resources, draft.runtime or RuntimeDraft()
    given = argument(wanted, "threads")
    if given is None and needs is not None and needs.cpu_milli is not None:
        given = math.ceil(needs.cpu_milli / 1000)
    # Threads of an engine spin: with half of them each, any two that are busy fit the machine.
    inquiry.threads = given or max(1, compute.threads // 2)
    _estimate(inquiry, wanted, (needs.gpus or 0) if needs else 0)
    gpu_class = _accelerator(inquiry, needs)
    if needs is None:
        return
    known = inquiry.estimate.total if inquiry.estimate else 0
    memory = max(needs.memory_bytes or 0, known) or needs.memory_limit_bytes or 0
    inquiry.reserved = Reservation(
        cpu_milli=needs.cpu_milli or inquiry.threads * 1000,
        memory_bytes=memory,
        gpus=needs.gpus or 0,
        gpu_class=gpu_class if needs.gpus else None,
    )


def _estimate(inquiry: Inquiry, wanted: RuntimeDraft, gpus: int) -> None:
    runtime, version = inquiry.runtime, inquiry.version
    if runtime is None or version is None or runtime.memory is None:
        return
    rule = runtime.memory.gpu
    if gpus and rule is None:  # what lies where is not known
        return
    numbers = {
        name: int(rule.default) for name, rule in runtime.args.items() if rule.default is not None
    }
    for name in runtime.args:
        value = argument(wanted, name)
        if value is not None:
            numbers[name] = value
    inquiry.numbers = numbers
    facts = {"weights_bytes": version.size_bytes, **version.scanned.metadata}
    load = load_of(runtime.memory, numbers, inquiry.threads)
    inquiry.estimate = estimate(runtime.memory, facts, load)
    if gpus and rule is not None:
        divided = divide(rule, facts, inquiry.estimate, vram.spread(inquiry, rule, gpus))
        inquiry.estimate, inquiry.cards = divided.machine, divided.cards


def _accelerator(inquiry: Inquiry, needs: Resources | None) -> str | None:
    """Return the class of the GPUs that are meant, and note what is wrong with it."""
    wanted, gpus = inquiry.draft.accelerator, inquiry.capacity.gpus
    if needs is not None and needs.mig is not None:
        return _part(inquiry, needs.mig, wanted)
    if wanted is None:
        gpus = tuple(gpu for gpu in gpus if gpu.mig is None) or gpus
    classes = sorted({gpu.gpu_class for gpu in gpus})
    if wanted is None:
        if needs is not None and needs.gpus and len(classes) > 1:
            inquiry.add(
                _CLASS,
                "Missing",
                f"This machine has GPUs of several classes: {_listed(classes)}.",
                f"Say which: `accelerator: {{class: {classes[0]}}}`.",
            )
        return classes[0] if classes else None
    if needs is not None and not needs.gpus:
        inquiry.add(
            _CLASS,
            "AcceleratorWithoutGpus",
            f"It names the GPUs `{wanted}` and asks for none.",
            "Say how many: `resources: {limits: {nvidia.com/gpu: 1}}`, or leave it out.",
        )
    meant = next((gpu.gpu_class for gpu in gpus if gpu.called(wanted)), None)
    if meant is None:
        hint = suggest.did_you_mean(wanted, classes)
        fix = f"Use one of {_listed(classes)}, or leave it out." if classes else "Leave it out."
        inquiry.add(_CLASS, "UnknownAccelerator", f"No GPUs here are `{wanted}`.", hint or fix)
    return meant or wanted


def _part(inquiry: Inquiry, profile: str, wanted: str | None) -> str | None:
    """Return the class of the parts of GPUs that are meant, and note what is wrong with it."""
    gpus = [gpu for gpu in inquiry.capacity.gpus if gpu.mig is not None]
    fitting = [gpu for gpu in gpus if gpu.mig == profile]
    if not fitting:
        known = sorted({f"nvidia.com/mig-{gpu.mig}" for gpu in gpus})
        hint = suggest.did_you_mean(f"nvidia.com/mig-{profile}", known)
        fix = f"Use one of {_listed(known)}." if known else "Ask for `nvidia.com/gpu: 1` instead."
        said = f"No GPU here is divided into parts `{profile}`."
        inquiry.add(gpus_at(inquiry), "UnknownAccelerator", said, hint or fix)
        return None
    classes = sorted({gpu.gpu_class for gpu in fitting})
    if wanted is not None:  # the class of the whole GPU, or of its parts
        meant = [gpu for gpu in fitting if gpu.called(wanted) or gpu.part_of(wanted)]
        if meant:
            return meant[0].gpu_class
        said = f"No GPUs here that are `{wanted}` are divided into parts `{profile}`."
        fix = f"Use one of {_listed(classes)}, or leave it out."
        inquiry.add(
            _CLASS, "UnknownAccelerator", said, suggest.did_you_mean(wanted, classes) or fix
        )
    elif len(classes) > 1:
        inquiry.add(
            _CLASS,
            "Missing",
            f"This machine has such parts of several classes: {_listed(classes)}.",
            f"Say which: `accelerator: {{class: {classes[0]}}}`.",
        )
    return classes[0]


def _listed(classes: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in classes)
