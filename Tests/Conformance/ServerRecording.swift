import Basics
import Foundation

/// One recorded scenario.
struct ServerRecording: Sendable {
  enum Event: Sendable {
    case sent(JSONValue)
    case received(JSONValue)
    case closed(code: UInt16, reason: String)
  }

  struct Entry: Sendable {
    var connection: Int
    var time: Double
    var event: Event
  }

  enum Failure: Error { case missing(String) }

  var entries: [Entry]
  var connections: Int

  static var directory: URL? { Bundle.module.url(forResource: "Frames", withExtension: nil) }

  static func names() throws -> [String] {
    guard let directory else { throw Failure.missing("Frames") }
    return try FileManager.default.contentsOfDirectory(atPath: directory.path)
      .filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }.sorted()
  }

  static func load(_ name: String) throws -> ServerRecording {
    guard let directory else { throw Failure.missing("Frames") }
    let file = try JSONValue(parsing: Data(contentsOf: directory.appendingPathComponent(name + ".json")))
    let connections = file["connections"]?.arrayValue ?? []
    var entries: [Entry] = []
    for (index, connection) in connections.enumerated() {
      for entry in connection.arrayValue ?? [] {
        guard let event = event(entry) else { continue }
        entries.append(Entry(connection: index, time: entry["t"]?.doubleValue ?? 0, event: event))
      }
    }
    // The connections of one scenario interleave; their clock is one.
    let sorted = entries.enumerated().sorted { ($0.element.time, $0.offset) < ($1.element.time, $1.offset) }
    return ServerRecording(entries: sorted.map(\.element), connections: connections.count)
  }

  private static func event(_ entry: JSONValue) -> Event? {
    switch (entry["dir"]?.stringValue, entry["frame"]) {
    case ("client->server", let frame?): .sent(frame)
    case ("server->client", let frame?): .received(frame)
    case ("close", _):
      .closed(
        code: UInt16(clamping: entry["code"]?.intValue ?? 0), reason: entry["reason"]?.stringValue ?? "")
    default: nil
    }
  }

  func received(on connection: Int) -> [(time: Double, frame: JSONValue)] {
    entries.compactMap { entry in
      guard entry.connection == connection, case .received(let frame) = entry.event else { return nil }
      return (entry.time, frame)
    }
  }

  /// Whether the slice starts in the middle of a connection that was admitted before.
  func startsAdmitted(_ connection: Int) -> Bool {
    received(on: connection).first?.frame["event"]?.stringValue != "connect.challenge"
  }

  /// The first recorded answer of a method.
  func answer(to method: String) -> JSONValue? {
    for case .sent(let request) in entries.map(\.event) where request["method"]?.stringValue == method {
      for case .received(let frame) in entries.map(\.event) where frame["id"] == request["id"] {
        return frame["payload"]
      }
    }
    return nil
  }
}
