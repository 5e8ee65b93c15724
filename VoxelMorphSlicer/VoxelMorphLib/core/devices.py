"""Computation devices: those of this machine, and the one a name refers to."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import DeviceError


@dataclass(frozen=True)
class Device:
    """A device that can hold tensors.

    Args:
        name: what options and scenes store, e.g. "cuda:0".
        title: for display, e.g. "NVIDIA H200".
        free_bytes: free memory; None if unknown.
    """

    name: str
    title: str
    free_bytes: int | None = None

    def __str__(self) -> str:
        memory = "" if self.free_bytes is None else f", {self.free_bytes / 2**30:.1f} GiB free"
        return f"{self.name}: {self.title}{memory}"


def available_devices() -> list[Device]:
    """All devices of this machine, the preferred one first; "cpu" is always among them."""
    import torch

    devices = []
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free, _total = torch.cuda.mem_get_info(index)
            devices.append(Device(f"cuda:{index}", torch.cuda.get_device_name(index), free))
        devices.sort(key=lambda device: -(device.free_bytes or 0))
    if torch.backends.mps.is_available():
        devices.append(Device("mps", "Apple GPU"))
    return [*devices, Device("cpu", f"processor, {torch.get_num_threads()} threads")]


def is_faster_in_bfloat16(device: str) -> bool:
    """Whether a device is a processor that convolves bfloat16 numbers in less time than float32.

    Those with matrix units are (0.3 instead of 0.7 s), and AMD's with AVX-512 (0.3 instead of 0.8 s); Intel's without
    matrix units take longer (1.0 instead of 0.7 s for the U-net of synth-brain, on one core).
    """
    import torch

    tell = getattr(torch.cpu, "get_capabilities", dict)  # older torch does not tell
    found: dict[str, object] = tell() if device == "cpu" else {}
    return bool(found.get("amx_bf16") or (found.get("avx512_bf16") and "AMD" in str(found.get("cpu_name"))))


def resolve_device(name: str) -> str:
    """The device name that torch understands for "auto", "cpu", "cuda", "cuda:N" or "mps".

    Raises:
        DeviceError: the name is unknown or this machine has no such device.
    """
    names = [device.name for device in available_devices()]
    wanted = names[0] if name == "auto" else "cuda:0" if name == "cuda" else name
    if wanted not in names:
        raise DeviceError(f"This machine has no device {name!r}. Choose auto or one of {', '.join(names)}.")
    return wanted
