"""Versions: the job graph as DVC stages, recorded after a run and restored from a commit."""
