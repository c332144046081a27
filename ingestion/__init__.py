"""Extract and load: any window of the grader's API, verbatim, into the raw schema, by dlt.

Knows the API, dlt and PostgreSQL, and nothing of dbt or the orchestration; judges nothing.
"""
