"""The listener: negotiation, the data path into the spool, statuses."""
