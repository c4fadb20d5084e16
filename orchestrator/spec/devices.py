"""What a service asks of the host's devices: by path, by request to a driver, shares and limits of block devices."""

from __future__ import annotations

import re
from collections.abc import Iterator

from orchestrator.model.options import Blkio, Device, DeviceRate, DeviceRequest, DeviceWeight
from orchestrator.spec import sizes
from orchestrator.spec.tree import Map

_CDI_NAME = re.compile(r"[a-zA-Z][\w.-]*/[a-zA-Z0-9][\w.-]*=[a-zA-Z0-9][\w.:-]*")
_RATES = ("device_read_bps", "device_read_iops", "device_write_bps", "device_write_iops")


def devices(service: Map) -> tuple[Device, ...]:
    """Devices by their path on the host."""
    return tuple(_device(device) for device in service.get("devices", ()) if not _is_cdi(device))


def _device(device: Map) -> Device:
    source: str = device.get("source", "")
    return Device(source=source, target=device.get("target") or source, permissions=device.get("permissions") or "rwm")


def _is_cdi(device: Map) -> bool:
    """`vendor.com/class=name`. Source: Container Device Interface, the name of a device."""
    return bool(_CDI_NAME.fullmatch(device.get("source", "")))


def device_requests(service: Map) -> tuple[DeviceRequest, ...]:
    """Reservations, then devices by CDI name, then `gpus`, as Docker Compose orders them."""
    return tuple(_requests(service))


def _requests(service: Map) -> Iterator[DeviceRequest]:
    resources = (service.get("deploy") or Map()).get("resources") or Map()
    for request in (resources.get("reservations") or Map()).get("devices") or ():
        yield _request(request)
    if names := tuple(device["source"] for device in service.get("devices", ()) if _is_cdi(device)):
        yield DeviceRequest(driver="cdi", ids=names)
    for request in service.get("gpus") or ():
        yield _request(request, "gpu")


def _request(request: Map, *more: str) -> DeviceRequest:
    return DeviceRequest(
        driver=request.get("driver", ""),
        count=request.get("count", 0),
        ids=tuple(request.get("device_ids", ())),
        capabilities=tuple(dict.fromkeys((*request.get("capabilities", ()), *more))),
        options=dict(request.get("options", {})),
    )


def blkio(service: Map) -> Blkio | None:
    """`blkio_config`; None where there is none."""
    config = service.get("blkio_config")
    if config is None:
        return None
    return Blkio(
        weight=config.get("weight", 0),
        weight_device=tuple(
            DeviceWeight(path=entry.get("path", ""), weight=entry.get("weight", 0))
            for entry in config.get("weight_device", ())
        ),
        **{key: tuple(_rate(entry) for entry in config.get(key, ())) for key in _RATES},
    )


def _rate(entry: Map) -> DeviceRate:
    return DeviceRate(path=entry.get("path", ""), rate=sizes.parse(str(entry.get("rate", "0"))))
