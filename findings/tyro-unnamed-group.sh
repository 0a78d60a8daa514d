#!/usr/bin/env bash
# tyro 1.0.17 with pydantic 2.14.3: a value out of range in a group that is named "" ends in a traceback.
#
# tyro.conf.arg(name="") on a nested dataclass makes its options --epochs instead of --training.epochs. Expected: a
# value that pydantic refuses is told as in every other group, in a box, exit code 2. Seen: with a name it is; with
# name="" pydantic's ValidationError leaves tyro.cli, exit code 1, because tyro takes the group for the root, whose
# errors it does not look for there. (The program is valid; what is tried is how a wrong value is told.) Cure: catch
# ValidationError around tyro.cli, or use OmitArgPrefixes, which keeps the group's own box.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tyro==1.0.17 pydantic==2.14.3
cat >"$folder/program.py" <<'PYTHON'
import sys
from typing import Annotated

import tyro
from pydantic import Field
from pydantic.dataclasses import dataclass


@dataclass(frozen=True)
class Training:
    epochs: Annotated[int, Field(ge=1)] = 10


@dataclass(frozen=True)
class Named:
    training: Training = Training()


@dataclass(frozen=True)
class Unnamed:
    training: Annotated[Training, tyro.conf.arg(name="")] = Training()


tyro.cli({"named": Named, "unnamed": Unnamed}[sys.argv[1]], args=sys.argv[2:])
PYTHON
codes=()
for arguments in "named --training.epochs 0" "unnamed --epochs 0"; do
  code=0
  # shellcheck disable=SC2086
  "$folder/venv/bin/python" "$folder/program.py" $arguments >"$folder/out" 2>&1 || code=$?
  codes+=("$code")
  echo "$arguments: exit code $code, last line: $(tail -n 1 "$folder/out")"
done
[ "${codes[*]}" = "2 1" ] || { echo "changed"; exit 1; }
grep -q "^pydantic_core.*ValidationError" "$folder/out" || { echo "changed"; exit 1; }
