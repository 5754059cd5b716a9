"""What all that drive one run on the caller's side have in common."""

from __future__ import annotations

import time

from .._errors import RunTimeoutError
from .._run.engine import Engine
from .._run.source import Source
from .deciding import Deciding, Sample
from .delivery import Delivery
from .here import Here
from .record import Record
from .request import Options, Request


class Parts:
    """The parts of one run. Only the thread that drives it touches them.

    Args:
        engine: Whose workers to use.
        request: What to do.

    Attributes:
        sample: An item that was called here, to see what its way would cost.
        over: Whether nothing of the run goes on any more.
        until_s: When its time is up, by `time.monotonic`; `None`: never.
        late: What it is ended with, once that has come.
    """

    def __init__(self, engine: Engine, request: Request) -> None:
        self.engine: Engine = engine
        self.options: Options = request.options
        self.source = Source(request.iterables)
        self.record = Record()
        self.delivery = Delivery(return_exceptions=self.options.return_exceptions)
        self.here = Here(request.fn, self.source, self.delivery)
        self.deciding = Deciding(engine, request, self.source, self.record)
        self.sample: Sample | None = None
        self.over = False
        self.until_s: float | None = None
        self.late: RunTimeoutError | None = None

    def begin_clock(self) -> None:
        """Let the run's time begin."""
        if self.options.timeout is not None:
            self.until_s = time.monotonic() + self.options.timeout

    def is_late(self) -> bool:
        """End the run if its time is up before all is called; return whether it is."""
        if self.until_s is None or time.monotonic() < self.until_s:
            return False
        if self.source.left == 0:
            return False
        self.run_late()
        return True

    def run_late(self) -> None:
        """End the run, since its time is up."""
        assert self.options.timeout is not None
        self.late = RunTimeoutError(self.options.timeout)
        self.delivery.fail(self.late)

    @property
    def failed(self) -> bool:
        """Whether something has ended the run early."""
        return self.delivery.error is not None

    @property
    def ahead(self) -> int | None:
        """Items that may be pulled before the last ones are delivered; `None`: any."""
        if self.options.lazy and not self.source.container:
            return 1
        return self.options.window

    def end(self) -> None:
        """Note that all has been done that will be; the input's own error is raised."""
        if self.source.error is not None:
            self.delivery.fail(self.source.error)
        self.over = True
