"""Typed, frozen configuration: which paper is run.

One short file a topic, so that a stage depends only on the settings it reads: a new field of the report does not
retrain a model. `experiment.load_config` reads a file; the functions of `stages` cut out what one stage reads.
"""
