import Basics
import Foundation
import Logging
import NIOCore
import NIOFoundationCompat
import NIOHTTP1
import NIOWebSocket

/// Moves messages between one WebSocket and the Gateway.
struct WebSocketLoop: Sendable {
  let gateway: Gateway

  func run(_ channel: WebSocketChannel) async throws {
    let id = UUID().uuidString.lowercased()
    let peer = channel.channel.remoteAddress
    let (stream, outgoing) = AsyncStream<Outgoing>.makeStream()
    let gateway = gateway
    let raw = channel.channel
    let timer = raw.eventLoop.scheduleTask(in: .milliseconds(gateway.handshakeMilliseconds)) {
      Task { await gateway.handshakeExpired(id) }
    }
    try await channel.executeThenClose { inbound, outbound in
      await withTaskGroup(of: Void.self) { tasks in
        tasks.addTask {
          do {
            try await Self.write(stream, outbound, raw)
          } catch {
            gateway.logger.debug("write ended", metadata: ["error": "\(error)"])
          }
        }
        await gateway.attach(
          id, isLoopback: peer?.isLoopback ?? false, remoteIP: peer?.ipAddress, outgoing: outgoing)
        do {
          try await Self.read(inbound, outgoing, gateway, id)
        } catch {
          gateway.logger.debug("read ended", metadata: ["error": "\(error)"])
        }
        timer.cancel()
        await gateway.detach(id)
      }
    }
  }

  private static func read(
    _ inbound: NIOAsyncChannelInboundStream<WebSocketFrame>, _ outgoing: AsyncStream<Outgoing>.Continuation,
    _ gateway: Gateway, _ id: String
  ) async throws {
    for try await frame in inbound {
      switch frame.opcode {
      case .text, .binary: await gateway.receive(Array(frame.unmaskedData.readableBytesView), from: id)
      case .ping: outgoing.yield(.pong(frame.unmaskedData))
      case .connectionClose:
        var data = frame.unmaskedData
        let code = data.readWebSocketErrorCode().map { UInt16(webSocketErrorCode: $0) } ?? 1000
        outgoing.yield(.close(code: code, reason: ""))
        return
      default: break
      }
    }
  }

  private static func write(
    _ stream: AsyncStream<Outgoing>, _ outbound: NIOAsyncChannelOutboundWriter<WebSocketFrame>, _ channel: any Channel
  ) async throws {
    var isClosing = false
    for await item in stream {
      switch item {
      case .text(let text) where !isClosing:
        try await outbound.write(WebSocketFrame(fin: true, opcode: .text, data: ByteBuffer(string: text)))
      case .pong(let data) where !isClosing:
        try await outbound.write(WebSocketFrame(fin: true, opcode: .pong, data: data))
      case .close(let code, let reason) where !isClosing:
        isClosing = true
        var data = ByteBuffer()
        data.writeInteger(code)
        data.writeString(reason)
        try await outbound.write(WebSocketFrame(fin: true, opcode: .connectionClose, data: data))
        // A peer that never answers the close must not hold the socket.
        channel.eventLoop.scheduleTask(in: .seconds(2)) { channel.close(promise: nil) }
      case .cut: channel.close(promise: nil)
      default: break
      }
    }
  }
}

/// Answers plain requests.
struct HTTPLoop: Sendable {
  let gateway: Gateway

  func run(_ channel: HTTPChannel) async throws {
    let isLoopback = channel.channel.remoteAddress?.isLoopback ?? false
    try await channel.executeThenClose { inbound, outbound in
      var head: HTTPRequestHead?
      for try await part in inbound {
        switch part {
        case .head(let received): head = received
        case .body: break
        case .end:
          guard let request = head else { continue }
          try await answer(request, isLoopback: isLoopback, outbound)
          if !request.isKeepAlive { return }
        }
      }
    }
  }

  private func answer(
    _ request: HTTPRequestHead, isLoopback: Bool,
    _ outbound: NIOAsyncChannelOutboundWriter<HTTPPart<HTTPResponseHead, ByteBuffer>>
  ) async throws {
    let bearer = request.headers.first(name: "authorization")
    let state = try await gateway.probeState(isLoopback: isLoopback, authorization: bearer)
    let answer = Probes.answer(method: request.method.rawValue, path: request.uri, state)
    var headers = HTTPHeaders([("cache-control", "no-store"), ("content-length", String(answer.body.utf8.count))])
    if let type = answer.contentType { headers.add(name: "content-type", value: type) }
    if let allow = answer.allow { headers.add(name: "allow", value: allow) }
    if !request.isKeepAlive { headers.add(name: "connection", value: "close") }
    let status = HTTPResponseStatus(statusCode: answer.status)
    try await outbound.write(.head(HTTPResponseHead(version: .http1_1, status: status, headers: headers)))
    if request.method != .HEAD { try await outbound.write(.body(ByteBuffer(string: answer.body))) }
    try await outbound.write(.end(nil))
  }
}

extension Gateway {
  func probeState(isLoopback: Bool, authorization: String?) async throws -> ProbeState {
    let faults = faults.current
    if faults.slowMilliseconds > 0 { try await Task.sleep(for: .milliseconds(faults.slowMilliseconds)) }
    refreshConfig()
    let bearer = authorization.flatMap { $0.hasPrefix("Bearer ") ? Secret(String($0.dropFirst(7))) : nil }
    let isKnown = bearer.flatMap { sent in auth.secret?.equals(sent) } ?? false
    var failing: [String] = []
    if faults.notReady { failing.append("startup-sidecars") }
    if isStopping { failing.append("gateway-draining") }
    return ProbeState(
      failing: failing, uptimeMilliseconds: uptimeMilliseconds, eventLoop: eventLoop,
      controlUIEnabled: config.parsed.at("gateway", "controlUi", "enabled")?.boolValue ?? true,
      isTrusted: isLoopback || isKnown)
  }
}

extension SocketAddress {
  /// Whether the peer is this machine, judged by its address only.
  var isLoopback: Bool {
    guard let address = ipAddress else { return false }
    return address.hasPrefix("127.") || address == "::1" || address.hasPrefix("::ffff:127.")
  }
}
