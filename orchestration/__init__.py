"""Settings, log, lock, stages and the command line: what makes a pipeline of ingestion, dbt and deliveries."""
