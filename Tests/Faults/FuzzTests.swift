import Basics
import Crypto
import Foundation
import Link
import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import OpenClaw

/// What comes from a far end, made wrong in every way that a seed brings about: nothing crashes, nothing grows.
///
/// 20,000 inputs each run with the other tests; `AW_FUZZ_INPUTS=1000000` and `AW_FUZZ_SEED` say otherwise.
@Suite("Fuzz", .serialized)
struct FuzzTests {
  static let inputs = ProcessInfo.processInfo.environment["AW_FUZZ_INPUTS"].flatMap { Int($0) } ?? 20_000
  static let seed = ProcessInfo.processInfo.environment["AW_FUZZ_SEED"].flatMap { UInt64($0) } ?? 1
  /// What a run may grow by after its first tenth. The test library keeps a backtrace of every error that is thrown,
  /// some 0.6 KiB, until the test ends; so a kibibyte an input is not ours, and more is.
  static let growthMiBMax = 8 + Double(inputs) / 1_024

  private static var memoryMiB: Double {
    let pages = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ")
    return Double(pages.flatMap { $0.count > 1 ? Int($0[1]) : nil } ?? 0) * 4_096 / 1_048_576
  }

  /// Carries the inputs out, and looks at the memory.
  private func run(_ one: () async throws -> Bool) async throws {
    var (accepted, settled) = (0, Self.memoryMiB)
    for number in 0..<Self.inputs {
      if try await one() { accepted += 1 }
      if number == Self.inputs / 10 { settled = Self.memoryMiB }
    }
    let growth = Self.memoryMiB - settled
    Matrix.say("\(Self.inputs) inputs with seed \(Self.seed): \(accepted) were valid; grew by \(Int(growth)) MiB")
    #expect(growth < Self.growthMiBMax)
    // Without either the mutations would prove nothing.
    #expect(accepted > Self.inputs / 100 && accepted < Self.inputs)
  }

  // MARK: - The link

  private static func messages() throws -> [[UInt8]] {
    let now = Timestamp(millisecondsSince1970: 1_790_000_000_000)
    let seen = LossEvidence(observer: .connector, phase: .established, at: now, silentMilliseconds: 9_700)
    let bundle = CertificateBundle(certificate: "-----BEGIN CERTIFICATE-----", authorities: ["a"], notAfter: now)
    let refused = Refused(code: "link.refused", message: "No.", next: "Wait.", epochKnown: 7, retry: true)
    let messages: [ControlMessage] = [
      .hello(
        Hello(
          boot: "boot", hostBoot: "kernel", slot: 0, epoch: 9, program: "aw", clock: now, previousLoss: seen,
          runtimes: [.init(kind: .process, available: true, detail: "")])),
      .registered(.init(connection: "c", reconnectSpreadMilliseconds: 2_000, certificateNotAfter: now)),
      .refused(refused), .renew(signingRequest: "-----BEGIN"), .certificate(bundle),
      .drain(reason: .restart, spreadMilliseconds: 2_000), .unregister(reason: "shutdown"),
    ]
    let instance = InstanceID.make(at: now)
    let calls: [RuntimeCall] = [
      .availability, .inspect(.docker, instance), .logs(.process, instance, lines: 5),
      .remove(.process, instance, purge: true),
    ]
    let replies: [RuntimeReply] = [.lines(["a", "b"]), .failed(refused), .done, .instances([instance])]
    let request = EnrolmentRequest(
      token: "token", signingRequest: "-----BEGIN", program: "aw", clock: now, machine: "machine")
    let encoded =
      try messages.map { try LinkCodec.encode($0) } + calls.map { try LinkCodec.encode($0) }
      + replies.map { try LinkCodec.encode($0) } + [try LinkCodec.encode(request)]
    return encoded.map { message in
      var framed = ByteBuffer()
      framed.writeInteger(UInt32(message.readableBytes))
      framed.writeImmutableBuffer(message)
      return Array(framed.readableBytesView)
    }
  }

  @Test("what a Connector or an AW Gateway sends on a stream of messages")
  func link() async throws {
    var mutator = Mutator(corpus: try Self.messages(), random: Seeded(state: Self.seed))
    try await run {
      let channel = EmbeddedChannel()
      try channel.pipeline.syncOperations.addMessageFraming()
      let input = mutator.next()
      for piece in mutator.pieces(input) {
        guard (try? channel.writeInbound(ByteBuffer(bytes: piece))) != nil else { break }
      }
      var decoded = false
      while let message = try channel.readInbound(as: ByteBuffer.self) {
        decoded = (try? LinkCodec.decode(ControlMessage.self, from: message)) != nil || decoded
        decoded = (try? LinkCodec.decode(RuntimeCall.self, from: message)) != nil || decoded
        decoded = (try? LinkCodec.decode(RuntimeReply.self, from: message)) != nil || decoded
        decoded = (try? LinkCodec.decode(EnrolmentRequest.self, from: message)) != nil || decoded
      }
      _ = LinkTarget(authority: String(decoding: input, as: UTF8.self))
      _ = try? channel.finish(acceptAlreadyClosed: true)
      return decoded
    }
  }

  // MARK: - OpenClaw

  /// The frames that were recorded from a real Gateway, as texts.
  private static func recordedFrames() throws -> [String] {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Conformance/Frames")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".json") }
    return try names.sorted().flatMap { name in
      frames(in: try JSONValue(parsing: String(contentsOf: folder.appending(path: name), encoding: .utf8)))
    }.map(\.canonical)
  }

  /// Everything in a recording that is a frame.
  private static func frames(in value: JSONValue) -> [JSONValue] {
    if let word = value["type"]?.stringValue, ["res", "event"].contains(word) { return [value] }
    if let items = value.arrayValue { return items.flatMap(frames) }
    return (value.objectValue ?? [:]).sorted { $0.key < $1.key }.flatMap { frames(in: $0.value) }
  }

  @Test("frames of the Gateway WebSocket, and what AW reads in them")
  func frames() async throws {
    let recorded = try Self.recordedFrames()
    try #require(recorded.count > 20)
    var mutator = Mutator(corpus: recorded.map { Array($0.utf8) }, random: Seeded(state: Self.seed))
    try await run {
      guard let frame = try? GatewayFrame(parsing: mutator.next()) else {
        return false
      }
      guard case .response(_, .success(let payload)) = frame else { return true }
      _ = try? HelloOK(payload)
      _ = HealthReport(payload).findings
      return true
    }
  }

  @Test("the WebSocket client: its upgrade and its greeting")
  func client() async throws {
    let recorded = try Self.recordedFrames().filter { $0.utf8.count < 4_000 }
    let challenge = #"{"type":"event","event":"connect.challenge","payload":{"nonce":"n","ts":1}}"#
    let texts = [challenge] + recorded.prefix(40)
    var mutator = Mutator(corpus: texts.map { Self.frame(Array($0.utf8)) }, random: Seeded(state: Self.seed))
    let credentials = GatewayCredentials(
      token: Secret("token"), device: try DeviceIdentity(seed: DeviceIdentity.makeSeed()))
    try await run {
      let dialer = TestingDialer()
      let channel = dialer.channel
      let isUpgradeWrong = Bool.random(using: &mutator.random)
      let frames = (0..<3).map { _ in mutator.next() }
      let connecting = Task {
        try await GatewayClient.connect(
          through: dialer, credentials: credentials, options: .control(version: "0"))
      }
      let request = try await channel.waitForOutboundWrite(as: ByteBuffer.self)
      var upgrade = Array(try Self.upgrade(answering: request).utf8)
      if isUpgradeWrong {
        var changed = Mutator(corpus: [upgrade], random: mutator.random)
        upgrade = changed.next()
        mutator.random = changed.random
      }
      for piece in mutator.pieces(upgrade + frames.flatMap { $0 }) {
        guard (try? await channel.writeInbound(ByteBuffer(bytes: piece))) != nil else { break }
      }
      _ = try? await channel.finish(acceptAlreadyClosed: true)
      let result = await connecting.result
      if case .success(let client) = result { client.close() }
      // It got as far as the WebSocket when what it says is about the Gateway's words.
      if case .failure(let error) = result { return error is GatewayFailure || "\(error)".contains("closed") }
      return true
    }
  }

  /// A text frame as a server sends it: whole and not masked.
  private static func frame(_ text: [UInt8]) -> [UInt8] {
    var frame = ByteBuffer(bytes: [0x81])
    if text.count < 126 {
      frame.writeInteger(UInt8(text.count))
    } else {
      frame.writeInteger(UInt8(126))
      frame.writeInteger(UInt16(text.count))
    }
    frame.writeBytes(text)
    return Array(frame.readableBytesView)
  }

  private static func upgrade(answering request: ByteBuffer) throws -> String {
    let text = String(buffer: request)
    let key = try #require(text.firstMatch(of: /(?i)sec-websocket-key: ([^\r]+)/)).output.1
    let digest = Insecure.SHA1.hash(data: Data((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8))
    return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      + "Sec-WebSocket-Accept: \(Data(digest).base64EncodedString())\r\n\r\n"
  }
}

/// Reaches a far end that the test plays.
private struct TestingDialer: ByteDialer {
  let channel = NIOAsyncTestingChannel()

  func dial<Value: Sendable>(
    _ initialize: @escaping @Sendable (any Channel) -> EventLoopFuture<Value>
  ) async throws -> Value {
    let channel = channel
    try await channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 18_789)).get()
    return try await channel.eventLoop.flatSubmit { initialize(channel) }.get()
  }
}
