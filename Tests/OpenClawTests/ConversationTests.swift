import Basics
import Crypto
import Foundation
import NIOCore
import NIOWebSocket
import Testing

@testable import OpenClaw

@Suite("The Gateway WebSocket, against a scripted server", .timeLimit(.minutes(1)))
struct ConversationTests {
  static let token = Secret("shared-token")

  static func connect(_ dialer: TCPDialer, deadline: Duration = .seconds(15)) async throws -> GatewayClient {
    let device = try DeviceIdentity(seed: Secret(bytes: Array(0..<32)))
    return try await GatewayClient.connect(
      through: dialer, credentials: .init(token: token, device: device), options: .control(version: "1.2.3"),
      deadline: deadline, wanted: { _ in true })
  }

  @Test("the connect request is closed, complete, and signed at the challenge's time")
  func happy() async throws {
    try await ScriptedGateway.run { peer in
      let connect = try await peer.challenge()
      let params = try #require(connect["params"])
      #expect(Set(try #require(connect.objectValue).keys) == ["type", "id", "method", "params"])
      #expect(
        Set(try #require(params.objectValue).keys) == [
          "minProtocol", "maxProtocol", "client", "role", "scopes", "caps", "locale", "userAgent", "auth", "device",
        ])
      let device = try #require(params["device"])
      #expect(device["signedAt"] == 1_795_335_301_027)
      #expect(device["nonce"] == "nonce-1")
      let id = try #require(device["id"]?.stringValue)
      let signed =
        "v3|\(id)|gateway-client|backend|operator|operator.read,operator.write|1795335301027|shared-token|nonce-1"
        + "|linux|server"
      let publicKey = try #require(device["publicKey"]?.stringValue.flatMap(Base64URL.decode))
      let signature = try #require(device["signature"]?.stringValue.flatMap(Base64URL.decode))
      let key = try Curve25519.Signing.PublicKey(rawRepresentation: publicKey)
      #expect(key.isValidSignature(signature, for: Data(signed.utf8)))
      try await peer.answer(connect, ScriptedPeer.hello)
      try await peer.answer(try await peer.request(), ["ok": true])
    } body: { dialer in
      let client = try await Self.connect(dialer)
      #expect(client.hello.version == "2026.6.9")
      #expect(client.hello.scopes == ["operator.read", "operator.write"])
      #expect(client.hello.tickInterval == .seconds(30))
      #expect(try await client.call("health") == ["ok": true])
      client.close()
    }
  }

  @Test("a wrong token is a credential failure")
  func wrongToken() async throws {
    try await ScriptedGateway.run { peer in
      let connect = try await peer.challenge()
      try await peer.refuse(
        connect,
        [
          "code": "INVALID_REQUEST", "message": "unauthorized: gateway token mismatch",
          "details": ["code": "AUTH_TOKEN_MISMATCH", "recommendedNextStep": "update_auth_credentials"],
        ])
      try await peer.close(1_008, "unauthorized: gateway token mismatch")
    } body: { dialer in
      let failure = await #expect(throws: GatewayFailure.self) { try await Self.connect(dialer) }
      #expect(failure?.kind == .credential)
      #expect(failure?.recommendedNextStep == "update_auth_credentials")
      #expect(failure?.explained.code == .gatewayRefused)
      #expect(failure?.explained.description.contains("shared-token") == false)
    }
  }

  @Test("a Gateway that closes during a call fails every waiting call, with code and reason")
  func closesMidCall() async throws {
    try await ScriptedGateway.run { peer in
      try await peer.welcome()
      _ = try await peer.request()
      _ = try await peer.request()
      try await peer.close(4_001, "device removed")
    } body: { dialer in
      let client = try await Self.connect(dialer)
      let calls = ["health", "status"].map { method in Task { try await client.call(method) } }
      for call in calls {
        let error = await #expect(throws: AWError.self) { try await call.value }
        #expect(error?.message.contains("4001") == true)
        #expect(error?.message.contains("device removed") == true)
      }
      await #expect(throws: AWError.self) { try await client.call("health") }
    }
  }

  @Test("a deadline fails its own call only, and the late answer is ignored")
  func deadline() async throws {
    try await ScriptedGateway.run { peer in
      try await peer.welcome()
      let slow = try await peer.request()
      let quick = try await peer.request()
      try await peer.answer(slow, "late")
      try await peer.answer(quick, "in time")
    } body: { dialer in
      let client = try await Self.connect(dialer)
      // No time at all: the timer may well fire before the call is on its way.
      await #expect(throws: AWError(.gatewayTimeout, "", next: "")) {
        try await client.call("slow", deadline: .zero)
      }
      #expect(try await client.call("quick") == "in time")
      client.close()
    }
  }

  @Test("answers find their calls in any order, between events and strange frames")
  func outOfOrder() async throws {
    try await ScriptedGateway.run { peer in
      try await peer.welcome()
      let requests = [try await peer.request(), try await peer.request(), try await peer.request()]
      #expect(Set(requests.map { $0["id"] }).count == 3)
      try await peer.event("health", ["ok": true], seq: 1)
      try await peer.send("this is no JSON")
      try await peer.send(["type": "hologram"])
      try await peer.send(["type": "res", "id": "nobody-asked", "ok": true])
      for request in requests.reversed() { try await peer.answer(request, request["method"] ?? .null) }
    } body: { dialer in
      let client = try await Self.connect(dialer)
      async let first = client.call("one")
      async let second = client.call("two")
      async let third = client.call("three")
      #expect(try await [first, second, third] == ["one", "two", "three"])
      client.close()
    }
  }

  @Test("a method that answers twice gives its second answer, or its first to who asked for one")
  func twice() async throws {
    try await ScriptedGateway.run { peer in
      try await peer.welcome()
      for _ in 0..<2 {
        let request = try await peer.request()
        try await peer.answer(request, ["runId": "r", "status": "accepted"])
        try await peer.answer(request, ["runId": "r", "status": "ok"])
      }
      try await peer.answer(try await peer.request(), "still here")
    } body: { dialer in
      let client = try await Self.connect(dialer)
      let final = try await client.callExpectingFinal("agent", [:], deadline: .seconds(30))
      #expect(final["status"] == "ok")
      #expect(try await client.call("agent")["status"] == "accepted")
      #expect(try await client.call("health") == "still here")
      client.close()
    }
  }

  @Test("a message of 2 MiB in fragments arrives whole, with a ping answered in between")
  func fragments() async throws {
    let text = String(repeating: "x", count: 2 * 1024 * 1024)
    try await ScriptedGateway.run { peer in
      try await peer.welcome()
      let request = try await peer.request()
      let whole: JSONValue = ["type": "res", "id": request["id"] ?? .null, "ok": true, "payload": .string(text)]
      var rest = ByteBuffer(string: whole.canonical)
      var opcode = WebSocketOpcode.text
      while let piece = rest.readSlice(length: min(100_000, rest.readableBytes)), piece.readableBytes > 0 {
        try await peer.send(WebSocketFrame(fin: rest.readableBytes == 0, opcode: opcode, data: piece))
        if opcode == .text {
          try await peer.send(WebSocketFrame(fin: true, opcode: .ping, data: ByteBuffer(string: "beat")))
        }
        opcode = .continuation
      }
      let pong = try await peer.frame()
      #expect(pong.opcode == .pong)
      #expect(String(buffer: pong.unmaskedData) == "beat")
      try await peer.answer(try await peer.request(), "after the pong")
    } body: { dialer in
      let client = try await Self.connect(dialer)
      #expect(try await client.call("config.get") == .string(text))
      #expect(try await client.call("health") == "after the pong")
      client.close()
    }
  }

  @Test("a Gateway that never challenges is given up after the deadline")
  func noChallenge() async throws {
    try await ScriptedGateway.run { _ in
    } body: { dialer in
      await #expect(throws: AWError(.gatewayTimeout, "", next: "")) {
        try await Self.connect(dialer, deadline: .milliseconds(20))
      }
    }
  }

  @Test(
    "a challenge without a nonce or a time breaks the protocol",
    arguments: [
      #"{"ts":1}"#, #"{"nonce":"n"}"#, #"{"nonce":"n","ts":"soon"}"#, "{}",
    ])
  func badChallenge(payload: String) async throws {
    try await ScriptedGateway.run { peer in
      try await peer.event("connect.challenge", try JSONValue(parsing: payload))
    } body: { dialer in
      await #expect(throws: AWError(.gatewayProtocol, "", next: "")) { try await Self.connect(dialer) }
    }
  }

  @Test("a Gateway that closes before its greeting is unreachable, with the close code")
  func closesEarly() async throws {
    try await ScriptedGateway.run { peer in
      try await peer.close(1_013, "gateway starting")
    } body: { dialer in
      let error = await #expect(throws: AWError.self) { try await Self.connect(dialer) }
      #expect(error?.message.contains("1013") == true)
    }
  }

  @Test("a cancelled call ends at once and leaves the connection usable")
  func cancelled() async throws {
    let (asked, sink) = AsyncStream<Void>.makeStream()
    try await ScriptedGateway.run { peer in
      try await peer.welcome()
      _ = try await peer.request()
      sink.finish()
      try await peer.answer(try await peer.request(), "alive")
    } body: { dialer in
      let client = try await Self.connect(dialer)
      let call = Task { try await client.call("never") }
      for await _ in asked {}
      call.cancel()
      await #expect(throws: CancellationError.self) { try await call.value }
      #expect(try await client.call("health") == "alive")
      client.close()
    }
  }

  @Test("lost events are counted: skipped numbers, and what nobody read")
  func missedEvents() async throws {
    let unread = EventAudience.bufferedMax + 10
    try await ScriptedGateway.run { peer in
      try await peer.welcome()
      try await peer.event("tick", [:], seq: 1)
      try await peer.event("sessions.changed", [:])
      try await peer.event("tick", [:], seq: 4)
      for seq in 0..<unread { try await peer.event("tick", [:], seq: Int64(5 + seq)) }
      try await peer.answer(try await peer.request(), [:])
    } body: { dialer in
      let client = try await Self.connect(dialer)
      _ = try await client.call("health")
      #expect(client.eventsMissed == 2 + 3 + 10)
      client.close()
      var seen = 0
      for await _ in client.events { seen += 1 }
      #expect(seen == EventAudience.bufferedMax)
    }
  }

  @Test("closing says goodbye with 1000")
  func goodbye() async throws {
    let (codes, sink) = AsyncStream<UInt16>.makeStream()
    try await ScriptedGateway.run { peer in
      // A connection that ends without a goodbye says nothing.
      defer { sink.finish() }
      try await peer.welcome()
      var frame = try await peer.frame()
      while frame.opcode != .connectionClose { frame = try await peer.frame() }
      var data = frame.unmaskedData
      sink.yield(data.readInteger(as: UInt16.self) ?? 0)
    } body: { dialer in
      let client = try await Self.connect(dialer)
      client.close()
      var seen: [UInt16] = []
      for await code in codes { seen.append(code) }
      #expect(seen == [1_000])
    }
  }

  @Test("frames that come in the same segment as the upgrade are not lost")
  func sameSegment() async throws {
    let answer: @Sendable (String) -> ByteBuffer = { request in
      let line = request.split(separator: "\r\n").first { $0.lowercased().hasPrefix("sec-websocket-key:") } ?? ""
      let key = line.split(separator: " ").last.map(String.init) ?? ""
      let digest = Insecure.SHA1.hash(data: Data((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8))
      var bytes = ByteBuffer(
        string: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
          + "Sec-WebSocket-Accept: \(Data(digest).base64EncodedString())\r\n\r\n")
      // A close frame: final, opcode 8, 2 bytes: 4001.
      bytes.writeBytes([0x88, 0x02, 0x0F, 0xA1])
      return bytes
    }
    try await RawServer.run(closes: false, answer: answer) { dialer in
      let error = await #expect(throws: AWError.self) { try await Self.connect(dialer) }
      #expect(error?.message.contains("4001") == true)
    }
  }

  @Test(
    "an answer that is no upgrade says what is there: a Gateway that is not ready, one that refuses, or something else",
    arguments: [
      ("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", .gatewayNotReady),
      ("HTTP/1.1 503 Too many\r\nContent-Length: 32\r\n\r\nToo many unauthenticated sockets", .gatewayNotReady),
      ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", .gatewayRefused),
      ("HTTP/1.1 301 Moved\r\nLocation: https://x/\r\nContent-Length: 0\r\n\r\n", .gatewayUnreachable),
      ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", .gatewayUnreachable),
      ("SSH-2.0-OpenSSH_9.6\r\n", .gatewayUnreachable), ("", .gatewayUnreachable),
    ] as [(String, ErrorCode)])
  func noGateway(answer: String, code: ErrorCode) async throws {
    try await RawServer.run { _ in
      ByteBuffer(string: answer)
    } body: { dialer in
      await #expect(throws: AWError(code, "", next: "")) { try await Self.connect(dialer) }
    }
  }

  @Test("a port where nothing listens is unreachable")
  func nothingListens() async throws {
    let dialer = try await RawServer.run { _ in
      ByteBuffer()
    } body: {
      $0
    }
    await #expect(throws: AWError(.gatewayUnreachable, "", next: "")) { try await Self.connect(dialer) }
  }
}
