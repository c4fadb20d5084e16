"""`ports` and `expose` of the canonical project -> Port, and the exposed ports as text."""

from __future__ import annotations

from orchestrator.errors import BadValue, SpecError
from orchestrator.model.spec import Port, PortMode
from orchestrator.spec.ports import PROTOCOLS, port_range
from orchestrator.spec.tree import Map, Seq


def published(name: str, service: Map, problems: list[SpecError]) -> tuple[Port, ...]:
    """The `ports` of service `name`; what no engine could publish goes to `problems`."""
    return tuple(_port(name, port, problems) for port in service.get("ports", ()))


def _port(name: str, port: Map, problems: list[SpecError]) -> Port:
    mode, text = port.get("mode", "ingress"), port.get("published", "")
    if not 0 < port.get("target", 0) < 65536:
        what = f'service "{name}" publishes port {port.get("target", 0)} of its container'
        problems.append(BadValue(what, where=str(port.at), fix="use 1 to 65535"))
    if mode not in set(PortMode):
        what = f'service "{name}": "{mode}" is no value of mode'
        problems.append(BadValue(what, where=str(port.place("mode")), fix="use ingress or host"))
        mode = "ingress"
    try:
        if text:
            port_range(text, "host port")
    except ValueError as error:
        what = f'service "{name}" can\'t publish on "{text}"'
        problems.append(BadValue(what, where=str(port.place("published")), why=str(error)))
        text = ""
    return Port(
        target=port.get("target", 0),
        published=text,
        host_ip=port.get("host_ip", ""),
        protocol=port.get("protocol", "tcp"),
        mode=PortMode(mode),
        app_protocol=port.get("app_protocol", ""),
        name=port.get("name", ""),
    )


def exposed(name: str, service: Map, problems: list[SpecError]) -> tuple[str, ...]:
    """`80`, `80/udp`, `3000-3005/tcp`."""
    found = []
    for text, at in (service.get("expose") or Seq()).entries():
        numbers, mark, protocol = text.partition("/")
        try:
            port_range(numbers, "port")
            if mark and protocol not in PROTOCOLS:
                raise ValueError(f'"{protocol}" is no protocol: {", ".join(PROTOCOLS)}')
            found.append(text)
        except ValueError as error:
            what = f'service "{name}" can\'t expose "{text}"'
            problems.append(BadValue(what, where=str(at), why=str(error), fix='write 80, "80/udp" or "3000-3005"'))
    return tuple(found)
