"""The walk of a study: the stages in order, one file a stage."""
