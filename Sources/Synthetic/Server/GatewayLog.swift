import Basics
import Foundation
import Logging

/// The Gateway's own log file: one JSON object a line, in the form of tslog.
struct GatewayLog: Sendable {
  let path: String
  let clock: WallClock

  /// `logging.file`, or `/tmp/openclaw/openclaw-YYYY-MM-DD.log`.
  static func path(_ config: JSONValue, now: Timestamp) -> String {
    config.at("logging", "file")?.stringValue ?? "/tmp/openclaw/openclaw-\(now.description.prefix(10)).log"
  }

  func write(_ message: String, subsystem: String, level: String = "INFO") throws {
    let host = ProcessInfo.processInfo.hostName
    let name = (["subsystem": .string(subsystem)] as JSONValue).canonical
    let date = clock.now.description
    let line: JSONValue = [
      "0": .string(name), "1": .string(message),
      "_meta": [
        "runtime": "node", "runtimeVersion": "24.19.0", "hostname": .string(host), "name": .string(name),
        "parentNames": ["openclaw"], "date": .string(date), "logLevelId": level == "ERROR" ? 5 : 3,
        "logLevelName": .string(level),
      ],
      "time": .string(date.replacing("Z", with: "+00:00")), "hostname": .string(host), "message": .string(message),
    ]
    try StateFile.append(line: line.canonical, to: path)
  }
}

extension Gateway {
  /// Writes a line to the Gateway's own log. A log that cannot be written stops nothing.
  func note(_ message: String, subsystem: String, level: String = "INFO") {
    let log = GatewayLog(path: GatewayLog.path(config.parsed, now: clock.now), clock: clock)
    do {
      try log.write(message, subsystem: subsystem, level: level)
    } catch {
      logger.warning("the log file cannot be written", metadata: ["error": "\(error)"])
    }
  }
}
