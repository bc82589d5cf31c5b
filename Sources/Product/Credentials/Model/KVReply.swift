import Basics

/// What an answer of the KV v2 engine means: a pure reading of the published API.
enum KVReply: Equatable, Sendable {
  case value(Secret)
  /// Names of folders, paths or members; no value.
  case names([String])
  case done
  /// Nothing is there, or what was there is deleted.
  case missing
  /// Check-and-set: something is there already.
  case taken
  /// The token is no longer good, or its policy does not allow this.
  case denied
  case sealed
  case failed(String)

  static func == (left: KVReply, right: KVReply) -> Bool {
    switch (left, right) {
    case (.value(let one), .value(let other)): one.equals(other)
    case (.done, .done), (.missing, .missing), (.taken, .taken), (.denied, .denied), (.sealed, .sealed): true
    case (.failed(let one), .failed(let other)): one == other
    case (.names(let one), .names(let other)): one == other
    default: false
    }
  }

  /// What was asked for.
  enum Reading: Sendable {
    /// A write or a removal.
    case nothing
    /// This member of the data.
    case field(String)
    /// What lies in a folder.
    case keys
    /// The members of the data, without their values.
    case subkeys
  }

  static func read(status: Int, body: JSONValue?, _ reading: Reading) -> KVReply {
    let errors = body?["errors"]?.arrayValue?.compactMap(\.stringValue) ?? []
    switch status {
    case 200..<300:
      return told(body, reading)
    case 400:
      return errors.contains { $0.contains("did not match") } ? .taken : .failed("it did not understand the request")
    case 401, 403: return .denied
    case 404: return .missing
    case 503: return .sealed
    case 429, 472, 473: return .failed("it is a standby that does not answer")
    default: return .failed("it answered with status \(status)")
    }
  }

  private static func told(_ body: JSONValue?, _ reading: Reading) -> KVReply {
    switch reading {
    case .nothing: return .done
    case .field(let field):
      // A deleted version answers 404; an engine of version 1 has no inner data.
      guard let data = body?["data"]?["data"]?.objectValue else { return .failed("it is no KV engine of version 2") }
      return data[field]?.stringValue.map { .value(Secret($0)) } ?? .missing
    case .keys:
      guard let keys = body?["data"]?["keys"]?.arrayValue else { return .failed("it does not list") }
      return .names(keys.compactMap(\.stringValue))
    case .subkeys:
      guard let subkeys = body?["data"]?["subkeys"]?.objectValue else { return .failed("it has no subkeys") }
      return .names(subkeys.keys.sorted())
    }
  }
}
