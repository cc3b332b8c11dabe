"""easy-VQA: 13 possible answers about one coloured shape, scored by exact match."""
