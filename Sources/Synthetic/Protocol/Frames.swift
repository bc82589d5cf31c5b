import Basics

/// An RPC error as it goes over the wire.
struct RPCFailure: Error, Equatable {
  var code: String
  var message: String
  var details: JSONValue?
  var retryable: Bool?
  var retryAfterMs: Int64?

  init(
    _ code: String, _ message: String, details: JSONValue? = nil, retryable: Bool? = nil, retryAfterMs: Int64? = nil
  ) {
    (self.code, self.message, self.details) = (code, message, details)
    (self.retryable, self.retryAfterMs) = (retryable, retryAfterMs)
  }

  static func invalid(_ message: String, details: JSONValue? = nil) -> RPCFailure {
    RPCFailure("INVALID_REQUEST", message, details: details)
  }

  static func unavailable(_ message: String, details: JSONValue? = nil) -> RPCFailure {
    RPCFailure("UNAVAILABLE", message, details: details)
  }

  var json: JSONValue {
    var members: [String: JSONValue] = ["code": .string(code), "message": .string(message)]
    members["details"] = details
    members["retryable"] = retryable.map { .bool($0) }
    members["retryAfterMs"] = retryAfterMs.map { .integer($0) }
    return .object(members)
  }
}

/// Builds the three envelopes.
enum Frame {
  static func response(id: String, payload: JSONValue) -> JSONValue {
    ["type": "res", "id": .string(id), "ok": true, "payload": payload]
  }

  static func response(id: String, failure: RPCFailure, payload: JSONValue? = nil) -> JSONValue {
    var members: [String: JSONValue] = ["type": "res", "id": .string(id), "ok": false, "error": failure.json]
    members["payload"] = payload
    return .object(members)
  }

  static func event(
    _ name: String, payload: JSONValue, seq: Int64? = nil, stateVersion: JSONValue? = nil
  ) -> JSONValue {
    var members: [String: JSONValue] = ["type": "event", "event": .string(name), "payload": payload]
    members["seq"] = seq.map { .integer($0) }
    members["stateVersion"] = stateVersion
    return .object(members)
  }
}

extension JSONValue {
  /// An object from members of which some may be absent.
  static func members(_ pairs: KeyValuePairs<String, JSONValue?>) -> JSONValue {
    var members: [String: JSONValue] = [:]
    for (key, value) in pairs { members[key] = value }
    return .object(members)
  }

  static func strings(_ texts: some Sequence<String>) -> JSONValue { .array(texts.map { .string($0) }) }
  static func int(_ value: Int) -> JSONValue { .integer(Int64(value)) }

  /// The value at a path of keys.
  func at(_ keys: String...) -> JSONValue? {
    keys.reduce(Optional(self)) { value, key in value?[key] }
  }

  var strings: [String] { (arrayValue ?? []).compactMap(\.stringValue) }

  /// The object with `key` set, or removed when `value` is nil.
  func setting(_ key: String, _ value: JSONValue?) -> JSONValue {
    var members = objectValue ?? [:]
    members[key] = value
    return .object(members)
  }

  /// The object with the other object's members laid over it.
  func merging(_ other: JSONValue) -> JSONValue {
    .object((objectValue ?? [:]).merging(other.objectValue ?? [:]) { _, new in new })
  }
}
