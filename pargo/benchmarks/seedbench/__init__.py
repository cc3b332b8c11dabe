"""SEED-Bench v1, image part: 14,232 questions of nine dimensions with four options each, and their official score."""
