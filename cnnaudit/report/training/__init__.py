"""What the report of a training shows: `page` for the eye, `twin` for a script."""
