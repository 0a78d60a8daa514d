"""The notebook runs from its first cell to its last, and shows what it showed when the pictures were made."""
import nbformat
from conftest import ROOT
from nbclient import NotebookClient

PATH = ROOT / "tutorial.ipynb"


def shown(notebook):
    """How many pictures each cell shows; all that is printed."""
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    pictures = [sum("image/png" in output.get("data", {}) for output in each) for each in outputs]
    return pictures, "".join(output.get("text", "") for each in outputs for output in each)


def test_the_notebook_runs():
    notebook = nbformat.read(PATH, as_version=4)
    nbformat.validate(notebook)
    pictures, said = shown(notebook)
    assert PATH.stat().st_size < 1_000_000 and str(ROOT) not in said and "Traceback" not in said
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT)}}).execute()
    found, said = shown(notebook)
    assert found == pictures and sum(found) >= 15 and "Traceback" not in said
    assert "torchvision: True 7" in said and "Jittor: True 7" in said
    assert int(said.partition("largest difference: ")[2].split()[0]) <= 2, said
