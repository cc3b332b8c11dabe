"""MMBench: multiple choice, right only where it is answered right under every rotation of the options."""
