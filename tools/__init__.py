"""Programs that make or check what the repo ships; nothing here serves."""
