"""Whether a job has the GPUs that it asked for: without them it would go on, on the CPU, for weeks."""

from __future__ import annotations

import os
import platform
import re
import warnings
from pathlib import Path

from pargo.config.jobs import Resources
from pargo.errors import PargoError

DRIVER, AMD_DRIVER = Path("/proc/driver/nvidia/version"), Path("/sys/module/amdgpu/version")
# which GPUs a process sees; the others are of AMD's
VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
# options of sbatch that give each process of a job its own GPUs
BINDING = ("gpus-per-task", "gpu-bind", "ntasks-per-gpu", "tres-per-task", "tres-bind")


def check_gpus(asked: Resources) -> None:
    """Refuse to go on where this process sees fewer GPUs than its job asked for.

    A process sees all GPUs of its node, or, where options of sbatch bind them to processes, its share of them.

    Args:
        asked: what the job asked for; without GPUs there is nothing to check, and torch is not imported.

    Raises:
        PargoError: fewer; the message has the node, the driver, torch's CUDA and the visible devices.
    """
    expected = asked.gpus_per_node
    if not expected:
        return
    if any(option.replace("_", "-") in BINDING for option in asked.sbatch):
        expected = -(-expected // asked.processes_per_node)
    number, reason = _visible_gpus()
    if number < expected:
        raise PargoError(
            f"the jobs file asks for gpus_per_node: {asked.gpus_per_node}, so this process should see {expected} "
            f"GPU(s), but it sees {number} on {platform.node()}; driver: {_driver()}; {_torch()}; {_visible()}"
            f"{f'; torch says: {reason}' if reason else ''}. Try {'rocm-smi' if _hip() else 'nvidia-smi'} and this "
            "Python on that node, or lower gpus_per_node (0 computes on the CPU)"
        )


def _visible_gpus() -> tuple[int, str]:
    """GPUs that torch can use here, and why it can use none."""
    import torch

    with warnings.catch_warnings(record=True):  # a driver that is too old is a warning; init says the same
        warnings.simplefilter("always")
        if torch.cuda.is_available():
            return torch.cuda.device_count(), ""
        try:
            torch.cuda.init()
        except (RuntimeError, AssertionError) as error:  # the second one: torch was built without CUDA
            return 0, str(error).strip().partition("\n")[0].rstrip(".")
    return 0, ""


def _visible() -> str:
    found = [f"{name} is {os.environ[name]!r}" for name in VISIBLE if name in os.environ]
    return ", ".join(found) or f"{VISIBLE[0]} is not set"


def _hip() -> str | None:
    """The version of ROCm, where torch is built for AMD's GPUs."""
    import torch

    return torch.version.hip


def _torch() -> str:
    import torch

    kinds = {"ROCm": _hip(), "CUDA": torch.version.cuda}
    built = next((f"for {name} {version}" for name, version in kinds.items() if version), "without CUDA")
    return f"torch {torch.__version__} is built {built}"


def _driver() -> str:
    """The version of the kernel's NVIDIA or AMD driver, as it says itself; AMD's says none where it is the kernel's."""
    try:
        text = (AMD_DRIVER if _hip() else DRIVER).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "the kernel's own amdgpu" if _hip() and AMD_DRIVER.parent.is_dir() else "none is loaded"
    found = re.search(r"\b\d+\.\d+(\.\d+)?\b", text)
    return found[0] if found else text.partition("\n")[0]
