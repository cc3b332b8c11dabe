"""The graph of jobs: its stages and their settings, the driver that runs it, and its record in DVC."""
