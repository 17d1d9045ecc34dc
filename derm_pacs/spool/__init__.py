"""The append-only store of received objects: record, journal, group commit, recovery, reading a slice back."""
