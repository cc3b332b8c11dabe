"""Models answer questions: prompts, batches, answers saved on the way, and the stage `evaluate`."""
