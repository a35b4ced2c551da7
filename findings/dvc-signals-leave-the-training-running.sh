#!/usr/bin/env bash
# A signal to dvc repro does not reach the training that it runs.
#
# Guess: A scheduler or an orchestrator that stops the process `dvc repro` with SIGTERM or SIGINT stops the training
#   too.
# Behaviour: On SIGTERM DVC dies at once and its command goes on without a parent. On SIGINT DVC does nothing while
#   the command runs, however often it comes, and ends with success. Both differ from Ctrl-C in a terminal, which
#   reaches the whole process group. Signal the process group instead.
# Version: dvc 3.67.1
# Documented: not documented.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
packages=(dvc==3.67.1)
if command -v uv > /dev/null; then
  uv venv -q .venv && uv pip install -q --python .venv/bin/python "${packages[@]}"
else
  python3 -m venv .venv && .venv/bin/pip install -q "${packages[@]}"
fi
export PATH=$PWD/.venv/bin:$PATH
export DVC_NO_ANALYTICS=1 DVC_GLOBAL_CONFIG_DIR=$PWD/config DVC_SYSTEM_CONFIG_DIR=$PWD/config DVC_SITE_CACHE_DIR=$PWD/site
dvc init -q --no-scm
dvc config core.check_update false
echo "DVC $(dvc --version)"

cat > train.py << 'END'
from pathlib import Path
from time import sleep

Path("started").touch()
sleep(8)
Path("model.txt").write_text("trained to the end")
END
cat > dvc.yaml << 'END'
stages:
  train:
    cmd: python train.py
    outs: [model.txt]
END
cat > stop.py << 'END'
import signal
import subprocess
import sys
import time
from pathlib import Path

stop = signal.Signals[sys.argv[1]]
dvc = subprocess.Popen(["dvc", "repro", "-q"], start_new_session=True)
while not Path("started").exists():
    time.sleep(0.1)
time.sleep(1)
dvc.send_signal(stop)
status = dvc.wait()
early = not Path("model.txt").exists()
time.sleep(10)
finished = Path("model.txt").exists()
print(stop.name, "exit status", status, "before" if early else "after", "the training,", "trained to the end" if finished else "training stopped")
END
term=$(python stop.py SIGTERM)
rm -f started model.txt dvc.lock
int=$(python stop.py SIGINT)
echo "guess: either signal stops the training, and dvc fails"
echo "seen:  $term"
echo "       $int"
[[ $term == "SIGTERM exit status -15 before the training, trained to the end" &&
  $int == "SIGINT exit status 0 after the training, trained to the end" ]] || {
  echo "the surprise is gone"
  exit 1
}
