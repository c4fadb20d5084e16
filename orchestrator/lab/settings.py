"""What a lab is made of and where it lives: settings that last in a state file, names, addresses, paths."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path

import msgspec

from orchestrator.errors import LabError, NoSuchThing
from orchestrator.model.names import NodeName

DEFAULT_ROOT = Path(os.environ.get("ORCH_LAB_ROOT") or "/var/lib/orch-lab")
DEFAULT_CACHE = Path(os.environ.get("ORCH_LAB_CACHE") or "/var/cache/orch-lab")
DEFAULT_NAME = "orch"
DEFAULT_SUBNET = "10.87.0.0/24"
DEFAULT_ENGINE = "20.10"
HUB = "hub"
"""The namespace in the middle: a bridge that all nodes hang on, without a way out."""

_SOCKET_PATH_MAX = 107
_PRIVATE_IN_A_NODE = ("/dev", "/etc", "/opt", "/proc", "/run", "/sys", "/usr")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What `up` was asked for; kept as `lab.json` in the root.

    nodes:  how many; they are called n1, n2, ...
    engine: version of the Docker Engine as "major.minor".
    subnet: IPv4; node k has its k-th address, the hub its last.
    """

    name: str = DEFAULT_NAME
    nodes: int = 3
    engine: str = DEFAULT_ENGINE
    tls: bool = False
    subnet: str = DEFAULT_SUBNET

    @property
    def node_names(self) -> tuple[NodeName, ...]:
        return tuple(NodeName(f"n{number}") for number in range(1, self.nodes + 1))

    @property
    def network(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network(self.subnet)

    @property
    def hub_address(self) -> str:
        return str(self.network[-2])

    def address(self, node: NodeName) -> str:
        return str(self.network[node_number(node)])

    def endpoint(self, node: NodeName) -> str:
        """Where the engine listens inside the lab's network. Source: Docker's registered ports."""
        return f"tcp://{self.address(node)}:{2376 if self.tls else 2375}"

    def require(self, node: str) -> NodeName:
        """`node` as a name of this lab, or NoSuchThing that lists the nodes there are."""
        if node not in self.node_names:
            raise NoSuchThing(f'no node "{node}" in this lab', fix=f"there are: {', '.join(self.node_names)}")
        return NodeName(node)


def node_number(node: str) -> int:
    """3 for n3."""
    return int(node[1:])


def checked(settings: Settings) -> Settings:
    """`settings`, or LabError for a name, number of nodes or subnet that can't work."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,19}", settings.name):
        raise LabError(f'bad lab name "{settings.name}"', fix="use 1 to 20 lower-case letters, digits and dashes")
    if settings.nodes < 1:
        raise LabError(f"a lab can't have {settings.nodes} nodes", fix="ask for at least one")
    try:
        room = settings.network.num_addresses - 3
    except ValueError as error:
        raise LabError(
            f'bad subnet "{settings.subnet}"', why=str(error), fix="write for example 10.87.0.0/24"
        ) from error
    if settings.nodes > room:
        why = f"it has room for {max(room, 0)} nodes and the hub"
        raise LabError(
            f"subnet {settings.subnet} is too small for {settings.nodes} nodes", why=why, fix="give a larger one"
        )
    return settings


class Place(msgspec.Struct, frozen=True):
    """Where on this machine a lab lives: every path that it may write to lies under `root`."""

    root: Path

    @property
    def marker(self) -> Path:
        """Says that the directory is a lab's, so that `down` may delete it."""
        return self.root / ".orch-lab"

    @property
    def state(self) -> Path:
        return self.root / "lab.json"

    @property
    def certificates(self) -> Path:
        return self.root / "tls"

    @property
    def orch_home(self) -> Path:
        """The `ORCH_HOME` in which orch knows this lab's nodes."""
        return self.root / "orch"

    def of(self, node: str) -> Path:
        return self.root / node

    def socket(self, node: str) -> Path:
        return self.root / node / "docker.sock"

    def require_usable(self) -> None:
        """LabError where engines could not work under this root."""
        root = str(self.root)
        if any(root == top or root.startswith(top + "/") for top in _PRIVATE_IN_A_NODE):
            why = f"each node has its own {', '.join(_PRIVATE_IN_A_NODE)}"
            raise LabError(f'a lab can\'t live in "{root}"', why=why, fix="choose a directory under /var/lib or /tmp")
        if len(str(self.socket("n999"))) > _SOCKET_PATH_MAX:
            why = f"the path of a socket in it would exceed {_SOCKET_PATH_MAX} characters"
            raise LabError(f'the path "{root}" is too long', why=why, fix="choose a shorter one")
        if not self.root.parent.is_dir():
            raise LabError(f'there is no directory "{self.root.parent}"', fix=f"mkdir -p {self.root.parent}")

    def load(self) -> Settings | None:
        """The settings of the lab that is here; None when there is none, or its state file is lost or damaged."""
        try:
            return msgspec.json.decode(self.state.read_bytes(), type=Settings)
        except (OSError, msgspec.DecodeError):
            return None

    def save(self, settings: Settings) -> None:
        """Atomically, so that a crash leaves the old state or the new one."""
        interim = self.state.with_suffix(".tmp")
        interim.write_bytes(msgspec.json.format(msgspec.json.encode(settings), indent=1))
        interim.replace(self.state)
