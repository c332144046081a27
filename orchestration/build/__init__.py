"""Build: dbt in one transaction, and what it says about the records of a run."""
