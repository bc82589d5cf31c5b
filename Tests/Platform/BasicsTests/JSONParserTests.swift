import Basics
import Foundation
import TestSupport
import Testing

@Suite("Reading JSON")
struct JSONParserTests {
  @Test(
    "documents become what they say",
    arguments: [
      ("null", .null), (" true ", .bool(true)), ("\u{feff}false", .bool(false)), ("0", .integer(0)), ("-0", .integer(0)),
      ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
      ("9223372036854775808", .number(9_223_372_036_854_775_808)), ("1.0", .integer(1)), ("1E+3", .integer(1_000)),
      ("-1.5e-3", .number(-0.0015)), ("\"\"", ""), (#""a\u00e9\ud83d\ude00\n\/\"""#, "aé😀\n/\""),
      ("[]", []), ("{}", [:]), ("[1,[2],{\"a\":null}]", [1, [2], ["a": nil]]),
      ("\t{ \"b\" : 1 ,\r\n\"a\":[ ] } ", ["a": [], "b": 1]), (#"{"a":1,"a":2}"#, ["a": 2]),
    ] as [(String, JSONValue)])
  func documents(text: String, value: JSONValue) throws {
    #expect(try JSONValue(parsing: text) == value)
  }

  @Test(
    "half a pair, which JavaScript writes where it cut a text, becomes the mark for what is missing",
    arguments: [(#""\ud83d""#, "\u{fffd}"), (#""\ude00x""#, "\u{fffd}x"), (#""\ud83d\u0041""#, "\u{fffd}A")])
  func halves(text: String, value: String) throws {
    #expect(try JSONValue(parsing: text) == .string(value))
  }

  @Test(
    "what is not JSON is refused",
    arguments: [
      "", " ", "nul", "truer", "01", "-", "+1", "1.", ".5", "1e", "1e999", "NaN", "'a'", "\"a", "\"a\nb\"", #""\x""#,
      #""\u00g0""#, #""\u12"#, "[1,]", "[1 2]", "[", "{\"a\"}", "{\"a\":1,}", "{a:1}", "{\"a\":1", "1 1", "{} x", "\u{0}",
    ])
  func refused(text: String) {
    #expect(throws: JSONValue.Malformed.self) { try JSONValue(parsing: text) }
  }

  @Test("bytes that are not UTF-8 are refused")
  func notUTF8() {
    #expect(throws: JSONValue.Malformed.self) { try JSONValue(parsing: [0x22, 0xff, 0x22] as [UInt8]) }
    #expect(throws: JSONValue.Malformed.self) { try JSONValue(parsing: [0x22, 0xed, 0xa0, 0x80, 0x22] as [UInt8]) }
  }

  @Test("nesting is bounded")
  func nesting() throws {
    let deep = { String(repeating: "[", count: $0) + String(repeating: "]", count: $0) }
    _ = try JSONValue(parsing: deep(512))
    #expect(throws: JSONValue.Malformed.self) { try JSONValue(parsing: deep(513)) }
    #expect(throws: JSONValue.Malformed.self) { try JSONValue(parsing: String(repeating: "[", count: 1_000_000)) }
  }

  @Test(
    "what is to be omitted is passed over, whatever it holds, and all else is read",
    arguments: [
      (#"{"a":1,"b":2}"#, ["b": 2]), (#"{"a":{"b":[1,{"c":"}\""}]},"d":{"a":"x"}}"#, ["d": ["a": "x"]]),
      (#"{"p":{"a":[],"b":"\\","c":0},"b":null}"#, ["p": ["a": [], "c": 0], "b": nil]),
      (#"{"\u0061":1,"a":"\u00zz"}"#, [:]), (#"[{"a":1}]"#, [["a": 1]]), (#""a""#, "a"), (#"{"p":1}"#, ["p": 1]),
    ] as [(String, JSONValue)])
  func omitted(text: String, value: JSONValue) throws {
    let omissions = JSONOmissions.members(["a": .whole, "p": .members(["b": .whole])])
    #expect(try JSONValue(parsing: text.utf8, omitting: omissions) == value)
  }

  @Test(
    "what is omitted is JSON all the same",
    arguments: ["{", "[1,]", "[1 2]", "{\"b\"}", "{\"b\":1,}", "\"b", "\"b\\", "nul", "01", "}", ",", "", "[1}"])
  func omittedRefused(text: String) {
    #expect(throws: JSONValue.Malformed.self) {
      try JSONValue(parsing: "{\"a\":\(text)}".utf8, omitting: .members(["a": .whole]))
    }
  }

  @Test("nesting is bounded in what is omitted, too")
  func omittedNesting() throws {
    let deep = { "{\"a\":" + String(repeating: "[", count: $0) + String(repeating: "]", count: $0) + "}" }
    _ = try JSONValue(parsing: deep(511).utf8, omitting: .members(["a": .whole]))
    #expect(throws: JSONValue.Malformed.self) {
      try JSONValue(parsing: deep(512).utf8, omitting: .members(["a": .whole]))
    }
  }

  @Test("it agrees with Foundation's decoder on documents that were made at random", arguments: UInt64(1)...40)
  func agrees(seed: UInt64) throws {
    var random = Seeded(state: seed)
    let value = Self.value(depth: 4, &random)
    let bytes = try JSONEncoder().encode(value)
    #expect(try JSONValue(parsing: bytes) == value)
    #expect(try JSONDecoder().decode(JSONValue.self, from: bytes) == value)
    #expect(try JSONValue(parsing: value.canonical) == value)
    let twice = JSONValue.object(["a": value, "b": value]).canonical
    #expect(try JSONValue(parsing: twice.utf8, omitting: .members(["a": .whole])) == ["b": value])
    // A byte that is changed, left out or doubled: it never crashes, and what both take is the same to both.
    for _ in 0..<50 {
      var broken = Array(bytes)
      let place = Int.random(in: 0..<broken.count, using: &random)
      switch Int.random(in: 0..<3, using: &random) {
      case 0: broken[place] = UInt8.random(in: 0...127, using: &random)
      case 1: broken.remove(at: place)
      default: broken.insert(broken[place], at: place)
      }
      guard let parsed = try? JSONValue(parsing: broken) else { continue }
      #expect(try JSONValue(parsing: parsed.canonical) == parsed)
    }
  }

  private static func value(depth: Int, _ random: inout Seeded) -> JSONValue {
    switch Int.random(in: 0..<(depth > 0 ? 7 : 5), using: &random) {
    case 0: return .null
    case 1: return .bool(Bool.random(using: &random))
    case 2: return .integer(Int64.random(in: .min ... .max, using: &random))
    case 3: return .number(Double.random(in: -1e6...1e6, using: &random) + 0.125)
    case 4: return .string(text(&random))
    case 5: return .array((0..<Int.random(in: 0..<5, using: &random)).map { _ in value(depth: depth - 1, &random) })
    default:
      let members = (0..<Int.random(in: 0..<5, using: &random)).map { _ in
        (text(&random), value(depth: depth - 1, &random))
      }
      return .object(Dictionary(members) { first, _ in first })
    }
  }

  private static func text(_ random: inout Seeded) -> String {
    let scalars: [Unicode.Scalar] = ["a", "é", "😀", "\"", "\\", "\n", "\u{1}", "\u{2028}", "/", "z"]
    var text = String.UnicodeScalarView()
    for _ in 0..<Int.random(in: 0..<8, using: &random) {
      text.append(scalars.randomElement(using: &random) ?? "a")
    }
    return String(text)
  }
}
