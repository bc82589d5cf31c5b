import Basics
import Testing

@Suite("Shared values")
struct BasicsTests {
  @Test(
    "a slug follows OpenClaw's own rule",
    arguments: [
      ("acme", true), ("a", true), ("0", true), ("acme-main", true), ("a--b", true),
      (String(repeating: "a", count: 40), true), (String(repeating: "a", count: 41), false),
      ("", false), ("-acme", false), ("acme-", false), ("Acme", false), ("ac me", false), ("acmé", false),
      ("a_b", false),
    ])
  func slug(text: String, valid: Bool) {
    #expect(((try? Slug(text)) != nil) == valid)
  }

  @Test("identifiers sort by the time they were made, and read back")
  func identifiers() throws {
    enum Thing {}
    var random = SystemRandomNumberGenerator()
    let early = ID<Thing>(at: Timestamp(millisecondsSince1970: 1_000), random: &random)
    let late = ID<Thing>(at: Timestamp(millisecondsSince1970: 2_000), random: &random)
    #expect(early < late)
    #expect(ID<Thing>(early.text) == early)
    #expect(early.text.count == 36)
    #expect(Array(early.text)[14] == "7")
    #expect("89ab".contains(Array(early.text)[19]))
    #expect(ID<Thing>("not an id") == nil)
  }

  @Test(
    "timestamps are RFC 3339 with milliseconds",
    arguments: [
      (Int64(0), "1970-01-01T00:00:00.000Z"), (1_795_335_332_593, "2026-11-22T08:15:32.593Z"),
    ])
  func timestamps(milliseconds: Int64, text: String) throws {
    let timestamp = Timestamp(millisecondsSince1970: milliseconds)
    #expect(timestamp.description == text)
    #expect(Timestamp(text) == timestamp)
  }

  @Test(
    "canonical JSON sorts members and writes the shortest numbers",
    arguments: [
      (#"{"b":1,"a":[true,null]}"#, #"{"a":[true,null],"b":1}"#),
      (#"{"n":1.0,"m":0.5,"k":1e21,"z":-0.0}"#, #"{"k":1e+21,"m":0.5,"n":1,"z":0}"#),
      (#"["\u0001\n\"é€"]"#, #"["\u0001\n\"é€"]"#),
    ])
  func canonical(source: String, expected: String) throws {
    #expect(try JSONValue(parsing: source).canonical == expected)
  }

  @Test("a secret shows nothing of itself")
  func secrets() {
    let secret = Secret("sentinel-51f2")
    var dumped = ""
    dump(secret, to: &dumped)
    #expect(!"\(secret) \(String(reflecting: secret)) \(dumped)".contains("sentinel"))
    #expect(secret.equals(Secret("sentinel-51f2")))
    #expect(!secret.equals(Secret("sentinel-51f3")))
    #expect(!secret.equals(Secret("sentinel")))
  }

  @Test("error codes are unique")
  func codes() {
    #expect(Set(ErrorCode.all.map(\.id)).count == ErrorCode.all.count)
  }

  @Test("hexadecimal and base64url read back", arguments: [0, 1, 2, 3, 31, 32, 33])
  func encodings(count: Int) throws {
    let bytes = [UInt8].random(count: count)
    #expect(Hex.decode(Hex.encode(bytes)) == bytes)
    #expect(Base64URL.decode(Base64URL.encode(bytes)) == bytes)
    #expect(Hex.decode("0g") == nil)
    #expect(Hex.decode("0") == nil)
  }
}
