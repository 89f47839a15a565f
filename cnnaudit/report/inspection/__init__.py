"""The page of an inspection: one module a section, which makes its view and its part of the twin."""
