import Basics
import Foundation
import Logging
import Synchronization

/// Log lines on standard error: for people, or one JSON object each for collectors.
public struct ConsoleLog: LogHandler {
  public enum Format: String, Sendable, CaseIterable {
    case text
    case json
  }

  public var metadata: Logger.Metadata = [:]
  public var logLevel: Logger.Level
  private let label: String
  private let format: Format
  private let clock: WallClock

  /// A factory for `LoggingSystem.bootstrap`, or for `Logger(label:factory:)`.
  public static func factory(
    level: Logger.Level, format: Format, clock: WallClock = .system
  ) -> @Sendable (String) -> any LogHandler {
    { label in ConsoleLog(level: level, label: label, format: format, clock: clock) }
  }

  private init(level: Logger.Level, label: String, format: Format, clock: WallClock) {
    logLevel = level
    self.label = label
    self.format = format
    self.clock = clock
  }

  public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  public func log(event: LogEvent) {
    let all = metadata.merging(event.metadata ?? [:]) { _, last in last }
    let line = Self.line(
      format, at: clock.now, level: event.level, label: label, message: event.message.description, metadata: all)
    // One write for a line, so that lines of several threads and processes do not mix.
    // A log that cannot be written must not end what it reports on.
    try? FileHandle.standardError.write(contentsOf: Data((line + "\n").utf8))
  }

  /// The line for an event: a pure function.
  static func line(
    _ format: Format, at time: Timestamp, level: Logger.Level, label: String, message: String,
    metadata: Logger.Metadata
  ) -> String {
    switch format {
    case .text:
      let rest = metadata.sorted { $0.key < $1.key }.map { " \($0.key)=\(quotedIfNeeded("\($0.value)"))" }.joined()
      return "\(time) \(level.rawValue) \(label): \(oneLine(message))\(rest)"
    case .json:
      var members: [String: JSONValue] = [
        "time": .string(time.description), "level": .string(level.rawValue), "logger": .string(label),
        "message": .string(message),
      ]
      for (key, value) in metadata where members[key] == nil { members[key] = .string("\(value)") }
      return JSONValue.object(members).canonical
    }
  }

  private static func oneLine(_ text: String) -> String {
    text.split(whereSeparator: \.isNewline).joined(separator: " ")
  }

  private static func quotedIfNeeded(_ text: String) -> String {
    let isPlain = !text.isEmpty && !text.contains { $0.isWhitespace || $0 == "\"" || $0 == "=" }
    return isPlain ? text : JSONValue.string(text).canonical
  }
}
