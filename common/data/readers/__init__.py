"""Readers of data sets, one per kind of file; each has NAMES_COUNT and two functions, and none unpickles anything.

NAMES_COUNT: whether the data set's digest covers the names of its files.
find(place) -> the files of the data set at a path, in a fixed order, or None if it is of another kind.
read(place, files) -> Source, the pictures and labels as they are stored."""
