import Foundation

/// Any JSON value: for payloads whose shape belongs to somebody else, and for canonical text.
public enum JSONValue: Hashable, Sendable {
  case null
  case bool(Bool)
  case integer(Int64)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([String: JSONValue])
}

extension JSONValue {
  public subscript(key: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members[key]
  }

  public subscript(index: Int) -> JSONValue? {
    guard case .array(let elements) = self, elements.indices.contains(index) else { return nil }
    return elements[index]
  }

  public var stringValue: String? { if case .string(let value) = self { value } else { nil } }
  public var boolValue: Bool? { if case .bool(let value) = self { value } else { nil } }
  public var arrayValue: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
  public var objectValue: [String: JSONValue]? { if case .object(let value) = self { value } else { nil } }
  public var isNull: Bool { self == .null }

  public var intValue: Int64? {
    switch self {
    case .integer(let value): value
    case .number(let value): Int64(exactly: value)
    default: nil
    }
  }

  public var doubleValue: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }
}

extension JSONValue {
  /// Parses one JSON document in UTF-8.
  ///
  /// - Parameter omissions: what is not to be read.
  /// - Throws: `JSONValue.Malformed`, which says where and holds nothing of the text.
  public init(parsing bytes: some Sequence<UInt8>, omitting omissions: JSONOmissions? = nil) throws {
    let parsed = try bytes.withContiguousStorageIfAvailable { try JSONParser.parse($0, omitting: omissions) }
    self = try parsed ?? Array(bytes).withUnsafeBufferPointer { try JSONParser.parse($0, omitting: omissions) }
  }

  public init(parsing text: String) throws { try self.init(parsing: text.utf8) }

  /// Converts a value by encoding it.
  public init(encoding value: some Encodable) throws {
    try self.init(parsing: try JSONEncoder().encode(value))
  }

  public func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
    try JSONDecoder().decode(type, from: Data(canonical.utf8))
  }

  /// A value straight from its JSON text.
  public static func decode<Value: Decodable>(_ type: Value.Type = Value.self, from text: String) throws -> Value {
    try JSONDecoder().decode(type, from: Data(text.utf8))
  }

  /// The canonical text of RFC 8785 (JCS): members sorted by UTF-16 code units, no white space, shortest numbers.
  public var canonical: String {
    var text = ""
    writeCanonical(to: &text)
    return text
  }

  /// The text for people: members sorted, two spaces of indent.
  public var indented: String {
    var text = ""
    writeIndented(to: &text, indent: "")
    return text
  }

  private func writeIndented(to text: inout String, indent: String) {
    let inner = indent + "  "
    switch self {
    case .array(let elements) where !elements.isEmpty:
      text += "["
      for (index, element) in elements.enumerated() {
        text += (index > 0 ? ",\n" : "\n") + inner
        element.writeIndented(to: &text, indent: inner)
      }
      text += "\n\(indent)]"
    case .object(let members) where !members.isEmpty:
      text += "{"
      for (index, (key, value)) in members.sorted(by: { $0.key < $1.key }).enumerated() {
        text += (index > 0 ? ",\n" : "\n") + inner + JSONValue.string(key).canonical + ": "
        value.writeIndented(to: &text, indent: inner)
      }
      text += "\n\(indent)}"
    default:
      writeCanonical(to: &text)
    }
  }

  private func writeCanonical(to text: inout String) {
    switch self {
    case .null: text += "null"
    case .bool(let value): text += value ? "true" : "false"
    case .integer(let value): text += String(value)
    case .number(let value): text += JSONValue.canonicalNumber(value)
    case .string(let value): JSONValue.writeString(value, to: &text)
    case .array(let elements):
      text += "["
      for (index, element) in elements.enumerated() {
        if index > 0 { text += "," }
        element.writeCanonical(to: &text)
      }
      text += "]"
    case .object(let members):
      text += "{"
      let keys = members.keys.sorted { $0.utf16.lexicographicallyPrecedes($1.utf16) }
      for (index, key) in keys.enumerated() {
        if index > 0 { text += "," }
        JSONValue.writeString(key, to: &text)
        text += ":"
        members[key]?.writeCanonical(to: &text)
      }
      text += "}"
    }
  }

  /// ECMAScript's Number-to-String for finite values: exponents start at 1e21 and below 1e-6.
  private static func canonicalNumber(_ value: Double) -> String {
    if value == 0 { return "0" }
    if value == value.rounded(), abs(value) < 1e21 {
      return String(format: "%.0f", value)
    }
    var text = "\(value)"
    guard let exponentIndex = text.firstIndex(of: "e") else { return text }
    let mantissa = text[..<exponentIndex].replacing(".0", with: "")
    let exponent = Int(text[text.index(after: exponentIndex)...]) ?? 0
    if exponent < 0, exponent >= -7 {
      let digits = mantissa.replacing(".", with: "").replacing("-", with: "")
      text = (value < 0 ? "-" : "") + "0." + String(repeating: "0", count: -exponent - 1) + digits
      return exponent == -7 ? mantissa + "e-7" : text
    }
    return mantissa + "e" + (exponent > 0 ? "+" : "") + String(exponent)
  }

  private static func writeString(_ value: String, to text: inout String) {
    let isPlain = value.utf8.allSatisfy { $0 >= 0x20 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
    guard !isPlain else {
      text += "\"\(value)\""
      return
    }
    text += "\""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\u{8}": text += "\\b"
      case "\u{c}": text += "\\f"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      case "\u{0}"..<"\u{20}": text += String(format: "\\u%04x", scalar.value)
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}

extension JSONValue: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    // A wrong guess costs an error that is thrown and dropped, so what is most often there is tried first.
    if let value = try? container.decode(String.self) {
      self = .string(value)
    } else if let value = try? container.decode([String: JSONValue].self) {
      self = .object(value)
    } else if container.decodeNil() {
      self = .null
    } else if let value = try? container.decode(Bool.self) {
      self = .bool(value)
    } else if let value = try? container.decode(Int64.self) {
      self = .integer(value)
    } else if let value = try? container.decode(Double.self) {
      self = .number(value)
    } else {
      self = .array(try container.decode([JSONValue].self))
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .null: try container.encodeNil()
    case .bool(let value): try container.encode(value)
    case .integer(let value): try container.encode(value)
    case .number(let value): try container.encode(value)
    case .string(let value): try container.encode(value)
    case .array(let value): try container.encode(value)
    case .object(let value): try container.encode(value)
    }
  }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int64) { self = .integer(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(Dictionary(elements) { _, last in last })
  }
  public init(nilLiteral: ()) { self = .null }
}
