"""Forms of official files that several benchmarks share: folders, zips, tables, lines."""
