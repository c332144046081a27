"""ingest(): windows asked for -> the API's records committed in the raw schema.

Fetching, preparing and loading overlap: a few threads fetch slices ahead, one writes them in order into the
next load package, and the caller's thread brings finished packages into the warehouse. As much goes into a
package as comes in while the one before is loaded, within bounds, so that a slow API's slices are committed
soon and a fast one's in few loads.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ingestion import raw
from ingestion.api import Answer, GraderApi
from ingestion.errors import ApiError, IngestionError, LoadError
from ingestion.load import Loader, RefusedError, Staged
from ingestion.prefetch import Prefetch
from ingestion.sift import sifted
from ingestion.spool import Ask, Fetched, pack
from ingestion.windows import DAY, Window, slices

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from ingestion.warehouse import Warehouse

log = logging.getLogger(__name__)

_MIB = 1 << 20
# How often a thread that waits looks whether it still should, in seconds.
_GLANCE = 0.2
# Records with suspicious numbers are looked for among so many of an ingest's first ones, and among all after one was found.
_LOOKED_AT = 20_000


@dataclass(frozen=True)
class Pace:
    """How much is done at once.

    `threads` slices are fetched at a time, up to `ahead` before the one due, none new while
    `waiting_most` bytes wait on disk.
    A package is closed when the loader is free and it has `batch_bytes` or is `batch_seconds` old, or at
    `batch_bytes_most`.
    """

    slice_length: timedelta = DAY
    threads: int = 3
    ahead: int = 6
    waiting_most: int = 64 * _MIB
    batch_bytes: int = 16 * _MIB
    batch_bytes_most: int = 128 * _MIB
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

    A window whose last pass was left unfinished is taken up where it was. `work_dir` is for this run alone
    and may be lost at any time; `now` gives aware instants; `progress` is called in this thread or another,
    one at a time; `check` is called before each load and may raise what it likes to stop there.

    Raises ApiError (what was fetched before is committed), LoadError, WarehouseError.
    """
    began = time.monotonic()
    report = IngestReport(list(asked))
    report.removed = raw.prepare(warehouse)
    pace = pace or Pace()
    with warehouse.session(autocommit=True) as cursor:
        todo = [
            (piece, Ask(window, round_id))
            for window in asked
            for round_id, rest in [raw.open_round(cursor, window)]
            for part in rest
            for piece in slices(part, now(), pace.slice_length)
        ]
        report.slices = len(todo)
        if todo:
            _Ingest(api, warehouse, todo, work_dir, progress, check, pace, cursor, report).run()
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


@dataclass(frozen=True)
class _Piece:
    """A fetched slice: all its answers."""

    window: Window
    answers: list[Fetched]
    seconds: float

    @property
    def weight(self) -> int:
        return sum(sum(answer.parts) for answer in self.answers)


class _Ingest:
    """One run of ingest(): its threads and what they share."""

    def __init__(
        self,
        api: GraderApi,
        warehouse: Warehouse,
        todo: Sequence[tuple[Window, Ask]],
        work_dir: Path,
        progress: Callable[[Progress], None],
        check: Callable[[], None],
        pace: Pace,
        cursor: Cursor,
        report: IngestReport,
    ) -> None:
        self._api = api
        self._progress = progress
        self._check = check
        self._pace = pace
        self._cursor = cursor
        self._report = report
        self._loader = Loader(warehouse, work_dir)
        self._waiting = self._loader.new_folder()
        self._stopped = threading.Event()
        self._free = threading.Event()
        self._packages: queue.Queue[tuple[Staged, int] | None] = queue.Queue(maxsize=1)
        self._failure: BaseException | None = None
        self._showing = threading.Lock()
        self._slices_fetched = self._records_fetched = 0
        self._window: Window | None = None
        self._is_suspicious = False
        self._looked_at = 0
        self._fetching: Prefetch[tuple[Window, Ask], _Piece] = Prefetch(
            todo, self._fetch, lambda piece: piece.weight, pace.threads, pace.ahead, pace.waiting_most
        )

    def run(self) -> None:
        """Load until everything is, or something fails."""
        staging = threading.Thread(target=self._stage_all, name="stage", daemon=True)
        staging.start()
        try:
            while (package := self._next_package()) is not None:
                staged, pieces = package
                self._commit(staged)
                self._report.slices_loaded += pieces
                self._show()
        finally:
            self._stopped.set()
            self._fetching.stop()
            staging.join()
            self._loader.clean()
        if isinstance(self._failure, ApiError):
            log.error("%s", self._failure)
        if self._failure is not None:
            raise self._failure

    def _next_package(self) -> tuple[Staged, int] | None:
        self._free.set()
        package = self._packages.get()
        self._free.clear()
        return package

    def _commit(self, staged: Staged) -> None:
        self._check()
        if not self._is_taken(staged):
            staged = self._mended(staged)
        raw.settle(self._cursor)
        report = self._report
        report.load_ids.append(staged.load_id)
        for answer in staged.written:
            report.fetched += answer.records
            report.repaired += answer.repaired
            report.kept_as_text += answer.kept_as_text
            report.size += answer.size

    def _mended(self, staged: Staged) -> Staged:
        """Load a package that was refused without what PostgreSQL can't store; returns what was loaded instead."""
        self._is_suspicious = True
        for thorough in (False, True):
            log.info("PostgreSQL can't store some record of load %s as JSON: looking for it.", staged.load_id)
            raw.remove_unfinished(self._cursor)
            answers = self._loader.unpacked(staged)
            again = self._loader.stage(sifted(self._cursor, answer, thorough) for answer in answers)
            self._loader.drop(staged)
            staged = again
            if not thorough and self._is_taken(staged):
                return staged
        self._loader.commit(staged)
        return staged

    def _is_taken(self, staged: Staged) -> bool:
        """Load the package; False when PostgreSQL can't store one of its records."""
        try:
            self._loader.commit(staged)
        except RefusedError:
            return False
        return True

    def _fetch(self, item: tuple[Window, Ask]) -> _Piece:
        window, ask = item
        began = time.monotonic()
        answers = self._api.fetch(window, self._stopped)
        try:
            waiting = [self._pack(answer, ask) for answer in answers]
            return _Piece(window, waiting, time.monotonic() - began)
        except OSError as error:
            reason = error.strerror
        raise LoadError(
            f"What was fetched for {window} can't be written to {self._waiting.parent}: {reason}. "
            "What to do: make room or mend the folder's permissions, then run again."
        )

    def _pack(self, answer: Answer, ask: Ask) -> Fetched:
        look = self._is_suspicious or self._looked_at < _LOOKED_AT
        packed = pack(answer, ask, self._waiting / uuid.uuid4().hex, look)
        if look:
            self._looked_at += packed.records
        if packed.suspects:
            self._is_suspicious = True
        return packed

    def _stage_all(self) -> None:
        """The staging thread: one package after another, until there is nothing more or something fails."""
        try:
            while self._failure is None and not self._stopped.is_set() and not self._fetching.exhausted:
                first = self._fetching.take()
                if first is not None:
                    gathered = self._slices_fetched
                    staged = self._loader.stage(self._gather(first))
                    self._hand_over((staged, self._slices_fetched - gathered))
        except BaseException as error:  # noqa: BLE001 raised where the caller waits
            self._failure = self._failure or error
        finally:
            self._hand_over(None)

    def _gather(self, first: _Piece) -> Iterator[Fetched]:
        """The answers of one package, as they come in, so that PostgreSQL can most likely store them."""
        began, size = time.monotonic(), 0
        piece: _Piece | None = first
        # One of this thread's own: cursors, other than connections, are not for several.
        with self._cursor.connection.cursor() as cursor:
            while piece is not None:
                self._note(piece)
                for answer in piece.answers:
                    yield sifted(cursor, answer) if answer.suspects else answer
                size += piece.weight
                piece = self._next_piece(size, began)

    def _next_piece(self, size: int, began: float) -> _Piece | None:
        """The next slice, or None when the package should be closed."""
        pace = self._pace
        while not self._fetching.exhausted and size < pace.batch_bytes_most:
            enough = size >= pace.batch_bytes or time.monotonic() - began >= pace.batch_seconds
            if enough and self._free.is_set():
                break
            try:
                piece = self._fetching.take(timeout=_GLANCE)
            except IngestionError as error:
                # What has come in before the failure is loaded all the same.
                self._failure = error
                break
            if piece is not None:
                return piece
        return None

    def _hand_over(self, package: tuple[Staged, int] | None) -> None:
        while not self._stopped.is_set():
            try:
                self._packages.put(package, timeout=_GLANCE)
                return
            except queue.Full:
                continue

    def _note(self, piece: _Piece) -> None:
        records = sum(answer.records for answer in piece.answers)
        log.info("Fetched %s: %d records in %.2f s.", piece.window, records, piece.seconds)
        self._slices_fetched += 1
        self._records_fetched += records
        self._window = piece.window
        self._show()

    def _show(self) -> None:
        with self._showing:
            report = self._report
            self._progress(
                Progress(
                    slices=report.slices,
                    slices_fetched=self._slices_fetched,
                    slices_loaded=report.slices_loaded,
                    records_fetched=self._records_fetched,
                    records_loaded=report.fetched,
                    window=self._window,
                )
            )
