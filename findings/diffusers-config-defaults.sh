#!/usr/bin/env bash
# diffusers 0.42.1: B.from_config(a.config) drops what a has at its default, and takes B's own default instead.
#
# Expected, from its use to put another scheduler in the place of a pipeline's own: B is set as a is, wherever both have
# an option. Seen: an option that a was not given by hand is left out, though it stands in a.config, so
# DPMSolverMultistepScheduler.from_config(DDPMScheduler().config) has the spacing "linspace", not the other's "leading",
# and calls the network at other time steps. The same config written to a file and read again keeps it. Cure: name the
# option: B.from_config(a.config, spacing="leading"). Shown with two classes of ten lines, as the schedulers want PyTorch.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet diffusers==0.42.1 huggingface-hub==1.33.0 numpy==1.26.4
cat >"$folder/program.py" <<'PYTHON'
import tempfile

from diffusers.configuration_utils import ConfigMixin, register_to_config


class A(ConfigMixin):
    config_name = "scheduler.json"

    @register_to_config
    def __init__(self, spacing="leading", steps=1000):
        pass


class B(ConfigMixin):
    config_name = "scheduler.json"

    @register_to_config
    def __init__(self, spacing="linspace", steps=1000):
        pass


a = A(steps=50)
with tempfile.TemporaryDirectory() as folder:
    a.save_config(folder)
    stored = B.load_config(folder)
print("a", a.config.spacing, a.config.steps)
for name, config in (("from a.config", a.config), ("from its file", stored)):
    b = B.from_config(config)
    print(f"B {name}", b.config.spacing, b.config.steps)
PYTHON
"$folder/venv/bin/python" "$folder/program.py" 2>/dev/null | tee "$folder/out"
expected="a leading 50
B from a.config linspace 50
B from its file leading 50"
[ "$(cat "$folder/out")" = "$expected" ] || { echo "changed"; exit 1; }
