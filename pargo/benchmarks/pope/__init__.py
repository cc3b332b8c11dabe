"""POPE: yes-or-no questions about objects that are, or are not, in an image, and their official score."""
