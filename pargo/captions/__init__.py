"""Captions: how they are made from annotations or images, filtered, and described."""
