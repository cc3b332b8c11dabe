"""Makes `language_model`: a transformers directory from a model in one of several forms."""

from pathlib import Path

from pargo.config.sources.language_model import LanguageModelSource
from pargo.sources.importers.convert import import_language_model
from pargo.sources.makers import Job


def make(source: LanguageModelSource, job: Job) -> None:
    import_language_model(Path(source.path), job.directory, source.shape.model_dump())
