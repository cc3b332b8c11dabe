"""Names of the attention stage's files: the figure reads them without loading the model code."""

MAPS = "attention.safetensors"
INDEX = "attention.json"
