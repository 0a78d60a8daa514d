"""Where things live, from the repository's root, whatever the current folder."""
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "data" / "MNIST" / "raw"
CHECKPOINT = "checkpoint.safetensors"  # of a run, in its folder
