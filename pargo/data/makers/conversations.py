"""Makes `conversations`: shards from images and annotations."""

from pargo.config.sources.conversations import ConversationsSource
from pargo.data.importers.conversations import import_conversations
from pargo.data.makers import Job


def make(source: ConversationsSource, job: Job) -> None:
    import_conversations(source, job.directory)
