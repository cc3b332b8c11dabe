"""Makes `conversations`: shards from images and annotations."""

from pargo.config.sources.conversations import ConversationsSource
from pargo.sources.importers.conversations import import_conversations
from pargo.sources.makers import Job


def make(source: ConversationsSource, job: Job) -> None:
    import_conversations(source, job.directory)
