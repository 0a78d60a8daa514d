#!/usr/bin/env bash
# pyarrow 25.0.1: ChunkedArray.to_numpy() puts a word in place of a null.
#
# A dictionary column, as class names are stored in Parquet, with a null in it. Expected: None for the null, as
# Array.to_numpy(zero_copy_only=False) and to_pylist() of the same values give. Seen: ChunkedArray.to_numpy(), which is
# what table["label"].to_numpy() calls, gives the dictionary's last word, so that a picture without a label gets the
# last class. Cure: to_pylist(), or combine the chunks and convert the Array.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pyarrow==25.0.1 numpy==1.26.4
cat >"$folder/program.py" <<'PYTHON'
import pyarrow as pa

labels = pa.array(["cat", "dog", None, "dog"]).dictionary_encode()
print("Array", labels.to_numpy(zero_copy_only=False).tolist())
print("to_pylist", pa.chunked_array([labels]).to_pylist())
print("ChunkedArray", pa.chunked_array([labels]).to_numpy().tolist())
PYTHON
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/out"
expected="Array ['cat', 'dog', None, 'dog']
to_pylist ['cat', 'dog', None, 'dog']
ChunkedArray ['cat', 'dog', 'dog', 'dog']"
[ "$(cat "$folder/out")" = "$expected" ] || { echo "changed"; exit 1; }
