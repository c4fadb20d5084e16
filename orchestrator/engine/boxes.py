"""What a container of the `MemoryEngine` does as time passes: its behaviour as scripted, the engine's rules around it.

Times are the clock's that the engine was given; nothing here waits. Sources: Docker Engine, restart policies and
health checks; where the rules are odd (a stopped container with a check is "unhealthy"), so is the real engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import msgspec

from orchestrator.engine.observe import stack_of
from orchestrator.engine.protocol import ContainerRequest, EventKind, ExecResult, LogLine, UploadedFile
from orchestrator.model.cluster import Container, ContainerState, Health, HeldPort, HeldVolume, Image
from orchestrator.model.names import (
    COMPOSE_NUMBER,
    COMPOSE_SERVICE,
    HASH,
    REPLACES,
    REVISION,
    SERVICE,
    SLOT,
    ContainerId,
    Digest,
    NodeName,
    ServiceName,
    SlotNumber,
)
from orchestrator.model.spec import RestartCondition

DEFAULT_INTERVAL_S = 30.0
DEFAULT_GRACE_S = 10.0
FIRST_PAUSE_S, LONGEST_PAUSE_S, GOOD_RUN_S = 0.1, 60.0, 10.0
KILLED = 137
IMAGE_CHECK = ("CMD-SHELL", "image-check")
"""What stands for the check that an image brings."""


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """What containers do, counted in seconds from each start. The default runs until it is stopped, and is healthy.

    healthy_after_s:   its check succeeds from then on; None: at the engine's first check, after one interval.
    unhealthy_after_s: the engine calls it unhealthy; sooner than healthy_after_s: it never becomes healthy.
    refuses_start:     the engine's words when it is started, or empty.
    stops_in_s:        how long it takes to obey a stop; longer than the grace: it is killed (137).
    output:            the lines that each run writes at its start.
    answers:           what commands in it give; others succeed with no output, the check's own as its health says.
    """

    exits_after_s: float | None = None
    exit_code: int = 0
    healthy_after_s: float | None = None
    unhealthy_after_s: float | None = None
    refuses_start: str = ""
    stops_in_s: float = 0.0
    stop_code: int = 0
    output: tuple[str, ...] = ()
    answers: Mapping[tuple[str, ...], ExecResult] = {}


Happening = tuple[EventKind, str]
"""(what, detail) as in `EngineEvent`."""


class Box:
    """One container. Methods that change it take the moment and give what happened."""

    def __init__(self, id: str, request: ContainerRequest, image: Image, behaviour: Behaviour, now: datetime) -> None:
        self.id, self.request, self.image, self.behaviour = id, request, image, behaviour
        self.name, self.created_at = request.name, now
        self.state = ContainerState.CREATED
        self.started_at: datetime | None = None
        self.finished_at: datetime | None = None
        self.exit_code, self.error, self.restart_count, self.runs = 0, "", 0, 0
        self.health = Health.NONE
        self.networks: set[str] = set()
        self.network_ids: dict[str, str] = {}
        self.volumes: tuple[HeldVolume, ...] = ()
        self.ports: tuple[HeldPort, ...] = ()
        self.files: dict[str, UploadedFile] = {}
        self.lines: list[LogLine] = []
        self._restart_at: datetime | None = None
        self._is_wanted = False

    @property
    def check(self) -> tuple[str, ...]:
        check = self.request.service.healthcheck
        if check is None or not check.test:
            return IMAGE_CHECK if self.image.has_check else ()
        return () if check.test == ("NONE",) else check.test

    @property
    def is_running(self) -> bool:
        return self.state is ContainerState.RUNNING

    @property
    def grace_s(self) -> float:
        span_s = self.request.service.stop_grace_period_s
        return DEFAULT_GRACE_S if span_s is None else span_s

    def start(self, now: datetime) -> list[Happening]:
        self.state, self.started_at, self.finished_at = ContainerState.RUNNING, now, None
        self.error, self.exit_code = "", 0
        self.runs += 1
        self._is_wanted, self._restart_at = True, None
        self.health = Health.STARTING if self.check else Health.NONE
        self.lines += [LogLine(text=text, at=now) for text in self.behaviour.output]
        return [(EventKind.START, "")]

    def stop(self, now: datetime, grace_s: float) -> list[Happening]:
        self._is_wanted = False
        is_slow = self.behaviour.stops_in_s > grace_s
        code = KILLED if is_slow else self.behaviour.stop_code
        signals = ["15", "9"] if is_slow else ["15"]
        ended = self._end(now, code) if self.is_running else self._rest(now)
        return [*((EventKind.KILL, signal) for signal in signals), *ended, (EventKind.STOP, "")]

    def kill(self, now: datetime, signal: str) -> list[Happening]:
        """Only SIGKILL ends it."""
        is_death = signal.upper().removeprefix("SIG") in ("KILL", "9")
        self._is_wanted = self._is_wanted and not is_death
        return [(EventKind.KILL, signal), *(self._end(now, KILLED) if is_death else [])]

    def die(self, now: datetime, code: int) -> list[Happening]:
        """Its process ends by itself; the restart policy has its say."""
        return self._end(now, code)

    def pass_time(self, now: datetime) -> Iterator[Happening]:
        """All that is due by `now`, in order."""
        while (due := self._next()) is not None and due[0] <= now:
            yield from self._happen(*due)

    def answer(self, command: tuple[str, ...], now: datetime) -> ExecResult:
        """The check's own command succeeds as soon as the program is healthy: before the engine has noticed."""
        if command in self.behaviour.answers:
            return self.behaviour.answers[command]
        ready_s = self.behaviour.healthy_after_s or 0.0
        if command not in _check_commands(self.check) or self._age_s(now) >= ready_s:
            return ExecResult(exit_code=0, output="")
        return ExecResult(exit_code=1, output="not yet")

    def view(self, node: NodeName) -> Container:
        labels = {**self.request.service.labels, **self.request.labels}
        return Container(
            id=ContainerId(self.id),
            name=self.name,
            node=node,
            stack=stack_of(labels),
            service=ServiceName(labels.get(SERVICE) or labels.get(COMPOSE_SERVICE) or ""),
            slot=SlotNumber(int(labels.get(SLOT) or labels.get(COMPOSE_NUMBER) or 1)),
            state=self.state,
            revision=int(labels.get(REVISION) or 0),
            config=Digest(labels.get(HASH, "")),
            image=self.request.service.image,
            image_id=self.image.id,
            health=self.health,
            check=self.check,
            exit_code=self.exit_code,
            error=self.error,
            restart_count=self.restart_count,
            created_at=self.created_at,
            started_at=self.started_at,
            finished_at=self.finished_at,
            started_mark=self._mark(),
            networks=frozenset(self.networks),
            network_ids=dict(self.network_ids),
            volumes=self.volumes,
            ports=self.ports if self.state in (ContainerState.RUNNING, ContainerState.RESTARTING) else (),
            replaces=labels.get(REPLACES, ""),
            borrows=self._borrowed(),
            address=f"10.0.{int(self.id[:2], 16)}.{int(self.id[2:4], 16)}" if self.is_running and self.networks else "",
        )

    def _mark(self) -> str:
        """Of another form than any time of a clock that stands still: each run has a mark of its own."""
        if self.started_at is None:
            return "0001-01-01T00:00:00Z"
        return f"{self.started_at:%Y-%m-%dT%H:%M:%S.%f}{self.runs % 1000:03d}Z"

    def _borrowed(self) -> frozenset[str]:
        modes = (self.request.network_mode, self.request.ipc, self.request.pid)
        lenders = (lender.partition(":")[0] for lender in self.request.volumes_from)
        return frozenset((*(m.removeprefix("container:") for m in modes if m.startswith("container:")), *lenders))

    def _age_s(self, now: datetime) -> float:
        return (now - self.started_at).total_seconds() if self.started_at else 0.0

    def _next(self) -> tuple[datetime, str] | None:
        if self._restart_at is not None:
            return self._restart_at, "restart"
        if not self.is_running or self.started_at is None:
            return None
        spans = {"exit": self.behaviour.exits_after_s, **self._health_spans()}
        due = [(self.started_at + timedelta(seconds=s), what) for what, s in spans.items() if s is not None]
        return min(due, default=None)

    def _health_spans(self) -> dict[str, float | None]:
        if not self.check:
            return {}
        behaviour, check = self.behaviour, self.request.service.healthcheck
        first_s = (check and check.interval_s) or DEFAULT_INTERVAL_S
        healthy_s = first_s if behaviour.healthy_after_s is None else behaviour.healthy_after_s
        spans: dict[str, float | None] = {}
        if self.health is Health.STARTING:
            spans[Health.HEALTHY] = healthy_s
        if self.health is not Health.UNHEALTHY:
            spans[Health.UNHEALTHY] = behaviour.unhealthy_after_s
        return spans

    def _happen(self, at: datetime, what: str) -> list[Happening]:
        if what == "exit":
            return self._end(at, self.behaviour.exit_code)
        if what == "restart":
            self.restart_count += 1
            return self.start(at)
        self.health = Health(what)
        return [(EventKind.HEALTH, what)]

    def _end(self, at: datetime, code: int) -> list[Happening]:
        again_s = self._pause_s(at, code)
        self.exit_code, self.finished_at = code, at
        self.state = ContainerState.EXITED if again_s is None else ContainerState.RESTARTING
        self._restart_at = None if again_s is None else at + timedelta(seconds=again_s)
        self.health = Health.UNHEALTHY if self.check else Health.NONE
        return [(EventKind.DIE, str(code))]

    def _rest(self, now: datetime) -> list[Happening]:
        """Stopped between two tries of its restart policy."""
        self.state, self._restart_at, self.finished_at = ContainerState.EXITED, None, now
        return []

    def _pause_s(self, now: datetime, code: int) -> float | None:
        """How long until the engine starts it again; None: it doesn't."""
        policy = self.request.service.restart
        limit = policy.max_attempts if policy.condition is RestartCondition.ON_FAILURE else 0
        is_due = {
            RestartCondition.NO: False,
            RestartCondition.ON_FAILURE: code != 0 and (not limit or self.restart_count < limit),
        }.get(policy.condition, True)
        if not (is_due and self._is_wanted):
            return None
        tries = 0 if self._age_s(now) >= GOOD_RUN_S else min(self.restart_count, 20)
        return min(FIRST_PAUSE_S * 2.0**tries, LONGEST_PAUSE_S)


def _check_commands(test: tuple[str, ...]) -> set[tuple[str, ...]]:
    """The commands that a program may run in place of the engine's check."""
    if test[:1] == ("CMD-SHELL",):
        return {("/bin/sh", "-c", *test[1:]), ("sh", "-c", *test[1:])}
    return {test[1:]} if test else set()
