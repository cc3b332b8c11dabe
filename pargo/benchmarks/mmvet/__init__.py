"""MM-Vet: open answers that need several capabilities at once, graded 0 to 1 by a judge model."""
