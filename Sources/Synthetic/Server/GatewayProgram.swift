import Basics
import Foundation
import Logging
import UnixSignals

/// Why a Gateway does not start: what it says, and its exit code.
public struct StartRefusal: Error, Equatable, CustomStringConvertible {
  /// 78 for what only a change of config or of the other Gateway can mend; 1 for the rest.
  public var exitCode: Int32
  public var message: String
  public var description: String { message }
}

/// `openclaw gateway`.
public struct GatewayProgram: Sendable {
  public var port: Int?
  public var bind: String?
  public var allowUnconfigured: Bool
  public var faults: [String]

  public init(port: Int?, bind: String?, allowUnconfigured: Bool, faults: [String] = []) {
    (self.port, self.bind, self.allowUnconfigured, self.faults) = (port, bind, allowUnconfigured, faults)
  }

  /// Runs until SIGTERM or SIGINT, and gives the exit code.
  public func run(environment: [String: String]) async -> Int32 {
    let logger = Logger(label: "openclaw.gateway") { StreamLogHandler.standardError(label: $0) }
    do {
      let state = try read(environment)
      guard let lock = try StateLock(path: state.paths.lock) else {
        throw StartRefusal(
          exitCode: 78,
          message: "Gateway failed to start: gateway already running (lock \(state.paths.lock))")
      }
      defer { withExtendedLifetime(lock) {} }
      if state.faults.current.neverListen {
        await Self.waitForStop(state.faults)
        return 0
      }
      let secrets = try await SecretSnapshot.activate(state.config.parsed, environment: environment)
      return try await serve(try prepare(state, environment, secrets), logger)
    } catch let refusal as StartRefusal {
      Console.error(refusal.message)
      return refusal.exitCode
    } catch {
      Console.error("Gateway failed to start: \(error)")
      return 1
    }
  }

  private func serve(_ start: GatewayStart, _ logger: Logger) async throws -> Int32 {
    let server = try await GatewayServer.open(start, logger: logger)
    Console.line((["listening": .integer(Int64(server.port))] as JSONValue).canonical)
    if let code = start.faults.current.exitAfterStart {
      try await server.close()
      return code
    }
    return try await withThrowingTaskGroup(of: Void.self) { tasks in
      tasks.addTask { try await server.run() }
      tasks.addTask { await Self.waitForStop(start.faults) }
      try await tasks.next()
      tasks.cancelAll()
      try await tasks.waitForAll()
      return 0
    }
  }

  private static func waitForStop(_ faults: FaultSource) async {
    for await _ in await UnixSignalsSequence(trapping: .sigterm, .sigint) where !faults.current.ignoreTerm { return }
  }

  /// Decides from options, environment and config whether and how to start. Nothing is asked of exec providers.
  ///
  /// - Throws: `StartRefusal`.
  public func prepare(environment: [String: String]) throws -> GatewayStart {
    try prepare(try read(environment), environment, SecretSnapshot())
  }

  private typealias State = (paths: OpenClawPaths, faults: FaultSource, config: ConfigFile)

  /// What a start finds, if it may start at all.
  private func read(_ environment: [String: String]) throws -> State {
    let paths = OpenClawPaths(environment: environment)
    let faults = FaultSource(told: try toldFaults(environment), file: paths.faults)
    if faults.current.exit78 { throw StartRefusal(exitCode: 78, message: "Config invalid (told by a fault)") }
    let config = ConfigFile.load(paths.configFile)
    try Self.check(config, allowUnconfigured: allowUnconfigured)
    return (paths, faults, config)
  }

  private func prepare(
    _ state: State, _ environment: [String: String], _ secrets: SecretSnapshot
  ) throws -> GatewayStart {
    let (paths, faults, config) = state
    var auth: GatewayAuth
    do {
      auth = try GatewayAuth.resolve(config.parsed, environment: environment, secrets: secrets)
    } catch .unresolved(let path) {
      throw StartRefusal(exitCode: 1, message: "Gateway failed to start: \(path) SecretRef is unresolved")
    } catch .ambiguous {
      throw StartRefusal(
        exitCode: 78,
        message: "Config invalid: gateway.auth.token and gateway.auth.password are both set; set gateway.auth.mode")
    }
    let host = try Self.host(bind ?? config.parsed.at("gateway", "bind")?.stringValue ?? "loopback", config.parsed)
    let needsSecret = auth.mode == .token || auth.mode == .password
    if host != "127.0.0.1", auth.mode == .none || (needsSecret && auth.secret == nil) {
      throw StartRefusal(exitCode: 78, message: "refusing to bind gateway to \(host) without auth")
    }
    // On loopback a Gateway without a secret makes one up for as long as it runs.
    if needsSecret, auth.secret == nil { auth.secret = Secret.randomHex(byteCount: 24) }
    return GatewayStart(
      paths: paths, environment: environment, config: config, auth: auth, host: host,
      port: Self.port(port, environment, config.parsed), faults: faults, secrets: secrets,
      handshakeMilliseconds: environment["OPENCLAW_HANDSHAKE_TIMEOUT_MS"].flatMap { Int64($0) }
        ?? Limits.handshakeMilliseconds)
  }

  private func toldFaults(_ environment: [String: String]) throws -> Faults {
    do {
      var told = try Faults(words: environment["AW_SYNTHETIC_FAULTS"] ?? "")
      for word in faults { try told.add(word) }
      return told
    } catch {
      throw StartRefusal(exitCode: 64, message: error.description)
    }
  }

  private static func check(_ config: ConfigFile, allowUnconfigured: Bool) throws {
    guard config.isValid else {
      let problems = config.issues.map { "  - \($0.path.isEmpty ? "<root>" : $0.path): \($0.message)" }
      throw StartRefusal(
        exitCode: 78,
        message: (["Config invalid", "File: \(config.path)", "Problem:"] + problems + ["Run: openclaw doctor --fix"])
          .joined(separator: "\n"))
    }
    let mode = config.parsed.at("gateway", "mode")?.stringValue
    if mode == "local" || (mode == nil && allowUnconfigured) { return }
    throw StartRefusal(
      exitCode: 78,
      message: """
        Gateway start blocked: set gateway.mode=local (current: \(mode ?? "unset")) or pass --allow-unconfigured.
        """)
  }

  private static func host(_ bind: String, _ config: JSONValue) throws -> String {
    switch bind {
    case "loopback", "auto": return "127.0.0.1"
    case "lan": return "0.0.0.0"
    case "custom": return config.at("gateway", "customBindHost")?.stringValue ?? "127.0.0.1"
    default:
      throw StartRefusal(
        exitCode: 78,
        message: "Invalid --bind (use \"loopback\", \"lan\", \"tailnet\", \"auto\", or \"custom\"): \(bind)")
    }
  }

  /// `--port` before `OPENCLAW_GATEWAY_PORT` before `gateway.port` before 18789.
  static func port(_ option: Int?, _ environment: [String: String], _ config: JSONValue) -> Int {
    option ?? environment["OPENCLAW_GATEWAY_PORT"].flatMap { Int($0) }
      ?? config.at("gateway", "port")?.intValue.flatMap(Int.init(exactly:)) ?? 18_789
  }
}

/// `aw-synthetic model`.
public struct ModelProgram: Sendable {
  public var host: String
  public var port: Int
  /// Ends as well when its standard input is closed, as by the end of the process that holds the other end.
  public var untilInputCloses: Bool

  public init(host: String, port: Int, untilInputCloses: Bool = false) {
    self.host = host
    self.port = port
    self.untilInputCloses = untilInputCloses
  }

  /// Runs until SIGTERM or SIGINT, and gives the exit code.
  public func run(environment: [String: String]) async -> Int32 {
    let logger = Logger(label: "synthetic.model") { StreamLogHandler.standardError(label: $0) }
    do {
      let key = environment["AW_FIXTURE_MODEL_KEY"].flatMap { $0.isEmpty ? nil : Secret($0) }
      let server = try await FixtureModelServer.open(host: host, port: port, key: key, logger: logger)
      Console.line((["listening": .integer(Int64(server.port))] as JSONValue).canonical)
      return try await withThrowingTaskGroup(of: Void.self) { tasks in
        tasks.addTask { try await server.run() }
        tasks.addTask {
          for await _ in await UnixSignalsSequence(trapping: .sigterm, .sigint) { return }
        }
        if untilInputCloses { tasks.addTask { for await _ in Console.inputUntilClosed() {} } }
        try await tasks.next()
        tasks.cancelAll()
        try await tasks.waitForAll()
        return 0
      }
    } catch {
      Console.error("The model endpoint failed: \(error)")
      return 1
    }
  }
}

/// Lines on the standard streams, written at once.
public enum Console {
  public static func line(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }
  /// Ends when standard input does. What comes in is thrown away.
  static func inputUntilClosed() -> AsyncStream<Void> {
    let (stream, continuation) = AsyncStream<Void>.makeStream()
    // A thread, because reading blocks, and it has to end with the process only.
    Thread.detachNewThread {
      while !FileHandle.standardInput.availableData.isEmpty {}
      continuation.finish()
    }
    return stream
  }

  public static func error(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }
}
