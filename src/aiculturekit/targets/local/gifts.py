"""What a workload is given for its needs: variables of its environment, and the values of the `${…}` in what the file says."""

from __future__ import annotations

from collections.abc import Mapping

from aiculturekit.plan.documents import Document
from aiculturekit.resources import outputs
from aiculturekit.targets import nodes
from aiculturekit.targets.local import launches
from aiculturekit.targets.local.stores import Documents, Stores


def variables(
    app: str, document: Document, *, stores: Stores, documents: Documents, ports: Mapping[str, int]
) -> dict[str, str]:
    """`NAME_URL` of all that it needs, and what AWS' own libraries read where there is no doubt which store is meant."""
    services = launches.urls(app, document, ports=ports)
    resources = stores.urls(app, document, documents=documents, ports=ports)
    given = {launches.variable(name): url for name, url in {**services, **resources}.items()}
    proxy = ports[nodes.proxy(app, document.name.partition("/")[0])]
    found = stores.outputs(app, document, documents=documents, ports=ports).values()
    buckets = [one for one in found if "bucket" in one]
    return (
        given
        | {"MESH_PROXY_URL": f"http://127.0.0.1:{proxy}"}
        | (outputs.amazon(buckets[0]) if len(buckets) == 1 else {})
    )


def references(
    app: str, document: Document, *, stores: Stores, documents: Documents, ports: Mapping[str, int]
) -> dict[str, str]:
    """`resources.NAME.OUTPUT` and `services.NAME.url` -> value."""
    services = launches.urls(app, document, ports=ports)
    resources = stores.outputs(app, document, documents=documents, ports=ports)
    return {f"services.{name}.url": url for name, url in services.items()} | {
        f"resources.{name}.{output}": value for name, found in resources.items() for output, value in found.items()
    }
