"""Scores: the record of one, the stage that makes it, how it is shown, and two runs compared."""
