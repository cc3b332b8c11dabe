"""From a trained model directory to a directory that transformers loads, and the released checkpoint's way into it."""
