"""Through which proxy a URL is fetched. Called by `client`; pure but for the environment, which is handed in.

`proxy_url` alone is for every host. With `no_proxy`, and with what the environment says (HTTP_PROXY, HTTPS_PROXY and NO_PROXY,
or the same in small letters, which go first), the rules are those of golang.org/x/net/http/httpproxy: never for localhost and
loopback addresses; `no_proxy` is a list of hosts, each with a port or without: `*` is all, an address or a network of them
(10.0.0.0/8), a domain with all below it (`example.com`), or only what is below it (`.example.com`, `*.example.com`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from styr.metrics.scrape.connection import FetchError
from styr.metrics.scrape.httpconfig import Proxy

PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
SOCKS = ("socks5", "socks5h")
"""Both have the proxy resolve names, as in Go."""


def proxy_of(url: SplitResult, proxy: Proxy, environment: Mapping[str, str]) -> SplitResult | None:
    """The proxy's URL, None for a direct connection. Raises FetchError when the environment names none that can be used."""
    chosen, exempt = proxy.url, proxy.no_proxy
    if proxy.from_environment:
        chosen = _of_environment(environment, f"{url.scheme}_proxy")
        exempt = _of_environment(environment, "no_proxy")
    elif chosen and not exempt:
        return urlsplit(chosen)
    if not chosen or is_exempt(url.hostname or "", url.port or PORTS[url.scheme], exempt):
        return None
    found = urlsplit(chosen if "://" in chosen else f"http://{chosen}")
    if found.scheme not in PORTS or not found.hostname:
        raise FetchError(f"the environment's {url.scheme}_proxy is no http, https or socks5 URL")
    return found


def _of_environment(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name) or environment.get(name.upper()) or ""


def is_exempt(host: str, port: int, no_proxy: str) -> bool:
    """Whether a host is reached without the proxy."""
    host = host.lower()
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_matches(host, address, port, each.strip().lower()) for each in no_proxy.split(",") if each.strip())


Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _matches(host: str, address: Address | None, port: int, entry: str) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    entry, wanted = _split_port(entry)
    if wanted and wanted != str(port):
        return False
    named = _address(entry)
    if named is not None:
        return named == address
    below = entry.removeprefix("*")
    if below.startswith("."):
        return host.endswith(below)
    return host == below or host.endswith(f".{below}")


def _split_port(entry: str) -> tuple[str, str]:
    """(host without brackets, port or "")."""
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        return host, rest.removeprefix(":")
    if entry.count(":") == 1:
        host, _, port = entry.partition(":")
        return host, port
    return entry, ""
