#!/usr/bin/env bash
# flow_matching 1.0.10: a batch of as many pictures as one has columns is given other velocities, without a word.
#
# Expected: AffineProbPath.target_to_velocity() and the five conversions beside it take the times that sample() takes
# and returns, one for each picture. Seen: sample() spreads them over the axes of the pictures, the conversions do
# not, so that the last axis gets them: column i the time of picture i. With 32 pictures of 32x32 no word comes; with
# any other number an error does, but for one picture. A network that predicts the noise or the clean picture is
# trained with other velocities than those of its path. Cure: t.view(-1, 1, 1, 1). Shown with the straight path
# between pictures of 0 and of 1, two columns wide, at the times 0.25, 0.5 and 0.75; each conversion is given what
# sample() was given or returned.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet flow_matching==1.0.10 torchdiffeq==0.2.5 numpy==1.26.4 torch==2.14.1
cat >"$folder/program.py" <<'PYTHON'
import torch
from flow_matching.path import CondOTProbPath

path = CondOTProbPath()
rows = lambda x: [[round(value, 2) for value in row] for row in x.flatten(1).tolist()]
for count in (2, 3):
    noise, clean, t = torch.zeros(count, 1, 1, 2), torch.ones(count, 1, 1, 2), torch.tensor([0.25, 0.5, 0.75])[:count]
    sample = path.sample(x_0=noise, x_1=clean, t=t)
    named = {"target": clean, "epsilon": noise, "velocity": sample.dx_t}
    for source in named:
        for target in named.keys() - {source}:
            convert = getattr(path, f"{source}_to_{target}")
            good = convert(named[source], sample.x_t, t.view(-1, 1, 1, 1))
            assert torch.allclose(good, named[target]), (source, target)
    print(f"{count} pictures: velocity", rows(sample.dx_t))
    for source in ("target", "epsilon"):
        try:
            got = rows(getattr(path, f"{source}_to_velocity")(named[source], sample.x_t, sample.t))
        except RuntimeError as error:
            got = type(error).__name__
        print(f"{count} pictures: {source}_to_velocity", got)
PYTHON
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/out"
expected="2 pictures: velocity [[1.0, 1.0], [1.0, 1.0]]
2 pictures: target_to_velocity [[1.0, 1.5], [0.67, 1.0]]
2 pictures: epsilon_to_velocity [[1.0, 0.5], [2.0, 1.0]]
3 pictures: velocity [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]
3 pictures: target_to_velocity RuntimeError
3 pictures: epsilon_to_velocity RuntimeError"
[ "$(cat "$folder/out")" = "$expected" ] || { echo "changed"; exit 1; }
