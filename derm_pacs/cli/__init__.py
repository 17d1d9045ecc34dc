"""The command line: one file a noun; parse, call, print."""
