"""The files in deploy/ against the schemas that are published for them.

The RayJob's own fields have no schema in a package: they were compared with KubeRay 1.6's reference by hand, and the
names are held here. Its pods are checked against Kubernetes' schemas.
"""

import json
import re
import tomllib
from importlib import metadata
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import ray
import yaml

ROOT = Path(__file__).parents[1]
CLUSTER = yaml.safe_load((ROOT / "deploy" / "ray-cluster.yaml").read_text())
JOB = yaml.safe_load((ROOT / "deploy" / "rayjob.yaml").read_text())
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
SUBMITTER = {"groupName": "submitter", "template": JOB["spec"].get("submitterPodTemplate")}
GROUPS = [JOB["spec"]["rayClusterSpec"]["headGroupSpec"], *JOB["spec"]["rayClusterSpec"]["workerGroupSpecs"]]
# KubeRay 1.6, API reference: RayJobSpec, RayClusterSpec, HeadGroupSpec and WorkerGroupSpec; those of use here.
JOB_FIELDS = {
    "entrypoint", "submissionMode", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "activeDeadlineSeconds",
    "backoffLimit", "runtimeEnvYAML", "rayClusterSpec", "clusterSelector", "submitterPodTemplate", "suspend",
}  # fmt: skip
CLUSTER_FIELDS = {"rayVersion", "authOptions", "headGroupSpec", "workerGroupSpecs", "enableInTreeAutoscaling"}
GROUP_FIELDS = {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template", "serviceType"}


def test_the_cluster_file_follows_rays_schema_and_is_taken_by_its_autoscaler():
    from ray.autoscaler._private.util import prepare_config, validate_config

    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(CLUSTER, schema)
    prepared = prepare_config(CLUSTER)
    validate_config(prepared)
    workers = CLUSTER["provider"]["worker_ips"]
    assert prepared["max_workers"] == len(workers) == CLUSTER["max_workers"]


@pytest.mark.parametrize("group", [*GROUPS, SUBMITTER], ids=lambda group: group.get("groupName", "head"))
def test_each_pod_of_the_job_follows_kubernetes_schema_and_runs_as_nobody_special(group):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, **group["template"]}
    kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)
    spec = group["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] and not spec["automountServiceAccountToken"]
    assert all(c["securityContext"]["allowPrivilegeEscalation"] is False for c in spec["containers"])


def test_the_jobs_fields_are_kuberays():
    assert (JOB["apiVersion"], JOB["kind"]) == ("ray.io/v1", "RayJob")
    assert set(JOB["spec"]) <= JOB_FIELDS
    assert set(JOB["spec"]["rayClusterSpec"]) <= CLUSTER_FIELDS
    for group in GROUPS:
        assert set(group) <= GROUP_FIELDS
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())


def test_token_authentication_is_on_in_both():
    assert JOB["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    starts = [*CLUSTER["head_start_ray_commands"], *CLUSTER["worker_start_ray_commands"]]
    starts = [command for command in starts if "ray start" in command]
    assert len(starts) == 2 and all("RAY_AUTH_MODE=token" in command for command in starts)
    assert "chmod 600 ~/.ray/auth_token" in CLUSTER["setup_commands"]
    assert "--dashboard-host=127.0.0.1" in starts[0]


def test_rays_folder_is_below_one_that_is_the_users_alone():
    assert any(command.startswith("install -d -m 700 /tmp/hw2tune-ray") for command in CLUSTER["setup_commands"])
    assert "--temp-dir=/tmp/hw2tune-ray/r" in CLUSTER["head_start_ray_commands"][1]


def test_both_name_the_ray_that_hw2tune_is_pinned_to():
    version = metadata.version("ray")
    pins = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["constraint-dependencies"]
    assert f"ray=={version}" in pins
    assert JOB["spec"]["rayClusterSpec"]["rayVersion"] == version
    for group in GROUPS:
        assert all(c["image"].endswith(f":{version}") for c in group["template"]["spec"]["containers"])
    assert any(f"ray[default]=={version}" in command for command in CLUSTER["setup_commands"])


def test_the_job_runs_a_command_that_hw2tune_has(capsys):
    from hw2tune.cli import app

    words = JOB["spec"]["entrypoint"].split()
    assert words[:2] == ["hw2tune", "study"]
    with pytest.raises(SystemExit):
        app(["study", "--help"])
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert {word for word in words if word.startswith("--")} <= options


def test_the_image_is_built_from_what_is_there_and_runs_as_nobody_special():
    lines = [line.split() for line in re.sub(r"\\\n", " ", DOCKERFILE).splitlines() if line and line[0] != "#"]
    copied = {source for word, *rest in lines if word == "COPY" and "--from=build" not in rest for source in rest[:-1]}
    assert all((ROOT / source).exists() for source in copied)
    build = {"pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "docs/study.schema.json"}
    assert {*build, "hw2tune", "studies"} == copied
    last = {word: rest for word, *rest in lines}
    assert last["USER"] == ["1000"] and last["ENTRYPOINT"] == ['["hw2tune"]']
    python = re.search(r"^ARG PYTHON=(.+)$", DOCKERFILE, re.MULTILINE)[1]
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    assert f"Programming Language :: Python :: {python}" in classifiers


def test_each_image_that_the_documents_name_is_the_files():
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    for argument in re.findall(r"--build-arg (\w+)=", page + DOCKERFILE):
        assert re.search(rf"^ARG {argument}=", DOCKERFILE, re.MULTILINE), argument
    (pushed,) = re.findall(r"docker push (\S+)", page)
    assert {c["image"] for group in [*GROUPS, SUBMITTER] for c in group["template"]["spec"]["containers"]} == {pushed}


def test_nothing_is_installed_by_a_name_that_no_package_index_has():
    """Whoever registered `hw2tune` on an index would run code on these machines."""
    by_name = re.compile(r"pip install (?:--?\w+ )*'?\"?hw2tune(?![-\w]*\*?\.whl|-)")
    files = [path for place in ("docs", "deploy", "hw2tune") for path in (ROOT / place).rglob("*.*")]
    texts = {path: path.read_text() for path in files if path.suffix in (".md", ".ipynb", ".yaml", ".sh", ".py")}
    assert not [str(path) for path, text in texts.items() if by_name.search(text)]
    assert not by_name.search(DOCKERFILE) and re.search(r"pip install uv==\d", DOCKERFILE)
