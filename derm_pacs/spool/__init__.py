"""The append-only store of what peers sent: journal with group commit, recovery, reading, deletion of segments."""
