"""Training: one loop on the DeepSpeed engine, and the two stages that set it up."""
