"""SQLAlchemy tables, the queries by their meaning, filing, the audit chain and the faults."""
