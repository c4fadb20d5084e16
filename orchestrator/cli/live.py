"""Progress on a terminal: one line per service that changes in place, drawn by rich. Imported only on a terminal."""

from __future__ import annotations

import os
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from orchestrator.cli import output
from orchestrator.cli.progress import Clock, failed_line
from orchestrator.model import plan as p
from orchestrator.reconciler import events as e

FRAMES_PER_S = 6

_LOOK: dict[p.Phase, tuple[str, str]] = {
    p.Phase.WAITING: ("·", "dim"),
    p.Phase.PREPARING: ("○", "cyan"),
    p.Phase.STARTING: ("○", "cyan"),
    p.Phase.CHECKING: ("◐", "yellow"),
    p.Phase.READY: ("●", "green"),
    p.Phase.DONE: ("✓", "green"),
    p.Phase.STOPPED: ("□", "dim"),
    p.Phase.FAILED: ("✗", "red"),
}
"""The sign and the colour of each phase."""


class LiveProgress:
    """An Emit that redraws; open it as a context so that the cursor comes back whatever happens."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False, no_color=bool(os.environ.get("NO_COLOR")))
        self._services: tuple[p.ServiceStatus, ...] = ()
        self._doing: dict[str, str] = {}
        self._clock = Clock()
        self._live = Live(
            console=self._console, get_renderable=self.frame, refresh_per_second=FRAMES_PER_S, redirect_stdout=False
        )

    def __enter__(self) -> LiveProgress:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._doing.clear()
        self._live.stop()

    def __call__(self, event: e.Event) -> None:
        if isinstance(event, e.StatusChanged):
            self._services = event.services
            for status in event.services:
                self._clock.saw(status)
        elif isinstance(event, e.OperationStarted):
            self._doing[event.operation.target] = event.operation.title
        elif isinstance(event, e.OperationProgressed):
            self._doing[event.operation.target] = f"{event.operation.title}: {event.text}"
        elif isinstance(event, e.OperationDone):
            self._doing.pop(event.operation.target, None)
        elif isinstance(event, e.OperationFailed):
            self._doing.pop(event.operation.target, None)
            self._console.print(Text(failed_line(event), style="red"))
        elif isinstance(event, e.Noticed):
            self._console.print(Text(event.text, style="yellow"))

    def frame(self) -> Text:
        """All lines as they are now; cut at the terminal's width and height, never wrapped."""
        width = max((len(status.service) for status in self._services), default=0)
        lines = [self._service(status, width) for status in self._services]
        lines += [Text(f"  {doing}", style="dim") for doing in self._shared()]
        room = max(self._console.height - 1, 1)
        if len(lines) > room:
            hidden = len(lines) - room + 1
            lines = [*self._most_telling(lines, room - 1), Text(f"  and {hidden} more", style="dim")]
        for each in lines:
            each.truncate(self._console.width, overflow="ellipsis")
        return Text("\n").join(lines)

    def _service(self, status: p.ServiceStatus, width: int) -> Text:
        sign, style = _LOOK[status.phase]
        count = f"{status.ready}/{status.wanted}" if status.wanted else ""
        spent = self._clock.spent_s(status.service)
        return Text.assemble(
            (f"{sign} ", style),
            f"{status.service:<{width}}  ",
            (f"{status.phase.value:<9} ", style),
            f"{count:>7}  ",
            (f"{output.seconds(spent) if spent else '':>7}  ", "dim"),
            (status.detail, "red" if status.phase is p.Phase.FAILED else "dim"),
        )

    def _shared(self) -> list[str]:
        """Steps under way that take long or belong to no service; those of containers show as the service's phase."""
        return [text for target, text in tuple(self._doing.items()) if "/container/" not in target][:4]

    def _most_telling(self, lines: list[Text], room: int) -> list[Text]:
        """Those at work or failed first, in their order."""
        quiet = (p.Phase.WAITING, p.Phase.READY, p.Phase.DONE, p.Phase.STOPPED)
        rank = [status.phase in quiet for status in self._services] + [False] * (len(lines) - len(self._services))
        kept = sorted(sorted(range(len(lines)), key=lambda i: rank[i])[:room])
        return [lines[i] for i in kept]
