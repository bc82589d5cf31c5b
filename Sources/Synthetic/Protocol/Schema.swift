import Basics

/// The part of JSON Schema that the Gateway's closed parameter objects need, with the messages of its validator.
indirect enum Schema: Sendable {
  case any
  case boolean
  case integer(minimum: Int64?)
  case string(nonEmpty: Bool)
  case oneOf([String])
  case array(Schema)
  case map(Schema)
  case object(required: [String], [String: Schema])
  /// An object whose further members are not looked at.
  case open(required: [String], [String: Schema])

  static let text = Schema.string(nonEmpty: false)
  static let name = Schema.string(nonEmpty: true)
  static let whole = Schema.integer(minimum: nil)
  static let count = Schema.integer(minimum: 0)

  /// The first thing wrong with `value`, as the Gateway words it; nil when it fits.
  func problem(in value: JSONValue, at path: String = "") -> String? {
    switch self {
    case .any: return nil
    case .boolean: return value.boolValue == nil ? Schema.say("must be boolean", path) : nil
    case .integer(let minimum):
      guard let number = value.intValue else { return Schema.say("must be integer", path) }
      if let minimum, number < minimum { return Schema.say("must be >= \(minimum)", path) }
      return nil
    case .string(let nonEmpty):
      guard let text = value.stringValue else { return Schema.say("must be string", path) }
      return nonEmpty && text.isEmpty ? Schema.say("must NOT have fewer than 1 characters", path) : nil
    case .oneOf(let allowed):
      let fits = value.stringValue.map(allowed.contains) ?? false
      return fits ? nil : Schema.say("must be equal to one of the allowed values", path)
    case .array(let element):
      guard let elements = value.arrayValue else { return Schema.say("must be array", path) }
      return elements.enumerated().lazy.compactMap { element.problem(in: $1, at: "\(path)/\($0)") }.first
    case .map(let element):
      guard let members = value.objectValue else { return Schema.say("must be object", path) }
      return members.sorted { $0.key < $1.key }.lazy
        .compactMap { element.problem(in: $0.value, at: "\(path)/\($0.key)") }.first
    case .object(let required, let known):
      return Schema.problem(in: value, path, required, known, closed: true)
    case .open(let required, let known):
      return Schema.problem(in: value, path, required, known, closed: false)
    }
  }

  private static func problem(
    in value: JSONValue, _ path: String, _ required: [String], _ known: [String: Schema], closed: Bool
  ) -> String? {
    guard let members = value.objectValue else { return say("must be object", path) }
    if let missing = required.first(where: { members[$0] == nil }) {
      return say("must have required property '\(missing)'", path)
    }
    for (key, member) in members.sorted(by: { $0.key < $1.key }) {
      guard let schema = known[key] else {
        if closed { return "at \(path.isEmpty ? "root" : path): unexpected property '\(key)'" }
        continue
      }
      if let problem = schema.problem(in: member, at: "\(path)/\(key)") { return problem }
    }
    return nil
  }

  private static func say(_ message: String, _ path: String) -> String {
    path.isEmpty ? message : "at \(path): \(message)"
  }
}

extension Schema {
  /// A request frame: closed, and without `traceparent` in this release.
  static let requestFrame = Schema.object(
    required: ["type", "id", "method"],
    ["type": .oneOf(["req"]), "id": .name, "method": .name, "params": .any])

  static let clientIDs = [
    "webchat-ui", "openclaw-control-ui", "openclaw-tui", "webchat", "cli", "gateway-client", "openclaw-macos",
    "openclaw-ios", "openclaw-android", "node-host", "test", "fingerprint", "openclaw-probe",
  ]
  static let clientModes = ["webchat", "cli", "ui", "backend", "node", "probe", "test"]

  /// `connect.params`: closed, with closed `client`, `auth` and `device`.
  static let connect = Schema.object(
    required: ["minProtocol", "maxProtocol", "client"],
    [
      "minProtocol": .integer(minimum: 1), "maxProtocol": .integer(minimum: 1),
      "client": .object(
        required: ["id", "version", "platform", "mode"],
        [
          "id": .oneOf(clientIDs), "displayName": .name, "version": .name, "platform": .name, "deviceFamily": .name,
          "modelIdentifier": .name, "mode": .oneOf(clientModes), "instanceId": .name,
        ]),
      "caps": .array(.name), "commands": .array(.name), "permissions": .map(.boolean), "pathEnv": .text,
      "role": .name, "scopes": .array(.name),
      "device": .object(
        required: ["id", "publicKey", "signature", "signedAt", "nonce"],
        ["id": .name, "publicKey": .name, "signature": .name, "signedAt": .count, "nonce": .name]),
      "auth": .object(
        required: [],
        [
          "token": .text, "bootstrapToken": .text, "deviceToken": .text, "password": .text,
          "approvalRuntimeToken": .text, "agentRuntimeIdentityToken": .text,
        ]),
      "locale": .text, "userAgent": .text,
    ])
}
