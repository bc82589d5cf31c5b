import AsyncHTTPClient
import Basics
import Foundation

/// The verbs of `openclaw` that need no running Gateway, and `health`, which asks one.
///
/// Each gives its exit code and has written its answer to standard output.
public struct OpenClawCommands: Sendable {
  let paths: OpenClawPaths
  let environment: [String: String]
  let clock: WallClock

  public init(environment: [String: String], clock: WallClock = .system) {
    self.environment = environment
    self.clock = clock
    paths = OpenClawPaths(environment: environment)
  }

  /// What `openclaw --version` says.
  public static let versionLine = "OpenClaw \(Synthetic.version)"

  /// `openclaw devices approve <requestId>`: works on the state files, so a Gateway may run or not.
  public func approve(requestID: String, json: Bool) -> Int32 {
    reporting {
      var book = try DeviceBook.load(paths)
      book.expire(nowMilliseconds: clock.now.millisecondsSince1970)
      guard
        let device = book.approve(
          requestID: requestID, token: Base64URL.encode([UInt8].random(count: 32)),
          nowMilliseconds: clock.now.millisecondsSince1970)
      else {
        Console.error("unknown requestId")
        return 1
      }
      try book.save(paths)
      let answer: JSONValue = ["requestId": .string(requestID), "device": DeviceBook.shown(device)]
      Console.line(json ? answer.canonical : "Approved \(device["deviceId"]?.stringValue ?? "") (\(requestID))")
      return 0
    }
  }

  /// `openclaw devices list`.
  public func listDevices(json: Bool) -> Int32 {
    reporting {
      var book = try DeviceBook.load(paths)
      book.expire(nowMilliseconds: clock.now.millisecondsSince1970)
      if json {
        Console.line(book.listing.canonical)
      } else {
        Console.line("Pending (\(book.pending.count))")
        for id in book.pending.keys.sorted() { Console.line("  \(id)") }
        Console.line("Paired (\(book.paired.count))")
        for id in book.paired.keys.sorted() { Console.line("  \(id)") }
      }
      return 0
    }
  }

  /// `openclaw config validate`.
  public func validateConfig(json: Bool) -> Int32 {
    let file = ConfigFile.load(paths.configFile)
    let isValid = file.exists && file.isValid
    let issues =
      file.exists ? file.issues : [.init(path: "", message: "Config file not found: \(file.path)")]
    if json {
      var answer: JSONValue = ["valid": .bool(isValid), "path": .string(file.path)]
      if !isValid { answer = answer.setting("issues", .array(issues.map(\.json))) }
      Console.line(answer.canonical)
    } else if isValid {
      Console.line("Config valid: \(file.path)")
    } else {
      Console.error("Config invalid: \(file.path)")
      for issue in issues { Console.error("  - \(issue.path.isEmpty ? "<root>" : issue.path): \(issue.message)") }
    }
    return isValid ? 0 : 1
  }

  /// `openclaw health`: asks the Gateway of this environment.
  public func health(json: Bool, timeoutMilliseconds: Int64) async -> Int32 {
    let config = ConfigFile.load(paths.configFile)
    let port = GatewayProgram.port(nil, environment, config.parsed)
    do {
      let secrets = try await SecretSnapshot.activate(config.parsed, environment: environment)
      let summary = try await HealthCaller.call(
        port: port, auth: try GatewayAuth.resolve(config.parsed, environment: environment, secrets: secrets),
        timeoutMilliseconds: timeoutMilliseconds)
      Console.line(json ? summary.canonical : "Gateway health: OK")
      return 0
    } catch {
      Console.error("gateway health failed: \(error)")
      return 1
    }
  }

  private func reporting(_ body: () throws -> Int32) -> Int32 {
    do { return try body() } catch {
      Console.error("\(error)")
      return 1
    }
  }
}
