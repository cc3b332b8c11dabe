"""Importers: one file each, from the files of an unpacked wheel to the artifact that later stages read."""
