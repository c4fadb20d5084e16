"""`pull_policy` and `pull_refresh_after`: when an image is fetched again."""

from __future__ import annotations

from orchestrator.errors import BadValue, SpecError
from orchestrator.model.spec import PullPolicy
from orchestrator.spec import duration
from orchestrator.spec.tree import Map

_AGES = {"daily": "1d", "weekly": "1w"}
_EVERY = "every_"


def pull_policy(name: str, service: Map, problems: list[SpecError]) -> tuple[PullPolicy, float | None]:
    """The policy, and for REFRESH the age in seconds at which the image is pulled again.

    Source: Compose Specification, `pull_policy`.
    """
    written = service.get("pull_policy", "missing")
    if written != "refresh" and written in set(PullPolicy):
        return PullPolicy(written), None
    age = _AGES.get(written) or (written[len(_EVERY) :] if written.startswith(_EVERY) else None)
    if written == "refresh":
        age = service.get("pull_refresh_after")
    try:
        if age is None:
            raise ValueError(_no_age(written))
        return PullPolicy.REFRESH, duration.seconds(age)
    except ValueError as error:
        what = f'service "{name}": "{written}" is no value of pull_policy'
        fix = "use always, missing, never, build, daily, weekly, or every_12h"
        problems.append(BadValue(what, where=str(service.place("pull_policy")), why=str(error), fix=fix))
        return PullPolicy.MISSING, None


def _no_age(written: str) -> str:
    return "it needs pull_refresh_after, the age of the image" if written == "refresh" else ""
