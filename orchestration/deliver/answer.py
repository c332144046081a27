"""How the last full day was, why, and what to do: the sentences that mail, sheet and report begin with."""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from orchestration.deliver.catalogue import mark
from orchestration.deliver.columns import Row
from orchestration.deliver.figures import Figures
from orchestration.deliver.words import Words, capitalised
from orchestration.summary import DayVerdict, MetricVerdict, RunSummary

Tone = Literal["good", "neutral", "unusual", "bad"]

REASONS = {
    "not_an_object": mark("the vendor's records are no JSON objects"),
    "user_id_invalid": mark("the vendor's records lack lti_user_id"),
    "passback_params_invalid": mark("passback_params of the vendor's records can't be read"),
    "lis_result_sourcedid_invalid": mark("the vendor's records lack lis_result_sourcedid"),
    "lis_outcome_service_url_invalid": mark("lis_outcome_service_url of the vendor's records is no address"),
    "oauth_consumer_key_invalid": mark("oauth_consumer_key of the vendor's records can't be read"),
    "attempt_type_invalid": mark("the vendor's records lack attempt_type"),
    "is_correct_invalid": mark("is_correct of the vendor's records is neither 0 nor 1"),
    "is_correct_on_run": mark("the vendor's records have verdicts on runs"),
    "created_at_invalid": mark("created_at of the vendor's records is no time"),
    "created_at_in_future": mark("created_at of the vendor's records lies in the future"),
}
"""What is wrong with records that are rejected for a reason, in words."""

HEADLINES = {
    "suspect": mark("{day}: the figures look wrong, check them first"),
    "unusual": mark("{day} was not as usual"),
    "normal": mark("{day} was as usual"),
    "no_history": mark("{day}: there are no earlier days to compare it with yet"),
}
TONES: dict[str, Tone] = {"suspect": "bad", "unusual": "unusual", "normal": "good", "no_history": "neutral"}

MADE_UP = mark("Made-up data: these figures come from the built-in demo API, not from the grader.")
_ASK_THE_VENDOR = mark(
    "Ask the grader's vendor what changed in the records. None is lost: the rejected ones are kept and judged again "
    "after a fix."
)
_WAS_IT_DOWN = mark("Ask whether the grader or the learning platform was down, and whether the API gave the whole day.")
_SEE_INCIDENTS = mark("Begin with the tasks under Incidents: it may be the grader that fails, not the learners.")
_SEE_MOVERS = mark("See what moved the day: a new task, a deadline or a holiday explains most such days.")
_NOTHING = mark("Nothing has to be done.")
_NOTHING_BUT = mark("Nothing has to be done, but for the incidents below.")


@dataclass(frozen=True)
class Answer:
    """The headline, one sentence why and one on what to do; the tone is the colour's reason."""

    tone: Tone
    headline: str
    why: str
    advice: str


def answer(figures: Figures, summary: RunSummary, words: Words) -> Answer:
    """The answer in the reader's language; a failed run has no new one, and says so."""
    day = figures.last_full_day
    if summary.outcome == "failed":
        return _failed(figures, summary, words)
    if day is None or not figures.days:
        return _without_figures(figures, summary, words)
    verdict = figures.verdict or DayVerdict(day.date, "no_history")
    headline = capitalised(words.text(HEADLINES[verdict.verdict], day=words.day(day.date)))
    if verdict.verdict in ("normal", "no_history"):
        why = _beside_usual(verdict, words)
        advice = words.text(_NOTHING_BUT if figures.incidents else _NOTHING)
        return Answer(TONES[verdict.verdict], headline, why, advice)
    reasons = _sentence("; ".join(map(words.reason, verdict.out_of_band)))
    causes, advice = _causes(figures, verdict, words)
    return Answer(TONES[verdict.verdict], headline, " ".join([reasons, *causes]), words.text(advice))


def main_movers(figures: Figures, dimension: str, *, by_attempts: bool = False) -> list[Row]:
    """The courses or tasks that moved the day, the largest effect first; none without one.

    The effect is the one on the success rate or, `by_attempts`, the change of attempts.
    """

    def effect(row: Row) -> float:
        return float(abs(_more(row) if by_attempts else row["success_effect"] or 0))

    found = [row for row in figures.movers if row["dimension"] == dimension and effect(row)]
    return sorted(found, key=effect, reverse=True)


def _failed(figures: Figures, summary: RunSummary, words: Words) -> Answer:
    if summary.failed_stage:
        headline = words.text("No new figures: the run failed at the stage '{stage}'", stage=summary.failed_stage)
    else:
        headline = words.text("No new figures: the run failed")
    if figures.last_full_day is None:
        why = words.text("There are no figures yet.")
    else:
        why = words.text("The last good figures are of {day}.", day=words.day(figures.last_full_day.date))
    return Answer("bad", headline, why, words.text("What is missing comes with the next run that goes well."))


def nothing_yet(figures: Figures, summary: RunSummary, words: Words) -> str:
    """Why there are no figures, in a few words."""
    if figures.loaded_at is not None:
        return words.text("No attempts were received yet")
    if summary.undelivered:
        return words.text("The figures could not be read")
    return words.text("There are no figures yet")


def _without_figures(figures: Figures, summary: RunSummary, words: Words) -> Answer:
    headline = nothing_yet(figures, summary, words)
    if figures.loaded_at is not None:
        why = words.text("The API answers, but no valid attempt came with it.")
        advice = words.text("Check with the vendor that API_URL and API_CLIENT are those of your courses.")
        return Answer("unusual", headline, why, advice)
    if summary.undelivered:
        return Answer("bad", headline, "", words.text("What is missing comes with the next run that goes well."))
    why = words.text("Nothing was loaded so far.")
    return Answer("neutral", headline, why, words.text("The figures come with the first run that loads something."))


def _beside_usual(verdict: DayVerdict, words: Words) -> str:
    shown = [figure for figure in verdict.metrics if figure.metric in ("attempts", "success_rate")]
    return _sentence("; ".join(map(words.reason, shown)))


def _causes(figures: Figures, verdict: DayVerdict, words: Words) -> tuple[list[str], str]:
    """What lies behind the figures out of their bands, the weightiest first, and what to do about it."""
    out = {figure.metric: figure for figure in verdict.out_of_band}
    if "rejected_share" in out:
        return _rejected(figures, words), _ASK_THE_VENDOR
    if "attempts" in out and not out["attempts"].value:
        return [words.text("Nothing was received for the day.")], _WAS_IT_DOWN
    if "success_rate" in out:
        return _moved(figures, out["success_rate"], words), _SEE_INCIDENTS if figures.incidents else _SEE_MOVERS
    is_low = any(figure.verdict == "unusual_low" or _is_below(figure) for figure in out.values())
    volume = out.get("attempts") or out["unique_users"]
    return _moved(figures, volume, words), _WAS_IT_DOWN if is_low else _SEE_MOVERS


def _is_below(figure: MetricVerdict) -> bool:
    return figure.value is not None and figure.low is not None and figure.value < figure.low


def _rejected(figures: Figures, words: Words) -> list[str]:
    """How many of the day's new records were rejected, and the most frequent reason."""
    counts = figures.loads_of_last_full_day
    rejected, new = sum(load.rejected for load in counts), sum(load.rejected + load.accepted for load in counts)
    reasons: Counter[str] = Counter()
    for load in counts:
        reasons.update(load.rejected_by_reason)
    if not rejected:
        return []
    [(reason, _)] = reasons.most_common(1) or [("", 0)]
    why = words.text(REASONS[reason]) if reason in REASONS else reason
    told = words.text(
        "{rejected} of {new} new records were rejected: {reason}.",
        rejected=words.count(rejected),
        new=words.count(new),
        reason=why,
    )
    return [told]


def _moved(figures: Figures, figure: MetricVerdict, words: Words) -> list[str]:
    """The course and the task that moved a figure most in its direction."""
    by_attempts = figure.metric != "success_rate"
    down = _is_below(figure)
    found = []
    for dimension in ("course", "task"):
        same_way = (
            row
            for row in main_movers(figures, dimension, by_attempts=by_attempts)
            if ((_more(row) if by_attempts else row["success_effect"]) < 0) == down
        )
        if row := next(same_way, None):
            name = words.task(row) if dimension == "task" else words.course(row["title"])
            found.append(f"{name} ({mover_effect(row, words, by_attempts=by_attempts)})")
    return [words.text("It was moved most by: {movers}.", movers="; ".join(found))] if found else []


def mover_effect(row: Row, words: Words, *, by_attempts: bool = False) -> str:
    """A mover's effect: `−1.3 pp`, or `139 attempts after 273`."""
    if not by_attempts:
        return words.points(row["success_effect"] or 0)
    before = words.count(row["attempts_before"])
    return words.plural(
        "{count} attempt after {before}", "{count} attempts after {before}", row["attempts"], before=before
    )


def _more(row: Row) -> int:
    more: int = row["attempts"] - row["attempts_before"]
    return more


def _sentence(text: str) -> str:
    return capitalised(text) + "." if text else ""
