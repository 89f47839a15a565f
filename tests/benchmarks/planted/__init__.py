"""Classifiers with a planted shortcut, and how well an audit finds it."""
