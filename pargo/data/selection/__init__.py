"""Which images are captioned: fingerprints, near duplicates, and the choice among them."""
