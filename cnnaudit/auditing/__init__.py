"""Audit: which cues a classifier leans on, each tested by intervention."""
