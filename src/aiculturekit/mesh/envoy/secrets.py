"""SDS: certificates and trust bundles, each inline in one document, so that a certificate and its key change at once. All of them are
asked for over one stream (`discoveries`). Pure."""

from __future__ import annotations

from collections.abc import Mapping

from aiculturekit.mesh.envoy import documents, names
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.identities import Identity

_TYPE = "extensions.transport_sockets.tls.v3"
_WAIT = "5s"
"""How long a listener or a cluster waits for its certificate before it is there without one: an Envoy that nobody serves must come up all
the same."""


def certificate(identity: Identity, *, chain: str, key: str) -> Json:
    """The SDS document of one workload from its PEM chain and private key."""
    pair = {"certificate_chain": {"inline_string": chain}, "private_key": {"inline_string": key}}
    return documents.bundle([documents.typed(f"{_TYPE}.Secret", name="/".join(identity), tls_certificate=pair)])


def trust(authorities: str) -> Json:
    """The SDS document of the node's trust bundle from its PEM certificates."""
    context = {"trusted_ca": {"inline_string": authorities}}
    return documents.bundle([documents.typed(f"{_TYPE}.Secret", name=names.BUNDLE, validation_context=context)])


def federation(bundles: Mapping[str, str]) -> Json:
    """The SDS document of the neighbours' trust bundles, PEM by trust domain. Each domain's roots vouch for that domain alone."""
    domains = [{"name": name, "trust_bundle": {"inline_string": text}} for name, text in sorted(bundles.items())]
    validator = documents.extension(
        "tls.cert_validator.spiffe", f"{_TYPE}.SPIFFECertValidatorConfig", trust_domains=domains
    )
    context = {"custom_validator_config": validator}
    return documents.bundle([documents.typed(f"{_TYPE}.Secret", name=names.FEDERATION, validation_context=context)])


def abroad(identity: Identity, *, peer: str, sni: str) -> Json:
    """Dial a neighbour's gateway as `identity`, and only speak with the very workload `peer`, a SPIFFE ID."""
    matcher = [{"san_type": "URI", "matcher": {"exact": peer}}]
    common = _shown(identity, alpn=["h2"]) | {
        "combined_validation_context": {
            "default_validation_context": {"match_typed_subject_alt_names": matcher},
            "validation_context_sds_secret_config": _asked(names.FEDERATION),
        }
    }
    fields = {"sni": sni, "common_tls_context": common}
    return documents.extension("transport_sockets.tls", f"{_TYPE}.UpstreamTlsContext", **fields)


def gate(identity: Identity) -> Json:
    """Answer as `identity` at the gateway, only to certificates of neighbours."""
    common = _shown(identity, alpn=["h2", "http/1.1"])
    common |= {"validation_context_sds_secret_config": _asked(names.FEDERATION)}
    fields = {"require_client_certificate": True, "common_tls_context": common}
    return documents.extension("transport_sockets.tls", f"{_TYPE}.DownstreamTlsContext", **fields)


def _asked(name: str) -> Json:
    return {
        "name": name,
        "sds_config": {"ads": {}, "initial_fetch_timeout": _WAIT, "resource_api_version": "V3"},
    }


def client(identity: Identity, *, peer: Json, alpn: str = "") -> Json:
    """Dial as `identity`, and only speak with whom `peer`, a string matcher on the SPIFFE ID, accepts."""
    common = _common(identity, peer, alpn=[alpn] if alpn else [])
    return documents.extension("transport_sockets.tls", f"{_TYPE}.UpstreamTlsContext", common_tls_context=common)


def server(identity: Identity, *, trust_domain: str) -> Json:
    """Answer as `identity`, only to certificates of the trust domain; who may do what is the authorization filter's
    part."""
    common = _common(identity, {"prefix": f"spiffe://{trust_domain}/"}, alpn=["h2", "http/1.1"])
    fields = {"require_client_certificate": True, "common_tls_context": common}
    return documents.extension("transport_sockets.tls", f"{_TYPE}.DownstreamTlsContext", **fields)


def _common(identity: Identity, peer: Json, *, alpn: list[str]) -> Json:
    return _shown(identity, alpn=alpn) | {
        "combined_validation_context": {
            "default_validation_context": {"match_typed_subject_alt_names": [{"san_type": "URI", "matcher": peer}]},
            "validation_context_sds_secret_config": _asked(names.BUNDLE),
        },
    }


def _shown(identity: Identity, *, alpn: list[str]) -> Json:
    return {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
        "alpn_protocols": alpn,
        "tls_certificate_sds_secret_configs": [_asked("/".join(identity))],
    }
