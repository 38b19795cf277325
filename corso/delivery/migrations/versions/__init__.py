"""The steps, oldest first; the number of a file is the version that it leads to."""
