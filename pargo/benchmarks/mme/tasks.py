"""MME's 14 tasks, in the order of the official calculation.py, and how many images each has."""

from __future__ import annotations

# two questions an image: 1187 images, 2374 questions
NUM_IMAGES = {
    "existence": 30,
    "count": 30,
    "position": 30,
    "color": 30,
    "posters": 147,
    "celebrity": 170,
    "scene": 200,
    "landmark": 200,
    "artwork": 200,
    "OCR": 20,
    "commonsense_reasoning": 70,
    "numerical_calculation": 20,
    "text_translation": 20,
    "code_reasoning": 20,
}
TASKS = tuple(NUM_IMAGES)
# the official tool's two sums of task scores
GROUPS = {"perception": TASKS[:10], "cognition": TASKS[10:]}
