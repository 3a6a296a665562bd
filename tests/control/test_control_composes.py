"""A compose file by the compose specification's own schema (compose-spec.json, compose-go v2.9.0), and what it says it cannot do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

from aiculturekit.control import composes
from aiculturekit.spec import load

SHOP = Path(__file__).parents[2] / "examples" / "shop" / "aic.yaml"
VALIDATOR = jsonschema.Draft7Validator(json.loads((Path(__file__).parent / "compose-spec.json").read_text()))
RICH = """\
app: rich
services:
  web:
    run: python web.py
    public: [/, /shop]
    scale: 2..5
    resources: {cpu: 250m, memory: 128Mi}
    needs: [back, resources/db, resources/files, resources/mail, resources/queue, resources/old, resources/far, resources/disk]
    env:
      BUCKET: ${resources.files.bucket}
      PRICE: 5$
      GREETING: "${env.GREETING:-hello} from ${services.back.url}"
      HOST_OF_DB: "${resources.db.host}:${resources.db.port}"
  back: {image: "registry.example/back:1", access: {audit: true}}
resources:
  db: {type: postgres, version: "16", databases: [reports], extensions: [pg_trgm]}
  files: {type: s3, buckets: [pictures]}
  mail: {type: smtp}
  queue: {type: nats}
  old: {type: mysql}
  far: {type: redis, url: "secret:env/FAR_URL"}
  disk: {type: sqlite}
  own: {type: custom, run: ./own}
jobs:
  tidy: {run: python tidy.py, schedule: "@daily", needs: [resources/db]}
"""


def composed(text: str, folder: Path) -> dict[str, Any]:
    found = composes.composed(load.parse(text, file=folder / "aic.yaml"))
    VALIDATOR.validate(found)
    return found


def test_the_shop_is_a_compose_file() -> None:
    application = load.load(SHOP)
    found = composes.composed(application)
    VALIDATOR.validate(found)
    services = found["services"]
    assert services["api-gateway"]["environment"]["ORDER_SERVICE_URL"] == "http://order-service:8080"
    assert services["order-service"]["depends_on"]["order-service-migrate"] == {
        "condition": "service_completed_successfully"
    }
    assert services["order-service-migrate"]["command"] == ["python", "migrate.py"]
    assert services["payment-service-v2"]["networks"] == {"default": {"aliases": ["payment-service"]}}
    assert set(found["volumes"]) == {"users-db", "orders-db", "cache"}
    assert "location / { set $$to http://api-gateway:8080;" in found["configs"]["aic-ingress"]["content"]
    lost = " ".join(composes.lost(application))
    assert "mTLS" in lost and "payment-service: its versions" in lost and "notification" not in lost


def test_everything_is_given_as_the_platform_gives_it(tmp_path: Path) -> None:
    found = composed(RICH, tmp_path)
    web, db = found["services"]["web"], found["services"]["db"]
    assert web["environment"] == {
        "OTEL_SERVICE_NAME": "web",
        "BACK_URL": "http://back:8080",
        "DB_URL": "postgresql://app:${DB_PASSWORD:?}@db:5432/db",
        "DB_REPORTS_URL": "postgresql://app:${DB_PASSWORD:?}@db:5432/reports",
        "FILES_URL": "s3://app:${FILES_PASSWORD:?}@files:8333/pictures?tls=false",
        "MAIL_URL": "smtp://mail:1025",
        "QUEUE_URL": "nats://app:${QUEUE_PASSWORD:?}@queue:4222",
        "OLD_URL": "mysql://app:${OLD_PASSWORD:?}@old:3306/old",
        "FAR_URL": "${FAR_URL:?}",
        "DISK_URL": "sqlite:////data/disk/disk.db",
        "AWS_ENDPOINT_URL_S3": "http://files:8333",
        "AWS_ACCESS_KEY_ID": "app",
        "AWS_SECRET_ACCESS_KEY": "${FILES_PASSWORD:?}",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "BUCKET": "pictures",
        "PRICE": "5$$",
        "GREETING": "${GREETING:-hello} from http://back:8080",
        "HOST_OF_DB": "db:5432",
    }
    assert web["volumes"] == ["disk:/data/disk"] and web["deploy"]["replicas"] == 2
    assert web["deploy"]["resources"]["limits"] == {"cpus": "0.25", "memory": str(128 << 20)}
    assert db["volumes"] == ["db:/var/lib/postgresql/data"] and db["image"] == "postgres:16"
    assert 'CREATE DATABASE "reports";' in found["configs"]["db"]["content"]
    assert (
        found["services"]["tidy"]["profiles"] == ["jobs"]
        and found["services"]["back"]["image"] == "registry.example/back:1"
    )
    assert "far" not in found["services"] and "own" not in found["services"]


def test_what_is_lost_is_said(tmp_path: Path) -> None:
    said = composes.lost(load.parse(RICH, file=tmp_path / "aic.yaml"))
    for word in (
        "back: access",
        "web: it has 2 replicas",
        "tidy: its schedule",
        "own: custom",
        "files: make its buckets",
        "disk: its folder",
    ):
        assert any(word in line for line in said), word


def test_passwords_are_never_written(tmp_path: Path) -> None:
    text = json.dumps(composed(RICH, tmp_path))
    assert text.count("PASSWORD:?}") > 5 and '"POSTGRES_PASSWORD": "${DB_PASSWORD:?}"' in text
