"""Whether certificates can be the roots of a trust domain, as a short-lived program: the library that reads them stays out of the daemon.

`python -m aiculturekit.mesh.inspections` reads lines of `{"trust_domain", "pem"}` and prints `{"faults": [reason]}` for each.
"""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509

from aiculturekit.mesh import lines, svids


def faults(pem: str, *, trust_domain: str) -> Iterator[str]:
    try:
        found = x509.load_pem_x509_certificates(pem.encode())
    except ValueError as error:
        yield str(error)
        return
    for certificate in found:
        if fault := svids.faults(certificate, trust_domain=trust_domain):
            yield fault


def main() -> None:
    lines.served(lambda request: {"faults": list(faults(request["pem"], trust_domain=request["trust_domain"]))})


if __name__ == "__main__":
    main()
