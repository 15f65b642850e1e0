"""`towpath convert`: other platforms' resources, with nothing lost in silence."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from inline_snapshot import snapshot

KSERVE = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: iris, labels: {team: care}}
spec:
  predictor:
    minReplicas: 1
    maxReplicas: 4
    scaleTarget: 5
    scaleMetric: cpu
    canaryTrafficPercent: 10
    serviceAccountName: reader
    model:
      modelFormat: {name: onnx, version: "1"}
      storageUri: s3://bucket/iris
      args: [--max-batch=8]
      env:
        - {name: PLAIN, value: b}
        - {name: SECRET, valueFrom: {secretKeyRef: {name: x, key: y}}}
      resources: {requests: {cpu: "1", memory: 1Gi}}
      readinessProbe: {httpGet: {path: /ready, port: 8080}, periodSeconds: 5}
"""
KUBEAI = """\
apiVersion: kubeai.org/v1
kind: Model
metadata: {name: llama-3.1-8b}
spec:
  features: [TextGeneration]
  owner: meta
  url: hf://meta/llama
  engine: VLLM
  resourceProfile: nvidia-gpu-l4:2
  minReplicas: 0
  maxReplicas: 3
  targetRequests: 100
  scaleDownDelaySeconds: 60
  loadBalancing: {strategy: PrefixHash}
"""
GPUSTACK = """\
name: Qwen2.5
source: huggingface
huggingface_repo_id: Qwen/Qwen2.5-GGUF
huggingface_filename: "*q4_k_m*.gguf"
replicas: 2
cpu_offloading: true
"""


def converted(cli: Any, home: Path, text: str, *more: str) -> tuple[dict[str, Any], list[str]]:
    file = home / "in.yaml"
    file.write_text(text)
    done = cli("convert", str(file), *more)
    assert done.code == 0, done.err
    left = [
        line.removeprefix("# not carried over: ")
        for line in done.out.splitlines()
        if line.startswith("#")
    ]
    return yaml.safe_load(done.out), left


def test_kserve(cli: Any, home: Path) -> None:
    document, left = converted(cli, home, KSERVE, "--project", "care/iris")

    assert document == snapshot(
        {
            "apiVersion": "towpath.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": "iris", "project": "care/iris", "labels": {"team": "care"}},
            "spec": {
                "model": {"uri": "s3://bucket/iris", "format": "onnx"},
                "runtime": {
                    "name": "onnx",
                    "args": ["--max-batch=8"],
                    "env": [{"name": "PLAIN", "value": "b"}],
                },
                "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
                "scaling": {"minReplicas": 1, "maxReplicas": 4, "target": 5},
                "readinessProbe": {"httpGet": {"path": "/ready"}, "periodSeconds": 5},
                "rollout": {"steps": [{"weight": 10, "hold": "5m"}]},
            },
        }
    )
    assert left == snapshot(
        [
            "spec.predictor.scaleMetric: cpu (replicas follow concurrency here)",
            "spec.predictor.model.env: SECRET (its value comes from elsewhere)",
            "spec.predictor.serviceAccountName: reader",
        ]
    )


def test_a_part_of_a_gpu_is_carried_over(cli: Any, home: Path) -> None:
    asked = "{requests: {nvidia.com/mig-1g.10gb: 1}, limits: {nvidia.com/mig-1g.10gb: 1}}"
    text = KSERVE.replace('{requests: {cpu: "1", memory: 1Gi}}', asked)

    document, left = converted(cli, home, text)

    assert document["spec"]["resources"] == yaml.safe_load(asked)
    assert not [one for one in left if "resources" in one]


def test_kubeai(cli: Any, home: Path) -> None:
    document, left = converted(cli, home, KUBEAI)

    assert document["metadata"] == {"name": "llama-3-1-8b", "annotations": {"owner": "meta"}}
    assert document["spec"] == snapshot(
        {
            "model": {"uri": "hf://meta/llama", "format": "safetensors"},
            "runtime": {"name": "vllm"},
            "scaling": {
                "minReplicas": 0,
                "maxReplicas": 3,
                "metric": "concurrency",
                "target": 100,
                "idleTimeout": "60s",
            },
            "accelerator": {"class": "l4"},
            "resources": {"limits": {"nvidia.com/gpu": "2"}},
        }
    )
    assert left == snapshot(
        [
            "spec.features: ['TextGeneration'] (the runtime says what a model can do)",
            "spec.loadBalancing.strategy: PrefixHash",
        ]
    )


def test_gpustack(cli: Any, home: Path) -> None:
    document, left = converted(cli, home, GPUSTACK)

    assert document["metadata"] == {"name": "qwen2-5"}
    assert document["spec"] == snapshot(
        {
            "model": {"uri": "hf://Qwen/Qwen2.5-GGUF", "format": "gguf"},
            "runtime": {"name": "llama.cpp"},
            "scaling": {"minReplicas": 2, "maxReplicas": 2},
        }
    )
    assert left == snapshot(
        [
            "huggingface_filename: *q4_k_m*.gguf (name the file that is meant: `hf://Qwen/Qwen2.5-GGUF/FILE`)",
            "cpu_offloading: True",
        ]
    )


@pytest.mark.parametrize(
    ("text", "uri", "left"),
    [
        (KSERVE.replace("s3://bucket/iris", "hf://acme/iris:v2"), "hf://acme/iris:v2", ""),
        (KSERVE.replace("s3://bucket/iris", "oci://quay.io/a/b:1"), "oci://quay.io/a/b:1", ""),
        (KSERVE.replace("s3://bucket/iris", "oci://a/b:1"), "oci://docker.io/a/b:1", ""),
        (KSERVE.replace("s3://bucket/iris", "https://x/y"), "https://x/y", "#sha256="),
        (KSERVE.replace("s3://bucket/iris", "gs://bucket/iris"), None, "towpath models push"),
        (KUBEAI.replace("hf://meta/llama", "s3://bucket/llama"), "s3://bucket/llama", ""),
        (KUBEAI.replace("hf://meta/llama", "ollama://llama"), None, "towpath models push"),
        (GPUSTACK.replace("*q4_k_m*", "q4"), "hf://Qwen/Qwen2.5-GGUF/q4.gguf", ""),
    ],
)
def test_where_the_model_lies(cli: Any, home: Path, text: str, uri: str | None, left: str) -> None:
    document, notes = converted(cli, home, text)

    assert document["spec"]["model"].get("uri") == uri
    assert [left in note for note in notes if "Uri" in note or "url" in note] == (
        [True] if left else []
    )


def test_a_list_of_resources_becomes_as_many_manifests(cli: Any, home: Path) -> None:
    file = home / "list.yaml"
    items = [yaml.safe_load(KSERVE), yaml.safe_load(KUBEAI)]
    file.write_text(yaml.safe_dump({"kind": "List", "items": items}))

    done = cli("convert", str(file))

    assert [one["metadata"]["name"] for one in yaml.safe_load_all(done.out)] == [
        "iris",
        "llama-3-1-8b",
    ]


@pytest.mark.parametrize("text", ["kind: Pod\n", "- 1\n", "", "a: [", "\x00"])
def test_what_cannot_be_converted_is_refused(cli: Any, home: Path, text: str) -> None:
    file = home / "in.yaml"
    file.write_text(text)

    done = cli("convert", str(file))

    assert (done.code, done.out) == (1, "")
    assert "fix:" in done.err
