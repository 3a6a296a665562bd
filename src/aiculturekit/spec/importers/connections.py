"""Values of variables that lead to a neighbour, as needs and references. Pure.

`postgres://app:secret@db:5432/app` -> `${resources.db.url}`, and the need `resources/db`. The parts that programs want one by one
(DB_HOST, DB_USER, DB_PASSWORD …) become the resource's outputs.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping

from aiculturekit.language import say
from aiculturekit.spec.importers.stocks import Stock
from aiculturekit.spec.stores import OUTPUTS

_VARIABLE = re.compile(r"(?<!\$)\$\{env\.\w+(?::-([^${}]*))?\}")
_URL = re.compile(r"((?:jdbc:)?[a-z][a-z0-9+.-]*)://(?:[^@/\s]*@)?([A-Za-z0-9._-]+)(?::(\d+))?(/[^\s?]*)?(\?\S*)?")
_CALL = re.compile(r"\b(https?|wss?|grpc)://([A-Za-z0-9._-]+)(?::\d+)?(?=[/?#,;\s\"']|$)")
_OUTSIDE = re.compile(r"(https)://([a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,})(?::\d+)?(?:/\S*)?", re.I)
_OWN = re.compile(r"PUBLIC|SITE|ORIGIN|CALLBACK|REDIRECT|CORS|ALLOWED|FRONTEND|ISSUER|SELF|ROOT_URL|BASE_URL|DOMAIN")
"""Variables that hold the application's own address rather than one that it calls."""
_HOSTS = r"(?:HOST|HOSTNAME|SERVER|ADDR|ADDRESS|ENDPOINT|URL|URI|DSN)S?"
_PARTS = {
    "host": _HOSTS, "port": "PORT", "username": "USER|USERNAME|ROOT_USER", "password": "PASSWORD|PASS|PWD|ROOT_PASSWORD",
    "database": "NAME|DATABASE|DB|DBNAME|DB_NAME", "key": "ACCESS_KEY|ACCESS_KEY_ID", "secret": "SECRET_KEY|SECRET_ACCESS_KEY|SECRET",
    "bucket": "BUCKET|BUCKET_NAME", "region": "REGION",
}  # fmt: skip
_WORDS = {"host": "host", "port": "port", "user": "username", "password": "password", "dbname": "database"}
"""Words of a `host=… port=…` string."""


@dataclasses.dataclass(frozen=True, slots=True)
class Peer:
    """A neighbour: `name` in our file, and its stock where it becomes a resource."""

    name: str
    stock: Stock | None = None

    @property
    def need(self) -> str:
        return f"resources/{self.name}" if self.stock else self.name


@dataclasses.dataclass(frozen=True, slots=True)
class Connected:
    """The variables with references in them, the needs in order, and (variable, why, hint) of what cannot be said."""

    env: dict[str, str]
    needs: tuple[str, ...]
    remarks: tuple[tuple[str, str, str], ...]


def connected(env: Mapping[str, str], *, peers: Mapping[str, Peer], own: str) -> Connected:
    """`peers` by the host names that they answer to; `own` is the name of the workload itself."""
    made, needs, remarks = dict(env), dict[str, None](), list[tuple[str, str, str]]()
    for variable, text in env.items():
        plain = _VARIABLE.sub(lambda found: found[1] or "", text)
        peer = next((peers[host] for host in _hosts(plain) if host in peers and peers[host].name != own), None)
        if peer is None:
            if (outside := _OUTSIDE.fullmatch(plain)) and outside[2] not in peers and not _OWN.search(variable):
                needs[f"https://{outside[2].lower()}"] = None
            continue
        replaced = _of_stock(plain, peer) if peer.stock else _of_service(plain, peers, own)
        if replaced is None:
            if _is_address(variable, plain):
                needs[peer.need] = None
                remarks.append((variable, *_unsayable(peer)))
            continue
        made[variable] = replaced
        needs |= dict.fromkeys(_needed(replaced, peers))
        if (
            peer.stock and "://" not in text.removeprefix("jdbc:").partition("@")[0].partition("?")[0]
        ) or "jdbc:" in text:
            made |= _siblings(variable, env, peer)
    return Connected(made, tuple(needs), tuple(remarks))


def _is_address(variable: str, plain: str) -> bool:
    return ":" in plain or bool(re.search(rf"(^|_){_HOSTS}$", variable.upper()))


def _needed(text: str, peers: Mapping[str, Peer]) -> Iterator[str]:
    by_name = {(peer.stock is not None, peer.name): peer.need for peer in peers.values()}
    for section, name in re.findall(r"\$\{(services|resources)\.([a-z0-9-]+)\.", text):
        yield by_name[section == "resources", name]


def _hosts(plain: str) -> Iterator[str]:
    """Every host that the text may name."""
    yield from (found[2] for found in _URL.finditer(plain))
    yield from re.findall(r"\b(?:host|server)=([\w.-]+)", plain, re.I)
    if found := re.fullmatch(r"([A-Za-z0-9._-]+)(?::\d+)?", plain):
        yield found[1]


def _of_service(plain: str, peers: Mapping[str, Peer], own: str) -> str | None:
    def replaced(found: re.Match[str]) -> str:
        peer = peers.get(found[2])
        known = peer is not None and peer.stock is None and peer.name != own and found[1] in ("http", "https")
        return f"${{services.{peer.name}.url}}" if known and peer else found[0]

    made = _CALL.sub(replaced, _escaped(plain))
    return made if made != _escaped(plain) else None


def _escaped(plain: str) -> str:
    return re.sub(r"(?<!\$)\$\{(?!(env|services|resources)\.)", "$${", plain)


def _of_stock(plain: str, peer: Peer) -> str | None:
    """The text with the resource's own outputs in it; None where its type has none that would do."""
    stock, known = peer.stock, OUTPUTS.get(peer.stock.type if peer.stock else "", ())

    def part(name: str) -> str:
        return f"${{resources.{peer.name}.{name}}}"

    if stock is None or "host" not in known:
        return part("endpoint") if "endpoint" in known and re.match(r"https?://", plain) else None
    if found := _URL.fullmatch(plain):
        scheme, path, query = found[1], found[4] or "", found[5] or ""
        if scheme in stock.schemes and not _kept(query) and (path in ("", "/", "/0") or "database" in known):
            return part("url")
        login = (
            "" if scheme.startswith("jdbc:") or "username" not in known else f"{part('username')}:{part('password')}@"
        )
        end = f"/{part('database')}" if path.strip("/") and "database" in known and stock.type != "redis" else path
        return f"{scheme}://{login}{part('host')}:{part('port')}{end}{_kept(query)}"
    if re.search(r"\bhost=", plain):
        words = [word.partition("=") for word in plain.split()]
        return " ".join(
            f"{key}={part(_WORDS[key]) if _WORDS.get(key) in known else value}" for key, _, value in words if key
        )
    return part("host") + (f":{part('port')}" if ":" in plain else "")


def _kept(query: str) -> str:
    """What a URL asks of its client; whether the way is encrypted is the mesh's affair."""
    kept = [one for one in query.lstrip("?").split("&") if one and not re.match(r"(ssl|tls)(mode)?=|useSSL=", one)]
    return f"?{'&'.join(kept)}" if kept else ""


def _siblings(variable: str, env: Mapping[str, str], peer: Peer) -> dict[str, str]:
    """DB_HOST leads to the database, so DB_PORT, DB_USER, DB_PASSWORD and DB_NAME speak of it too."""
    known = OUTPUTS[peer.stock.type] if peer.stock else ()
    prefix = re.sub(rf"{_HOSTS}$", "", variable.upper())
    return {
        other: f"${{resources.{peer.name}.{part}}}"
        for other in env
        if other != variable and other.upper().startswith(prefix)
        for part, words in _PARTS.items()
        if part in known and part != "host" and re.fullmatch(words, other.upper().removeprefix(prefix))
    }


def _unsayable(peer: Peer) -> tuple[str, str]:
    stem = peer.name.upper().replace("-", "_")
    why = say("the address of {name} is another one here, and only a URL can hold it", name=peer.name)
    return why, say("read {variable} in the program instead", variable=f"{stem}_URL")
