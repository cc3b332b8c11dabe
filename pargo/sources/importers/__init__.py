"""Importers: from files of packages, datasets, pools of tars and models, as others write them, to what stages read."""
