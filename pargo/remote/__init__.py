"""Servers that the project asks: captions and judges behind an OpenAI-compatible interface."""
