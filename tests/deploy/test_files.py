"""What is in deploy/ is well-formed, agrees with itself, and runs nothing as root."""

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from rectok.cli.repro import queue_of
from rectok.params import load
from rectok.pipeline.graph import Stage
from rectok.pipeline.jobs import Job
from rectok.pipeline.kubernetes_jobs import manifest
from rectok.pipeline.slurm import Slurm
from tests.orchestration.daemon import dagster_instance_config
from tests.project import write_params

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
KUBERNETES = "1.34"


def read(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


def test_postgres_differs_from_sqlite_in_its_storage_alone() -> None:
    sqlite, postgres = (read(DEPLOY / name / "dagster.yaml") for name in ("sqlite", "postgres"))
    assert sqlite.pop("storage")["custom"]["class"] == "SqliteStorage"
    assert postgres.pop("storage").keys() == {"postgres"}
    assert sqlite == postgres
    assert (DEPLOY / "sqlite" / "dagster.yaml").samefile(REPOSITORY / ".dagster" / "dagster.yaml")
    instance = DEPLOY / "kubernetes" / "instance" / "dagster.yaml"
    assert instance.read_bytes() == (DEPLOY / "postgres" / "dagster.yaml").read_bytes()


@pytest.mark.parametrize("name", ["sqlite", "postgres"])
def test_dagster_accepts_its_settings(name: str) -> None:
    settings, _ = dagster_instance_config(str(DEPLOY / name))
    assert settings["telemetry"] == {"enabled": False}


def test_the_image_has_what_it_copies_and_runs_as_no_root() -> None:
    lines = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = [name for line in lines if line.startswith("COPY") for name in shlex.split(line)[1:-1]]
    assert copied and all((REPOSITORY / name).exists() for name in copied)
    hatch = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]
    assert hatch["build"]["targets"]["wheel"]["force-include"].keys() <= set(
        copied
    )  # else the wheel cannot be built there
    context = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert context[0] == "*" and all(f"!{name}" in context for name in copied)
    install = next(line for line in lines if "--constraint requirements-dev.lock" in line).split()
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    for name in ("postgres", "kubernetes"):  # compose and kubernetes/ need the one, kubernetes-jobs/ the other
        [requirement] = extras[name]
        assert re.split("[<>=]", requirement)[0] in install
    users = [line.split()[1] for line in lines if line.startswith("USER")]
    assert users == ["1000:1000"]
    python = next(line for line in lines if line.startswith("FROM"))
    assert "python:3.11" in python


def test_compose_names_what_there_is() -> None:
    compose = read(DEPLOY / "compose" / "compose.yaml")
    services = compose["services"]
    asked = set(re.findall(r"env: (\w+)", (DEPLOY / "postgres" / "dagster.yaml").read_text(encoding="utf-8")))
    for name in ("code", "webserver", "daemon"):
        service = services[name]
        assert asked <= service["environment"].keys()
        assert "user" not in service and service["image"] == "rectok"
        assert service["depends_on"].keys() <= services.keys()
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert (DEPLOY / "compose" / source).exists() if source.startswith(".") else source in compose["volumes"]
    assert services["code"]["env_file"] == [".env"]  # alerts and stages run there, and look up their secrets
    assert all("healthcheck" in services[name] for name in services["webserver"]["depends_on"])
    assert all(port.startswith("127.0.0.1:") for service in services.values() for port in service.get("ports", []))
    assert read(DEPLOY / "compose" / "gpu.yaml")["services"].keys() <= services.keys()
    port = services["code"]["command"][-1]
    [server] = read(DEPLOY / "compose" / "workspace.yaml")["load_from"]
    assert (server["grpc_server"]["host"], server["grpc_server"]["port"]) == ("code", int(port))


@pytest.mark.skipif(
    not shutil.which("docker") or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode != 0,
    reason="there is no `docker compose` here",
)
def test_docker_accepts_the_compose_files(tmp_path: Path) -> None:
    copied = shutil.copytree(DEPLOY / "compose", tmp_path / "deploy" / "compose")
    shutil.copy(copied / "example.env", copied / ".env")
    files = [part for name in ("compose.yaml", "gpu.yaml") for part in ("--file", name)]
    command = ["docker", "compose", *files, "config", "--quiet"]
    env = {"POSTGRES_PASSWORD": "x", "PATH": "/usr/bin:/bin:/usr/local/bin"}
    done = subprocess.run(command, cwd=copied, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def manifests() -> list[dict[str, Any]]:
    files = read(DEPLOY / "kubernetes" / "kustomization.yaml")["resources"]
    return [found for name in files for found in objects(DEPLOY / "kubernetes" / name)]


def objects(path: Path) -> list[dict[str, Any]]:
    return list(YAML(typ="safe", pure=True).load_all(path.read_text(encoding="utf-8")))


def test_kubernetes_accepts_every_object() -> None:
    for found in (*manifests(), *objects(DEPLOY / "kubernetes-jobs" / "access.yaml")):
        kubernetes_validate.validate(found, KUBERNETES, strict=True)
    broken = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"port": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, KUBERNETES, strict=True)


def test_pods_run_as_no_root_and_find_their_volumes_and_settings() -> None:
    found = manifests()
    claims = {each["metadata"]["name"] for each in found if each["kind"] == "PersistentVolumeClaim"}
    services = {
        each["metadata"]["name"]: each["spec"]["ports"][0]["port"] for each in found if each["kind"] == "Service"
    }
    asked = set(re.findall(r"env: (\w+)", (DEPLOY / "postgres" / "dagster.yaml").read_text(encoding="utf-8")))
    pods = {
        each["metadata"]["name"]: each["spec"]["template"]["spec"] for each in found if each["kind"] == "Deployment"
    }
    assert pods.keys() == {"rectok-code", "rectok-webserver", "rectok-daemon"}
    for pod in pods.values():
        [container] = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 1000
        assert asked == {variable["name"] for variable in container["env"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        named = {v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if "persistentVolumeClaim" in v}
        assert named == claims
    [container] = pods["rectok-code"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "rectok-environment", "optional": True}}]
    [server] = read(DEPLOY / "kubernetes" / "instance" / "workspace.yaml")["load_from"]
    assert services[server["grpc_server"]["host"]] == server["grpc_server"]["port"]
    assert server["grpc_server"]["location_name"] == "rectok"


@pytest.mark.skipif(not shutil.which("kubectl"), reason="there is no kubectl here")
def test_kubectl_builds_the_whole() -> None:
    command = ["kubectl", "kustomize", str(DEPLOY / "kubernetes")]
    built = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    objects = [found for found in YAML(typ="safe", pure=True).load_all(built) if found]
    assert {found["kind"] for found in objects} == {"ConfigMap", "Deployment", "PersistentVolumeClaim", "Service"}
    assert "registry.example.org/rectok" in built and "image: rectok\n" not in built
    command[-1] += "-jobs"
    built = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    code = next(
        each
        for each in YAML(typ="safe", pure=True).load_all(built)
        if each["kind"] == "Deployment" and each["metadata"]["name"] == "rectok-code"
    )
    assert code["spec"]["template"]["spec"]["serviceAccountName"] == "rectok"
    assert "nvidia.com/gpu" not in built and "kind: RoleBinding" in built


def cluster_params(folder: str) -> dict[str, Any]:
    return {f"machine.{name}": value for name, value in read(DEPLOY / folder / "params.yaml")["machine"].items()}


def test_parameters_of_clusters_are_good_and_fit_the_manifests(here: Path) -> None:
    write_params(here, cluster_params("cluster"))
    assert isinstance(queue_of([Stage("shards@00000", frozenset())]), Slurm)
    write_params(here, cluster_params("kubernetes-jobs"))
    machine = load().machine
    pods = machine.kubernetes
    [code] = [
        each for each in manifests() if each["kind"] == "Deployment" and each["metadata"]["name"] == "rectok-code"
    ]
    pod = code["spec"]["template"]["spec"]
    [volume] = [
        each["name"] for each in pod["volumes"] if each.get("persistentVolumeClaim", {}).get("claimName") == pods.claim
    ]
    [container] = pod["containers"]
    assert {"name": volume, "mountPath": pods.mount} in container["volumeMounts"]
    kustomization = read(DEPLOY / "kubernetes" / "kustomization.yaml")
    [image] = kustomization["images"]
    assert (machine.executor, pods.namespace) == ("kubernetes", kustomization["namespace"])
    assert pods.image == f"{image['newName']}:{image['newTag']}"
    assert pods.grace <= pod["terminationGracePeriodSeconds"]
    body = manifest(pods, Job(here / "job", {}, [["dit"]]), "rectok dit", accelerator=True)
    kubernetes_validate.validate(body, KUBERNETES, strict=True)
