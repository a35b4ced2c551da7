#!/usr/bin/env bash
# The Kubernetes client drops misspelt fields of a manifest that goes through from_dict.
#
# Guess: V1Job.from_dict refuses a field that a Job does not have, as V1Job(...) and create_namespaced_job with a dictionary do.
# Behaviour: from_dict leaves such fields out without a word, at every depth. The server never sees them, so its
#   `fieldValidation=Strict` cannot refuse them, and the pod runs without its node selector and retries.
# Version: kubernetes 37.0.1
# Documented: not documented.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
if command -v uv > /dev/null; then
  uv pip install -q --python venv/bin/python kubernetes==37.0.1
else
  venv/bin/pip install -q kubernetes==37.0.1
fi
venv/bin/python - << 'END'
import kubernetes
from kubernetes.client import ApiClient, BatchV1Api, V1Job
from pydantic import ValidationError

pod = {"nodeSelecter": {"gpu": "h200"}, "restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}
job = {"metadata": {"name": "x"}, "spec": {"backoffLimitPerIndx": 3, "template": {"spec": pod}}}
sent = str(ApiClient().sanitize_for_serialization(V1Job.from_dict(job)))
dropped = "nodeSelecter" not in sent and "backoffLimitPerIndx" not in sent
try:
    BatchV1Api().create_namespaced_job("default", job)
    refused = False
except ValidationError:
    refused = True
print("kubernetes", kubernetes.__version__)
print("guess: from_dict refuses nodeSelecter and backoffLimitPerIndx, as a dictionary in a call is refused")
print(f"seen:  from_dict drops them: {dropped}; a dictionary in a call is refused: {refused}")
raise SystemExit(not (dropped and refused))
END
