"""Data: sources and how they are fetched, rendered and stored."""
