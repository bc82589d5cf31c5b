import Basics
import Foundation

/// What is pinned in an `openclaw.json`, whoever wrote it: pure functions.
enum PinnedConfiguration {
  /// The pinned paths that have another value in the file, sorted. A file that cannot be read as JSON5 says nothing:
  /// OpenClaw refuses it too.
  static func departures(_ bytes: [UInt8], _ pinned: [String: JSONValue]) -> [String] {
    guard !pinned.isEmpty, let document = parse(bytes) else { return [] }
    return pinned.filter { document.value(at: $0.key) != $0.value }.map(\.key).sorted()
  }

  /// The file with what is pinned set, as plain JSON; nil when there is nothing to do.
  static func mended(_ bytes: [UInt8], _ pinned: [String: JSONValue]) -> String? {
    let departures = departures(bytes, pinned)
    guard !departures.isEmpty, let document = parse(bytes) else { return nil }
    return departures.reduce(document) { $0.setting(pinned[$1] ?? .null, at: $1) }.indented + "\n"
  }

  private static func parse(_ bytes: [UInt8]) -> JSONValue? {
    let decoder = JSONDecoder()
    decoder.allowsJSON5 = true
    guard let document = try? decoder.decode(JSONValue.self, from: Data(bytes)), document.objectValue != nil else {
      return nil
    }
    return document
  }
}
