import AsyncHTTPClient
import Basics
import Foundation
import Logging
import NIOCore

/// The Gateway itself: everything that several connections share.
actor Gateway {
  let paths: OpenClawPaths
  let environment: [String: String]
  let faults: FaultSource
  let clock: WallClock
  let logger: Logger
  let identity: GatewayIdentity
  let instanceID: String
  let startedAt: Timestamp
  let tickMilliseconds: Int64
  let handshakeMilliseconds: Int64
  let http: HTTPClient
  let secrets: SecretSnapshot

  var auth: GatewayAuth
  /// The last config that was valid: an invalid edit on disk does not change what runs.
  var config: ConfigFile
  var connections: [String: Connection] = [:]
  var presence: [String: JSONValue] = [:]
  var presenceVersion: Int64 = 1
  var healthVersion: Int64 = 1
  var lastHealth: JSONValue = [:]
  var channels = ChannelBoard()
  var channelTasks: [String: Task<Void, Never>] = [:]
  var sessions: SessionBook
  var cron: CronBook
  var runs: [String: Run] = [:]
  /// Answers by idempotency key, so that the same order is not carried out twice.
  var answered: [String: JSONValue] = [:]
  var heartbeatsEnabled = true
  var isStopping = false

  struct Run: Sendable {
    var sessionKey: String
    var task: Task<Void, Never>?
    var isAborted = false
  }

  init(_ start: GatewayStart, http: HTTPClient, clock: WallClock, logger: Logger) throws {
    (paths, environment, faults) = (start.paths, start.environment, start.faults)
    (auth, config, self.http, self.clock, self.logger) = (start.auth, start.config, http, clock, logger)
    secrets = start.secrets
    tickMilliseconds = start.tickMilliseconds
    handshakeMilliseconds = start.handshakeMilliseconds
    identity = try GatewayIdentity.load(from: paths.identity)
    startedAt = clock.now
    instanceID = UUID().uuidString.lowercased()
    sessions = try SessionBook.load(paths, agents: Settings(config: config.parsed, paths: paths).agents.map(\.id))
    cron = try CronBook.load(paths)
  }

  var settings: Settings { Settings(config: config.parsed, paths: paths) }
  var now: JSONValue { .integer(clock.now.millisecondsSince1970) }
  var nowMilliseconds: Int64 { clock.now.millisecondsSince1970 }
  var uptimeMilliseconds: Int64 { clock.now.since(startedAt).milliseconds }
  func freshID() -> String { UUID().uuidString.lowercased() }

  // MARK: Sockets

  /// Takes a socket in and greets it with the challenge.
  func attach(_ id: String, isLoopback: Bool, remoteIP: String?, outgoing: AsyncStream<Outgoing>.Continuation) {
    let nonce = freshID()
    connections[id] = Connection(
      id: id, isLoopback: isLoopback, remoteIP: remoteIP, outgoing: outgoing, phase: .waiting(nonce: nonce))
    send(Frame.event("connect.challenge", payload: ["nonce": .string(nonce), "ts": now]), to: id)
  }

  func detach(_ id: String) {
    guard let connection = connections.removeValue(forKey: id) else { return }
    connection.outgoing.finish()
    guard let key = connection.presenceKey, let entry = presence[key] else { return }
    presence[key] = entry.setting("reason", "disconnect").setting("ts", now)
    presenceVersion += 1
    broadcastPresence()
  }

  func handshakeExpired(_ id: String) {
    guard case .waiting? = connections[id]?.phase else { return }
    close(id, code: 1000, reason: "")
  }

  /// Takes one text message.
  func receive(_ bytes: [UInt8], from id: String) async {
    guard let connection = connections[id] else { return }
    let slow = faults.current.slowMilliseconds
    if slow > 0 {
      do { try await Task.sleep(for: .milliseconds(slow)) } catch { return }
    }
    switch connection.phase {
    case .closed: return
    case .waiting(let nonce):
      if bytes.count > Limits.preauthBytesMax { return close(id, code: 1009, reason: "") }
      // Text that is no JSON is passed over in silence; the handshake clock keeps running.
      guard let frame = try? JSONValue(parsing: bytes) else { return }
      handshake(frame, nonce: nonce, id)
    case .open:
      guard let frame = try? JSONValue(parsing: bytes) else { return }
      await dispatch(frame, from: id)
    }
  }

  // MARK: Sending

  func send(_ frame: JSONValue, to id: String) { connections[id]?.outgoing.yield(.text(frame.canonical)) }

  /// Sends an event that carries the connection's own running number.
  func send(event: String, _ payload: JSONValue, to id: String, stateVersion: JSONValue? = nil) {
    guard var connection = connections[id], connection.phase == .open else { return }
    connection.seq += 1
    connections[id] = connection
    send(Frame.event(event, payload: payload, seq: connection.seq, stateVersion: stateVersion), to: id)
  }

  func broadcast(_ event: String, _ payload: JSONValue, scope: String?, stateVersion: JSONValue? = nil) {
    for (id, connection) in connections where connection.hears(scope) {
      send(event: event, payload, to: id, stateVersion: stateVersion)
    }
  }

  /// Sends an event to those who asked for it; such events carry no number.
  func tell(_ event: String, _ payload: JSONValue, where wants: (Connection) -> Bool) {
    for (id, connection) in connections where connection.hears(Scope.read) && wants(connection) {
      send(Frame.event(event, payload: payload), to: id)
    }
  }

  func close(_ id: String, code: UInt16, reason: String) {
    guard var connection = connections[id], connection.phase != .closed else { return }
    connection.phase = .closed
    connections[id] = connection
    let cut = String(decoding: reason.utf8.prefix(Limits.closeReasonBytesMax), as: UTF8.self)
    connection.outgoing.yield(.close(code: code, reason: cut))
  }

  // MARK: Time

  func tick() { broadcast("tick", ["ts": now], scope: nil) }

  /// Says goodbye to every client, as at SIGTERM.
  func stop() {
    isStopping = true
    for run in runs.values { run.task?.cancel() }
    for task in channelTasks.values { task.cancel() }
    broadcast("shutdown", ["reason": "gateway stopping", "restartExpectedMs": nil], scope: nil)
    for id in connections.keys { close(id, code: 1012, reason: "service restart") }
  }

  var isEmpty: Bool { connections.isEmpty }

  /// Takes an edit of the config file over, when it is valid.
  func refreshConfig() {
    let file = ConfigFile.load(config.path)
    guard file.exists, file.isValid, file.raw != config.raw else { return }
    config = file
  }
}
