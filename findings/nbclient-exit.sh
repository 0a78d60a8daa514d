#!/usr/bin/env bash
# nbclient 0.11.0 with ipykernel 7.4.0: a cell that calls exit() is no error, and the next cell runs.
#
# Expected: execute() ends with an error, as it does for sys.exit(), or at the latest when the next cell finds no
# kernel. Seen: exit(), which IPython puts in place of Python's, stops the kernel a tenth of a second later; execute()
# goes on, runs the cells that start before that, and if they are the last, returns as if all were well. A notebook
# that means to stop early (`if not ready: exit()`) can pass as a test, and a cell that it was to guard has run. Cure:
# raise, or sys.exit().
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet nbclient==0.11.0 ipykernel==7.4.0 ipython==9.18.1 \
  jupyter-client==8.10.0 nbformat==5.11.1
cat >"$folder/program.py" <<'PYTHON'
import nbclient
import nbformat

for line in ("exit()", "import sys; sys.exit()"):
    cells = [nbformat.v4.new_code_cell(source) for source in (line, "print('went on')")]
    try:
        nbclient.NotebookClient(nbformat.v4.new_notebook(cells=cells), timeout=60).execute()
        end = "no error"
    except (nbclient.exceptions.CellExecutionError, nbclient.exceptions.DeadKernelError) as error:
        end = getattr(error, "ename", type(error).__name__)
    print(f"{line}: {end}, then: {[output.text for output in cells[1].get('outputs', [])]}")
PYTHON
IPYTHONDIR="$folder/ipython" PATH="$folder/venv/bin:$PATH" JUPYTER_PATH="$folder/venv/share/jupyter" \
  "$folder/venv/bin/python" "$folder/program.py" | tee "$folder/out"
expected="exit(): no error, then: ['went on\n']
import sys; sys.exit(): SystemExit, then: []"
[ "$(cat "$folder/out")" = "$expected" ] || { echo "changed"; exit 1; }
