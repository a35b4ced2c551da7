"""Stages as Indexed Jobs: what is sent, what fails, and what is left when the head process ends."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from rectok.params import load
from rectok.pipeline import job_engine
from rectok.pipeline.cluster_config import KubernetesConfig
from rectok.pipeline.failed_tasks import failed_tasks
from rectok.pipeline.jobs import Job
from rectok.pipeline.kubernetes_jobs import Kubernetes, manifest
from tests.errors import user_error
from tests.pipeline.job_stages import Head, stages, until
from tests.pipeline.kubernetes_cluster import BROKEN_IMAGE, VERSION, Cluster, cluster, kubeconfig
from tests.project import preset, write_params

pytest.importorskip("kubernetes", reason="the client of Kubernetes is not installed (pip install 'rectok[kubernetes]')")
ACCESS = Path(__file__).parents[2] / "deploy" / "kubernetes-jobs" / "access.yaml"
GPU = {
    "resources": {"cpu": "12", "memory": "64Gi", "nvidia.com/gpu": "8"},
    "node_selector": {"gpu": "h200"},
    "tolerations": ["nvidia.com/gpu"],
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("kubernetes")
    with cluster(folder) as api, pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(folder / "kubeconfig"))
        yield api


@pytest.fixture
def api(served: Cluster, here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The cluster, to which the current folder is a project. Heads look often."""
    monkeypatch.setattr(job_engine, "FIRST_POLL", 0.05)
    yield served
    served.used.clear()
    served.down, served.forbidden = False, ""
    served.empty()


def config(**changes: Any) -> KubernetesConfig:
    values = {
        **preset("digits")["machine"]["kubernetes"],
        "image": "rectok",
        "claim": "project",
        "mount": str(Path.cwd()),
    }
    return KubernetesConfig.model_validate_json(json.dumps({**values, "tasks": 2, **changes}))


def head(**changes: Any) -> Head:
    return Head(Kubernetes(config(**changes)))


def test_shards_are_one_job(api: Cluster) -> None:
    repro = head().start(stages("0", "1", "2"))
    assert repro.wait() == ["shards@0", "shards@1", "shards@2"]
    [line] = repro.lines
    assert line.startswith("shards: queued as the Kubernetes job rectok-shards-")
    assert line.endswith(" with 2 tasks for 3 stages")
    assert sorted(Path("made").read_text().split()) == ["0", "1", "2"]
    assert not list(Path("data/state/kubernetes").iterdir())
    until(lambda: not api.jobs)


def test_an_index_that_fails_runs_again_without_what_it_had_made(api: Cluster) -> None:
    group = stages("0", "1", "2")
    Path("1.fails").touch()
    repro = head(retries=2).start(group)
    assert repro.wait() == ["shards@0", "shards@2"]
    assert sorted(Path("made").read_text().split()) == ["0", "2"]
    name = repro.lines[0].split()[6]
    assert repro.lines[1:] == [
        "shards@1: 1 begins",
        "shards@1: rectok: no room for 1",
        f"shards@1: pod {name}-0-2: Error, exit code 3",
    ]
    [task] = failed_tasks()  # for the report
    assert (task.stage, *task.lines) == ("shards@1", *(line.removeprefix("shards@1: ") for line in repro.lines[1:]))
    access = YAML(typ="safe", pure=True).load_all(ACCESS.read_text(encoding="utf-8"))
    [rules] = [each["rules"] for each in access if each["kind"] == "Role"]
    assert api.used == {(name, verb) for rule in rules for name in rule["resources"] for verb in rule["verbs"]}


def test_a_preempted_pod_is_no_failure(api: Cluster) -> None:
    group = stages("0", "1")
    Path("0.waits").touch()
    repro = head(retries=0).start(group)
    until(Path("0.runs").exists)
    api.evict(0)
    assert Path("ended").read_text() == "checkpoint\n"
    Path("0.waits").unlink()
    assert repro.wait() == ["shards@0", "shards@1"]
    [task] = failed_tasks()
    assert task.stage == "shards@0" and task.lines[-1].endswith("-0-0: Error, exit code 143")


def test_ctrl_c_deletes_the_job_and_waits_for_its_pods(api: Cluster) -> None:
    group = stages("0")
    Path("0.waits").touch()
    repro = head().start(group)
    until(Path("0.runs").exists)
    repro.stopped.set()
    assert repro.wait() == [] and not api.jobs
    assert Path("ended").read_text() == "checkpoint\n"
    assert not list(Path("data/state/kubernetes").iterdir())


def test_a_job_that_may_not_be_deleted_is_named(api: Cluster) -> None:
    group = stages("0")
    Path("0.waits").touch()
    repro = head().start(group)
    until(Path("0.runs").exists)
    api.forbidden = 'jobs.batch is forbidden: User "head" cannot delete resource "jobs"'
    repro.stopped.set()
    with user_error(r"Kubernetes refuses to (delete|show) rectok-shards-\w{8}: jobs.batch is forbidden"):
        repro.wait()


def test_a_head_that_ended_finds_its_job_again(api: Cluster) -> None:
    group = stages("0", "1")
    Path("0.waits").touch()
    first = head().start(group)
    until(Path("0.runs").exists)
    api.forbidden = 'jobs.batch is forbidden: User "head" cannot get resource "jobs"'
    with user_error(r"Kubernetes refuses to show rectok-shards-\w{8}: jobs.batch is forbidden"):
        first.wait()
    api.forbidden, api.down = "", True
    second = head().start(group)
    until(lambda: second.lines)
    assert second.lines[0].startswith("shards: goes on with the Kubernetes job rectok-shards-")
    api.down = False
    Path("0.waits").unlink()
    assert second.wait() == ["shards@0", "shards@1"]
    assert len(second.lines) == 1


def test_a_pod_that_cannot_start_says_why(api: Cluster) -> None:
    queue = Kubernetes(config(image=BROKEN_IMAGE))
    job = Job(Path("data/metric_network-1"), {}, [["metric_network"]])
    job.write()
    queue.submit(job, "rectok metric_network", True)
    assert job.name == "rectok-metric-network-1"
    until(lambda: queue.states(job) == {"ImagePullBackOff": 1})
    assert queue.log(job, 0) == ["pod rectok-metric-network-1-0-0: ImagePullBackOff"]
    queue.cancel(job)
    until(lambda: queue.states(job) == {})
    assert queue.log(job, 0) == ["Kubernetes has no pod of it any more"]


def test_a_line_that_is_still_written_does_not_count(here: Path) -> None:
    job = Job(Path("data/shards-1"), {}, [["shards@1", "shards@10"]])
    job.write()
    (job.folder / "0.done").write_text("shards@2\nshards@1")
    assert job.done() == {"shards@2"}


def test_results_may_be_seen_late(api: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on NFS: a pod has ended, and what it wrote comes later."""
    repro = head().start(stages("0", outs=("late",)))
    until(lambda: api.jobs and all(job.completed for job in api.jobs.values()))
    assert repro.recorded == []
    Path("late").touch()
    assert repro.wait() == ["shards@0"]
    monkeypatch.setattr(job_engine, "LATE", 0.2)
    repro = head().start(stages("1", outs=("never",)))
    assert repro.wait() == []
    words = "it ended well, but never is not seen here after 0 s; does Kubernetes write into this folder?"
    assert repro.lines[1:] == [f"shards@1: {words}"]


def test_what_the_api_refuses_leaves_nothing_behind(api: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    api.forbidden = 'jobs.batch is forbidden: User "head" cannot create resource "jobs"'
    with user_error(r"Kubernetes rejects rectok-shards-\w{8}: jobs.batch is forbidden: .*; see machine.kubernetes"):
        head().start(stages("0")).wait()
    assert not list(Path("data/state/kubernetes").iterdir())
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        Path("kubeconfig").write_text(json.dumps(kubeconfig(f"http://127.0.0.1:{nobody.getsockname()[1]}")))
        monkeypatch.setenv("KUBECONFIG", "kubeconfig")
        with user_error("its API does not answer"):
            head().start(stages("0")).wait()
    Path("broken").write_text("[")
    monkeypatch.setenv("KUBECONFIG", "broken")
    with user_error("machine.executor is kubernetes, but its settings cannot be read: "):
        head().start(stages("0")).wait()
    monkeypatch.setenv("KUBECONFIG", "nowhere")
    with user_error("its settings cannot be read: .*; set KUBECONFIG or run it in a pod"):
        head().start(stages("0")).wait()


def test_the_project_must_lie_on_the_volume(here: Path) -> None:
    with user_error(rf"the project lies in {here}, but pods find it only below machine.kubernetes.mount, /project"):
        head(mount="/project")


@pytest.mark.parametrize("accelerator", [False, True])
def test_kubernetes_takes_the_manifest(here: Path, accelerator: bool) -> None:
    job = Job(here / "data/state/kubernetes/teacher-1", {}, [["teacher"]])
    body = manifest(config(gpu=GPU, environment="keys", retries=3, grace=60), job, "rectok teacher", accelerator)
    kubernetes_validate.validate(body, VERSION, strict=True)
    pod = body["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["resources"] == {key: GPU["resources"] if accelerator else {} for key in ("requests", "limits")}
    assert pod["nodeSelector"] == (GPU["node_selector"] if accelerator else {})
    assert pod["tolerations"] == ([{"key": "nvidia.com/gpu", "operator": "Exists"}] if accelerator else [])
    assert container["envFrom"] == [{"secretRef": {"name": "keys"}}]
    assert (body["spec"]["backoffLimitPerIndex"], pod["terminationGracePeriodSeconds"]) == (3, 60)
    assert container["workingDir"] == str(here)
    user = {"runAsUser": os.getuid(), "runAsGroup": os.getgid(), "runAsNonRoot": os.getuid() != 0}
    assert pod["securityContext"] == {**user, "seccompProfile": {"type": "RuntimeDefault"}}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"image": ""}, "kubernetes.image is empty, but the executor is kubernetes"),
        ({"claim": ""}, "kubernetes.claim is empty, but the executor is kubernetes"),
        ({"mount": "project"}, 'parameter machine.kubernetes.mount is "project", but must be an absolute path'),
        ({"namespace": "My_Space"}, "namespace"),
        ({"gpu": {**GPU, "resources": {"nvidia.com/gpu": 1}}}, "resources.nvidia.com/gpu is 1, but must be text"),
        (
            {"gpu": {**GPU, "resources": {"memory": "8 GB"}}},
            """gpu.resources.memory is "8 GB", but must be a quantity of Kubernetes, such as "4", 500m or 16Gi""",
        ),
        ({"cpu": {**GPU, "node_selector": {"gpu": True}}}, "cpu.node_selector.gpu is true, but must be text"),
        ({"cpu": {**GPU, "nodeSelector": {}}}, "nodeSelector"),
    ],
)
def test_bad_parameters_are_refused(here: Path, changes: dict[str, Any], sentence: str) -> None:
    section = {**preset("digits")["machine"]["kubernetes"], "image": "rectok", "claim": "project", **changes}
    with user_error(sentence):
        write_params(here, {"machine.executor": "kubernetes", "machine.kubernetes": section})


def test_good_parameters_are_taken(here: Path) -> None:
    section = {**preset("digits")["machine"]["kubernetes"], "image": "rectok", "claim": "project", "gpu": GPU}
    write_params(here, {"machine.executor": "kubernetes", "machine.kubernetes": section})
    machine = load().machine
    assert machine.kubernetes.gpu.resources["nvidia.com/gpu"] == "8"
    assert hash(machine) == hash(machine.model_copy(deep=True))  # stages keep networks by it
