import Basics
import OpenClaw

/// One question and answer of OpenClaw's exec protocol, as the one who asks.
enum ExecProtocol {
  static let version: Int64 = 1

  enum Answer {
    case value(Secret)
    case missing
    case refused(String)
  }

  /// The rule that an id breaks; nil when it may be asked for.
  static func broken(_ id: String) -> String? {
    do {
      _ = try SecretRef(source: .exec, provider: "aw", id: id)
      return nil
    } catch {
      return error.next
    }
  }

  static func request(_ id: String, provider: String) -> String {
    let members: JSONValue = [
      "protocolVersion": .integer(version), "provider": .string(provider), "ids": [.string(id)],
    ]
    return members.canonical + "\n"
  }

  static func answer(_ output: [UInt8], for id: String) -> Answer {
    guard let document = try? JSONValue(parsing: output), let values = document["values"]?.objectValue else {
      return .refused("its program answers with something else than the exec protocol")
    }
    guard document["protocolVersion"] == .integer(version) else {
      return .refused("its program speaks another version of the exec protocol than \(version)")
    }
    if let value = values[id]?.stringValue { return .value(Secret(value)) }
    switch document["errors"]?[id]?["code"]?.stringValue {
    case nil, "NOT_FOUND": return .missing
    case "AMBIGUOUS_DUPLICATE_KEY": return .refused("its program has several values for \(id.quoted)")
    // Codes are the program's own words, and OpenClaw shows no others either.
    default: return .refused("its program has no value for \(id.quoted), for a reason of its own")
    }
  }
}
