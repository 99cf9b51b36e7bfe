"""What deploy/ holds, against the schemas of those who read it and against this repository."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray.autoscaler
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from server.cli import _parse

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"


def load(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text())
    return found


def pinned(package: str) -> str:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith(f"{package}=="))


def closed(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


# The fields of KubeRay's v1 resources that are used here; Kubernetes' own, of pods, in outline.
TEXT, COUNT = {"type": "string", "minLength": 1}, {"type": "integer", "minimum": 0}
TEXTS = {"type": "object", "additionalProperties": TEXT}
AMOUNTS = closed({"requests": TEXTS, "limits": TEXTS}, "requests", "limits")
MOUNT = closed({"name": TEXT, "mountPath": {"type": "string", "pattern": "^/"}}, "name")
CONTAINER = closed(
    {
        "name": TEXT,
        "image": TEXT,
        "env": {"type": "array", "items": closed({"name": TEXT, "value": TEXT}, "name", "value")},
        "ports": {"type": "array", "items": closed({"name": TEXT, "containerPort": COUNT})},
        "resources": AMOUNTS,
        "volumeMounts": {"type": "array", "items": MOUNT},
    },
    "name", "image", "resources",
)  # fmt: skip
POD = closed(
    {
        "containers": {"type": "array", "minItems": 1, "items": CONTAINER},
        "securityContext": closed(
            {"fsGroup": COUNT, "runAsUser": COUNT, "runAsNonRoot": {"const": True}}
        ),
        "volumes": {
            "type": "array",
            "items": closed(
                {"name": TEXT, "persistentVolumeClaim": closed({"claimName": TEXT}, "claimName")},
                "name",
            ),
        },
        "tolerations": {
            "type": "array",
            "items": closed({"key": TEXT, "operator": {"enum": ["Exists"]}, "effect": TEXT}),
        },
    },
    "containers", "securityContext",
)  # fmt: skip
GROUP = {"rayStartParams": TEXTS, "template": closed({"spec": POD}, "spec")}
CLUSTER = closed(
    {
        "rayVersion": TEXT,
        "authOptions": closed({"mode": {"const": "token"}}, "mode"),
        "headGroupSpec": closed(GROUP, "rayStartParams", "template"),
        "workerGroupSpecs": {
            "type": "array",
            "minItems": 1,
            "items": closed(
                {**GROUP, "groupName": TEXT, "replicas": COUNT, "minReplicas": COUNT,
                 "maxReplicas": COUNT},
                "groupName", "rayStartParams", "template", "minReplicas", "maxReplicas",
            ),
        },
    },
    "headGroupSpec", "authOptions",
)  # fmt: skip
JOB = closed(
    {
        "entrypoint": TEXT,
        "submissionMode": {"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode"]},
        "backoffLimit": COUNT,
        "shutdownAfterJobFinishes": {"type": "boolean"},
        "ttlSecondsAfterFinished": COUNT,
        "rayClusterSpec": CLUSTER,
    },
    "entrypoint", "rayClusterSpec",
)  # fmt: skip


def resource(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    head = {"apiVersion": {"const": "ray.io/v1"}, "kind": {"const": kind}}
    return closed({**head, "metadata": closed({"name": TEXT}, "name"), "spec": spec}, "spec")


def test_kuberay_manifests_have_known_fields_alone() -> None:
    jsonschema.validate(load("kuberay/raycluster.yaml"), resource("RayCluster", CLUSTER))
    jsonschema.validate(load("kuberay/rayjob.yaml"), resource("RayJob", JOB))


def test_kuberay_nodes_agree_with_each_other_and_with_the_image() -> None:
    cluster, job = load("kuberay/raycluster.yaml")["spec"], load("kuberay/rayjob.yaml")["spec"]
    assert job["rayClusterSpec"] == cluster
    assert cluster["rayVersion"] == pinned("ray")
    claim = load("kuberay/storage.yaml")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    user = re.search(r"^USER (\d+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert user is not None
    for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
        pod = group["template"]["spec"]
        assert pod["securityContext"]["runAsUser"] == int(user[1])
        (volume,) = pod["volumes"]
        assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        (container,) = pod["containers"]
        runs = {one["name"]: one["value"] for one in container["env"]}["BITFLEET_RUNS"]
        assert container["volumeMounts"] == [{"name": volume["name"], "mountPath": runs}]
    for group in cluster["workerGroupSpecs"]:
        assert group["replicas"] == group["minReplicas"] == group["maxReplicas"]


def test_the_jobs_entrypoint_is_a_command_of_the_image() -> None:
    entrypoint = load("kuberay/rayjob.yaml")["spec"]["entrypoint"]
    python, module, server, *arguments = shlex.split(entrypoint)
    assert (python, module, server) == ("python", "-m", "server")
    config = _parse(arguments).config
    assert (ROOT / config.relative_to("/opt/source")).is_file()
    assert "WORKDIR /opt/source\n" in (DEPLOY / "Dockerfile").read_text()


@pytest.mark.parametrize("name", ["cluster.yaml", "cluster-local.yaml"])
def test_ray_up_takes_the_cluster_file(name: str) -> None:
    config = load(name)
    schema = Path(ray.autoscaler.__file__).parent / "ray-schema.json"
    jsonschema.validate(config, json.loads(schema.read_text()))
    validate_config(prepare_config(config))
    types = config.get("available_node_types", {})
    for kind, node in types.items():
        if kind != config["head_node_type"]:
            assert node["min_workers"] == node["max_workers"]
    assert all((ROOT / path).is_file() for path in config["file_mounts"].values() if path[0] != "~")
    assert any("RAY_AUTH_MODE=token" in line for line in config["setup_commands"])


def test_the_image_is_made_of_what_is_there() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert "ARG BASE=" in text
    assert "--constraint constraints.txt" in text
    sent = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    assert all((ROOT / name).exists() for name in sent)
    copied = re.findall(r"^COPY (?!--from)(?:--\S+ )?(.+) \S+$", text, re.MULTILINE)
    named = {name for line in copied for name in line.split()} - {"."}
    assert named == {"pyproject.toml", "constraints.txt"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert named | {project["project"]["readme"], "fleet", "server", "models", "configs"} <= sent
