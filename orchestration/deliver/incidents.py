"""Incidents in words: what happened to a task, the evidence, what to look at."""

from orchestration.deliver.catalogue import mark
from orchestration.deliver.columns import Row
from orchestration.deliver.words import Words

KINDS = {
    "broken": mark("The check may be broken"),
    "hard": mark("Learners struggle"),
    "passes_everything": mark("The check passes everything"),
    "mute": mark("The grader gives no verdicts"),
}
ADVICE = {
    "broken": mark("Look at the check first: those who can do it fail as well."),
    "hard": mark("The check seems sound: look at the statement, and at what the course teaches before it."),
    "passes_everything": mark("Look at the check: it seems to accept any answer."),
    "mute": mark("At least a fifth of the day's submits got no verdict: see whether the check runs at all."),
}


def evidence(incident: Row, words: Words) -> str:
    """What speaks for an incident (a row of `task_incidents`), in a few sentences."""
    told = [
        words.plural(
            "{count} graded submit by {learners} on the day, {right} correct.",
            "{count} graded submits by {learners} on the day, {right} correct.",
            incident["graded_submits"],
            learners=words.plural("{count} learner", "{count} learners", incident["learners"]),
            right=words.share(incident["success_rate"] or 0, 0),
        )
    ]
    if incident["baseline_success_rate"] is not None:
        told.append(
            words.plural(
                "In the 28 days before, {right} of {count} graded submit.",
                "In the 28 days before, {right} of {count} graded submits.",
                incident["baseline_graded_submits"],
                right=words.share(incident["baseline_success_rate"], 0),
            )
        )
    if again := incident["solved_before_failing_now"]:
        told.append(
            words.plural(
                "{count} learner who had solved it before only fails now.",
                "{count} learners who had solved it before only fail now.",
                again,
            )
        )
    return " ".join(told)


def advice(incident: Row, words: Words) -> str:
    """What to look at."""
    advised = ADVICE[incident["kind"]]
    return words.text(advised)
