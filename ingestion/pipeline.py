"""ingest(): windows asked for -> the API's records committed in the raw schema.

    fetch ahead (a few threads)  ->  gather a batch  ->  write its CSV  ->  load it with dlt

A few threads fetch days ahead and put their records aside on disk, within bounds. The caller's thread
loads them in order, batch by batch. A slow API's days are committed soon, a fast one's in few loads.
"""

import logging
import multiprocessing
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path

from ingestion import raw
from ingestion.api import GraderApi
from ingestion.batches import Fetched, put_aside
from ingestion.errors import ApiError, CancelledError, IngestionError, LoadError
from ingestion.warehouse import Warehouse
from ingestion.windows import DAY, Window, slices

log = logging.getLogger(__name__)

_MIB = 1 << 20


@dataclass(frozen=True)
class Pace:
    """How much is done at once.

    `threads` slices are fetched at a time, up to `ahead` before the one due, none new while
    `waiting_most` bytes wait on disk. A batch is loaded when nothing more waits and it has `batch_bytes`
    or is `batch_seconds` old, or when it has `batch_bytes_most`.
    """

    slice_length: timedelta = DAY
    threads: int = 3
    ahead: int = 48
    waiting_most: int = 192 * _MIB
    batch_bytes: int = 64 * _MIB
    batch_bytes_most: int = 256 * _MIB
    batch_seconds: float = 60


@dataclass(frozen=True)
class Progress:
    """How far an ingest has come."""

    slices: int
    slices_fetched: int
    records_fetched: int
    records_loaded: int


@dataclass
class IngestReport:
    """What an ingest did; counts are of committed loads."""

    slices: int = 0
    slices_loaded: int = 0
    load_ids: list[str] = field(default_factory=list)
    fetched: int = 0
    repaired: int = 0
    kept_as_text: int = 0
    removed: int = 0


def ingest(
    api: GraderApi,
    warehouse: Warehouse,
    asked: Sequence[Window],
    work_dir: Path,
    now: Callable[[], datetime],
    progress: Callable[[Progress], None] = lambda _: None,
    pace: Pace | None = None,
    check: Callable[[], None] = lambda: None,
) -> IngestReport:
    """Fetch every window of `asked`, in order, and commit the records in the raw schema.

    A window whose last pass was left unfinished is resumed. `work_dir` belongs to this database alone;
    it is emptied first, and dlt's working folder stays in it afterwards. `now` gives aware instants;
    `progress` is called in this thread; `check` is called before each load and may raise to stop there.

    Raises ApiError (what was fetched before is committed), LoadError, WarehouseError.
    """
    pace = pace or Pace()
    removed = raw.prepare(warehouse)
    todo = _slices_to_fetch(warehouse, asked, now(), pace.slice_length)
    report = IngestReport(slices=len(todo), removed=removed)
    records_fetched = 0
    # dlt would load what a killed run has prepared there instead of what is fetched now.
    shutil.rmtree(work_dir, ignore_errors=True)
    waiting = work_dir / "waiting"
    waiting.mkdir(parents=True)
    work_dir.chmod(0o700)
    try:
        with closing(_FetchAhead(api, todo, waiting, pace)) as ahead:
            # It takes half a second to import dlt, in which the first days are fetched.
            from ingestion.source import load

            while not ahead.is_exhausted:
                batch: list[Fetched] = []
                for answers in _next_batch(ahead, pace):
                    batch += answers
                    records_fetched += sum(answer.records for answer in answers)
                    progress(Progress(report.slices, ahead.taken, records_fetched, report.fetched))
                check()
                report.load_ids.append(load(warehouse, batch, work_dir, partial(ahead.release, batch)))
                with warehouse.session() as cursor:
                    raw.set_watermark(cursor)
                report.slices_loaded = ahead.taken
                for answer in batch:
                    report.fetched += answer.records
                    report.repaired += answer.repaired
                    report.kept_as_text += answer.kept_as_text
                progress(Progress(report.slices, ahead.taken, records_fetched, report.fetched))
    except ApiError as error:
        log.error("%s", error)
        raise
    finally:
        shutil.rmtree(waiting, ignore_errors=True)
    return report


def _slices_to_fetch(
    warehouse: Warehouse, asked: Sequence[Window], now: datetime, length: timedelta
) -> list[tuple[Window, Window, str]]:
    """Each slice, the window asked for that it is a part of, and the id of the pass over that."""
    with warehouse.session() as cursor:
        rounds = [(window, *raw.open_round(cursor, window)) for window in asked]
    return [
        (part, window, round_id)
        for window, round_id, rest in rounds
        for hole in rest
        for part in slices(hole, now, length)
    ]


class _FetchAhead:
    """Fetches slices in a few threads and hands them over strictly in order.

    A pool of `concurrent.futures` would keep a stopped process alive until the last request has ended.
    """

    def __init__(self, api: GraderApi, todo: Sequence[tuple[Window, Window, str]], folder: Path, pace: Pace) -> None:
        self._api = api
        self._folder = folder
        self._pace = pace
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self.taken = 0
        self._waiting = 0
        self._last = len(todo)
        self._pool = ThreadPool(pace.threads)
        self._results = [self._pool.apply_async(self._fetch, (number, *item)) for number, item in enumerate(todo)]

    def close(self) -> None:
        """Begin nothing more, and let what is under way end by itself."""
        with self._changed:
            self._stopped.set()
            self._changed.notify_all()
        self._pool.terminate()

    @property
    def is_exhausted(self) -> bool:
        return self.taken == len(self._results)

    def take(self, timeout: float | None = None) -> list[Fetched] | None:
        """The next slice's answers; None when they don't come in `timeout` seconds. Raises what fetching them did."""
        try:
            answers = self._results[self.taken].get(timeout)
        except multiprocessing.TimeoutError:
            return None
        with self._changed:
            self.taken += 1
            self._changed.notify_all()
        return answers

    def release(self, answers: Sequence[Fetched]) -> None:
        """Let others be fetched in the place of these, whose files are gone."""
        with self._changed:
            self._waiting -= _size(answers)
            self._changed.notify_all()

    def _fetch(self, number: int, window: Window, asked: Window, round_id: str) -> list[Fetched]:
        with self._changed:
            self._changed.wait_for(lambda: self._is_given_up(number) or self._may_begin(number))
            if self._is_given_up(number):
                raise CancelledError("Fetching was given up.")
        began = time.monotonic()
        try:
            answers = [
                put_aside(answer, asked, round_id, self._folder / uuid.uuid4().hex)
                for answer in self._api.fetch(window, self._stopped)
            ]
        except (IngestionError, OSError) as error:
            with self._changed:
                self._last = min(self._last, number)
                self._changed.notify_all()
            if isinstance(error, IngestionError):
                raise
            raise LoadError(
                f"What was fetched for {window} can't be written to {self._folder.parent}: {error.strerror}. "
                "What to do: make room or correct the folder's permissions, then run again."
            ) from None
        records = sum(answer.records for answer in answers)
        log.info("Fetched %s: %d records in %.2f s.", window, records, time.monotonic() - began)
        with self._changed:
            self._waiting += _size(answers)
        return answers

    def _may_begin(self, number: int) -> bool:
        ahead = number - self.taken
        return not ahead or (ahead < self._pace.ahead and self._waiting < self._pace.waiting_most)

    def _is_given_up(self, number: int) -> bool:
        return self._stopped.is_set() or number > self._last


def _next_batch(ahead: _FetchAhead, pace: Pace) -> Iterator[list[Fetched]]:
    """The answers of the slices for one load, as they come in. Raises what fetching the first did."""
    began, size = time.monotonic(), 0
    answers = ahead.take()
    while answers is not None:
        yield answers
        size += _size(answers)
        if ahead.is_exhausted or size >= pace.batch_bytes_most:
            return
        rest = 0 if size >= pace.batch_bytes else began + pace.batch_seconds - time.monotonic()
        try:
            answers = ahead.take(timeout=max(rest, 0))
        except IngestionError:
            # What came in before is loaded first; the next batch meets the error again.
            return


def _size(answers: Sequence[Fetched]) -> int:
    return sum(answer.size for answer in answers)
