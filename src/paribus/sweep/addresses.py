"""The addresses of this machine: where others may reach it, and the interface that has one of them."""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path

_SIOCGIFADDR = 0x8915  # Linux: the IPv4 address of an interface
_IPV6 = Path("/proc/net/if_inet6")
_GLOBAL = "00"  # its column of scopes, for addresses that other machines can use


def interfaces() -> dict[str, str]:
    """Address -> interface, without the loopback. Empty where the system is not Linux."""
    if sys.platform != "linux":
        return {}
    import fcntl

    found = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for _, name in socket.if_nameindex():
            with suppress(OSError):  # it has none
                answer = fcntl.ioctl(any_socket, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                found[socket.inet_ntoa(answer[20:24])] = name
    with suppress(OSError):
        for line in _IPV6.read_text().splitlines():
            digits, _, _, scope, _, name = line.split()
            if scope == _GLOBAL:
                found[socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))] = name
    return {address: name for address, name in found.items() if not is_loopback(address)}


def addresses() -> list[str]:
    """Where another machine may reach this one, the likeliest first; the loopback only where there is nothing else.

    The name of a host is often an address of the loopback in its own /etc/hosts, so the name alone can't be trusted.
    """
    found = list(interfaces())
    with suppress(OSError):  # the name has no address
        for each in socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM):
            found.append(str(each[4][0]))
    return list(dict.fromkeys(each for each in found if not is_loopback(each))) or ["127.0.0.1"]


def is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


def plain(address: str) -> str:
    """An address as its family writes it: a socket for both families has IPv4 as ::ffff:10.0.0.1."""
    return address.removeprefix("::ffff:")


def interface_of(address: str) -> str | None:
    """The interface that has this address of ours; None for the loopback, and where the system does not tell."""
    return interfaces().get(address)
