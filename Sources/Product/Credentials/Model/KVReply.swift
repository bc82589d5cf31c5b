import Basics

/// What an answer of the KV v2 engine means: a pure reading of the published API.
enum KVReply: Equatable, Sendable {
  case value(Secret)
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
    default: false
    }
  }

  /// - Parameter field: of the data, for a read; nil for a write or a removal.
  static func read(status: Int, body: JSONValue?, field: String?) -> KVReply {
    let errors = body?["errors"]?.arrayValue?.compactMap(\.stringValue) ?? []
    switch status {
    case 200..<300:
      guard let field else { return .done }
      // A deleted version answers 404; an engine of version 1 has no inner data.
      guard let data = body?["data"]?["data"]?.objectValue else { return .failed("it is no KV engine of version 2") }
      return data[field]?.stringValue.map { .value(Secret($0)) } ?? .missing
    case 400:
      return errors.contains { $0.contains("did not match") } ? .taken : .failed("it did not understand the request")
    case 401, 403: return .denied
    case 404: return .missing
    case 503: return .sealed
    case 429, 472, 473: return .failed("it is a standby that does not answer")
    default: return .failed("it answered with status \(status)")
    }
  }
}
