"""ParGo-Repro: the paper's projector, and the pipeline that trains, evaluates and reports it."""

__version__ = "0.1.0"
