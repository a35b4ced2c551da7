#!/usr/bin/env bash
# kubernetes.config.load_config does not see a KUBECONFIG of two files, which load_kube_config and kubectl merge.
#
# Guess: load_config uses the kubeconfig if there is one, and the pod's service account otherwise.
# Behaviour: it takes the whole of `KUBECONFIG=a:b` for one path, which does not exist, prints so to standard output, and
#   tries the service account, so it fails outside of a pod, and inside reaches another cluster than the one named.
# Version: kubernetes 37.0.1
# Documented: not documented; its docstring says that it loads the default kube-config if that exists.
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
cat > a << 'END'
apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: test}}]
clusters: [{name: test, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: test, user: {}}]
END
cp a b
KUBECONFIG=$PWD/a:$PWD/b venv/bin/python - << 'END'
import kubernetes
from kubernetes import config

config.load_kube_config()
try:
    config.load_config()
    seen = "load_config reads it, too"
except config.ConfigException as error:
    seen = f"load_config fails: {error}"
print("kubernetes", kubernetes.__version__)
print("guess: load_config reads KUBECONFIG=a:b, as load_kube_config does")
print("seen: ", seen)
raise SystemExit("Service host/port is not set" not in seen)
END
