import Basics
import Client
import Fleet
import Foundation
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import OpenClaw
import Vault

/// What goes through the link while the fault strikes.
enum Load: String, CaseIterable, Sendable, Codable {
  case idle
  /// A call on the Gateway WebSocket, ten times a second.
  case echo = "WebSocket 10/s"
  /// The largest answers that an operator can ask for, four at once, again and again.
  case bulk
  /// Two hundred connections that ask something every other second.
  case streams = "200 streams"
}

/// A connection through the link to the Instance's port.
struct ForwardedConnection: Sendable {
  let channel: any Channel

  static func open(_ site: Site, reads: Bool = true) async throws -> ForwardedConnection {
    ForwardedConnection(
      channel: try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
        .channelOption(.autoRead, value: reads)
        .connect(unixDomainSocketPath: site.folder + "/forward").get())
  }
}

/// Reaches the Instance's Gateway WebSocket through the link.
struct ForwardedDialer: ByteDialer {
  let path: String

  func dial<Value: Sendable>(
    _ initialize: @escaping @Sendable (any Channel) -> EventLoopFuture<Value>
  ) async throws -> Value {
    try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .connect(unixDomainSocketPath: path) { channel in initialize(channel) }
  }
}

/// How the requests of a load ended.
struct LoadReport: Sendable, Codable {
  var good = 0
  var failed = 0
  /// Neither answered nor failed in time.
  var hung = 0
}

/// Keeps count of the requests of a load.
final class Ledger: Sendable {
  /// A request that takes longer hangs: a dead link is noticed within ten seconds.
  static let hangsAfter = Duration.seconds(30)

  private struct State {
    var report = LoadReport()
    var open: [Int: ContinuousClock.Instant] = [:]
    var next = 0
  }

  private let state = NIOLockedValueBox(State())

  /// - Throws: what the request throws; what a cancellation cut off is not counted.
  func count<Value>(_ request: () async throws -> Value) async throws -> Value {
    let began = ContinuousClock.now
    let id = state.withLockedValue { state in
      state.next += 1
      state.open[state.next] = began
      return state.next
    }
    do {
      let value = try await request()
      end(id, began) { $0.good += 1 }
      return value
    } catch {
      end(id, began) { if !Task.isCancelled { $0.failed += 1 } }
      throw error
    }
  }

  private func end(_ id: Int, _ began: ContinuousClock.Instant, _ note: (inout LoadReport) -> Void) {
    state.withLockedValue { state in
      state.open[id] = nil
      if ContinuousClock.now - began > Self.hangsAfter { state.report.hung += 1 } else { note(&state.report) }
    }
  }

  /// One more request that was answered.
  func answered(after time: Duration) {
    state.withLockedValue { state in
      if time > Self.hangsAfter { state.report.hung += 1 } else { state.report.good += 1 }
    }
  }

  /// Those that are under way for too long are hung, whatever becomes of them.
  var report: LoadReport {
    state.withLockedValue { state in
      var report = state.report
      report.hung += state.open.values.filter { ContinuousClock.now - $0 > Self.hangsAfter }.count
      return report
    }
  }
}

/// Carries a load until it is stopped.
final class LoadRunner: Sendable {
  private let ledger = Ledger()
  private let task: Task<Void, Never>

  init(_ load: Load, _ site: Site) {
    let ledger = ledger
    task = Task {
      switch load {
      case .idle: break
      case .echo: await Self.many(1) { try await Self.echo(site, ledger) }
      case .bulk: await Self.many(4) { try await Self.bulk(site, ledger) }
      case .streams: await Self.many(200) { try await Self.stream(site, ledger) }
      }
    }
  }

  func stop() async -> LoadReport {
    let report = ledger.report
    task.cancel()
    await task.value
    return report
  }

  /// Again and again, until cancelled; what failed is not tried again at once.
  private static func many(_ count: Int, _ body: @escaping @Sendable () async throws -> Void) async {
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<count {
        group.addTask {
          while !Task.isCancelled {
            do { try await body() } catch { try? await Pace.wait(.milliseconds(500)) }
          }
        }
      }
    }
  }

  private static func echo(_ site: Site, _ ledger: Ledger) async throws {
    let client = try await ledger.count { try await connect(site) }
    defer { client.close() }
    while true {
      _ = try await ledger.count { try await client.call("health") }
      try await Pace.wait(.milliseconds(100))
    }
  }

  private static func connect(_ site: Site) async throws -> GatewayClient {
    let data = site.folder + "/control"
    let vault = try Vault.open(file: data + "/vault", key: .fromFile(data + "/vault.key"))
    let names = InstanceSecrets(site.instance)
    let device = try DeviceIdentity(seed: try await vault.get(SecretReference(names.deviceSeed)))
    let token = try await vault.get(SecretReference(names.deviceToken))
    return try await GatewayClient.connect(
      through: ForwardedDialer(path: site.folder + "/forward"),
      credentials: .init(token: token, device: device), options: .control(version: "0"))
  }

  private static func bulk(_ site: Site, _ ledger: Ledger) async throws {
    _ = try await ledger.count {
      try await site.client.send(.get, "/instances/acme-main/logs", query: [("lines", "5000")])
    }
  }

  private static func stream(_ site: Site, _ ledger: Ledger) async throws {
    let connection = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .connect(unixDomainSocketPath: site.folder + "/forward") { channel in
        channel.eventLoop.makeCompletedFuture {
          try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
        }
      }
    try await connection.executeThenClose { answers, requests in
      var iterator = answers.makeAsyncIterator()
      while true {
        try await requests.write(ByteBuffer(string: "GET /healthz HTTP/1.1\r\nHost: instance\r\n\r\n"))
        let began = ContinuousClock.now
        guard try await iterator.next() != nil else { throw ChannelError.eof }
        ledger.answered(after: ContinuousClock.now - began)
        try await Pace.wait(.seconds(2))
      }
    }
  }

  /// Gives the Instance a long log, so that reading it is bulk.
  static func prepare(_ load: Load, _ site: Site) throws {
    guard load == .bulk else { return }
    let line = Data((String(repeating: "bulk ", count: 100) + "\n").utf8)
    let handle = try FileHandle(forWritingTo: URL(filePath: site.folder + "/host/instances/acme-main/output.log"))
    try handle.seekToEnd()
    for _ in 0..<5_000 { try handle.write(contentsOf: line) }
    try handle.close()
  }
}
