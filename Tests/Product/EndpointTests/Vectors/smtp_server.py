#!/usr/bin/env python3
"""A real mail server (aiosmtpd) for tests. Prints its port, then each mail that it takes, as lines of JSON.

    smtp_server.py MODE CERTIFICATE KEY

MODE: plain (no TLS), starttls (TLS and AUTH demanded), login (the same, AUTH LOGIN only), tls (TLS from the start), none
(no STARTTLS although the client wants it), inject (answers STARTTLS and says more in the same breath), mute (takes the
connection and says nothing), drip (begins a reply that has no end).
"""
import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refused"):
            return "550 5.1.1 no such user"
        if address.startswith("later"):
            return "451 4.7.1 greylisted"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        say(
            {
                "helo": session.host_name,
                "tls": session.ssl is not None,
                "user": session.authenticated and session.auth_data,
                "from": envelope.mail_from,
                "to": envelope.rcpt_tos,
                "content": envelope.content.decode("utf-8"),
            }
        )
        return "250 2.0.0 queued as 1A2B"


def authenticate(server, session, envelope, mechanism, data):
    ok = data.login == b"aw" and data.password == b"correct-horse-sentinel"
    return AuthResult(success=ok, handled=False, auth_data=f"{mechanism} {data.login.decode()}")


def say(value):
    print(json.dumps(value), flush=True)


async def inject(reader, writer):
    """Whoever sits in between may add lines to what the server says in the clear."""
    writer.write(b"220 mail.test\r\n")
    while line := await reader.readline():
        if line.upper().startswith(b"EHLO"):
            writer.write(b"250-mail.test\r\n250 STARTTLS\r\n")
        elif line.upper().startswith(b"STARTTLS"):
            writer.write(b"220 go\r\n250-mail.test\r\n250 AUTH PLAIN\r\n")
        await writer.drain()


async def mute(reader, writer):
    await reader.read()


async def drip(reader, writer):
    while not writer.is_closing():
        writer.write(b"2")
        await writer.drain()
        await asyncio.sleep(0.05)


async def main():
    mode, certificate, key = sys.argv[1:4]
    context = None
    if mode in ("starttls", "login", "tls"):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
    loop = asyncio.get_running_loop()
    demands = mode in ("starttls", "login")

    def make():
        return SMTP(
            Handler(),
            hostname="mail.test",
            tls_context=context if demands else None,
            require_starttls=demands,
            auth_required=mode in ("starttls", "login", "tls"),
            auth_require_tls=mode != "tls",
            authenticator=authenticate,
            auth_exclude_mechanism=["PLAIN"] if mode == "login" else None,
            loop=loop,
        )

    strange = {"inject": inject, "mute": mute, "drip": drip}
    if mode in strange:
        server = await asyncio.start_server(strange[mode], "127.0.0.1", 0)
    else:
        server = await loop.create_server(make, "127.0.0.1", 0, ssl=context if mode == "tls" else None)
    say({"port": server.sockets[0].getsockname()[1]})
    await server.serve_forever()


asyncio.run(main())
