"""Puts this tree and the repository on Python's path; each script imports it first."""
import sys
from pathlib import Path

sys.path[:0] = map(str, Path(__file__).resolve().parents[1:3])
