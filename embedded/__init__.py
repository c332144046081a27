"""Everything that stands in for an outside party: PostgreSQL, the demo API, files for the sheet and the mail."""
