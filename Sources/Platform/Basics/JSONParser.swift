extension JSONValue {
  /// Why a text is not JSON.
  public struct Malformed: Error, CustomStringConvertible, Equatable {
    public let what: String
    /// Bytes before the place.
    public let offset: Int
    public var description: String { "not JSON at byte \(offset): \(what)" }
  }
}

/// Members that a reader has no use for: they are passed over, and nothing is made of them. They are JSON all the same,
/// but for their strings, of which only the ends are looked for.
public indirect enum JSONOmissions: Sendable {
  /// All of it.
  case whole
  /// Of an object these members, or parts of them.
  case members([String: JSONOmissions])

  fileprivate subscript(name: String) -> JSONOmissions? {
    if case .members(let members) = self { members[name] } else { nil }
  }
}

/// Reads one JSON document (RFC 8259) into a `JSONValue`.
///
/// Foundation's decoder can only be asked for one kind of value after the other, and each wrong guess is an error that
/// it makes and throws away: a Gateway's greeting took 4 ms so, and one in the same run 0.1 ms here.
struct JSONParser {
  /// Arrays and objects within each other: what Foundation's decoder allows, and a bound for the stack.
  static let depthMax = 512

  private let bytes: UnsafeBufferPointer<UInt8>
  private var offset = 0
  private var depth = 0

  /// - Throws: `JSONValue.Malformed`.
  static func parse(
    _ bytes: UnsafeBufferPointer<UInt8>, omitting omissions: JSONOmissions? = nil
  ) throws(JSONValue.Malformed) -> JSONValue {
    var parser = JSONParser(bytes: bytes)
    // A mark that says "UTF-8", which some editors put first.
    if bytes.starts(with: [0xef, 0xbb, 0xbf]) { parser.offset = 3 }
    let value = try parser.value(omissions)
    guard parser.next() == nil else { throw parser.malformed("more follows after the document") }
    return value
  }

  private init(bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

  private func malformed(_ what: String) -> JSONValue.Malformed { .init(what: what, offset: offset) }

  /// The next byte that is no white space; it is not taken.
  private mutating func next() -> UInt8? {
    while offset < bytes.count {
      switch bytes[offset] {
      case 0x20, 0x0a, 0x0d, 0x09: offset += 1
      case let byte: return byte
      }
    }
    return nil
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard next() == byte else { return false }
    offset += 1
    return true
  }

  private mutating func value(_ omissions: JSONOmissions? = nil) throws(JSONValue.Malformed) -> JSONValue {
    switch next() {
    case UInt8(ascii: "{"): return try object(omissions)
    case UInt8(ascii: "["): return try array()
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case let byte? where byte == UInt8(ascii: "-") || Self.isDigit(byte): return try number()
    case nil: throw malformed("it ends where a value is due")
    default: throw malformed("a value is due")
    }
  }

  private mutating func object(_ omissions: JSONOmissions?) throws(JSONValue.Malformed) -> JSONValue {
    var members: [String: JSONValue] = [:]
    try items(until: UInt8(ascii: "}")) { (parser) throws(JSONValue.Malformed) in
      try parser.nameBegins()
      let name = try parser.string()
      try parser.colon()
      let omissions = omissions?[name]
      if case .whole = omissions {
        try parser.skip()
      } else {
        // Of two members of one name the last counts, as in JavaScript.
        members[name] = try parser.value(omissions)
      }
    }
    return .object(members)
  }

  private mutating func array() throws(JSONValue.Malformed) -> JSONValue {
    var elements: [JSONValue] = []
    try items(until: UInt8(ascii: "]")) { (parser) throws(JSONValue.Malformed) in elements.append(try parser.value()) }
    return .array(elements)
  }

  /// What an array or an object holds, each with `item`.
  @inline(__always)
  private mutating func items(
    until end: UInt8, _ item: (inout JSONParser) throws(JSONValue.Malformed) -> Void
  ) throws(JSONValue.Malformed) {
    guard depth < Self.depthMax else { throw malformed("it is nested deeper than \(Self.depthMax)") }
    (depth, offset) = (depth + 1, offset + 1)
    defer { depth -= 1 }
    if take(end) { return }
    repeat { try item(&self) } while take(UInt8(ascii: ","))
    guard take(end) else { throw malformed("',' or '\(Character(Unicode.Scalar(end)))' is due") }
  }

  private mutating func nameBegins() throws(JSONValue.Malformed) {
    guard next() == UInt8(ascii: "\"") else { throw malformed("a member's name is due") }
  }

  private mutating func colon() throws(JSONValue.Malformed) {
    guard take(UInt8(ascii: ":")) else { throw malformed("':' is due") }
  }

  // MARK: - What is passed over

  private mutating func skip() throws(JSONValue.Malformed) {
    switch next() {
    case UInt8(ascii: "{"):
      try items(until: UInt8(ascii: "}")) { (parser) throws(JSONValue.Malformed) in
        try parser.nameBegins()
        try parser.skipString()
        try parser.colon()
        try parser.skip()
      }
    case UInt8(ascii: "["):
      try items(until: UInt8(ascii: "]")) { (parser) throws(JSONValue.Malformed) in try parser.skip() }
    case UInt8(ascii: "\""): try skipString()
    default: _ = try value()
    }
  }

  private mutating func skipString() throws(JSONValue.Malformed) {
    offset += 1
    while offset < bytes.count, bytes[offset] != UInt8(ascii: "\"") {
      offset += bytes[offset] == UInt8(ascii: "\\") ? 2 : 1
    }
    guard offset < bytes.count else { throw malformed("a string does not end") }
    offset += 1
  }

  private mutating func word(
    _ text: StaticString, _ value: JSONValue
  ) throws(JSONValue.Malformed) -> JSONValue {
    let end = offset + text.utf8CodeUnitCount
    guard end <= bytes.count,
      bytes[offset..<end].elementsEqual(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    else { throw malformed("a value is due") }
    offset = end
    return value
  }

  // MARK: - Numbers

  private mutating func number() throws(JSONValue.Malformed) -> JSONValue {
    let start = offset
    var isWhole = true
    if bytes[offset] == UInt8(ascii: "-") { offset += 1 }
    let first = offset
    try digits()
    guard bytes[first] != UInt8(ascii: "0") || offset == first + 1 else {
      throw malformed("a number does not begin with a zero that means nothing")
    }
    if offset < bytes.count, bytes[offset] == UInt8(ascii: ".") {
      (isWhole, offset) = (false, offset + 1)
      try digits()
    }
    if offset < bytes.count, bytes[offset] | 0x20 == UInt8(ascii: "e") {
      (isWhole, offset) = (false, offset + 1)
      if offset < bytes.count, [UInt8(ascii: "+"), UInt8(ascii: "-")].contains(bytes[offset]) { offset += 1 }
      try digits()
    }
    let text = String(decoding: bytes[start..<offset], as: UTF8.self)
    if isWhole, let integer = Int64(text) { return .integer(integer) }
    guard let number = Double(text), number.isFinite else { throw malformed("a number is too large") }
    // What is written as 1.0 or 1e3 is the same number as 1 or 1000.
    return Int64(exactly: number).map { .integer($0) } ?? .number(number)
  }

  private mutating func digits() throws(JSONValue.Malformed) {
    let start = offset
    while offset < bytes.count, Self.isDigit(bytes[offset]) { offset += 1 }
    guard offset > start else { throw malformed("a digit is due") }
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

  // MARK: - Strings

  private mutating func string() throws(JSONValue.Malformed) -> String {
    offset += 1
    var text = try plain()
    while offset < bytes.count, bytes[offset] == UInt8(ascii: "\\") {
      text.unicodeScalars.append(try escape())
      text += try plain()
    }
    guard offset < bytes.count else { throw malformed("a string does not end") }
    guard bytes[offset] == UInt8(ascii: "\"") else { throw malformed("a control character in a string") }
    offset += 1
    return text
  }

  /// Everything up to the end of the string, an escape, or what may not be there.
  private mutating func plain() throws(JSONValue.Malformed) -> String {
    let start = offset
    while offset < bytes.count {
      let byte = bytes[offset]
      if byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { break }
      offset += 1
    }
    guard let text = String(validating: bytes[start..<offset], as: UTF8.self) else {
      throw malformed("a string before this is not UTF-8")
    }
    return text
  }

  private mutating func escape() throws(JSONValue.Malformed) -> Unicode.Scalar {
    guard offset + 1 < bytes.count else { throw malformed("a string does not end") }
    let kind = bytes[offset + 1]
    switch kind {
    case UInt8(ascii: "u"):
      let first = try codeUnit()
      guard UTF16.isLeadSurrogate(first), let second = try? trail() else {
        // JavaScript writes half a pair where a text was cut within a character.
        return Unicode.Scalar(first) ?? "\u{fffd}"
      }
      return UTF16.decode(UTF16.EncodedScalar([first, second]))
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): offset += 2
    case UInt8(ascii: "b"), UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"): offset += 2
    default: throw malformed("an escape that is none")
    }
    switch kind {
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{c}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    default: return Unicode.Scalar(kind)
    }
  }

  /// The second half of a pair; nothing is taken when it is something else.
  private mutating func trail() throws(JSONValue.Malformed) -> UInt16? {
    guard offset + 1 < bytes.count, bytes[offset] == UInt8(ascii: "\\"), bytes[offset + 1] == UInt8(ascii: "u") else {
      return nil
    }
    let before = offset
    let unit = try codeUnit()
    if UTF16.isTrailSurrogate(unit) { return unit }
    offset = before
    return nil
  }

  /// Takes `\uXXXX`.
  private mutating func codeUnit() throws(JSONValue.Malformed) -> UInt16 {
    guard offset + 6 <= bytes.count else { throw malformed("a string does not end") }
    var unit: UInt16 = 0
    for byte in bytes[offset + 2..<offset + 6] {
      guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
        throw malformed("an escape that is none")
      }
      unit = unit << 4 | UInt16(digit)
    }
    offset += 6
    return unit
  }
}
