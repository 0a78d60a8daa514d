"""The notebook runs from its first cell to its last, draws, and is kept without what it printed."""
import nbformat
from conftest import ROOT
from nbclient import NotebookClient


def test_the_notebook_runs():
    notebook = nbformat.read(ROOT / "tutorial.ipynb", as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT)}}).execute()
    outputs = [output for cell in cells for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 15
    said = "".join(output.get("text", "") for output in outputs)
    assert "Traceback" not in said
    assert "torchvision: True 7" in said and "Jittor: True 7" in said
    difference = int(said.partition("largest difference: ")[2].split()[0])
    assert difference <= 2, said
