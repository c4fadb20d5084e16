"""For all tests of the service: see `fixtures`."""

from tests.reconciler.fixtures import leaves_no_task, quick_heart, settles_at_once, settling

__all__ = ["leaves_no_task", "quick_heart", "settles_at_once", "settling"]
