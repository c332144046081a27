"""ingest(): windows asked for -> the API's records committed in the raw schema.

    fetch ahead (a few threads)  ->  gather a batch  ->  write its CSV  ->  load it with dlt

A few threads fetch days ahead and put their records aside on disk, within bounds. The caller's thread takes them in order
and loads them in batches; meanwhile the threads go on. A slow API's days are committed soon, a fast one's in few loads.
"""

from __future__ import annotations

import logging
import multiprocessing
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import TYPE_CHECKING

from ingestion import raw
from ingestion.api import GraderApi
from ingestion.errors import ApiError, CancelledError, IngestionError, LoadError
from ingestion.load import load
from ingestion.source import Fetched, Pass, put_aside
from ingestion.windows import DAY, Window, slices

if TYPE_CHECKING:
    from ingestion.warehouse import Warehouse

log = logging.getLogger(__name__)

_MIB = 1 << 20


@dataclass(frozen=True)
class Pace:
    """How much is done at once.

    `threads` slices are fetched at a time, up to `ahead` before the one due, none new while `waiting_most` bytes wait on disk.
    A batch is loaded when nothing more waits and it has `batch_bytes` or is `batch_seconds` old, or at `batch_bytes_most`.
    """

    slice_length: timedelta = DAY
    threads: int = 3
    ahead: int = 32
    waiting_most: int = 128 * _MIB
    batch_bytes: int = 16 * _MIB
    batch_bytes_most: int = 192 * _MIB
    batch_seconds: float = 60


@dataclass(frozen=True)
class Progress:
    """How far an ingest has come. `window` is the slice fetched last."""

    slices: int
    slices_fetched: int
    slices_loaded: int
    records_fetched: int
    records_loaded: int
    window: Window | None


@dataclass
class IngestReport:
    """What an ingest did; counts are of committed loads. `size` is in bytes, as answered."""

    windows: list[Window]
    slices: int = 0
    slices_loaded: int = 0
    load_ids: list[str] = field(default_factory=list)
    fetched: int = 0
    repaired: int = 0
    kept_as_text: int = 0
    size: int = 0
    removed: int = 0
    seconds: float = 0


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

    A window whose last pass was left unfinished is resumed. `work_dir` belongs to this database alone and is emptied first;
    afterwards it holds dlt's working folder (`dlt pipeline --pipelines-dir …`), which nothing depends on. `now` gives aware
    instants; `progress` is called in this thread; `check` is called before each load and may raise to stop there.

    Raises ApiError (what was fetched before is committed), LoadError, WarehouseError.
    """
    began = time.monotonic()
    pace = pace or Pace()
    report = IngestReport(list(asked))
    report.removed = raw.prepare(warehouse)
    todo = _slices_to_fetch(warehouse, asked, now(), pace.slice_length)
    report.slices = len(todo)
    _empty(work_dir)
    waiting = work_dir / "waiting"
    waiting.mkdir(mode=0o700)
    try:
        with _FetchAhead(api, todo, waiting, pace) as ahead:
            _load_all(warehouse, ahead, work_dir, pace, progress, check, report)
    except ApiError as error:
        log.error("%s", error)
        raise
    finally:
        shutil.rmtree(waiting, ignore_errors=True)
    report.seconds = time.monotonic() - began
    log.info(
        "Ingested %d records (%d repaired, %d kept as text) of %d slices in %d loads, %.1f s.",
        report.fetched,
        report.repaired,
        report.kept_as_text,
        report.slices_loaded,
        len(report.load_ids),
        report.seconds,
    )
    return report


def _slices_to_fetch(
    warehouse: Warehouse, asked: Sequence[Window], now: datetime, length: timedelta
) -> list[tuple[Window, Pass]]:
    with warehouse.session() as cursor:
        rounds = [(window, *raw.open_round(cursor, window)) for window in asked]
    return [
        (piece, Pass(window, round_id))
        for window, round_id, rest in rounds
        for part in rest
        for piece in slices(part, now, length)
    ]


def _empty(work_dir: Path) -> None:
    """Leave nothing in the folder: dlt would load what a killed run has prepared instead of what is fetched now."""
    work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in work_dir.iterdir():
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        else:
            left.unlink()


@dataclass(frozen=True)
class _Slice:
    """A fetched slice: all its answers."""

    window: Window
    answers: list[Fetched]
    seconds: float

    @property
    def records(self) -> int:
        return sum(answer.records for answer in self.answers)

    @property
    def size(self) -> int:
        return sum(answer.size for answer in self.answers)


class _FetchAhead:
    """Fetches slices in a few threads and hands them over strictly in order, their records in files in `folder`.

    A pool of `multiprocessing` rather than of `concurrent.futures`, which would keep a stopped process alive until the last
    request has ended.
    """

    def __init__(self, api: GraderApi, todo: Sequence[tuple[Window, Pass]], folder: Path, pace: Pace) -> None:
        self._api = api
        self._folder = folder
        self._pace = pace
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._taken = 0
        self._waiting = 0
        self._last = len(todo)
        self._pool = ThreadPool(pace.threads)
        self._results = [
            self._pool.apply_async(self._fetch, (number, *item)) for number, item in enumerate(todo)
        ]

    def __enter__(self) -> _FetchAhead:
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._stopped.set()
            self._changed.notify_all()
        self._pool.terminate()

    @property
    def is_exhausted(self) -> bool:
        """Whether every slice was taken."""
        return self._taken == len(self._results)

    def take(self, timeout: float | None = None) -> _Slice | None:
        """The next slice, or None when it doesn't come in `timeout` seconds. Raises ApiError, LoadError, each time again."""
        try:
            fetched = self._results[self._taken].get(timeout)
        except multiprocessing.TimeoutError:
            return None
        with self._changed:
            self._taken += 1
            self._waiting -= fetched.size
            self._changed.notify_all()
        log.info("Fetched %s: %d records in %.2f s.", fetched.window, fetched.records, fetched.seconds)
        return fetched

    def _fetch(self, number: int, window: Window, asked: Pass) -> _Slice:
        with self._changed:
            self._changed.wait_for(lambda: self._is_given_up(number) or self._may_begin(number))
            if self._is_given_up(number):
                raise CancelledError("Fetching was given up.")
        began = time.monotonic()
        try:
            answers = self._api.fetch(window, self._stopped)
            waiting = [put_aside(answer, asked, self._folder / uuid.uuid4().hex) for answer in answers]
        except IngestionError:
            with self._changed:
                self._last = min(self._last, number)
                self._changed.notify_all()
            raise
        except OSError as error:
            reason = error.strerror
        else:
            fetched = _Slice(window, waiting, time.monotonic() - began)
            with self._changed:
                self._waiting += fetched.size
            return fetched
        raise LoadError(
            f"What was fetched for {window} can't be written to {self._folder.parent}: {reason}. "
            "What to do: make room or correct the folder's permissions, then run again."
        )

    def _may_begin(self, number: int) -> bool:
        return number == self._taken or (
            number < self._taken + self._pace.ahead and self._waiting < self._pace.waiting_most
        )

    def _is_given_up(self, number: int) -> bool:
        return self._stopped.is_set() or number > self._last


def _load_all(
    warehouse: Warehouse,
    ahead: _FetchAhead,
    work_dir: Path,
    pace: Pace,
    progress: Callable[[Progress], None],
    check: Callable[[], None],
    report: IngestReport,
) -> None:
    """Load batch after batch until every slice is loaded."""
    slices_fetched = records_fetched = 0
    window: Window | None = None

    def show() -> None:
        progress(
            Progress(
                slices=report.slices,
                slices_fetched=slices_fetched,
                slices_loaded=report.slices_loaded,
                records_fetched=records_fetched,
                records_loaded=report.fetched,
                window=window,
            )
        )

    while not ahead.is_exhausted:
        batch = []
        for piece in _next_batch(ahead, pace):
            batch.append(piece)
            slices_fetched += 1
            records_fetched += piece.records
            window = piece.window
            show()
        check()
        answers = [answer for piece in batch for answer in piece.answers]
        report.load_ids.append(load(warehouse, answers, work_dir))
        with warehouse.session() as cursor:
            raw.set_watermark(cursor)
        report.slices_loaded += len(batch)
        for answer in answers:
            report.fetched += answer.records
            report.repaired += answer.repaired
            report.kept_as_text += answer.kept_as_text
            report.size += answer.size
        show()


def _next_batch(ahead: _FetchAhead, pace: Pace) -> Iterator[_Slice]:
    """The slices of one load, as they come in. Raises what the fetching of the first of them raised."""
    began = time.monotonic()
    size = 0
    piece = ahead.take()
    while piece is not None:
        yield piece
        size += piece.size
        if ahead.is_exhausted or size >= pace.batch_bytes_most:
            return
        rest = began + pace.batch_seconds - time.monotonic()
        try:
            piece = ahead.take(timeout=0 if size >= pace.batch_bytes else max(rest, 0))
        except IngestionError:
            # What came in before is loaded first; the next batch meets the error again.
            return
