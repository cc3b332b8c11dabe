"""Models: frozen vision tower, projector (the paper's subject), language model with LoRA, and the three together."""
