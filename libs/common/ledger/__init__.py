"""The ledgers: what became of every message of a stream, counted durably and exactly once."""
