"""The shop behind a real Istio in a real cluster by `aic deploy`: sidecars in every pod, a gateway of its own, and the same rules as on this
machine."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.clusters import shops
from tests.clusters.manifests import echo
from tests.clusters.shops import ORDER, Json, Shop
from tests.mesh.issuers import Issuer
from tests.servers import jaeger, meshes, tracers
from tests.servers.clusters import Cluster
from tests.servers.jaeger import Server
from tests.servers.needs import need
from tests.servers.registries import Registry

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the first time it is built
CALLED = {"shop-istio", "api-gateway", "order-service", "payment-service"}
"""Those who have a part in every order."""


@pytest.fixture(scope="module")
def shop(mesh_cluster: Cluster, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    need(shops.obstacle())
    folder = tmp_path_factory.mktemp("shop")
    options = "mesh=istio&traces=100"
    with shops.shop(mesh_cluster, registry, folder, options=options, overlay={}) as one:
        one.deploy()
        mesh_cluster.rolled_out("shop-istio", namespace=shops.NAMESPACE, seconds=300)
        yield one


@pytest.fixture(scope="module")
def gateway(shop: Shop) -> Iterator[httpx.Client]:
    """Istio's controller made it of the Gateway that we render."""
    address = shop.cluster.dial_service("shop-istio", namespace=shops.NAMESPACE, port=80)
    with httpx.Client(base_url=f"http://{address}", timeout=20, trust_env=False) as client:
        until(lambda: shops.answers(client))
        yield client


@pytest.fixture(scope="module")
def tracer(mesh_cluster: Cluster) -> Server:
    need(jaeger.reason())
    return tracers.install(mesh_cluster)


def until(is_so: Callable[[], bool], *, seconds: float = 120) -> None:
    """Rules reach the proxies a moment after they are applied."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not come to be so"
        time.sleep(0.5)


def test_an_order_is_paid_through_the_gateway(gateway: httpx.Client) -> None:
    answer = gateway.post("/api/orders", json=ORDER)
    assert answer.status_code == 201, answer.text
    assert gateway.get(f"/api/orders/{answer.json()['id']}").json()["status"] == "paid"


def test_every_pod_has_its_sidecar(shop: Shop, gateway: httpx.Client) -> None:
    pods = shop.listed("pods")
    without = [
        pod["metadata"]["name"]
        for pod in pods
        if "istio-proxy"
        not in {one["name"] for part in ("containers", "initContainers") for one in pod["spec"].get(part, ())}
    ]
    assert len(pods) >= 9 and without == []


def test_the_canary_has_its_share(gateway: httpx.Client) -> None:
    """10% of 300: five standard deviations are 26."""
    seen = Counter(gateway.post("/api/orders", json=ORDER).headers["x-version"] for _ in range(300))
    assert abs(seen["v2"] - 30) <= 26 and seen["v1"] + seen["v2"] == 300
    assert gateway.post("/api/orders", json=ORDER, headers={"x-beta": "true"}).headers["x-version"] == "v2"


@pytest.mark.parametrize("needed", ["user-service", "payment-service"])
def test_a_call_that_no_need_names_is_refused(shop: Shop, gateway: httpx.Client, needed: str) -> None:
    """The same question from a pod that needs the service, and from one that does not."""
    script = f"import httpx; print(httpx.get('http://{needed}:8080/healthz', timeout=20).status_code)"
    allowed = shop.within("order-service", script)
    assert allowed.stdout.strip() == "200", allowed.stderr
    refused = shop.within("notification", script)
    assert refused.returncode != 0 and "200" not in refused.stdout
    assert "Connect" in refused.stderr or "Read" in refused.stderr or "403" in refused.stdout


def test_who_is_in_the_mesh_but_of_nobody_s_needs_is_refused_by_his_name(
    shop: Shop, gateway: httpx.Client, namespace: Callable[..., str]
) -> None:
    """Its own proxy lets it go anywhere and it has a good certificate: who it is decides, at the door of the service."""
    space = namespace(shop.cluster, **meshes.INJECTED)
    shop.cluster.apply(*echo("stranger", namespace=space))
    shop.cluster.rolled_out("stranger", namespace=space, seconds=180)
    url = f"http://user-service.{shops.NAMESPACE}:8080/healthz"

    def asked() -> str:
        return shop.cluster.kubectl(
            "-n", space, "exec", "deployment/stranger", "-c", "app", "--", "/echo", "get", url, seconds=60
        )

    until(lambda: asked().startswith("403 RBAC: access denied"))


def test_who_has_no_identity_is_refused(shop: Shop, gateway: httpx.Client) -> None:
    """Mutual TLS is demanded: plain text from the node does not come in."""
    (demanded,) = {one["spec"]["mtls"]["mode"] for one in shop.listed("peerauthentications.security.istio.io")}
    assert demanded == "STRICT"
    address = shop.cluster.dial_service("user-service", namespace=shops.NAMESPACE)
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://{address}/users", timeout=20, trust_env=False)


def test_an_order_is_one_trace_in_jaeger(gateway: httpx.Client, tracer: Server) -> None:
    def seen() -> set[str]:
        """Who has a part in the fullest trace."""
        gateway.post("/api/orders", json=ORDER)
        traces = tracer.spans("api-gateway.shop")
        return max(({span["service"].partition(".")[0] for span in trace} for trace in traces), key=len, default=set())

    end = time.monotonic() + 180
    while not (found := seen()) >= CALLED:
        assert time.monotonic() < end, (found, tracer.ask("/api/services"))
        time.sleep(1)


def test_traffic_shifts_while_it_runs_and_stays_where_it_was_put(shop: Shop, gateway: httpx.Client) -> None:
    before = shop.generations()
    shop.made.aic("traffic", "payment-service", "v2=100%", "--app", shops.KEY)
    until(lambda: {gateway.post("/api/orders", json=ORDER).headers["x-version"] for _ in range(20)} == {"v2"})
    shop.deploy()  # holds the shift until the file says something new
    assert {gateway.post("/api/orders", json=ORDER).headers["x-version"] for _ in range(20)} == {"v2"}
    assert shop.generations() == before


def test_the_gateway_wants_a_token(shop: Shop, gateway: httpx.Client) -> None:
    """The last of this module: afterwards nobody comes in without one."""
    issuer, stranger = Issuer(), Issuer()
    (shop.folder / "keys.json").write_text(issuer.jwks)
    asked: Json = {"issuer": issuer.name, "jwks": "keys.json", "audience": ["shop"], "open": ["/healthz"]}
    shop.edit(lambda given: given["services"]["api-gateway"].update(access={"jwt": asked}))
    before = shop.generations()
    shop.deploy()
    until(lambda: gateway.post("/api/orders", json=ORDER).status_code == 403)
    statuses = {
        name: gateway.post("/api/orders", json=ORDER, headers={"authorization": f"Bearer {token}"}).status_code
        for name, token in {
            "good": issuer.token(aud="shop"),
            "another's": issuer.token(aud="bank"),
            "ended": issuer.token(aud="shop", lasts=-300),
            "forged": stranger.token(aud="shop"),
        }.items()
    }
    assert statuses == {"good": 201, "another's": 403, "ended": 401, "forged": 401}
    assert gateway.get("/healthz").status_code == 200
    assert shop.generations() == before  # a rule of the gateway, of which no pod knows
