"""Readers of data sets, one per kind of file; each has two functions, and none unpickles anything.

find(place) -> the files of the data set at a path, in a fixed order, or None if it is of another kind.
read(place, files) -> Source, the pictures and labels as they are stored."""
