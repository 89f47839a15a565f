"""Where pictures come from: files, datasets, and scenes drawn on the spot."""
