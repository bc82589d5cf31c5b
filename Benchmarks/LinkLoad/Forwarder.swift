import Basics
import Foundation
import Gateway
import Link
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle

/// Listens, and joins every connection to a new stream of a link, as `ssh -L` does with its own.
struct Forwarder: Service {
  let gateway: AWGateway
  let listen: String
  let target: String
  let logger: Logger

  struct Failed: Error, CustomStringConvertible {
    let description: String
    init(_ doing: String) { description = "\(doing): \(String(cString: strerror(errno)))" }
  }

  func run() async throws {
    let listener = try listener()
    let (connections, arrived) = AsyncStream<Int32>.makeStream()
    // accept(2) blocks, so it has a thread of its own. NIO could accept as well, but then the connection would live on
    // another event loop than its stream, and what joins the two needs both on one.
    let thread = Thread {
      while true {
        let connection = accept(listener, nil, nil)
        if connection >= 0 { arrived.yield(connection) } else if errno != EINTR { break }
      }
      arrived.finish()
    }
    thread.start()
    await withGracefulShutdownHandler {
      await withDiscardingTaskGroup { group in
        for await connection in connections { group.addTask { await forward(connection) } }
      }
    } onGracefulShutdown: {
      // Wakes the thread, which then ends.
      shutdown(listener, Int32(SHUT_RDWR))
    }
    close(listener)
  }

  private func forward(_ connection: Int32) async {
    do {
      let ids = try String(contentsOfFile: target, encoding: .utf8).split(whereSeparator: \.isWhitespace)
      guard ids.count == 2, let host = HostID(String(ids[0])), let instance = InstanceID(String(ids[1])) else {
        throw Failed("\(target) names no target")
      }
      try await gateway.open(.openClaw(instance), on: host) { join($0, connection) }
    } catch {
      logger.debug("a connection was not forwarded", metadata: ["error": "\(error)"])
      close(connection)
    }
  }

  private func join(_ stream: any Channel, _ connection: Int32) -> EventLoopFuture<Void> {
    ClientBootstrap(group: stream.eventLoop)
      .channelOption(.allowRemoteHalfClosure, value: true)
      .channelOption(.autoRead, value: false)
      .withConnectedSocket(connection)
      .flatMapThrowing { local in
        let (far, near) = Splice.pair()
        try stream.pipeline.syncOperations.addHandler(far)
        try local.pipeline.syncOperations.addHandler(near)
        return local
      }
      .flatMap { local in local.setOption(.autoRead, value: true) }
  }

  private func listener() throws -> Int32 {
    if listen.contains("/") {
      var address = sockaddr_un()
      address.sun_family = sa_family_t(AF_UNIX)
      unlink(listen)
      withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: listen.utf8.prefix($0.count - 1)) }
      return try bound(socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0), &address)
    }
    let parts = listen.split(separator: ":")
    guard parts.count == 2, let port = UInt16(parts[1]) else { throw Failed("\(listen) is no ADDRESS:PORT") }
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var on: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
    // Accepted connections inherit it.
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = inet_addr(String(parts[0]))
    return try bound(descriptor, &address)
  }

  private func bound<Address>(_ descriptor: Int32, _ address: inout Address) throws -> Int32 {
    let isBound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<Address>.size)) == 0
      }
    }
    guard isBound, Glibc.listen(descriptor, 1_024) == 0 else { throw Failed("listening on \(listen)") }
    return descriptor
  }
}
