"""What a run did, as values: the screen, the mail and the log all show it from here."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

MANY_REJECTED = 0.05
"""The share of a run's records from which on rejections are worth a look, whatever is usual."""


@dataclass(frozen=True)
class Stage:
    """One stage of a run, with its wall time in seconds and its counts in words."""

    name: str
    outcome: Literal["done", "failed"]
    seconds: float
    detail: str


@dataclass(frozen=True)
class Step:
    """How far a stage has come: `done` of `total` parts (None: not known), and what it is at, in words."""

    stage: str
    text: str = ""
    done: int = 0
    total: int | None = None


@dataclass(frozen=True)
class LoadCounts:
    """What became of the records this run loaded; `fetched == accepted + repeated + rejected`."""

    fetched: int
    accepted: int
    repeated: int
    rejected: int
    rejected_by_reason: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class TestResult:
    """One data test that did not simply pass.

    `sample` has a few failing rows, which name no learner; `description` is dbt's: what it means and
    what to do.
    """

    __test__ = False  # pytest looks into every class whose name begins with Test

    name: str
    status: Literal["warn", "fail", "error"]
    failures: int
    message: str
    sample: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True)
class TestCounts:
    """How the data tests of a build ended."""

    __test__ = False

    passed: int
    warned: int
    failed: int
    skipped: int
    results: tuple[TestResult, ...] = ()


@dataclass(frozen=True)
class MetricVerdict:
    """A row of `marts.daily_verdicts`: a figure of a day, what is usual for it, and the verdict."""

    metric: str
    verdict: str
    value: float | None
    expected: float | None
    low: float | None
    high: float | None

    @property
    def is_usual(self) -> bool:
        return self.verdict in ("normal", "no_history")


@dataclass(frozen=True)
class DayVerdict:
    """Whether a day was as usual: the worst of its figures' verdicts."""

    day: date
    verdict: Literal["suspect", "unusual", "normal", "no_history"]
    metrics: tuple[MetricVerdict, ...] = ()

    @property
    def is_suspect(self) -> bool:
        return self.verdict == "suspect"

    @property
    def out_of_band(self) -> tuple[MetricVerdict, ...]:
        """The figures that were not as usual: the suspect ones first, of those rejections, which explain the rest."""
        found = (figure for figure in self.metrics if not figure.is_usual)
        return tuple(sorted(found, key=lambda figure: (figure.verdict != "suspect", figure.metric != "rejected_share")))


@dataclass(frozen=True)
class Delivery:
    """One delivery: where it went (`target`: an address or a file), and what happened, in words."""

    name: str
    ok: bool
    target: str
    detail: str


@dataclass
class RunSummary:
    """A run from its start to its deliveries. Times are aware, in UTC; texts hold no secrets."""

    run_id: str
    command: str
    started_at: datetime
    demo: bool
    log_file: str
    finished_at: datetime | None = None
    stages: list[Stage] = field(default_factory=list)
    records_loaded: int = 0
    """So far, in complete loads of this run."""
    loads: LoadCounts | None = None
    tests: TestCounts | None = None
    verdict: DayVerdict | None = None
    failure: str | None = None
    deliveries: list[Delivery] = field(default_factory=list)
    log_tail: tuple[str, ...] = ()

    @property
    def undelivered(self) -> list[Delivery]:
        return [delivery for delivery in self.deliveries if not delivery.ok]

    @property
    def unusual(self) -> DayVerdict | None:
        """The verdict on the last full day, when a figure was not as usual."""
        return self.verdict if self.verdict and self.verdict.out_of_band else None

    @property
    def outcome(self) -> Literal["done", "failed", "delivery failed", "suspect day"]:
        if self.failure is not None:
            return "failed"
        if self.undelivered:
            return "delivery failed"
        return "suspect day" if self.verdict and self.verdict.is_suspect else "done"

    @property
    def unusual_rejections(self) -> bool:
        """Whether this run's records were rejected more often than is usual, or so many that it matters anyway."""
        judged = self.verdict.out_of_band if self.verdict else ()
        share = self.loads.rejected / self.loads.fetched if self.loads and self.loads.fetched else 0
        return share >= MANY_REJECTED or any(figure.metric == "rejected_share" for figure in judged)

    @property
    def failed_stage(self) -> str | None:
        return next((stage.name for stage in self.stages if stage.outcome == "failed"), None)
