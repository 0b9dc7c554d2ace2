"""The wire contracts, one module each: decoder to items, encoder of vectors, documentation."""
