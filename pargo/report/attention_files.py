"""Files of the stage `attention`, for those that read them without loading the model code."""

MAPS = "attention.safetensors"
INDEX = "attention.json"
EVEN = 0.5  # of an even share of attention: a patch with less counts as not looked at
