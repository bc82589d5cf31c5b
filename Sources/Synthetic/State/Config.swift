import Basics
import Crypto
import Foundation

/// `openclaw.json` as it was read, with what is wrong with it.
struct ConfigFile: Sendable, Equatable {
  struct Issue: Sendable, Equatable {
    var path: String
    var message: String
    var json: JSONValue { ["path": .string(path), "message": .string(message)] }
  }

  var path: String
  var exists: Bool
  var raw: String
  var parsed: JSONValue
  var issues: [Issue]

  /// The revision that `config.set` and its kin ask for: the SHA-256 of the file.
  var hash: String { SHA256.hex(Data(raw.utf8)) }
  var isValid: Bool { issues.isEmpty }

  static func load(_ path: String) -> ConfigFile {
    guard let data = FileManager.default.contents(atPath: path) else {
      return ConfigFile(path: path, exists: false, raw: "", parsed: [:], issues: [])
    }
    return ConfigFile(path: path, raw: String(decoding: data, as: UTF8.self))
  }

  init(path: String, exists: Bool, raw: String, parsed: JSONValue, issues: [Issue]) {
    (self.path, self.exists, self.raw, self.parsed, self.issues) = (path, exists, raw, parsed, issues)
  }

  init(path: String, raw: String) {
    do {
      let parsed = try Self.parse(raw)
      self.init(path: path, exists: true, raw: raw, parsed: parsed, issues: ConfigRules.issues(in: parsed))
    } catch {
      self.init(
        path: path, exists: true, raw: raw, parsed: [:], issues: [Issue(path: "", message: "JSON5 parse failed")])
    }
  }

  /// Parses JSON5: comments, trailing commas and unquoted keys are allowed.
  static func parse(_ text: String) throws -> JSONValue {
    let decoder = JSONDecoder()
    decoder.allowsJSON5 = true
    return try decoder.decode(JSONValue.self, from: Data(text.utf8))
  }

  /// The file's text after an OpenClaw-owned write: plain JSON with the writer's stamp.
  static func written(_ value: JSONValue, at time: Timestamp) throws -> String {
    let stamped = value.setting(
      "meta",
      (value["meta"] ?? [:]).merging([
        "lastTouchedVersion": .string(Synthetic.version), "lastTouchedAt": .string(time.description),
      ]))
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(stamped), as: UTF8.self) + "\n"
  }
}

/// The rules of RFC 7396 plus OpenClaw's: arrays of objects with ids merge by id.
enum MergePatch {
  static func apply(_ patch: JSONValue, to target: JSONValue) -> JSONValue {
    if let elements = patch.arrayValue, let old = target.arrayValue, !elements.isEmpty,
      elements.allSatisfy({ $0["id"]?.stringValue != nil })
    {
      return .array(mergedByID(elements, into: old))
    }
    guard let members = patch.objectValue else { return patch }
    var result = target.objectValue ?? [:]
    for (key, value) in members {
      result[key] = value.isNull ? nil : apply(value, to: result[key] ?? .null)
    }
    return .object(result)
  }

  private static func mergedByID(_ elements: [JSONValue], into old: [JSONValue]) -> [JSONValue] {
    var result = old
    for element in elements {
      if let index = result.firstIndex(where: { $0["id"] == element["id"] }) {
        result[index] = apply(element, to: result[index])
      } else {
        result.append(element)
      }
    }
    return result
  }
}

/// Takes secrets out of a config before it leaves, and puts them back when it returns.
enum Redaction {
  static let sentinel = "__OPENCLAW_REDACTED__"

  static func redacted(_ value: JSONValue) -> JSONValue { walk(value, secret: false) }

  /// The file's text with every secret value replaced.
  static func redacted(raw: String, parsed: JSONValue) -> String {
    var text = raw
    for secret in secrets(in: parsed, secret: false) {
      text = text.replacing(JSONValue.string(secret).canonical, with: "\"\(sentinel)\"")
    }
    return text
  }

  /// `value` with each sentinel replaced by what stands at the same place in `original`.
  static func restored(_ value: JSONValue, from original: JSONValue?) -> JSONValue {
    switch value {
    case .string(sentinel): return original ?? value
    case .object(let members):
      return .object(
        Dictionary(uniqueKeysWithValues: members.map { ($0.key, restored($0.value, from: original?[$0.key])) }))
    case .array(let elements):
      return .array(elements.enumerated().map { restored($1, from: original?[$0]) })
    default: return value
    }
  }

  private static func isSecret(_ key: String) -> Bool {
    let key = key.lowercased()
    return ["token", "password", "secret", "apikey", "privatekey"].contains { key.hasSuffix($0) }
  }

  private static func walk(_ value: JSONValue, secret: Bool) -> JSONValue {
    switch value {
    case .string where secret: return .string(sentinel)
    case .object(let members) where secret && members["source"] != nil:
      return value.setting("id", .string(sentinel))
    case .object(let members):
      return .object(
        Dictionary(uniqueKeysWithValues: members.map { ($0.key, walk($0.value, secret: isSecret($0.key))) }))
    case .array(let elements): return .array(elements.map { walk($0, secret: false) })
    default: return value
    }
  }

  private static func secrets(in value: JSONValue, secret: Bool) -> [String] {
    switch value {
    case .string(let text) where secret: return [text]
    case .object(let members) where secret && members["source"] != nil:
      return members["id"]?.stringValue.map { [$0] } ?? []
    case .object(let members): return members.flatMap { secrets(in: $0.value, secret: isSecret($0.key)) }
    case .array(let elements): return elements.flatMap { secrets(in: $0, secret: false) }
    default: return []
    }
  }
}
