"""Findings to SR and SEG: pure functions from values and source data sets to finished objects."""
