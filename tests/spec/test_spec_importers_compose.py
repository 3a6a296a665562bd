"""Compose files as people have them become files that `aic check` finds nothing in; what is lost is said with its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from aiculturekit.errors import Problem, SpecError
from aiculturekit.language import say, use
from aiculturekit.spec import load, texts
from aiculturekit.spec.importers import compose, droppings, interpolations, writings

WEB = """\
name: Film Club
x-backend: &backend
  build: ./api
  environment: &env
    DATABASE_URL: postgres://${DB_USER:-app}:${DB_PASSWORD:?needed}@db:5432/films?sslmode=disable
    REDIS_URL: redis://cache:6379/0
    LEVEL: ${LEVEL:-info}
services:
  api:
    <<: *backend
    ports: ["8000:8000"]
    environment:
      <<: *env
      MAIL_HOST: mail
      MAIL_PORT: 1025
    depends_on:
      db: {condition: service_healthy}
      migrate: {condition: service_completed_successfully}
    healthcheck: {test: [CMD, curl, -f, "http://localhost:8000/healthz"], interval: 10s, timeout: 1m30s, retries: 4, start_period: 20s}
    deploy: {replicas: 2, resources: {limits: {cpus: "0.50", memory: 256M}}}
  migrate:
    <<: *backend
    command: alembic upgrade head
    restart: "no"
  web:
    image: nginx:1.27
    ports: ["80:80"]
    environment: {API_URL: "http://api:8000/v1", STRIPE: https://api.stripe.com}
    privileged: true
    volumes: ["./nginx.conf:/etc/nginx/nginx.conf:ro"]
    networks: [front]
  admin: {image: "adminer", profiles: [debug], ports: ["8080:8080"], depends_on: [db]}
  db: {image: "pgvector/pgvector:pg16", volumes: ["data:/var/lib/postgresql/data"]}
  cache: {image: "valkey/valkey:8"}
  mail: {image: axllent/mailpit}
volumes: {data: {}}
networks: {front: {}}
"""
WORDPRESS = """\
services:
  wordpress:
    image: wordpress:6
    ports: [{target: 80, published: "8080"}]
    environment: [WORDPRESS_DB_HOST=db:3306, WORDPRESS_DB_USER=wp, WORDPRESS_DB_PASSWORD=hush, WORDPRESS_DB_NAME=wp, "bad.name=1"]
  db:
    image: mariadb:11
    environment: [MARIADB_USER=wp, MARIADB_PASSWORD=hush]
"""
WORKERS = """\
services:
  orders_api:
    extends: {file: shared.yml, service: base}
    command: ["gunicorn", "-b", "0.0.0.0:5000", "orders:app"]
    expose: [5000]
    env_file: [app.env, {path: missing.env, required: false}]
    environment: {JDBC: "jdbc:postgresql://store:5432/orders", JDBC_USER: o, DSN: "host=store port=5432 user=o password=p dbname=orders"}
  worker: {extends: orders_api, command: python worker.py, environment: {ORDERS: "http://orders_api:5000", QUEUE: "amqp://queue:5672"}}
  queue: {image: "rabbitmq:3-management", ports: ["5672:5672"]}
  store: {image: "docker.io/bitnami/postgresql"}
  objects: {image: minio/minio, command: server /data}
"""
SHARED = "services:\n  base: {build: {context: ., dockerfile: Dockerfile}, environment: {S3: 'http://objects:9000'}}\n"
FILES = {
    "shared.yml": SHARED.encode(), "Dockerfile": b'FROM python\nRUN apt-get install -y x\nCMD ["python", "main.py"]\n',
    "api/Dockerfile": b'FROM a\nCMD no\nFROM python:3.12\nEXPOSE 8000\nCMD ["uvicorn", "main:app", "--port", "8000"]\n',
    "app.env": b"LEVEL=debug\nAPI_TOKEN=hush\n# a note\n",
}  # fmt: skip


def made(
    text: str | bytes, tmp_path: Path, files: dict[str, bytes] = FILES
) -> tuple[dict[str, Any], list[Problem], str]:
    """The file as values, after `load` has found nothing in it."""
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(content)
    raw = text.encode() if isinstance(text, str) else text
    written, losses = compose.imported(
        raw, file="compose.yaml", name="Here", read=files.get, is_directory=lambda path: (tmp_path / path).is_dir()
    )
    whole = yaml.safe_load(written)
    for environment in [None, *whole.get("environments", {})]:
        load.parse(written, file=tmp_path / "aic.yaml", environment=environment, variables={})
    return whole, losses, written


def test_a_web_application_with_a_database(tmp_path: Path) -> None:
    whole, losses, _ = made(WEB, tmp_path)
    assert whole["app"] == "film-club"
    assert whole["resources"] == {
        "db": {"type": "postgres", "extensions": ["vector"]},
        "cache": {"type": "redis"},
        "mail": {"type": "smtp"},
    }
    api = whole["services"]["api"]
    assert (api["source"], api["run"]) == ("api", "uvicorn main:app --port $PORT"), "the last stage of the Dockerfile"
    assert api["env"] == {
        "DATABASE_URL": "${resources.db.url}", "REDIS_URL": "${resources.cache.url}", "LEVEL": "${env.LEVEL:-info}",
        "MAIL_HOST": "${resources.mail.host}", "MAIL_PORT": "${resources.mail.port}",
    }  # fmt: skip
    assert set(api["needs"]) == {"resources/db", "resources/cache", "resources/mail"}
    assert api["health"] == {"http": "/healthz", "every": "10s", "timeout": "90s", "fails": 4}
    assert (api["startup"], api["scale"], api["resources"]) == ("20s", 2, {"cpu": "500m", "memory": "256Mi"})
    assert whole["jobs"]["migrate"]["run"] == "alembic upgrade head"
    web = whole["services"]["web"]
    assert (web["public"], api["public"]) == ("/", "/api"), "the proxy stands in front"
    assert web["env"]["API_URL"] == "${services.api.url}/v1"
    assert web["needs"] == ["api", "https://api.stripe.com"]
    assert list(whole["environments"]["debug"]["services"]) == ["admin"]
    lost = {(loss.path, loss.line) for loss in losses}
    assert {("services.web.privileged", 29), ("services.web.volumes", 30), ("services.web.networks", 31)} <= lost
    assert all(loss.file == "compose.yaml" and loss.line and loss.message and loss.hint for loss in losses)


def test_parts_of_an_address_become_outputs(tmp_path: Path) -> None:
    whole, losses, _ = made(WORDPRESS, tmp_path)
    assert whole["services"]["wordpress"]["env"] == {
        "WORDPRESS_DB_HOST": "${resources.db.host}:${resources.db.port}", "WORDPRESS_DB_USER": "${resources.db.username}",
        "WORDPRESS_DB_PASSWORD": "${resources.db.password}", "WORDPRESS_DB_NAME": "${resources.db.database}",
    }  # fmt: skip
    assert any("bad.name" in loss.message for loss in losses)


def test_extended_services_with_files_of_variables(tmp_path: Path) -> None:
    whole, losses, written = made(WORKERS, tmp_path)
    api, worker = whole["services"]["orders-api"], whole["services"]["worker"]
    assert api["run"] == "gunicorn -b 0.0.0.0:$PORT orders:app"
    assert (
        api["env"]["JDBC"]
        == "jdbc:postgresql://${resources.store.host}:${resources.store.port}/${resources.store.database}"
    )
    assert api["env"]["DSN"].startswith(
        "host=${resources.store.host} port=${resources.store.port} user=${resources.store.username}"
    )
    assert api["env"]["API_TOKEN"] == "${env.API_TOKEN:-}" and "hush" not in written, "a secret stays where it is"
    assert api["env"]["LEVEL"] == "debug" and api["env"]["S3"] == "${resources.objects.endpoint}"
    assert worker["env"]["ORDERS"] == "${services.orders-api.url}" and "queue" in worker["needs"]
    assert whole["services"]["queue"]["protocol"] == "tcp"
    assert any("missing.env" in loss.message for loss in losses)


BOMB = "x0: &x0 [1,2,3,4,5,6,7,8,9]\n" + "".join(
    f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]\n" for n in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB + "services: {a: {image: b}}\n", "more than 200000 values"),
        ("services: &a {b: *a}\n", "nested more than"),
        ("services: " + "[" * 5000, "nested more than"),
        (b"services: {a: {image: b}}\n#" + b"x" * 10_000_000, "at most 5 MB"),
        (b"services:\n  a: {image: \xff\xfe}\n", "not UTF-8"),
        ("services: {a: {image: b}\n", "not YAML"),
        ("a: 1\n---\nb: 2\n", "one mapping"),
        ("", "one mapping"),
        ("services: {}\n", "no services"),
        ("services:\n  a: {extends: b}\n  b: {extends: a}\n", "extends itself"),
        ("services: {a: {extends: {file: nowhere.yml, service: a}}}\n", "no file"),
        ("services: {a: {extends: z}}\n", "no service"),
        ("include: [nowhere.yml]\nservices: {a: {image: b}}\n", "no file"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_error(text: str | bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        made(text, tmp_path)
    assert len(caught.value.problems) == 1 and said in str(caught.value)
    assert caught.value.problems[0].line >= 1


def test_unknown_and_odd_keys_are_losses(tmp_path: Path) -> None:
    odd = "services:\n  Ingress: {image: a, imagee: b, build: ../out, ports: [x, 1-3], environment: 7, depends_on: [ghost, Ingress]}\n  z: 3\nwat: 1\n"
    whole, losses, _ = made(odd, tmp_path)
    assert list(whole["services"]) == ["ingress-2"]
    assert {"services.Ingress.imagee", "services.Ingress.build", "services.z", "wat"} <= {loss.path for loss in losses}


@pytest.mark.parametrize(
    ("text", "reference", "value"),
    [
        ("$A", "${env.A:-}", ""),
        ("${A:-b}", "${env.A:-b}", "b"),
        ("${A:-${B:-c}}", "${env.A:-c}", "c"),
        ("a$$b", "a$b", "a$b"),
        ("$${A}", "$${A}", "${A}"),
        ("${A:?no}", "${env.A}", ""),
        ("${SET}", "${env.SET:-5}", "5"),
        ("${A:+x}${SET:+y}", "y", "y"),
    ],
)
def test_variables(text: str, reference: str, value: str) -> None:
    known = {"SET": "5"}
    assert (interpolations.as_references(text, given=known), interpolations.as_values(text, given=known)) == (
        reference,
        value,
    )


@given(st.text(max_size=40))
def test_what_is_written_is_read_again(text: str) -> None:
    try:
        value, _ = texts.read(
            f"a: {writings.scalar(text)}\nb: [{writings.scalar(text)}]\n".encode("utf-8", "replace"), file="x"
        )
    except UnicodeEncodeError:
        return
    assert value == {"a": text.encode("utf-8", "replace").decode(), "b": [text.encode("utf-8", "replace").decode()]}


def test_the_reasons_are_said_in_chinese_too() -> None:
    use("zh")
    try:
        assert [text for row in droppings.DROPPED.values() for text in row if say(text) == text] == []
    finally:
        use("en")


DEFECTS = """\
services:
  web:
    image: acme/web:${TAG:?which one}
    environment: {LEVEL: "${LEVEL:?needed}", URL: "${SITE?}"}
    healthcheck: {test: curl http://localhost/ok, interval: soon, timeout: 3s, retries: many, start_period: 1 day}
    deploy: {resources: {limits: {cpus: lots, memory: 12 apples}}}
    volumes: ["uploads:/srv/uploads", "./conf:/etc/conf", "/anonymous"]
  worker: {image: acme/worker, volumes: [{type: volume, source: uploads, target: /data}]}
  db: {image: "postgres:17", volumes: ["db:/var/lib/postgresql/data"]}
volumes: {uploads: {}, db: {}}
"""


def test_what_must_be_set_or_cannot_be_read_is_said_and_named_volumes_are_resources(tmp_path: Path) -> None:
    text, losses = compose.imported(
        DEFECTS.encode(), file="compose.yaml", name="x", read={}.get, is_directory=lambda _: False
    )
    whole = yaml.safe_load(text)
    with pytest.raises(SpecError, match="LEVEL"):
        load.parse(text, file=tmp_path / "aic.yaml", variables={})
    load.parse(text, file=tmp_path / "aic.yaml", variables={"LEVEL": "info", "SITE": "x"})
    assert whole["services"]["web"]["env"] == {"LEVEL": "${env.LEVEL}", "URL": "${env.SITE}"}
    said = {(one.path, one.line) for one in losses}
    assert {("TAG", 3), ("LEVEL", 4), ("SITE", 4)} <= said
    assert any("which one" in one.message for one in losses)
    assert {f"services.web.healthcheck.{part}" for part in ("interval", "start_period", "retries")} <= {
        path for path, _ in said
    }
    assert {("services.web.deploy.cpus", 6), ("services.web.deploy.memory", 6)} <= said
    assert whole["services"]["web"]["health"] == {"http": "/ok", "timeout": "3s"}
    assert whole["resources"] == {"uploads": {"type": "volume"}, "db": {"type": "postgres"}}
    assert [whole["services"][one]["needs"] for one in ("web", "worker")] == [["resources/uploads"]] * 2
    assert sorted(one.message for one in losses if one.path.endswith("volumes")) == sorted(
        [
            say("{name} is a directory at another path than {path}", name="uploads", path="/srv/uploads"),
            say("{path} is not mounted", path="/etc/conf"),
            say("{path} is not mounted", path="/anonymous"),
            say("{name} is a directory at another path than {path}", name="uploads", path="/data"),
        ]
    )
