"""Which addresses a connector may connect to: judged where the connection is made, so that no name can mean another one later."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final

import httpcore
from pydantic import BaseModel, ConfigDict, Field, FilePath

Address = IPv4Address | IPv6Address
LOCAL: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_SHARED = ip_network("100.64.0.0/10")  # RFC 6598: of carriers and clouds, neither global nor private
_NAT64 = ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address in IPv6
_METADATA = frozenset({ip_address("fd00:ec2::254"), ip_address("100.100.100.200"), ip_address("168.63.129.16")})  # of clouds


class Reach(BaseModel):
    """Settings of every connector that speaks HTTP. TLS is always verified; `ca_file` adds an authority, it takes none away."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    private_network: bool = Field(default=False, description="Its host is in a private network, such as 10.1.2.3")
    ca_file: FilePath | None = Field(
        default=None, description="Certificates, in PEM, of an authority to trust besides the public ones"
    )


class AddressRefused(httpcore.ConnectError):
    """The host has no address that may be connected to."""


class Guarded(httpcore.AsyncNetworkBackend):
    """Connects to addresses that may be reached, and to the very ones that were looked at: a name that means a public host when
    it is looked at and this machine a moment later (DNS rebinding) leads nowhere.
    """

    def __init__(self, host: str, *, private: bool) -> None:
        self._local = host in LOCAL or _is_loopback(host)
        self._private = private or _literal(host) is not None  # an address that stands in the settings was meant
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as the base class has it
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        fault: Exception = AddressRefused(f"{host} has no address")
        for address in await self._allowed(host, port, timeout):
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as no:
                fault = no
        raise fault

    async def connect_unix_socket(self, path: str, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        raise AddressRefused(f"{path} is no host")

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)

    async def _allowed(self, host: str, port: int, patience: float | None) -> list[str]:
        found = await _addresses(host, port, patience)
        allowed = [text for text in found if may_reach(_literal(text), local=self._local, private=self._private)]
        if found and not allowed:
            may_be_meant = not self._private and all(may_reach(_literal(text), local=False, private=True) for text in found)
            hint = "; set private_network: true if that is meant" if may_be_meant else ""
            raise AddressRefused(f"{host} is {', '.join(found[:3])}, which is no public address{hint}")
        return allowed


def may_reach(address: Address | None, *, local: bool, private: bool) -> bool:
    """Whether a connection to this address is allowed: this machine only where the settings name it, private networks only where
    they say so, and never what is link-local, where clouds keep the credentials of machines.
    """
    if address is None:
        return False
    address = _inner(address)
    if address.is_loopback or local:
        return address.is_loopback and local
    if address.is_link_local or address.is_multicast or address.is_unspecified or address in _METADATA:
        return False
    if address.is_global:
        return True
    return private and (address.is_private or address in _SHARED) and not address.is_reserved


def trusting(reach: Reach, context: ssl.SSLContext) -> ssl.SSLContext:
    """The context with one authority more. Raises ValueError where its file holds no certificate."""
    if reach.ca_file is not None:
        try:
            context.load_verify_locations(reach.ca_file)
        except (ssl.SSLError, OSError):
            raise ValueError(f"ca_file: {reach.ca_file} holds no certificates in PEM") from None
    return context


async def _addresses(host: str, port: int, patience: float | None) -> list[str]:
    if _literal(host) is not None:
        return [host]
    try:
        async with asyncio.timeout(patience):
            told = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise httpcore.ConnectTimeout(f"{host} could not be looked up in time") from None
    except (OSError, UnicodeError):
        raise httpcore.ConnectError(f"{host} could not be looked up") from None
    return list(dict.fromkeys(str(where[0]) for *_, where in told))


def _inner(address: Address) -> Address:
    """The IPv4 address an IPv6 one stands for, where it does."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    address = _literal(host)
    return address is not None and _inner(address).is_loopback
