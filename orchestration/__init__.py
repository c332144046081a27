"""Settings, log, lock, stages and the command line: what makes a pipeline of ingestion, dbt and deliveries."""

import gc

# Importing dlt and dbt makes very many objects that all stay; looking through them again and again would be a tenth of a
# short run. Here, because it has to come before the imports.
gc.set_threshold(100_000, 20, 100)
