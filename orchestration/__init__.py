"""Settings, log, lock, stages, commands: what makes ingestion, dbt and deliveries one pipeline."""

import gc

# Importing dlt and dbt creates very many objects that all stay; collecting them over and over would
# be a tenth of a short run. Here, because it has to come before those imports.
gc.set_threshold(100_000, 20, 100)
