"""Details: which facts of an image its caption gets right, by kind: existence, count, color, shape, place, text."""
