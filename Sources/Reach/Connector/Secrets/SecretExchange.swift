import Basics
import Link
import OpenClaw

/// What there is to say about one id.
enum SecretOutcome: Sendable {
  case value(Secret)
  /// Nobody knows it, or it is another Org's: whoever asks cannot tell which.
  case absent
  /// The control plane cannot be asked now, and what was known is too old.
  case unavailable
  /// The Instance asked for too much.
  case limited
  /// OpenClaw itself would not take it for an id.
  case malformed

  /// The code that OpenClaw is told. It shows `NOT_FOUND`, and takes the others without showing them.
  var code: String? {
    switch self {
    case .value: nil
    case .absent: "NOT_FOUND"
    case .unavailable: "UNAVAILABLE"
    case .limited: "RATE_LIMITED"
    case .malformed: "INVALID_ID"
    }
  }
}

/// OpenClaw's exec protocol, version 1, from the side of the provider: bytes in, bytes out.
enum SecretExchange {
  static let version: Int64 = 1
  static let tooLarge = "TOO_LARGE"

  enum Request: Equatable {
    /// In the order in which they were asked for, each once.
    case ids([String])
    /// Why there is no reply, for whoever reads the log of OpenClaw.
    case refused(String)
  }

  static func read(_ bytes: [UInt8]) -> Request {
    guard bytes.count <= SecretLimits.requestBytesMax else {
      return .refused("The request has more than \(SecretLimits.requestBytesMax) bytes.")
    }
    guard let document = try? JSONValue(parsing: bytes), document.objectValue != nil else {
      return .refused("The request is no JSON object.")
    }
    guard document["protocolVersion"] == .integer(version) else {
      return .refused("The request is not of version \(version) of the exec protocol.")
    }
    guard document["provider"]?.stringValue != nil else { return .refused("The request names no provider.") }
    guard let listed = document["ids"]?.arrayValue else { return .refused("The request has no list of ids.") }
    guard listed.count <= SecretLimits.idsMax else {
      return .refused("The request has more than \(SecretLimits.idsMax) ids.")
    }
    var ids: [String] = []
    var seen: Set<String> = []
    for member in listed {
      guard let id = member.stringValue else { return .refused("The request has an id that is no text.") }
      if seen.insert(id).inserted { ids.append(id) }
    }
    return .ids(ids)
  }

  /// Whether OpenClaw takes it for an id of an exec provider.
  static func isWellFormed(_ id: String) -> Bool { (try? SecretRef(source: .exec, provider: "aw", id: id)) != nil }

  /// The reply, never longer than OpenClaw reads: values that do not fit any more have an error of their own.
  static func reply(_ ids: [String], _ outcomes: [String: SecretOutcome]) -> [UInt8] {
    var (values, errors): ([String: JSONValue], [String: JSONValue]) = ([:], [:])
    let names = ids.map { (id: $0, bytes: JSONValue.string($0).canonical.utf8.count) }
    // Each id costs its error at least, so that one can always be told.
    var left = SecretLimits.replyBytesMax - 128 - names.reduce(0) { $0 + $1.bytes + 40 }
    for name in names {
      switch outcomes[name.id] ?? .unavailable {
      case .value(let secret):
        let text = secret.withText { JSONValue.string($0) }
        let size = text.canonical.utf8.count
        guard size <= left else {
          errors[name.id] = ["code": .string(tooLarge)]
          continue
        }
        left -= size
        values[name.id] = text
      case let outcome:
        errors[name.id] = ["code": .string(outcome.code ?? "")]
      }
    }
    var reply: [String: JSONValue] = ["protocolVersion": .integer(version), "values": .object(values)]
    if !errors.isEmpty { reply["errors"] = .object(errors) }
    return Array(JSONValue.object(reply).canonical.utf8)
  }
}
