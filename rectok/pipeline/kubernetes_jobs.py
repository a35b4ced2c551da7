"""Kubernetes: the stages of a group are one Indexed Job (https://kubernetes.io/docs/concepts/workloads/controllers/job/).

Its pods see the project under the same path as this process, on a volume that both mount.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from rectok.errors import UserError
from rectok.pipeline.cluster_config import KubernetesConfig
from rectok.pipeline.jobs import Job

LOG_LINES = 5
"""Last lines that are shown of the log of a pod that failed."""
KEPT_S = 7 * 24 * 3600
"""Seconds after which Kubernetes removes a job that has ended and to which no `rectok repro` came back."""
ANSWER_S = 30.0
"""Seconds that the API may take for an answer."""
NO_ANSWER, GONE, REFUSED, SERVER_ERROR = 0, 404, (401, 403), 500
"""Statuses of a call that failed."""
STARTING = ("ContainerCreating", "PodInitializing")
FAILED = "Failed"
INDEX = "batch.kubernetes.io/job-completion-index"


def manifest(config: KubernetesConfig, job: Job, command: str, accelerator: bool) -> dict[str, Any]:
    """The Indexed Job. A pod that is preempted or whose node goes away does not count as a failure of its index."""
    pod, tasks = config.gpu if accelerator else config.cpu, len(job.blocks)
    secret = [{"secretRef": {"name": config.environment}}] if config.environment else []
    container = {
        "name": "rectok",
        "image": config.image,
        "command": ["sh", "-c", job.script(command, "JOB_COMPLETION_INDEX")],
        "workingDir": str(Path.cwd()),
        "envFrom": secret,
        "env": [{"name": "PYTHONUNBUFFERED", "value": "1"}, {"name": "HOME", "value": "/tmp"}],
        "resources": {"requests": dict(pod.resources), "limits": dict(pod.resources)},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [
            {"name": "project", "mountPath": config.mount},
            {"name": "shared-memory", "mountPath": "/dev/shm"},  # loader processes share batches through it
        ],
    }
    template = {
        "restartPolicy": "Never",
        "securityContext": {
            "runAsUser": os.getuid(),  # so that both can change the other's files
            "runAsGroup": os.getgid(),
            "runAsNonRoot": os.getuid() != 0,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": config.grace,
        "shareProcessNamespace": True,  # else the command were process 1, which ignores a SIGTERM that it has no handler for
        "nodeSelector": dict(pod.node_selector),
        "tolerations": [{"key": key, "operator": "Exists"} for key in pod.tolerations],
        "containers": [container],
        "volumes": [
            {"name": "project", "persistentVolumeClaim": {"claimName": config.claim}},
            {"name": "shared-memory", "emptyDir": {"medium": "Memory"}},
        ],
    }
    disrupted = {"type": "DisruptionTarget", "status": "True"}
    labels = {"app.kubernetes.io/name": "rectok"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job.name, "labels": labels},
        "spec": {
            "completionMode": "Indexed",
            "completions": tasks,
            "parallelism": tasks,
            "backoffLimitPerIndex": config.retries,
            "podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [disrupted]}]},
            "ttlSecondsAfterFinished": KEPT_S,
            "template": {"metadata": {"labels": labels}, "spec": template},
        },
    }


class Kubernetes:
    """The cluster that the kubeconfig names, or in which this process is a pod. It runs a failed index again by itself.

    Raises UserError where the project does not lie where pods look for it.
    """

    title, resubmits = "Kubernetes", 0

    def __init__(self, config: KubernetesConfig) -> None:
        self.config, self.namespace, self.tasks = config, config.namespace, config.tasks
        if not Path.cwd().is_relative_to(config.mount):
            raise UserError(
                f"the project lies in {Path.cwd()}, but pods find it only below machine.kubernetes.mount, {config.mount}; "
                "mount the volume there and run `rectok repro` there"
            )

    def submit(self, job: Job, command: str, accelerator: bool) -> None:
        """Create the Job. Raises UserError with the words of the API."""
        body = manifest(self.config, job, command, accelerator)
        try:
            self._ask(self._jobs.create_namespaced_job, self.namespace, body, field_validation="Strict")
        except _ApiError as error:
            if error.status == NO_ANSWER or error.status >= SERVER_ERROR:
                self._delete(job, "Background")  # it may be there all the same
            raise UserError(f"Kubernetes rejects {job.name}: {error}; see machine.kubernetes in params.yaml") from None

    def states(self, job: Job) -> Mapping[str, int] | None:
        """Phases of the pods, such as running, or why one waits, such as ImagePullBackOff."""
        try:
            conditions = self._read(job).status.conditions or ()
            if any(each.type in ("Complete", "Failed") and each.status == "True" for each in conditions):
                return {}
            pods = [pod for pod in self._pods_of(job) if pod.status.phase in ("Pending", "Running")]
            without = f"waiting for pods (see kubectl describe job {job.name})"
            return Counter(_state(pod) for pod in pods) or {without: len(job.blocks)}
        except _ApiError as error:
            if error.status in REFUSED:
                raise UserError(
                    f"Kubernetes refuses to show {job.name}: {error}; deploy/kubernetes-jobs has the access"
                ) from None
            return {} if error.status == GONE else None

    def succeeded(self, job: Job) -> Collection[int]:
        """The completed indexes."""
        try:
            return _numbers(self._read(job).status.completed_indexes or "")
        except _ApiError:
            return ()

    def failures(self, job: Job) -> Collection[int]:
        """The indexes of pods that failed."""
        try:
            return {int(_index(pod)) for pod in self._pods_of(job) if pod.status.phase == FAILED and _index(pod)}
        except _ApiError:
            return ()

    def log(self, job: Job, task: int) -> Sequence[str]:
        """The last lines of the newest pod of the index that failed, or else of the newest, and why it ended."""
        try:
            pods = [pod for pod in self._pods_of(job) if _index(pod) == str(task)]
            if not pods:
                return ["Kubernetes has no pod of it any more"]
            pod = max(pods, key=lambda pod: (pod.status.phase == FAILED, pod.metadata.creation_timestamp))
            return [*self._lines(pod), f"pod {pod.metadata.name}: {_reason(pod)}"]
        except _ApiError as error:
            return [f"Kubernetes does not show its pod: {error}"]

    def _lines(self, pod: Any) -> Sequence[str]:
        try:
            read, name = self._core.read_namespaced_pod_log, pod.metadata.name
            lines: Sequence[str] = self._ask(read, name, self.namespace, tail_lines=LOG_LINES).splitlines()
            return lines
        except _ApiError:  # it never began
            return ()

    def cancel(self, job: Job) -> None:
        """The Job is there until its pods have ended. Raises UserError where this is not allowed."""
        self._delete(job, "Foreground")

    def forget(self, job: Job) -> None:
        """Remove the Job and its pods with their logs."""
        self._delete(job, "Background")

    def _delete(self, job: Job, policy: str) -> None:
        try:
            self._ask(self._jobs.delete_namespaced_job, job.name, self.namespace, propagation_policy=policy)
        except _ApiError as error:
            if error.status in REFUSED:
                raise UserError(f"Kubernetes refuses to delete {job.name}: {error}; delete it yourself") from None

    def _read(self, job: Job) -> Any:
        return self._ask(self._jobs.read_namespaced_job, job.name, self.namespace)

    def _pods_of(self, job: Job) -> Sequence[Any]:
        selector = f"batch.kubernetes.io/job-name={job.name}"
        pods: Sequence[Any] = self._ask(self._core.list_namespaced_pod, self.namespace, label_selector=selector).items
        return pods

    def _ask(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            return call(*arguments, **options, _request_timeout=ANSWER_S)
        except ApiException as error:
            raise _ApiError(error.status, _message(error)) from None
        except HTTPError as error:
            raise _ApiError(NO_ANSWER, f"its API does not answer ({error})") from None

    @cached_property
    def _jobs(self) -> Any:
        return self._client.BatchV1Api()

    @cached_property
    def _core(self) -> Any:
        return self._client.CoreV1Api()

    @cached_property
    def _client(self) -> Any:
        try:
            from kubernetes import client, config
        except ModuleNotFoundError:
            raise UserError(
                "machine.executor is kubernetes, which needs its client: pip install 'rectok[kubernetes]'"
            ) from None
        in_pod = "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ
        load: Any = config.load_incluster_config if in_pod else config.load_kube_config
        try:
            load(**({} if in_pod else {"config_file": os.environ.get("KUBECONFIG")}))
        except Exception as error:  # of YAML, of the system, of a plugin
            raise UserError(
                f"machine.executor is kubernetes, but its settings cannot be read: {error}; set KUBECONFIG or run it in a pod"
            ) from None
        return client


class _ApiError(Exception):
    """A call that failed, and its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def _message(error: Any) -> str:
    """The sentence of the API's answer."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.reason)


def _index(pod: Any) -> str:
    return str((pod.metadata.annotations or {}).get(INDEX, ""))


def _state(pod: Any) -> str:
    waiting = [each.state.waiting.reason for each in pod.status.container_statuses or () if each.state.waiting]
    unscheduled = [each.reason for each in pod.status.conditions or () if each.type == "PodScheduled" and each.reason]
    reasons = [reason for reason in (*waiting, *unscheduled) if reason not in (None, *STARTING)]
    return reasons[0] if reasons else str(pod.status.phase).lower()


def _reason(pod: Any) -> str:
    for each in pod.status.container_statuses or ():
        if ended := each.state.terminated:
            return f"{ended.reason or 'ended'}, exit code {ended.exit_code}"
        if waits := each.state.waiting:
            return ": ".join(filter(None, (waits.reason, waits.message)))
    return str(pod.status.message or pod.status.reason or pod.status.phase)


def _numbers(text: str) -> list[int]:
    """The indexes in a text such as `1,3-5`."""
    ends = [part.split("-") for part in text.split(",") if part]
    return [number for part in ends for number in range(int(part[0]), int(part[-1]) + 1)]
