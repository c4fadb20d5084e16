"""`Lab`: a throw-away cluster of real Docker engines on this machine, as kind is for Kubernetes."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from orchestrator.errors import LabError
from orchestrator.lab import api, cgroups, engine, engines, faults, host, images, network, processes, requirements
from orchestrator.lab.network import Link
from orchestrator.lab.settings import (
    DEFAULT_ENGINE,
    DEFAULT_NAME,
    DEFAULT_ROOT,
    DEFAULT_SUBNET,
    HUB,
    Place,
    Settings,
    checked,
)
from orchestrator.model.names import NodeName

Progress = Callable[[str], None]


class LabReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `up` did. started: nodes that were not running before; seconds: how long it took."""

    nodes: tuple[NodeName, ...]
    started: tuple[NodeName, ...]
    seconds: float


class NodeReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a node is now.

    engine:     its version, or "down" (no host), "stopped" (a host without an engine), "hung" (no answer).
    containers: how many run; None when the engine can't be asked.
    """

    node: NodeName
    address: str
    socket: Path
    endpoint: str
    engine: str
    link: Link
    containers: int | None


class Lab:
    """The lab whose files are under `root`. Safe to use from several processes; `up` and `down` wait for each other.

    name: tells several labs on one machine apart. Without root every method that touches the machine raises LabError.
    """

    def __init__(self, root: Path = DEFAULT_ROOT, name: str = DEFAULT_NAME) -> None:
        self.root = root.absolute()
        self._name = name
        self._place = Place(self.root)

    def up(
        self,
        nodes: int = 3,
        engine: str = DEFAULT_ENGINE,
        *,
        tls: bool = False,
        subnet: str = DEFAULT_SUBNET,
        load: Sequence[Path] = (),
        progress: Progress | None = None,
    ) -> LabReport:
        """Make it so: `nodes` engines run and answer, with the images of the archives in `load`.

        Running again changes nothing; more nodes are added; what was killed, frozen or cut off is brought back; what
        an interrupted `up` left is removed first. Raises LabError when a lab with other settings is here.
        """
        begin, say = time.monotonic(), progress or (lambda _: None)
        requirements.require_root()
        requirements.require_programs()
        self._place.require_usable()
        settings = checked(Settings(name=self._name, nodes=nodes, engine=engine, tls=tls, subnet=subnet))
        for archive in load:
            images.contents(archive)  # a wrong file is better refused before engines start
        engines.require_known(engine)
        with self._locked(create=True):
            self._claim(settings)
            usr = engines.usr_of(engine, say)
            started = self._start(settings, usr, say)
            self._register(settings)
            images.load_missing([self.socket(node) for node in settings.node_names], load)
        return LabReport(nodes=settings.node_names, started=started, seconds=time.monotonic() - begin)

    def down(self) -> None:
        """Remove the lab: processes, namespaces, mounts, control groups, directories. No lab there is no error."""
        requirements.require_root()
        with self._locked(create=False):
            self._remove()

    def nodes(self) -> tuple[NodeName, ...]:
        return self._settings().node_names

    def status(self) -> tuple[NodeReport, ...]:
        requirements.require_root()
        settings, hub = self._settings(), host.holder(self._settings().name, HUB)
        with ThreadPoolExecutor(16) as pool:
            return tuple(pool.map(lambda node: self._report(settings, hub, node), settings.node_names))

    def socket(self, node: str) -> Path:
        """The engine's unix socket, reachable from outside of the lab."""
        return self._place.socket(self._settings().require(node))

    def env(self, node: str | None = None, *, tcp: bool = False) -> dict[str, str]:
        """Environment variables for a client: of orch for the whole lab (None), or of Docker for one node.

        tcp: the engine's address in the lab's network, which only a command under `enter` reaches.
        """
        settings = self._settings()
        if node is None:
            return {"ORCH_HOME": str(self._place.orch_home)}
        name = settings.require(node)
        if not tcp:
            return {"DOCKER_HOST": f"unix://{self._place.socket(name)}"}
        tls = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(self._place.certificates)} if settings.tls else {}
        return {"DOCKER_HOST": settings.endpoint(name), **tls}

    def enter(self, where: str, *argv: str) -> list[str]:
        """argv that runs a command, with this machine's files, in the network of a node or of the "hub".

        Valid until the node is killed or restarted.
        """
        return host.network_only(self._holder(where), *argv)

    def inside(self, node: str, *argv: str) -> list[str]:
        """argv that runs a command in the node itself: its files, processes, host name and network."""
        return host.inside(self._holder(self._settings().require(node)), *argv)

    def kill(self, node: str, *, engine: bool = False) -> None:
        """Power cut. engine: only dockerd and containerd crash, containers run on."""
        with self._changing(node) as (settings, name):
            faults.crash(settings, name) if engine else faults.power_cut(settings, name)

    def restart(self, node: str) -> None:
        """Boot a killed host, start a crashed engine again, reboot a frozen host, restart a running engine."""
        with self._changing(node) as (settings, name):
            usr = engines.usr_of(settings.engine, lambda _: None)
            if cgroups.is_frozen(settings.name, name):
                faults.power_cut(settings, name)
            elif not api.answers(self._place.socket(name)):
                engine.crash(settings.name, name)
            engine.stop(settings.name, name)
            self._boot(settings, host.ensure_hub(self._place, settings), usr, name)
            engine.await_answer(self._place, settings, name, reboot=True)

    def pause(self, node: str, *, engine: bool = False) -> None:
        """Freeze the host. engine: only dockerd hangs."""
        with self._changing(node) as (settings, name):
            faults.hang(settings, name) if engine else faults.freeze(settings, name)

    def unpause(self, node: str) -> None:
        with self._changing(node) as (settings, name):
            faults.resume(settings, name)

    def partition(self, node: str, *, drop: bool = False) -> None:
        """Cut the node off the lab's network. drop: silently. Its unix socket still answers."""
        with self._changing(node) as (settings, name):
            faults.partition(settings, name, drop=drop)

    def heal(self, node: str) -> None:
        with self._changing(node) as (settings, name):
            faults.heal(settings, name)

    def load_images(self, archives: Sequence[Path], nodes: Sequence[str] | None = None) -> None:
        """Load docker-archives on the nodes, all by default; an engine that has the images already is skipped."""
        requirements.require_root()
        images.load_missing([self.socket(node) for node in (self.nodes() if nodes is None else nodes)], archives)

    def _settings(self) -> Settings:
        settings = self._place.load()
        if settings is None:
            raise LabError(f'there is no lab in "{self.root}"', fix="orch lab up   (or give --root)")
        return settings

    def _holder(self, where: str) -> int:
        settings = self._settings()
        pid = host.holder(settings.name, where if where == HUB else settings.require(where))
        if pid is None:
            raise LabError(f'"{where}" is down', fix=f"orch lab restart {where}" if where != HUB else "orch lab up")
        return pid

    @contextmanager
    def _changing(self, node: str) -> Iterator[tuple[Settings, NodeName]]:
        requirements.require_root()
        settings = self._settings()
        name = settings.require(node)
        with self._locked(create=False):
            yield settings, name

    @contextmanager
    def _locked(self, *, create: bool) -> Iterator[None]:
        """One change at a time. The lock is the root directory itself, so that no file stays when it goes."""
        is_new = create and not self.root.exists()
        while (lock := self._lock(create=create)) is not None:
            try:
                if self._is_still(lock):
                    yield
                    return
            finally:
                os.close(lock)
                if is_new:
                    with suppress(OSError):
                        self.root.rmdir()  # works only where nothing came of it
        yield

    def _lock(self, *, create: bool) -> int | None:
        """The root directory, open and locked; None when there is none."""
        if create:
            self.root.mkdir(exist_ok=True)
        try:
            lock = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return None
        fcntl.flock(lock, fcntl.LOCK_EX)
        return lock

    def _is_still(self, lock: int) -> bool:
        try:
            return os.path.samestat(os.fstat(lock), os.stat(self.root))
        except FileNotFoundError:
            return False

    def _claim(self, wanted: Settings) -> None:
        """Write down what will be here before it is, or LabError when something else is."""
        if not self._place.marker.exists() and any(self.root.iterdir()):
            raise LabError(f'"{self.root}" is not empty and no lab', fix="give another --root, or empty it")
        self._require_free_name(wanted.name)
        present = self._place.load()
        if present is None:
            self._remove(keep_root=True)
            self._place.marker.touch()
        elif msgspec.structs.replace(wanted, nodes=present.nodes) != present or wanted.nodes < present.nodes:
            raise LabError(
                f'another lab is in "{self.root}" already',
                why=f"it has {_described(present)}; you ask for {_described(wanted)}",
                fix="orch lab down, then up; or give another --root, --name and --subnet",
            )
        self._place.save(wanted)

    def _require_free_name(self, name: str) -> None:
        others = {owner for pid in cgroups.members(cgroups.group(name, "")) if (owner := processes.owner(pid))}
        if others - {str(self.root)}:
            fix = f"choose another --name, or `orch lab --root {min(others)} down`"
            raise LabError(f'a lab called "{name}" runs already', why=f"it lives in {min(others)}", fix=fix)

    def _start(self, settings: Settings, usr: Path | None, say: Progress) -> tuple[NodeName, ...]:
        if settings.tls:
            from orchestrator.lab import tls  # 100 ms that a lab without TLS need not pay

            tls.ensure(self._place, settings)
        hub = host.ensure_hub(self._place, settings)
        network.ensure_bridge(hub, settings)
        for node in settings.node_names:
            faults.resume(settings, node)
        started = tuple(node for node in settings.node_names if not api.answers(self._place.socket(node)))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda node: self._boot(settings, hub, usr, node), settings.node_names))
            for node in started:
                engine.await_answer(self._place, settings, node)
                say(f"{node}: engine {settings.engine} answers at {settings.endpoint(node)}")
        return started

    def _boot(self, settings: Settings, hub: int, usr: Path | None, node: NodeName) -> None:
        pid = host.ensure(self._place, settings, node, usr)
        faults.boot(self._place, settings, node, hub=hub, pid=pid)

    def _register(self, settings: Settings) -> None:
        """Write the list of nodes from which orch, run with this lab's ORCH_HOME, takes its first nodes."""
        home = self._place.orch_home
        home.mkdir(exist_ok=True)
        nodes = [
            {"name": node, "endpoint": f"unix://{self._place.socket(node)}", "address": settings.address(node)}
            for node in settings.node_names
        ]
        (home / "nodes.json").write_bytes(msgspec.json.format(msgspec.json.encode(nodes), indent=1) + b"\n")

    def _report(self, settings: Settings, hub: int | None, node: NodeName) -> NodeReport:
        state, containers = self._engine_state(settings, node)
        return NodeReport(
            node=node,
            address=settings.address(node),
            socket=self._place.socket(node),
            endpoint=settings.endpoint(node),
            engine=state,
            link=network.link(hub, node),
            containers=containers,
        )

    def _engine_state(self, settings: Settings, node: NodeName) -> tuple[str, int | None]:
        if host.holder(settings.name, node) is None:
            return "down", None
        if not engine.is_running(settings.name, node):
            return "stopped", None
        try:
            found = api.info(self._place.socket(node))
        except (OSError, LabError):
            return "hung", None
        return str(found["ServerVersion"]), int(found["ContainersRunning"])

    def _names(self) -> set[str]:
        """Names under which this root has anything running, also when its state file is lost."""
        settings = self._place.load()
        found = {settings.name} if settings else set()
        for lab in cgroups.labs():
            owners = {processes.owner(pid) for pid in cgroups.members(cgroups.group(lab, ""))}
            if str(self.root) in owners or (lab == self._name and owners <= {""}):
                found.add(lab)
        return found

    def _remove(self, *, keep_root: bool = False) -> None:
        for name in sorted(self._names()):
            for node in cgroups.nodes(name):
                host.end(name, node)
            cgroups.remove_lab(name)
        if not self._place.marker.exists():
            return
        children = [child for child in self.root.iterdir() if child != self._place.marker]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(_delete, children))
        if not keep_root:
            shutil.rmtree(self.root)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _described(settings: Settings) -> str:
    tls = "with TLS" if settings.tls else "without TLS"
    return f"{settings.nodes} nodes, engine {settings.engine}, {tls}, subnet {settings.subnet}, name {settings.name}"
