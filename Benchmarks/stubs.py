#!/usr/bin/env python3
"""Instances that are nothing but ports of 127.0.0.1, each of which leads to a Gateway, and break when they are told to.

    stubs.py FIRST-PORT GATEWAY-PORT:COUNT …

Lines on standard input: 'down A B', 'up A B', 'flap A B SECONDS', each for the ports from A to before B, counted from 0.
Each is answered with 'done'. What is down refuses connections, and those it had are reset.
"""
import asyncio
import sys


class Stub:
    def __init__(self, port, origin):
        self.port, self.origin = port, origin
        self.server, self.flapping, self.open = None, None, set()

    async def up(self):
        if self.server is None:
            self.server = await asyncio.start_server(self.join, "127.0.0.1", self.port)

    async def down(self):
        if self.server is not None:
            self.server.close()
            self.server = None
        for writer in self.open:
            writer.transport.abort()

    async def flap(self, seconds):
        while True:
            await self.down()
            await asyncio.sleep(seconds)
            await self.up()
            await asyncio.sleep(seconds)

    async def join(self, reader, writer):
        self.open.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.origin)
            self.open.add(far_writer)
            try:
                await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))
            finally:
                self.open.discard(far_writer)
                far_writer.close()
        except OSError:
            # An end that breaks off is what this is for.
            pass
        finally:
            self.open.discard(writer)
            writer.close()


async def copy(reader, writer):
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def obey(stubs, words):
    verb, first, last, *seconds = words
    for stub in stubs[int(first):int(last)]:
        if stub.flapping is not None:
            stub.flapping.cancel()
            stub.flapping = None
        if verb == "flap":
            stub.flapping = asyncio.create_task(stub.flap(float(seconds[0])))
        else:
            await (stub.down() if verb == "down" else stub.up())


async def main():
    first, *groups = sys.argv[1:]
    origins = [int(port) for port, count in (group.split(":") for group in groups) for _ in range(int(count))]
    stubs = [Stub(int(first) + place, origin) for place, origin in enumerate(origins)]
    for stub in stubs:
        await stub.up()
    print("done", flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        await obey(stubs, line.decode().split())
        print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
