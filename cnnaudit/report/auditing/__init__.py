"""The page of an audit and its record in the twin."""
